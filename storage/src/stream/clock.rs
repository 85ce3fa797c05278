//! Where a store gets the time from.

use std::time::{SystemTime, UNIX_EPOCH};

/// Wall clock of a store. Tests bring their own.
pub trait Clock: Send + Sync {
    /// Nanoseconds since 1970.
    fn now(&self) -> u64;
}

/// The system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> u64 {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        super::log::nanos(since)
    }
}
