//! Append-only streams with limits, on disk or in memory.
//!
//! [`StreamStore`] opens the streams of one directory; [`Stream`] is the handle of one. A stream
//! is three things: an index in memory (`log.rs`, pure: which sequences, subjects, ids, deadlines,
//! and every rule of what may enter and must leave), a store beneath it (`disk/`, a database and its
//! journal, or `memory.rs`), and one writer (`writer.rs`) that takes whatever waits into one commit.
//!
//! Messages of one commit are stored together in blocks (`record.rs`): a row per block is two to
//! three times as fast as a row per message, and an index that is rebuilt from the heads of blocks
//! when the stream opens costs no random B-tree write at all. What is deleted is noted beside its
//! block; a block of which more than half is gone is stored anew, an empty one is removed.
//!
//! Memory per stored message: 24 bytes; per subject about 100 bytes and its name. A busy stream has up
//! to 8 MiB of rows that only its journal has, and as much of its newest messages.
//!
//! Invariants:
//! - an append is answered after its commit is on the disk (`SyncPolicy::Always`), and readers see
//!   it not before;
//! - sequences are never reused;
//! - after a failed commit nothing is acknowledged any more and reads go on; a full disk is
//!   tried again by itself.

mod by_subject;
mod check;
mod clock;
mod config;
mod cursor;
mod disk;
mod duplicates;
mod error;
pub(crate) mod files;
mod frozen;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod inner;
mod log;
mod memory;
mod message;
mod pattern;
mod queue;
mod reader;
mod record;
mod sequences;
mod store;
mod tail;
mod timer;
mod writer;

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::{oneshot, watch};

pub use check::{Checked, Problem, check_file, stream_files};
pub use clock::{Clock, SystemClock};
pub use config::{AgeMarker, Discard, NAME_BYTES_MAX, StorageKind, StreamConfig, SyncPolicy};
pub use cursor::{Cursor, Pending, StoredConsumer};
pub use error::{AppendError, QueueFull};
pub use message::{
    Append, Appended, Derive, Derived, Expected, Place, Purge, ReadLimit, Rollup, Sequence, Settle,
    StoredMessage, StreamState,
};
pub use pattern::SubjectPattern;
pub use reader::{Reader, ReaderStart};
pub use store::{StoreOptions, StreamStore};

use inner::Inner;
use queue::Job;

use crate::Error;

/// Handle of one open stream; clones share it.
#[derive(Clone)]
pub struct Stream {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Stream({})", self.inner.name)
    }
}

impl Stream {
    fn start(inner: Inner) -> Self {
        let inner = Arc::new(inner);
        // The task ends by itself: it holds the stream weakly and is woken when it is dropped.
        drop(tokio::spawn(timer::run(
            Arc::downgrade(&inner),
            inner.timer.clone(),
        )));
        inner.timer.notify_one();
        Self { inner }
    }

    /// Stores one message; resolves after the durable commit. Waits while the queue is full.
    ///
    /// Cancelled before it resolves, the message may or may not be stored.
    ///
    /// # Errors
    /// See [`AppendError`]; nothing was stored then.
    pub async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        let (reply, answer) = oneshot::channel();
        let done = Box::new(move |mut results: Vec<Result<Appended, AppendError>>| {
            if let Some(result) = results.pop() {
                drop(reply.send(result));
            }
        });
        self.inner
            .push_waiting(Job::Append(vec![append], done))
            .await;
        answer.await.unwrap_or(Err(AppendError::Closed))
    }

    /// Stores a batch in order. `done` is called once, on a storage thread, after the commit, with
    /// one result per append; it must not block.
    ///
    /// # Errors
    /// [`QueueFull`] gives both arguments back when there is no room; nothing was taken.
    pub fn submit<F>(&self, batch: Vec<Append>, done: F) -> Result<(), QueueFull<F>>
    where
        F: FnOnce(Vec<Result<Appended, AppendError>>) + Send + 'static,
    {
        if !lock(&self.inner.queue).has_room(&batch) {
            return Err(QueueFull { batch, done });
        }
        // Room was there a moment ago; should it be gone, one batch goes beyond the limit.
        self.inner.push_anyway(Job::Append(batch, Box::new(done)));
        Ok(())
    }

    /// Stores a batch whole or not at all; resolves after the durable commit. Every condition is
    /// checked as if the messages before it were stored; where older messages make room, they do
    /// so for the batch as a whole. Waits while the queue is full.
    ///
    /// Cancelled before it resolves, all of it may be stored or nothing.
    ///
    /// # Errors
    /// The first message that was refused, by its index, and why; nothing was stored then.
    pub async fn append_all(
        &self,
        batch: Vec<Append>,
    ) -> Result<Vec<Appended>, (usize, AppendError)> {
        let (reply, answer) = oneshot::channel();
        let done = Box::new(move |result| drop(reply.send(result)));
        self.inner.push_waiting(Job::AppendAll(batch, done)).await;
        answer.await.unwrap_or(Err((0, AppendError::Closed)))
    }

    /// [`Stream::append_all`] with a completion: `done` is called once, on a storage thread, after
    /// the commit or the refusal; it must not block.
    ///
    /// # Errors
    /// [`QueueFull`] gives both arguments back when there is no room; nothing was taken.
    pub fn submit_all<F>(&self, batch: Vec<Append>, done: F) -> Result<(), QueueFull<F>>
    where
        F: FnOnce(Result<Vec<Appended>, (usize, AppendError)>) + Send + 'static,
    {
        if !lock(&self.inner.queue).has_room(&batch) {
            return Err(QueueFull { batch, done });
        }
        self.inner
            .push_anyway(Job::AppendAll(batch, Box::new(done)));
        Ok(())
    }

    /// The message of that sequence, if it is still there.
    ///
    /// # Errors
    /// [`Error`] when the file can not be read.
    pub async fn message(&self, sequence: Sequence) -> Result<Option<StoredMessage>, Error> {
        self.inner.message(sequence).await
    }

    /// The newest message of a subject. Waits for a commit that is replacing it.
    ///
    /// # Errors
    /// [`Error`] when the file can not be read.
    pub async fn last_for_subject(&self, subject: &[u8]) -> Result<Option<StoredMessage>, Error> {
        self.inner.last_for_subject(subject).await
    }

    /// Messages from a sequence on, oldest first, at most 10,000. Empty = none yet.
    ///
    /// # Errors
    /// [`Error`] when the file can not be read.
    pub async fn read(
        &self,
        from: Sequence,
        filter: Option<&SubjectPattern>,
        limit: ReadLimit,
    ) -> Result<Vec<StoredMessage>, Error> {
        self.inner.read(from, filter, limit).await
    }

    /// The newest message of every subject that matches, by sequence. Costs a look at every
    /// subject unless the filter is a single one.
    ///
    /// # Errors
    /// [`Error`] when the file can not be read.
    pub async fn last_per_subject(
        &self,
        filter: Option<&SubjectPattern>,
    ) -> Result<Vec<StoredMessage>, Error> {
        self.inner.last_per_subject(filter).await
    }

    /// The newest message of every subject that matches one of the filters (none = all), looking
    /// at messages up to a sequence only; by sequence. Costs a look at every subject, and where
    /// subjects have newer messages, a walk back through the index.
    ///
    /// # Errors
    /// [`Error::TooManySubjects`] when more than `max` subjects match; [`Error`] when the file can
    /// not be read.
    pub async fn last_per_subject_up_to(
        &self,
        filters: &[SubjectPattern],
        up_to: Option<Sequence>,
        max: usize,
    ) -> Result<Vec<StoredMessage>, Error> {
        let inner = &self.inner;
        inner.last_per_subject_up_to(filters, up_to, max).await
    }

    /// Where the newest message of every subject is that matches one of the filters (none = all),
    /// looking at messages up to a sequence only; ascending. See
    /// [`Stream::last_per_subject_up_to`] for what it costs.
    #[must_use]
    pub fn last_sequences(
        &self,
        filters: &[SubjectPattern],
        up_to: Option<Sequence>,
    ) -> Vec<Sequence> {
        let log = lock(&self.inner.log);
        let up_to = up_to.map_or(log.committed, |up_to| up_to.0.min(log.committed));
        let lasts = log.lasts_up_to(filters, up_to);
        lasts
            .into_iter()
            .map(|item| Sequence(item.sequence))
            .collect()
    }

    /// A position in the stream that moves over what matches one of the filters (none = all);
    /// the filters must not overlap.
    #[must_use]
    pub fn reader(&self, filters: Vec<SubjectPattern>, start: ReaderStart) -> Reader {
        Reader::new(self.inner.clone(), filters, start)
    }

    /// The subject of a message, if the stream still holds it.
    #[must_use]
    pub fn subject(&self, sequence: Sequence) -> Option<Bytes> {
        let log = lock(&self.inner.log);
        let item = log.get(sequence.0)?;
        Some(log.subject_name(&item))
    }

    /// The newest committed message of all subjects that match; no filter: of all.
    #[must_use]
    pub fn last_matching(&self, filters: &[SubjectPattern]) -> Option<Sequence> {
        let log = lock(&self.inner.log);
        let lasts = log.lasts_up_to(filters, log.committed);
        lasts.iter().map(|item| Sequence(item.sequence)).max()
    }

    /// Empty places between the first message and the last sequence, from `from` on.
    #[must_use]
    pub fn deleted(&self, from: Sequence, max: usize) -> Vec<Sequence> {
        let deleted = lock(&self.inner.log).deleted(from.0, max);
        deleted.into_iter().map(Sequence).collect()
    }

    /// Size of the stream's file; of its blocks when it lives in memory.
    #[must_use]
    pub fn file_bytes(&self) -> u64 {
        self.inner.store.file_bytes()
    }

    /// Subjects with their number of messages, in no order; what is being committed counts.
    /// Costs a look at every subject unless the filter is a single one.
    #[must_use]
    pub fn subjects(&self, filter: Option<&SubjectPattern>) -> Vec<(Bytes, u64)> {
        lock(&self.inner.log).subjects(filter)
    }

    /// How many messages match from a sequence on. With a filter it costs a look at every subject,
    /// or a walk through the index from that sequence; a [`Reader`] knows its own count.
    #[must_use]
    pub fn count(&self, from: Sequence, filter: Option<&SubjectPattern>) -> u64 {
        lock(&self.inner.log).count(from.0, filter.map_or(&[], std::slice::from_ref))
    }

    /// First message at or after a time (unix nanoseconds); last + 1 when there is none. Times are
    /// taken to be in order, as they are unless the clock was set back.
    #[must_use]
    pub fn sequence_at(&self, timestamp: u64) -> Sequence {
        let log = lock(&self.inner.log);
        let found = log.first_at(timestamp);
        found.map_or(Sequence(log.committed).next(), |item| {
            Sequence(item.sequence)
        })
    }

    /// Figures of the last commit.
    #[must_use]
    pub fn state(&self) -> StreamState {
        self.inner.state()
    }

    /// Removes one message; false when it was not there.
    ///
    /// # Errors
    /// [`Error::NotPermitted`] when the stream denies it; [`Error`] when the commit failed.
    pub async fn delete(&self, sequence: Sequence) -> Result<bool, Error> {
        self.permit(!self.config().deny_delete, "deleting messages")?;
        self.inner.ask(|reply| Job::Delete(sequence.0, reply)).await
    }

    /// Removes messages; returns how many.
    ///
    /// # Errors
    /// [`Error::NotPermitted`] when the stream denies it; [`Error`] when the commit failed.
    pub async fn purge(&self, purge: Purge) -> Result<u64, Error> {
        self.permit(!self.config().deny_purge, "purging")?;
        self.inner.ask(|reply| Job::Purge(purge, reply)).await
    }

    /// Removes what has expired by now, without waiting for the stream's own timer.
    ///
    /// # Errors
    /// [`Error`] when the commit failed.
    pub async fn expire(&self) -> Result<(), Error> {
        self.inner.ask(Job::Expire).await
    }

    /// Last committed sequence; changes after every commit that appended.
    #[must_use]
    pub fn last_sequence(&self) -> watch::Receiver<Sequence> {
        self.inner.last.subscribe()
    }

    /// Saves the state of a durable consumer; resolves after the commit.
    ///
    /// # Errors
    /// [`Error`] when the commit failed.
    pub async fn save_cursor(&self, name: &str, cursor: Cursor) -> Result<(), Error> {
        let (name, cursor) = (name.to_owned(), Box::new(cursor));
        self.inner
            .ask(|reply| Job::SaveCursor(name, cursor, reply))
            .await
    }

    /// The saved state of a durable consumer.
    ///
    /// # Errors
    /// [`Error`] when the file can not be read.
    pub async fn cursor(&self, name: &str) -> Result<Option<Cursor>, Error> {
        let name = name.to_owned();
        self.inner.blocking(move |store| store.cursor(&name)).await
    }

    /// All saved cursors by name.
    ///
    /// # Errors
    /// [`Error`] when the file can not be read.
    pub async fn cursors(&self) -> Result<Vec<(String, Cursor)>, Error> {
        self.inner.blocking(inner::Store::cursors).await
    }

    /// Forgets a cursor; false when there was none.
    ///
    /// # Errors
    /// [`Error`] when the commit failed.
    pub async fn remove_cursor(&self, name: &str) -> Result<bool, Error> {
        let name = name.to_owned();
        self.inner.ask(|reply| Job::RemoveCursor(name, reply)).await
    }

    /// Saves the owner's bytes of a consumer; resolves after the durable commit.
    ///
    /// # Errors
    /// [`Error`] when the commit failed.
    pub async fn save_consumer(&self, name: &str, owner: Bytes) -> Result<(), Error> {
        let name = name.to_owned();
        self.inner
            .ask(|reply| Job::SaveConsumer(name, owner, reply))
            .await
    }

    /// All consumers by name, with the state that was saved of each.
    ///
    /// # Errors
    /// [`Error`] when the file can not be read.
    pub async fn consumers(&self) -> Result<Vec<StoredConsumer>, Error> {
        self.inner.blocking(inner::Store::consumers).await
    }

    /// Forgets a consumer and its cursor; false when there was none.
    ///
    /// # Errors
    /// [`Error`] when the commit failed.
    pub async fn remove_consumer(&self, name: &str) -> Result<bool, Error> {
        let name = name.to_owned();
        self.inner
            .ask(|reply| Job::RemoveConsumer(name, reply))
            .await
    }

    /// Saves the state of a consumer and removes what nobody needs any more, in one durable
    /// commit; returns how many messages were removed. `deny_delete` does not apply: this is
    /// retention, not a deletion.
    ///
    /// # Errors
    /// [`Error`] when the commit failed.
    pub async fn settle(&self, settle: Settle) -> Result<u64, Error> {
        let settle = Box::new(settle);
        self.inner.ask(|reply| Job::Settle(settle, reply)).await
    }

    /// The present configuration.
    #[must_use]
    pub fn config(&self) -> Arc<StreamConfig> {
        lock(&self.inner.log).config.clone()
    }

    /// Changes the configuration; lowered limits apply at once.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] when it is invalid or changes what can not change.
    pub async fn update(&self, config: StreamConfig) -> Result<(), Error> {
        self.inner
            .ask(|reply| Job::Update(Box::new(config), reply))
            .await
    }

    /// Waits until everything taken so far is on the disk, whatever the sync policy.
    ///
    /// # Errors
    /// [`Error`] when the commit failed.
    pub async fn flush(&self) -> Result<(), Error> {
        self.inner.ask(Job::Flush).await
    }

    /// Commits what was taken, then closes the file. Later appends are refused, on all handles.
    ///
    /// # Errors
    /// [`Error`] when the last commit failed; the file is closed anyway.
    pub async fn close(&self) -> Result<(), Error> {
        self.inner.ask(Job::Close).await
    }

    fn permit(&self, allowed: bool, operation: &'static str) -> Result<(), Error> {
        if allowed {
            return Ok(());
        }
        Err(Error::NotPermitted {
            name: self.inner.name.clone(),
            operation,
        })
    }
}

/// A lock whose holder panicked is taken all the same: the writer rebuilds what it guards after
/// any failure, and plain data behind the others is always whole.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
