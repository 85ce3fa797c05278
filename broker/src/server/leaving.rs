//! Leaving slowly: lame duck mode. And caps that change while the server runs.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::{Config, Server, lock};
use crate::monitor::CloseReason;
use crate::session::state::write_info;

/// Connections are closed no slower than this, however few there are.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// Shortest pause between connections: a timer cannot do better, so several are closed at once instead.
const PAUSE_MIN: Duration = Duration::from_millis(1);

impl Server {
    /// Leaves without a stampede: nobody is let in any more, clients hear of it by INFO `ldm`, and after the grace period
    /// they are closed one after the other over the rest of the duration.
    ///
    /// Returns when no connection is left; call [`Server::shutdown`] then. With nobody connected that is at once. Dropping
    /// the future leaves the server closed to new connections.
    pub async fn lame_duck(&self, duration: Duration, grace_period: Duration) {
        let shared = &self.shared;
        shared
            .is_lame_duck
            .store(true, std::sync::atomic::Ordering::Relaxed);
        shared.announce_end("LAMEDUCK");
        shared.listening.cancel();
        let open: Vec<_> = lock(&shared.connections).values().cloned().collect();
        for connection in &open {
            if connection
                .profile()
                .is_some_and(|profile| profile.takes_info)
            {
                connection.push(|out| write_info(&shared.info(connection), out));
            }
        }
        if open.is_empty() {
            return;
        }
        tokio::time::sleep(grace_period).await;
        // Who went away during the grace period did what was asked for.
        let open: Vec<_> = lock(&shared.connections).values().cloned().collect();
        let (pause, at_once) = pace(duration.saturating_sub(grace_period), open.len());
        for batch in open.chunks(at_once) {
            for connection in batch {
                connection.close(CloseReason::ServerShutdown);
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Takes on other caps, for connections that come from now on: payload, control line, pending bytes, subscriptions.
    pub fn configure_limits(&self, config: &Config) {
        let limits = Arc::new(config.limits.clone());
        let mut current = self
            .shared
            .limits
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *current = limits;
    }
}

/// The pause between two batches of connections, and how many are in one.
fn pace(duration: Duration, connections: usize) -> (Duration, usize) {
    let count = u32::try_from(connections.max(1)).unwrap_or(u32::MAX);
    let pause = duration / count;
    if pause >= PAUSE_MIN {
        return (pause.min(PAUSE_MAX), 1);
    }
    let batches = usize::try_from(duration.as_millis()).unwrap_or(usize::MAX);
    (PAUSE_MIN, connections.div_ceil(batches.max(1)).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_closed_over_the_whole_duration() {
        let second = Duration::from_secs(1);
        assert_eq!(pace(110 * second, 0), (second, 1));
        assert_eq!(pace(110 * second, 10), (second, 1));
        assert_eq!(pace(10 * second, 100), (Duration::from_millis(100), 1));
        assert_eq!(pace(second, 10_000), (PAUSE_MIN, 10));
        assert_eq!(pace(Duration::ZERO, 5), (PAUSE_MIN, 5));
    }
}
