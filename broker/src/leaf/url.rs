//! Where a remote is: `nats-leaf://`, `nats://`, `tls://`, `ws://` or `wss://`.

use std::fmt;

use url::Url;

/// The port that leaves come in on by convention.
const LEAF_PORT: u16 = 7422;

/// How the other side is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeafScheme {
    /// TCP; TLS where the other side asks for it.
    Tcp,
    /// TCP with TLS, whatever the other side says.
    Tls,
    /// WebSocket.
    WebSocket,
    /// WebSocket with TLS.
    SecureWebSocket,
}

impl LeafScheme {
    /// Whether TLS is part of the scheme.
    #[must_use]
    pub fn is_secure(self) -> bool {
        matches!(self, Self::Tls | Self::SecureWebSocket)
    }

    /// Whether the protocol is spoken inside WebSocket frames.
    #[must_use]
    pub fn is_websocket(self) -> bool {
        matches!(self, Self::WebSocket | Self::SecureWebSocket)
    }
}

/// The address of a remote with the user named in it. `Debug` and `Display` show no secret.
#[derive(Clone, PartialEq, Eq)]
pub struct LeafUrl {
    /// How it is reached.
    pub scheme: LeafScheme,
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// The user in front of the host; a token where there is no password.
    pub user: Option<String>,
    /// The user's password.
    pub password: Option<String>,
}

/// Why a text is not the address of a remote.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LeafUrlError {
    /// It is not a URL.
    #[error("a leaf node URL must look like nats-leaf://host:7422")]
    Malformed,
    /// Another protocol.
    #[error(
        "leaf nodes are reached by nats-leaf://, nats://, tls://, ws:// or wss://, not by {0}://"
    )]
    Scheme(String),
}

impl LeafUrl {
    /// Reads `scheme://[user[:password]@]host[:port]`; without a scheme it is `nats-leaf`.
    ///
    /// # Errors
    /// The text is no URL, or of another protocol. The error repeats nothing of the text: it may hold a password.
    pub fn parse(text: &str) -> Result<Self, LeafUrlError> {
        let with_scheme = match text.contains("://") {
            true => text.to_owned(),
            false => format!("nats-leaf://{text}"),
        };
        let url = Url::parse(with_scheme.trim()).map_err(|_| LeafUrlError::Malformed)?;
        let (scheme, default_port) = match url.scheme() {
            "nats-leaf" | "nats" => (LeafScheme::Tcp, LEAF_PORT),
            "tls" => (LeafScheme::Tls, LEAF_PORT),
            "ws" => (LeafScheme::WebSocket, 80),
            "wss" => (LeafScheme::SecureWebSocket, 443),
            other => return Err(LeafUrlError::Scheme(other.to_owned())),
        };
        let host = url.host_str().filter(|host| !host.is_empty());
        let host = host.ok_or(LeafUrlError::Malformed)?;
        Ok(Self {
            scheme,
            host: host.trim_matches(['[', ']']).to_owned(),
            port: url.port().unwrap_or(default_port),
            user: Some(unescape(url.username())?).filter(|user| !user.is_empty()),
            password: url.password().map(unescape).transpose()?,
        })
    }

    /// `host:port`, with the host in brackets where it is an IPv6 address.
    #[must_use]
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for LeafUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            LeafScheme::Tcp => "nats-leaf",
            LeafScheme::Tls => "tls",
            LeafScheme::WebSocket => "ws",
            LeafScheme::SecureWebSocket => "wss",
        };
        write!(f, "{scheme}://{}", self.authority())
    }
}

impl fmt::Debug for LeafUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Undoes `%40` and the like.
fn unescape(text: &str) -> Result<String, LeafUrlError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let byte = digits.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(byte.ok_or(LeafUrlError::Malformed)?);
        rest = &tail[2..];
    }
    String::from_utf8(bytes).map_err(|_| LeafUrlError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, shown: &str, user: Option<&str>, password: Option<&str>) {
        let url = LeafUrl::parse(text).expect("a URL");
        assert_eq!(url.to_string(), shown);
        assert_eq!(url.user.as_deref(), user);
        assert_eq!(url.password.as_deref(), password);
    }

    #[test]
    fn addresses_of_every_kind_are_read() {
        check("nats-leaf://hub", "nats-leaf://hub:7422", None, None);
        check("hub:1234", "nats-leaf://hub:1234", None, None);
        check(
            "nats://u:p%40ss@hub",
            "nats-leaf://hub:7422",
            Some("u"),
            Some("p@ss"),
        );
        check("tls://token@h:1", "tls://h:1", Some("token"), None);
        check("ws://h", "ws://h:80", None, None);
        check("wss://h/", "wss://h:443", None, None);
        check("nats://[::1]:5", "nats-leaf://[::1]:5", None, None);
    }

    #[test]
    fn other_texts_are_refused_without_repeating_them() {
        for text in [
            "http://u:secret@h",
            "nats://",
            "nats://u:secret@",
            "nats://a b",
            "ws://%zz@h",
        ] {
            let error = LeafUrl::parse(text).expect_err("no leaf node URL");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}
