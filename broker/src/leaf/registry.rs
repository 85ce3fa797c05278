//! The links of a server: how many there may be, which are up, and what monitoring shows of them.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use hashbrown::HashMap;

use super::accept::Port;
use super::link::Link;
use crate::monitor::CloseReason;

/// All links of a server.
#[derive(Debug, Default)]
pub(crate) struct Leaves {
    up: Mutex<HashMap<u64, Arc<Link>>>,
    /// Connections on the port of the leaves, up or not.
    accepted_len: AtomicUsize,
    /// What holds for leaves that come in.
    port: OnceLock<Arc<Port>>,
}

/// Holds a place among the connections of the port.
#[derive(Debug)]
pub(crate) struct Place(Arc<Leaves>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.accepted_len.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Leaves {
    /// A place for one more connection, unless there are `max` already.
    pub(crate) fn place(self: &Arc<Self>, max: usize) -> Option<Place> {
        let place = Place(self.clone());
        let before = self.accepted_len.fetch_add(1, Ordering::AcqRel);
        (before < max).then_some(place)
    }

    /// Leaves may come in, over WebSocket too. The first port stays.
    pub(crate) fn open(&self, port: &Arc<Port>) {
        let _ = self.port.set(port.clone());
    }

    /// What holds for leaves that come in, if any may.
    pub(crate) fn port(&self) -> Option<Arc<Port>> {
        self.port.get().cloned()
    }

    /// Notes a link that came in and returns one of the same server between the same accounts, which it takes the place of.
    pub(crate) fn insert(&self, link: &Arc<Link>) -> Option<Arc<Link>> {
        let mut up = self.lock();
        let is_same = |other: &&Arc<Link>| {
            !link.is_solicited
                && !other.is_solicited
                && other.peer.name == link.peer.name
                && other.peer.server_id == link.peer.server_id
                && other.peer.account == link.peer.account
                && other.account.name == link.account.name
        };
        let same = up.values().find(is_same).cloned();
        up.insert(link.id(), link.clone());
        same
    }

    pub(crate) fn remove(&self, id: u64) {
        self.lock().remove(&id);
    }

    /// What is up, by number.
    pub(crate) fn all(&self) -> Vec<Arc<Link>> {
        let mut all: Vec<_> = self.lock().values().cloned().collect();
        all.sort_unstable_by_key(|link| link.id());
        all
    }

    /// Ends every link with this account, for example because it is no more.
    pub(crate) fn close(&self, reason: CloseReason, mut picks: impl FnMut(&Link) -> bool) -> usize {
        let all = self.all();
        let picked = all.iter().filter(|link| picks(link));
        picked.map(|link| link.connection.close(reason)).count()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Arc<Link>>> {
        self.up.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One link at one moment: an entry of `/leafz`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeafSnapshot {
    /// The broker's number of the connection.
    pub client_id: u64,
    /// Name of the other server.
    pub name: String,
    /// Key of the other server.
    pub server_id: String,
    /// This side is the leaf.
    pub is_spoke: bool,
    /// It is not told what other links want.
    pub is_isolated: bool,
    /// The account here.
    pub account: String,
    /// The account there.
    pub remote_account: String,
    /// The other end.
    pub peer: SocketAddr,
    /// Since when it is connected.
    pub started: SystemTime,
    /// Round trip of the last PING.
    pub rtt: Option<Duration>,
    /// Messages that came over it.
    pub in_messages: u64,
    /// Their bytes.
    pub in_bytes: u64,
    /// Messages that left over it.
    pub out_messages: u64,
    /// Their bytes.
    pub out_bytes: u64,
    /// Bytes waiting to be written.
    pub pending_bytes: usize,
    /// What the other side wants: how much, and the subjects, sorted; a group's name follows its subject.
    pub subscriptions: usize,
    /// See [`LeafSnapshot::subscriptions`]; empty unless asked for.
    pub subscription_list: Vec<String>,
}

impl LeafSnapshot {
    pub(crate) fn of(link: &Link, with_subscriptions: bool) -> Self {
        let connection = &link.connection;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let rtt_ns = read(&connection.rtt_ns);
        Self {
            client_id: connection.id,
            name: link.peer.name.clone(),
            server_id: link.peer.server_id.clone(),
            is_spoke: link.is_spoke,
            is_isolated: link.is_isolated,
            account: link.account.name.clone(),
            remote_account: link.peer.account.clone(),
            peer: connection.peer(),
            started: connection.started,
            rtt: (rtt_ns > 0).then(|| Duration::from_nanos(rtt_ns)),
            in_messages: read(&connection.own.in_messages),
            in_bytes: read(&connection.own.in_bytes),
            out_messages: read(&connection.own.out_messages),
            out_bytes: read(&connection.own.out_bytes),
            pending_bytes: connection.pending_bytes(),
            subscriptions: link.interests_len(),
            subscription_list: match with_subscriptions {
                true => link.interests(),
                false => Vec::new(),
            },
        }
    }
}
