//! What is counted for each account. Connections count for themselves; here is what remains of those that ended.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::Counters;

/// Of one account.
#[derive(Debug, Default)]
pub(crate) struct AccountStats {
    /// Open client connections.
    pub(crate) connections: AtomicUsize,
    /// Open links to and from leaf nodes.
    pub(crate) leafs: AtomicUsize,
    /// Totals of connections that have ended.
    pub(crate) ended: Counters,
    pub(crate) slow_consumers: AtomicU64,
}

impl AccountStats {
    /// Keeps what a connection has counted, now that it ends.
    pub(crate) fn take_over(&self, own: &Counters) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        self.ended
            .count_in(read(&own.in_messages), read(&own.in_bytes));
        self.ended
            .count_out(read(&own.out_messages), read(&own.out_bytes));
    }

    /// The account has a connection more.
    pub(crate) fn join(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    /// The account has a connection less.
    pub(crate) fn leave(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }
}
