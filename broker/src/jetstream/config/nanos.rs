//! Durations in whole nanoseconds, as Go writes them.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A span of time as an integer of nanoseconds. Clients may send negative ones: rules refuse them, no reader has to.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Nanos(pub i64);

impl Nanos {
    /// No time at all; in a configuration mostly "not set".
    pub const ZERO: Self = Self(0);

    /// Whole seconds.
    #[must_use]
    pub const fn from_secs(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000_000_000))
    }

    /// Whole milliseconds.
    #[must_use]
    pub const fn from_millis(milliseconds: i64) -> Self {
        Self(milliseconds.saturating_mul(1_000_000))
    }

    /// Whether it is zero.
    #[must_use]
    pub const fn is_zero(&self) -> bool {
        self.0 == 0
    }

    /// As a duration; a negative span is none.
    #[must_use]
    pub fn duration(self) -> Duration {
        Duration::from_nanos(u64::try_from(self.0).unwrap_or(0))
    }

    /// As a duration, unless it is zero or negative.
    #[must_use]
    pub fn positive(self) -> Option<Duration> {
        (self.0 > 0).then(|| self.duration())
    }
}

impl From<Duration> for Nanos {
    /// Longer than 292 years is 292 years.
    fn from(duration: Duration) -> Self {
        Self(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX))
    }
}

impl fmt::Display for Nanos {
    /// As Go prints a duration: `1h2m3s`, `1.5s`, `100ms`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.0.unsigned_abs();
        if self.0 < 0 {
            f.write_str("-")?;
        }
        let fraction = |value: u64, unit: u64| {
            let text = format!(
                "{}.{:09}",
                value / unit,
                value % unit * (1_000_000_000 / unit)
            );
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        };
        match all {
            0 => f.write_str("0s"),
            1..1_000 => write!(f, "{all}ns"),
            1_000..1_000_000 => write!(f, "{}µs", fraction(all, 1_000)),
            1_000_000..1_000_000_000 => write!(f, "{}ms", fraction(all, 1_000_000)),
            _ => {
                let minutes = all / 60_000_000_000;
                if minutes >= 60 {
                    write!(f, "{}h", minutes / 60)?;
                }
                if minutes > 0 {
                    write!(f, "{}m", minutes % 60)?;
                }
                write!(f, "{}s", fraction(all % 60_000_000_000, 1_000_000_000))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_print_as_in_go() {
        for (nanos, text) in [
            (0, "0s"),
            (7, "7ns"),
            (1_500, "1.5µs"),
            (100_000_000, "100ms"),
            (1_000_000_000, "1s"),
            (1_500_000_000, "1.5s"),
            (120_000_000_000, "2m0s"),
            (3_723_000_000_001, "1h2m3.000000001s"),
            (-1_000_000_000, "-1s"),
        ] {
            assert_eq!(Nanos(nanos).to_string(), text);
        }
    }

    #[test]
    fn negative_spans_are_no_time() {
        assert_eq!(Nanos(-5).duration(), Duration::ZERO);
        assert_eq!(Nanos(-5).positive(), None);
        assert_eq!(Nanos::from(Duration::MAX), Nanos(i64::MAX));
    }
}
