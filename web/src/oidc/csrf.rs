//! Forms are only good in the browser they were shown to.

use axum::http::{HeaderMap, HeaderValue, header};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use services::identity::Secret;
use sha2::{Digest, Sha256};

use super::cookies::{self, ATTEMPT, Cookies};
use crate::app::Origin;

/// Ties a form to its browser: a cookie with a random value, and in the form a keyed hash of it.
///
/// Nothing is remembered here, so strangers who open forms cost no memory. The key lives as long as the process.
pub(crate) struct Csrf {
    key: [u8; 32],
}

/// A form's field and, for a browser that has none yet, its cookie.
pub(crate) struct FormToken {
    pub(crate) field: String,
    pub(crate) cookie: Option<HeaderValue>,
}

impl Csrf {
    pub(crate) fn new() -> Self {
        Self {
            key: rand::random(),
        }
    }

    /// For a form that is about to be shown. A browser keeps its cookie, so that forms in other tabs stay good.
    pub(crate) fn token(&self, headers: &HeaderMap, origin: &Origin) -> FormToken {
        if let Some(known) = Cookies::of(headers, origin)
            .value(ATTEMPT)
            .filter(|value| value.len() == 43)
        {
            return FormToken {
                field: self.field(known),
                cookie: None,
            };
        }
        let fresh = Secret::random();
        FormToken {
            field: self.field(fresh.as_str()),
            cookie: Some(cookies::set(ATTEMPT, fresh.as_str(), None, origin)),
        }
    }

    /// Whether a form came back from the browser it was shown to, and from a page of ours.
    pub(crate) fn is_good(&self, field: &str, headers: &HeaderMap, origin: &Origin) -> bool {
        let from_us = headers
            .get(header::ORIGIN)
            .is_none_or(|sent| sent.as_bytes() == origin.0.as_bytes());
        let cookie = Cookies::of(headers, origin).value(ATTEMPT);
        // The comparison may take its time to tell: the field is a hash under a key nobody knows.
        from_us && cookie.is_some_and(|cookie| self.field(cookie) == field)
    }

    fn field(&self, cookie: &str) -> String {
        let hash = Sha256::new()
            .chain_update(self.key)
            .chain_update(cookie)
            .chain_update(self.key)
            .finalize();
        URL_SAFE_NO_PAD.encode(hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_cookie(cookie: &HeaderValue) -> HeaderMap {
        let pair = cookie.to_str().unwrap().split(';').next().unwrap();
        HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_str(pair).unwrap())])
    }

    #[test]
    fn a_form_is_good_in_its_own_browser_only() {
        let (csrf, origin) = (Csrf::new(), Origin("http://localhost:8080".to_owned()));
        let mine = csrf.token(&HeaderMap::new(), &origin);
        let theirs = csrf.token(&HeaderMap::new(), &origin);
        let mut headers = with_cookie(mine.cookie.as_ref().unwrap());
        assert!(csrf.is_good(&mine.field, &headers, &origin));
        assert!(!csrf.is_good(&theirs.field, &headers, &origin));
        assert!(!csrf.is_good("", &headers, &origin));
        assert!(!csrf.is_good(&mine.field, &HeaderMap::new(), &origin));
        assert!(
            csrf.token(&headers, &origin).cookie.is_none(),
            "the browser keeps its cookie"
        );
        headers.insert(
            header::ORIGIN,
            HeaderValue::from_static("http://localhost:3000"),
        );
        assert!(!csrf.is_good(&mine.field, &headers, &origin));
    }
}
