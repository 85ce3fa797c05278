//! The header `Nats-Request-Info`: who asks, for the account that answers.

use std::sync::atomic::Ordering;

use serde::Serialize;

use crate::clock::rfc3339;
use crate::session::connection::Connection;
use crate::session::profile::Profile;

const NAME: &[u8] = b"Nats-Request-Info";

/// What is told. Without `share`, only from which account the request comes, and how far away its client is.
#[derive(Debug, Default, Serialize)]
struct RequestInfo<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    start: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
    acc: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    user: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    lang: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    ver: &'a str,
    #[serde(skip_serializing_if = "is_zero")]
    rtt: u64,
    #[serde(skip_serializing_if = "str::is_empty")]
    server: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    kind: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    client_type: &'static str,
}

/// The header block with the header added; what clients send under that name was cut out before.
pub(crate) fn with_request_info(
    block: &[u8],
    connection: &Connection,
    profile: &Profile,
    server: Option<&str>,
) -> Vec<u8> {
    let mut info = RequestInfo {
        acc: &profile.sender.account,
        rtt: connection.rtt_ns.load(Ordering::Relaxed),
        ..RequestInfo::default()
    };
    if let Some(server) = server {
        info.start = Some(rfc3339(connection.started));
        info.host = Some(connection.peer().ip().to_string());
        info.id = Some(connection.id);
        info.user = &profile.sender.user;
        info.name = &profile.name;
        info.lang = &profile.lang;
        info.ver = &profile.version;
        info.server = server;
        info.kind = "Client";
        info.client_type = connection.kind.as_str();
    }
    let json = serde_json::to_vec(&info).expect("request info is plain data");
    let head = block.strip_suffix(b"\r\n").unwrap_or(block);
    let head = if head.is_empty() {
        b"NATS/1.0\r\n"
    } else {
        head
    };
    [head, NAME, b": ", &json, b"\r\n\r\n"].concat()
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}
