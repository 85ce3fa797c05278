//! Measures natterjack beside nats-server: throughput, latency, memory and start-up.
//!
//! Both servers run on loopback at the same time and are measured in turns (A B A B ...), so that whatever else the
//! machine does hits both. Streams are measured with the same load on the same disk, beside a nats-server that syncs as well
//! (`streams`). `tests/bench/run` builds and fetches everything and calls this program.

mod client;
mod report;
mod scenario;
mod server;
mod streams;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use report::Table;
use scenario::Scenario;
use server::Server;

const USAGE: &str = "\
usage: bench --a COMMAND --b COMMAND [--rounds N] [--scale PERCENT] [--only TEXT] [--websockets N]
       bench --streams DIR --a COMMAND [--b COMMAND] [--c COMMAND] [--rounds N] [--scale PERCENT] [--only TEXT]
       bench --start COMMAND [--rounds N]

COMMAND is split at blanks; {port} and {ws} become free ports, {conf} a nats-server configuration with WebSocket on {ws}. --a and --b compare two servers, --start measures one
appliance that prints a banner: time until it is ready, and memory when idle. --streams compares servers that store streams:
{store} becomes a directory of each in DIR, {synced} a nats-server configuration that syncs every message (--c only).
  --token TEXT       CONNECT with this token (server A only)
  --rounds N         turns per figure; the median counts (5)
  --scale PERCENT    of the messages per turn (100)
  --only TEXT        only figures whose name contains TEXT
  --websockets N     idle WebSocket connections of the memory figure (2000; needs {ws} in both commands)";

struct Options {
    a: Option<String>,
    b: Option<String>,
    c: Option<String>,
    streams: Option<PathBuf>,
    start: Option<String>,
    token: Option<String>,
    rounds: usize,
    scale: u64,
    only: String,
    websockets: usize,
}

fn main() -> ExitCode {
    match options().and_then(|options| run(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            report::complain(&message);
            ExitCode::FAILURE
        }
    }
}

fn options() -> Result<Options, String> {
    let mut options = Options {
        a: None,
        b: None,
        c: None,
        streams: None,
        start: None,
        token: None,
        rounds: 5,
        scale: 100,
        only: String::new(),
        websockets: 2000,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| USAGE.to_owned());
        match name.as_str() {
            "--a" => options.a = Some(value()?),
            "--b" => options.b = Some(value()?),
            "--c" => options.c = Some(value()?),
            "--streams" => options.streams = Some(value()?.into()),
            "--start" => options.start = Some(value()?),
            "--token" => options.token = Some(value()?),
            "--rounds" => options.rounds = number(&value()?)?,
            "--scale" => options.scale = number(&value()?)?,
            "--only" => options.only = value()?,
            "--websockets" => options.websockets = number(&value()?)?,
            _ => return Err(USAGE.to_owned()),
        }
    }
    Ok(options)
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse()
        .map_err(|_| format!("{text:?} is not a number\n{USAGE}"))
}

fn run(options: &Options) -> Result<(), String> {
    if let Some(command) = &options.start {
        return server::measure_start(command, options.rounds).map(|table| table.print());
    }
    if let Some(store) = &options.streams {
        return run_streams(options, store);
    }
    let (Some(a), Some(b)) = (&options.a, &options.b) else {
        return Err(USAGE.to_owned());
    };
    let a = Server::start("natterjack", a, options.token.clone())?;
    let b = Server::start("nats-server", b, None)?;
    let mut table = Table::new();
    // First, while neither server has memory left over from earlier work.
    if "idle WebSocket memory".contains(&options.only)
        && a.websocket.is_some()
        && b.websocket.is_some()
    {
        let count = options.websockets;
        let used = [&a, &b].map(|server| scenario::idle_websockets(server, count));
        let [a, b] = used;
        table.memory(
            &format!("{count} idle WebSocket connections, memory"),
            a?,
            b?,
        );
    }
    for scenario in scenario::all(options.scale) {
        if !scenario.name().contains(&options.only) {
            continue;
        }
        compare(&mut table, &scenario, [&a, &b], options.rounds)?;
    }
    table.print();
    Ok(())
}

fn run_streams(options: &Options, store: &Path) -> Result<(), String> {
    let commands = [
        ("natterjack", &options.a),
        ("nats-server", &options.b),
        ("nats-server, `sync_interval: always`", &options.c),
    ];
    let mut servers = Vec::new();
    for (index, (name, command)) in commands.into_iter().enumerate() {
        let Some(command) = command else { continue };
        let own = store.join(index.to_string());
        std::fs::create_dir_all(&own).map_err(|error| format!("{}: {error}", own.display()))?;
        let mut server = Server::start_with_store(name, command, &own)?;
        server.is_slow = index == 2;
        servers.push(server);
    }
    if servers.is_empty() {
        return Err(USAGE.to_owned());
    }
    let Options {
        rounds,
        scale,
        only,
        ..
    } = options;
    streams::run(&mut servers, store, *rounds, *scale, only)
}

/// Runs one scenario in turns and adds its medians to the table.
fn compare(
    table: &mut Table,
    scenario: &Scenario,
    servers: [&Server; 2],
    rounds: usize,
) -> Result<(), String> {
    let mut figures = [Vec::new(), Vec::new()];
    // One turn that does not count warms caches, buffers and the clock of the processor.
    for server in servers {
        scenario.run(server, 10)?;
    }
    for _ in 0..rounds {
        for (server, figures) in servers.iter().zip(&mut figures) {
            figures.push(scenario.run(server, 100)?);
        }
    }
    let [a, b] = figures;
    table.figures(scenario, &a, &b);
    Ok(())
}
