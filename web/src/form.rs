//! Forms and queries, read once and within limits.

use std::collections::HashMap;

use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::Response;
use url::form_urlencoded;

use crate::{limits, reply};

/// The fields of a form or a query; each name at most once (RFC 6749 section 3.1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Fields(HashMap<String, String>);

/// A field came twice, or there are too many of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadFields;

impl Fields {
    pub(crate) fn parse(text: &[u8]) -> Result<Self, BadFields> {
        let mut fields = HashMap::new();
        for (name, value) in form_urlencoded::parse(text) {
            if fields.len() >= limits::FIELDS_MAX
                || fields
                    .insert(name.into_owned(), value.into_owned())
                    .is_some()
            {
                return Err(BadFields);
            }
        }
        Ok(Self(fields))
    }

    pub(crate) fn of_query(query: Option<&str>) -> Result<Self, BadFields> {
        Self::parse(query.unwrap_or_default().as_bytes())
    }

    /// Reads the form in the body.
    pub(crate) async fn of_body(request: Request) -> Result<Self, Response> {
        let body = axum::body::to_bytes(request.into_body(), limits::FORM_BYTES_MAX);
        match tokio::time::timeout(limits::FORM_WAIT, body).await {
            Ok(Ok(body)) => Self::parse(&body).map_err(|BadFields| {
                reply::text(
                    StatusCode::BAD_REQUEST,
                    "The form has a field twice, or too many.",
                )
            }),
            Ok(Err(_)) => Err(reply::text(
                StatusCode::PAYLOAD_TOO_LARGE,
                "The form is too large or broke off.",
            )),
            Err(_) => Err(reply::text(
                StatusCode::REQUEST_TIMEOUT,
                "The form took too long to arrive.",
            )),
        }
    }

    /// The value, empty when missing.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// The value, `None` when missing or empty (RFC 6749 section 3.1: the same).
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    pub(crate) fn owned(&self, name: &str) -> Option<String> {
        self.value(name).map(str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_may_come_once() {
        let fields = Fields::parse(b"a=1&b=x%20y+z&c=").unwrap();
        assert_eq!(
            (fields.text("a"), fields.text("b"), fields.value("c")),
            ("1", "x y z", None)
        );
        assert_eq!(Fields::parse(b"a=1&a=1"), Err(BadFields));
        let many: String = (0..=limits::FIELDS_MAX)
            .map(|n| format!("f{n}=&"))
            .collect();
        assert_eq!(Fields::parse(many.as_bytes()), Err(BadFields));
    }
}
