//! Memory of connections that do nothing.

use std::time::Duration;

use load::Connection;

use crate::report::{Table, Unit};
use crate::server::Server;

/// Time for a server to put buffers away.
const SETTLE: Duration = Duration::from_secs(3);
/// Subscriptions of each of the many connections.
const MANY_SUBSCRIPTIONS: usize = 10;

/// Names and descriptions of the rows.
pub(crate) const ROWS: [(&str, &str); 2] = [
    (
        "ws-idle",
        "2,000 idle WebSocket connections, memory of each",
    ),
    (
        "ws-idle-10k",
        "10,000 idle WebSocket connections, 100,000 subscriptions, memory of the process",
    ),
];

/// What one idle connection adds: it has four subscriptions, like a chat client in a tab.
pub(crate) fn of_one(table: &mut Table, servers: [&Server; 2], count: usize) -> Result<(), String> {
    let mut used = [0.0; 2];
    for (server, used) in servers.into_iter().zip(&mut used) {
        let before = server.resident_bytes()?;
        let open = connect(server, count, |number| {
            format!(
                "SUB deliver.bench.> 1\r\nSUB _INBOX.websocket{number:012}.* 2\r\n\
                 SUB room.notify.general 3\r\nSUB room.presence.general 4\r\n"
            )
        })?;
        std::thread::sleep(SETTLE);
        *used = server.resident_bytes()?.saturating_sub(before) as f64 / count as f64;
        drop(open);
    }
    table.single(ROWS[0].1, Unit::Bytes, used, Some("8 KiB or less"));
    Ok(())
}

/// The whole process with many connections and subscriptions on subjects that are all different.
pub(crate) fn of_many(
    table: &mut Table,
    servers: [&Server; 2],
    count: usize,
) -> Result<(), String> {
    let mut used = [0.0; 2];
    for (server, used) in servers.into_iter().zip(&mut used) {
        let open = connect(server, count, |number| {
            let lines = (0..MANY_SUBSCRIPTIONS)
                .map(|sid| format!("SUB bench.user.{number}.{sid} {sid}\r\n"));
            lines.collect()
        })?;
        std::thread::sleep(SETTLE);
        *used = server.resident_bytes()? as f64;
        drop(open);
    }
    table.single(ROWS[1].1, Unit::Bytes, used, None);
    Ok(())
}

fn connect(
    server: &Server,
    count: usize,
    setup: impl Fn(usize) -> String,
) -> Result<Vec<Connection>, String> {
    let target = server.websocket_target()?;
    (0..count)
        .map(|number| {
            Connection::open(&target, &setup(number))
                .map_err(|error| format!("{}: WebSocket {number}: {error}", server.name))
        })
        .collect()
}
