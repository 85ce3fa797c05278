//! Running totals of the server and of each connection.

use std::sync::atomic::{AtomicU64, Ordering};

/// Running totals, of the server or of one connection. "In" is from client to server.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) in_messages: AtomicU64,
    pub(crate) in_bytes: AtomicU64,
    pub(crate) out_messages: AtomicU64,
    pub(crate) out_bytes: AtomicU64,
    pub(crate) slow_consumers: AtomicU64,
    /// Those of `slow_consumers` that took nothing in time; the others had too much waiting.
    pub(crate) slow_consumers_late: AtomicU64,
    pub(crate) stale_connections: AtomicU64,
    pub(crate) stalls: AtomicU64,
    pub(crate) total_connections: AtomicU64,
    pub(crate) refused_locally: AtomicU64,
}

impl Counters {
    pub(crate) fn count_in(&self, messages: u64, bytes: u64) {
        self.in_messages.fetch_add(messages, Ordering::Relaxed);
        self.in_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn count_out(&self, messages: u64, bytes: u64) {
        self.out_messages.fetch_add(messages, Ordering::Relaxed);
        self.out_bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}
