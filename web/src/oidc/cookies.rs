//! Our two cookies: the sign-in session, and the browser that a form was shown to.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, header};

use crate::app::Origin;

/// The sign-in session.
pub(crate) const SESSION: &str = "natterjack_session";
/// A browser with a form open.
pub(crate) const ATTEMPT: &str = "natterjack_form";

/// The cookies of a request.
pub(crate) struct Cookies<'a> {
    headers: &'a HeaderMap,
    origin: &'a Origin,
}

impl<'a> Cookies<'a> {
    pub(crate) fn of(headers: &'a HeaderMap, origin: &'a Origin) -> Self {
        Self { headers, origin }
    }

    pub(crate) fn value(&self, name: &str) -> Option<&'a str> {
        let name = full_name(name, self.origin);
        let headers = self
            .headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok());
        let mut pairs = headers
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='));
        pairs
            .find(|(found, _)| *found == name)
            .map(|(_, value)| value)
    }
}

/// A `Set-Cookie`; `max_age` `None` lasts as long as the browser, zero removes.
pub(crate) fn set(
    name: &str,
    value: &str,
    max_age: Option<Duration>,
    origin: &Origin,
) -> HeaderValue {
    let name = full_name(name, origin);
    let secure = if origin.is_secure() { "; Secure" } else { "" };
    let max_age = max_age
        .map(|age| format!("; Max-Age={}", age.as_secs()))
        .unwrap_or_default();
    let cookie = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{max_age}{secure}");
    HeaderValue::from_str(&cookie).expect("our secrets are base64url, and origins are checked")
}

/// Browsers give a host's cookies to all of its ports: two workspaces on one machine must not take each other's. Under
/// TLS the `__Host-` prefix keeps other hosts of the domain from planting one.
fn full_name(name: &str, origin: &Origin) -> String {
    let host = origin.0.split_once("://").map_or("", |(_, host)| host);
    let port = host.rsplit_once(':').map_or("", |(_, port)| port);
    let port: String = port.chars().filter(char::is_ascii_digit).collect();
    let prefix = if origin.is_secure() { "__Host-" } else { "" };
    if port.is_empty() {
        format!("{prefix}{name}")
    } else {
        format!("{prefix}{name}_{port}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_belong_to_one_port() {
        let (one, two) = (
            Origin("http://localhost:1".to_owned()),
            Origin("http://localhost:2".to_owned()),
        );
        let mut headers = HeaderMap::new();
        headers.append(
            header::COOKIE,
            HeaderValue::from_static("x=y; natterjack_session_1=abc"),
        );
        assert_eq!(Cookies::of(&headers, &one).value(SESSION), Some("abc"));
        assert_eq!(Cookies::of(&headers, &two).value(SESSION), None);
    }

    #[test]
    fn cookies_are_kept_from_scripts_and_other_sites() {
        let plain = set(
            SESSION,
            "v",
            None,
            &Origin("http://localhost:8080".to_owned()),
        );
        assert_eq!(
            plain,
            "natterjack_session_8080=v; Path=/; HttpOnly; SameSite=Lax"
        );
        let secure = set(
            SESSION,
            "v",
            Some(Duration::ZERO),
            &Origin("https://chat.example.org".to_owned()),
        );
        assert_eq!(
            secure,
            "__Host-natterjack_session=v; Path=/; HttpOnly; SameSite=Lax; Max-Age=0; Secure"
        );
    }
}
