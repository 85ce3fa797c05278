//! What can go wrong with a stream, as in-process callers see it.

use storage::stream::{AppendError, Sequence};

/// Why something with a stream failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// The append was refused; nothing was stored.
    #[error("message not stored")]
    Append(#[from] AppendError),
    /// The store failed.
    #[error("stream storage failed")]
    Storage(#[from] storage::Error),
    /// The server was made without streams.
    #[error("streams are not enabled")]
    Disabled,
    /// Another stream takes these subjects already.
    #[error("subjects of stream {name:?} overlap with stream {other:?}")]
    SubjectsOverlap {
        /// The stream that was to be made or changed.
        name: String,
        /// The one in its way.
        other: String,
    },
    /// A stream of that name exists with another configuration.
    #[error("stream {name:?} exists with another configuration")]
    NameInUse {
        /// The name.
        name: String,
    },
    /// The message was published on a subject that the stream does not capture.
    #[error("stream {name:?} does not take subject {subject:?}")]
    NotCaptured {
        /// The stream.
        name: String,
        /// The subject.
        subject: String,
    },
    /// The message is larger than the server takes.
    #[error(transparent)]
    Publish(#[from] crate::error::PublishError),
    /// A filter or subject is malformed.
    #[error("subject {subject:?} is not valid")]
    Subject {
        /// The text as given.
        subject: String,
    },
}

impl StreamError {
    /// The last sequence that stood in the way of a compare-and-set, if that is what failed.
    #[must_use]
    pub fn wrong_last_sequence(&self) -> Option<Sequence> {
        match self {
            Self::Append(
                AppendError::WrongLastSequence { last }
                | AppendError::WrongLastSubjectSequence { last },
            ) => Some(*last),
            _ => None,
        }
    }
}
