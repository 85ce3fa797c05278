//! Durations and refusals in the words of nats-server.

use std::fmt::Write as _;
use std::time::Duration;

/// A request that cannot be answered as it was made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotPossible(pub(crate) String);

/// How long something has lasted, in whole seconds: `13s`, `1h2m3s`, `1y2d3h4m5s`.
pub(super) fn uptime(time: Duration) -> String {
    let seconds = time.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let years = days / 365;
    let mut text = String::new();
    let mut part = |value: u64, unit: char, is_shown: bool| {
        if is_shown {
            // Writing to a string cannot fail.
            let _ = write!(text, "{value}{unit}");
        }
    };
    part(years, 'y', years > 0);
    part(days % 365, 'd', days > 0);
    part(hours % 24, 'h', hours > 0);
    part(minutes % 60, 'm', minutes > 0);
    part(seconds % 60, 's', true);
    text
}

/// A duration as Go prints it: `185µs`, `1.5ms`, `2s`, `1m0.5s`.
pub(super) fn go_duration(time: Duration) -> String {
    let nanos = time.as_nanos();
    let fraction = |unit: u128| {
        let whole = nanos / unit;
        let rest = nanos % unit;
        if rest == 0 {
            return whole.to_string();
        }
        let width = unit.ilog10() as usize;
        let digits = format!("{rest:0width$}");
        format!("{whole}.{}", digits.trim_end_matches('0'))
    };
    match nanos {
        0 => "0s".to_owned(),
        1..1_000 => format!("{nanos}ns"),
        1_000..1_000_000 => format!("{}µs", fraction(1_000)),
        1_000_000..1_000_000_000 => format!("{}ms", fraction(1_000_000)),
        _ => {
            let minutes = time.as_secs() / 60;
            let rest = time - Duration::from_secs(minutes * 60);
            let seconds = format!("{:.9}", rest.as_secs_f64());
            let seconds = seconds.trim_end_matches('0').trim_end_matches('.');
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{seconds}s"),
                (0, minutes) => format!("{minutes}m{seconds}s"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
            }
        }
    }
}

/// A round trip as `/connz` shows it: below a millisecond only whole microseconds.
pub(super) fn rtt(time: Duration) -> String {
    let micro = Duration::from_micros(1);
    if time > micro && time < Duration::from_millis(1) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        return go_duration(Duration::from_micros(micros));
    }
    go_duration(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uptime_shows_every_unit_below_the_first() {
        for (seconds, text) in [
            (0, "0s"),
            (59, "59s"),
            (60, "1m0s"),
            (3723, "1h2m3s"),
            (86_400, "1d0h0m0s"),
            (366 * 86_400 + 5, "1y1d0h0m5s"),
        ] {
            assert_eq!(uptime(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn durations_print_as_in_go() {
        for (nanos, text) in [
            (0, "0s"),
            (7, "7ns"),
            (1_500, "1.5µs"),
            (185_000, "185µs"),
            (300_500_000, "300.5ms"),
            (1_000_000_000, "1s"),
            (1_020_000_000, "1.02s"),
            (60_500_000_000, "1m0.5s"),
            (3_600_000_000_000, "1h0m0s"),
        ] {
            assert_eq!(go_duration(Duration::from_nanos(nanos)), text);
        }
        assert_eq!(rtt(Duration::from_nanos(185_999)), "185µs");
        assert_eq!(rtt(Duration::from_nanos(1_185_999)), "1.185999ms");
    }
}
