//! The system account: what the server tells there by itself, and what it answers there.
//!
//! Events and requests are nats-server's. Whoever is let into the system account may ask everything; the other accounts may
//! ask a few things about themselves, on the same subjects, and hear that nobody responds on all others. A task answers one
//! request after the other, so that no number of them takes more than one core.

mod answer;
mod block;
mod door;
mod events;
mod heartbeat;
mod options;
mod question;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde::Serialize;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use self::block::ServerBlock;
pub(crate) use self::door::{Asked, Door};
use crate::account::Account;
use crate::auth::AuthError;
use crate::jetstream::outbox::Outbox;
use crate::limits::SYSTEM_REQUESTS_MAX;
use crate::monitor::CloseReason;
use crate::router::Router;
use crate::server::{GLOBAL_ACCOUNT, Shared};
use crate::session::connection::Connection;

/// What a server has to do with its system account.
pub(crate) struct System {
    queue: mpsc::Sender<Asked>,
    /// Taken by the task when it starts.
    waiting: Mutex<Option<mpsc::Receiver<Asked>>>,
    place: Mutex<Option<Place>>,
    /// Messages sent, which every one of them says.
    sequence: AtomicU64,
    reload: Mutex<Option<Reload>>,
}

/// Reads the configuration again; the error is for whoever asked.
pub(crate) type Reload = Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// The account that events are published in at present.
struct Place {
    account: Arc<Account>,
    router: Router,
    door: Arc<Door>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl System {
    pub(crate) fn new() -> Self {
        let (queue, waiting) = mpsc::channel(SYSTEM_REQUESTS_MAX);
        Self {
            queue,
            waiting: Mutex::new(Some(waiting)),
            place: Mutex::new(None),
            sequence: AtomicU64::new(0),
            reload: Mutex::new(None),
        }
    }

    /// From now on this is the system account; `None`: there is none. The one before is an account like any other.
    pub(crate) fn settle(&self, account: Option<Arc<Account>>, server_id: &str) {
        let mut place = lock(&self.place);
        let is_same = match (&*place, &account) {
            (Some(place), Some(account)) => Arc::ptr_eq(&place.account, account),
            (None, None) => true,
            _ => false,
        };
        if is_same {
            return;
        }
        if let Some(before) = place.take() {
            before.door.close(&before.account);
            Door::for_account(&before.account, self.queue.clone());
        }
        *place = account.map(|account| Place {
            router: Router::new(account.clone()),
            door: Door::for_system(&account, self.queue.clone(), server_id),
            account,
        });
    }

    /// Lets a new account ask about itself.
    pub(crate) fn attach(&self, account: &Arc<Account>) {
        Door::for_account(account, self.queue.clone());
    }

    /// The name of the system account; empty where there is none.
    pub(crate) fn account_name(&self) -> String {
        let place = lock(&self.place);
        place
            .as_ref()
            .map(|place| place.account.name.clone())
            .unwrap_or_default()
    }

    /// What RELOAD does.
    pub(crate) fn set_reload(&self, reload: Reload) {
        *lock(&self.reload) = Some(reload);
    }

    async fn reload(&self) -> Result<(), String> {
        let reload = lock(&self.reload).clone();
        match reload {
            Some(reload) => reload().await,
            None => Err("this server has no configuration file to read again".to_owned()),
        }
    }

    /// Starts the tasks, once and where there is a runtime for them.
    pub(crate) fn start(&self, server: &Arc<Shared>) {
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let Some(waiting) = lock(&self.waiting).take() else {
            return;
        };
        let tasks = &server.tasks;
        tasks.spawn_on(answer(server.clone(), waiting), &runtime);
        tasks.spawn_on(heartbeat::run(server.clone()), &runtime);
    }

    /// Who the server is, for one message more.
    fn block(&self, server: &Shared) -> ServerBlock {
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed) + 1;
        ServerBlock::new(server, sequence)
    }

    /// Publishes in the system account what `make` makes, which it does only if somebody listens.
    fn publish<T: Serialize>(&self, subject: &str, make: impl FnOnce() -> T) {
        let mut place = lock(&self.place);
        let Some(place) = &mut *place else { return };
        if place.router.has_interest(subject.as_bytes()) {
            let body = serde_json::to_vec(&make()).expect("events are plain data");
            let body = Bytes::from(body);
            place.router.publish(subject.as_bytes(), b"", b"", &body);
        }
    }
}

/// Answers until the server stops.
async fn answer(server: Arc<Shared>, mut waiting: mpsc::Receiver<Asked>) {
    loop {
        let asked = tokio::select! {
            biased;
            () = server.stop.cancelled() => return,
            asked = waiting.recv() => asked,
        };
        let Some(asked) = asked else { return };
        let Some(body) = answer::to(&server, &asked).await else {
            continue;
        };
        if let Some(account) = server.known_account(&asked.account) {
            Outbox::new(account).send(asked.reply, b"", &body);
        }
    }
}

impl Shared {
    /// A client completed CONNECT.
    pub(crate) fn announce_connect(&self, connection: &Connection) {
        let account = events::account_of(connection, GLOBAL_ACCOUNT);
        let subject = format!("$SYS.ACCOUNT.{account}.CONNECT");
        self.system
            .publish(&subject, || events::connect(self, connection));
    }

    /// A link to or from a leaf node is up.
    pub(crate) fn announce_leaf(&self, connection: &Connection) {
        let account = events::account_of(connection, GLOBAL_ACCOUNT);
        let subject = format!("$SYS.ACCOUNT.{account}.LEAFNODE.CONNECT");
        self.system
            .publish(&subject, || events::leaf_connect(self, account.clone()));
        self.announce_connect(connection);
        if let Some(account) = self.known_account(&account) {
            self.announce_connections(&account);
        }
    }

    /// A client is gone, or was refused.
    pub(crate) fn announce_disconnect(&self, connection: &Connection, reason: CloseReason) {
        let event = || events::disconnect(self, connection, GLOBAL_ACCOUNT, reason.as_str());
        if reason == CloseReason::AuthenticationFailure {
            let subject = format!("$SYS.SERVER.{}.CLIENT.AUTH.ERR", self.server_id);
            self.system.publish(&subject, event);
        }
        let account = events::account_of(connection, GLOBAL_ACCOUNT);
        let subject = format!("$SYS.ACCOUNT.{account}.DISCONNECT");
        self.system.publish(&subject, event);
    }

    /// A client's CONNECT was refused: the account that the error names hears why.
    pub(crate) fn announce_refusal(&self, connection: &Connection, error: &AuthError) {
        const SUBJECT: &[u8] = b"$SYS.ACCOUNT.CLIENT.AUTH.ERR";
        let Some(account) = &error.account else {
            return;
        };
        let mut router = Router::new(self.account(account));
        if router.has_interest(SUBJECT) {
            let event = events::disconnect(self, connection, GLOBAL_ACCOUNT, &error.reason);
            let body = serde_json::to_vec(&event).expect("events are plain data");
            router.publish(SUBJECT, b"", b"", &body.into());
        }
    }

    /// An account has more or fewer connections than before.
    pub(crate) fn announce_connections(&self, account: &Account) {
        let event = || events::connections(self, account);
        for subject in [
            format!("$SYS.SERVER.ACCOUNT.{}.CONNS", account.name),
            format!("$SYS.ACCOUNT.{}.SERVER.CONNS", account.name),
        ] {
            self.system.publish(&subject, event);
        }
    }

    /// The server begins to leave: `what` is `LAMEDUCK` or `SHUTDOWN`.
    pub(crate) fn announce_end(&self, what: &str) {
        let subject = format!("$SYS.SERVER.{}.{what}", self.server_id);
        self.system.publish(&subject, || self.system.block(self));
    }
}
