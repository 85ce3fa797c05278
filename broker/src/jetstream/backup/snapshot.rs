//! Sends a stream to whoever asked for it, in chunks.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use storage::stream::{ReadLimit, Sequence};
use tokio::time::{Instant, sleep, timeout};

use super::Notice;
use super::archive::Writer;
use super::content::{ConsumerPart, StreamPart};
use crate::client::local::LocalQueue;
use crate::interest::subscription::{Sink, Subscription};
use crate::jetstream::StreamHandle;
use crate::jetstream::api::audit::ClientPart;
use crate::jetstream::api::stream_info::State;
use crate::jetstream::config::Timestamp;
use crate::jetstream::context::AccountContext;
use crate::jetstream::owner::Owner;
use crate::proto::headers::Headers;
use crate::router::Router;

/// Sizes of chunks, in bytes.
const CHUNK_MIN: usize = 1024;
const CHUNK_DEFAULT: usize = 128 << 10;
const CHUNK_MAX: usize = 1 << 20;
/// Bytes that are sent before the first acknowledgement is waited for.
const WINDOW_DEFAULT: usize = 8 << 20;
const WINDOW_MAX: usize = 32 << 20;
/// How long interest in the chunks may take to show up.
const INTEREST_WAIT: Duration = Duration::from_secs(2);
/// How often it is looked for meanwhile.
const INTEREST_LOOK: Duration = Duration::from_millis(50);
/// How long an acknowledgement may take.
const ACK_WAIT: Duration = Duration::from_secs(5);
/// Acknowledgements that may wait to be read.
const ACKS_MAX: usize = WINDOW_MAX / CHUNK_MIN;
/// Messages that are read at once.
const READ_MESSAGES: usize = 256;

/// A snapshot that was asked for.
pub(crate) struct Snapshot {
    pub(crate) stream: StreamHandle,
    pub(crate) deliver_subject: String,
    pub(crate) with_consumers: bool,
    /// 0: the default.
    pub(crate) chunk_bytes: usize,
    /// 0: the default.
    pub(crate) window_bytes: usize,
    pub(crate) client: Option<ClientPart>,
}

/// Why a snapshot ended before its end.
enum Ended {
    /// The receiver does not acknowledge.
    NoFlow,
    /// Nobody listens.
    NoInterest,
    Failed(storage::Error),
}

impl From<storage::Error> for Ended {
    fn from(error: storage::Error) -> Self {
        Self::Failed(error)
    }
}

fn or_default(wanted: usize, default: usize, min: usize, max: usize) -> usize {
    match wanted {
        0 => default,
        wanted => wanted.clamp(min, max),
    }
}

impl Snapshot {
    /// Sends the snapshot and its end.
    pub(crate) async fn run(self) {
        let context = self.stream.context().clone();
        let name = self.stream.config().name.clone();
        let state = State::of(&self.stream);
        let start = Timestamp::now();
        let notice = |state, start, end| Notice {
            stream: &name,
            state,
            start,
            end,
            bytes: None,
            client: self.client.as_ref(),
        };
        context.advisories.send(
            &format!("ADVISORY.STREAM.SNAPSHOT_CREATE.{name}"),
            "advisory.v1.snapshot_create",
            || notice(Some(&state), None, None),
        );
        let mut chunks = Chunks::open(&self, &context, &name);
        let ended = tokio::select! {
            () = context.server.stop.cancelled() => Err(Ended::NoInterest),
            ended = self.send(&mut chunks) => ended,
        };
        chunks.end(ended, &name);
        context.advisories.send(
            &format!("ADVISORY.STREAM.SNAPSHOT_COMPLETE.{name}"),
            "advisory.v1.snapshot_complete",
            || notice(None, Some(start), Some(Timestamp::now())),
        );
    }

    async fn send(&self, chunks: &mut Chunks) -> Result<(), Ended> {
        chunks.wait_for_interest().await?;
        let storage = self.stream.storage();
        let mut writer = Writer::new();
        let state = self.stream.state();
        let part = StreamPart {
            owner: Owner::of(&self.stream),
            last_seq: state.last.0,
            last_ts: state.last_timestamp,
        };
        writer.stream(&serde_json::to_vec(&part).expect("plain data"));
        if self.with_consumers {
            for consumer in storage.consumers().await? {
                let part = ConsumerPart::from(consumer);
                writer.consumer(&serde_json::to_vec(&part).expect("plain data"));
                chunks.send(&mut writer).await?;
            }
        }
        let mut next = Sequence(1);
        while next <= state.last {
            let limit = ReadLimit::messages(READ_MESSAGES);
            let messages = storage.read(next, None, limit).await?;
            let Some(last) = messages.last() else { break };
            next = last.sequence.next();
            for message in messages {
                if message.sequence <= state.last {
                    writer.message(&message);
                    chunks.send(&mut writer).await?;
                }
            }
        }
        writer.end();
        chunks.send(&mut writer).await?;
        chunks.send_rest(writer.buffer.split().freeze());
        Ok(())
    }
}

/// The way to the receiver, with its flow control.
struct Chunks {
    router: Router,
    context: Arc<AccountContext>,
    subject: String,
    chunk_bytes: usize,
    window_bytes: usize,
    /// Subject of acknowledgements without their last tokens: bytes of the chunk, and its number.
    ack_prefix: String,
    acks: Arc<LocalQueue>,
    interest: Arc<Subscription>,
    outstanding: usize,
    sent: u64,
}

impl Chunks {
    fn open(snapshot: &Snapshot, context: &Arc<AccountContext>, stream: &str) -> Self {
        let id = format!("{:032x}", rand::random::<u128>());
        let ack_prefix = format!("$JS.SNAPSHOT.ACK.{stream}.{id}");
        let counters = context.server.counters.clone();
        let acks = LocalQueue::new(ACKS_MAX, usize::MAX, counters);
        let filter = format!("{ack_prefix}.>");
        let sink = Sink::Local(acks.clone());
        let interest = Subscription::new(filter.as_bytes(), None, b"", sink);
        context.account.subscribe(interest.clone());
        Self {
            router: Router::new(context.account.clone()),
            context: context.clone(),
            subject: snapshot.deliver_subject.clone(),
            chunk_bytes: or_default(snapshot.chunk_bytes, CHUNK_DEFAULT, CHUNK_MIN, CHUNK_MAX),
            window_bytes: or_default(snapshot.window_bytes, WINDOW_DEFAULT, CHUNK_MIN, WINDOW_MAX),
            ack_prefix,
            acks,
            interest,
            outstanding: 0,
            sent: 0,
        }
    }

    fn has_interest(&self) -> bool {
        let (_, found) = self.context.account.matches(self.subject.as_bytes());
        !found.plain.is_empty() || !found.queues.into_groups().is_empty()
    }

    /// A client may subscribe after it has asked.
    async fn wait_for_interest(&self) -> Result<(), Ended> {
        let deadline = Instant::now() + INTEREST_WAIT;
        while !self.has_interest() {
            if Instant::now() >= deadline {
                return Err(Ended::NoInterest);
            }
            sleep(INTEREST_LOOK).await;
        }
        Ok(())
    }

    /// Sends all whole chunks.
    async fn send(&mut self, writer: &mut Writer) -> Result<(), Ended> {
        while writer.buffer.len() >= self.chunk_bytes {
            let chunk = writer.buffer.split_to(self.chunk_bytes).freeze();
            while self.outstanding > 0 && self.outstanding + chunk.len() > self.window_bytes {
                self.wait_for_ack().await?;
            }
            if !self.has_interest() {
                return Err(Ended::NoInterest);
            }
            self.sent += 1;
            let reply = format!("{}.{}.{}", self.ack_prefix, chunk.len(), self.sent);
            self.outstanding += chunk.len();
            self.router
                .publish(self.subject.as_bytes(), reply.as_bytes(), b"", &chunk);
        }
        Ok(())
    }

    /// The last chunk is not acknowledged.
    fn send_rest(&mut self, rest: Bytes) {
        if !rest.is_empty() {
            self.router
                .publish(self.subject.as_bytes(), b"", b"", &rest);
        }
    }

    async fn wait_for_ack(&mut self) -> Result<(), Ended> {
        let acked = timeout(ACK_WAIT, self.acks.pop()).await;
        let Ok(Some(message)) = acked else {
            return Err(Ended::NoFlow);
        };
        // How much a chunk had is said by the subject that it is acknowledged on.
        let len = message.subject.tokens().rev().nth(1);
        let len = len.and_then(|len| len.parse().ok()).unwrap_or(0);
        self.outstanding = self.outstanding.saturating_sub(len);
        Ok(())
    }

    /// An empty message says that nothing follows, and whether that was all.
    fn end(&mut self, ended: Result<(), Ended>, stream: &str) {
        self.context.account.unsubscribe(&self.interest);
        let headers = match ended {
            Ok(()) if self.sent == 0 => Headers::new(),
            Ok(()) => Headers::new().with_status(204, ""),
            Err(Ended::NoInterest) => return,
            Err(Ended::NoFlow) => Headers::new().with_status(408, "No Flow Response"),
            Err(Ended::Failed(error)) => {
                tracing::error!(stream, %error, "a snapshot failed");
                Headers::new().with_status(500, "stream storage failed")
            }
        };
        self.router.publish(
            self.subject.as_bytes(),
            b"",
            &headers.to_block(),
            &Bytes::new(),
        );
    }
}
