//! When a scheduled message is due: `@at`, `@every`, cron with seconds, and the usual names.

use std::time::Duration;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::Timestamp as Instant;
use jiff::tz::TimeZone;

use crate::jetstream::config::Timestamp;
use crate::jetstream::error_code::{self as code, ApiError};
use crate::jetstream::publish::life_time::parse_duration;

/// Shortest interval of `@every`.
const INTERVAL_MIN: Duration = Duration::from_secs(1);
const NANOS_PER_SECOND: u64 = 1_000_000_000;
/// Names for expressions, in six fields.
const NAMED: [(&str, &str); 7] = [
    ("@yearly", "0 0 0 1 1 *"),
    ("@annually", "0 0 0 1 1 *"),
    ("@monthly", "0 0 0 1 * *"),
    ("@weekly", "0 0 0 * * 0"),
    ("@daily", "0 0 0 * * *"),
    ("@midnight", "0 0 0 * * *"),
    ("@hourly", "0 0 * * * *"),
];

/// A checked expression. Times are nanoseconds since 1970.
#[derive(Debug, Clone)]
pub(crate) enum Expression {
    /// Once.
    At(u64),
    /// Every so many nanoseconds, on whole seconds.
    Every(u64),
    /// At the times of a calendar.
    Cron(Box<(Cron, TimeZone)>),
}

impl Expression {
    /// Reads an expression and the time zone that its calendar is in; UTC where none is given.
    ///
    /// # Errors
    /// It is none, it never comes true, the zone is unknown, or a zone stands where there is no calendar.
    pub(crate) fn parse(text: &[u8], zone: Option<&[u8]>) -> Result<Self, ApiError> {
        let invalid = || ApiError::from(code::MESSAGE_SCHEDULES_PATTERN_INVALID);
        let text = std::str::from_utf8(text)
            .map_err(|_| invalid())?
            .trim_ascii_start();
        let has_zone = zone.is_some();
        let zone = zone.map_or(Some(TimeZone::UTC), time_zone);
        let zone = zone.ok_or(code::MESSAGE_SCHEDULES_TIME_ZONE_INVALID)?;
        let once_or_interval = text.strip_prefix("@at ").map(at);
        let once_or_interval = once_or_interval.or_else(|| text.strip_prefix("@every ").map(every));
        if let Some(parsed) = once_or_interval {
            return parsed.filter(|_| !has_zone).ok_or_else(invalid);
        }
        let named = NAMED.iter().find(|(name, _)| *name == text);
        let fields = named.map_or(text, |(_, fields)| fields);
        let cron = cron(fields).ok_or_else(invalid)?;
        let expression = Self::Cron(Box::new((cron, zone)));
        match expression.next(0, Timestamp::now().0) {
            Some(_) => Ok(expression),
            None => Err(invalid()),
        }
    }

    /// When it is due next after `now`, having been due (or begun) at `last`. What was missed meanwhile is not made up for,
    /// except by `@at`, whose time does not change.
    pub(crate) fn next(&self, last: u64, now: u64) -> Option<u64> {
        match self {
            Self::At(time) => Some(*time),
            Self::Every(interval) => {
                let rounds = 1 + now.saturating_sub(last) / interval;
                let time = last.saturating_add(rounds.saturating_mul(*interval));
                let whole = time - time % NANOS_PER_SECOND;
                Some(if whole > now { whole } else { time })
            }
            Self::Cron(cron) => {
                let (cron, zone) = &**cron;
                let now = Instant::from_nanosecond(i128::from(now)).ok()?;
                let now = now.to_zoned(zone.clone());
                let next = cron.find_next_occurrence(&now, false).ok()?;
                u64::try_from(next.timestamp().as_nanosecond()).ok()
            }
        }
    }

    /// Whether it is due only once.
    pub(crate) fn is_once(&self) -> bool {
        matches!(self, Self::At(_))
    }
}

fn at(text: &str) -> Option<Expression> {
    Timestamp::parse(text).map(|time| Expression::At(time.0))
}

fn every(text: &str) -> Option<Expression> {
    let interval = parse_duration(text.trim())?;
    (interval >= INTERVAL_MIN).then(|| {
        let nanos = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX);
        Expression::Every(nanos)
    })
}

/// Six fields as nats-server takes them: what the library can do beyond that (`L`, `W`, `#`, Sunday as 7) is refused.
fn cron(text: &str) -> Option<Cron> {
    let fields: Vec<&str> = text.split_ascii_whitespace().collect();
    let [second, minute, hour, day, month, weekday] = fields[..] else {
        return None;
    };
    let is_plain = |field: &str| {
        let allowed = |byte: u8| byte.is_ascii_digit() || b"*?,-/".contains(&byte);
        !field.is_empty() && field.bytes().all(allowed)
    };
    let is_named = |field: &str, names: &[&str]| {
        let words = field.split(|c: char| !c.is_ascii_alphabetic());
        let known = |word: &str| names.iter().any(|name| name.eq_ignore_ascii_case(word));
        let letters_gone: String = field
            .chars()
            .map(|c| if c.is_ascii_alphabetic() { '0' } else { c })
            .collect();
        is_plain(&letters_gone) && words.filter(|word| !word.is_empty()).all(known)
    };
    let has_seven = weekday
        .split(|c: char| !c.is_ascii_digit())
        .any(|number| number.parse() == Ok(7_u32));
    let is_valid = [second, minute, hour, day]
        .iter()
        .all(|field| is_plain(field))
        && is_named(month, &MONTHS)
        && is_named(weekday, &WEEKDAYS)
        && !has_seven;
    if !is_valid {
        return None;
    }
    let parser = CronParser::builder()
        .seconds(Seconds::Required)
        .year(Year::Disallowed)
        .sloppy_ranges(true)
        .build();
    parser.parse(&fields.join(" ").to_ascii_uppercase()).ok()
}

const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

fn time_zone(name: &[u8]) -> Option<TimeZone> {
    match std::str::from_utf8(name).ok()? {
        "" => None,
        "Local" => Some(TimeZone::system()),
        name => TimeZone::get(name).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_next(text: &str, zone: Option<&str>, now: &str, expected: &str) {
        let expression = Expression::parse(text.as_bytes(), zone.map(str::as_bytes));
        let now = Timestamp::parse(now).expect("a time").0;
        let next = expression.expect("an expression").next(now, now);
        let next = next.map(|time| Timestamp(time).to_string());
        assert_eq!(next.as_deref(), Some(expected), "{text}");
    }

    #[test]
    fn what_nats_server_takes_is_taken() {
        for text in [
            "@every 1s",
            "@every 1h30m",
            "@every 1.5s",
            "@at 2020-01-01T00:00:00Z",
            "@at 2030-01-01T00:00:00+02:00",
            "@at 2030-01-01T00:00:00.5Z",
            "0 0 * * * *",
            "*/5 * * * * *",
            "0 0 0 1 JAN mon",
            "0 0 0 ? * MON-FRI",
            "0 0 0 * * mon,wed",
            "0/15 * * * * *",
            "0 0 0 1-5/2 * *",
            " @hourly",
            "@midnight",
        ] {
            let parsed = Expression::parse(text.as_bytes(), None);
            assert!(parsed.is_ok(), "{text}: {parsed:?}");
        }
    }

    #[test]
    fn what_nats_server_refuses_is_refused() {
        for text in [
            "@every 500ms",
            "@every x",
            "@every",
            "@at x",
            "@at 2030-01-01",
            "@at  2030-01-01T00:00:00Z",
            "0 * * * *",
            "0 0 0 * * 7",
            "0 0 0 * * 0-7",
            "@HOURLY",
            "@reboot",
            "60 * * * * *",
            "0 0 0 31 2 *",
            "0 0 0 L * *",
            "0 0 0 15W * *",
            "0 0 0 * * 1#2",
            "5-1 * * * * *",
            "*/0 * * * * *",
            "0 0 24 * * *",
            "0 0 0 0 * *",
            "0 0 0 * 13 *",
            "0 0 0 * foo *",
            "TZ=UTC 0 0 * * * *",
            "",
        ] {
            let parsed = Expression::parse(text.as_bytes(), None);
            let code = parsed.map(|_| 0).map_err(|error| error.err_code);
            assert_eq!(code, Err(10189), "{text}");
        }
    }

    #[test]
    fn a_time_zone_is_for_calendars() {
        let code = |text: &[u8], zone: &[u8]| {
            let parsed = Expression::parse(text, Some(zone));
            parsed.map(|_| 0).map_err(|error| error.err_code)
        };
        assert_eq!(code(b"0 0 5 * * *", b"Europe/Berlin"), Ok(0));
        assert_eq!(code(b"@hourly", b"Europe/Berlin"), Ok(0));
        assert_eq!(code(b"0 0 5 * * *", b"Local"), Ok(0));
        for unknown in ["Nope", "+02:00", ""] {
            assert_eq!(
                code(b"0 0 5 * * *", unknown.as_bytes()),
                Err(10223),
                "{unknown}"
            );
        }
        assert_eq!(code(b"@every 5s", b"Mars/Phobos"), Err(10223));
        assert_eq!(code(b"@every 5s", b"Europe/Berlin"), Err(10189));
        assert_eq!(code(b"@at 2030-01-01T00:00:00Z", b"UTC"), Err(10189));
    }

    #[test]
    fn the_next_time_is_after_now() {
        let now = "2026-11-25T10:14:54.5Z";
        check_next("* * * * * *", None, now, "2026-11-25T10:14:55Z");
        check_next("@hourly", None, now, "2026-11-25T11:00:00Z");
        check_next("@every 1s", None, now, "2026-11-25T10:14:55Z");
        check_next("@every 1h30m", None, now, "2026-11-25T11:44:54Z");
        check_next(
            "0 0 5 * * *",
            Some("Europe/Berlin"),
            now,
            "2026-11-26T04:00:00Z",
        );
        check_next("0 0 0 1 JAN *", None, now, "2027-01-01T00:00:00Z");
        check_next(
            "@at 2020-01-01T00:00:00Z",
            None,
            now,
            "2020-01-01T00:00:00Z",
        );
    }

    #[test]
    fn an_interval_keeps_its_beat_over_a_restart() {
        let second = NANOS_PER_SECOND;
        let every = Expression::Every(60 * second);
        assert_eq!(every.next(5 * second, 5 * second), Some(65 * second));
        assert_eq!(every.next(5 * second, 200 * second), Some(245 * second));
        assert_eq!(every.next(5 * second, 245 * second), Some(305 * second));
    }
}
