//! Interest and work queues: which messages no consumer needs any more.
//!
//! A consumer that is done with a message asks the others; whoever asks last finds nobody in need and the message goes, in
//! the transaction that saves the consumer's state. Each has noted its own part before it asks, so two that are done at the
//! same time cannot both believe in the other. What a crash lets through is found at the next start ([`Consumers::sweep`]).

use std::sync::{Arc, PoisonError, Weak};

use storage::stream::{ReadLimit, ReaderStart, Sequence, Settle, StoredMessage};

use super::handle::Consumer;
use super::set::{Consumers, Inner};
use crate::jetstream::config::Retention;

/// Messages of one look at what nobody needs.
const SWEEP: usize = 1000;

/// The other consumers, to a driver that has messages its own consumer is done with.
pub(super) struct Siblings {
    inner: Weak<Inner>,
}

impl Siblings {
    pub(super) fn new(inner: &Arc<Inner>) -> Self {
        Self {
            inner: Arc::downgrade(inner),
        }
    }

    /// Which of the messages that `own` is done with nobody else needs.
    pub(super) fn unneeded(&self, own: &Arc<Consumer>, settled: &[u64]) -> Vec<Sequence> {
        if settled.is_empty() {
            return Vec::new();
        }
        let Some(inner) = self.inner.upgrade() else {
            return Vec::new();
        };
        let retention = inner.retention();
        let has_say = |other: &Arc<Consumer>| match retention {
            Retention::Limits => false,
            // A message of a work queue is for one consumer, and for every stream that copies the queue.
            Retention::WorkQueue => other.config().sourcing,
            Retention::Interest => true,
        };
        if retention == Retention::Limits {
            return Vec::new();
        }
        let mut others = inner.open();
        others.retain(|other| !Arc::ptr_eq(other, own) && has_say(other));
        let is_needed = |sequence: u64| {
            if others.is_empty() {
                return false;
            }
            let Some(subject) = inner.stream.subject(Sequence(sequence)) else {
                return false;
            };
            others.iter().any(|other| other.needs(sequence, &subject))
        };
        let unneeded = settled.iter().filter(|sequence| !is_needed(**sequence));
        unneeded.copied().map(Sequence).collect()
    }
}

impl Consumers {
    /// Whether a consumer wants messages of a subject: what an interest stream keeps.
    pub(crate) fn wants(&self, subject: &[u8]) -> bool {
        self.inner.any(|one| one.wants(subject))
    }

    /// The stream has another retention.
    pub(crate) fn set_retention(&self, retention: Retention) {
        *self
            .inner
            .retention
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = retention;
        if retention != Retention::Limits {
            for consumer in self.inner.open() {
                consumer.machine().track_settled();
            }
        }
    }

    /// Removes what no consumer needs: after one has gone, when the retention has become interest, and after a start, when
    /// an acknowledgement may be known but not what followed from it.
    ///
    /// # Errors
    /// The stream cannot be read or written.
    pub(crate) async fn sweep(&self, at_start: bool) -> Result<(), storage::Error> {
        let retention = self.inner.retention();
        let open = self.inner.open();
        if at_start && open.is_empty() {
            return Ok(());
        }
        let is_unneeded = |message: &&StoredMessage| {
            let mut wanting = open
                .iter()
                .filter(|one| one.wants(&message.subject))
                .peekable();
            // What waits in a work queue for a consumer that is yet to come stays.
            let stays = retention == Retention::WorkQueue && wanting.peek().is_none();
            !stays && !wanting.any(|one| one.machine().needs(message.sequence.0))
        };
        let stream = &self.inner.stream;
        let mut reader = stream.reader(Vec::new(), ReaderStart::Sequence(Sequence(0)));
        loop {
            let batch = reader.next(ReadLimit::messages(SWEEP)).await?;
            if batch.is_empty() {
                return Ok(());
            }
            let unneeded = batch.iter().filter(is_unneeded);
            let remove: Vec<Sequence> = unneeded.map(|message| message.sequence).collect();
            if !remove.is_empty() {
                let settle = Settle {
                    cursor: None,
                    remove,
                };
                stream.settle(settle).await?;
            }
        }
    }
}
