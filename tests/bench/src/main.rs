//! Measures natterjack beside nats-server: throughput, processor time, latency, memory and start-up.
//!
//! Both servers run on loopback at the same time and are measured in turns (A B A B ...), so that whatever else the
//! machine does hits both. The load is that of `natterjack bench`. Streams are measured with the same load on the same disk, beside a
//! nats-server that syncs as well (`streams`). `tests/bench/side-by-side` builds and fetches everything and calls this program.

mod memory;
mod report;
mod robust;
mod rows;
mod select;
mod server;
mod streams;
mod turn;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use report::Table;
use rows::Row;
use select::Selection;
use server::Server;
use turn::Turn;

const USAGE: &str = "\
usage: bench --a COMMAND --b COMMAND [--rows ROWS] [--rounds N] [--scale PERCENT]
       bench --streams DIR --a COMMAND [--b COMMAND] [--c COMMAND] [--rows ROWS] [--rounds N] [--scale PERCENT]
       bench --start COMMAND [--rounds N]
       bench --list

COMMAND is split at blanks; {port} and {ws} become free ports, {conf} a nats-server configuration with WebSocket on {ws}.
--a and --b compare two servers, --start measures one appliance that prints a banner: time until it is ready, and memory
when idle. --streams compares servers that store streams: {store} becomes a directory of each in DIR, {synced} a nats-server
configuration that syncs every message (--c only).
  --rows ROWS        all (the default), core, or names with commas between them; a* stands for all that begin with a
  --list             the names
  --token TEXT       CONNECT with this token (server A only)
  --rounds N         turns per figure; the median counts (5)
  --scale PERCENT    of the messages per turn (100)";

struct Options {
    a: Option<String>,
    b: Option<String>,
    c: Option<String>,
    streams: Option<PathBuf>,
    start: Option<String>,
    token: Option<String>,
    rounds: usize,
    scale: u64,
    rows: String,
    is_list: bool,
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
        rows: "all".to_owned(),
        is_list: false,
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
            "--rows" => options.rows = value()?,
            "--list" => options.is_list = true,
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
    let rows = rows::all();
    let core: Vec<&str> = rows.iter().map(|row| row.name).collect();
    let named: Vec<(&str, &str)> = memory::ROWS
        .into_iter()
        .chain(rows.iter().map(|row| (row.name, row.what)))
        .chain(robust::ROWS)
        .chain(streams::names())
        .collect();
    if options.is_list {
        report::list(&named);
        return Ok(());
    }
    if let Some(command) = &options.start {
        return server::measure_start(command, options.rounds);
    }
    let all: Vec<&str> = named.iter().map(|(name, _)| *name).collect();
    let selection = Selection::new(&options.rows, &core, &all)?;
    match &options.streams {
        Some(store) if streams::names().iter().any(|(name, _)| selection.has(name)) => {
            run_streams(options, store, &selection)
        }
        Some(_) => Ok(()),
        None => run_core(options, &rows, &selection),
    }
}

fn run_core(options: &Options, rows: &[Row], selection: &Selection) -> Result<(), String> {
    let (Some(a), Some(b)) = (&options.a, &options.b) else {
        return Err(USAGE.to_owned());
    };
    let start = || {
        let a = Server::start("natterjack", a, options.token.clone())?;
        let b = Server::start("nats-server", b, None)?;
        Ok::<_, String>((a, b))
    };
    let mut table = Table::new();
    // On servers of their own, which have no memory left over from other work.
    if selection.has(memory::ROWS[0].0) {
        let (a, b) = start()?;
        memory::of_one(&mut table, [&a, &b], 2000)?;
    }
    if selection.has(memory::ROWS[1].0) {
        let (a, b) = start()?;
        memory::of_many(&mut table, [&a, &b], 10_000)?;
    }
    let (a, b) = start()?;
    for row in rows.iter().filter(|row| selection.has(row.name)) {
        compare(&mut table, row, [&a, &b], options)?;
    }
    if selection.has(robust::ROWS[0].0) {
        robust::stalled_reader(&mut table, [&a, &b], options.rounds)?;
    }
    if selection.has(robust::ROWS[1].0) {
        robust::slow_connections(&mut table, [&a, &b])?;
    }
    table.print();
    Ok(())
}

fn run_streams(options: &Options, store: &Path, selection: &Selection) -> Result<(), String> {
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
    let Options { rounds, scale, .. } = options;
    streams::run(&mut servers, store, *rounds, *scale, selection)
}

/// Runs one row in turns and adds its medians to the table.
fn compare(
    table: &mut Table,
    row: &Row,
    servers: [&Server; 2],
    options: &Options,
) -> Result<(), String> {
    let mut turns: [Vec<Turn>; 2] = Default::default();
    // One turn that does not count warms caches, buffers and the clock of the processor.
    for server in servers {
        row.turn(server, options.scale.div_ceil(10))?;
    }
    for _ in 0..options.rounds {
        for (server, turns) in servers.iter().zip(&mut turns) {
            turns.push(row.turn(server, options.scale)?);
        }
    }
    table.row(row, &turns);
    Ok(())
}
