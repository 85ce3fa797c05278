//! Messages on a stream's subjects, on their way into the stream.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use bytes::Bytes;
use storage::stream::{Append, AppendError, Appended, Stream};

use super::error_code::{self as code, ApiError};
use super::publish::admission::{self, Admitted};
use super::publish::answer::Stored;
use super::publish::rules::Rules;
use crate::account::Account;
use crate::delivery::Outgoing;
use crate::proto::headers::Headers;
use crate::router::Router;
use crate::router::answers::Answers;

/// Messages that a stream's subjects matched, with a copy of their bytes in one buffer: one allocation for many.
#[derive(Debug, Default)]
pub(crate) struct CapturedBatch {
    bytes: Vec<u8>,
    spans: Vec<Span>,
}

/// Lengths of one message's parts, in the order in which they follow each other.
#[derive(Debug, Clone, Copy)]
struct Span {
    subject: usize,
    reply: usize,
    headers: usize,
    payload: usize,
}

/// One message of a batch; its parts share the batch's buffer.
#[derive(Debug, Clone)]
pub(crate) struct Captured {
    pub(crate) subject: Bytes,
    /// Where the PubAck goes; empty: nowhere.
    pub(crate) reply: Bytes,
    pub(crate) headers: Bytes,
    pub(crate) payload: Bytes,
}

impl CapturedBatch {
    /// Adds a copy of a message.
    #[inline]
    pub(crate) fn push(&mut self, message: &Outgoing<'_>) {
        let span = Span {
            subject: message.subject.len(),
            reply: message.reply.len(),
            headers: message.header_len,
            payload: message.body.len() - message.header_len,
        };
        self.bytes
            .reserve(span.subject + span.reply + message.body.len());
        self.bytes.extend_from_slice(message.subject);
        self.bytes.extend_from_slice(message.reply);
        self.bytes.extend_from_slice(message.body);
        self.spans.push(span);
    }

    pub(crate) fn len_bytes(&self) -> usize {
        self.bytes.len()
    }

    fn into_messages(self) -> impl ExactSizeIterator<Item = Captured> {
        let mut rest = Bytes::from(self.bytes);
        self.spans.into_iter().map(move |span| {
            // An empty part holds no reference to the buffer: most messages have no headers, many no reply.
            let mut take = |len| match len {
                0 => Bytes::new(),
                len => rest.split_to(len),
            };
            Captured {
                subject: take(span.subject),
                reply: take(span.reply),
                headers: take(span.headers),
                payload: take(span.payload),
            }
        })
    }
}

/// The sink of a stream's subscriptions.
#[derive(Debug)]
pub(crate) struct Capture {
    stream: Stream,
    rules: RwLock<Arc<Rules>>,
    /// Publishes the answers, on the storage thread.
    outlet: Mutex<Outlet>,
}

#[derive(Debug)]
struct Outlet {
    router: Router,
    answers: Answers,
}

/// Appends of one batch, with where their answers go.
#[derive(Debug, Default)]
struct Run {
    appends: Vec<Append>,
    replies: Vec<Bytes>,
}

impl Capture {
    pub(crate) fn new(stream: Stream, account: Arc<Account>, rules: Rules) -> Arc<Self> {
        Arc::new(Self {
            stream,
            rules: RwLock::new(Arc::new(rules)),
            outlet: Mutex::new(Outlet {
                router: Router::new(account),
                answers: Answers::default(),
            }),
        })
    }

    /// What publishers are held to at present.
    pub(crate) fn rules(&self) -> Arc<Rules> {
        self.rules
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The configuration of the stream has changed.
    pub(crate) fn set_rules(&self, rules: Rules) {
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
    }

    /// Hands a publisher's batch to the stream. Answers leave after the commit; a full stream refuses the batch.
    pub(crate) fn submit(self: &Arc<Self>, batch: CapturedBatch) {
        let rules = self.rules();
        let messages = batch.into_messages();
        let mut run = Run::with_capacity(messages.len());
        let mut refused = Vec::new();
        for message in messages {
            match admission::admit(&rules, message) {
                Ok(Admitted { append, reply }) => {
                    run.appends.push(append);
                    run.replies.push(reply);
                }
                Err((reply, error)) => refused.push((reply, error)),
            }
        }
        if !refused.is_empty() {
            self.refuse(&rules, refused);
        }
        if !run.appends.is_empty() {
            self.append(rules, run);
        }
    }

    fn append(self: &Arc<Self>, rules: Arc<Rules>, run: Run) {
        let Run { appends, replies } = run;
        // The queue gives an append back where it has no room, but not the replies that the completion took with it.
        let replies = Arc::new(replies);
        let done = {
            let (capture, rules, replies) = (self.clone(), rules.clone(), replies.clone());
            move |results: Vec<Result<Appended, AppendError>>| {
                capture.answer(&rules, replies.iter().zip(results));
            }
        };
        if self.stream.submit(appends, done).is_err() {
            let overload = || ApiError::from(code::STREAM_TOO_MANY_REQUESTS);
            self.refuse(
                &rules,
                replies.iter().map(|reply| (reply.clone(), overload())),
            );
        }
    }

    fn answer<'a>(
        &self,
        rules: &Rules,
        results: impl Iterator<Item = (&'a Bytes, Result<Appended, AppendError>)>,
    ) {
        let mut outlet = self.outlet.lock().unwrap_or_else(PoisonError::into_inner);
        let Outlet { router, answers } = &mut *outlet;
        answers.clear();
        for (reply, result) in results {
            match result {
                Ok(_) if reply.is_empty() => {}
                Ok(appended) => answers.push(reply.clone(), b"", |out| {
                    let stored = Stored {
                        sequence: appended.sequence.0,
                        is_duplicate: appended.duplicate,
                        ..Stored::default()
                    };
                    rules.answer_head.stored(&stored, out);
                }),
                Err(error) => push_refusal(rules, answers, reply.clone(), &ApiError::from(&error)),
            }
        }
        router.answer(answers);
    }

    fn refuse(&self, rules: &Rules, refused: impl IntoIterator<Item = (Bytes, ApiError)>) {
        let mut outlet = self.outlet.lock().unwrap_or_else(PoisonError::into_inner);
        let Outlet { router, answers } = &mut *outlet;
        answers.clear();
        for (reply, error) in refused {
            push_refusal(rules, answers, reply, &error);
        }
        router.answer(answers);
    }
}

impl Run {
    fn with_capacity(len: usize) -> Self {
        Self {
            appends: Vec::with_capacity(len),
            replies: Vec::with_capacity(len),
        }
    }
}

fn push_refusal(rules: &Rules, answers: &mut Answers, reply: Bytes, error: &ApiError) {
    if reply.is_empty() {
        tracing::debug!(stream = rules.name, reason = %error, "message not stored");
        return;
    }
    let headers = match error.code {
        429 => Headers::new()
            .with_status(429, "Too Many Requests")
            .to_block(),
        _ => Bytes::new(),
    };
    answers.push(reply, &headers, |out| rules.answer_head.refused(error, out));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_out_of_a_batch_as_they_went_in() {
        let mut batch = CapturedBatch::default();
        for (subject, reply, headers, payload) in
            [("a", "r", "", "x"), ("b.c", "", "NATS/1.0\r\n\r\n", "")]
        {
            batch.push(&Outgoing {
                subject: subject.as_bytes(),
                reply: reply.as_bytes(),
                header_len: headers.len(),
                body: format!("{headers}{payload}").as_bytes(),
                verbatim: &[],
                shared: None,
                is_captured: true,
            });
        }
        let messages: Vec<Captured> = batch.into_messages().collect();
        let text = |message: &Captured| {
            [
                &message.subject,
                &message.reply,
                &message.headers,
                &message.payload,
            ]
            .map(|part| String::from_utf8_lossy(part).into_owned())
        };
        assert_eq!(text(&messages[0]), ["a", "r", "", "x"]);
        assert_eq!(text(&messages[1]), ["b.c", "", "NATS/1.0\r\n\r\n", ""]);
    }
}
