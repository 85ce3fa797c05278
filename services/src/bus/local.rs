//! The broker in the same process.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use broker::{
    Client, Headers, KeyValue, PublishOptions, PullConsumer, StreamConfig, StreamError,
    StreamHandle,
};
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use storage::stream::{AppendError, Sequence, StorageKind, StoredMessage};

use super::{
    Append, Appended, Bucket, BucketConfig, Bus, BusError, Follower, Record, StreamStart,
    Subscription,
};
use crate::subjects;

/// How long one look at an idle stream lasts before the next.
const IDLE_WAIT: Duration = Duration::from_mins(1);

const NANOS_PER_MS: u64 = 1_000_000;

/// A bus over the broker's in-process client.
#[derive(Clone)]
pub struct LocalBus {
    chat: Client,
    system: Client,
}

impl LocalBus {
    /// `chat` is a client of the account that users are in, `system` one of the system account.
    #[must_use]
    pub fn new(chat: Client, system: Client) -> Self {
        Self { chat, system }
    }

    fn stream(&self, name: &'static str) -> Result<StreamHandle, BusError> {
        self.chat.streams().stream(name).ok_or(BusError::Closed)
    }
}

fn failed<E>(what: &'static str) -> impl FnOnce(E) -> BusError
where
    E: std::error::Error + Send + Sync + 'static,
{
    move |error| BusError::Failed {
        what,
        source: Box::new(error),
    }
}

fn append_error(error: StreamError) -> BusError {
    match error {
        StreamError::Append(AppendError::DiskFull) => BusError::StorageFull,
        StreamError::Append(AppendError::Closed) => BusError::Closed,
        other => failed("store a message")(other),
    }
}

fn record(message: StoredMessage) -> Record {
    Record {
        seq: message.sequence.0,
        subject: String::from_utf8_lossy(&message.subject).into_owned(),
        payload: message.payload,
        stored_at: milliseconds(message.timestamp),
    }
}

fn milliseconds(nanoseconds: u64) -> i64 {
    i64::try_from(nanoseconds / NANOS_PER_MS).unwrap_or(i64::MAX)
}

#[async_trait]
impl Bus for LocalBus {
    async fn publish(&self, subject: &str, payload: Bytes) -> Result<(), BusError> {
        self.chat
            .publish(subject, payload)
            .map_err(failed("publish"))
    }

    async fn respond(&self, request: &broker::Message, payload: Bytes) -> Result<(), BusError> {
        self.chat
            .respond(request, payload)
            .map_err(failed("answer"))
    }

    async fn subscribe(
        &self,
        filter: &str,
        queue_group: Option<&str>,
    ) -> Result<Box<dyn Subscription>, BusError> {
        let subscription = match queue_group {
            Some(group) => self.chat.queue_subscribe(filter, group),
            None => self.chat.subscribe(filter),
        };
        Ok(Box::new(Local(subscription.map_err(failed("subscribe"))?)))
    }

    async fn subscribe_system(&self, filter: &str) -> Result<Box<dyn Subscription>, BusError> {
        let subscription = self.system.subscribe(filter).map_err(failed("subscribe"))?;
        Ok(Box::new(Local(subscription)))
    }

    async fn open_stream(
        &self,
        name: &'static str,
        messages_max: u64,
        duplicate_window: Duration,
    ) -> Result<(), BusError> {
        let mut config = StreamConfig::with_name(name);
        config.subjects = vec![subjects::MESSAGES.to_owned()];
        config.max_msgs = i64::try_from(messages_max).unwrap_or(i64::MAX);
        config.duplicate_window = duplicate_window.into();
        let opened = self.chat.streams().create_or_update(config).await;
        opened.map(drop).map_err(failed("open a stream"))
    }

    fn append(&self, append: Append) -> BoxFuture<'static, Result<Appended, BusError>> {
        let stream = self.stream(append.stream);
        let mut appending = async move {
            let options = PublishOptions {
                message_id: append.message_id,
                ..PublishOptions::default()
            };
            let published = stream?
                .publish(&append.subject, Headers::new(), append.payload, options)
                .await;
            let ack = published.map_err(append_error)?;
            Ok(Appended {
                seq: ack.sequence.0,
                duplicate: ack.duplicate,
            })
        }
        .boxed();
        // The first poll puts the message into the writer's queue: that is its place.
        match appending
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            Poll::Ready(outcome) => std::future::ready(outcome).boxed(),
            Poll::Pending => appending,
        }
    }

    async fn record(&self, stream: &'static str, seq: u64) -> Result<Option<Record>, BusError> {
        let found = self.stream(stream)?.message(Sequence(seq)).await;
        Ok(found.map_err(failed("read a stream"))?.map(record))
    }

    async fn last_seq(&self, stream: &'static str) -> Result<u64, BusError> {
        Ok(self.stream(stream)?.state().last.0)
    }

    async fn follow(
        &self,
        stream: &'static str,
        start: StreamStart,
    ) -> Result<Box<dyn Follower>, BusError> {
        let stream = self.stream(stream)?;
        let (consumer, durable) = match start {
            StreamStart::New => (Ok(stream.consumer_from_now()), false),
            StreamStart::Durable(name) => (stream.consumer(name, None).await, true),
        };
        let consumer = consumer.map_err(failed("read a stream"))?;
        Ok(Box::new(LocalFollower { consumer, durable }))
    }

    async fn bucket(&self, config: BucketConfig) -> Result<Arc<dyn Bucket>, BusError> {
        let mut bucket = broker::Bucket::new(config.name);
        bucket.storage = StorageKind::Memory;
        bucket.ttl = Some(config.ttl);
        bucket.bytes_max = Some(config.bytes_max);
        let opened = self
            .chat
            .streams()
            .kv(bucket)
            .await
            .map_err(failed("open a bucket"))?;
        Ok(Arc::new(LocalBucket(opened)))
    }
}

struct Local(broker::Subscription);

#[async_trait]
impl Subscription for Local {
    async fn next(&mut self) -> Option<broker::Message> {
        self.0.next().await
    }
}

struct LocalFollower {
    consumer: PullConsumer,
    durable: bool,
}

#[async_trait]
impl Follower for LocalFollower {
    async fn next_batch(&mut self, count_max: usize) -> Result<Vec<Record>, BusError> {
        loop {
            let batch = self.consumer.next_batch(count_max, IDLE_WAIT).await;
            let batch = batch.map_err(|error| match error {
                StreamError::Storage(storage::Error::Closed) => BusError::Closed,
                other => failed("read a stream")(other),
            })?;
            if !batch.is_empty() {
                let records = batch.into_iter().map(|message| Record {
                    seq: message.sequence.0,
                    subject: message.subject,
                    payload: message.payload,
                    stored_at: milliseconds(message.timestamp),
                });
                return Ok(records.collect());
            }
        }
    }

    async fn ack(&mut self, seq: u64) -> Result<(), BusError> {
        if !self.durable {
            return Ok(());
        }
        self.consumer
            .ack_to(Sequence(seq))
            .await
            .map_err(failed("store a consumer's place"))
    }
}

struct LocalBucket(KeyValue);

#[async_trait]
impl Bucket for LocalBucket {
    async fn put(&self, key: &str, value: Bytes) -> Result<(), BusError> {
        self.0
            .put(key, value)
            .await
            .map(drop)
            .map_err(failed("store a value"))
    }

    async fn value(&self, key: &str) -> Result<Option<Bytes>, BusError> {
        let entry = self.0.get(key).await.map_err(failed("read a value"))?;
        Ok(entry.map(|entry| entry.value))
    }
}
