//! What can go wrong with a stream, as in-process callers see it.

use storage::stream::{AppendError, Sequence};

use super::error_code::{self as code, ApiError};

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
    /// There is no stream of that name.
    #[error("there is no stream {name:?}")]
    NotFound {
        /// The name.
        name: String,
    },
    /// What the broker keeps beside the stream is not what it writes.
    #[error("what is stored with stream {name:?} cannot be read")]
    Owner {
        /// The stream.
        name: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// JetStream's rules forbid it.
    #[error(transparent)]
    Refused(#[from] ApiError),
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

impl From<StreamError> for ApiError {
    /// What a client of the API hears.
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::Refused(refused) => refused,
            StreamError::Append(refused) => Self::from(&refused),
            StreamError::Disabled => code::NOT_ENABLED_FOR_ACCOUNT.into(),
            StreamError::SubjectsOverlap { .. } => code::STREAM_SUBJECT_OVERLAP.into(),
            StreamError::NameInUse { .. } => code::STREAM_NAME_EXIST.into(),
            StreamError::NotFound { .. } => code::STREAM_NOT_FOUND.into(),
            StreamError::Storage(failed) => failed.into(),
            StreamError::Owner { .. }
            | StreamError::NotCaptured { .. }
            | StreamError::Publish(_)
            | StreamError::Subject { .. } => code::STREAM_GENERAL_ERROR.with(error),
        }
    }
}

impl From<storage::Error> for ApiError {
    /// Paths stay inside: they are the operator's business.
    fn from(error: storage::Error) -> Self {
        match error {
            storage::Error::InvalidConfig { reason } => code::STREAM_INVALID_CONFIG.with(reason),
            storage::Error::StreamExists { .. } => code::STREAM_NAME_EXIST.into(),
            storage::Error::DiskFull { .. } => code::STORAGE_RESOURCES_EXCEEDED.into(),
            storage::Error::Closed => code::STREAM_NOT_FOUND.into(),
            storage::Error::NotPermitted { operation, .. } => {
                code::STREAM_GENERAL_ERROR.with(format_args!("{operation} is not permitted"))
            }
            failed => {
                tracing::error!(error = %failed, "a stream's storage failed");
                code::STREAM_GENERAL_ERROR.with("stream storage failed")
            }
        }
    }
}
