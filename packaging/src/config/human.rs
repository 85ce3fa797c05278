//! Durations and sizes as people write them: `15m`, `1h30m`, `64MiB`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

const DURATION_UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];
const SIZE_UNITS: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

/// A span of time, written `30d`, `15m`, `1h30m`, `500ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span(pub(crate) Duration);

/// A number of bytes, written `64MiB`, `1MB` or `4096B`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Size(pub(crate) u64);

/// A network, written `10.1.0.0/16`, or the one address that it consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network(pub(crate) IpNet);

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let address = || text.parse::<IpAddr>().map(IpNet::from);
        let network = text.parse::<IpNet>().or_else(|_| address());
        network.map(Self).map_err(|_| {
            format!("\"{text}\" is not a network; write it like 192.0.2.7, 10.1.0.0/16 or fd00::/8")
        })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("\"{text}\" is not a duration; write it like 500ms, 30s, 15m, 1h30m or 7d");
        let mut total_ms: u64 = 0;
        for part in parts(text).ok_or_else(wrong)? {
            let (number, unit) = part;
            let (_, unit_ms) = DURATION_UNITS
                .iter()
                .find(|(name, _)| *name == unit)
                .ok_or_else(wrong)?;
            let part_ms = number.checked_mul(*unit_ms).ok_or_else(wrong)?;
            total_ms = total_ms.checked_add(part_ms).ok_or_else(wrong)?;
        }
        Ok(Self(Duration::from_millis(total_ms)))
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("\"{text}\" is not a size; write it like 4096B, 512KiB, 64MiB or 1GB");
        let parts = parts(text).ok_or_else(wrong)?;
        let [(number, unit)] = parts[..] else {
            return Err(wrong());
        };
        let unit = SIZE_UNITS
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(unit));
        let bytes = unit.and_then(|(_, unit_bytes)| number.checked_mul(*unit_bytes));
        bytes.map(Self).ok_or_else(wrong)
    }
}

/// Splits `1h30m` into `(1, "h"), (30, "m")`. `None` where a number or a unit is missing, or at nothing at all.
fn parts(text: &str) -> Option<Vec<(u64, &str)>> {
    let mut parts = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let unit_at = rest.find(|c: char| !c.is_ascii_digit())?;
        let number = rest[..unit_at].parse().ok()?;
        let after = rest[unit_at..].trim_start();
        let end = after
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(after.len());
        parts.push((number, after[..end].trim_end()));
        rest = &after[end..];
    }
    (!parts.is_empty()).then_some(parts)
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left_ms = self.0.as_millis() as u64;
        if left_ms == 0 {
            return f.write_str("0s");
        }
        for (unit, unit_ms) in DURATION_UNITS {
            let count = left_ms / unit_ms;
            if count > 0 {
                write!(f, "{count}{unit}")?;
            }
            left_ms %= unit_ms;
        }
        Ok(())
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = SIZE_UNITS
            .iter()
            .find(|(_, bytes)| self.0 != 0 && self.0.is_multiple_of(*bytes));
        let (unit, unit_bytes) = exact.unwrap_or(&("B", 1));
        write!(f, "{}{unit}", self.0 / unit_bytes)
    }
}

macro_rules! serde_as_text {
    ($name:ty) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?
                    .parse()
                    .map_err(de::Error::custom)
            }
        }
    };
}

serde_as_text!(Network);
serde_as_text!(Span);
serde_as_text!(Size);

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_span(text: &str, expected_ms: Option<u64>) {
        assert_eq!(
            text.parse::<Span>()
                .ok()
                .map(|span| span.0.as_millis() as u64),
            expected_ms,
            "{text}"
        );
    }

    #[track_caller]
    fn check_size(text: &str, expected: Option<u64>) {
        assert_eq!(
            text.parse::<Size>().ok().map(|size| size.0),
            expected,
            "{text}"
        );
    }

    #[test]
    fn durations_add_up() {
        check_span("15m", Some(900_000));
        check_span("1h30m", Some(5_400_000));
        check_span("1 h 30 m", Some(5_400_000));
        check_span("500ms", Some(500));
        check_span("0s", Some(0));
        for wrong in [
            "",
            "15",
            "m",
            "15 minutes",
            "-1s",
            "1.5h",
            "99999999999999999999d",
            "9999999999999999d",
        ] {
            check_span(wrong, None);
        }
    }

    #[test]
    fn sizes_know_both_kinds_of_kilo() {
        check_size("64MiB", Some(64 << 20));
        check_size("1mb", Some(1_000_000));
        check_size("512 B", Some(512));
        for wrong in [
            "",
            "64",
            "MiB",
            "1MiB2KiB",
            "1.5GiB",
            "-1B",
            "99999999999999GiB",
        ] {
            check_size(wrong, None);
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        for ms in [0, 1, 999, 1_000, 61_000, 5_400_000, 86_400_000, 90_061_001] {
            let span = Span(Duration::from_millis(ms));
            assert_eq!(span.to_string().parse(), Ok(span));
        }
        for bytes in [
            0,
            1,
            1_000,
            1_024,
            4_096,
            1_000_000,
            1 << 20,
            64 << 20,
            1_234_567,
        ] {
            assert_eq!(Size(bytes).to_string().parse(), Ok(Size(bytes)));
        }
    }
}
