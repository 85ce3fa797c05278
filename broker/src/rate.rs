//! How much a user may publish: a token bucket that holds publishers back and loses nothing.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::accounts::PublishRate;

/// What a user may publish per second. Clones share it, so all connections of one user draw from one budget.
#[derive(Debug, Clone)]
pub struct PublishBudget {
    bucket: Arc<Mutex<Bucket>>,
}

#[derive(Debug)]
struct Bucket {
    rate: PublishRate,
    /// What may be published at once; below zero, somebody waits.
    messages: f64,
    bytes: f64,
    filled: Instant,
}

impl PublishBudget {
    /// A full budget.
    #[must_use]
    pub fn new(rate: PublishRate) -> Self {
        let bucket = Bucket {
            rate,
            messages: burst(rate),
            bytes: rate.bytes as f64,
            filled: Instant::now(),
        };
        Self {
            bucket: Arc::new(Mutex::new(bucket)),
        }
    }

    /// Takes what was published and says how long to wait before more is read.
    pub(crate) fn take(&self, messages: u64, bytes: u64, now: Instant) -> Duration {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        bucket.fill(now);
        bucket.messages -= messages as f64;
        bucket.bytes -= bytes as f64;
        let rate = bucket.rate;
        let wait = |left: f64, per_second: f64| match per_second {
            0.0 => 0.0,
            per_second => -left.min(0.0) / per_second,
        };
        let seconds = wait(bucket.messages, f64::from(rate.messages))
            .max(wait(bucket.bytes, rate.bytes as f64));
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }
}

impl PartialEq for PublishBudget {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.bucket, &other.bucket)
    }
}

impl Bucket {
    fn fill(&mut self, now: Instant) {
        let seconds = now.saturating_duration_since(self.filled).as_secs_f64();
        self.filled = now;
        let messages = self.messages + seconds * f64::from(self.rate.messages);
        self.messages = messages.min(burst(self.rate));
        let bytes = self.bytes + seconds * self.rate.bytes as f64;
        self.bytes = bytes.min(self.rate.bytes as f64);
    }
}

fn burst(rate: PublishRate) -> f64 {
    f64::from(match rate.burst_messages {
        0 => rate.messages,
        some => some,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_used_up_and_filled_again() {
        let budget = PublishBudget::new(PublishRate {
            messages: 10,
            bytes: 1000,
            burst_messages: 0,
        });
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        assert_eq!(budget.take(10, 0, start), Duration::ZERO);
        let wait = budget.take(5, 0, start);
        assert!(wait > Duration::from_millis(400) && wait <= Duration::from_millis(500));
        assert_eq!(budget.take(0, 0, at(600)), Duration::ZERO);
        let wait = budget.take(0, 3000, at(5000));
        assert!(wait > Duration::from_millis(1900) && wait <= Duration::from_secs(2));
    }

    #[test]
    fn what_has_no_rate_is_free() {
        let budget = PublishBudget::new(PublishRate::default());
        assert_eq!(
            budget.take(u64::MAX, u64::MAX, Instant::now()),
            Duration::ZERO
        );
    }
}
