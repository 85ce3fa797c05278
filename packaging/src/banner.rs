//! What is printed when everything is ready: where to go, in an order that scripts can rely on.

use std::net::SocketAddr;
use std::path::Path;

/// What the person who started natterjack wants to know.
#[derive(Debug)]
pub(crate) struct Banner<'a> {
    pub(crate) url: &'a str,
    pub(crate) nats: SocketAddr,
    pub(crate) data_dir: &'a Path,
    /// One-time token for the first administrator, while there is none.
    pub(crate) setup_token: Option<&'a str>,
    pub(crate) demo: bool,
}

impl Banner<'_> {
    /// The text. The first line is always the address, and the last is empty so that a reader knows that it has all.
    pub(crate) fn text(&self) -> String {
        let mut lines = vec![
            format!("natterjack is at {}", self.url),
            format!("  nats   nats://{}", self.nats),
            format!("  data   {}", self.data_dir.display()),
        ];
        if let Some(token) = self.setup_token {
            let url = self.url;
            lines.push(format!("  setup  {url}/setup?token={token}  (valid for 1 hour, makes you the administrator)"));
        }
        if self.demo {
            lines.push(
                "  demo   sign in as alice, bob or diana; everybody's password is {username}123"
                    .to_owned(),
            );
        }
        lines.push(String::new());
        lines.join("\n")
    }
}

/// The same for a broker alone.
pub(crate) fn of_broker(nats: SocketAddr, data_dir: Option<&Path>) -> String {
    let data = data_dir.map(|dir| format!("  data   {}\n", dir.display()));
    let data = data.unwrap_or_default();
    format!("natterjack broker is at nats://{nats}\n{data}")
}

/// The address to open for a listener. Browsers treat only `localhost` and TLS as secure, so loopback is spelled so.
pub(crate) fn url_of(listen: SocketAddr) -> String {
    if listen.ip().is_loopback() || listen.ip().is_unspecified() {
        format!("http://localhost:{}", listen.port())
    } else {
        format!("http://{listen}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_line_is_the_address_and_setup_comes_once() {
        let mut banner = Banner {
            url: "http://localhost:8080",
            nats: SocketAddr::from(([127, 0, 0, 1], 4222)),
            data_dir: Path::new("/data"),
            setup_token: Some("abc"),
            demo: false,
        };
        assert_eq!(
            banner.text(),
            "natterjack is at http://localhost:8080\n  nats   nats://127.0.0.1:4222\n  data   /data\n  setup  \
             http://localhost:8080/setup?token=abc  (valid for 1 hour, makes you the administrator)\n"
        );
        banner.setup_token = None;
        assert_eq!(banner.text().lines().count(), 3);
    }

    #[test]
    fn loopback_is_spelled_localhost() {
        assert_eq!(
            url_of("127.0.0.1:80".parse().unwrap()),
            "http://localhost:80"
        );
        assert_eq!(url_of("[::1]:80".parse().unwrap()), "http://localhost:80");
        assert_eq!(
            url_of("192.0.2.7:80".parse().unwrap()),
            "http://192.0.2.7:80"
        );
    }
}
