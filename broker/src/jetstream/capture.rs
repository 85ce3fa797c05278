//! Messages on a stream's subjects, on their way into the stream.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use storage::stream::{Append, AppendError, Appended, Stream};

use super::ack;
use super::error_code::{self as code, ApiError};
use crate::account::Account;
use crate::proto::headers::Headers;
use crate::router::Router;

/// A message that a stream's subjects matched. It owns its bytes.
#[derive(Debug, Clone)]
pub(crate) struct Captured {
    pub(crate) subject: Bytes,
    /// Where the PubAck goes; empty: nowhere.
    pub(crate) reply: Bytes,
    pub(crate) headers: Bytes,
    pub(crate) payload: Bytes,
}

/// The sink of a stream's subscriptions.
#[derive(Debug)]
pub(crate) struct Capture {
    name: String,
    stream: Stream,
    /// Publishes the answers, on the storage thread.
    answers: Arc<Mutex<Router>>,
}

impl Capture {
    pub(crate) fn new(stream: Stream, account: Arc<Account>) -> Arc<Self> {
        Arc::new(Self {
            name: stream.config().name.clone(),
            stream,
            answers: Arc::new(Mutex::new(Router::new(account))),
        })
    }

    /// Hands a publisher's batch to the stream. Answers leave after the commit; a full stream refuses the batch.
    pub(crate) fn submit(self: &Arc<Self>, batch: Vec<Captured>) {
        let mut appends = Vec::with_capacity(batch.len());
        let mut replies = Vec::with_capacity(batch.len());
        let mut refused = Vec::new();
        for captured in batch {
            match ack::append_from(&self.name, &captured) {
                Ok(append) => {
                    appends.push(append);
                    replies.push(captured.reply);
                }
                Err(error) => refused.push((captured.reply, Err(error))),
            }
        }
        if !refused.is_empty() {
            self.answer(refused);
        }
        if !appends.is_empty() {
            self.append(appends, replies);
        }
    }

    fn append(self: &Arc<Self>, appends: Vec<Append>, replies: Vec<Bytes>) {
        let capture = self.clone();
        let answered = replies.clone();
        let done = move |results: Vec<Result<Appended, AppendError>>| {
            let answers = answered.into_iter().zip(results);
            capture
                .answer(answers.map(|(reply, result)| {
                    (reply, result.map_err(|error| ApiError::from(&error)))
                }));
        };
        if self.stream.submit(appends, done).is_err() {
            self.answer(
                replies
                    .into_iter()
                    .map(|reply| (reply, Err(code::STREAM_TOO_MANY_REQUESTS.into()))),
            );
        }
    }

    fn answer(&self, answers: impl IntoIterator<Item = (Bytes, Result<Appended, ApiError>)>) {
        let mut router = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        for (reply, result) in answers {
            if reply.is_empty() {
                if let Err(error) = &result {
                    tracing::debug!(
                        stream = self.name,
                        reason = %error,
                        "message not stored"
                    );
                }
                continue;
            }
            let headers = match &result {
                Err(error) if error.code == 429 => Headers::new()
                    .with_status(429, "Too Many Requests")
                    .to_block(),
                _ => Bytes::new(),
            };
            let outcome = result
                .as_ref()
                .map(|appended| (appended.sequence, appended.duplicate));
            router.collect(&reply, &headers, &ack::answer(&self.name, outcome));
        }
        router.flush();
    }
}
