//! `websocket`: a port for browsers.

use std::time::Duration;

use super::authorization::{refuse_proxy_required, secret};
use super::report::{Pair, Report, each, set};
use super::tls::{Side, tls};
use super::units;
use crate::config_file::value::Value;
use crate::{Advertise, ListenerAuthorization, TlsConfig, WebSocketConfig};

/// A WebSocket port.
#[derive(Debug, Clone)]
pub struct WebSocketOptions {
    /// The address, or a name for it.
    pub host: String,
    /// The port; `None` is no port at all, `Some(0)` any free one.
    pub port: Option<u16>,
    /// Plain WebSocket is wanted.
    pub no_tls: bool,
    /// What `wss` is spoken with.
    pub tls: Option<TlsConfig>,
    /// Everything else.
    pub config: WebSocketConfig,
}

impl Default for WebSocketOptions {
    fn default() -> Self {
        Self {
            host: super::ANY_HOST.to_owned(),
            port: None,
            no_tls: false,
            tls: None,
            config: WebSocketConfig::default(),
        }
    }
}

/// The block.
pub(super) fn websocket(pair: Pair<'_>, report: &mut Report) -> Option<WebSocketOptions> {
    let Value::Map(map) = &pair.node.value else {
        let kind = pair.node.value.kind();
        pair.error(
            report,
            format!("Expected websocket to be a map, got {kind}"),
        );
        return None;
    };
    let mut options = WebSocketOptions::default();
    let mut advertise = None;
    each(map, report, |name, pair, report| {
        let config = &mut options.config;
        match name {
            "listen" => {
                if let Some(address) = pair.address(report) {
                    options.host = address.host.unwrap_or_else(|| super::ANY_HOST.to_owned());
                    options.port = address.port;
                }
                true
            }
            "host" | "net" => set(&mut options.host, pair.text(report)),
            "port" => set(&mut options.port, pair.port(report)),
            "advertise" => {
                advertise = pair
                    .text(report)
                    .map(|text| (text, pair.position().clone()));
                true
            }
            "no_tls" => set(&mut options.no_tls, pair.boolean(report)),
            "tls" => {
                options.tls = tls(pair, Side::Server, report);
                true
            }
            "same_origin" => set(&mut config.same_origin, pair.boolean(report)),
            "allowed_origins" | "allowed_origin" | "allow_origins" | "allow_origin" => {
                set(&mut config.allowed_origins, origins(pair, report))
            }
            "handshake_timeout" => {
                let timeout = pair
                    .duration(report)
                    .filter(|timeout| *timeout > Duration::ZERO);
                set(&mut config.handshake_timeout, timeout)
            }
            "compress" | "compression" => set(&mut config.compression, pair.boolean(report)),
            "authorization" | "authentication" => {
                config.authorization = authorization(pair, report);
                true
            }
            "jwt_cookie" => text(&mut config.cookies.jwt, pair, report),
            "user_cookie" => text(&mut config.cookies.user, pair, report),
            "pass_cookie" => text(&mut config.cookies.pass, pair, report),
            "token_cookie" => text(&mut config.cookies.token, pair, report),
            "no_auth_user" => text(&mut config.no_auth_user, pair, report),
            "headers" => set(&mut config.headers, headers(pair, report)),
            "ping_interval" => {
                config.ping_interval = pair.duration(report);
                true
            }
            _ => false,
        }
    });
    if let Some((text, position)) = advertise {
        let default_port = options.port.unwrap_or_default();
        match units::advertised(&text, default_port) {
            Ok((host, port)) => options.config.advertise = Some(Advertise { host, port }),
            Err(reason) => report.error(&position, reason),
        }
    }
    Some(options)
}

fn text(target: &mut Option<String>, pair: Pair<'_>, report: &mut Report) -> bool {
    *target = pair.text(report).filter(|text| !text.is_empty());
    true
}

fn origins(pair: Pair<'_>, report: &mut Report) -> Option<Vec<String>> {
    match &pair.node.value {
        Value::String(_) | Value::Array(_) => pair.texts(report),
        other => {
            let kind = other.kind();
            pair.error(
                report,
                format!("error parsing allowed origins: unsupported type {kind}"),
            );
            None
        }
    }
}

/// One user or one token that holds for this port only.
fn authorization(pair: Pair<'_>, report: &mut Report) -> Option<ListenerAuthorization> {
    let map = pair.map(report)?;
    let mut block = ListenerAuthorization::default();
    let exposed = |pair: Pair<'_>, report: &mut Report| {
        secret(pair, report).map(|secret| secret.expose().to_owned())
    };
    each(map, report, |name, pair, report| {
        match name {
            "user" | "username" => block.user = pair.text(report),
            "pass" | "password" => block.password = exposed(pair, report),
            "token" => block.token = exposed(pair, report),
            "timeout" => block.timeout = pair.timeout(report, "authorization config"),
            "proxy_required" => refuse_proxy_required(pair, report),
            _ => return false,
        }
        true
    });
    if block.user.is_some() && block.token.is_some() {
        pair.error(report, "Cannot have a user/pass and token");
    }
    Some(block)
}

fn headers(pair: Pair<'_>, report: &mut Report) -> Option<Vec<(String, String)>> {
    let Value::Map(map) = &pair.node.value else {
        let kind = pair.node.value.kind();
        pair.error(
            report,
            format!("error parsing headers: unsupported type {kind}"),
        );
        return None;
    };
    let mut headers = Vec::with_capacity(map.len());
    for (key, node) in map.iter() {
        if let Some(value) = (Pair { key, node }).text(report) {
            headers.push((key.to_owned(), value));
        }
    }
    Some(headers)
}
