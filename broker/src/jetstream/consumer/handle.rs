//! One consumer as everybody but its driver sees it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use bytes::Bytes;
use storage::stream::{Sequence, Stream};
use tokio::sync::{Notify, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::advisory::About;
use super::clock::Clock;
use super::info::{ConsumerInfo, Identity};
use super::machine::Machine;
use super::mail::Mail;
use super::rules::Nanos;
use crate::jetstream::config::{ConsumerConfig, Timestamp};

/// Why a consumer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It is deleted.
    Deleted,
    /// The server stops; the consumer goes on when it starts again.
    Shutdown,
}

/// A consumer. Its driver, its subscriptions and the API share it.
///
/// What clients send goes straight into the machine, under a short lock; then the driver is woken.
pub(crate) struct Consumer {
    pub(super) stream: Stream,
    pub(super) about: About,
    pub(super) created: Timestamp,
    config: RwLock<Arc<ConsumerConfig>>,
    machine: Mutex<Machine>,
    pub(super) clock: Clock,
    last: watch::Receiver<Sequence>,
    pub(super) wake: Notify,
    /// Filters or place changed: the driver opens its reader anew before it does anything else.
    reopens: AtomicBool,
    /// Those who wait to be told how it is.
    asking: Mutex<Vec<oneshot::Sender<ConsumerInfo>>>,
    pub(super) stop: CancellationToken,
    end: Mutex<End>,
}

impl std::fmt::Debug for Consumer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Consumer({}.{})", self.about.stream, self.about.consumer)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Consumer {
    pub(super) fn new(
        stream: Stream,
        about: About,
        created: Timestamp,
        config: ConsumerConfig,
        machine: Machine,
        clock: Clock,
    ) -> Arc<Self> {
        Arc::new(Self {
            last: stream.last_sequence(),
            stream,
            about,
            created,
            config: RwLock::new(Arc::new(config)),
            machine: Mutex::new(machine),
            clock,
            wake: Notify::new(),
            reopens: AtomicBool::new(false),
            asking: Mutex::default(),
            stop: CancellationToken::new(),
            end: Mutex::new(End::Shutdown),
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.about.consumer
    }

    pub(crate) fn config(&self) -> Arc<ConsumerConfig> {
        self.config
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Takes a configuration that was checked and saved.
    pub(super) fn set_config(&self, config: ConsumerConfig) {
        self.machine().update(config.rules());
        let mut present = self.config.write().unwrap_or_else(PoisonError::into_inner);
        *present = Arc::new(config);
        drop(present);
        self.reopen();
    }

    pub(super) fn machine(&self) -> MutexGuard<'_, Machine> {
        lock(&self.machine)
    }

    /// What clients sent in one batch.
    pub(crate) fn receive(&self, batch: Vec<Mail>) {
        let now = self.clock.now();
        let last = self.last.borrow().0;
        let mut machine = self.machine();
        let sample_percent = machine.rules().sample_percent;
        for mail in batch {
            match mail {
                Mail::Ack(ack) => {
                    let is_sampled =
                        sample_percent > 0 && rand::random_range(0..100) < sample_percent;
                    machine.acknowledge(now, ack, last, is_sampled);
                }
                Mail::Request { reply, body } => machine.request(now, reply, &body),
                Mail::Unsupported { reply } => machine.refuse_level(reply),
                Mail::FlowControl { subject } => machine.flow_control(now, &subject),
            }
        }
        drop(machine);
        self.wake.notify_one();
    }

    /// How it is, as its driver sees it; without one, nothing is known to be unread.
    pub(crate) async fn info(&self) -> ConsumerInfo {
        let (answer, info) = oneshot::channel();
        lock(&self.asking).push(answer);
        self.wake.notify_one();
        tokio::select! {
            Ok(info) = info => info,
            () = self.stop.cancelled() => self.info_with(0),
        }
    }

    pub(super) fn info_with(&self, unread: u64) -> ConsumerInfo {
        let now = self.clock.now();
        let config = self.config();
        let mut shown = ConsumerConfig::clone(&config);
        shown.pause_until = config.paused_until(Timestamp(now));
        let identity = Identity {
            stream: self.about.stream.clone(),
            name: self.about.consumer.clone(),
            created: self.created,
            config: shown,
        };
        ConsumerInfo::new(identity, &self.machine(), unread, now)
    }

    /// Those who wait to be told how it is.
    pub(super) fn take_asking(&self) -> Vec<oneshot::Sender<ConsumerInfo>> {
        std::mem::take(&mut *lock(&self.asking))
    }

    /// Whether this consumer still needs a message that its filters match.
    pub(super) fn needs(&self, sequence: u64, subject: &[u8]) -> bool {
        self.wants(subject) && self.machine().needs(sequence)
    }

    /// Whether its filters match a subject.
    pub(super) fn wants(&self, subject: &[u8]) -> bool {
        let config = self.config();
        let mut filters = config.filters().peekable();
        filters.peek().is_none()
            || filters.any(|filter| crate::subject::matches(filter.as_bytes(), subject))
    }

    /// Ends its driver.
    pub(super) fn end(&self, end: End) {
        *lock(&self.end) = end;
        self.stop.cancel();
    }

    pub(super) fn how_it_ends(&self) -> End {
        *lock(&self.end)
    }

    /// Takes the pin of a group away.
    pub(crate) fn unpin(&self) {
        self.machine().unpin("admin");
        self.wake.notify_one();
    }

    /// Begins anew at `start`.
    pub(super) fn reset(&self, start: u64) {
        self.machine().reset(start);
        self.reopen();
    }

    /// Notes what was copied to the stream that this consumer stands for; `is_all`: there is no more for now.
    pub(crate) fn pass(&self, sequences: &[u64], is_all: bool) {
        self.machine().pass(self.clock.now(), sequences);
        if is_all {
            // So that nothing of it counts as unread.
            self.reopen();
        } else {
            self.wake.notify_one();
        }
    }

    fn reopen(&self) {
        self.reopens.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    /// Whether the reader is to be opened anew; asked once.
    pub(super) fn take_reopens(&self) -> bool {
        self.reopens.swap(false, Ordering::AcqRel)
    }

    /// Where it would begin if it were reset without a sequence.
    pub(super) fn floor(&self) -> u64 {
        self.machine().ack_floor().stream
    }

    pub(super) fn now(&self) -> Nanos {
        self.clock.now()
    }
}

/// The bytes of a consumer in its stream's file, beside its state.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Stored {
    pub(super) config: ConsumerConfig,
    #[serde(default)]
    pub(super) created: Timestamp,
}

impl Stored {
    pub(super) fn to_bytes(&self) -> Bytes {
        serde_json::to_vec(self)
            .expect("a configuration is plain data")
            .into()
    }

    /// `None`: the row belongs to something else.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}
