//! What a word without quotes is: a boolean, a number, a size, a date, a variable or a string.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::value::Value;

/// A word, classified.
#[derive(Debug, PartialEq)]
pub(super) enum Scalar<'a> {
    Value(Value),
    /// `$NAME`.
    Variable(&'a str),
    /// A number too large for 64 bits, with or without its suffix.
    OutOfRange,
}

/// Hashed passwords begin so, and are no variables.
const BCRYPT: &str = "$2a$";

/// Reads a word.
pub(super) fn classify(word: &str) -> Scalar<'_> {
    if let Some(truth) = boolean(word) {
        return Scalar::Value(Value::Bool(truth));
    }
    if let Some(name) = word.strip_prefix('$')
        && !word.starts_with(BCRYPT)
    {
        return Scalar::Variable(name);
    }
    if word.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
        return number(word).unwrap_or_else(|| Scalar::Value(float_or_date(word)));
    }
    Scalar::Value(Value::String(word.to_owned()))
}

fn boolean(word: &str) -> Option<bool> {
    let is = |names: [&str; 3]| names.iter().any(|name| word.eq_ignore_ascii_case(name));
    if is(["true", "yes", "on"]) {
        Some(true)
    } else if is(["false", "no", "off"]) {
        Some(false)
    } else {
        None
    }
}

/// Digits with an optional sign and size suffix; `None` when it is something else.
fn number(word: &str) -> Option<Scalar<'_>> {
    let unsigned = word.strip_prefix('-').unwrap_or(word);
    let digits_len = unsigned
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(unsigned.len());
    if digits_len == 0 {
        return None;
    }
    let factor = factor(&unsigned[digits_len..])?;
    let digits = &word[..word.len() - (unsigned.len() - digits_len)];
    let number = digits
        .parse::<i64>()
        .ok()
        .and_then(|number| number.checked_mul(factor));
    Some(number.map_or(Scalar::OutOfRange, |number| {
        Scalar::Value(Value::Integer(number))
    }))
}

/// What a size suffix multiplies by.
fn factor(suffix: &str) -> Option<i64> {
    if suffix.is_empty() {
        return Some(1);
    }
    let suffix = suffix.to_ascii_lowercase();
    let power = "kmgtpe".find(suffix.chars().next()?)?;
    let power = u32::try_from(power).ok()? + 1;
    match &suffix[1..] {
        "" => Some(1000_i64.pow(power)),
        "b" | "i" | "ib" => Some(1024_i64.pow(power)),
        _ => None,
    }
}

fn float_or_date(word: &str) -> Value {
    let is_float = |word: &str| {
        word.split_once('.').is_some_and(|(whole, fraction)| {
            let whole = whole.strip_prefix('-').unwrap_or(whole);
            let is_digits =
                |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            is_digits(whole) && is_digits(fraction)
        })
    };
    if is_float(word)
        && let Ok(float) = word.parse()
    {
        return Value::Float(float);
    }
    let has_shape = word.len() == "2006-01-02T15:04:05Z".len() && word.ends_with('Z');
    match OffsetDateTime::parse(word, &Rfc3339) {
        Ok(date) if has_shape => Value::Date(date),
        _ => Value::String(word.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(word: &str, expected: Value) {
        assert_eq!(classify(word), Scalar::Value(expected), "{word}");
    }

    fn text(word: &str) -> Value {
        Value::String(word.to_owned())
    }

    #[test]
    fn booleans_have_three_names_each() {
        for word in ["true", "YES", "On"] {
            check(word, Value::Bool(true));
        }
        for word in ["false", "no", "OFF"] {
            check(word, Value::Bool(false));
        }
        check("t", text("t"));
    }

    #[test]
    fn sizes_are_decimal_with_one_letter_and_binary_with_more() {
        for (word, expected) in [
            ("0", 0),
            ("-12", -12),
            ("4k", 4000),
            ("4KB", 4096),
            ("4ki", 4096),
            ("4KiB", 4096),
            ("2m", 2_000_000),
            ("2MB", 2 << 20),
            ("3g", 3_000_000_000),
            ("3gib", 3 << 30),
            ("1tb", 1 << 40),
            ("1pb", 1 << 50),
            ("1e", 1_000_000_000_000_000_000),
            ("7eb", 7 << 60),
        ] {
            check(word, Value::Integer(expected));
        }
    }

    #[test]
    fn what_only_begins_like_a_number_is_a_string() {
        for word in [
            "1xb",
            "2s",
            "1m30s",
            "1e5",
            "1.2.3.4",
            "127.0.0.1:4222",
            "10-a",
            "-",
            "-a",
            "1.",
            "1.a",
            "5kbb",
            "1 k",
        ] {
            check(word, text(word));
        }
    }

    #[test]
    fn numbers_that_do_not_fit_are_told_from_strings() {
        for word in ["99999999999999999999", "9eb", "-10e"] {
            assert_eq!(classify(word), Scalar::OutOfRange, "{word}");
        }
    }

    #[test]
    fn floats_and_dates() {
        check("1.5", Value::Float(1.5));
        check("-0.25", Value::Float(-0.25));
        assert!(matches!(
            classify("2006-01-02T15:04:05Z"),
            Scalar::Value(Value::Date(_))
        ));
        check("2006-01-02", text("2006-01-02"));
        check(
            "2006-01-02T15:04:05+01:00",
            text("2006-01-02T15:04:05+01:00"),
        );
    }

    #[test]
    fn variables_begin_with_a_dollar_and_hashes_are_none() {
        assert_eq!(classify("$PORT"), Scalar::Variable("PORT"));
        assert_eq!(classify("$2y$11$x"), Scalar::Variable("2y$11$x"));
        check("$2a$11$x", text("$2a$11$x"));
    }
}
