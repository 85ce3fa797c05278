//! Events about clients and accounts, in nats-server's JSON.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use super::block::ServerBlock;
use crate::account::Account;
use crate::jetstream::Timestamp;
use crate::monitor::AccountConnections;
use crate::server::Shared;
use crate::session::connection::Connection;

const CONNECT: &str = "io.nats.server.advisory.v1.client_connect";
const DISCONNECT: &str = "io.nats.server.advisory.v1.client_disconnect";
const CONNECTIONS: &str = "io.nats.server.advisory.v1.account_connections";

/// What every event begins with, and what it is about.
#[derive(Serialize)]
pub(super) struct Event<B> {
    r#type: &'static str,
    id: String,
    timestamp: Timestamp,
    server: ServerBlock,
    #[serde(flatten)]
    body: B,
}

impl<B> Event<B> {
    fn new(server: &Shared, kind: &'static str, body: B) -> Self {
        Self {
            r#type: kind,
            id: nuid(),
            timestamp: Timestamp::now(),
            server: server.system.block(server),
            body,
        }
    }
}

/// A text that no other event has, in the form that nats-server uses.
fn nuid() -> String {
    const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let letter = |_| char::from(LETTERS[rand::random_range(..LETTERS.len())]);
    (0..22).map(letter).collect()
}

#[derive(Serialize)]
pub(super) struct Connected {
    client: ClientPart,
}

#[derive(Serialize)]
pub(super) struct Disconnected {
    client: ClientPart,
    sent: Data,
    received: Data,
    reason: String,
}

#[derive(Serialize)]
struct ClientPart {
    start: Timestamp,
    host: String,
    id: u64,
    acc: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    user: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    lang: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    ver: String,
    /// In nanoseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    rtt: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop: Option<Timestamp>,
    name_tag: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    kind: &'static str,
    client_type: &'static str,
}

#[derive(Serialize)]
struct Data {
    msgs: u64,
    bytes: u64,
}

/// An account has a link more.
#[derive(Serialize)]
pub(super) struct LeafConnected {
    server: ServerBlock,
    acc: String,
}

/// A link of an account is up.
pub(super) fn leaf_connect(server: &Shared, acc: String) -> LeafConnected {
    LeafConnected {
        server: server.system.block(server),
        acc,
    }
}

/// The account of a connection, or `fallback` where it was let into none.
pub(super) fn account_of(connection: &Connection, fallback: &str) -> String {
    let profile = connection.profile();
    profile.map_or(fallback.to_owned(), |profile| {
        profile.sender.account.clone()
    })
}

/// A client completed CONNECT.
pub(super) fn connect(server: &Shared, connection: &Connection) -> Event<Connected> {
    let mut client = client(connection, "");
    // It was not measured yet, and what CONNECT took to come is none.
    client.rtt = None;
    Event::new(server, CONNECT, Connected { client })
}

/// A client is gone. One that was refused is reported under `fallback`.
pub(super) fn disconnect(
    server: &Shared,
    connection: &Connection,
    fallback: &str,
    reason: &str,
) -> Event<Disconnected> {
    let mut client = client(connection, fallback);
    client.stop = Some(Timestamp::now());
    let own = &connection.own;
    let body = Disconnected {
        client,
        sent: Data::of(&own.out_messages, &own.out_bytes),
        received: Data::of(&own.in_messages, &own.in_bytes),
        reason: reason.to_owned(),
    };
    Event::new(server, DISCONNECT, body)
}

/// How many connections an account has, and what they do.
pub(super) fn connections(server: &Shared, account: &Account) -> Event<AccountConnections> {
    let body = AccountConnections::of(server, account);
    Event::new(server, CONNECTIONS, body)
}

fn client(connection: &Connection, fallback: &str) -> ClientPart {
    let profile = connection.profile();
    let said = connection.said();
    let said = said.as_deref();
    let sender = profile.as_deref().map(|profile| &profile.sender);
    let acc = account_of(connection, fallback);
    let rtt = connection.rtt_ns.load(Ordering::Relaxed);
    ClientPart {
        start: connection.started.into(),
        host: connection.peer().ip().to_canonical().to_string(),
        id: connection.id,
        name_tag: acc.clone(),
        acc,
        user: match sender {
            Some(sender) => sender.user.clone(),
            None => said.map(|said| said.user.clone()).unwrap_or_default(),
        },
        name: said.map(|said| said.name.clone()).unwrap_or_default(),
        lang: said.map(|said| said.lang.clone()).unwrap_or_default(),
        ver: said.map(|said| said.version.clone()).unwrap_or_default(),
        rtt: (rtt > 0).then_some(rtt),
        stop: None,
        tags: sender
            .map(|sender| sender.tags.to_vec())
            .unwrap_or_default(),
        kind: connection.kind.role(),
        client_type: connection.kind.as_str(),
    }
}

impl Data {
    fn of(messages: &AtomicU64, bytes: &AtomicU64) -> Self {
        Self {
            msgs: messages.load(Ordering::Relaxed),
            bytes: bytes.load(Ordering::Relaxed),
        }
    }
}
