//! How fast one user may send: a token bucket each.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::limits::RATE_USERS_MAX;

/// A minute's worth may come at once; it refills evenly.
pub(super) struct RateLimit {
    capacity: f64,
    per_second: f64,
    users: HashMap<String, (f64, Instant)>,
}

impl RateLimit {
    pub(super) fn new(sends_per_minute: u32) -> Self {
        let capacity = f64::from(sends_per_minute.max(1));
        Self {
            capacity,
            per_second: capacity / 60.0,
            users: HashMap::new(),
        }
    }

    /// Takes one token, or says how long until there is one.
    pub(super) fn take(&mut self, user: &str, now: Instant) -> Result<(), Duration> {
        if self.users.len() >= RATE_USERS_MAX && !self.users.contains_key(user) {
            self.forget_full(now);
        }
        let (capacity, per_second) = (self.capacity, self.per_second);
        let entry = self.users.entry(user.to_owned()).or_insert((capacity, now));
        let elapsed = now.saturating_duration_since(entry.1).as_secs_f64();
        let tokens = (entry.0 + elapsed * per_second).min(capacity);
        if tokens < 1.0 {
            *entry = (tokens, now);
            return Err(Duration::from_secs_f64((1.0 - tokens) / per_second));
        }
        *entry = (tokens - 1.0, now);
        Ok(())
    }

    /// Whoever has a full bucket loses nothing by being forgotten.
    fn forget_full(&mut self, now: Instant) {
        let (capacity, per_second) = (self.capacity, self.per_second);
        self.users.retain(|_, (tokens, at)| {
            let elapsed = now.saturating_duration_since(*at).as_secs_f64();
            *tokens + elapsed * per_second < capacity
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minutes_worth_may_come_at_once_and_then_evenly() {
        let start = Instant::now();
        let mut rate = RateLimit::new(60);
        for _ in 0..60 {
            assert_eq!(rate.take("ann", start), Ok(()));
        }
        let wait = rate.take("ann", start).unwrap_err();
        assert!(
            wait <= Duration::from_secs(1) && wait > Duration::from_millis(900),
            "{wait:?}"
        );
        assert_eq!(rate.take("bob", start), Ok(()));
        assert_eq!(
            rate.take("ann", start + Duration::from_millis(1_001)),
            Ok(())
        );
        assert!(
            rate.take("ann", start + Duration::from_millis(1_001))
                .is_err()
        );
    }
}
