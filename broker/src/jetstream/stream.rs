//! One stream, for code inside the process.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use storage::stream::{
    Appended, Purge, ReadLimit, Rollup, Sequence, StoredMessage, Stream, StreamState,
    SubjectPattern,
};

use super::capture::{Capture, Captured};
use super::config::{Retention, StreamConfig, Timestamp};
use super::consumer::{Consumers, End, PullConsumer};
use super::context::AccountContext;
use super::error::StreamError;
use super::owner::Owner;
use super::publish::outlet::Follow;
use super::publish::rules::Rules;
use super::source::Origins;
use crate::interest::subscription::{Sink, Subscription};
use crate::proto::headers::Headers;
use crate::router::Router;
use crate::subject::{self, Subject};

/// A message is in the stream, and would survive a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PubAck {
    /// Its sequence; of the first one when it is a duplicate.
    pub sequence: Sequence,
    /// The message id was seen before and nothing was stored.
    pub duplicate: bool,
    /// When it was stored, in nanoseconds since 1970.
    pub timestamp: u64,
}

/// Conditions and properties of a publish; the default has none.
#[derive(Debug, Clone, Default)]
pub struct PublishOptions {
    /// The same id within the stream's duplicate window is stored once.
    pub message_id: Option<String>,
    /// Last sequence the stream must have.
    pub expected_last_sequence: Option<Sequence>,
    /// Last sequence the subject must have; 0: it has no message.
    pub expected_last_subject_sequence: Option<Sequence>,
    /// Life time of this message alone.
    pub ttl: Option<Duration>,
    /// Which older messages this one replaces.
    pub rollup: Option<Rollup>,
}

/// A stream. Clones share it.
#[derive(Clone)]
pub struct StreamHandle {
    inner: Arc<Inner>,
}

struct Inner {
    stream: Stream,
    context: Arc<AccountContext>,
    config: RwLock<Arc<StreamConfig>>,
    created: Timestamp,
    consumers: Consumers,
    origins: Origins,
    capture: Arc<Capture>,
    interests: Mutex<Vec<Arc<Subscription>>>,
    router: Mutex<Router>,
}

impl std::fmt::Debug for StreamHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamHandle")
            .field("name", &self.config().name)
            .finish_non_exhaustive()
    }
}

impl StreamHandle {
    /// Takes over an open stream and brings its consumers back.
    ///
    /// # Errors
    /// What is stored beside the stream cannot be read.
    pub(crate) async fn open(
        stream: Stream,
        context: Arc<AccountContext>,
    ) -> Result<Self, StreamError> {
        let owner = Owner::read(&stream.config())?;
        let consumers = Consumers::open(&stream, &context, &owner.config).await?;
        let inner = Inner {
            capture: Capture::new(
                stream.clone(),
                consumers.clone(),
                context.clone(),
                Rules::from_config(&owner.config, context.server.config.domain.as_deref()),
            ),
            consumers,
            config: RwLock::new(Arc::new(owner.config)),
            created: owner.created,
            origins: Origins::default(),
            stream,
            interests: Mutex::default(),
            router: Mutex::new(Router::new(context.account.clone())),
            context,
        };
        inner.capture.recover_schedules().await?;
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Subscribes the stream to its subjects.
    pub(crate) fn start_capture(&self) {
        let subscribe = |subject: &String| {
            let sink = Sink::Stream(self.inner.capture.clone());
            let interest = Subscription::new(subject.as_bytes(), None, b"", sink);
            self.inner.context.account.subscribe(interest.clone());
            interest
        };
        let interests = self.config().subjects.iter().map(subscribe).collect();
        let before = std::mem::replace(&mut *self.lock_interests(), interests);
        for interest in before {
            self.inner.context.account.unsubscribe(&interest);
        }
    }

    pub(crate) fn stop_capture(&self) {
        for interest in self.lock_interests().drain(..) {
            self.inner.context.account.unsubscribe(&interest);
        }
    }

    /// Takes a configuration that was checked. Lowered limits apply at once.
    ///
    /// # Errors
    /// Storage refuses it or failed; the old one is in force then.
    pub(crate) async fn update(&self, config: StreamConfig) -> Result<(), StreamError> {
        let owner = Owner::new(config, self.inner.created);
        let mut stored = owner.to_storage();
        // Where it began is no more to be changed.
        stored.first_sequence = self.inner.stream.config().first_sequence;
        self.inner.stream.update(stored).await?;
        let old = self.config();
        *self
            .inner
            .config
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Arc::new(owner.config);
        let domain = self.inner.context.server.config.domain.as_deref();
        let rules = Rules::from_config(&self.config(), domain);
        self.inner.capture.set_rules(rules);
        self.inner.consumers.set_retention(self.config().retention);
        if old.subjects != self.config().subjects {
            self.start_capture();
        }
        if old.retention == Retention::Limits && self.config().retention == Retention::Interest {
            self.inner.consumers.sweep(false).await?;
        }
        Ok(())
    }

    /// Ends capture and consumers: the stream closes or is removed.
    pub(crate) async fn stop(&self, end: End) {
        self.stop_capture();
        self.inner.capture.stop();
        self.inner.consumers.stop(end).await;
    }

    /// The consumers of the stream.
    pub(crate) fn consumers(&self) -> &Consumers {
        &self.inner.consumers
    }

    /// What it shares with the other streams of its account.
    pub(crate) fn context(&self) -> &Arc<AccountContext> {
        &self.inner.context
    }

    /// Where its messages come from, other than from publishers.
    pub(crate) fn origins(&self) -> &Origins {
        &self.inner.origins
    }

    /// What publishers and origins are held to at present.
    pub(crate) fn rules(&self) -> Arc<Rules> {
        self.inner.capture.rules()
    }

    /// Publishes again what an origin brought.
    pub(crate) fn republish(&self, rules: &Rules, follows: &[Follow], stored: Vec<Appended>) {
        self.inner.capture.republish(rules, follows, stored);
    }

    /// Whether both are the same open stream, and not only of the same name.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    /// When it was made.
    pub(crate) fn created(&self) -> Timestamp {
        self.inner.created
    }

    fn lock_interests(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Subscription>>> {
        self.inner
            .interests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn storage(&self) -> &Stream {
        &self.inner.stream
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> Arc<StreamConfig> {
        self.inner
            .config
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Stores a message and waits until it is durable; then plain subscribers of its subject get it too.
    ///
    /// # Errors
    /// The stream does not take the subject, a condition does not hold, or the stream is full; nothing was stored.
    pub async fn publish(
        &self,
        subject: &str,
        mut headers: Headers,
        payload: impl Into<Bytes>,
        options: PublishOptions,
    ) -> Result<PubAck, StreamError> {
        let invalid = || StreamError::Subject {
            subject: subject.to_owned(),
        };
        let checked = Subject::parse(subject).map_err(|_| invalid())?;
        let config = self.config();
        if !config
            .subjects
            .iter()
            .any(|filter| subject::matches(filter.as_bytes(), checked.as_bytes()))
        {
            return Err(StreamError::NotCaptured {
                name: config.name.clone(),
                subject: subject.to_owned(),
            });
        }
        if let Some(id) = &options.message_id {
            headers.insert("Nats-Msg-Id", id);
        }
        if let Some(ttl) = options.ttl {
            headers.insert("Nats-TTL", ttl.as_secs().max(1).to_string());
        }
        match options.rollup {
            Some(Rollup::Subject) => headers.insert("Nats-Rollup", "sub"),
            Some(Rollup::All) => headers.insert("Nats-Rollup", "all"),
            None => {}
        }
        let headers = headers.to_block();
        let payload = payload.into();
        let message = Captured {
            subject: Bytes::copy_from_slice(checked.as_bytes()),
            reply: Bytes::new(),
            headers: headers.clone(),
            payload: payload.clone(),
        };
        let stored = self.inner.capture.publish(message, |append| {
            append.ttl = options.ttl;
            append.expected.last_sequence = options.expected_last_sequence;
            append.expected.last_subject_sequence = options.expected_last_subject_sequence;
        });
        let appended = stored.await?;
        if !appended.duplicate {
            let mut router = self
                .inner
                .router
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            router.publish_stored(checked.as_bytes(), &headers, &payload);
        }
        Ok(PubAck {
            sequence: appended.sequence,
            duplicate: appended.duplicate,
            timestamp: appended.timestamp,
        })
    }

    /// A consumer of everything that matches `filter` (`None`: of everything). A durable name has its cursor in the stream's
    /// file and goes on where it was acknowledged last, also after a crash.
    ///
    /// One consumer of a name at a time: two would overwrite each other's cursor.
    ///
    /// # Errors
    /// The filter is malformed or the cursor cannot be read.
    pub async fn consumer(
        &self,
        durable: &str,
        filter: Option<&str>,
    ) -> Result<PullConsumer, StreamError> {
        PullConsumer::open(self.inner.stream.clone(), durable, pattern(filter)?).await
    }

    /// A consumer of everything stored from now on, for as long as it is held: it has no durable cursor.
    #[must_use]
    pub fn consumer_from_now(&self) -> PullConsumer {
        PullConsumer::from_now(self.inner.stream.clone())
    }

    /// The message of that sequence, if it is still held.
    ///
    /// # Errors
    /// Storage failed.
    pub async fn message(&self, sequence: Sequence) -> Result<Option<StoredMessage>, StreamError> {
        Ok(self.inner.stream.message(sequence).await?)
    }

    /// The newest message of a subject.
    ///
    /// # Errors
    /// Storage failed.
    pub async fn last_for_subject(
        &self,
        subject: &str,
    ) -> Result<Option<StoredMessage>, StreamError> {
        Ok(self
            .inner
            .stream
            .last_for_subject(subject.as_bytes())
            .await?)
    }

    /// Messages from a sequence on, oldest first, at most 1 MiB of them.
    ///
    /// # Errors
    /// The filter is malformed or storage failed.
    pub async fn read(
        &self,
        from: Sequence,
        filter: Option<&str>,
        messages_max: usize,
    ) -> Result<Vec<StoredMessage>, StreamError> {
        let pattern = pattern(filter)?;
        Ok(self
            .inner
            .stream
            .read(from, pattern.as_ref(), ReadLimit::messages(messages_max))
            .await?)
    }

    /// Removes messages: those of a filter, or all. Returns how many.
    ///
    /// # Errors
    /// The filter is malformed, the stream forbids it, or storage failed.
    pub async fn purge(&self, filter: Option<&str>) -> Result<u64, StreamError> {
        let purge = Purge {
            filter: pattern(filter)?,
            ..Purge::default()
        };
        Ok(self.inner.stream.purge(purge).await?)
    }

    /// Figures of the stream.
    #[must_use]
    pub fn state(&self) -> StreamState {
        self.inner.stream.state()
    }
}

/// Checks an optional filter.
pub(crate) fn pattern(filter: Option<&str>) -> Result<Option<SubjectPattern>, StreamError> {
    filter
        .map(|text| {
            SubjectPattern::parse(text).ok_or_else(|| StreamError::Subject {
                subject: text.to_owned(),
            })
        })
        .transpose()
}
