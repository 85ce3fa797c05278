//! Why an append was refused.

use std::sync::Arc;

use crate::Error;

use super::{Append, Sequence};

/// Why an append was refused. Nothing of it was stored.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// The stream's last sequence is another one (10071).
    #[error("wrong last sequence: {last}")]
    WrongLastSequence {
        /// What it is.
        last: Sequence,
    },
    /// The subject's last sequence is another one (10071).
    #[error("wrong last sequence: {last}")]
    WrongLastSubjectSequence {
        /// What it is; 0 = the subject has no message.
        last: Sequence,
    },
    /// The last stored message has another id (10070).
    #[error("wrong last msg ID: {last}")]
    WrongLastMessageId {
        /// What it is; empty = none.
        last: String,
    },
    /// Headers and payload are larger than the stream or the store takes (10054).
    #[error("message of {len_bytes} bytes exceeds the largest allowed of {max_bytes}")]
    MessageTooLarge {
        /// Size of headers and payload.
        len_bytes: u64,
        /// The limit.
        max_bytes: u64,
    },
    /// The stream is full and discards new messages (10077).
    #[error("maximum messages exceeded")]
    MaximumMessages,
    /// The stream is full and discards new messages (10077).
    #[error("maximum bytes exceeded")]
    MaximumBytes,
    /// The subject is full and discards new messages (10077).
    #[error("maximum messages per subject exceeded")]
    MaximumPerSubject,
    /// Life times of single messages are not allowed here (10166).
    #[error("per-message TTL is disabled")]
    TtlNotAllowed,
    /// Roll-ups are not allowed here (10111).
    #[error("rollup not permitted")]
    RollupNotAllowed,
    /// A batch that is stored as a whole has a message id that is known already (10201).
    #[error("batch contains a message id that is known already")]
    DuplicateId,
    /// [`Derive`](super::Derive) refused to make the message.
    #[error("{0}")]
    Derive(String),
    /// The place is not above the last sequence, or not above the one before it in a batch.
    #[error("place {place} is not above the last sequence {last}")]
    WrongPlace {
        /// What was asked for.
        place: Sequence,
        /// The last sequence of the stream.
        last: Sequence,
    },
    /// The subject is empty or longer than 64 KiB.
    #[error("not a subject that can be stored")]
    BadSubject,
    /// The stream is being closed or was removed.
    #[error("stream is closed")]
    Closed,
    /// No room left on the disk. Tried again by itself with later appends.
    #[error("no room left on the disk")]
    DiskFull,
    /// The commit failed, now or earlier; this handle takes no more appends.
    #[error("stream storage failed")]
    Storage(#[source] Arc<Error>),
}

/// The queue of a stream has no room: answer "too many requests", or wait and try again.
/// Nothing was taken; both arguments come back.
pub struct QueueFull<F> {
    /// The batch that was not taken.
    pub batch: Vec<Append>,
    /// The completion that was not called.
    pub done: F,
}

impl<F> std::fmt::Debug for QueueFull<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "QueueFull({} appends)", self.batch.len())
    }
}
