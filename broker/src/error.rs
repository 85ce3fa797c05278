//! What can go wrong, as callers see it.

use std::net::SocketAddr;

use crate::subject::SubjectError;

/// A failure of the broker.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The port cannot be listened on.
    #[error("cannot listen on {addr}")]
    Listen {
        /// The address asked for.
        addr: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// TLS as configured cannot be spoken.
    #[error("TLS cannot be spoken on this port")]
    Tls(#[from] crate::listen::tls::TlsError),
    /// Something about a listener cannot be honoured.
    #[error("{0}")]
    Listener(String),
    /// Streams cannot be opened.
    #[error("streams cannot be opened")]
    Streams(#[from] crate::jetstream::StreamError),
    /// Users and accounts contradict each other.
    #[error("users and accounts cannot be set up")]
    Accounts(#[from] crate::accounts::AccountsError),
    /// The server is shutting down.
    #[error("the broker is shutting down")]
    Stopped,
    /// A subject or filter breaks the token rules.
    #[error("subject {subject:?} is not valid")]
    Subject {
        /// The text as given.
        subject: String,
        /// The broken rule.
        source: SubjectError,
    },
}

/// Why a message was not published.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The subject or the reply breaks the token rules.
    #[error("subject {subject:?} is not valid")]
    Subject {
        /// The text as given.
        subject: String,
        /// The broken rule.
        source: SubjectError,
    },
    /// Headers and payload together are too large.
    #[error("message of {len_bytes} bytes exceeds the maximum payload of {max_bytes}")]
    PayloadTooLarge {
        /// Size of headers and payload.
        len_bytes: usize,
        /// `Limits::payload_bytes_max`.
        max_bytes: usize,
    },
}

/// Why a request got no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// Nobody subscribes to the subject, or the subscriber's queue is full.
    #[error("nobody answers on {subject}")]
    NoResponders {
        /// The subject of the request.
        subject: String,
    },
    /// No answer came in time.
    #[error("no answer on {subject} in time")]
    TimedOut {
        /// The subject of the request.
        subject: String,
    },
    /// Too many requests of this client wait already.
    #[error("{waiting} requests wait for an answer already")]
    TooMany {
        /// `Limits::requests_max`.
        waiting: usize,
    },
    /// The client was drained while the request waited.
    #[error("the client is closed")]
    Closed,
    /// The request could not be published.
    #[error(transparent)]
    Publish(#[from] PublishError),
}
