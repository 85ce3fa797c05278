//! Append-only streams with limits.

mod config;
mod cursor;
mod error;
mod message;
mod pattern;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::watch;

pub use config::{Discard, NAME_BYTES_MAX, StorageKind, StreamConfig, SyncPolicy};
pub use cursor::{Cursor, Pending};
pub use error::{AppendError, QueueFull};
pub use message::{
    Append, Appended, Expected, Purge, ReadLimit, Rollup, Sequence, StoredMessage, StreamState,
};
pub use pattern::SubjectPattern;

use crate::Error;

/// How a store opens its streams.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct StoreOptions {}

/// All streams of one account, kept in one directory.
#[derive(Debug, Default)]
pub struct StreamStore {
    streams: Mutex<HashMap<String, Stream>>,
}

impl StreamStore {
    /// Opens the directory, making it when it is missing. Streams are opened by `open_all`.
    pub fn open(_dir: &Path, _options: StoreOptions) -> Result<Self, Error> {
        Ok(Self::default())
    }

    /// Makes a new stream.
    pub async fn create(&self, config: StreamConfig) -> Result<Stream, Error> {
        config.validate()?;
        let mut streams = lock(&self.streams);
        if streams.contains_key(&config.name) {
            return Err(Error::StreamExists { name: config.name });
        }
        let name = config.name.clone();
        let stream = Stream {
            inner: Arc::new(Inner {
                config: Mutex::new(Arc::new(config)),
                log: Mutex::default(),
                last: watch::Sender::new(Sequence::NONE),
            }),
        };
        streams.insert(name, stream.clone());
        Ok(stream)
    }

    /// Opens every stream found in the directory.
    pub async fn open_all(&self) -> Result<Vec<Stream>, Error> {
        Ok(lock(&self.streams).values().cloned().collect())
    }

    /// Removes a stream and its file; false when there was none.
    pub async fn remove(&self, name: &str) -> Result<bool, Error> {
        Ok(lock(&self.streams).remove(name).is_some())
    }

    /// Closes all streams; appends that were taken are committed first.
    pub async fn shutdown(&self) {}
}

/// Handle of one open stream; clones share it.
#[derive(Debug, Clone)]
pub struct Stream {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: Mutex<Arc<StreamConfig>>,
    log: Mutex<BTreeMap<u64, StoredMessage>>,
    last: watch::Sender<Sequence>,
}

impl Stream {
    /// Stores one message; resolves after the durable commit. Waits while the queue is full.
    pub async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        Ok(self.store(append))
    }

    /// Stores a batch in order; `done` is called once, on a storage thread, after the commit.
    pub fn submit<F>(&self, batch: Vec<Append>, done: F) -> Result<(), QueueFull<F>>
    where
        F: FnOnce(Vec<Result<Appended, AppendError>>) + Send + 'static,
    {
        done(batch.into_iter().map(|a| Ok(self.store(a))).collect());
        Ok(())
    }

    /// The message of that sequence.
    pub async fn message(&self, sequence: Sequence) -> Result<Option<StoredMessage>, Error> {
        Ok(lock(&self.inner.log).get(&sequence.0).cloned())
    }

    /// The newest message of a subject.
    pub async fn last_for_subject(&self, subject: &[u8]) -> Result<Option<StoredMessage>, Error> {
        let log = lock(&self.inner.log);
        Ok(log.values().rev().find(|m| m.subject == subject).cloned())
    }

    /// Messages from a sequence on, oldest first.
    pub async fn read(
        &self,
        from: Sequence,
        filter: Option<&SubjectPattern>,
        limit: ReadLimit,
    ) -> Result<Vec<StoredMessage>, Error> {
        let log = lock(&self.inner.log);
        let wanted = log.range(from.0..).map(|(_, m)| m);
        let wanted = wanted.filter(|m| filter.is_none_or(|f| f.matches(&m.subject)));
        Ok(wanted.take(limit.messages).cloned().collect())
    }

    /// The newest message of every subject, by sequence.
    pub async fn last_per_subject(
        &self,
        filter: Option<&SubjectPattern>,
    ) -> Result<Vec<StoredMessage>, Error> {
        let mut found = Vec::new();
        for (subject, _) in self.subjects(filter) {
            found.extend(self.last_for_subject(&subject).await?);
        }
        found.sort_by_key(|m: &StoredMessage| m.sequence);
        Ok(found)
    }

    /// Subjects with their number of messages.
    pub fn subjects(&self, filter: Option<&SubjectPattern>) -> Vec<(Bytes, u64)> {
        let mut counts = BTreeMap::new();
        for message in lock(&self.inner.log).values() {
            if filter.is_none_or(|f| f.matches(&message.subject)) {
                *counts.entry(message.subject.clone()).or_default() += 1;
            }
        }
        counts.into_iter().collect()
    }

    /// Messages that match from a sequence on: what a consumer has still to get.
    pub fn count(&self, from: Sequence, filter: Option<&SubjectPattern>) -> u64 {
        let log = lock(&self.inner.log);
        let wanted = log.range(from.0..).map(|(_, m)| m);
        wanted
            .filter(|m| filter.is_none_or(|f| f.matches(&m.subject)))
            .count() as u64
    }

    /// First message at or after a time (unix nanoseconds); last + 1 when there is none.
    pub fn sequence_at(&self, timestamp: u64) -> Sequence {
        let log = lock(&self.inner.log);
        let found = log.values().find(|m| m.timestamp >= timestamp);
        found.map_or(self.inner.last.borrow().next(), |m| m.sequence)
    }

    /// Figures of the stream.
    pub fn state(&self) -> StreamState {
        let log = lock(&self.inner.log);
        StreamState {
            last: *self.inner.last.borrow(),
            messages: log.len() as u64,
            ..StreamState::default()
        }
    }

    /// Removes one message; false when it was not there.
    pub async fn delete(&self, sequence: Sequence) -> Result<bool, Error> {
        Ok(lock(&self.inner.log).remove(&sequence.0).is_some())
    }

    /// Removes messages; returns how many.
    pub async fn purge(&self, _purge: Purge) -> Result<u64, Error> {
        Ok(std::mem::take(&mut *lock(&self.inner.log)).len() as u64)
    }

    /// Last committed sequence; changes after every commit that appended.
    pub fn last_sequence(&self) -> watch::Receiver<Sequence> {
        self.inner.last.subscribe()
    }

    /// Saves the state of a durable consumer; resolves after the commit.
    pub async fn save_cursor(&self, _name: &str, _cursor: Cursor) -> Result<(), Error> {
        Ok(())
    }

    /// The saved state of a durable consumer.
    pub async fn cursor(&self, _name: &str) -> Result<Option<Cursor>, Error> {
        Ok(None)
    }

    /// All saved cursors by name.
    pub async fn cursors(&self) -> Result<Vec<(String, Cursor)>, Error> {
        Ok(Vec::new())
    }

    /// Forgets a cursor; false when there was none.
    pub async fn remove_cursor(&self, _name: &str) -> Result<bool, Error> {
        Ok(false)
    }

    /// The present configuration.
    pub fn config(&self) -> Arc<StreamConfig> {
        lock(&self.inner.config).clone()
    }

    /// Changes the configuration; lowered limits apply at once.
    pub async fn update(&self, config: StreamConfig) -> Result<(), Error> {
        self.config().validate_update(&config)?;
        *lock(&self.inner.config) = Arc::new(config);
        Ok(())
    }

    /// Waits until everything taken so far is on the disk, whatever the sync policy.
    pub async fn flush(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Commits what was taken, then closes the file. Later appends are refused.
    pub async fn close(&self) -> Result<(), Error> {
        Ok(())
    }

    fn store(&self, append: Append) -> Appended {
        let mut log = lock(&self.inner.log);
        let sequence = self.inner.last.borrow().next();
        let message = StoredMessage {
            sequence,
            subject: append.subject,
            headers: append.headers,
            payload: append.payload,
            timestamp: 1,
        };
        log.insert(sequence.0, message);
        self.inner.last.send_replace(sequence);
        Appended {
            sequence,
            duplicate: false,
            timestamp: 1,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
