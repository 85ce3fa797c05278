//! What goes into a stream and what comes out of it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::SubjectPattern;

/// Place of a message in its stream. The first message of a new stream is 1; numbers are never
/// reused. 0 means "none".
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(pub u64);

impl Sequence {
    /// "No message yet".
    pub const NONE: Self = Self(0);

    /// The sequence after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One message to be stored, with the conditions it comes under.
#[derive(Debug, Clone, Default)]
pub struct Append {
    /// Subject, at most 64 KiB.
    pub subject: Bytes,
    /// Raw NATS header block, or empty.
    pub headers: Bytes,
    /// The body.
    pub payload: Bytes,
    /// Deduplication id (`Nats-Msg-Id`): the same id within the duplicate window is not stored
    /// again and answered with the first sequence.
    pub message_id: Option<Bytes>,
    /// Conditions on the state of the stream.
    pub expected: Expected,
    /// Life time of this message alone; [`Duration::MAX`] means it outlives `age_max` too.
    pub ttl: Option<Duration>,
    /// What this message replaces.
    pub rollup: Option<Rollup>,
    /// Takes exactly this place instead of the next one: a mirror follows its origin.
    pub place: Option<Place>,
    /// Takes a sequence and is not kept: nobody is interested in it.
    pub no_store: bool,
    /// Tells of an end itself, as a tombstone does: no [`AgeMarker`](super::AgeMarker) follows when
    /// age takes it.
    pub is_marker: bool,
    /// Makes headers and payload from the subject's previous message; what is given here is
    /// replaced.
    pub derive: Option<Arc<dyn Derive>>,
    /// A cursor of this stream that becomes durable in the same commit, by its name: how far a
    /// copy of another stream has come. Saved for a duplicate too, and not for what is refused.
    pub cursor: Option<Box<(String, super::Cursor)>>,
}

/// A place that was given out elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Above the last sequence of the stream; what lies between is never filled.
    pub sequence: Sequence,
    /// When the message was stored first, in nanoseconds since 1970.
    pub timestamp: u64,
}

/// Makes a message from the one before it, such as a counter from its last value.
///
/// Called on the writer of the stream: nothing can come between the two messages. It must be
/// quick and must not block.
pub trait Derive: fmt::Debug + Send + Sync {
    /// Headers and payload to be stored. `previous` is the newest message of the subject, with
    /// those that are being committed.
    ///
    /// # Errors
    /// A text for the publisher; nothing is stored then ([`AppendError::Derive`]).
    ///
    /// [`AppendError::Derive`]: super::AppendError::Derive
    fn derive(&self, previous: Option<&StoredMessage>) -> Result<Derived, String>;
}

/// What [`Derive`] made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Derived {
    /// Raw NATS header block, or empty.
    pub headers: Bytes,
    /// The body.
    pub payload: Bytes,
}

impl Append {
    /// A plain message without headers or conditions.
    pub fn new(subject: impl Into<Bytes>, payload: impl Into<Bytes>) -> Self {
        Self {
            subject: subject.into(),
            payload: payload.into(),
            ..Self::default()
        }
    }

    /// Bytes this message holds on to while it waits.
    pub(crate) fn len_bytes(&self) -> usize {
        let id = self.message_id.as_ref().map_or(0, Bytes::len);
        self.subject.len() + self.headers.len() + self.payload.len() + id
    }
}

/// Conditions an append may state; all given ones must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expected {
    /// Last sequence of the stream; 0 is a valid expectation.
    pub last_sequence: Option<Sequence>,
    /// Last sequence of the subject; 0 = the subject has no message.
    pub last_subject_sequence: Option<Sequence>,
    /// Look at these subjects instead of the message's own for `last_subject_sequence`.
    pub last_subject_filter: Option<SubjectPattern>,
    /// Id of the last message stored; empty = it had none.
    pub last_message_id: Option<Bytes>,
}

/// Which older messages a message replaces once it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rollup {
    /// Those of its own subject.
    Subject,
    /// All of the stream.
    All,
}

/// An append that was accepted and is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// Its sequence; of the first one when it is a duplicate.
    pub sequence: Sequence,
    /// True when the message id was seen before and nothing was stored.
    pub duplicate: bool,
    /// When it was stored, in nanoseconds since 1970.
    pub timestamp: u64,
    /// Newest message of the subject before this one; 0 = none. 0 for a duplicate too.
    pub previous: Sequence,
    /// The body that [`Derive`] made.
    pub payload: Option<Bytes>,
}

/// A message as it was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredMessage {
    /// Its place.
    pub sequence: Sequence,
    /// Its subject.
    pub subject: Bytes,
    /// Raw NATS header block, or empty.
    pub headers: Bytes,
    /// The body. Shares memory with its neighbours: copy it to keep it for long.
    pub payload: Bytes,
    /// When it was stored, in nanoseconds since 1970.
    pub timestamp: u64,
}

impl StoredMessage {
    /// Bytes of subject, headers and payload.
    #[must_use]
    pub fn len_bytes(&self) -> usize {
        self.subject.len() + self.headers.len() + self.payload.len()
    }
}

/// How much one [`Stream::read`](super::Stream::read) may return; whichever is reached first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadLimit {
    /// Most messages.
    pub messages: usize,
    /// Most bytes of subject, headers and payload; the first message is returned whatever its size.
    pub bytes: usize,
}

impl ReadLimit {
    /// At most `messages` messages and 1 MiB.
    #[must_use]
    pub fn messages(messages: usize) -> Self {
        Self {
            messages,
            bytes: 1024 * 1024,
        }
    }
}

/// Changes of a consumer that belong together: one durable commit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settle {
    /// The new state of a consumer, by its name.
    pub cursor: Option<(String, super::Cursor)>,
    /// Messages that nobody needs any more. Those that are gone already do not matter.
    pub remove: Vec<Sequence>,
}

/// What a purge removes. Empty: everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Purge {
    /// Only these subjects.
    pub filter: Option<SubjectPattern>,
    /// Only messages below this sequence. Beyond the last message and without a filter it moves the
    /// stream on: the next message gets this sequence.
    pub before: Option<Sequence>,
    /// Keep the newest so many (of the filtered ones).
    pub keep: Option<u64>,
}

/// Figures of a stream, of the last commit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StreamState {
    /// First message held; last + 1 when all were removed; 0 when never used.
    pub first: Sequence,
    /// Last sequence ever given out.
    pub last: Sequence,
    /// Messages held.
    pub messages: u64,
    /// Bytes as nats-server counts them (see `StreamConfig::record_bytes`).
    pub bytes: u64,
    /// Distinct subjects.
    pub subjects: u64,
    /// Time of the first message held, unix nanoseconds; 0 = none.
    pub first_timestamp: u64,
    /// Time of the last append, unix nanoseconds; 0 = none.
    pub last_timestamp: u64,
    /// Gaps between first and last.
    pub deleted: u64,
}
