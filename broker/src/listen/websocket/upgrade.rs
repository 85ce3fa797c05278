//! The HTTP request that a WebSocket begins with (RFC 6455 section 4.2), as bytes in and bytes out.

use std::net::IpAddr;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use httparse::{EMPTY_HEADER, Request, Status};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::ConnectionInfo;
use super::origin::OriginRules;
use crate::error::Error;
use crate::limits::UPGRADE_HEADERS_MAX;
use crate::listen::config::{CookieNames, TrustedProxies, WebSocketConfig};
use crate::listen::listener::Cookies;

/// How one listener answers.
#[derive(Debug)]
pub(crate) struct Upgrader {
    origins: OriginRules,
    cookies: CookieNames,
    compression: bool,
    trusted_proxies: TrustedProxies,
    is_tls: bool,
    /// Configured header lines, ready to be sent.
    headers: String,
}

/// An answer that ends the connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal(&'static str);

/// A request that was taken.
#[derive(Debug)]
pub(crate) struct Upgrade {
    /// Bytes of the request.
    pub(crate) len: usize,
    /// What to answer.
    pub(crate) response: String,
    pub(crate) info: ConnectionInfo,
    /// The path says that a leaf node wants to connect.
    pub(crate) is_leaf: bool,
}

const METHOD_NOT_ALLOWED: Refusal = Refusal("405 Method Not Allowed");
const BAD_REQUEST: Refusal = Refusal("400 Bad Request");
const FORBIDDEN: Refusal = Refusal("403 Forbidden");
const NOT_FOUND: Refusal = Refusal("404 Not Found");

impl Refusal {
    /// The whole response, as nats-server gives it, and that the connection ends.
    pub(crate) fn response(&self, now: SystemTime) -> String {
        let reason = self.0.get(4..).unwrap_or_default();
        let now = time::OffsetDateTime::from(now);
        // RFC 9110's form of dates, which is always in GMT.
        let date = now
            .format(&time::format_description::well_known::Rfc2822)
            .unwrap_or_default()
            .replace("+0000", "GMT");
        format!(
            "HTTP/1.1 {}\r\nContent-Type: text/plain; charset=utf-8\r\nSec-Websocket-Version: 13\r\n\
             X-Content-Type-Options: nosniff\r\nDate: {date}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{reason}\n",
            self.0,
            reason.len() + 1,
        )
    }
}

/// Header values by name.
struct Headers<'a>(&'a [httparse::Header<'a>]);

impl<'a> Headers<'a> {
    fn all(&self, name: &'static str) -> impl Iterator<Item = &'a str> {
        let named = self.0.iter();
        let named = named.filter(move |header| header.name.eq_ignore_ascii_case(name));
        named.filter_map(|header| std::str::from_utf8(header.value).ok())
    }

    fn first(&self, name: &'static str) -> Option<&'a str> {
        self.all(name).next().map(str::trim)
    }

    fn has_token(&self, name: &'static str, token: &str) -> bool {
        self.all(name)
            .flat_map(|value| value.split(','))
            .any(|word| word.trim().eq_ignore_ascii_case(token))
    }
}

impl Upgrader {
    /// # Errors
    /// What cannot be honoured of the configuration.
    pub(crate) fn new(config: &WebSocketConfig) -> Result<Self, Error> {
        let mut headers = String::new();
        for (name, value) in &config.headers {
            let is_token =
                |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            let is_name = !name.is_empty() && name.bytes().all(is_token);
            if !is_name || value.bytes().any(|byte| byte.is_ascii_control()) {
                let text = format!("header {name:?} of a WebSocket listener is not valid");
                return Err(Error::Listener(text));
            }
            headers.push_str(&format!("{name}: {value}\r\n"));
        }
        Ok(Self {
            origins: OriginRules::new(config)?,
            cookies: config.cookies.clone(),
            compression: config.compression,
            trusted_proxies: config.trusted_proxies.clone(),
            is_tls: config.tls.is_some(),
            headers,
        })
    }

    /// Whether a proxy at this address is believed.
    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        self.trusted_proxies.contains(address)
    }

    /// Looks at what has come of a request. `None`: not all of it. `peer` is where it comes from.
    pub(crate) fn answer(
        &self,
        bytes: &[u8],
        peer: std::net::SocketAddr,
    ) -> Result<Option<Upgrade>, Refusal> {
        let mut headers = [EMPTY_HEADER; UPGRADE_HEADERS_MAX];
        let mut request = Request::new(&mut headers);
        let Status::Complete(len) = request.parse(bytes).map_err(|_| BAD_REQUEST)? else {
            return Ok(None);
        };
        let headers = Headers(request.headers);
        let path = request.path.unwrap_or_default();
        let path = path.split('?').next().unwrap_or_default();
        if path.ends_with("/mqtt") {
            return Err(NOT_FOUND);
        }
        if request.method != Some("GET") {
            return Err(METHOD_NOT_ALLOWED);
        }
        let host = headers.first("host").filter(|host| !host.is_empty());
        let host = host.ok_or(BAD_REQUEST)?;
        let key = headers.first("sec-websocket-key").unwrap_or_default();
        let is_key = STANDARD.decode(key).is_ok_and(|bytes| bytes.len() == 16);
        let is_upgrade = request.version == Some(1)
            && headers.has_token("upgrade", "websocket")
            && headers.has_token("connection", "upgrade")
            && is_key
            && headers.first("sec-websocket-version") == Some("13");
        if !is_upgrade {
            return Err(BAD_REQUEST);
        }
        let origin = headers.first("origin");
        let origin = origin.or_else(|| headers.first("sec-websocket-origin"));
        if !self.origins.allow(origin, host, self.is_tls) {
            return Err(FORBIDDEN);
        }
        let mut info = ConnectionInfo::new(peer)
            .with_user_agent(headers.first("user-agent").unwrap_or_default());
        info.agreed.no_masking = headers.first("nats-no-masking") == Some("true");
        info.agreed.compression = self.compression && offers_deflate(&headers);
        if self.origins.allow_cookies(origin, host) {
            info.cookies = self.cookies(&headers);
        }
        if self.trusted_proxies.contains(peer.ip()) {
            info.forwarded_for = self.forwarded_for(&headers);
        }
        Ok(Some(Upgrade {
            len,
            response: self.response(key, &info),
            info,
            is_leaf: path.ends_with("/leafnode"),
        }))
    }

    fn response(&self, key: &str, info: &ConnectionInfo) -> String {
        let accept = derive_accept_key(key.as_bytes());
        let mut response = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n"
        );
        if info.agreed.compression {
            response.push_str("Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n");
        }
        if info.agreed.no_masking {
            response.push_str("Nats-No-Masking: true\r\n");
        }
        response.push_str(&self.headers);
        response.push_str("\r\n");
        response
    }

    fn cookies(&self, headers: &Headers<'_>) -> Option<Cookies> {
        let names = &self.cookies;
        let find = |name: &Option<String>| cookie(headers, name.as_deref()?);
        let cookies = Cookies {
            jwt: find(&names.jwt),
            user: find(&names.user),
            pass: find(&names.pass),
            token: find(&names.token),
        };
        let Cookies {
            jwt,
            user,
            pass,
            token,
        } = &cookies;
        [jwt, user, pass, token]
            .iter()
            .any(|cookie| cookie.is_some())
            .then_some(cookies)
    }

    /// The client, as trusted proxies tell: the last address that is not one of theirs. What stands before it may be
    /// anybody's invention.
    fn forwarded_for(&self, headers: &Headers<'_>) -> Option<IpAddr> {
        let chain: Vec<&str> = headers
            .all("x-forwarded-for")
            .flat_map(|value| value.split(','))
            .collect();
        for hop in chain.iter().rev() {
            let address = hop.trim().parse::<IpAddr>().ok()?;
            if !self.trusted_proxies.contains(address) {
                return Some(address);
            }
        }
        None
    }
}

fn offers_deflate(headers: &Headers<'_>) -> bool {
    let offers = headers.all("sec-websocket-extensions");
    offers.flat_map(|value| value.split(',')).any(|offer| {
        let name = offer.split(';').next().unwrap_or_default();
        name.trim().eq_ignore_ascii_case("permessage-deflate")
    })
}

/// The value of a cookie, without the quotes that it may be in.
fn cookie(headers: &Headers<'_>, name: &str) -> Option<String> {
    let pairs = headers.all("cookie").flat_map(|value| value.split(';'));
    let value = pairs
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(key, value)| (key == name).then_some(value))?;
    let bare = value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'));
    Some(bare.unwrap_or(value).to_owned()).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: [&str; 5] = [
        "Host: h",
        "Upgrade: websocket",
        "Connection: keep-alive, Upgrade",
        "Sec-WebSocket-Key: YWFhYWFhYWFhYWFhYWFhYQ==",
        "Sec-WebSocket-Version: 13",
    ];

    fn request(first: &str, lines: &[&str]) -> Vec<u8> {
        format!("{first} HTTP/1.1\r\n{}\r\n\r\n", lines.join("\r\n")).into_bytes()
    }

    fn answer(config: WebSocketConfig, more: &[&str]) -> Upgrade {
        let lines = [&LINES[..], more].concat();
        let upgrader = Upgrader::new(&config).expect("valid");
        upgrader
            .answer(
                &request("GET /any/path", &lines),
                ([192, 0, 2, 1], 9).into(),
            )
            .expect("taken")
            .expect("whole")
    }

    #[test]
    fn a_request_is_answered_as_by_nats_server() {
        let config = WebSocketConfig {
            headers: vec![("X-A".to_owned(), "b".to_owned())],
            ..WebSocketConfig::default()
        };
        let upgrade = answer(config, &[]);
        assert_eq!(
            upgrade.response,
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: 3SC6TZx4582OZaOogPVxMx5CGS0=\r\nX-A: b\r\n\r\n"
        );
    }

    #[test]
    fn requests_are_refused_as_by_nats_server() {
        let upgrader = Upgrader::new(&WebSocketConfig {
            allowed_origins: vec!["https://a.example".to_owned()],
            ..WebSocketConfig::default()
        });
        let upgrader = upgrader.expect("valid");
        let without = |name: &str| -> Vec<&str> {
            LINES
                .into_iter()
                .filter(|line| !line.starts_with(name))
                .collect()
        };
        let with = |line| [&LINES[..], &[line]].concat();
        for (first, lines, expected) in [
            ("POST /", LINES.to_vec(), METHOD_NOT_ALLOWED),
            ("GET /mqtt", LINES.to_vec(), NOT_FOUND),
            ("GET /", without("Host"), BAD_REQUEST),
            ("GET /", without("Upgrade"), BAD_REQUEST),
            ("GET /", without("Connection"), BAD_REQUEST),
            ("GET /", without("Sec-WebSocket-Key"), BAD_REQUEST),
            ("GET /", without("Sec-WebSocket-Version"), BAD_REQUEST),
            ("GET /", with("Origin: https://b.example"), FORBIDDEN),
        ] {
            let refused = upgrader.answer(&request(first, &lines), ([192, 0, 2, 1], 9).into());
            assert_eq!(refused.expect_err(first), expected, "{first} {lines:?}");
        }
        let response = BAD_REQUEST.response(SystemTime::UNIX_EPOCH);
        assert!(
            response.contains("Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"),
            "{response}"
        );
        assert!(response.ends_with("Content-Length: 12\r\nConnection: close\r\n\r\nBad Request\n"));
    }

    #[test]
    fn compression_is_agreed_on_only_where_it_is_configured() {
        let offer = "Sec-WebSocket-Extensions: x, permessage-deflate; client_max_window_bits";
        for compression in [false, true] {
            let config = WebSocketConfig {
                compression,
                ..WebSocketConfig::default()
            };
            let upgrade = answer(config, &[offer]);
            assert_eq!(upgrade.info.agreed.compression, compression);
            let line = "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n";
            assert_eq!(upgrade.response.contains(line), compression);
        }
    }

    #[test]
    fn cookies_stand_in_only_for_pages_of_ours() {
        let config = || WebSocketConfig {
            cookies: CookieNames {
                token: Some("tk".to_owned()),
                ..CookieNames::default()
            },
            ..WebSocketConfig::default()
        };
        let cookie = "Cookie: a=b; tk=\"secret\"; xtk=no";
        let token = |more: &[&str]| {
            answer(config(), more)
                .info
                .cookies
                .and_then(|cookies| cookies.token)
        };
        assert_eq!(token(&[cookie]).as_deref(), Some("secret"));
        assert_eq!(
            token(&[cookie, "Origin: http://h"]).as_deref(),
            Some("secret")
        );
        assert_eq!(token(&[cookie, "Origin: http://evil.example"]), None);
        assert_eq!(token(&[]), None);
    }

    #[test]
    fn a_forwarded_address_is_believed_from_trusted_proxies_only() {
        let forwarded = |trusted: &[&str], line| {
            let config = WebSocketConfig {
                trusted_proxies: TrustedProxies::parse(trusted.iter().copied()).expect("valid"),
                ..WebSocketConfig::default()
            };
            let address = answer(config, &[line]).info.forwarded_for;
            address.map(|address| address.to_string())
        };
        let line = "X-Forwarded-For: 6.6.6.6, 198.51.100.7, 10.0.0.1";
        assert_eq!(forwarded(&[], line), None);
        assert_eq!(forwarded(&["10.0.0.0/8"], line), None);
        let trusted = ["192.0.2.1", "10.0.0.0/8"];
        assert_eq!(forwarded(&trusted, line).as_deref(), Some("198.51.100.7"));
        assert_eq!(forwarded(&trusted, "X-Forwarded-For: 1.1.1.1, junk"), None);
        assert_eq!(forwarded(&trusted, "X-Forwarded-For: 10.0.0.1"), None);
    }
}
