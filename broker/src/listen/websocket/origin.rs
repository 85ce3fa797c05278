//! Which pages may connect, by the `Origin` that browsers send.

use crate::error::Error;
use crate::listen::config::WebSocketConfig;

/// Scheme, host and port of a page or of a listener. Host names compare without case; the port is always there.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Origin {
    scheme: String,
    host: String,
    port: u16,
}

impl Origin {
    /// Reads `https://chat.example.org:8443`; what comes behind the port is not looked at.
    fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let scheme = scheme.to_ascii_lowercase();
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        Self::of(scheme, authority)
    }

    fn of(scheme: String, authority: &str) -> Option<Self> {
        let default_port = match scheme.as_str() {
            "http" | "ws" => Some(80),
            "https" | "wss" => Some(443),
            _ => None,
        };
        // The colons within the brackets of an IPv6 address are not before a port.
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port.parse().ok()?),
            _ => (authority, default_port?),
        };
        if host.is_empty() {
            return None;
        }
        let host = host.to_ascii_lowercase();
        Some(Self { scheme, host, port })
    }
}

/// The rules of one listener.
#[derive(Debug)]
pub(super) struct OriginRules {
    same_origin: bool,
    allowed: Vec<Origin>,
}

impl OriginRules {
    /// # Errors
    /// An entry that is no origin.
    pub(super) fn new(config: &WebSocketConfig) -> Result<Self, Error> {
        let allowed = config.allowed_origins.iter().map(|text| {
            let error = || Error::Listener(format!("{text:?} in allowed_origins is not an origin"));
            Origin::parse(text).ok_or_else(error)
        });
        Ok(Self {
            same_origin: config.same_origin,
            allowed: allowed.collect::<Result<_, _>>()?,
        })
    }

    fn has_any(&self) -> bool {
        self.same_origin || !self.allowed.is_empty()
    }

    /// Whether a page of this origin may connect. Whoever sends no `Origin` is no browser, and may.
    pub(super) fn allow(&self, origin: Option<&str>, host: &str, is_tls: bool) -> bool {
        let Some(origin) = origin.filter(|_| self.has_any()) else {
            return true;
        };
        let Some(origin) = Origin::parse(origin) else {
            return false;
        };
        let scheme = if is_tls { "https" } else { "http" };
        let own = || Origin::of(scheme.to_owned(), host);
        let is_same = !self.same_origin || own().as_ref() == Some(&origin);
        is_same && (self.allowed.is_empty() || self.allowed.contains(&origin))
    }

    /// Whether cookies of this request may stand for a sign-in. Without any rule, pages of other hosts may connect but
    /// not with the cookies of whoever looks at them.
    pub(super) fn allow_cookies(&self, origin: Option<&str>, host: &str) -> bool {
        let Some(origin) = origin.filter(|_| !self.has_any()) else {
            return true;
        };
        // A proxy in front may speak TLS where we do not: the scheme and its port say nothing here.
        let own = Origin::of("http".to_owned(), host);
        let page = Origin::parse(origin);
        matches!((page, own), (Some(page), Some(own)) if page.host == own.host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(same_origin: bool, allowed: &[&str]) -> OriginRules {
        OriginRules::new(&WebSocketConfig {
            same_origin,
            allowed_origins: allowed.iter().map(|&text| text.to_owned()).collect(),
            ..WebSocketConfig::default()
        })
        .expect("origins")
    }

    #[test]
    fn the_same_origin_has_scheme_host_and_port_in_common() {
        let rules = rules(true, &[]);
        for (origin, host, is_tls, expected) in [
            (None, "h", true, true),
            (Some("https://h"), "h", true, true),
            (Some("https://H:443"), "h", true, true),
            (Some("http://h"), "h", true, false),
            (Some("http://h:8080"), "h:8080", false, true),
            (Some("http://h:8081"), "h:8080", false, false),
            (Some("http://[::1]:8080"), "[::1]:8080", false, true),
            (Some("null"), "h", false, false),
            (Some("http://"), "h", false, false),
        ] {
            let allowed = rules.allow(origin, host, is_tls);
            assert_eq!(allowed, expected, "{origin:?} to {host}");
        }
    }

    #[test]
    fn a_list_is_compared_exactly() {
        let listed = rules(
            false,
            &["https://chat.example.org", "http://localhost:3000"],
        );
        for (origin, expected) in [
            ("https://chat.example.org", true),
            ("https://CHAT.example.org:443", true),
            ("https://chat.example.org.evil.example", false),
            ("https://evil.example/https://chat.example.org", false),
            ("http://localhost:3000", true),
            ("http://localhost", false),
        ] {
            assert_eq!(listed.allow(Some(origin), "h", true), expected, "{origin}");
        }
        let both = rules(true, &["https://a"]);
        assert!(both.allow(Some("https://a"), "a", true));
        assert!(!both.allow(Some("https://a"), "b", true));
    }

    #[test]
    fn without_rules_everybody_connects_but_cookies_stay_home() {
        let rules = rules(false, &[]);
        assert!(rules.allow(Some("https://evil.example"), "h", true));
        assert!(!rules.allow_cookies(Some("https://evil.example"), "h"));
        assert!(rules.allow_cookies(Some("https://h"), "h:8080"));
        assert!(rules.allow_cookies(None, "h"));
    }

    #[test]
    fn what_is_no_origin_is_refused_at_the_start() {
        let config = WebSocketConfig {
            allowed_origins: vec!["chat.example.org".to_owned()],
            ..WebSocketConfig::default()
        };
        assert!(OriginRules::new(&config).is_err());
    }
}
