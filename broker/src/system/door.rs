//! Where requests come in: the interest in them, and the queue to the task that answers.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::question::{OF_ACCOUNT, OF_SERVER};
use crate::account::Account;
use crate::interest::subscription::{Sink, Subscription};

/// A request as it was published.
#[derive(Debug)]
pub(crate) struct Asked {
    /// The account it was published in.
    pub(crate) account: Arc<str>,
    /// It came in by the system account's own door, and may ask everything.
    pub(crate) is_system: bool,
    pub(crate) subject: Bytes,
    pub(crate) reply: Bytes,
    pub(crate) payload: Bytes,
}

/// What every account may ask about itself.
const FOR_EVERYBODY: [&str; 3] = [
    "$SYS.REQ.ACCOUNT.PING.CONNZ",
    "$SYS.REQ.ACCOUNT.PING.STATZ",
    "$SYS.REQ.SERVER.PING.CONNZ",
];

/// The door of one account.
pub(crate) struct Door {
    account: Arc<str>,
    is_system: bool,
    queue: mpsc::Sender<Asked>,
    interests: Mutex<Vec<Arc<Subscription>>>,
}

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Door")
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}

impl Door {
    /// The door of an account like any other. It stays open for as long as the account is there.
    pub(super) fn for_account(account: &Arc<Account>, queue: mpsc::Sender<Asked>) {
        let filters = FOR_EVERYBODY.map(str::to_owned);
        let door = Self::new(account, false, queue);
        let _ = door.open(account, filters);
    }

    /// The door of the system account. What the account had before as any other is closed.
    pub(super) fn for_system(
        account: &Arc<Account>,
        queue: mpsc::Sender<Asked>,
        server_id: &str,
    ) -> Arc<Self> {
        for interest in account.subscriptions() {
            if matches!(interest.sink, Sink::System(_)) {
                account.unsubscribe(&interest);
            }
        }
        let of_server = OF_SERVER.iter().flat_map(|(name, _)| {
            let ping = format!("$SYS.REQ.SERVER.PING.{name}");
            [ping, format!("$SYS.REQ.SERVER.{server_id}.{name}")]
        });
        let of_account = OF_ACCOUNT.iter();
        let of_account = of_account.map(|(name, _)| format!("$SYS.REQ.ACCOUNT.*.{name}"));
        let ping = ["$SYS.REQ.SERVER.PING".to_owned()];
        let door = Self::new(account, true, queue);
        door.open(account, ping.into_iter().chain(of_server).chain(of_account))
    }

    fn new(account: &Account, is_system: bool, queue: mpsc::Sender<Asked>) -> Self {
        Self {
            account: account.name.as_str().into(),
            is_system,
            queue,
            interests: Mutex::default(),
        }
    }

    fn open(self, account: &Account, filters: impl IntoIterator<Item = String>) -> Arc<Self> {
        let door = Arc::new(self);
        for filter in filters {
            let sink = Sink::System(door.clone());
            let interest = Subscription::new(filter.as_bytes(), None, b"", sink);
            account.subscribe(interest.clone());
            if door.is_system {
                door.lock().push(interest);
            }
        }
        door
    }

    /// Ends the interest in requests.
    pub(super) fn close(&self, account: &Account) {
        for interest in self.lock().drain(..) {
            account.unsubscribe(&interest);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Subscription>>> {
        self.interests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a request; false where too many wait already, and then the requester hears that nobody responds. One without
    /// a reply subject is done all the same, for what it does.
    pub(crate) fn take(&self, subject: &[u8], reply: &[u8], payload: Bytes) -> bool {
        let asked = Asked {
            account: self.account.clone(),
            is_system: self.is_system,
            subject: Bytes::copy_from_slice(subject),
            reply: Bytes::copy_from_slice(reply),
            payload,
        };
        self.queue.try_send(asked).is_ok()
    }
}
