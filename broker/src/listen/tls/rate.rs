//! `connection_rate_limit`: how many handshakes a listener begins in one second.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Counts what came in the current second.
#[derive(Debug)]
pub(super) struct HandshakeRate {
    per_second_max: u32,
    window: Mutex<(Instant, u32)>,
}

impl HandshakeRate {
    pub(super) fn new(per_second_max: u32, now: Instant) -> Self {
        Self {
            per_second_max,
            window: Mutex::new((now, 0)),
        }
    }

    /// Whether one more may begin.
    pub(super) fn allows(&self, now: Instant) -> bool {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(window.0) >= Duration::from_secs(1) {
            *window = (now, 0);
        }
        window.1 = window.1.saturating_add(1);
        window.1 <= self.per_second_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_its_number_of_handshakes() {
        let start = Instant::now();
        let rate = HandshakeRate::new(2, start);
        let allowed: Vec<bool> = [0, 0, 999, 1000, 1500, 1600]
            .map(|ms| rate.allows(start + Duration::from_millis(ms)))
            .to_vec();
        assert_eq!(allowed, [true, true, false, true, true, false]);
    }
}
