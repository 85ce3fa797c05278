//! What operators look at: counters, snapshots, and the answers of nats-server's monitoring endpoints.
//!
//! Nothing here is paid for by messages. Counters are kept per connection and per batch; everything else is put together
//! when somebody asks. The answers (`Varz`, `Connz`, ...) are plain values whose JSON has nats-server's names and types,
//! and the same value answers over HTTP and in the system account. Their options are read by whoever asks: from a query
//! there, from a request's body here.

mod account_stats;
mod accountz;
mod close_reason;
mod closed;
mod connz;
mod counters;
mod facts;
mod healthz;
mod jsz;
mod links;
mod process;
mod shares;
mod snapshot;
mod statsz;
mod subsz;
mod text;
mod varz;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use hashbrown::HashMap;

pub use self::accountz::{AccStatz, AccStatzOptions, Accountz};
pub use self::close_reason::CloseReason;
pub use self::connz::{ConnState, Connz, ConnzOptions, ConnzSort, Subscriptions};
pub use self::facts::Facts;
pub use self::healthz::{Healthz, HealthzOptions};
pub use self::jsz::{Jsz, JszOptions};
pub use self::links::{Gatewayz, Leafz, Routez};
pub use self::snapshot::{AccountSnapshot, ConnectionSnapshot, Snapshot, StreamSnapshot};
pub use self::subsz::{Subsz, SubszOptions};
pub use self::text::NotPossible;
pub use self::varz::Varz;

pub(crate) use self::account_stats::AccountStats;
pub(crate) use self::accountz::{AccountConnections, AccountDetail};
pub(crate) use self::closed::ClosedRing;
pub(crate) use self::counters::Counters;
pub(crate) use self::jsz::JszAccount;
pub(crate) use self::links::Leaf;
pub(crate) use self::process::Process;
pub(crate) use self::shares::Shares;
pub(crate) use self::statsz::Statsz;

/// Entries in one page of an answer, where the request does not say.
const PAGE: usize = 1024;

/// What monitoring keeps between two questions.
#[derive(Debug)]
pub(crate) struct Monitor {
    facts: Mutex<Facts>,
    pub(crate) closed: ClosedRing,
    pub(crate) process: Process,
    /// What accounts give and take, by name.
    shares: Mutex<HashMap<String, Shares>>,
    /// Answers given over HTTP, by path.
    http_requests: Mutex<BTreeMap<&'static str, u64>>,
}

impl Monitor {
    pub(crate) fn new(closed_clients_max: usize) -> Self {
        Self {
            facts: Mutex::default(),
            closed: ClosedRing::new(closed_clients_max),
            process: Process::new(),
            shares: Mutex::default(),
            http_requests: Mutex::default(),
        }
    }

    pub(crate) fn facts(&self) -> Facts {
        self.facts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn set_facts(&self, facts: Facts) {
        *self.facts.lock().unwrap_or_else(PoisonError::into_inner) = facts;
    }

    /// What an account gives and takes, as it is configured.
    pub(crate) fn shares(&self, account: &str) -> Shares {
        let shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        shares.get(account).cloned().unwrap_or_default()
    }

    pub(crate) fn set_shares(&self, shares: HashMap<String, Shares>) {
        *self.shares.lock().unwrap_or_else(PoisonError::into_inner) = shares;
    }

    pub(crate) fn count_http_request(&self, path: &'static str) {
        let mut counts = self
            .http_requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *counts.entry(path).or_default() += 1;
    }

    fn http_requests(&self) -> BTreeMap<&'static str, u64> {
        self.http_requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// A page of a list: from `offset` on, at most `limit` entries, none where it begins beyond the end.
fn page<T>(all: &[T], offset: usize, limit: usize) -> &[T] {
    let from = offset.min(all.len());
    let to = from.saturating_add(limit).min(all.len());
    &all[from..to]
}

/// What was asked for, made usable: nothing and less than nothing mean the default.
fn page_bounds(offset: i64, limit: i64) -> (usize, usize) {
    let offset = usize::try_from(offset).unwrap_or(0);
    let limit = usize::try_from(limit).unwrap_or(0);
    (offset, if limit == 0 { PAGE } else { limit })
}
