//! Points in time as RFC 3339 with nanoseconds, always in UTC.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// How Go writes a time that was never set.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// A point in time in nanoseconds since 1970; 0 stands for "not set", and so does all that was before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// Not set.
    pub const NEVER: Self = Self(0);

    /// The system's clock now.
    #[must_use]
    pub fn now() -> Self {
        SystemTime::now().into()
    }

    /// Whether it was never set.
    #[must_use]
    pub const fn is_never(&self) -> bool {
        self.0 == 0
    }

    /// Time from here to a later point; none where that is not later.
    #[must_use]
    pub fn until(self, later: Self) -> std::time::Duration {
        std::time::Duration::from_nanos(later.0.saturating_sub(self.0))
    }

    /// Reads RFC 3339 in any offset.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        Some(Self(
            time.unix_timestamp_nanos()
                .clamp(0, u64::MAX.into())
                .try_into()
                .ok()?,
        ))
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
    }
}

impl std::fmt::Display for Timestamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.is_never() {
            return f.write_str(NEVER);
        }
        let text = OffsetDateTime::from_unix_timestamp_nanos(self.0.into())
            .ok()
            .and_then(|time| time.format(&Rfc3339).ok())
            .expect("64 bits of nanoseconds end in the year 2554");
        f.write_str(&text)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text)
            .ok_or_else(|| D::Error::custom(format!("cannot parse {text:?} as a time of RFC 3339")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(nanos: u64, text: &str) {
        assert_eq!(Timestamp(nanos).to_string(), text);
        assert_eq!(Timestamp::parse(text), Some(Timestamp(nanos)));
    }

    #[test]
    fn times_print_as_in_go() {
        check(0, NEVER);
        check(1_700_000_000_000_000_000, "2023-11-14T22:13:20Z");
        check(1_700_000_000_120_000_000, "2023-11-14T22:13:20.12Z");
        check(1_700_000_000_123_456_789, "2023-11-14T22:13:20.123456789Z");
        check(u64::MAX, "2554-07-21T23:34:33.709551615Z");
    }

    #[test]
    fn offsets_are_taken_and_garbage_is_not() {
        let utc = Timestamp::parse("2023-11-14T22:13:20Z");
        assert_eq!(Timestamp::parse("2023-11-15T00:13:20+02:00"), utc);
        assert_eq!(Timestamp::parse("yesterday"), None);
        assert_eq!(
            Timestamp::parse("9999-12-31T23:59:59Z"),
            Some(Timestamp(u64::MAX))
        );
    }
}
