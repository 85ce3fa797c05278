//! `/metrics`: the same figures in the text format of Prometheus (exposition format 0.0.4).
//!
//! Labels come from what operators name: accounts and streams, a bounded number of each. Users, connections and subjects
//! never become labels.

use std::fmt::{Display, Write as _};
use std::time::UNIX_EPOCH;

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use broker::{AccountSnapshot, Server, StreamSnapshot};

use crate::limits::{METRICS_ACCOUNTS_MAX, METRICS_STREAMS_MAX};

const COUNTER: &str = "counter";
const GAUGE: &str = "gauge";

pub(super) fn answer(server: &Server) -> Response {
    server.count_http_request("/metrics");
    let mut response = Response::new(Body::from(text(server)));
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"),
    );
    response
}

/// Families in the making.
#[derive(Default)]
struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            let before = if index == 0 { '{' } else { ',' };
            let _ = write!(self.0, "{before}{label}=\"{}\"", Escaped(text));
        }
        let after = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.0, "{after} {value}");
    }

    fn single(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }
}

/// A label's value.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for letter in self.0.chars() {
            match letter {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                '\n' => f.write_str("\\n")?,
                letter => f.write_char(letter)?,
            }
        }
        Ok(())
    }
}

fn text(server: &Server) -> String {
    let mut page = Page::default();
    whole(&mut page, server);
    let accounts = server.accounts();
    let streams = server.streams();
    let shown_accounts = &accounts[..accounts.len().min(METRICS_ACCOUNTS_MAX)];
    let shown_streams = &streams[..streams.len().min(METRICS_STREAMS_MAX)];
    of_accounts(&mut page, shown_accounts);
    of_streams(&mut page, shown_streams);
    page.family(
        "natterjack_metrics_left_out",
        GAUGE,
        "Accounts and streams without metrics of their own, because there are too many.",
    );
    for (what, all, shown) in [
        ("accounts", accounts.len(), shown_accounts.len()),
        ("streams", streams.len(), shown_streams.len()),
    ] {
        page.sample(
            "natterjack_metrics_left_out",
            &[("what", what)],
            all - shown,
        );
    }
    page.0
}

/// The server as a whole.
fn whole(page: &mut Page, server: &Server) {
    let snapshot = server.snapshot();
    page.family("natterjack_info", GAUGE, "Which server this is; always 1.");
    let labels = [
        ("version", env!("CARGO_PKG_VERSION")),
        ("nats_version", snapshot.version),
        ("server_id", &snapshot.server_id),
        ("server_name", &snapshot.server_name),
    ];
    page.sample("natterjack_info", &labels, 1);
    let started = snapshot.started.duration_since(UNIX_EPOCH);
    for (name, kind, help, value) in [
        (
            "process_start_time_seconds",
            GAUGE,
            "When the server was started, in seconds since 1970.",
            started.unwrap_or_default().as_secs_f64(),
        ),
        (
            "process_cpu_seconds_total",
            COUNTER,
            "Processor time used, in seconds.",
            snapshot.cpu_time.as_secs_f64(),
        ),
    ] {
        page.single(name, kind, help, value);
    }
    let late = snapshot.slow_consumers_late;
    for (name, kind, help, value) in [
        (
            "process_resident_memory_bytes",
            GAUGE,
            "Resident memory.",
            snapshot.memory_bytes,
        ),
        (
            "nats_connections",
            GAUGE,
            "Open client connections.",
            snapshot.connections as u64,
        ),
        (
            "nats_connections_accepted_total",
            COUNTER,
            "Client connections ever accepted.",
            snapshot.total_connections,
        ),
        (
            "nats_leafnodes",
            GAUGE,
            "Open links to and from leaf nodes.",
            snapshot.leafs as u64,
        ),
        (
            "nats_subscriptions",
            GAUGE,
            "Subscriptions of all accounts.",
            snapshot.subscriptions as u64,
        ),
        (
            "nats_received_messages_total",
            COUNTER,
            "Messages from clients.",
            snapshot.in_messages,
        ),
        (
            "nats_received_bytes_total",
            COUNTER,
            "Headers and payloads from clients.",
            snapshot.in_bytes,
        ),
        (
            "nats_sent_messages_total",
            COUNTER,
            "Messages to clients.",
            snapshot.out_messages,
        ),
        (
            "nats_sent_bytes_total",
            COUNTER,
            "Headers and payloads to clients.",
            snapshot.out_bytes,
        ),
        (
            "nats_stale_connections_total",
            COUNTER,
            "Connections closed because PING was not answered.",
            snapshot.stale_connections,
        ),
        (
            "nats_stalls_total",
            COUNTER,
            "Times that a producer was held back for a receiver that was nearly full.",
            snapshot.stalled_clients,
        ),
        (
            "natterjack_local_refusals_total",
            COUNTER,
            "Messages that a full subscription inside the process refused.",
            snapshot.refused_locally,
        ),
        (
            "nats_jetstream_api_requests_total",
            COUNTER,
            "Requests to the JetStream API.",
            snapshot.api_requests,
        ),
        (
            "nats_jetstream_api_errors_total",
            COUNTER,
            "Requests to the JetStream API that were answered with an error.",
            snapshot.api_errors,
        ),
    ] {
        page.single(name, kind, help, value);
    }
    let name = "nats_slow_consumers_total";
    page.family(
        name,
        COUNTER,
        "Connections cut off because they read too slowly.",
    );
    let pending = snapshot.slow_consumers.saturating_sub(late);
    page.sample(name, &[("reason", "pending_bytes")], pending);
    page.sample(name, &[("reason", "write_deadline")], late);
}

fn of_accounts(page: &mut Page, accounts: &[AccountSnapshot]) {
    type Read = fn(&AccountSnapshot) -> u64;
    let families: [(&str, &str, &str, Read); 7] = [
        (
            "nats_account_connections",
            GAUGE,
            "Open client connections of an account.",
            |one| one.connections as u64,
        ),
        (
            "nats_account_subscriptions",
            GAUGE,
            "Subscriptions of an account.",
            |one| one.subscriptions as u64,
        ),
        (
            "nats_account_received_messages_total",
            COUNTER,
            "Messages from clients of an account.",
            |one| one.in_messages,
        ),
        (
            "nats_account_received_bytes_total",
            COUNTER,
            "Headers and payloads from clients of an account.",
            |one| one.in_bytes,
        ),
        (
            "nats_account_sent_messages_total",
            COUNTER,
            "Messages to clients of an account.",
            |one| one.out_messages,
        ),
        (
            "nats_account_sent_bytes_total",
            COUNTER,
            "Headers and payloads to clients of an account.",
            |one| one.out_bytes,
        ),
        (
            "nats_account_slow_consumers_total",
            COUNTER,
            "Connections of an account cut off because they read too slowly.",
            |one| one.slow_consumers,
        ),
    ];
    for (name, kind, help, read) in families {
        page.family(name, kind, help);
        for account in accounts {
            page.sample(name, &[("account", &account.name)], read(account));
        }
    }
}

fn of_streams(page: &mut Page, streams: &[StreamSnapshot]) {
    type Read = fn(&StreamSnapshot) -> u64;
    let families: [(&str, &str, Read); 5] = [
        (
            "nats_stream_messages",
            "Messages that a stream holds.",
            |one| one.messages,
        ),
        ("nats_stream_bytes", "Bytes that a stream holds.", |one| {
            one.bytes
        }),
        (
            "nats_stream_first_sequence",
            "Sequence of a stream's oldest message.",
            |one| one.first_sequence,
        ),
        (
            "nats_stream_last_sequence",
            "Sequence of a stream's newest message.",
            |one| one.last_sequence,
        ),
        ("nats_stream_consumers", "Consumers of a stream.", |one| {
            one.consumers as u64
        }),
    ];
    for (name, help, read) in families {
        page.family(name, GAUGE, help);
        for stream in streams {
            let labels = [
                ("account", stream.account.as_str()),
                ("stream", stream.name.as_str()),
            ];
            page.sample(name, &labels, read(stream));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Arc;

    use broker::{AllowAll, Config};

    use super::*;

    #[test]
    fn labels_are_escaped() {
        let mut page = Page::default();
        page.sample("x", &[("a", "q\"u\\o\nte"), ("b", "c")], 7);
        assert_eq!(page.0, "x{a=\"q\\\"u\\\\o\\nte\",b=\"c\"} 7\n");
    }

    #[test]
    fn every_family_is_explained_once_and_named_for_its_kind() {
        let server = Server::new(Config::default(), Arc::new(AllowAll::new("A")), None);
        let text = text(&server);
        let mut names = HashSet::new();
        for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
            let (name, kind) = line.split_once(' ').unwrap();
            assert!(names.insert(name), "{name} comes twice");
            assert_eq!(name.ends_with("_total"), kind == COUNTER, "{name}");
            assert!(text.contains(&format!("# HELP {name} ")));
        }
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let name = series.split('{').next().unwrap();
            assert!(names.contains(name), "{line}");
            assert!(value.parse::<f64>().is_ok(), "{line}");
        }
    }
}
