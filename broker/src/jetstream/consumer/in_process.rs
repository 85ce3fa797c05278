//! A pull consumer inside the process, with a durable cursor.

use std::time::Duration;

use bytes::Bytes;
use storage::stream::{Cursor, ReadLimit, Sequence, StoredMessage, Stream, SubjectPattern};
use tokio::time::Instant;

use crate::jetstream::StreamError;
use crate::proto::headers::Headers;

/// A message read from a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamMessage {
    /// Its place in the stream.
    pub sequence: Sequence,
    /// The subject it was published to.
    pub subject: String,
    /// Its headers.
    pub headers: Headers,
    /// Its payload.
    pub payload: Bytes,
    /// When it was stored, in nanoseconds since 1970.
    pub timestamp: u64,
}

impl From<StoredMessage> for StreamMessage {
    fn from(stored: StoredMessage) -> Self {
        Self {
            sequence: stored.sequence,
            subject: String::from_utf8_lossy(&stored.subject).into_owned(),
            headers: Headers::parse(&stored.headers),
            payload: stored.payload,
            timestamp: stored.timestamp,
        }
    }
}

/// Messages in the order of the stream.
pub type Batch = Vec<StreamMessage>;

/// Reads a stream in order and remembers durably how far its work is done.
///
/// What was delivered and not acknowledged comes again after [`PullConsumer::nak`], and after a restart.
#[derive(Debug)]
pub struct PullConsumer {
    stream: Stream,
    /// `None`: the cursor is not stored.
    name: Option<String>,
    filter: Option<SubjectPattern>,
    ack_floor: Sequence,
    /// Next sequence to deliver.
    next: Sequence,
}

impl PullConsumer {
    pub(crate) async fn open(
        stream: Stream,
        name: &str,
        filter: Option<SubjectPattern>,
    ) -> Result<Self, StreamError> {
        let ack_floor = stream
            .cursor(name)
            .await?
            .map_or(Sequence::NONE, |cursor| cursor.ack_floor);
        Ok(Self {
            stream,
            name: Some(name.to_owned()),
            filter,
            ack_floor,
            next: ack_floor.next(),
        })
    }

    /// Begins behind what is stored now.
    pub(crate) fn from_now(stream: Stream) -> Self {
        let last = *stream.last_sequence().borrow();
        Self {
            stream,
            name: None,
            filter: None,
            ack_floor: last,
            next: last.next(),
        }
    }

    /// Everything up to this sequence is acknowledged.
    #[must_use]
    pub fn ack_floor(&self) -> Sequence {
        self.ack_floor
    }

    /// Up to `max` messages that follow the last delivered one, as soon as there is one; empty after `wait`. Cancel-safe:
    /// what a cancelled call would have delivered is delivered by the next one.
    ///
    /// # Errors
    /// Storage failed.
    pub async fn next_batch(&mut self, max: usize, wait: Duration) -> Result<Batch, StreamError> {
        let deadline = Instant::now() + wait;
        let mut last = self.stream.last_sequence();
        loop {
            let end = *last.borrow_and_update();
            if self.next <= end {
                let limit = ReadLimit::messages(max.max(1));
                let batch = self
                    .stream
                    .read(self.next, self.filter.as_ref(), limit)
                    .await?;
                // Nothing that matches up to `end`: skip it, so that it is not looked at again.
                self.next = batch.last().map_or(end, |message| message.sequence).next();
                if !batch.is_empty() {
                    return Ok(batch.into_iter().map(StreamMessage::from).collect());
                }
                continue;
            }
            match tokio::time::timeout_at(deadline, last.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_closed)) => return Err(storage::Error::Closed.into()),
                Err(_elapsed) => return Ok(Batch::new()),
            }
        }
    }

    /// Acknowledges everything up to and including a sequence. Durable when this returns, if the consumer is.
    ///
    /// # Errors
    /// Storage failed; the cursor is where it was.
    pub async fn ack_to(&mut self, sequence: Sequence) -> Result<(), StreamError> {
        if sequence <= self.ack_floor {
            return Ok(());
        }
        let cursor = Cursor {
            ack_floor: sequence,
            delivered: sequence,
            ..Cursor::default()
        };
        if let Some(name) = &self.name {
            self.stream.save_cursor(name, cursor).await?;
        }
        self.ack_floor = sequence;
        self.next = self.next.max(sequence.next());
        Ok(())
    }

    /// Goes back: everything behind the last acknowledged message is delivered again.
    pub fn nak(&mut self) {
        self.next = self.ack_floor.next();
    }
}
