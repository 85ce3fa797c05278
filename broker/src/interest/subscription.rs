//! One subscription and where its messages go.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use crate::account::Account;
use crate::client::local::LocalQueue;
use crate::client::request::Replies;
use crate::crossing::responses::Responses;
use crate::crossing::service::ServiceCrossing;
use crate::crossing::stream::Shadow;
use crate::jetstream::api::Api;
use crate::jetstream::capture::Capture;
use crate::jetstream::consumer::{Consumer, Door as ConsumerDoor};
use crate::leaf::link::Link;
use crate::session::connection::Connection;
use crate::session::profile::Profile;
use crate::system::Door;
use crate::user_info::UserInfo;

/// Where messages go: an enum, so that a delivery is a branch and not a virtual call.
#[derive(Debug)]
pub(crate) enum Sink {
    /// A client connection, with what it was allowed when it subscribed.
    Connection(Arc<Connection>, Arc<Profile>),
    /// An in-process subscription.
    Local(Arc<LocalQueue>),
    /// The inbox of an in-process client.
    Replies(Arc<Replies>),
    /// A stream.
    Stream(Arc<Capture>),
    /// The JetStream API.
    Api(Arc<Api>),
    /// Questions to the server.
    System(Arc<Door>),
    /// A consumer: what clients send to it.
    Consumer(Arc<Consumer>, ConsumerDoor),
    /// Whoever wants it beyond a link, and how many they are where they share the messages.
    Leaf(Arc<Link>, u32),
    /// A subscription of another account, which imports these messages.
    Shadow(Box<Shadow>),
    /// A service of another account.
    Service(Arc<ServiceCrossing>),
    /// Requesters of other accounts.
    Responses(Arc<Responses>),
    /// The server itself, about who asks.
    UserInfo(Arc<UserInfo>),
}

/// A subscription. The trie, routes and the owner share it.
#[derive(Debug)]
pub(crate) struct Subscription {
    /// Unique in this process, ascending.
    pub(crate) id: u64,
    pub(crate) filter: Box<[u8]>,
    pub(crate) queue: Option<Box<[u8]>>,
    /// The owner's name for it, on the wire.
    pub(crate) sid: Box<[u8]>,
    pub(crate) sink: Sink,
    delivered: AtomicU64,
    /// Deliveries after which it ends; 0 is never.
    delivered_max: AtomicU64,
    closed: AtomicBool,
    /// Where it is, once it is anywhere.
    account: OnceLock<Weak<Account>>,
    /// What stands for it in accounts that it gets messages from.
    shadows: Mutex<Vec<Arc<Self>>>,
}

/// Whether one more message may go to a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    Yes,
    /// Yes, and it is the last one.
    Last,
    No,
}

impl Subscription {
    pub(crate) fn new(filter: &[u8], queue: Option<&[u8]>, sid: &[u8], sink: Sink) -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Arc::new(Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            filter: filter.into(),
            queue: queue.map(Into::into),
            sid: sid.into(),
            sink,
            delivered: AtomicU64::new(0),
            delivered_max: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            account: OnceLock::new(),
            shadows: Mutex::default(),
        })
    }

    /// The same subscription of a connection whose profile has changed. Messages count on.
    pub(crate) fn with_profile(
        &self,
        connection: &Arc<Connection>,
        profile: &Arc<Profile>,
    ) -> Arc<Self> {
        let sink = Sink::Connection(connection.clone(), profile.clone());
        let renewed = Self::new(&self.filter, self.queue.as_deref(), &self.sid, sink);
        let copy = |from: &AtomicU64, to: &AtomicU64| {
            to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
        };
        copy(&self.delivered, &renewed.delivered);
        copy(&self.delivered_max, &renewed.delivered_max);
        renewed
    }

    /// The subscription stands in this account from now on.
    pub(crate) fn settle(&self, account: &Weak<Account>) {
        let _ = self.account.set(account.clone());
    }

    /// The account it stands in.
    pub(crate) fn account(&self) -> Option<Arc<Account>> {
        self.account.get()?.upgrade()
    }

    /// Puts new shadows in the place of the old ones, which are returned.
    pub(crate) fn set_shadows(&self, new: Vec<Arc<Self>>) -> Vec<Arc<Self>> {
        let mut shadows = self.shadows.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut shadows, new)
    }

    /// Counts one message in, if the subscription still takes one.
    #[inline]
    pub(crate) fn admit(&self) -> Admission {
        if self.is_closed() {
            return Admission::No;
        }
        let delivered = self.delivered.fetch_add(1, Ordering::Relaxed) + 1;
        match self.delivered_max.load(Ordering::Relaxed) {
            0 => Admission::Yes,
            max if delivered < max => Admission::Yes,
            max if delivered == max => Admission::Last,
            _ => Admission::No,
        }
    }

    /// Ends the subscription after `max` messages counted from its start. True: it has had them already.
    pub(crate) fn limit(&self, max: u64) -> bool {
        self.delivered_max.store(max, Ordering::Relaxed);
        self.delivered.load(Ordering::Relaxed) >= max
    }

    /// Messages it was given.
    pub(crate) fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed)
    }

    /// Messages after which it ends; 0: never.
    pub(crate) fn delivered_max(&self) -> u64 {
        self.delivered_max.load(Ordering::Relaxed)
    }

    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Whether it is the server's own, for the work between accounts.
    pub(crate) fn is_server(&self) -> bool {
        matches!(
            self.sink,
            Sink::Service(_) | Sink::Responses(_) | Sink::UserInfo(_) | Sink::System(_)
        )
    }

    /// The connection it belongs to, if any.
    pub(crate) fn connection_id(&self) -> Option<u64> {
        match &self.sink {
            Sink::Connection(connection, _) => Some(connection.id),
            Sink::Shadow(shadow) => shadow.original.connection_id(),
            _ => None,
        }
    }
}
