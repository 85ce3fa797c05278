//! What the services need of a message system, in NATS terms.

mod local;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::BoxFuture;

pub use local::LocalBus;

/// A message to be stored in a stream.
#[derive(Debug, Clone)]
pub struct Append {
    /// The stream.
    pub stream: &'static str,
    /// Its subject.
    pub subject: String,
    /// Its body.
    pub payload: Bytes,
    /// The same id again within the stream's duplicate window stores nothing.
    pub message_id: Option<String>,
}

/// The answer to an append, after it is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Where the message is.
    pub seq: u64,
    /// It was there before.
    pub duplicate: bool,
}

/// A message read back from a stream.
#[derive(Debug, Clone)]
pub struct Record {
    /// Where it is.
    pub seq: u64,
    /// Its subject.
    pub subject: String,
    /// Its body.
    pub payload: Bytes,
    /// When it was stored, unix milliseconds.
    pub stored_at: i64,
}

/// Where a follower begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamStart {
    /// After what is there now.
    New,
    /// Where the durable consumer of this name stands.
    Durable(&'static str),
}

/// A key-value bucket to be opened.
#[derive(Debug, Clone, Copy)]
pub struct BucketConfig {
    /// Its name.
    pub name: &'static str,
    /// How long a value lives.
    pub ttl: Duration,
    /// Values it holds at most.
    pub bytes_max: u64,
}

/// Why the bus did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BusError {
    /// The disk that holds the stream is full.
    #[error("the disk is full")]
    StorageFull,
    /// Anything else.
    #[error("the message system failed to {what}")]
    Failed {
        /// What was asked of it.
        what: &'static str,
        /// What it said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It is shutting down.
    #[error("the message system is closed")]
    Closed,
}

/// Publish, subscribe, streams and buckets.
#[async_trait]
pub trait Bus: Send + Sync + 'static {
    /// Publishes and forgets.
    ///
    /// # Errors
    /// When the subject is malformed or the payload too large.
    async fn publish(&self, subject: &str, payload: Bytes) -> Result<(), BusError>;

    /// Answers a request.
    ///
    /// # Errors
    /// When the payload is too large.
    async fn respond(&self, request: &broker::Message, payload: Bytes) -> Result<(), BusError>;

    /// Receives what matches; with a queue group, one member of it does.
    ///
    /// # Errors
    /// When the filter is malformed.
    async fn subscribe(
        &self,
        filter: &str,
        queue_group: Option<&str>,
    ) -> Result<Box<dyn Subscription>, BusError>;

    /// Receives what the message system says of itself, in its system account.
    ///
    /// # Errors
    /// When the filter is malformed.
    async fn subscribe_system(&self, filter: &str) -> Result<Box<dyn Subscription>, BusError>;

    /// Makes sure the stream of messages exists.
    ///
    /// # Errors
    /// When it cannot be made.
    async fn open_stream(
        &self,
        name: &'static str,
        messages_max: u64,
        duplicate_window: Duration,
    ) -> Result<(), BusError>;

    /// Stores a message. It takes its place in the stream when this is called, not when the future is first polled.
    fn append(&self, append: Append) -> BoxFuture<'static, Result<Appended, BusError>>;

    /// One stored message.
    ///
    /// # Errors
    /// When the stream cannot be read.
    async fn record(&self, stream: &'static str, seq: u64) -> Result<Option<Record>, BusError>;

    /// The stream's last sequence.
    ///
    /// # Errors
    /// When there is no such stream.
    async fn last_seq(&self, stream: &'static str) -> Result<u64, BusError>;

    /// Reads a stream in order, waiting for what comes.
    ///
    /// # Errors
    /// When there is no such stream.
    async fn follow(
        &self,
        stream: &'static str,
        start: StreamStart,
    ) -> Result<Box<dyn Follower>, BusError>;

    /// Opens a bucket in memory.
    ///
    /// # Errors
    /// When it cannot be made.
    async fn bucket(&self, config: BucketConfig) -> Result<Arc<dyn Bucket>, BusError>;
}

/// A stream of messages; ends when the bus does.
#[async_trait]
pub trait Subscription: Send {
    /// The next message. Cancel-safe.
    async fn next(&mut self) -> Option<broker::Message>;
}

/// A reader of a stream.
#[async_trait]
pub trait Follower: Send {
    /// At least one record and at most `count_max`, in order; waits for the first. Cancel-safe.
    ///
    /// # Errors
    /// When the stream cannot be read.
    async fn next_batch(&mut self, count_max: usize) -> Result<Vec<Record>, BusError>;

    /// Remembers that everything up to `seq` is done; of no effect unless durable.
    ///
    /// # Errors
    /// When it cannot be stored.
    async fn ack(&mut self, seq: u64) -> Result<(), BusError>;
}

/// Values that live for a while.
#[async_trait]
pub trait Bucket: Send + Sync {
    /// Stores a value.
    ///
    /// # Errors
    /// When it cannot be stored.
    async fn put(&self, key: &str, value: Bytes) -> Result<(), BusError>;

    /// The value, while it lives.
    ///
    /// # Errors
    /// When it cannot be read.
    async fn value(&self, key: &str) -> Result<Option<Bytes>, BusError>;
}
