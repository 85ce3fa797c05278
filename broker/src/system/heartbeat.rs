//! What is told without anything having happened: that the server is there and how it does.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::Serialize;
use tokio::time::{Instant, sleep_until};

use super::block::ServerBlock;
use crate::monitor::Statsz;
use crate::server::Shared;

/// Time to the first one; each further one takes twice as long as the one before, up to the interval.
const FIRST: Duration = Duration::from_millis(250);
/// How often accounts with connections are told about although nothing changed.
const CONNECTIONS: Duration = Duration::from_secs(30);

#[derive(Serialize)]
struct Heartbeat {
    server: ServerBlock,
    statsz: Statsz,
}

/// Runs until the server stops.
pub(super) async fn run(server: Arc<Shared>) {
    let interval = server.config.statsz_interval.max(FIRST);
    let subject = format!("$SYS.SERVER.{}.STATSZ", server.server_id);
    let mut pause = FIRST;
    let mut next_statsz = Instant::now() + pause;
    let mut next_connections = Instant::now() + CONNECTIONS;
    loop {
        tokio::select! {
            () = server.stop.cancelled() => return,
            () = sleep_until(next_statsz.min(next_connections)) => {}
        }
        let now = Instant::now();
        if next_statsz <= now {
            pause = (pause * 2).min(interval);
            next_statsz = now + pause;
            server.system.publish(&subject, || Heartbeat {
                server: server.system.block(&server),
                statsz: Statsz::of(&server),
            });
        }
        if next_connections <= now {
            next_connections = now + CONNECTIONS;
            for account in server.accounts() {
                if account.stats.connections.load(Ordering::Relaxed) > 0 {
                    server.announce_connections(&account);
                }
            }
        }
    }
}
