//! What operators can ask a server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::FutureExt as _;

use super::{Server, Shared, lock};
use crate::account::Account;
use crate::leaf::LeafSnapshot;
use crate::monitor::{
    AccStatz, AccStatzOptions, AccountSnapshot, Accountz, Connz, ConnzOptions, Counters, Facts,
    Gatewayz, Healthz, HealthzOptions, Jsz, JszOptions, Leaf, Leafz, NotPossible, Routez,
    StreamSnapshot, Subsz, SubszOptions, Varz,
};
use crate::session::connection::Connection;

impl Server {
    /// Says what `/varz` shows and the broker does not know itself.
    pub fn set_facts(&self, facts: Facts) {
        self.shared.monitor.set_facts(facts);
    }

    /// What was said with [`Server::set_facts`].
    #[must_use]
    pub fn facts(&self) -> Facts {
        self.shared.monitor.facts()
    }

    /// What a request for RELOAD in the system account does. The error is shown to whoever asked.
    pub fn set_reload<F>(&self, reload: impl Fn() -> F + Send + Sync + 'static)
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        let reload = move || reload().boxed();
        self.shared.system.set_reload(Arc::new(reload));
    }

    /// Counts an answer of the monitoring port, for `http_req_stats`.
    pub fn count_http_request(&self, path: &'static str) {
        self.shared.monitor.count_http_request(path);
    }

    /// `/varz`.
    #[must_use]
    pub fn varz(&self) -> Varz {
        Varz::of(&self.shared)
    }

    /// `/connz`. Looks at every connection, and describes those of one page.
    ///
    /// # Errors
    /// The order asked for is not possible.
    pub fn connz(&self, options: &ConnzOptions) -> Result<Connz, NotPossible> {
        Connz::of(&self.shared, options)
    }

    /// `/subsz`.
    ///
    /// # Errors
    /// The subject to test with is not one that can be published to.
    pub fn subsz(&self, options: &SubszOptions) -> Result<Subsz, NotPossible> {
        Subsz::of(&self.shared, options)
    }

    /// `/accountz`: all accounts by name, or everything about one.
    ///
    /// # Errors
    /// There is no account of that name.
    pub fn accountz(&self, account: Option<&str>) -> Result<Accountz, NotPossible> {
        Accountz::of(&self.shared, account)
    }

    /// `/accstatz`.
    #[must_use]
    pub fn accstatz(&self, options: &AccStatzOptions) -> AccStatz {
        AccStatz::of(&self.shared, options)
    }

    /// `/jsz`. Consumers are asked one after the other, so it waits for those that are busy.
    pub async fn jsz(&self, options: &JszOptions) -> Jsz {
        Jsz::of(&self.shared, options).await
    }

    /// `/healthz`.
    #[must_use]
    pub fn healthz(&self, options: &HealthzOptions) -> Healthz {
        Healthz::of(&self.shared, options)
    }

    /// `/leafz`: all links, or those of one account.
    #[must_use]
    pub fn leafz(&self, account: Option<&str>, subscriptions: bool) -> Leafz {
        Leafz::of(&self.shared, account, subscriptions)
    }

    /// `/routez`: there are no routes.
    #[must_use]
    pub fn routez(&self) -> Routez {
        Routez::of(&self.shared)
    }

    /// `/gatewayz`: there are no gateways.
    #[must_use]
    pub fn gatewayz(&self) -> Gatewayz {
        Gatewayz::of(&self.shared)
    }

    /// All accounts by name, with what they do.
    #[must_use]
    pub fn accounts(&self) -> Vec<AccountSnapshot> {
        let shared = &self.shared;
        let snapshot = |account: &Arc<Account>| {
            let Traffic { sent, received } = shared.traffic(account);
            AccountSnapshot {
                name: account.name.clone(),
                connections: account.stats.connections.load(Ordering::Relaxed),
                subscriptions: account.subscriptions_len(),
                in_messages: received.0,
                in_bytes: received.1,
                out_messages: sent.0,
                out_bytes: sent.1,
                slow_consumers: account.stats.slow_consumers.load(Ordering::Relaxed),
            }
        };
        shared.accounts().iter().map(snapshot).collect()
    }

    /// All streams, by account and name.
    #[must_use]
    pub fn streams(&self) -> Vec<StreamSnapshot> {
        let mut all = Vec::new();
        for (_, streams) in self.shared.streams.enabled_accounts() {
            for stream in streams.all() {
                let state = stream.state();
                all.push(StreamSnapshot {
                    account: streams.account_name().to_owned(),
                    name: stream.config().name.clone(),
                    messages: state.messages,
                    bytes: state.bytes,
                    first_sequence: state.first.0,
                    last_sequence: state.last.0,
                    consumers: stream.consumers().len(),
                });
            }
        }
        all
    }
}

/// Messages and their bytes, both ways.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Traffic {
    /// To clients.
    pub(crate) sent: (u64, u64),
    /// From clients.
    pub(crate) received: (u64, u64),
}

impl Traffic {
    fn add(&mut self, counters: &Counters) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        self.sent.0 += read(&counters.out_messages);
        self.sent.1 += read(&counters.out_bytes);
        self.received.0 += read(&counters.in_messages);
        self.received.1 += read(&counters.in_bytes);
    }
}

impl Shared {
    /// Open connections, by number.
    pub(crate) fn open_connections(&self) -> Vec<Arc<Connection>> {
        let mut open: Vec<_> = lock(&self.connections).values().cloned().collect();
        open.sort_unstable_by_key(|connection| connection.id);
        open
    }

    /// An open connection.
    pub(crate) fn open_connection(&self, id: u64) -> Option<Arc<Connection>> {
        lock(&self.connections).get(&id).cloned()
    }

    pub(crate) fn connections_len(&self) -> usize {
        self.connections_len.load(Ordering::Relaxed)
    }

    /// First address that NATS clients are served on.
    pub(crate) fn listen_addr(&self) -> Option<std::net::SocketAddr> {
        *lock(&self.listen)
    }

    /// All accounts, by name.
    pub(crate) fn accounts(&self) -> Vec<Arc<Account>> {
        let mut all: Vec<_> = lock(&self.accounts).values().cloned().collect();
        all.sort_unstable_by(|left, right| left.name.cmp(&right.name));
        all
    }

    /// An account, if it is there.
    pub(crate) fn known_account(&self, name: &str) -> Option<Arc<Account>> {
        lock(&self.accounts).get(name).cloned()
    }

    /// Subscriptions of all accounts.
    pub(crate) fn subscriptions_len(&self) -> usize {
        let accounts = self.accounts();
        accounts.iter().map(|one| one.subscriptions_len()).sum()
    }

    /// What an account's clients sent and were sent: those that are gone, and those that are there.
    pub(crate) fn traffic(&self, account: &Account) -> Traffic {
        let mut traffic = Traffic::default();
        traffic.add(&account.stats.ended);
        for connection in lock(&self.connections).values() {
            let profile = connection.profile();
            if profile.is_some_and(|profile| profile.sender.account == account.name) {
                traffic.add(&connection.own);
            }
        }
        traffic
    }

    /// The name of the account that events are published in; empty: there is none.
    pub(crate) fn system_account(&self) -> String {
        self.system.account_name()
    }

    /// Links to and from leaf nodes.
    pub(crate) fn leafs_len(&self) -> usize {
        let accounts = self.accounts();
        let leafs = |account: &Arc<Account>| account.stats.leafs.load(Ordering::Relaxed);
        accounts.iter().map(leafs).sum()
    }

    /// Links to and from leaf nodes, with their subscriptions where those are wanted.
    pub(crate) fn leafs(&self, subscriptions: bool) -> Vec<Leaf> {
        let all = self.leaves.all();
        let leaf = |link| Leaf::from(LeafSnapshot::of(link, subscriptions));
        all.iter().map(|link| leaf(link)).collect()
    }
}
