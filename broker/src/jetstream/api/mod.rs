//! The JetStream API: requests on `$JS.API.>` and `$JS.<domain>.API.>`, answered in JSON.
//!
//! [`Api`] is the sink of those subjects in one account. Most requests wait in a bounded queue for the account's one task,
//! so they are done in the order they came. What is part of the flow of messages (direct gets, pulls) takes no part in
//! that: it goes straight to its stream or consumer when the publisher's batch ends, and where there is none the
//! requester hears that nobody responds. `$JS.<domain>.API.$KV.>` and `.$OBJ.>` are no requests but keys and objects under
//! the name of the domain, as clients beyond a leaf link publish them.

mod account;
pub(crate) mod audit;
mod backup;
mod consumer;
pub(crate) mod decode;
mod direct;
mod message;
pub(crate) mod response;
mod stream;
pub(crate) mod stream_info;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use tokio::sync::mpsc;

use self::direct::{Begun, DirectGet};
use self::response::Answer;
use super::context::Context;
use super::error_code::{self as code, ApiError};
use super::outbox::Outbox;
use super::registry::AccountStreams;
use super::stream::StreamHandle;
use crate::account::Account;
use crate::interest::subscription::{Sink, Subscription};
use crate::proto::headers::raw_value;
use crate::proto::info::API_LEVEL;
use crate::router::Router;
use crate::session::connection::Connection;

/// The subjects of the API begin with this.
const PREFIX: &str = "$JS.API.";

/// A request as it was published. It owns its bytes.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) subject: Bytes,
    /// Where the answer goes; empty: nowhere.
    pub(crate) reply: Bytes,
    pub(crate) headers: Bytes,
    pub(crate) payload: Bytes,
    /// Who asks; `None`: code inside the process.
    pub(crate) connection: Option<Arc<Connection>>,
}

impl Request {
    fn len_bytes(&self) -> usize {
        self.subject.len() + self.reply.len() + self.headers.len() + self.payload.len()
    }
}

/// Who takes a request.
#[derive(Debug)]
pub(crate) enum Target {
    /// The account's API task.
    Api(Arc<Api>),
    /// A stream that gives its messages away.
    Direct(DirectGet),
    /// No request: data under the name of the domain, for the account where it is itself.
    Data(Arc<Account>),
    /// Nobody, and nobody says so: the API has no such call.
    Nobody,
}

/// Requests of a publisher's batch on their way.
pub(crate) type Requests = Vec<(Target, Request)>;

/// Hands over the requests of a batch, in order.
pub(crate) fn dispatch(requests: &mut Requests) {
    let mut begun = Begun::default();
    for (target, request) in requests.drain(..) {
        match target {
            Target::Api(api) => api.push(request),
            Target::Direct(get) => begun.start(get, request),
            Target::Data(account) => publish_data(account, &request),
            Target::Nobody => {}
        }
    }
    begun.finish();
}

/// Publishes what came under the name of the domain as if it had come without. The router is made for it: the one that
/// hands this over may be anybody's.
fn publish_data(account: Arc<Account>, request: &Request) {
    if let Some(subject) = data_subject(&request.subject) {
        let mut router = Router::new(account);
        router.publish(subject, &request.reply, &request.headers, &request.payload);
    }
}

/// What follows `$JS.<domain>.API.` where it is a key or a part of an object.
fn data_subject(subject: &[u8]) -> Option<&[u8]> {
    let rest = subject.strip_prefix(b"$JS.")?;
    let domain_len = rest.iter().position(|byte| *byte == b'.')?;
    let data = rest[domain_len..].strip_prefix(b".API.")?;
    (data.starts_with(b"$KV.") || data.starts_with(b"$OBJ.")).then_some(data)
}

/// The API of one account. It is there whether or not JetStream is enabled for the account.
pub(crate) struct Api {
    account: Arc<Account>,
    context: Arc<Context>,
    streams: OnceLock<Arc<AccountStreams>>,
    queue: mpsc::Sender<Request>,
    /// Taken by the task when it starts.
    waiting: Mutex<Option<mpsc::Receiver<Request>>>,
    waiting_bytes: AtomicUsize,
    outbox: Outbox,
    interests: Mutex<Vec<Arc<Subscription>>>,
    pub(crate) total: AtomicU64,
    pub(crate) errors: AtomicU64,
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Api")
            .field("account", &self.account.name)
            .finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Api {
    /// Subscribes the API in an account. It answers that JetStream is not enabled until [`Api::enable`].
    pub(crate) fn attach(account: &Arc<Account>, context: &Arc<Context>) -> Arc<Self> {
        let (queue, waiting) = mpsc::channel(context.config.limits.requests_max.max(1));
        let api = Arc::new(Self {
            account: account.clone(),
            context: context.clone(),
            streams: OnceLock::new(),
            queue,
            waiting: Mutex::new(Some(waiting)),
            waiting_bytes: AtomicUsize::new(0),
            outbox: Outbox::new(account.clone()),
            interests: Mutex::default(),
            total: AtomicU64::new(0),
            errors: AtomicU64::new(0),
        });
        let mut filters = vec!["$JS.API.>".to_owned()];
        filters.extend(
            context
                .config
                .domain
                .iter()
                .map(|domain| format!("$JS.{domain}.API.>")),
        );
        for filter in filters {
            let interest = Subscription::new(filter.as_bytes(), None, b"", Sink::Api(api.clone()));
            account.subscribe(interest.clone());
            lock(&api.interests).push(interest);
        }
        api
    }

    /// JetStream is enabled for the account: from now on a task answers.
    pub(crate) fn enable(self: &Arc<Self>, streams: Arc<AccountStreams>) {
        if self.streams.set(streams).is_err() {
            return;
        }
        let Some(waiting) = lock(&self.waiting).take() else {
            return;
        };
        let api = self.clone();
        self.context.tasks.spawn(api.run(waiting));
    }

    /// The account's streams, once JetStream is enabled for it.
    pub(crate) fn streams(&self) -> Option<&Arc<AccountStreams>> {
        self.streams.get()
    }

    /// Ends the interest in requests.
    pub(crate) fn detach(&self) {
        for interest in lock(&self.interests).drain(..) {
            self.account.unsubscribe(&interest);
        }
    }

    /// Who takes a request on this subject; `None`: nobody, and the requester is to hear it.
    pub(crate) fn target(self: &Arc<Self>, subject: &[u8]) -> Option<Target> {
        let Some(call) = self.call_of(subject) else {
            return Some(Target::Nobody);
        };
        if let Some(data) = data_subject(subject) {
            let is_wanted = self.account.has_interest(data, None);
            return is_wanted.then(|| Target::Data(self.account.clone()));
        }
        if let Some(rest) = call.strip_prefix("DIRECT.GET") {
            return self.direct_get(rest.strip_prefix('.')?);
        }
        if call.starts_with("CONSUMER.MSG.NEXT") {
            return None;
        }
        Some(Target::Api(self.clone()))
    }

    /// The stream that gives its messages away under this name: its own, or that of its origin.
    fn direct_get(&self, call: &str) -> Option<Target> {
        let (name, subject) = match call.split_once('.') {
            Some((name, subject)) => (name, Some(subject)),
            None => (call, None),
        };
        let streams = self.streams.get()?;
        let stream = match streams.find(name) {
            Some(stream) => Some(stream).filter(|stream| stream.config().allow_direct),
            None => streams.direct_mirror(name),
        };
        Some(Target::Direct(DirectGet::new(stream?, subject)))
    }

    /// What follows the prefix of the API.
    fn call_of<'a>(&self, subject: &'a [u8]) -> Option<&'a str> {
        let subject = std::str::from_utf8(subject).ok()?;
        if let Some(call) = subject.strip_prefix(PREFIX) {
            return Some(call);
        }
        let domain = self.context.config.domain.as_deref()?;
        subject
            .strip_prefix("$JS.")?
            .strip_prefix(domain)?
            .strip_prefix(".API.")
    }

    /// Queues a request; one too many is refused at once.
    fn push(&self, request: Request) {
        let len = request.len_bytes();
        let limits = &self.context.config.limits;
        let before = self.waiting_bytes.fetch_add(len, Ordering::Relaxed);
        let is_enabled = self.streams.get().is_some();
        let has_room = before == 0 || before + len <= limits.request_bytes_max;
        let refused = if !is_enabled {
            Err((code::NOT_ENABLED_FOR_ACCOUNT, request))
        } else if has_room {
            let pushed = self.queue.try_send(request);
            pushed.map_err(|error| (code::STREAM_TOO_MANY_REQUESTS, error.into_inner()))
        } else {
            Err((code::STREAM_TOO_MANY_REQUESTS, request))
        };
        let Err((error, request)) = refused else {
            return;
        };
        self.waiting_bytes.fetch_sub(len, Ordering::Relaxed);
        self.total.fetch_add(1, Ordering::Relaxed);
        self.errors.fetch_add(1, Ordering::Relaxed);
        let call = self.call_of(&request.subject).unwrap_or_default();
        if let Some(answer) = refusal(call, error.into()) {
            self.outbox.send(request.reply, b"", &answer.body);
        }
    }

    /// Answers until the server stops.
    async fn run(self: Arc<Self>, mut waiting: mpsc::Receiver<Request>) {
        loop {
            let request = tokio::select! {
                biased;
                () = self.context.stop.cancelled() => return,
                request = waiting.recv() => request,
            };
            let Some(request) = request else { return };
            self.waiting_bytes
                .fetch_sub(request.len_bytes(), Ordering::Relaxed);
            self.handle(&request).await;
        }
    }

    async fn handle(&self, request: &Request) {
        let (Some(call), Some(streams)) = (self.call_of(&request.subject), self.streams.get())
        else {
            return;
        };
        let asked = Asked {
            api: self,
            context: &self.context,
            streams,
            request,
        };
        let answer = match check_level(request) {
            Ok(()) => asked.answer(call).await,
            Err(error) => refusal(call, error),
        };
        let Some(answer) = answer else { return };
        self.total.fetch_add(1, Ordering::Relaxed);
        if answer.is_error {
            self.errors.fetch_add(1, Ordering::Relaxed);
        }
        let is_read = call.starts_with("STREAM.MSG.GET.");
        if answer.is_error || !is_read {
            audit::publish(asked, &answer);
        }
        self.outbox.send(request.reply.clone(), b"", &answer.body);
    }
}

/// A client may say which level of the API it cannot do without.
fn check_level(request: &Request) -> Result<(), ApiError> {
    let Some(level) = raw_value(&request.headers, "Nats-Required-Api-Level") else {
        return Ok(());
    };
    let level = std::str::from_utf8(level)
        .ok()
        .and_then(|level| level.trim().parse::<u32>().ok());
    match level {
        Some(level) if level <= API_LEVEL => Ok(()),
        _ => Err(code::REQUIRED_API_LEVEL.into()),
    }
}

/// A request and all that is needed to answer it.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) api: &'a Api,
    pub(crate) context: &'a Arc<Context>,
    pub(crate) streams: &'a Arc<AccountStreams>,
    pub(crate) request: &'a Request,
}

impl Asked<'_> {
    /// Whether members that nobody knows are refused.
    pub(crate) fn strict(self) -> bool {
        self.context.config.strict
    }

    /// The stream of that name.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn stream(self, name: &str) -> Result<StreamHandle, ApiError> {
        let found = self.streams.find(name);
        found.ok_or_else(|| code::STREAM_NOT_FOUND.into())
    }

    /// Does what is asked. `None`: there is no such call, and nobody answers it.
    async fn answer(self, call: &str) -> Option<Answer> {
        let tokens: Vec<&str> = call.split('.').collect();
        match tokens[..] {
            ["INFO"] => Some(account::info(self)),
            ["STREAM", ref rest @ ..] => stream::answer_call(self, rest).await,
            ["CONSUMER", ref rest @ ..] => consumer::answer_call(self, rest).await,
            _ => None,
        }
    }
}

/// The answer to a call that is refused before it is looked at.
fn refusal(call: &str, error: ApiError) -> Option<Answer> {
    let tokens: Vec<&str> = call.split('.').collect();
    match tokens[..] {
        ["INFO"] => Some(response::answer::<account::AccountInfo<'_>>(Err(error))),
        ["STREAM", ref rest @ ..] => stream::refusal(rest, error),
        ["CONSUMER", ref rest @ ..] => consumer::refusal(rest, error),
        _ => None,
    }
}
