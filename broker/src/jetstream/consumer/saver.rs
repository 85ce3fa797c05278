//! Saves a consumer's state beside its stream: one save at a time, and whatever gathers meanwhile goes into the next.
//!
//! Somebody waits for what an acknowledgement with a reply subject changes, and a message that nobody needs any more is to
//! go soon: those are saved at once. The rest (deliveries, plain acknowledgements) is saved a moment later: a crash in
//! between delivers a message once more, which a client must expect anyway.

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use storage::stream::{Sequence, Settle};

use super::handle::Consumer;
use super::rules::Nanos;

/// How long plain changes may wait.
const LAZY: Nanos = 100_000_000;

type Saving = Pin<Box<dyn Future<Output = Result<u64, storage::Error>> + Send>>;

/// What is to be saved, and what is being saved.
pub(super) struct Saver {
    /// The state is kept in the stream's file.
    is_durable: bool,
    removable: Vec<Sequence>,
    confirmations: Vec<Bytes>,
    /// Since when something has changed that is not saved.
    dirty_since: Option<Nanos>,
    saving: Option<Saving>,
    /// To be confirmed when `saving` is done.
    confirming: Vec<Bytes>,
    now: Nanos,
}

impl Saver {
    pub(super) fn new(is_durable: bool) -> Self {
        Self {
            is_durable,
            removable: Vec::new(),
            confirmations: Vec::new(),
            dirty_since: None,
            saving: None,
            confirming: Vec::new(),
            now: 0,
        }
    }

    /// Something has changed.
    pub(super) fn note(
        &mut self,
        removable: Vec<Sequence>,
        confirmations: Vec<Bytes>,
        dirty: bool,
    ) {
        self.removable.extend(removable);
        self.confirmations.extend(confirmations);
        if dirty && self.is_durable && self.dirty_since.is_none() {
            self.dirty_since = Some(self.now);
        }
    }

    /// Starts a save if there is reason to and none is under way. Returns what can be confirmed at once.
    pub(super) fn start(&mut self, consumer: &Consumer) -> Vec<Bytes> {
        self.now = consumer.now();
        if self.saving.is_some() {
            return Vec::new();
        }
        let must_save = self.is_durable && self.dirty_since.is_some();
        if !must_save && self.removable.is_empty() {
            return std::mem::take(&mut self.confirmations);
        }
        let is_urgent = !self.confirmations.is_empty() || !self.removable.is_empty();
        let is_due = self.next_start().is_some_and(|at| at <= self.now);
        if is_urgent || is_due {
            self.begin(consumer);
        }
        Vec::new()
    }

    fn begin(&mut self, consumer: &Consumer) {
        let cursor =
            (self.is_durable).then(|| (consumer.name().to_owned(), consumer.machine().to_cursor()));
        let settle = Settle {
            cursor,
            remove: std::mem::take(&mut self.removable),
        };
        self.confirming = std::mem::take(&mut self.confirmations);
        self.dirty_since = None;
        let stream = consumer.stream.clone();
        self.saving = Some(Box::pin(async move { stream.settle(settle).await }));
    }

    /// When plain changes are to be saved.
    pub(super) fn next_start(&self) -> Option<Nanos> {
        if self.saving.is_some() {
            return None;
        }
        self.dirty_since.map(|since| since.saturating_add(LAZY))
    }

    /// Waits for the end of a save; returns what can be confirmed now. Cancel-safe.
    pub(super) async fn done(&mut self) -> Vec<Bytes> {
        let Some(saving) = &mut self.saving else {
            return std::future::pending().await;
        };
        let result = saving.await;
        self.saving = None;
        let confirming = std::mem::take(&mut self.confirming);
        match result {
            Ok(_removed) => confirming,
            Err(error) => {
                // Not confirmed: the client asks again, or the message comes again.
                tracing::error!(%error, "the state of a consumer is not saved");
                Vec::new()
            }
        }
    }

    /// Saves what is not saved yet; returns what can be confirmed.
    pub(super) async fn finish(&mut self, consumer: &Consumer) -> Vec<Bytes> {
        let mut confirmed = Vec::new();
        if self.saving.is_some() {
            confirmed.extend(self.done().await);
        }
        if self.dirty_since.is_some() || !self.removable.is_empty() {
            self.begin(consumer);
            confirmed.extend(self.done().await);
        }
        confirmed.append(&mut self.confirmations);
        confirmed
    }
}
