//! What a server tells about itself every few seconds in the system account.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use super::accountz::Amount;
use super::jsz::{JetStreamVarz, ServerStreams};
use super::process::cores;
use crate::jetstream::Timestamp;
use crate::server::Shared;

/// The member `statsz`.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Statsz {
    start: Timestamp,
    mem: u64,
    cores: usize,
    cpu: f64,
    connections: usize,
    total_connections: u64,
    active_accounts: usize,
    subscriptions: usize,
    sent: Amount,
    sent_to_clients: Amount,
    received: Amount,
    received_from_clients: Amount,
    slow_consumers: u64,
    active_servers: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    jetstream: Option<JetStreamVarz>,
    gomaxprocs: usize,
}

impl Statsz {
    pub(crate) fn of(server: &Shared) -> Self {
        let counters = &server.counters;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let sent = Amount {
            msgs: read(&counters.out_messages),
            bytes: read(&counters.out_bytes),
        };
        let received = Amount {
            msgs: read(&counters.in_messages),
            bytes: read(&counters.in_bytes),
        };
        let usage = server.monitor.process.usage();
        let accounts = server.accounts();
        let is_active = |stats: &super::AccountStats| {
            stats.connections.load(Ordering::Relaxed) + stats.leafs.load(Ordering::Relaxed) > 0
        };
        Self {
            start: server.started.into(),
            mem: usage.memory_bytes,
            cores: cores(),
            cpu: usage.cpu_percent,
            connections: server.connections_len(),
            total_connections: read(&counters.total_connections),
            active_accounts: accounts.iter().filter(|one| is_active(&one.stats)).count(),
            subscriptions: server.subscriptions_len(),
            sent,
            sent_to_clients: sent,
            received,
            received_from_clients: received,
            slow_consumers: read(&counters.slow_consumers),
            active_servers: 1,
            jetstream: server
                .streams
                .has_root()
                .then(|| ServerStreams::of(server).varz("")),
            gomaxprocs: cores(),
        }
    }
}
