//! Key-value buckets: a stream named `KV_<bucket>`, a subject `$KV.<bucket>.<key>` per key (ADR-8).

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use storage::stream::{
    Discard, ReadLimit, Rollup, Sequence, StorageKind, StoredMessage, SubjectPattern,
};

use super::config::{PersistMode, StreamConfig};
use super::error::StreamError;
use super::stream::{PublishOptions, StreamHandle, pattern};
use crate::proto::headers::{Headers, raw_value};

/// Most values kept per key.
const HISTORY_MAX: u64 = 64;
/// Messages read at once by a watch.
const WATCH_BATCH: usize = 256;

/// What a bucket is to be.
#[derive(Debug, Clone)]
pub struct Bucket {
    /// Letters, digits, `-` and `_`.
    pub name: String,
    /// Values kept per key, 1 to 64.
    pub history: u64,
    /// Life time of values; `None`: for ever.
    pub ttl: Option<Duration>,
    /// Largest value in bytes.
    pub value_bytes_max: Option<u64>,
    /// Largest size of the bucket in bytes.
    pub bytes_max: Option<u64>,
    /// On disk or in memory.
    pub storage: StorageKind,
    /// Whether a value is on the disk before it is acknowledged.
    pub persist_mode: PersistMode,
    /// For people.
    pub description: String,
}

impl Bucket {
    /// A bucket on disk that keeps one value per key for ever.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            history: 1,
            ttl: None,
            value_bytes_max: None,
            bytes_max: None,
            storage: StorageKind::Disk,
            persist_mode: PersistMode::Default,
            description: String::new(),
        }
    }

    pub(crate) fn into_stream_config(self) -> Result<StreamConfig, KvError> {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if self.name.is_empty() || !self.name.chars().all(is_name) {
            return Err(KvError::InvalidBucket { bucket: self.name });
        }
        let limit =
            |value: Option<u64>| value.map_or(-1, |limit| i64::try_from(limit).unwrap_or(i64::MAX));
        Ok(StreamConfig {
            subjects: vec![format!("$KV.{}.>", self.name)],
            max_msgs_per_subject: self.history.clamp(1, HISTORY_MAX).cast_signed(),
            max_age: self.ttl.unwrap_or_default().into(),
            max_msg_size: self
                .value_bytes_max
                .map_or(-1, |limit| i32::try_from(limit).unwrap_or(i32::MAX)),
            max_bytes: limit(self.bytes_max),
            storage: self.storage,
            persist_mode: self.persist_mode,
            description: self.description,
            discard: Discard::New,
            allow_rollup_hdrs: true,
            deny_delete: true,
            allow_direct: true,
            allow_msg_ttl: true,
            ..StreamConfig::with_name(format!("KV_{}", self.name))
        })
    }
}

/// Why something with a bucket failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KvError {
    /// The bucket's name has other characters than letters, digits, `-` and `_`.
    #[error("{bucket:?} is not a bucket name")]
    InvalidBucket {
        /// The name as given.
        bucket: String,
    },
    /// The key has other characters than letters, digits and `-/_=.`, or a dot at an end.
    #[error("{key:?} is not a key")]
    InvalidKey {
        /// The key as given.
        key: String,
    },
    /// The key has a value already, or another revision than expected.
    #[error("wrong last revision: {last}")]
    WrongRevision {
        /// The key's last revision; 0: none.
        last: u64,
    },
    /// The stream failed.
    #[error(transparent)]
    Stream(StreamError),
}

impl From<StreamError> for KvError {
    fn from(error: StreamError) -> Self {
        match error.wrong_last_sequence() {
            Some(last) => Self::WrongRevision { last: last.0 },
            None => Self::Stream(error),
        }
    }
}

impl From<storage::Error> for KvError {
    fn from(error: storage::Error) -> Self {
        Self::Stream(error.into())
    }
}

/// What happened to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// It got a value.
    Put,
    /// It was deleted; older values are kept as history.
    Delete,
    /// It was deleted with its history.
    Purge,
}

/// One revision of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Its value; empty unless it was put.
    pub value: Bytes,
    /// Its place in the bucket: greater is later, over all keys.
    pub revision: u64,
    /// When it was written, in nanoseconds since 1970.
    pub created: u64,
    /// What happened.
    pub operation: Operation,
}

/// A bucket. Clones share it.
#[derive(Debug, Clone)]
pub struct KeyValue {
    bucket: String,
    stream: StreamHandle,
}

impl KeyValue {
    pub(crate) fn new(bucket: String, stream: StreamHandle) -> Self {
        Self { bucket, stream }
    }

    /// The bucket's name.
    #[must_use]
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// The stream behind it.
    #[must_use]
    pub fn stream(&self) -> &StreamHandle {
        &self.stream
    }

    /// Sets a value, durably. Returns the revision.
    ///
    /// # Errors
    /// The key is malformed or the stream refuses the value.
    pub async fn put(&self, key: &str, value: impl Into<Bytes>) -> Result<u64, KvError> {
        self.write(key, value.into(), PublishOptions::default())
            .await
    }

    /// As [`KeyValue::put`]; the value goes away by itself after `ttl`, at least a second.
    ///
    /// # Errors
    /// As [`KeyValue::put`].
    pub async fn put_with_ttl(
        &self,
        key: &str,
        value: impl Into<Bytes>,
        ttl: Duration,
    ) -> Result<u64, KvError> {
        let options = PublishOptions {
            ttl: Some(ttl),
            ..PublishOptions::default()
        };
        self.write(key, value.into(), options).await
    }

    /// Sets a value if the key has none, deleted ones included.
    ///
    /// # Errors
    /// [`KvError::WrongRevision`] where it has one.
    pub async fn create(&self, key: &str, value: impl Into<Bytes>) -> Result<u64, KvError> {
        self.create_inner(key, value.into(), None).await
    }

    /// As [`KeyValue::create`], with a life time as in [`KeyValue::put_with_ttl`].
    ///
    /// # Errors
    /// As [`KeyValue::create`].
    pub async fn create_with_ttl(
        &self,
        key: &str,
        value: impl Into<Bytes>,
        ttl: Duration,
    ) -> Result<u64, KvError> {
        self.create_inner(key, value.into(), Some(ttl)).await
    }

    async fn create_inner(
        &self,
        key: &str,
        value: Bytes,
        ttl: Option<Duration>,
    ) -> Result<u64, KvError> {
        let expecting = |revision| PublishOptions {
            expected_last_subject_sequence: Some(Sequence(revision)),
            ttl,
            ..PublishOptions::default()
        };
        match self.write(key, value.clone(), expecting(0)).await {
            Err(KvError::WrongRevision { last }) => {
                // A tombstone counts as a message: replace exactly that one.
                match self.entry(key).await? {
                    Some(entry) if entry.operation != Operation::Put => {
                        self.write(key, value, expecting(entry.revision)).await
                    }
                    _ => Err(KvError::WrongRevision { last }),
                }
            }
            other => other,
        }
    }

    /// Sets a value if the key's last revision is still `revision`.
    ///
    /// # Errors
    /// [`KvError::WrongRevision`] where it is another one.
    pub async fn update(
        &self,
        key: &str,
        value: impl Into<Bytes>,
        revision: u64,
    ) -> Result<u64, KvError> {
        let options = PublishOptions {
            expected_last_subject_sequence: Some(Sequence(revision)),
            ..PublishOptions::default()
        };
        self.write(key, value.into(), options).await
    }

    /// The value of a key; `None` where it has none or was deleted.
    ///
    /// # Errors
    /// The key is malformed or storage failed.
    pub async fn get(&self, key: &str) -> Result<Option<Entry>, KvError> {
        Ok(self
            .entry(key)
            .await?
            .filter(|entry| entry.operation == Operation::Put))
    }

    /// The last revision of a key, deletions included.
    ///
    /// # Errors
    /// As [`KeyValue::get`].
    pub async fn entry(&self, key: &str) -> Result<Option<Entry>, KvError> {
        let subject = self.subject(key)?;
        let message = self
            .stream
            .storage()
            .last_for_subject(subject.as_bytes())
            .await?;
        Ok(message.map(|message| self.to_entry(message)))
    }

    /// Deletes a key; its older values stay as history. Returns the revision of the deletion.
    ///
    /// # Errors
    /// As [`KeyValue::put`].
    pub async fn delete(&self, key: &str) -> Result<u64, KvError> {
        self.end(key, "DEL", PublishOptions::default()).await
    }

    /// Deletes a key if its last revision is still `revision`.
    ///
    /// # Errors
    /// [`KvError::WrongRevision`] where it is another one.
    pub async fn delete_revision(&self, key: &str, revision: u64) -> Result<u64, KvError> {
        let options = PublishOptions {
            expected_last_subject_sequence: Some(Sequence(revision)),
            ..PublishOptions::default()
        };
        self.end(key, "DEL", options).await
    }

    /// Deletes a key with its history. Returns the revision of the deletion.
    ///
    /// # Errors
    /// As [`KeyValue::put`].
    pub async fn purge(&self, key: &str) -> Result<u64, KvError> {
        let options = PublishOptions {
            rollup: Some(Rollup::Subject),
            ..PublishOptions::default()
        };
        self.end(key, "PURGE", options).await
    }

    /// All revisions of a key that are kept, oldest first.
    ///
    /// # Errors
    /// The key is malformed or storage failed.
    pub async fn history(&self, key: &str) -> Result<Vec<Entry>, KvError> {
        let subject = self.subject(key)?;
        let filter = pattern(Some(&subject))?;
        let limit = ReadLimit {
            messages: usize::try_from(HISTORY_MAX).unwrap_or(usize::MAX),
            bytes: usize::MAX,
        };
        let messages = self
            .stream
            .storage()
            .read(Sequence(1), filter.as_ref(), limit)
            .await?;
        Ok(messages
            .into_iter()
            .map(|message| self.to_entry(message))
            .collect())
    }

    /// Keys that have a value and match `filter` (`>` for all), by revision.
    ///
    /// # Errors
    /// The filter is malformed or storage failed.
    pub async fn keys(&self, filter: &str) -> Result<Vec<String>, KvError> {
        Ok(self
            .entries(filter)
            .await?
            .into_iter()
            .map(|entry| entry.key)
            .collect())
    }

    /// The values of all keys that match `filter` (`>` for all), by revision.
    ///
    /// # Errors
    /// The filter is malformed or storage failed.
    pub async fn entries(&self, filter: &str) -> Result<Vec<Entry>, KvError> {
        let filter = self.filter(filter)?;
        let messages = self
            .stream
            .storage()
            .last_per_subject(Some(&filter))
            .await?;
        let entries = messages.into_iter().map(|message| self.to_entry(message));
        Ok(entries
            .filter(|entry| entry.operation == Operation::Put)
            .collect())
    }

    /// Watches the keys that match `filter`: first the last revision of each, deletions included, then every change.
    ///
    /// # Errors
    /// The filter is malformed or storage failed.
    pub async fn watch(&self, filter: &str) -> Result<Watch, KvError> {
        let filter = self.filter(filter)?;
        let mut next = self.stream.storage().last_sequence().borrow().next();
        let messages = self
            .stream
            .storage()
            .last_per_subject(Some(&filter))
            .await?;
        if let Some(last) = messages.last() {
            next = next.max(last.sequence.next());
        }
        let ready = messages
            .into_iter()
            .map(|message| self.to_entry(message))
            .collect();
        Ok(Watch {
            kv: self.clone(),
            filter,
            ready,
            next,
        })
    }

    /// Watches changes only, from now on.
    ///
    /// # Errors
    /// The filter is malformed.
    pub async fn watch_updates(&self, filter: &str) -> Result<Watch, KvError> {
        let next = self.stream.storage().last_sequence().borrow().next();
        Ok(Watch {
            kv: self.clone(),
            filter: self.filter(filter)?,
            ready: VecDeque::new(),
            next,
        })
    }

    async fn write(
        &self,
        key: &str,
        value: Bytes,
        options: PublishOptions,
    ) -> Result<u64, KvError> {
        self.publish(key, Headers::new(), value, options).await
    }

    async fn end(
        &self,
        key: &str,
        operation: &str,
        options: PublishOptions,
    ) -> Result<u64, KvError> {
        let headers = Headers::new().with("KV-Operation", operation);
        self.publish(key, headers, Bytes::new(), options).await
    }

    async fn publish(
        &self,
        key: &str,
        headers: Headers,
        value: Bytes,
        options: PublishOptions,
    ) -> Result<u64, KvError> {
        let subject = self.subject(key)?;
        Ok(self
            .stream
            .publish(&subject, headers, value, options)
            .await?
            .sequence
            .0)
    }

    fn subject(&self, key: &str) -> Result<String, KvError> {
        let is_key = |c: char| c.is_ascii_alphanumeric() || "-/_=.".contains(c);
        if key.is_empty() || !key.chars().all(is_key) || key.split('.').any(str::is_empty) {
            return Err(KvError::InvalidKey {
                key: key.to_owned(),
            });
        }
        Ok(format!("$KV.{}.{key}", self.bucket))
    }

    fn filter(&self, filter: &str) -> Result<SubjectPattern, KvError> {
        let invalid = || KvError::InvalidKey {
            key: filter.to_owned(),
        };
        SubjectPattern::parse(format!("$KV.{}.{filter}", self.bucket)).ok_or_else(invalid)
    }

    fn to_entry(&self, message: StoredMessage) -> Entry {
        let subject = String::from_utf8_lossy(&message.subject);
        let prefix_len = "$KV..".len() + self.bucket.len();
        let header = |name| raw_value(&message.headers, name);
        let operation = match (header("KV-Operation"), header("Nats-Marker-Reason")) {
            (Some(b"DEL"), _) | (None, Some(b"Remove")) => Operation::Delete,
            (Some(b"PURGE"), _) | (None, Some(b"MaxAge" | b"Purge")) => Operation::Purge,
            _ => Operation::Put,
        };
        Entry {
            key: subject.get(prefix_len..).unwrap_or_default().to_owned(),
            value: message.payload,
            revision: message.sequence.0,
            created: message.timestamp,
            operation,
        }
    }
}

/// Changes of a bucket, in order.
#[derive(Debug)]
pub struct Watch {
    kv: KeyValue,
    filter: SubjectPattern,
    ready: VecDeque<Entry>,
    next: Sequence,
}

impl Watch {
    /// Whether everything that was there when the watch began, or has been read since, has been returned.
    #[must_use]
    pub fn is_caught_up(&self) -> bool {
        self.ready.is_empty()
    }

    /// The next revision, waiting for it; `None` once the stream is closed. Cancel-safe.
    ///
    /// # Errors
    /// Storage failed.
    pub async fn next(&mut self) -> Result<Option<Entry>, KvError> {
        let mut last = self.kv.stream.storage().last_sequence();
        loop {
            if let Some(entry) = self.ready.pop_front() {
                return Ok(Some(entry));
            }
            let end = *last.borrow_and_update();
            if self.next > end {
                if last.changed().await.is_err() {
                    return Ok(None);
                }
                continue;
            }
            let limit = ReadLimit::messages(WATCH_BATCH);
            let messages = self
                .kv
                .stream
                .storage()
                .read(self.next, Some(&self.filter), limit)
                .await?;
            self.next = messages
                .last()
                .map_or(end, |message| message.sequence)
                .next();
            self.ready.extend(
                messages
                    .into_iter()
                    .map(|message| self.kv.to_entry(message)),
            );
        }
    }
}
