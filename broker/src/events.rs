//! CONNECT and DISCONNECT events in the system account, in nats-server's JSON.

use std::sync::atomic::Ordering;
use std::time::SystemTime;

use serde::Serialize;

use crate::clock::rfc3339;
use crate::monitor::Counters;
use crate::proto::info::COMPATIBLE_VERSION;
use crate::server::Shared;
use crate::session::connection::Connection;

#[derive(Serialize)]
struct Event<'a> {
    r#type: &'static str,
    id: String,
    timestamp: String,
    server: ServerPart<'a>,
    client: ClientPart<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sent: Option<Data>,
    #[serde(skip_serializing_if = "Option::is_none")]
    received: Option<Data>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

#[derive(Serialize)]
struct ServerPart<'a> {
    name: &'a str,
    host: String,
    id: &'a str,
    ver: &'static str,
    jetstream: bool,
    time: String,
}

#[derive(Serialize)]
struct ClientPart<'a> {
    start: String,
    host: String,
    id: u64,
    acc: &'a str,
    user: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    lang: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    ver: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rtt: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop: Option<String>,
    kind: &'static str,
    client_type: &'static str,
}

#[derive(Serialize)]
struct Data {
    msgs: u64,
    bytes: u64,
}

/// Subject and body for a client that completed CONNECT.
pub(crate) fn connect(server: &Shared, connection: &Connection) -> (String, Vec<u8>) {
    let (account, body) = event(server, connection, "", None);
    (format!("$SYS.ACCOUNT.{account}.CONNECT"), body)
}

/// Subject and body for a client that is gone. One that was refused is reported under `fallback_account`.
pub(crate) fn disconnect(
    server: &Shared,
    connection: &Connection,
    fallback_account: &str,
) -> (String, Vec<u8>) {
    let reason = connection
        .close_reason()
        .map_or("Client Closed", |reason| reason.as_str());
    let (account, body) = event(server, connection, fallback_account, Some(reason));
    (format!("$SYS.ACCOUNT.{account}.DISCONNECT"), body)
}

/// Body for a client whose CONNECT was refused.
pub(crate) fn refused(
    server: &Shared,
    connection: &Connection,
    fallback_account: &str,
    reason: &str,
) -> Vec<u8> {
    event(server, connection, fallback_account, Some(reason)).1
}

/// The account and the body.
fn event(
    server: &Shared,
    connection: &Connection,
    fallback_account: &str,
    reason: Option<&str>,
) -> (String, Vec<u8>) {
    let now = rfc3339(SystemTime::now());
    let profile = connection.profile();
    let profile = profile.as_deref();
    let account = profile.map_or(fallback_account, |profile| &profile.sender.account);
    let rtt = connection.rtt_ns.load(Ordering::Relaxed);
    let is_end = reason.is_some();
    let event = Event {
        r#type: if is_end {
            "io.nats.server.advisory.v1.client_disconnect"
        } else {
            "io.nats.server.advisory.v1.client_connect"
        },
        id: format!("{:032x}", rand::random::<u128>()),
        timestamp: now.clone(),
        server: ServerPart {
            name: &server.config.server_name,
            host: server.info(connection).host,
            id: &server.server_id,
            ver: COMPATIBLE_VERSION,
            jetstream: false,
            time: now.clone(),
        },
        client: ClientPart {
            start: rfc3339(connection.started),
            host: connection.peer().ip().to_string(),
            id: connection.id,
            acc: account,
            user: profile.map_or("", |profile| &profile.sender.user),
            name: profile.map_or("", |profile| &profile.name),
            lang: profile.map_or("", |profile| &profile.lang),
            ver: profile.map_or("", |profile| &profile.version),
            rtt: (rtt > 0).then_some(rtt),
            stop: is_end.then_some(now),
            kind: match connection.kind.is_leafnode() {
                true => "Leafnode",
                false => "Client",
            },
            client_type: connection.kind.as_str(),
        },
        sent: is_end.then(|| data(&connection.own, true)),
        received: is_end.then(|| data(&connection.own, false)),
        reason,
    };
    let body = serde_json::to_vec(&event).expect("an event is plain data");
    (account.to_owned(), body)
}

/// "Sent" is what the server sent to the client.
fn data(counters: &Counters, sent: bool) -> Data {
    let (messages, bytes) = if sent {
        (&counters.out_messages, &counters.out_bytes)
    } else {
        (&counters.in_messages, &counters.in_bytes)
    };
    Data {
        msgs: messages.load(Ordering::Relaxed),
        bytes: bytes.load(Ordering::Relaxed),
    }
}
