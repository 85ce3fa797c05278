//! `/varz`: the server as a whole.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use super::jsz::{JetStreamVarz, ServerStreams};
use super::process::cores;
use super::text;
use crate::jetstream::Timestamp;
use crate::jetstream::config::is_false;
use crate::proto::info::COMPATIBLE_VERSION;
use crate::server::Shared;

/// The answer of `/varz`.
#[derive(Debug, Clone, Serialize)]
pub struct Varz {
    server_id: String,
    server_name: String,
    version: &'static str,
    natterjack: &'static str,
    proto: u8,
    go: &'static str,
    host: String,
    port: u16,
    #[serde(skip_serializing_if = "is_false")]
    auth_required: bool,
    #[serde(skip_serializing_if = "is_false")]
    tls_required: bool,
    #[serde(skip_serializing_if = "is_false")]
    tls_verify: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    connect_urls: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ws_connect_urls: Vec<String>,
    max_connections: usize,
    max_subscriptions: usize,
    ping_interval: u64,
    ping_max: u32,
    http_host: String,
    http_port: u16,
    http_base_path: String,
    https_port: u16,
    auth_timeout: f64,
    max_control_line: usize,
    max_payload: usize,
    max_pending: usize,
    cluster: Empty,
    gateway: Empty,
    leaf: Listener,
    mqtt: Empty,
    websocket: Listener,
    jetstream: JetStreamVarz,
    tls_timeout: f64,
    write_deadline: u64,
    start: Timestamp,
    now: Timestamp,
    uptime: String,
    mem: u64,
    cores: usize,
    gomaxprocs: usize,
    cpu: f64,
    connections: usize,
    total_connections: u64,
    routes: u64,
    remotes: u64,
    leafnodes: usize,
    in_msgs: u64,
    in_bytes: u64,
    in_client_msgs: u64,
    in_client_bytes: u64,
    out_msgs: u64,
    out_bytes: u64,
    out_client_msgs: u64,
    out_client_bytes: u64,
    slow_consumers: u64,
    stale_connections: u64,
    stalled_clients: u64,
    subscriptions: usize,
    http_req_stats: BTreeMap<&'static str, u64>,
    config_load_time: Timestamp,
    config_digest: String,
    system_account: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<String, String>,
    slow_consumer_stats: ByKind,
    slow_consumer_reasons: SlowConsumerReasons,
    stale_connection_stats: ByKind,
    disk_io_wait_stats: DiskWaits,
}

/// A part that is not there; it is shown all the same.
#[derive(Debug, Clone, Copy, Serialize)]
struct Empty {}

/// A further listener.
#[derive(Debug, Clone, Default, Serialize)]
struct Listener {
    #[serde(skip_serializing_if = "String::is_empty")]
    host: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
}

impl Listener {
    fn new(host: &str, port: u16) -> Self {
        Self {
            host: host.to_owned(),
            port: (port > 0).then_some(port),
        }
    }
}

#[derive(Debug, Clone, Copy, Default, Serialize)]
struct ByKind {
    clients: u64,
    routes: u64,
    gateways: u64,
    leafs: u64,
}

/// Why slow consumers were cut off: a member that nats-server does not have.
#[derive(Debug, Clone, Copy, Serialize)]
struct SlowConsumerReasons {
    pending_bytes: u64,
    write_deadline: u64,
}

/// Goroutines that wait for a disk: there are none, whoever writes a stream does nothing else.
#[derive(Debug, Clone, Copy, Default, Serialize)]
struct DiskWaits {
    waiters: u64,
    waits: u64,
    wait_time: u64,
    max_wait_time: u64,
}

impl Varz {
    pub(crate) fn of(server: &Shared) -> Self {
        let config = &server.config;
        let counters = &server.counters;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let facts = server.monitor.facts();
        let usage = server.monitor.process.usage();
        let now = Timestamp::now();
        let start = Timestamp::from(server.started);
        let listen = server.listen_addr();
        let nanos = |time: std::time::Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let (in_msgs, in_bytes) = (read(&counters.in_messages), read(&counters.in_bytes));
        let (out_msgs, out_bytes) = (read(&counters.out_messages), read(&counters.out_bytes));
        let slow_consumers = read(&counters.slow_consumers);
        let late = read(&counters.slow_consumers_late);
        let stale_connections = read(&counters.stale_connections);
        Self {
            server_id: server.server_id.clone(),
            server_name: config.server_name.clone(),
            version: COMPATIBLE_VERSION,
            natterjack: env!("CARGO_PKG_VERSION"),
            proto: 1,
            go: "none",
            host: listen.map(|addr| addr.ip().to_string()).unwrap_or_default(),
            port: listen.map_or(0, |addr| addr.port()),
            auth_required: server.authenticator.anonymous().is_none(),
            tls_required: facts.tls_required,
            tls_verify: facts.tls_verify,
            connect_urls: facts.connect_urls,
            ws_connect_urls: facts.ws_connect_urls,
            max_connections: config.limits.connections_max,
            max_subscriptions: config.limits.subscriptions_max,
            ping_interval: nanos(config.ping_interval),
            ping_max: config.ping_max,
            http_host: facts.http_host,
            http_port: facts.http_port,
            http_base_path: facts.http_base_path,
            https_port: facts.https_port,
            auth_timeout: config.auth_timeout.as_secs_f64(),
            max_control_line: config.limits.control_line_bytes_max,
            max_payload: config.limits.payload_bytes_max,
            max_pending: config.limits.pending_bytes_max,
            cluster: Empty {},
            gateway: Empty {},
            leaf: Listener::default(),
            mqtt: Empty {},
            websocket: Listener::new(&facts.websocket_host, facts.websocket_port),
            jetstream: ServerStreams::of(server).varz(&facts.store_dir),
            tls_timeout: config.auth_timeout.as_secs_f64(),
            write_deadline: nanos(config.write_deadline),
            start,
            now,
            uptime: text::uptime(start.until(now)),
            mem: usage.memory_bytes,
            cores: cores(),
            gomaxprocs: cores(),
            cpu: usage.cpu_percent,
            connections: server.connections_len(),
            total_connections: read(&counters.total_connections),
            routes: 0,
            remotes: 0,
            leafnodes: server.leafs_len(),
            in_msgs,
            in_bytes,
            in_client_msgs: in_msgs,
            in_client_bytes: in_bytes,
            out_msgs,
            out_bytes,
            out_client_msgs: out_msgs,
            out_client_bytes: out_bytes,
            slow_consumers,
            stale_connections,
            stalled_clients: read(&counters.stalls),
            subscriptions: server.subscriptions_len(),
            http_req_stats: server.monitor.http_requests(),
            config_load_time: facts.config_loaded.map_or(start, Into::into),
            config_digest: facts.config_digest,
            system_account: server.system_account(),
            tags: facts.tags,
            metadata: facts.metadata,
            slow_consumer_stats: ByKind {
                clients: slow_consumers,
                ..ByKind::default()
            },
            slow_consumer_reasons: SlowConsumerReasons {
                pending_bytes: slow_consumers.saturating_sub(late),
                write_deadline: late,
            },
            stale_connection_stats: ByKind {
                clients: stale_connections,
                ..ByKind::default()
            },
            disk_io_wait_stats: DiskWaits::default(),
        }
    }
}
