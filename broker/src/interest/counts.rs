//! How much work one account's subscriptions are. Counted where routes are made, never per message.

use std::sync::atomic::{AtomicU64, Ordering};

/// Running totals of one account.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    inserts: AtomicU64,
    removes: AtomicU64,
    matches: AtomicU64,
    fanout: AtomicU64,
    fanout_max: AtomicU64,
    /// Routes that publishers remember.
    cached: AtomicU64,
}

/// The totals at one moment, of one account or several.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) inserts: u64,
    pub(crate) removes: u64,
    pub(crate) matches: u64,
    /// Subscriptions found in all matches together.
    pub(crate) fanout: u64,
    pub(crate) fanout_max: u64,
    pub(crate) cached: u64,
}

impl Counts {
    pub(crate) fn inserted(&self) {
        self.inserts.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn removed(&self) {
        self.removes.fetch_add(1, Ordering::Relaxed);
    }

    /// A subject was looked up, and so many subscriptions were found.
    pub(crate) fn matched(&self, found: usize) {
        let found = found as u64;
        self.matches.fetch_add(1, Ordering::Relaxed);
        self.fanout.fetch_add(found, Ordering::Relaxed);
        self.fanout_max.fetch_max(found, Ordering::Relaxed);
    }

    /// A publisher remembers a route more.
    pub(crate) fn cached(&self) {
        self.cached.fetch_add(1, Ordering::Relaxed);
    }

    /// A publisher forgot so many routes.
    pub(crate) fn forgotten(&self, routes: usize) {
        self.cached.fetch_sub(routes as u64, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> Counted {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counted {
            inserts: read(&self.inserts),
            removes: read(&self.removes),
            matches: read(&self.matches),
            fanout: read(&self.fanout),
            fanout_max: read(&self.fanout_max),
            cached: read(&self.cached),
        }
    }
}

impl Counted {
    /// Adds another account's.
    pub(crate) fn add(&mut self, other: &Self) {
        self.inserts += other.inserts;
        self.removes += other.removes;
        self.matches += other.matches;
        self.fanout += other.fanout;
        self.fanout_max = self.fanout_max.max(other.fanout_max);
        self.cached += other.cached;
    }
}
