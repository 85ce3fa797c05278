//! Which server, and who comes.

use std::fmt;

use url::Url;

use crate::Error;
use crate::tls::Tls;

/// How bytes get to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// `nats://` and `tls://`
    Tcp,
    /// `ws://` and `wss://`
    WebSocket,
}

/// Who comes. Shown without what is secret.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Credentials {
    /// Nobody in particular.
    #[default]
    None,
    /// A token.
    Token(String),
    /// A user and a password.
    User {
        /// Name.
        name: String,
        /// Password.
        password: String,
    },
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Token(_) => "Token",
            Self::User { .. } => "User",
        })
    }
}

/// A server under load.
#[derive(Clone, Debug)]
pub struct Target {
    /// Name or address, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// How to get there.
    pub transport: Transport,
    /// How to speak TLS with it, if at all.
    pub tls: Option<Tls>,
    /// Path of the WebSocket upgrade.
    pub path: String,
    /// Who comes.
    pub credentials: Credentials,
}

impl Target {
    /// Takes a URL apart: `nats://user:password@host:port`, `nats://token@host`, `ws://host:port/path`, or only `host:port`.
    /// `tls://` and `wss://` are spoken as `tls` says; with it, so is `nats://`.
    ///
    /// # Errors
    /// It is none of these, or wants TLS where there is none.
    pub fn parse(text: &str, tls: Option<&Tls>) -> Result<Self, Error> {
        let bad = |why| Error::Url {
            url: without_secrets(text),
            why,
        };
        let whole = if text.contains("://") {
            text.to_owned()
        } else {
            format!("nats://{text}")
        };
        let url = Url::parse(&whole).map_err(|_| bad("it can not be read"))?;
        let (transport, port) = match url.scheme() {
            "nats" | "tls" => (Transport::Tcp, 4222),
            "ws" => (Transport::WebSocket, 80),
            "wss" => (Transport::WebSocket, 443),
            _ => return Err(bad("it begins with nats://, tls://, ws:// or wss://")),
        };
        let tls = match (url.scheme(), tls) {
            ("tls" | "wss", None) => return Err(bad("TLS is not prepared")),
            ("ws", _) => None,
            (_, tls) => tls.cloned(),
        };
        let host = url.host_str().filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| bad("it names no host"))?;
        let name = decoded(url.username());
        let credentials = match (name.as_str(), url.password()) {
            ("", None) => Credentials::None,
            (_, None) => Credentials::Token(name),
            (_, Some(password)) => Credentials::User {
                name,
                password: decoded(password),
            },
        };
        Ok(Self {
            host: host.trim_matches(['[', ']']).to_owned(),
            port: url.port().unwrap_or(port),
            transport,
            tls,
            path: url.path().to_owned(),
            credentials,
        })
    }

    /// `host:port`, with brackets where they are needed.
    #[must_use]
    pub fn address(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match (self.transport, &self.tls) {
            (Transport::Tcp, None) => "nats",
            (Transport::Tcp, Some(_)) => "tls",
            (Transport::WebSocket, None) => "ws",
            (Transport::WebSocket, Some(_)) => "wss",
        };
        write!(f, "{scheme}://{}", self.address())
    }
}

/// What stands before the host is nobody's business.
fn without_secrets(text: &str) -> String {
    match (text.split_once("://"), text.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://{rest}"),
        (None, Some((_, rest))) => rest.to_owned(),
        _ => text.to_owned(),
    }
}

/// Undoes `%40` and the like.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = rest
            .get(1..3)
            .and_then(|code| std::str::from_utf8(code).ok());
        let code = code.and_then(|code| u8::from_str_radix(code, 16).ok());
        match (first, code) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &rest[3..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, shown: &str, credentials: &Credentials) {
        let target = Target::parse(text, None).unwrap();
        assert_eq!(target.to_string(), shown);
        assert_eq!(&target.credentials, credentials);
    }

    #[test]
    fn urls_say_where_and_who() {
        let user = Credentials::User {
            name: "ana".to_owned(),
            password: "p@ss".to_owned(),
        };
        check("localhost", "nats://localhost:4222", &Credentials::None);
        check("127.0.0.1:1", "nats://127.0.0.1:1", &Credentials::None);
        check("nats://[::1]", "nats://[::1]:4222", &Credentials::None);
        check("nats://ana:p%40ss@h:7", "nats://h:7", &user);
        let token = Credentials::Token("s3cret".to_owned());
        check("ws://s3cret@h/nats", "ws://h:80", &token);
    }

    #[test]
    fn what_is_refused_does_not_repeat_secrets() {
        for text in ["http://ana:secret@h", "tls://ana:secret@h", "nats://"] {
            let error = Target::parse(text, None).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
