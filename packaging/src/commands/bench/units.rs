//! Numbers for people.

use std::time::Duration;

/// `1,234,567`
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1.23 M/s`
pub(super) fn rate(per_second: f64) -> String {
    match per_second {
        rate if rate >= 1e6 => format!("{:.2} M/s", rate / 1e6),
        rate if rate >= 1e4 => format!("{:.0} k/s", rate / 1e3),
        rate if rate >= 1e3 => format!("{:.1} k/s", rate / 1e3),
        rate => format!("{rate:.0}/s"),
    }
}

/// `119 MiB/s`
pub(super) fn bytes_rate(per_second: f64) -> String {
    const KIB: f64 = 1024.0;
    match per_second {
        rate if rate >= KIB * KIB * KIB => format!("{:.2} GiB/s", rate / (KIB * KIB * KIB)),
        rate if rate >= KIB * KIB => format!("{:.0} MiB/s", rate / (KIB * KIB)),
        rate => format!("{:.0} KiB/s", rate / KIB),
    }
}

/// `86.2 µs`
pub(super) fn duration(took: Duration) -> String {
    let micros = took.as_secs_f64() * 1e6;
    match micros {
        us if us < 999.5 => format!("{us:.1} µs"),
        us if us < 999_500.0 => format!("{:.2} ms", us / 1e3),
        us => format!("{:.2} s", us / 1e6),
    }
}

/// `1 publisher`, `4 publishers`
pub(super) fn some(number: usize, one: &str) -> String {
    let number_text = count(number as u64);
    if number == 1 {
        format!("{number_text} {one}")
    } else {
        format!("{number_text} {one}s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(count(999), "999");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(rate(12.3), "12/s");
        assert_eq!(rate(1_234.0), "1.2 k/s");
        assert_eq!(rate(12_345_678.0), "12.35 M/s");
        assert_eq!(bytes_rate(3.0 * 1024.0 * 1024.0 * 1024.0), "3.00 GiB/s");
        assert_eq!(duration(Duration::from_nanos(86_240)), "86.2 µs");
        assert_eq!(duration(Duration::from_micros(1500)), "1.50 ms");
        assert_eq!(duration(Duration::from_millis(999_999)), "1000.00 s");
        assert_eq!(some(1, "client"), "1 client");
        assert_eq!(some(4000, "client"), "4,000 clients");
    }
}
