//! Which addresses are ours: where tokens say they come from, and who may open a WebSocket.

use std::net::IpAddr;

/// The origins under which the appliance is reached.
///
/// With a public URL exactly that one. Without, it is whatever `Host` a request names, as long as that is an IP address
/// or `localhost`: a name would let another site point its own name here (DNS rebinding), and a deployment under a name
/// needs TLS and therefore a public URL anyway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origins {
    public: Option<String>,
}

impl Origins {
    /// `public_url` without path, like `https://chat.example.org`.
    #[must_use]
    pub fn new(public_url: Option<&str>) -> Self {
        Self {
            public: public_url.map(|url| url.trim_end_matches('/').to_owned()),
        }
    }

    /// Our origin for a request with this `Host`, or `None` when we are not meant.
    #[must_use]
    pub fn for_host(&self, host: &str) -> Option<String> {
        match &self.public {
            Some(public) => Some(public.clone()),
            None => is_local_host(host).then(|| format!("http://{}", host.to_ascii_lowercase())),
        }
    }

    /// Whether `origin` is one of ours.
    #[must_use]
    pub fn is_ours(&self, origin: &str) -> bool {
        match &self.public {
            Some(public) => public == origin,
            None => origin.strip_prefix("http://").is_some_and(is_local_host),
        }
    }
}

/// `host` or `host:port`, where the host is an IP address, `localhost`, or a name below it.
fn is_local_host(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, port)) => (
                address,
                port.strip_prefix(':').or(port.is_empty().then_some("")),
            ),
            None => return false,
        },
        None => match host.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (host, Some("")),
        },
    };
    let port_fine = port.is_some_and(|port| port.is_empty() || port.parse::<u16>().is_ok());
    let name_fine = name.parse::<IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || (name.to_ascii_lowercase().ends_with(".localhost")
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte)));
    port_fine && name_fine
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_public_url_only_addresses_and_localhost_are_ours() {
        let origins = Origins::new(None);
        for host in [
            "localhost",
            "localhost:8080",
            "127.0.0.1:8080",
            "[::1]:8080",
            "[::1]",
            "10.0.0.7:80",
            "a.localhost:1",
        ] {
            assert_eq!(
                origins.for_host(host),
                Some(format!("http://{host}")),
                "{host}"
            );
            assert!(origins.is_ours(&format!("http://{host}")));
        }
        for host in [
            "",
            "example.org",
            "localhost.example.org",
            "localhost:x",
            "localhost:80/x",
            "a@localhost",
            "[::1",
            "x\".localhost",
        ] {
            assert_eq!(origins.for_host(host), None, "{host}");
        }
        assert!(!origins.is_ours("https://localhost"));
        assert!(!origins.is_ours("null"));
    }

    #[test]
    fn a_public_url_is_the_only_one() {
        let origins = Origins::new(Some("https://chat.example.org/"));
        assert_eq!(
            origins.for_host("whatever").as_deref(),
            Some("https://chat.example.org")
        );
        assert!(origins.is_ours("https://chat.example.org"));
        assert!(!origins.is_ours("http://localhost:8080"));
    }
}
