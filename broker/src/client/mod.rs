//! The in-process client: the only door for code in the same process.
//!
//! It meets the world as a connection does, through subjects and interest, with two differences: messages cross as values
//! and not as bytes, and its messages carry no [`Sender`](crate::Sender), which is how a service knows that they come from inside.

pub(crate) mod local;
pub(crate) mod request;

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;

use self::local::LocalQueue;
use self::request::{Refused, Replies};
use crate::account::Account;
use crate::auth::Identity;
use crate::error::{Error, PublishError, RequestError};
use crate::interest::subscription::{Sink, Subscription as Interest};
use crate::jetstream::Streams;
use crate::message::{Message, Publish};
use crate::router::Router;
use crate::server::Shared;
use crate::subject::{Subject, SubjectFilter};

/// A client inside the server's process. Clones share everything.
///
/// Permissions of the identity do not apply: this door is for code that is trusted.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    server: Arc<Shared>,
    account: Arc<Account>,
    user: String,
    router: Mutex<Router>,
    inbox: String,
    replies: Arc<Replies>,
    inbox_interest: Arc<Interest>,
    subscriptions: Mutex<Vec<Weak<Held>>>,
}

/// The interest of a subscription; it ends when the last owner goes.
struct Held {
    account: Arc<Account>,
    interest: Arc<Interest>,
    queue: Arc<LocalQueue>,
}

impl Held {
    fn end(&self) {
        self.account.unsubscribe(&self.interest);
        self.queue.close();
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.end();
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.account.unsubscribe(&self.inbox_interest);
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("account", &self.inner.account.name)
            .field("user", &self.inner.user)
            .finish_non_exhaustive()
    }
}

impl Client {
    pub(crate) fn new(server: Arc<Shared>, account: Arc<Account>, identity: &Identity) -> Self {
        let inbox = format!("_INBOX.{:032x}", rand::random::<u128>());
        Self::with_inbox(server, account, identity, inbox)
    }

    /// A client that gets its answers below `inbox`, which nobody can guess.
    pub(crate) fn with_inbox(
        server: Arc<Shared>,
        account: Arc<Account>,
        identity: &Identity,
        inbox: String,
    ) -> Self {
        let replies = Arc::new(Replies::default());
        let filter = format!("{inbox}.*");
        let inbox_interest =
            Interest::new(filter.as_bytes(), None, b"", Sink::Replies(replies.clone()));
        account.subscribe(inbox_interest.clone());
        let inner = Inner {
            router: Mutex::new(Router::mapped(account.clone())),
            server,
            account,
            user: identity.user.clone(),
            inbox,
            replies,
            inbox_interest,
            subscriptions: Mutex::default(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Publishes a payload. It has been handed to every receiver's queue when this returns.
    ///
    /// # Errors
    /// The subject is malformed or the payload too large; nothing was published.
    pub fn publish(&self, subject: &str, payload: impl Into<Bytes>) -> Result<(), PublishError> {
        self.publish_message(Publish::new(subject, payload))
    }

    /// Publishes a message with reply subject and headers. See [`Client::publish`].
    ///
    /// # Errors
    /// A subject is malformed or the message too large; nothing was published.
    pub fn publish_message(&self, message: Publish) -> Result<(), PublishError> {
        self.route(&message).map(drop)
    }

    /// Sends a request and waits for the first answer.
    ///
    /// # Errors
    /// [`RequestError::NoResponders`] at once where nobody subscribes or the responder's queue is full,
    /// [`RequestError::TimedOut`] after `timeout`.
    pub async fn request(
        &self,
        subject: &str,
        payload: impl Into<Bytes>,
        timeout: Duration,
    ) -> Result<Message, RequestError> {
        self.request_message(Publish::new(subject, payload), timeout)
            .await
    }

    /// As [`Client::request`], with headers; the reply subject is the client's own whatever the message says.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn request_message(
        &self,
        message: Publish,
        timeout: Duration,
    ) -> Result<Message, RequestError> {
        let requests_max = self.inner.server.config.limits.requests_max;
        let mut ticket =
            self.inner
                .replies
                .wait(requests_max)
                .map_err(|refused| match refused {
                    Refused::TooMany(waiting) => RequestError::TooMany { waiting },
                    Refused::Closed => RequestError::Closed,
                })?;
        let message = message.with_reply(format!("{}.{}", self.inner.inbox, ticket.token));
        let subject = || message.subject.clone();
        if !self.route(&message)? {
            return Err(RequestError::NoResponders { subject: subject() });
        }
        match tokio::time::timeout(timeout, &mut ticket.answer).await {
            Ok(Ok(answer)) if answer.headers.status() == Some(503) && answer.payload.is_empty() => {
                Err(RequestError::NoResponders { subject: subject() })
            }
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(RequestError::Closed),
            Err(_elapsed) => Err(RequestError::TimedOut { subject: subject() }),
        }
    }

    /// Answers a message; without a reply subject there is nothing to answer.
    ///
    /// # Errors
    /// The payload is too large.
    pub fn respond(
        &self,
        message: &Message,
        payload: impl Into<Bytes>,
    ) -> Result<(), PublishError> {
        match &message.reply {
            Some(reply) => self.publish(reply.as_str(), payload),
            None => Ok(()),
        }
    }

    /// Subscribes to everything that matches `filter`. Interest stands when this returns.
    ///
    /// # Errors
    /// The filter is malformed.
    pub fn subscribe(&self, filter: &str) -> Result<Subscription, Error> {
        self.add_subscription(filter, None)
    }

    /// Subscribes as one of a queue group: each message goes to one member.
    ///
    /// # Errors
    /// The filter is malformed.
    pub fn queue_subscribe(&self, filter: &str, group: &str) -> Result<Subscription, Error> {
        self.add_subscription(filter, Some(group))
    }

    /// The streams of the client's account.
    #[must_use]
    pub fn streams(&self) -> Streams {
        Streams::new(self.inner.server.clone(), self.inner.account.clone())
    }

    /// Whether somebody in the account would get a message on `subject` now.
    #[must_use]
    pub fn has_interest(&self, subject: &str) -> bool {
        let (_, matches) = self.inner.account.matches(subject.as_bytes());
        !matches.plain.is_empty() || !matches.queues.into_groups().is_empty()
    }

    /// Ends all subscriptions of this client and its clones: no new messages, queued ones can still be read. Waiting
    /// requests end with [`RequestError::Closed`].
    pub fn drain(&self) {
        let held = std::mem::take(
            &mut *self
                .inner
                .subscriptions
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        for subscription in held.iter().filter_map(Weak::upgrade) {
            subscription.end();
        }
        self.inner.replies.close();
    }

    fn add_subscription(&self, filter: &str, group: Option<&str>) -> Result<Subscription, Error> {
        let invalid = |source| Error::Subject {
            subject: filter.to_owned(),
            source,
        };
        SubjectFilter::parse(filter).map_err(invalid)?;
        let limits = &self.inner.server.config.limits;
        let queue = LocalQueue::new(
            limits.local_pending_messages_max,
            limits.local_pending_bytes_max,
            self.inner.server.counters.clone(),
        );
        let sink = Sink::Local(queue.clone());
        let interest = Interest::new(filter.as_bytes(), group.map(str::as_bytes), b"", sink);
        self.inner.account.subscribe(interest.clone());
        let account = self.inner.account.clone();
        let held = Arc::new(Held {
            account,
            interest,
            queue,
        });
        let mut all = self
            .inner
            .subscriptions
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        all.retain(|other| other.strong_count() > 0);
        all.push(Arc::downgrade(&held));
        Ok(Subscription { held })
    }

    fn route(&self, message: &Publish) -> Result<bool, PublishError> {
        let check = |subject: &str| {
            Subject::parse(subject).map_err(|source| PublishError::Subject {
                subject: subject.to_owned(),
                source,
            })
        };
        check(&message.subject)?;
        let reply = message.reply.as_deref().unwrap_or("");
        if !reply.is_empty() {
            check(reply)?;
        }
        let headers = message.headers.to_block();
        let len_bytes = headers.len() + message.payload.len();
        let max_bytes = self.inner.server.config.limits.payload_bytes_max;
        if len_bytes > max_bytes {
            return Err(PublishError::PayloadTooLarge {
                len_bytes,
                max_bytes,
            });
        }
        let mut router = self
            .inner
            .router
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Ok(router.publish(
            message.subject.as_bytes(),
            reply.as_bytes(),
            &headers,
            &message.payload,
        ))
    }
}

/// Messages for one in-process subscription. Dropping it ends the interest.
///
/// At most `Limits::local_pending_messages_max` messages and `Limits::local_pending_bytes_max` bytes wait in it; beyond that
/// new ones are refused and counted, and a requester hears at once that nobody answers.
pub struct Subscription {
    held: Arc<Held>,
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let filter = String::from_utf8_lossy(&self.held.interest.filter);
        f.debug_struct("Subscription")
            .field("filter", &filter)
            .finish_non_exhaustive()
    }
}

impl Subscription {
    /// The next message; `None` once the subscription is drained and empty. Cancel-safe.
    pub async fn next(&mut self) -> Option<Message> {
        self.held.queue.pop().await
    }

    /// Ends the interest; what is queued can still be read with [`Subscription::next`].
    pub fn drain(&self) {
        self.held.end();
    }
}
