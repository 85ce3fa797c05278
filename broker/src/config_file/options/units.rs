//! Durations, sizes, ports and addresses as nats-server writes them.

use std::time::Duration;

/// Where to listen. `port` is `None` where it is 0, and `Some(0)` where any free one will do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) host: Option<String>,
    pub(super) port: Option<u16>,
}

/// A port: `None` when it is none, `Some(None)` for 0, `Some(Some(0))` for -1.
pub(super) fn port(number: i64) -> Option<Option<u16>> {
    match number {
        -1 => Some(Some(0)),
        0 => Some(None),
        _ => u16::try_from(number).ok().map(Some),
    }
}

/// `host:port`, `[::1]:port` or `:port`.
pub(super) fn address(text: &str) -> Result<Address, String> {
    let (host, number) = text
        .rsplit_once(':')
        .ok_or_else(|| format!("could not parse address string \"{text}\""))?;
    let host = host.trim();
    let is_bracketed = host.starts_with('[') && host.ends_with(']');
    if host.contains(':') && !is_bracketed {
        return Err(format!("could not parse address string \"{text}\""));
    }
    let parsed = number.trim().parse::<i64>().ok().and_then(port);
    let port = parsed.ok_or_else(|| format!("could not parse port \"{number}\""))?;
    let host = host.trim_matches(['[', ']']);
    Ok(Address {
        host: (!host.is_empty()).then(|| host.to_owned()),
        port,
    })
}

/// `host` or `host:port`, for addresses that are only told to others.
pub(super) fn advertised(text: &str, default_port: u16) -> Result<(String, u16), String> {
    let unbracketed = |host: &str| host.trim_matches(['[', ']']).to_owned();
    let has_port = text
        .rsplit_once(':')
        .is_some_and(|(host, _)| !host.contains(':') || host.ends_with(']'));
    if !has_port {
        return Ok((unbracketed(text), default_port));
    }
    let address = address(text)?;
    let host = address.host.unwrap_or_default();
    Ok((host, address.port.unwrap_or(default_port)))
}

/// A size in a string: digits and one of K, M, G and T, as powers of 1024.
pub(super) fn size(text: &str) -> Result<i64, String> {
    let text = text.trim();
    let (digits, power) = match text.chars().last() {
        None => return Ok(0),
        Some('K' | 'k') => (&text[..text.len() - 1], 1),
        Some('M' | 'm') => (&text[..text.len() - 1], 2),
        Some('G' | 'g') => (&text[..text.len() - 1], 3),
        Some('T' | 't') => (&text[..text.len() - 1], 4),
        Some(_) => return Err("sizes defined as strings must end in K, M, G, T".to_owned()),
    };
    let number: i64 = digits
        .parse()
        .map_err(|_| format!("is no size: \"{text}\""))?;
    number
        .checked_mul(1024_i64.pow(power))
        .ok_or_else(|| format!("is too large: \"{text}\""))
}

/// A duration as Go writes them: `300ms`, `1.5h`, `1h15m30s`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let invalid = || format!("time: invalid duration \"{text}\"");
    if text.starts_with('-') {
        return Err(format!("time: negative duration \"{text}\""));
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut nanos = 0_f64;
    while !rest.is_empty() {
        let number_len = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let number: f64 = rest[..number_len].parse().map_err(|_| invalid())?;
        rest = &rest[number_len..];
        let unit_len = rest
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(rest.len());
        let (unit, after) = rest.split_at(unit_len);
        let factor = match unit {
            "" => return Err(format!("time: missing unit in duration \"{text}\"")),
            "ns" => 1.0,
            "us" | "µs" | "μs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            _ => {
                return Err(format!(
                    "time: unknown unit \"{unit}\" in duration \"{text}\""
                ));
            }
        };
        nanos += number * factor;
        rest = after;
    }
    // Go counts in 63 bits of nanoseconds.
    if nanos >= 9.2e18 {
        return Err(invalid());
    }
    Duration::try_from_secs_f64(nanos / 1e9)
        .map(|duration| {
            Duration::from_nanos(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
        })
        .map_err(|_| invalid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_go() {
        for (text, expected_ms) in [
            ("300ms", 300),
            ("2s", 2000),
            ("1m30s", 90_000),
            ("1.5h", 5_400_000),
            ("0", 0),
            ("1000us", 1),
            ("1h15m", 4_500_000),
        ] {
            assert_eq!(
                duration(text),
                Ok(Duration::from_millis(expected_ms)),
                "{text}"
            );
        }
        for (text, expected) in [
            ("x", "time: invalid duration \"x\""),
            ("", "time: invalid duration \"\""),
            ("2x", "time: unknown unit \"x\" in duration \"2x\""),
            ("5", "time: missing unit in duration \"5\""),
            ("-1s", "time: negative duration \"-1s\""),
            ("1.2.3s", "time: invalid duration \"1.2.3s\""),
            ("9999999999h", "time: invalid duration \"9999999999h\""),
        ] {
            assert_eq!(duration(text), Err(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn addresses_have_a_port_and_brackets_around_colons() {
        let at = |host: Option<&str>, port| Address {
            host: host.map(str::to_owned),
            port,
        };
        assert_eq!(
            address("127.0.0.1:4222"),
            Ok(at(Some("127.0.0.1"), Some(4222)))
        );
        assert_eq!(address(":4222"), Ok(at(None, Some(4222))));
        assert_eq!(address("[::1]:-1"), Ok(at(Some("::1"), Some(0))));
        assert_eq!(address("h:0"), Ok(at(Some("h"), None)));
        assert_eq!(
            address("abc"),
            Err("could not parse address string \"abc\"".to_owned())
        );
        assert_eq!(
            address("a:def"),
            Err("could not parse port \"def\"".to_owned())
        );
        assert!(address("::1:4222").is_err());
        assert!(address("h:70000").is_err());
        assert_eq!(advertised("h", 1), Ok(("h".to_owned(), 1)));
        assert_eq!(advertised("h:2", 1), Ok(("h".to_owned(), 2)));
        assert_eq!(advertised("[::1]", 1), Ok(("::1".to_owned(), 1)));
        assert_eq!(advertised("[::1]:3", 1), Ok(("::1".to_owned(), 3)));
    }

    #[test]
    fn sizes_in_strings_have_one_letter() {
        assert_eq!(size("2G"), Ok(2 << 30));
        assert_eq!(size("1k"), Ok(1024));
        assert_eq!(size("-1K"), Ok(-1024));
        for wrong in ["10%", "1GB", "G", "9223372036854775807T"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
