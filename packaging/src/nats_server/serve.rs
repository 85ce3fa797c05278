//! Starts a server, does what signals ask for, and stops it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use broker::accounts::ConfiguredUsers;
use broker::config_file::Options;
use broker::jwt::{Callout, OperatorMode};
use broker::{Authenticator, Server};
use storage::DataDir;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::doors;
use super::facts;
use super::files::{self, PortsFile};
use super::flags::Flags;
use super::foreign;
use super::lines;
use super::log::{self, Log};
use super::reload::Reloadable;
use super::settings::{Refusal, Settings};
use super::signals::{Command, Signals};
use crate::explain::explain;
use crate::purpose::Purpose;
use crate::trouble::{Exit, Trouble};
use crate::{banner, output, wiring};

/// `timeout` and some supervisors send a signal to the process and again to its group: that counts as one.
const SAME_SIGNAL: Duration = Duration::from_secs(1);
/// What the process ends with when it is told to end at once.
const QUIT: i32 = 2;

/// Serves until told to stop.
pub(super) fn run(settings: Settings, flags: &Flags, program: &str) -> Result<(), Refusal> {
    let level = settings.own.as_ref().map(|own| own.log.as_str());
    let log = Log::start(&settings.options.log, level)?;
    let is_own = settings.own.is_some();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| {
        Trouble::new(
            Exit::Software,
            format!("Could not start threads: {error}."),
            "Check the process limits (ulimit -u).",
        )
    })?;
    let served = runtime.block_on(serve(settings, flags, program, &log));
    served.map_err(|error| {
        if is_own {
            return Refusal::Trouble(explain(&error));
        }
        log::fatal(&words(&error));
        Refusal::Words(String::new())
    })
}

/// An error with its causes, and what natterjack would say about it at a terminal.
fn words(error: &anyhow::Error) -> String {
    if let Some(trouble) = error
        .chain()
        .find_map(|cause| cause.downcast_ref::<Trouble>())
    {
        return format!("{} {}", trouble.what, trouble.remedy);
    }
    let text = error.to_string();
    if text.starts_with("Error listening") {
        return text;
    }
    format!("{error:#}")
}

/// Start and stop, in order.
async fn serve(settings: Settings, flags: &Flags, program: &str, log: &Log) -> anyhow::Result<()> {
    let Settings {
        options,
        config,
        store,
        own,
        ..
    } = settings;
    let mut signals = Signals::take().context("could not handle signals")?;
    if let Some(path) = &options.pid_file {
        let failed = || format!("could not write pidfile: {}", path.display());
        files::write_pid(path).with_context(failed)?;
    }
    let mut data_dir = None;
    let mut streams = None;
    if let Some(store) = &store {
        foreign::refuse_streams(&store.dir)?;
        let dir = DataDir::open(&store.dir)?;
        Purpose::Broker.claim(dir.path())?;
        streams = Some(wiring::streams(&dir, store.options.clone()));
        data_dir = Some(dir);
    }
    let door = Door::new(&options)?;
    let server = Server::new(config, door.authenticator(), streams);
    lines::start(&server, &options, flags.config.as_deref());
    if let Some(store) = &store {
        lines::jetstream(store, &options);
    }
    door.open(&server, &options).await?;

    facts::tell(&server, &options, store.as_ref());
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    let (ports, tls, address) = doors::open(&server, &options, &stop, &tasks).await?;
    let ports_file = match &options.ports_file_dir {
        Some(dir) => {
            let failed = || format!("could not write ports file in {}", dir.display());
            Some(PortsFile::write(dir, program, &ports).with_context(failed)?)
        }
        None => None,
    };
    tracing::info!("Server is ready");
    if own.is_some() {
        let dir = store.as_ref().map(|store| store.dir.as_path());
        output::say(&banner::of_broker(address, dir));
    }

    let running = Reloadable {
        server: &server,
        flags,
        log,
        tls: &tls,
        options,
    };
    until_stopped(running, &mut signals).await;

    tracing::info!("Initiating Shutdown...");
    let stopping = async {
        stop.cancel();
        tasks.close();
        tasks.wait().await;
        server.shutdown().await;
    };
    tokio::select! {
        () = stopping => {}
        () = second_signal(&mut signals) => {
            tracing::warn!("Stopped at once");
            drop(ports_file);
            std::process::exit(1);
        }
    }
    drop(ports_file);
    drop(data_dir);
    tracing::info!("Server Exiting..");
    Ok(())
}

/// Who decides who may come in.
enum Door {
    Users(Arc<dyn Authenticator>),
    Operator(OperatorMode),
}

impl Door {
    /// Operators where there are some, else the configured users, with an auth service behind them if one is named.
    fn new(options: &Options) -> anyhow::Result<Self> {
        if let Some(config) = &options.operator {
            return Ok(Self::Operator(OperatorMode::new(config)?));
        }
        let users = ConfiguredUsers::new(&options.accounts)?;
        Ok(Self::Users(match &options.callout {
            Some(config) => Arc::new(Callout::external(config.clone(), users)?),
            None => users,
        }))
    }

    fn authenticator(&self) -> Arc<dyn Authenticator> {
        match self {
            Self::Users(users) => users.clone(),
            Self::Operator(operator) => Arc::new(operator.clone()),
        }
    }

    /// Sets up accounts and opens their streams.
    async fn open(&self, server: &Server, options: &Options) -> anyhow::Result<()> {
        match self {
            Self::Users(_) => server.configure_accounts(&options.accounts).await?,
            Self::Operator(operator) => operator.start(server).await?,
        }
        Ok(())
    }
}

/// Does what signals ask for until it is over.
async fn until_stopped(mut running: Reloadable<'_>, signals: &mut Signals) {
    let server = running.server.clone();
    let lame_duck = running.options.lame_duck;
    let mut leaving = std::pin::pin!(async move {
        server
            .lame_duck(lame_duck.duration, lame_duck.grace_period)
            .await;
    });
    let mut is_leaving = false;
    // Requests for a reload that come through the system account.
    let (asks, mut asked) = mpsc::channel::<oneshot::Sender<Result<(), String>>>(1);
    running.server.set_reload(move || {
        let asks = asks.clone();
        async move {
            let (answer, answered) = oneshot::channel();
            let is_asked = asks.send(answer).await.is_ok();
            let answered = answered.await.ok().filter(|_| is_asked);
            answered.unwrap_or_else(|| Err("the server is shutting down".to_owned()))
        }
    });
    loop {
        let command = tokio::select! {
            command = signals.next() => command,
            Some(answer) = asked.recv() => {
                // Whoever asked may be gone; what was done is done.
                let _ = answer.send(running.reload().await);
                continue;
            }
            () = &mut leaving, if is_leaving => return,
        };
        match command {
            Command::Stop => return,
            Command::Quit => std::process::exit(QUIT),
            // What is wrong was logged.
            Command::Reload => drop(running.reload().await),
            Command::Reopen => match running.log.reopen() {
                Ok(true) => tracing::info!("File log re-opened"),
                Ok(false) => tracing::info!("File log re-open ignored, not a file logger"),
                Err(reason) => tracing::error!("{reason}"),
            },
            Command::LameDuck => {
                tracing::info!("Entering lame duck mode, stop accepting new clients");
                is_leaving = true;
            }
        }
    }
}

/// A second wish to stop, once it cannot be the first one's echo.
async fn second_signal(signals: &mut Signals) {
    tokio::time::sleep(SAME_SIGNAL).await;
    loop {
        if matches!(signals.next().await, Command::Stop | Command::Quit) {
            return;
        }
    }
}
