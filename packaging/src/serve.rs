//! Starts the appliance, room by room from the ground up, and stops it in the reverse order.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use broker::Server;
use broker::jwt::Callout;
use services::auth::{AuthService, CHAT_ACCOUNT};
use services::identity::{self, Identity};
use storage::DataDir;
use storage::chat::ChatDb;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::banner::{self, Banner};
use crate::cli::{Common, ServeFlags};
use crate::config::{self, Config, Loaded};
use crate::listen::{self, Door};
use crate::purpose::Purpose;
use crate::trouble::Trouble;
use crate::{demo, logging, output, runtime, wiring};

/// Reads the configuration, serves until told to stop, and says what went wrong.
pub(crate) fn run(common: &Common, flags: &ServeFlags) -> Result<(), Trouble> {
    let purpose = match flags.demo {
        true => Purpose::Demo,
        false => Purpose::Workspace,
    };
    let Loaded { config, data_dir } = config::load(common, flags, purpose)?;
    if flags.demo {
        demo::check_reach(&config)?;
    }
    logging::start(&config.log)?;
    runtime::run(async |stop| serve(&config, &data_dir, purpose, stop).await)
}

/// Start and stop, in order.
async fn serve(
    config: &Config,
    data_dir: &Path,
    purpose: Purpose,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let demo = purpose == Purpose::Demo;
    // What belongs to one process comes first: nothing is touched while another holds it.
    let data_dir = DataDir::open(data_dir)?;
    purpose.claim(data_dir.path())?;
    // Ports are taken now, so that a taken one is found before anything is made; nobody is served yet.
    let http = listen::bind(Door::Http, config.http.listen)?;
    let nats = listen::bind(Door::Nats, config.nats.listen)?;
    let http_addr = http.local_addr().context("could not read the web port")?;
    let nats_addr = nats.local_addr().context("could not read the NATS port")?;
    let public_url = config.http.public_url.clone();
    let url = public_url.unwrap_or_else(|| banner::url_of(http_addr));

    let db = ChatDb::open(&data_dir.chat_db()).await?;
    let identity =
        Identity::open(db.clone(), &data_dir.keys(), wiring::identity(config, demo)).await?;
    if demo {
        identity::seed_demo_users(&db).await?;
    }

    let service = Arc::new(AuthService::new(Arc::clone(&identity)));
    let callout = Arc::new(Callout::built_in(service));
    let streams = wiring::streams(&data_dir, wiring::stream_options(config, purpose)?);
    let server = Server::new(wiring::broker(config), callout, Some(streams));
    server.open_streams(CHAT_ACCOUNT).await?;

    let services_stop = CancellationToken::new();
    let bus = wiring::bus(&server);
    let settings = wiring::services(config);
    if demo {
        services::demo::seed(bus.as_ref(), &db, &settings).await?;
    }
    let mut running = services::start(bus, db.clone(), settings, services_stop.clone()).await?;

    let web_stop = CancellationToken::new();
    let http = TcpListener::from_std(http).context("could not use the web port")?;
    let web = wiring::web(config, &server);
    let web = web::serve(http, web, Arc::clone(&identity), web_stop.clone());
    let mut web = tokio::spawn(web);
    let nats = TcpListener::from_std(nats).context("could not use the NATS port")?;
    server.serve_tcp(nats)?;

    let setup_token = identity.setup_token().await?;
    let banner = Banner {
        url: &url,
        nats: nats_addr,
        data_dir: data_dir.path(),
        setup_token: setup_token.as_ref().map(identity::Secret::as_str),
        demo,
    };
    output::say(&banner.text());
    // What ends by itself has panicked; the rest is stopped in order all the same, and the exit code says so.
    let (web_ended, service_ended) = tokio::select! {
        () = stop.cancelled() => (None, None),
        ended = &mut web => (Some(ended), None),
        ended = running.ended() => (None, Some(ended)),
    };

    web_stop.cancel();
    let web = match web_ended {
        Some(ended) => ended.context("the web server ended by itself"),
        None => web.await.context("the web server ended badly"),
    };
    services_stop.cancel();
    running.wait().await;
    server.shutdown().await;
    identity.close().await;
    db.close().await;
    drop(data_dir);
    tracing::info!("stopped");
    match service_ended {
        Some(ended) => Err(ended.into()),
        None => web,
    }
}
