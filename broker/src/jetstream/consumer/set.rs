//! All consumers of one stream: making, finding, changing and removing them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use storage::stream::{
    Reader, ReaderStart, Sequence, StorageKind, StoredConsumer, Stream, SubjectPattern,
};
use tokio_util::task::TaskTracker;

use super::advisory::{About, Notice};
use super::clock::Clock;
use super::driver::{Driver, Ended};
use super::handle::{Consumer, End, Stored};
use super::info::ConsumerInfo;
use super::mail::Door;
use super::retention::Siblings;
use super::saver::Saver;
use super::{ack, machine::Machine, push};
use crate::interest::subscription::{Sink, Subscription};
use crate::jetstream::config::{
    AckPolicy, ConsumerConfig, DeliverPolicy, Retention, StreamConfig, Timestamp, metadata,
};
use crate::jetstream::context::AccountContext;
use crate::jetstream::error_code::{self as code, ApiError};
use crate::subject;

/// The consumers of one stream.
#[derive(Clone)]
pub(crate) struct Consumers {
    pub(super) inner: Arc<Inner>,
}

impl std::fmt::Debug for Consumers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Consumers")
            .field(&self.inner.stream)
            .finish()
    }
}

pub(super) struct Inner {
    pub(super) stream: Stream,
    context: Arc<AccountContext>,
    pub(super) retention: Mutex<Retention>,
    open: Mutex<BTreeMap<String, Open>>,
    /// Held while a consumer is made, changed or removed.
    changes: tokio::sync::Mutex<()>,
    tasks: TaskTracker,
}

/// A consumer and the interest that brings it its mail.
struct Open {
    consumer: Arc<Consumer>,
    interests: Vec<Arc<Subscription>>,
}

/// What happens where a consumer of the name is there, or is not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
pub(crate) enum Action {
    /// It is made, or changed.
    #[default]
    #[serde(rename = "")]
    CreateOrUpdate,
    /// It must not be there, unless it is the same.
    #[serde(rename = "create")]
    Create,
    /// It must be there.
    #[serde(rename = "update")]
    Update,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inner {
    /// When messages go.
    pub(super) fn retention(&self) -> Retention {
        *lock(&self.retention)
    }

    /// Whether the predicate holds for any of them, those that clients do not see too.
    pub(super) fn any(&self, predicate: impl Fn(&Consumer) -> bool) -> bool {
        let open = lock(&self.open);
        open.values().any(|open| predicate(&open.consumer))
    }

    /// All of them, those that clients do not see too.
    pub(super) fn open(&self) -> Vec<Arc<Consumer>> {
        let open = lock(&self.open);
        open.values().map(|open| open.consumer.clone()).collect()
    }
}

impl Consumers {
    /// Brings the consumers back that are kept in the stream's file.
    ///
    /// # Errors
    /// They cannot be read.
    pub(crate) async fn open(
        stream: &Stream,
        context: &Arc<AccountContext>,
        config: &StreamConfig,
    ) -> Result<Self, storage::Error> {
        let inner = Inner {
            stream: stream.clone(),
            context: context.clone(),
            retention: Mutex::new(config.retention),
            open: Mutex::default(),
            changes: tokio::sync::Mutex::new(()),
            tasks: TaskTracker::new(),
        };
        let consumers = Self {
            inner: Arc::new(inner),
        };
        for stored in stream.consumers().await? {
            consumers.bring_back(stored);
        }
        if config.retention != Retention::Limits {
            consumers.sweep(true).await?;
        }
        Ok(consumers)
    }

    fn bring_back(&self, row: StoredConsumer) {
        // Cursors of consumers inside the process have nothing of ours in them.
        let Some(stored) = Stored::read(&row.owner) else {
            return;
        };
        let clock = Clock::start();
        let stream = self.inner.stream.clone();
        let name = row.name;
        let start = match &row.cursor {
            Some(cursor) => ReaderStart::Sequence(cursor.delivered.next()),
            None => self.start_of(&stored.config),
        };
        let reader = stream.reader(
            stored
                .config
                .filters()
                .filter_map(SubjectPattern::parse)
                .collect(),
            start,
        );
        let first = reader.position().0;
        let rules = stored.config.rules();
        let stream_name = self.stream_name();
        let mut machine = Machine::new(&stream_name, &name, rules, first, clock.now());
        if let Some(cursor) = &row.cursor {
            machine.restore(cursor);
        }
        let consumer = Consumer::new(
            stream,
            self.about(&name),
            stored.created,
            stored.config,
            machine,
            clock,
        );
        self.run(consumer, reader);
    }

    fn stream_name(&self) -> String {
        self.inner.stream.config().name.clone()
    }

    fn about(&self, consumer: &str) -> About {
        About {
            context: self.inner.context.clone(),
            stream: self.stream_name(),
            consumer: consumer.to_owned(),
        }
    }

    /// Where a new consumer begins.
    fn start_of(&self, config: &ConsumerConfig) -> ReaderStart {
        let stream = &self.inner.stream;
        let state = stream.state();
        ReaderStart::Sequence(match config.deliver_policy {
            DeliverPolicy::LastPerSubject => return ReaderStart::LastPerSubject,
            DeliverPolicy::All => state.first.max(Sequence(1)),
            DeliverPolicy::New => state.last.next(),
            DeliverPolicy::Last => {
                let filters: Vec<_> = config.filters().filter_map(SubjectPattern::parse).collect();
                stream.last_matching(&filters).unwrap_or(state.last.next())
            }
            DeliverPolicy::ByStartSequence => Sequence(config.opt_start_seq).max(state.first),
            DeliverPolicy::ByStartTime => {
                stream.sequence_at(config.opt_start_time.map_or(0, |time| time.0))
            }
        })
    }

    /// Makes a consumer, or changes the one of that name. The configuration was checked and is normalised.
    ///
    /// # Errors
    /// Another consumer stands in the way, a limit is reached, or storage failed.
    pub(crate) async fn create(
        &self,
        stream: &StreamConfig,
        name: &str,
        config: ConsumerConfig,
        action: Action,
    ) -> Result<ConsumerInfo, ApiError> {
        let _changes = self.inner.changes.lock().await;
        match (self.find(name), action) {
            (Some(consumer), Action::Create) => {
                if *consumer.config() != config {
                    return Err(code::CONSUMER_ALREADY_EXISTS.into());
                }
                Ok(consumer.info().await)
            }
            (Some(consumer), _) => self.change(stream, &consumer, config).await,
            (None, Action::Update) => Err(code::CONSUMER_DOES_NOT_EXIST.into()),
            (None, _) => self.make(stream, name, config).await,
        }
    }

    async fn change(
        &self,
        stream: &StreamConfig,
        consumer: &Arc<Consumer>,
        mut config: ConsumerConfig,
    ) -> Result<ConsumerInfo, ApiError> {
        let old = consumer.config();
        // Pausing has a call of its own, and what is durable stays so.
        config.pause_until = old.pause_until;
        if config.durable.is_empty() {
            config.durable.clone_from(&old.durable);
        }
        if *old == config {
            return Ok(consumer.info().await);
        }
        old.check_update(&config)?;
        if old.deliver_subject != config.deliver_subject && consumer.machine().is_push_bound() {
            return Err(code::CONSUMER_NAME_EXIST.into());
        }
        self.check_unique(stream, consumer.name(), &config)?;
        self.save(consumer, config).await?;
        Ok(consumer.info().await)
    }

    /// Saves and takes a changed configuration.
    async fn save(&self, consumer: &Consumer, config: ConsumerConfig) -> Result<(), ApiError> {
        if self.is_stored(&config) {
            let stored = Stored {
                config: config.clone(),
                created: consumer.created,
            };
            let saved = self
                .inner
                .stream
                .save_consumer(consumer.name(), stored.to_bytes());
            saved.await.map_err(store_failed)?;
        }
        consumer.set_config(config);
        Ok(())
    }

    async fn make(
        &self,
        stream: &StreamConfig,
        name: &str,
        config: ConsumerConfig,
    ) -> Result<ConsumerInfo, ApiError> {
        let of_stream = usize::try_from(stream.max_consumers)
            .ok()
            .filter(|max| *max > 0);
        let of_server = self.inner.context.limits().consumers_max;
        let is_internal = config.direct || config.sourcing;
        for max in [of_stream, of_server].into_iter().flatten() {
            if !is_internal && self.len() >= max {
                return Err(code::MAXIMUM_CONSUMERS_LIMIT.into());
            }
        }
        self.check_unique(stream, name, &config)?;
        let (clock, created) = (Clock::start(), Timestamp::now());
        let reader = self.reader_of(&config);
        let start = reader.position().0;
        let mut machine = Machine::new(&stream.name, name, config.rules(), start, clock.now());
        machine.replay_until(self.inner.stream.state().last.0);
        if self.is_stored(&config) {
            let stored = Stored {
                config: config.clone(),
                created,
            };
            let saved = self.inner.stream.save_consumer(name, stored.to_bytes());
            saved.await.map_err(store_failed)?;
        }
        let consumer = Consumer::new(
            self.inner.stream.clone(),
            self.about(name),
            created,
            config,
            machine,
            clock,
        );
        self.look_at_interest(&consumer);
        let info = consumer.info_with(reader.pending());
        consumer.about.tell(Notice::Created);
        self.run(consumer, reader);
        Ok(info)
    }

    /// Push: whether somebody listens already is part of the first answer.
    fn look_at_interest(&self, consumer: &Consumer) {
        let config = consumer.config();
        if config.is_push() {
            let group =
                (!config.deliver_group.is_empty()).then_some(config.deliver_group.as_bytes());
            let account = &self.inner.context.account;
            let is_active = account.has_interest(config.deliver_subject.as_bytes(), group);
            consumer.machine().set_interest(consumer.now(), is_active);
        }
    }

    fn reader_of(&self, config: &ConsumerConfig) -> Reader {
        let filters = config.filters().filter_map(SubjectPattern::parse).collect();
        self.inner.stream.reader(filters, self.start_of(config))
    }

    /// Whether a consumer is kept in the stream's file.
    fn is_stored(&self, config: &ConsumerConfig) -> bool {
        !config.mem_storage && self.inner.stream.config().storage == StorageKind::Disk
    }

    /// A work queue gives a message to one consumer only.
    fn check_unique(
        &self,
        stream: &StreamConfig,
        name: &str,
        config: &ConsumerConfig,
    ) -> Result<(), ApiError> {
        if stream.retention != Retention::WorkQueue || config.direct || config.sourcing {
            return Ok(());
        }
        for open in lock(&self.inner.open).values() {
            let other = open.consumer.config();
            if open.consumer.name() == name || other.direct || other.sourcing {
                continue;
            }
            if config.filters().next().is_none() {
                return Err(code::CONSUMER_WQ_MULTIPLE_UNFILTERED.into());
            }
            let takes_all = other.filters().next().is_none();
            let overlaps = takes_all
                || config.filters().any(|mine| {
                    let mut theirs = other.filters();
                    theirs.any(|theirs| subject::overlap(mine.as_bytes(), theirs.as_bytes()))
                });
            if overlaps {
                return Err(code::CONSUMER_WQ_CONSUMER_NOT_UNIQUE.into());
            }
        }
        Ok(())
    }

    /// Starts a consumer's driver and opens its doors.
    fn run(&self, consumer: Arc<Consumer>, reader: Reader) {
        let config = consumer.config();
        let inner = &self.inner;
        if inner.retention() != Retention::Limits {
            consumer.machine().track_settled();
        }
        let siblings = Siblings::new(inner);
        let driver = Driver::new(
            consumer.clone(),
            siblings,
            inner.context.account.clone(),
            reader,
            Saver::new(self.is_stored(&config)),
        );
        let interests = self.doors(&consumer);
        let open = Open {
            consumer: consumer.clone(),
            interests,
        };
        lock(&inner.open).insert(consumer.name().to_owned(), open);
        let consumers = self.clone();
        inner.tasks.spawn(async move {
            if driver.run().await == Ended::Abandoned {
                let _changes = consumers.inner.changes.lock().await;
                if let Err(error) = consumers.take_out(&consumer).await {
                    tracing::error!(?consumer, %error, "an abandoned consumer is not removed");
                }
            }
        });
    }

    fn doors(&self, consumer: &Arc<Consumer>) -> Vec<Arc<Subscription>> {
        let (stream, name) = (&consumer.about.stream, consumer.name());
        let next = format!("CONSUMER.MSG.NEXT.{stream}.{name}");
        let mut doors = vec![
            (push::flow_control_filter(stream, name), Door::FlowControl),
            (format!("$JS.API.{next}"), Door::Requests),
        ];
        if consumer.config().ack_policy != AckPolicy::None {
            doors.push((ack::filter(stream, name), Door::Acks));
        }
        if let Some(domain) = &self.inner.context.server.config.domain {
            doors.push((format!("$JS.{domain}.API.{next}"), Door::Requests));
        }
        let open = |(filter, door): (String, Door)| {
            let sink = Sink::Consumer(consumer.clone(), door);
            let interest = Subscription::new(filter.as_bytes(), None, b"", sink);
            self.inner.context.account.subscribe(interest.clone());
            interest
        };
        doors.into_iter().map(open).collect()
    }

    /// One by name.
    pub(crate) fn find(&self, name: &str) -> Option<Arc<Consumer>> {
        let open = lock(&self.inner.open);
        open.get(name).map(|open| open.consumer.clone())
    }

    /// All of them that clients see, by name.
    pub(crate) fn all(&self) -> Vec<Arc<Consumer>> {
        let open = lock(&self.inner.open);
        let all = open.values().map(|open| open.consumer.clone());
        all.filter(|consumer| !consumer.config().direct).collect()
    }

    /// Names, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let all = self.all();
        all.iter().map(|one| one.name().to_owned()).collect()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.all().len()
    }

    /// Removes one; false if there was none of that name.
    ///
    /// # Errors
    /// Storage failed.
    pub(crate) async fn remove(&self, name: &str) -> Result<bool, ApiError> {
        let _changes = self.inner.changes.lock().await;
        let Some(consumer) = self.find(name) else {
            return Ok(false);
        };
        consumer.end(End::Deleted);
        self.take_out(&consumer).await.map_err(store_failed)?;
        Ok(true)
    }

    /// Closes a consumer's doors and forgets it.
    async fn take_out(&self, consumer: &Arc<Consumer>) -> Result<(), storage::Error> {
        let Some(open) = self.close(consumer) else {
            return Ok(());
        };
        let config = open.consumer.config();
        consumer.about.tell(Notice::Deleted);
        if self.is_stored(&config) {
            self.inner.stream.remove_consumer(consumer.name()).await?;
        }
        if self.inner.retention() == Retention::Interest {
            self.sweep(false).await?;
        }
        Ok(())
    }

    fn close(&self, consumer: &Arc<Consumer>) -> Option<Open> {
        let mut all = lock(&self.inner.open);
        let is_same = |open: &Open| Arc::ptr_eq(&open.consumer, consumer);
        if !all.get(consumer.name()).is_some_and(is_same) {
            return None;
        }
        let open = all.remove(consumer.name())?;
        drop(all);
        for interest in &open.interests {
            self.inner.context.account.unsubscribe(interest);
        }
        Some(open)
    }

    /// Pauses a consumer until a time, or lets it go on.
    ///
    /// # Errors
    /// Storage failed.
    pub(crate) async fn pause(
        &self,
        consumer: &Consumer,
        until: Option<Timestamp>,
    ) -> Result<Option<Timestamp>, ApiError> {
        let _changes = self.inner.changes.lock().await;
        let old = consumer.config();
        let mut config = ConsumerConfig::clone(&old);
        let now = Timestamp(consumer.now());
        config.pause_until = until.filter(|until| *until > now);
        let level = config.required_level();
        metadata::stamp(&mut config.metadata, level);
        let until = config.pause_until;
        if old.pause_until != until {
            self.save(consumer, config).await?;
            consumer.about.tell(Notice::Paused { until });
        }
        Ok(until)
    }

    /// Lets a consumer begin anew at a sequence; without one, behind what is acknowledged. Returns where.
    ///
    /// # Errors
    /// The sequence is outside of where the consumer was made to begin.
    pub(crate) async fn reset(&self, consumer: &Consumer, sequence: u64) -> Result<u64, ApiError> {
        let _changes = self.inner.changes.lock().await;
        let config = consumer.config();
        let start = match sequence {
            0 => consumer.floor() + 1,
            sequence => sequence,
        };
        match config.deliver_policy {
            DeliverPolicy::All => {}
            DeliverPolicy::ByStartSequence if start >= config.opt_start_seq => {}
            DeliverPolicy::ByStartTime => {}
            _ if sequence == 0 => {}
            DeliverPolicy::ByStartSequence => {
                return Err(code::CONSUMER_INVALID_RESET.with("below start seq"));
            }
            _ => {
                return Err(code::CONSUMER_INVALID_RESET.with("not allowed"));
            }
        }
        consumer.reset(start);
        Ok(start)
    }

    /// The stream closes or is removed: deliveries end, whoever waits is told, and what must be saved is.
    pub(crate) async fn stop(&self, end: End) {
        for consumer in self.inner.open() {
            consumer.end(end);
        }
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
        for consumer in self.inner.open() {
            self.close(&consumer);
            if end == End::Deleted {
                consumer.about.tell(Notice::Deleted);
            }
        }
    }
}

fn store_failed(error: storage::Error) -> ApiError {
    code::CONSUMER_STORE_FAILED.with(error)
}
