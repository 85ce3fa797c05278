//! Makes a stream from a snapshot that arrives in chunks.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use storage::stream::{Append, Place, Sequence, StoredMessage, Stream};
use tokio::time::timeout;

use super::Notice;
use super::archive::{ArchiveError, Reader, Record};
use super::content::{ConsumerPart, StreamPart};
use crate::client::local::LocalQueue;
use crate::interest::subscription::{Sink, Subscription};
use crate::jetstream::StreamHandle;
use crate::jetstream::api::audit::ClientPart;
use crate::jetstream::config::{StreamConfig, Timestamp};
use crate::jetstream::error_code::{self as code, ApiError};
use crate::jetstream::publish::headers::tells_of_an_end;
use crate::jetstream::publish::life_time::parse_life_time;
use crate::jetstream::registry::AccountStreams;
use crate::proto::headers::raw_value;

/// How long the next chunk may take.
const CHUNK_WAIT: Duration = Duration::from_secs(30);
/// Chunks that may wait to be worked off.
const CHUNKS_MAX: usize = 64;
/// Their bytes.
const CHUNK_BYTES_MAX: usize = 16 << 20;
/// Messages that are stored in one go.
const BATCH: usize = 256;

/// A restore that was asked for: its chunks have somewhere to go.
pub(crate) struct Restore {
    streams: Arc<AccountStreams>,
    config: StreamConfig,
    subject: String,
    chunks: Arc<LocalQueue>,
    interest: Arc<Subscription>,
    client: Option<ClientPart>,
    started: Timestamp,
    bytes: u64,
}

/// Tells the requester how it ended.
pub(crate) type Answer = Box<dyn FnOnce(Result<StreamHandle, ApiError>) -> Vec<u8> + Send>;

impl Restore {
    /// Gets ready for chunks of a stream that is to have this configuration, which was checked.
    pub(crate) fn open(
        streams: &Arc<AccountStreams>,
        config: StreamConfig,
        client: Option<ClientPart>,
    ) -> Self {
        let context = streams.context();
        let id = format!("{:032x}", rand::random::<u128>());
        let subject = format!("$JS.SNAPSHOT.RESTORE.{}.{id}", config.name);
        let counters = context.server.counters.clone();
        let chunks = LocalQueue::new(CHUNKS_MAX, CHUNK_BYTES_MAX, counters);
        let sink = Sink::Local(chunks.clone());
        let interest = Subscription::new(subject.as_bytes(), None, b"", sink);
        context.account.subscribe(interest.clone());
        let restore = Self {
            streams: streams.clone(),
            config,
            subject,
            chunks,
            interest,
            client,
            started: Timestamp::now(),
            bytes: 0,
        };
        restore.tell("CREATE", "restore_create", false);
        restore
    }

    /// Where chunks go.
    pub(crate) fn subject(&self) -> &str {
        &self.subject
    }

    /// Takes chunks until their end. Each is answered when it is worked off; the last answer says how it went.
    pub(crate) async fn run(mut self, answer: Answer) {
        let context = self.streams.context().clone();
        let mut work = Work::default();
        let reply = tokio::select! {
            () = context.server.stop.cancelled() => None,
            reply = self.take_chunks(&mut work) => reply,
        };
        context.account.unsubscribe(&self.interest);
        let restored = match reply {
            Some(_) => work.finish(&self.streams).await,
            None => Err(code::STREAM_RESTORE.with("no more chunks came")),
        };
        if restored.is_err()
            && let Some(stream) = &work.stream
        {
            let name = &stream.config().name;
            if let Err(error) = self.streams.restore_abandon(name).await {
                tracing::error!(stream = name, %error, "a half restored stream stays");
            }
        }
        let body = answer(restored);
        if let Some(reply) = reply {
            context.outbox.send(reply, b"", &body);
        }
        self.tell("COMPLETE", "restore_complete", true);
    }

    /// Works off chunks up to the empty one at the end, and returns where that one is answered.
    async fn take_chunks(&mut self, work: &mut Work) -> Option<Bytes> {
        loop {
            let chunk = timeout(CHUNK_WAIT, self.chunks.pop()).await.ok()??;
            let reply = chunk
                .reply
                .as_ref()
                .map(|reply| Bytes::copy_from_slice(reply.as_bytes()))
                .unwrap_or_default();
            if chunk.payload.is_empty() {
                return Some(reply);
            }
            self.bytes += chunk.payload.len() as u64;
            work.take(&chunk.payload, &self.streams, &self.config).await;
            self.streams.context().outbox.send(reply, b"", b"");
        }
    }

    fn tell(&self, what: &str, kind: &str, is_end: bool) {
        let name = &self.config.name;
        self.streams.context().advisories.send(
            &format!("ADVISORY.STREAM.RESTORE_{what}.{name}"),
            &format!("advisory.v1.{kind}"),
            || Notice {
                stream: name,
                state: None,
                start: is_end.then_some(self.started),
                end: is_end.then(Timestamp::now),
                bytes: is_end.then_some(self.bytes),
                client: self.client.as_ref(),
            },
        );
    }
}

/// What is there of a stream so far.
#[derive(Default)]
struct Work {
    reader: Reader,
    stream: Option<Stream>,
    /// Its last sequence, which may be that of a message which is gone.
    last: Option<Place>,
    ready: Vec<Append>,
    has_ended: bool,
    /// The first thing that went wrong; nothing is looked at after it.
    problem: Option<ApiError>,
}

impl Work {
    async fn take(&mut self, chunk: &[u8], streams: &AccountStreams, config: &StreamConfig) {
        if self.problem.is_some() {
            return;
        }
        self.reader.push(chunk);
        if let Err(problem) = self.read(streams, config).await {
            self.problem = Some(problem);
        }
    }

    async fn read(
        &mut self,
        streams: &AccountStreams,
        config: &StreamConfig,
    ) -> Result<(), ApiError> {
        while let Some(record) = self.reader.next().map_err(failed)? {
            match record {
                Record::Stream(json) => {
                    let part: StreamPart =
                        serde_json::from_slice(&json).map_err(|_| failed(ArchiveError::Damaged))?;
                    let stream = streams
                        .restore_begin(config.clone(), part.owner.created)
                        .await?;
                    self.last = (part.last_seq > 0).then_some(Place {
                        sequence: Sequence(part.last_seq),
                        timestamp: part.last_ts,
                    });
                    self.stream = Some(stream);
                }
                Record::Consumer(json) => self.consumer(&json).await?,
                Record::Message(message) => {
                    self.ready.push(append(message, config));
                    if self.ready.len() >= BATCH {
                        self.store().await?;
                    }
                }
                Record::End => self.has_ended = true,
            }
        }
        self.store().await
    }

    fn stream(&self) -> Result<&Stream, ApiError> {
        self.stream.as_ref().ok_or(failed(ArchiveError::Damaged))
    }

    async fn consumer(&self, json: &[u8]) -> Result<(), ApiError> {
        let part = serde_json::from_slice(json).ok();
        let stored = part
            .and_then(ConsumerPart::into_stored)
            .ok_or(failed(ArchiveError::Damaged))?;
        let stream = self.stream()?;
        stream.save_consumer(&stored.name, stored.owner).await?;
        if let Some(cursor) = stored.cursor {
            stream.save_cursor(&stored.name, cursor).await?;
        }
        Ok(())
    }

    async fn store(&mut self) -> Result<(), ApiError> {
        if self.ready.is_empty() {
            return Ok(());
        }
        let ready = std::mem::take(&mut self.ready);
        let stored = self.stream()?.append_all(ready).await;
        stored
            .map(drop)
            .map_err(|(_, error)| code::STREAM_RESTORE.with(error))
    }

    /// The stream begins to work.
    async fn finish(&mut self, streams: &AccountStreams) -> Result<StreamHandle, ApiError> {
        if let Some(problem) = self.problem.take() {
            return Err(problem);
        }
        if !self.has_ended {
            return Err(failed(self.reader.problem()));
        }
        let stream = self.stream()?;
        if let Some(last) = self.last
            && last.sequence > stream.state().last
        {
            let append = Append {
                subject: Bytes::from_static(b"restored"),
                place: Some(last),
                no_store: true,
                ..Append::default()
            };
            stream
                .append(append)
                .await
                .map_err(|error| code::STREAM_RESTORE.with(error))?;
        }
        Ok(streams.restore_finish(stream).await?)
    }
}

fn failed(error: ArchiveError) -> ApiError {
    code::STREAM_RESTORE.with(error)
}

/// A message at the place that it had. Ids are not remembered beyond a restore: the window in which they count is short.
fn append(message: StoredMessage, config: &StreamConfig) -> Append {
    let ttl = raw_value(&message.headers, "Nats-TTL").filter(|_| config.allow_msg_ttl);
    Append {
        ttl: ttl.and_then(parse_life_time),
        is_marker: tells_of_an_end(&message.headers),
        subject: message.subject,
        headers: message.headers,
        payload: message.payload,
        place: Some(Place {
            sequence: message.sequence,
            timestamp: message.timestamp,
        }),
        ..Append::default()
    }
}
