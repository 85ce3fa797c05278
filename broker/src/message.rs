//! What in-process code sends and receives.

use std::sync::Arc;

use bytes::Bytes;

use crate::auth::Sender;
use crate::proto::headers::Headers;
use crate::subject::Subject;

/// A message that reached an in-process subscription.
#[derive(Debug, Clone)]
pub struct Message {
    /// The subject it was published to.
    pub subject: Subject,
    /// Where an answer is expected.
    pub reply: Option<Subject>,
    /// Its headers.
    pub headers: Headers,
    /// Its payload.
    pub payload: Bytes,
    /// The broker's stamp: who sent it. `None` means that it came from inside this process.
    pub sender: Option<Arc<Sender>>,
}

/// A message to publish.
#[derive(Debug, Clone, Default)]
pub struct Publish {
    /// Where to.
    pub subject: String,
    /// Where an answer is expected.
    pub reply: Option<String>,
    /// Headers.
    pub headers: Headers,
    /// Payload.
    pub payload: Bytes,
}

impl Publish {
    /// A message without reply subject and headers.
    pub fn new(subject: impl Into<String>, payload: impl Into<Bytes>) -> Self {
        Self {
            subject: subject.into(),
            payload: payload.into(),
            ..Self::default()
        }
    }

    /// Expects an answer on `reply`.
    #[must_use]
    pub fn with_reply(mut self, reply: impl Into<String>) -> Self {
        self.reply = Some(reply.into());
        self
    }

    /// Adds headers.
    #[must_use]
    pub fn with_headers(mut self, headers: Headers) -> Self {
        self.headers = headers;
        self
    }
}
