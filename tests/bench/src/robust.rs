//! What others notice of clients that are slow or do nothing.

use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use load::{Connection, PubSub};

use crate::report::{Table, Unit};
use crate::server::Server;
use crate::turn::Turn;

/// Names and descriptions of the rows.
pub(crate) const ROWS: [(&str, &str); 2] = [
    (
        "stalled-reader",
        "1 of 1,000 readers stops reading: throughput of the other 999, of what it is without",
    ),
    (
        "slow-500",
        "500 connections that send a byte a second: slowest of 100 logins",
    ),
];

const SUBJECT: &str = "bench.room.general";
const READERS: usize = 999;
/// Large, so that the one that does not read reaches its limit during the run.
const PAYLOAD_BYTES: usize = 1024;
const MESSAGES: u64 = 4000;
const SLOW: usize = 500;
const LOGINS: usize = 100;

/// Throughput of 999 readers with one more that never reads, as a part of their throughput without it.
pub(crate) fn stalled_reader(
    table: &mut Table,
    servers: [&Server; 2],
    rounds: usize,
) -> Result<(), String> {
    let work = PubSub {
        subscribers: READERS,
        ..PubSub::new(SUBJECT, PAYLOAD_BYTES, MESSAGES)
    };
    let run = |server: &Server| {
        let turn = Turn::measure(server, |target, meter| work.run(target, target, meter));
        turn.map_err(|error| format!("{}: {}: {error}", server.name, ROWS[0].0))
    };
    let mut parts = [Vec::new(), Vec::new()];
    for (server, parts) in servers.into_iter().zip(&mut parts) {
        for _ in 0..rounds {
            let alone = run(server)?;
            let setup = format!("SUB {SUBJECT} 1\r\n");
            let stalled = Connection::open(&server.target(), &setup)
                .map_err(|error| format!("{}: {error}", server.name))?;
            let beside = run(server)?;
            drop(stalled);
            parts.push(beside.rate / alone.rate * 100.0);
        }
    }
    let medians = [0, 1].map(|index| crate::report::median(&parts[index]));
    table.single(ROWS[0].1, Unit::Percent, medians, Some("90 % or more"));
    Ok(())
}

/// How long logging in takes while many strangers dawdle.
pub(crate) fn slow_connections(table: &mut Table, servers: [&Server; 2]) -> Result<(), String> {
    let mut slowest = [0.0; 2];
    for (server, slowest) in servers.into_iter().zip(&mut slowest) {
        let failed = |error: std::io::Error| format!("{}: {error}", server.name);
        let mut strangers = (0..SLOW)
            .map(|_| TcpStream::connect(server.tcp))
            .collect::<Result<Vec<_>, _>>()
            .map_err(failed)?;
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| dawdle(&mut strangers, &is_over));
            for _ in 0..LOGINS {
                let start = Instant::now();
                let login = Connection::open(&server.target(), "");
                let took = start.elapsed().as_secs_f64() * 1e6;
                *slowest = f64::max(*slowest, took);
                if let Err(error) = login {
                    is_over.store(true, Ordering::Relaxed);
                    return Err(format!("{}: {error}", server.name));
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            is_over.store(true, Ordering::Relaxed);
            Ok(())
        })?;
    }
    table.single(
        ROWS[1].1,
        Unit::Microseconds,
        slowest,
        Some("under a second"),
    );
    Ok(())
}

/// Sends CONNECT so slowly that it never ends; who is thrown out is forgotten.
fn dawdle(strangers: &mut [TcpStream], is_over: &AtomicBool) {
    for byte in "CONNECT {\"verbose\":false,".bytes() {
        for stranger in &mut *strangers {
            let _ = stranger.write(&[byte]);
        }
        let mut waits = 0;
        while waits < 20 {
            if is_over.load(Ordering::Relaxed) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
            waits += 1;
        }
    }
}
