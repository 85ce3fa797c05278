//! What two servers may say differently: times, identities, versions.

use base64::Engine;
use base64::prelude::BASE64_STANDARD as STANDARD;
use harness::Frame;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Members whose value is the server's own.
const OWN: [&str; 14] = [
    "_nats.ver",
    "_nats.level",
    "active",
    "cluster",
    "pause_remaining",
    "server",
    "server_id",
    "client",
    "id",
    "ack_time",
    "pinned_id",
    "pinned_client_id",
    "reserved_memory",
    "reserved_storage",
];

/// A frame as JSON, without what may differ.
pub(crate) fn frame(frame: &Frame) -> Value {
    match frame {
        Frame::Message {
            subject,
            reply,
            headers,
            payload,
            ..
        } => {
            let mut seen = Map::new();
            seen.insert("subject".to_owned(), own_tokens(subject).into());
            if let Some(reply) = reply {
                seen.insert("reply".to_owned(), own_tokens(reply).into());
            }
            if !headers.is_empty() {
                seen.insert("headers".to_owned(), header_lines(headers));
            }
            let text = String::from_utf8_lossy(payload).into_owned();
            let body = match serde_json::from_str::<Value>(&text) {
                Ok(value) if value.is_object() => members(value),
                _ => text.into(),
            };
            seen.insert("body".to_owned(), body);
            Value::Object(seen)
        }
        other => json!({ "frame": format!("{other:?}") }),
    }
}

/// The lines of a header block, sorted where their order says nothing.
fn header_lines(headers: &str) -> Value {
    headers
        .split("\r\n")
        .filter(|line| !line.is_empty())
        .map(|line| match line.split_once(": ") {
            Some((name @ "Nats-Pin-Id", _)) => format!("{name}: <own>"),
            Some((name @ "Nats-Consumer-Stalled", subject)) => {
                format!("{name}: {}", own_tokens(subject))
            }
            Some((name @ "Nats-Stream-Source", value)) => {
                let known = value.rsplit_once(' ').map_or(value, |(known, _)| known);
                format!("{name}: {known} <own>")
            }
            Some((name, value)) if is_time(value) => format!("{name}: <time>"),
            _ => line.to_owned(),
        })
        .collect::<Vec<_>>()
        .into()
}

fn members(value: Value) -> Value {
    match value {
        Value::Object(members_of) => members_of
            .into_iter()
            .map(|(name, value)| {
                let value = if OWN.contains(&name.as_str()) {
                    "<own>".into()
                } else if name == "api" {
                    api(value)
                } else if name == "mirror" {
                    members(without_early_filter(value))
                } else if name == "sources" {
                    sorted(members(value))
                } else if name == "hdrs" {
                    stored_headers(&value)
                } else {
                    members(value)
                };
                (name, value)
            })
            .collect(),
        Value::Array(values) => values.into_iter().map(members).collect(),
        // Advisories carry a request and its answer as text.
        Value::String(text) if text.starts_with('{') => match serde_json::from_str(&text) {
            Ok(value) => members(value),
            Err(_) => text.into(),
        },
        // What exactly is wrong with a JSON text is told in the words of the parser.
        Value::String(text)
            if text.starts_with("invalid JSON: ") && !text.contains("unknown field") =>
        {
            "invalid JSON: <own>".into()
        }
        Value::String(text) if is_time(&text) => "<time>".into(),
        Value::String(text) if is_random_name(&text) => "<name>".into(),
        Value::String(text) if text.starts_with("$JS.ACK.") => own_tokens(&text).into(),
        value => value,
    }
}

/// The counters of the API count the tidying up between scripts too.
fn api(value: Value) -> Value {
    let Value::Object(mut counters) = value else {
        return value;
    };
    for name in ["level", "total", "errors", "inflight"] {
        if counters.contains_key(name) {
            counters.insert(name.to_owned(), "<own>".into());
        }
    }
    Value::Object(counters)
}

/// nats-server tells of a mirror's filter from the moment when it has found its origin.
fn without_early_filter(mut value: Value) -> Value {
    if value["active"] == -1
        && let Some(mirror) = value.as_object_mut()
    {
        mirror.remove("filter_subject");
    }
    value
}

/// Sources are listed in the order of a hash table.
fn sorted(value: Value) -> Value {
    let Value::Array(mut values) = value else {
        return value;
    };
    values.sort_by_key(Value::to_string);
    values.into()
}

/// The header block of a stored message, which is encoded.
fn stored_headers(value: &Value) -> Value {
    let decoded = value.as_str().and_then(|text| STANDARD.decode(text).ok());
    decoded.map_or(Value::Null, |block| {
        header_lines(&String::from_utf8_lossy(&block))
    })
}

/// A moment of this age; the zero time and what a test made up stay as they are.
fn is_time(text: &str) -> bool {
    OffsetDateTime::parse(text, &Rfc3339).is_ok_and(|time| (2020..2200).contains(&time.year()))
}

/// Names of consumers that the server makes: eight characters, not all of one kind.
fn is_random_name(text: &str) -> bool {
    let kinds = [
        u8::is_ascii_uppercase as fn(&u8) -> bool,
        u8::is_ascii_lowercase,
        u8::is_ascii_digit,
    ];
    text.len() == 8
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && kinds
            .iter()
            .filter(|kind| text.bytes().any(|byte| kind(&byte)))
            .count()
            > 1
}

/// The time in an acknowledgement subject, the random end of a flow control subject.
fn own_tokens(subject: &str) -> String {
    let mut tokens: Vec<&str> = subject.split('.').collect();
    let own = match tokens.as_slice() {
        ["$JS", "ACK", _, _, _, _, _, _, _] => Some(7),
        ["$JS", "FC", .., _] => Some(tokens.len() - 1),
        _ => None,
    };
    if let Some(own) = own {
        tokens[own] = "<own>";
    }
    for token in &mut tokens {
        if is_random_name(token) {
            *token = "<name>";
        }
    }
    tokens.join(".")
}
