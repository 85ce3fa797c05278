//! The audit of the API: who asked what, and what the answer was.

use serde::Serialize;

use super::Asked;
use super::response::Answer;
use crate::clock::rfc3339;
use crate::session::connection::Connection;

#[derive(Serialize)]
struct Audit<'a> {
    server: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<ClientPart>,
    subject: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    request: &'a str,
    response: &'a str,
}

/// Who asked.
#[derive(Debug, Serialize)]
pub(crate) struct ClientPart {
    start: String,
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
    #[serde(skip_serializing_if = "crate::jetstream::config::is_default")]
    rtt: u64,
    server: String,
    kind: &'static str,
    client_type: &'static str,
}

/// Publishes the audit of one request.
pub(super) fn publish(asked: Asked<'_>, answer: &Answer) {
    let server = asked.context.server_name.as_str();
    let request = &asked.request;
    let advisories = &asked.streams.context().advisories;
    advisories.send("ADVISORY.API", "advisory.v1.api_audit", || Audit {
        server,
        client: client_of(asked),
        subject: String::from_utf8_lossy(&request.subject).into_owned(),
        request: std::str::from_utf8(&request.payload).unwrap_or_default(),
        response: std::str::from_utf8(&answer.body).unwrap_or_default(),
    });
}

/// Who asked; `None`: code inside the process.
pub(super) fn client_of(asked: Asked<'_>) -> Option<ClientPart> {
    let connection = asked.request.connection.as_deref()?;
    Some(client(connection, asked.context.server_name.clone()))
}

fn client(connection: &Connection, server: String) -> ClientPart {
    let profile = connection.profile();
    let profile = profile.as_deref();
    let text = |field: fn(&crate::session::profile::Profile) -> &String| {
        profile.map(field).cloned().unwrap_or_default()
    };
    ClientPart {
        start: rfc3339(connection.started),
        host: connection.peer().ip().to_string(),
        id: connection.id,
        acc: text(|profile| &profile.sender.account),
        user: text(|profile| &profile.sender.user),
        name: text(|profile| &profile.name),
        lang: text(|profile| &profile.lang),
        ver: text(|profile| &profile.version),
        rtt: connection.rtt_ns.load(std::sync::atomic::Ordering::Relaxed),
        server,
        kind: "Client",
        client_type: connection.kind.as_str(),
    }
}
