//! Life times and intervals as text: `Nats-TTL`, `Nats-Schedule-TTL`, `@every`.

use std::time::Duration;

/// Shortest life time of a single message.
const LIFE_TIME_MIN: Duration = Duration::from_secs(1);

/// A message's own life time: whole seconds, a Go duration, or `never`, which is [`Duration::MAX`]. At least a second.
pub(crate) fn parse_life_time(text: &[u8]) -> Option<Duration> {
    let text = std::str::from_utf8(text).ok()?.trim();
    if text.eq_ignore_ascii_case("never") {
        return Some(Duration::MAX);
    }
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let life_time = if is_number {
        // More seconds than fit are as good as never.
        text.parse().map_or(Duration::MAX, Duration::from_secs)
    } else {
        parse_duration(text)?
    };
    (life_time >= LIFE_TIME_MIN).then_some(life_time)
}

/// A duration as Go writes it: `1h30m`, `1.5s`, `500ms`. No negative ones.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let text = text.strip_prefix('+').unwrap_or(text);
    if text == "0" {
        return Some(Duration::ZERO);
    }
    if text.is_empty() {
        return None;
    }
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let is_figure = |c: char| c.is_ascii_digit() || c == '.';
        let unit = rest.find(|c| !is_figure(c))?;
        let (figures, after) = rest.split_at(unit);
        let end = after.find(is_figure).unwrap_or(after.len());
        let nanos_per_unit: u128 = match &after[..end] {
            "h" => 3_600_000_000_000,
            "m" => 60_000_000_000,
            "s" => 1_000_000_000,
            "ms" => 1_000_000,
            "us" | "µs" | "μs" => 1_000,
            "ns" => 1,
            _ => return None,
        };
        total = total.checked_add(amount(figures, nanos_per_unit)?)?;
        rest = &after[end..];
    }
    Some(total)
}

/// `figures` times the unit, exact to the nanosecond.
fn amount(figures: &str, nanos_per_unit: u128) -> Option<Duration> {
    let (whole, fraction) = figures.split_once('.').unwrap_or((figures, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let number = |text: &str| match text {
        "" => Some(0),
        digits => digits.parse::<u128>().ok(),
    };
    // Beyond the twentieth place nothing reaches a nanosecond.
    let fraction = fraction.get(..20).unwrap_or(fraction);
    let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let nanos = number(whole)?
        .checked_mul(nanos_per_unit)?
        .checked_add(number(fraction)? * nanos_per_unit / scale)?;
    Some(Duration::from_nanos(u64::try_from(nanos).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<u64>) {
        let parsed = parse_life_time(text.as_bytes());
        assert_eq!(parsed, expected.map(Duration::from_millis), "{text:?}");
    }

    #[test]
    fn item_65_life_times_are_seconds_or_go_durations_of_a_second_at_least() {
        check("5", Some(5000));
        check(" 1s", Some(1000));
        check("1000ms", Some(1000));
        check("1.5s", Some(1500));
        check("1.s", Some(1000));
        check(".5m", Some(30_000));
        check("+5s", Some(5000));
        check("1h1m1s", Some(3_661_000));
        for invalid in [
            "", "0", "500ms", "-1", "-1s", "1d", "1_0", "soon", "s", "1..5s",
        ] {
            check(invalid, None);
        }
        assert_eq!(parse_life_time(b"never"), Some(Duration::MAX));
        assert_eq!(parse_life_time(b"Never"), Some(Duration::MAX));
        assert_eq!(
            parse_life_time(b"99999999999999999999"),
            Some(Duration::MAX)
        );
        assert_eq!(parse_life_time(b"\xff"), None);
    }

    #[test]
    fn durations_are_exact() {
        assert_eq!(parse_duration("1ns"), Some(Duration::from_nanos(1)));
        assert_eq!(
            parse_duration("0.000000001s"),
            Some(Duration::from_nanos(1))
        );
        assert_eq!(
            parse_duration("1h0.1us"),
            Some(Duration::from_nanos(3_600_000_000_100))
        );
        assert_eq!(parse_duration("0"), Some(Duration::ZERO));
        assert_eq!(parse_duration("99999999999h"), None);
    }
}
