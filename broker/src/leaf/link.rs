//! One link as the rest of the broker sees it: where its messages go, what may cross, what it wants.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::HashMap;

use super::rules::Rules;
use crate::account::Account;
use crate::interest::subscription::Subscription;
use crate::session::connection::Connection;

/// What the two sides are to each other, and what the other side said about itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct Peer {
    /// Its server's name.
    pub(crate) name: String,
    /// Its server's key.
    pub(crate) server_id: String,
    /// Its cluster's name, if it has one: what passes inside of a cluster does not pass here.
    pub(crate) cluster: Option<String>,
    /// The account on its side.
    pub(crate) account: String,
    /// It takes messages with headers.
    pub(crate) headers: bool,
    /// Largest message it takes, in bytes.
    pub(crate) payload_bytes_max: usize,
}

/// A link that is up.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) connection: Arc<Connection>,
    pub(crate) account: Arc<Account>,
    pub(crate) peer: Peer,
    /// This side is the leaf.
    pub(crate) is_spoke: bool,
    /// This side has dialled.
    pub(crate) is_solicited: bool,
    /// It is not told what other links want.
    pub(crate) is_isolated: bool,
    pub(crate) rules: Rules,
    /// What it wants, by the text of the interest.
    wanted: Mutex<HashMap<Box<[u8]>, Arc<Subscription>>>,
}

/// Everything about a link that is known when it comes up.
pub(crate) struct LinkParts {
    pub(crate) connection: Arc<Connection>,
    pub(crate) account: Arc<Account>,
    pub(crate) peer: Peer,
    pub(crate) is_spoke: bool,
    pub(crate) is_solicited: bool,
    pub(crate) is_isolated: bool,
    pub(crate) rules: Rules,
}

impl Link {
    pub(crate) fn new(parts: LinkParts) -> Arc<Self> {
        Arc::new(Self {
            connection: parts.connection,
            account: parts.account,
            peer: parts.peer,
            is_spoke: parts.is_spoke,
            is_solicited: parts.is_solicited,
            is_isolated: parts.is_isolated,
            rules: parts.rules,
            wanted: Mutex::default(),
        })
    }

    pub(crate) fn id(&self) -> u64 {
        self.connection.id
    }

    /// Whether messages may go from this link to another one: hubs are not joined through a leaf, and a cluster passes on
    /// by itself what one of its servers got.
    pub(crate) fn passes_to(&self, other: &Self) -> bool {
        let is_same_cluster =
            self.peer.cluster.is_some() && self.peer.cluster == other.peer.cluster;
        self.id() != other.id() && !(self.is_spoke && other.is_spoke) && !is_same_cluster
    }

    /// Whether another link is told what this one wants.
    pub(crate) fn is_told_to(&self, other: &Self) -> bool {
        self.passes_to(other) && !other.is_isolated
    }

    /// Remembers an interest under its text and returns the one before.
    pub(crate) fn remember(
        &self,
        key: &[u8],
        interest: Arc<Subscription>,
    ) -> Option<Arc<Subscription>> {
        self.wanted().insert(key.into(), interest)
    }

    pub(crate) fn interest(&self, key: &[u8]) -> Option<Arc<Subscription>> {
        self.wanted().get(key).cloned()
    }

    pub(crate) fn forget(&self, key: &[u8]) -> Option<Arc<Subscription>> {
        self.wanted().remove(key)
    }

    pub(crate) fn interests_len(&self) -> usize {
        self.wanted().len()
    }

    /// The texts of all interests, sorted.
    pub(crate) fn interests(&self) -> Vec<String> {
        let wanted = self.wanted();
        let keys = wanted.keys();
        let mut texts: Vec<String> = keys
            .map(|key| String::from_utf8_lossy(key).into_owned())
            .collect();
        texts.sort_unstable();
        texts
    }

    /// Takes all interests out: the link is down.
    pub(crate) fn take_interests(&self) -> Vec<Arc<Subscription>> {
        std::mem::take(&mut *self.wanted()).into_values().collect()
    }

    fn wanted(&self) -> MutexGuard<'_, HashMap<Box<[u8]>, Arc<Subscription>>> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
