//! Time for consumers: nanoseconds since 1970 that never go back.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use super::rules::Nanos;

/// The system's time when it was made, and monotonic from there: a stepped clock neither redelivers nor delays.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    started: Instant,
    at: Nanos,
}

impl Clock {
    pub(crate) fn start() -> Self {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            started: Instant::now(),
            at: nanos(since),
        }
    }

    pub(crate) fn now(&self) -> Nanos {
        self.at.saturating_add(nanos(self.started.elapsed()))
    }

    /// The instant of a time; what is over is now.
    pub(crate) fn instant(&self, at: Nanos) -> Instant {
        // A hundred years are for ever; more could overflow the clock.
        const FAR: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
        self.started + Duration::from_nanos(at.saturating_sub(self.at)).min(FAR)
    }
}

fn nanos(span: Duration) -> Nanos {
    Nanos::try_from(span.as_nanos()).unwrap_or(Nanos::MAX)
}
