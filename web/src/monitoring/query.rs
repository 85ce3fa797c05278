//! Query parameters as nats-server reads them, with the texts of Go for those it cannot read.

use axum::http::Uri;
use url::form_urlencoded;

/// A parameter that cannot be read: the text of the answer 400.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BadQuery(pub(super) String);

/// Parameters of a request. Of one that comes twice the first counts; unknown ones are ignored.
#[derive(Debug)]
pub(super) struct Query<'a>(Vec<(std::borrow::Cow<'a, str>, std::borrow::Cow<'a, str>)>);

impl<'a> Query<'a> {
    pub(super) fn of(uri: &'a Uri) -> Self {
        let query = uri.query().unwrap_or_default();
        Self(form_urlencoded::parse(query.as_bytes()).collect())
    }

    /// Empty where it is missing.
    pub(super) fn text(&self, name: &str) -> &str {
        let mut all = self.0.iter();
        all.find(|(key, _)| key == name)
            .map_or("", |(_, value)| value)
    }

    /// `None` where it is missing or empty.
    pub(super) fn some(&self, name: &str) -> Option<String> {
        Some(self.text(name).to_owned()).filter(|text| !text.is_empty())
    }

    pub(super) fn bool(&self, name: &str) -> Result<bool, BadQuery> {
        match self.text(name) {
            "" | "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
            text => Err(bad("boolean", name, "ParseBool", text, "invalid syntax")),
        }
    }

    pub(super) fn int(&self, name: &str) -> Result<i64, BadQuery> {
        let text = self.text(name);
        if text.is_empty() {
            return Ok(0);
        }
        text.parse().map_err(|_| {
            let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
            bad("int", name, "Atoi", text, why(digits))
        })
    }

    pub(super) fn uint(&self, name: &str) -> Result<u64, BadQuery> {
        let text = self.text(name);
        if text.is_empty() {
            return Ok(0);
        }
        // Unlike Rust, Go takes no sign here.
        let parsed = Some(text).filter(|text| !text.starts_with('+'));
        parsed
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| bad("uint64", name, "ParseUint", text, why(text)))
    }
}

/// Digits that could not be read are too many.
fn why(digits: &str) -> &'static str {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    match is_number {
        true => "value out of range",
        false => "invalid syntax",
    }
}

fn bad(kind: &str, name: &str, function: &str, text: &str, why: &str) -> BadQuery {
    BadQuery(format!(
        "Error decoding {kind} for '{name}': strconv.{function}: parsing {text:?}: {why}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check<T: PartialEq + std::fmt::Debug>(
        query: &str,
        read: impl Fn(&Query<'_>) -> Result<T, BadQuery>,
        expected: Result<T, &str>,
    ) {
        let uri: Uri = format!("/x?{query}").parse().unwrap();
        let expected = expected.map_err(|text| BadQuery(text.to_owned()));
        assert_eq!(read(&Query::of(&uri)), expected, "{query}");
    }

    #[test]
    fn switches_are_those_of_go() {
        for (query, expected) in [
            ("", false),
            ("b=", false),
            ("b=T", true),
            ("b=0&b=1", false),
        ] {
            check(query, |query| query.bool("b"), Ok(expected));
        }
        check(
            "b=yes",
            |query| query.bool("b"),
            Err(
                "Error decoding boolean for 'b': strconv.ParseBool: parsing \"yes\": invalid syntax",
            ),
        );
    }

    #[test]
    fn numbers_are_those_of_go() {
        for (query, expected) in [("", 0), ("n=-5", -5), ("n=%2B7", 7)] {
            check(query, |query| query.int("n"), Ok(expected));
        }
        for (text, why) in [
            ("x", "invalid syntax"),
            ("-", "invalid syntax"),
            ("99999999999999999999", "value out of range"),
        ] {
            let error =
                format!("Error decoding int for 'n': strconv.Atoi: parsing \"{text}\": {why}");
            check(&format!("n={text}"), |query| query.int("n"), Err(&error));
        }
        check("n=4294967296", |query| query.uint("n"), Ok(1 << 32));
        check(
            "n=-1",
            |query| query.uint("n"),
            Err("Error decoding uint64 for 'n': strconv.ParseUint: parsing \"-1\": invalid syntax"),
        );
    }
}
