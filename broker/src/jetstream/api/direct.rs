//! Direct get: messages of a stream as messages, not as JSON (ADR-31).
//!
//! `$JS.API.DIRECT.GET.<stream>` takes a selection in JSON, `$JS.API.DIRECT.GET.<stream>.<subject>` gives the newest message
//! of a subject. The work starts on the publisher's thread: what is in memory is answered before the publisher goes on,
//! only what needs the disk becomes a task.

use std::fmt::Write as _;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use serde::Deserialize;
use storage::stream::{ReadLimit, Sequence, StoredMessage, Stream, SubjectPattern};

use super::Request;
use super::decode::decode;
use crate::jetstream::StreamHandle;
use crate::jetstream::config::Timestamp;
use crate::jetstream::context::AccountContext;
use crate::proto::headers::Headers;
use crate::router::answers::Answers;

/// Subjects that one request may name the newest messages of.
const MULTI_MAX: usize = 1024;
/// Messages that are read at once for a batch.
const READ_MESSAGES: usize = 256;
/// Bytes of messages that one request may ask for.
const BATCH_BYTES_MAX: usize = 32 << 20;

/// Which messages a request means.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Selection {
    seq: u64,
    last_by_subj: String,
    next_by_subj: String,
    pub(super) batch: i64,
    max_bytes: i64,
    start_time: Option<Timestamp>,
    pub(super) multi_last: Vec<String>,
    up_to_seq: u64,
    up_to_time: Option<Timestamp>,
    pub(super) no_hdr: bool,
}

impl Selection {
    fn is_empty(&self) -> bool {
        self.seq == 0
            && self.last_by_subj.is_empty()
            && self.next_by_subj.is_empty()
            && self.start_time.is_none()
            && self.multi_last.is_empty()
    }

    fn has_contradiction(&self) -> bool {
        let is_last = !self.last_by_subj.is_empty();
        let is_next = !self.next_by_subj.is_empty();
        let is_multi = !self.multi_last.is_empty();
        let has_start = self.seq > 0 || self.start_time.is_some();
        (is_last && (has_start || is_next || self.batch > 0))
            || (self.seq > 0 && self.start_time.is_some())
            || (is_multi && (is_last || is_next))
            || (self.up_to_seq > 0 && self.up_to_time.is_some())
    }

    /// Whether it names a message, and in one way only.
    pub(super) fn names_one(&self) -> bool {
        !self.is_empty() && !self.has_contradiction()
    }

    /// Where reading begins.
    fn start(&self, stream: &Stream) -> Sequence {
        match self.start_time {
            Some(time) => stream.sequence_at(time.0),
            None => Sequence(self.seq.max(1)),
        }
    }
}

/// The one message that a selection names.
pub(super) async fn read_one(
    stream: &Stream,
    selection: &Selection,
) -> Result<Option<StoredMessage>, storage::Error> {
    if !selection.last_by_subj.is_empty() {
        return read_last(stream, &selection.last_by_subj).await;
    }
    if selection.next_by_subj.is_empty() && selection.start_time.is_none() {
        return stream.message(Sequence(selection.seq)).await;
    }
    let filter = match selection.next_by_subj.as_str() {
        "" => None,
        text => match SubjectPattern::parse(text) {
            Some(filter) => Some(filter),
            None => return Ok(None),
        },
    };
    let start = selection.start(stream);
    let limit = ReadLimit::messages(1);
    Ok(stream.read(start, filter.as_ref(), limit).await?.pop())
}

/// The newest message of a subject, or of all subjects that match.
async fn read_last(stream: &Stream, filter: &str) -> Result<Option<StoredMessage>, storage::Error> {
    let Some(pattern) = SubjectPattern::parse(filter) else {
        return Ok(None);
    };
    if let Some(subject) = pattern.as_literal() {
        return stream.last_for_subject(subject).await;
    }
    match stream.last_sequences(&[pattern], None).last() {
        Some(sequence) => stream.message(*sequence).await,
        None => Ok(None),
    }
}

/// One answer: a header block, which may be empty, and a payload.
type Part = (Bytes, Bytes);

fn status(code: u16, description: &str) -> Part {
    let headers = Headers::new().with_status(code, description);
    (headers.to_block(), Bytes::new())
}

/// A direct get on its way.
#[derive(Debug)]
pub(crate) struct DirectGet {
    stream: StreamHandle,
    /// The subject that was asked for by the request's own subject.
    subject: Option<String>,
}

/// Direct gets that were begun on a publisher's thread.
#[derive(Default)]
pub(super) struct Begun {
    answers: Answers,
    context: Option<Arc<AccountContext>>,
}

impl Begun {
    /// Starts one. What cannot be answered now goes on as a task.
    pub(super) fn start(&mut self, get: DirectGet, request: Request) {
        let context = get.stream.context().clone();
        let _runtime = context.runtime.enter();
        let reply = request.reply.clone();
        let mut work: Pin<Box<dyn Future<Output = Vec<Part>> + Send>> =
            Box::pin(get.answer(request));
        match (&mut work).now_or_never() {
            Some(parts) => self.push(&reply, parts),
            None => match context.direct_gets.clone().try_acquire_owned() {
                Ok(permit) => {
                    let outbox = context.clone();
                    context.server.tasks.spawn(async move {
                        for (headers, payload) in work.await {
                            outbox.outbox.send(reply.clone(), &headers, &payload);
                        }
                        drop(permit);
                    });
                }
                Err(_) => self.push(&reply, vec![status(429, "Too Many Requests")]),
            },
        }
        self.context = Some(context.clone());
    }

    fn push(&mut self, reply: &Bytes, parts: Vec<Part>) {
        for (headers, payload) in parts {
            if !reply.is_empty() {
                self.answers.push(reply.clone(), &headers, |body| {
                    body.extend_from_slice(&payload);
                });
            }
        }
    }

    /// Sends what is answered.
    pub(super) fn finish(&mut self) {
        if let Some(context) = self.context.take() {
            context.outbox.send_all(&self.answers);
            self.answers.clear();
        }
    }
}

impl DirectGet {
    pub(super) fn new(stream: StreamHandle, subject: Option<&str>) -> Self {
        Self {
            stream,
            subject: subject.map(ToOwned::to_owned),
        }
    }

    async fn answer(self, request: Request) -> Vec<Part> {
        if super::check_level(&request).is_err() {
            return vec![status(412, "Required Api Level")];
        }
        let selection = match self.selection(&request.payload) {
            Ok(selection) => selection,
            Err(problem) => return vec![problem],
        };
        let answered = if !selection.multi_last.is_empty() {
            self.multi(&selection, &request.reply).await
        } else if selection.batch != 0 {
            self.batch(&selection, &request.reply).await
        } else {
            self.one(&selection).await
        };
        match answered {
            Ok(parts) => parts,
            Err(error) => {
                tracing::error!(%error, "a direct get failed");
                vec![status(500, "Internal Server Error")]
            }
        }
    }

    fn selection(&self, payload: &[u8]) -> Result<Selection, Part> {
        let malformed = || status(408, "Malformed Request");
        let mut selection: Selection = match payload {
            [] => Selection::default(),
            payload => decode(payload, false).map_err(|_| malformed())?,
        };
        if let Some(subject) = &self.subject {
            if !selection.is_empty() {
                return Err(status(408, "Bad Request"));
            }
            selection.last_by_subj.clone_from(subject);
        }
        if selection.is_empty() {
            return Err(status(408, "Empty Request"));
        }
        if selection.has_contradiction() {
            return Err(status(408, "Bad Request"));
        }
        Ok(selection)
    }

    async fn one(&self, selection: &Selection) -> Result<Vec<Part>, storage::Error> {
        let found = read_one(self.stream.storage(), selection).await?;
        Ok(vec![match found {
            None => status(404, "Message Not Found"),
            Some(message) if selection.no_hdr => (Bytes::new(), message.payload),
            Some(message) => (self.headers(&message, None), message.payload),
        }])
    }

    /// Messages from a start on, then the end of the batch.
    async fn batch(
        &self,
        selection: &Selection,
        reply: &Bytes,
    ) -> Result<Vec<Part>, storage::Error> {
        let stream = self.stream.storage();
        let filter = match selection.next_by_subj.as_str() {
            "" => None,
            text => match SubjectPattern::parse(text) {
                Some(filter) => Some(filter),
                None => return Ok(vec![status(404, "Message Not Found")]),
            },
        };
        let mut next = selection.start(stream);
        let mut progress = Progress::new(stream.count(next, filter.as_ref()));
        if progress.pending == 0 {
            return Ok(vec![status(404, "Message Not Found")]);
        }
        let mut budget = Budget::new(selection, usize::try_from(selection.batch).unwrap_or(0));
        while budget.has_room() {
            let limit = ReadLimit::messages(budget.messages.min(READ_MESSAGES));
            let messages = stream.read(next, filter.as_ref(), limit).await?;
            let Some(last) = messages.last() else { break };
            next = last.sequence.next();
            self.send(
                messages,
                selection.no_hdr,
                reply,
                &mut budget,
                &mut progress,
            );
        }
        Ok(vec![progress.end(None)])
    }

    /// The newest message of each of many subjects, then the end of the batch.
    async fn multi(
        &self,
        selection: &Selection,
        reply: &Bytes,
    ) -> Result<Vec<Part>, storage::Error> {
        let stream = self.stream.storage();
        let filters: Vec<_> = selection
            .multi_last
            .iter()
            .filter_map(SubjectPattern::parse)
            .collect();
        let up_to = match selection.up_to_time {
            Some(time) => Sequence(stream.sequence_at(time.0).0.saturating_sub(1)),
            None if selection.up_to_seq > 0 => Sequence(selection.up_to_seq),
            None => *stream.last_sequence().borrow(),
        };
        // Without a filter storage would take them all.
        let mut sequences = match filters.as_slice() {
            [] => Vec::new(),
            filters => stream.last_sequences(filters, Some(up_to)),
        };
        let start = selection.start(stream);
        sequences.retain(|sequence| *sequence >= start);
        // Filters may overlap; a message is given once.
        sequences.dedup();
        if sequences.is_empty() {
            return Ok(vec![status(404, "No Results")]);
        }
        if sequences.len() > MULTI_MAX {
            return Ok(vec![status(413, "Too Many Results")]);
        }
        let mut progress = Progress::new(sequences.len() as u64);
        let messages_max = match selection.batch {
            0 => usize::MAX,
            batch => usize::try_from(batch).unwrap_or(0),
        };
        let mut budget = Budget::new(selection, messages_max);
        for sequence in sequences {
            if !budget.has_room() {
                break;
            }
            match stream.message(sequence).await? {
                Some(message) => {
                    self.send(vec![message], false, reply, &mut budget, &mut progress);
                }
                // It went away since the list was made.
                None => progress.pending -= 1,
            }
        }
        Ok(vec![progress.end(Some(up_to))])
    }

    /// Sends messages of a batch until its budget is used up.
    fn send(
        &self,
        messages: Vec<StoredMessage>,
        no_hdr: bool,
        reply: &Bytes,
        budget: &mut Budget,
        progress: &mut Progress,
    ) {
        let mut answers = Answers::default();
        for message in messages {
            if !budget.has_room() {
                break;
            }
            progress.pending = progress.pending.saturating_sub(1);
            budget.take(&message);
            let headers = match no_hdr {
                true => Bytes::new(),
                false => self.headers(&message, Some(progress)),
            };
            progress.last = message.sequence;
            if !reply.is_empty() {
                answers.push(reply.clone(), &headers, |body| {
                    body.extend_from_slice(&message.payload);
                });
            }
        }
        self.stream.context().outbox.send_all(&answers);
    }

    /// The message's own headers and where it comes from.
    fn headers(&self, message: &StoredMessage, progress: Option<&Progress>) -> Bytes {
        let mut fields = format!(
            "Nats-Stream: {}\r\nNats-Subject: {}\r\nNats-Sequence: {}\r\nNats-Time-Stamp: {}\r\n",
            self.stream.config().name,
            String::from_utf8_lossy(&message.subject),
            message.sequence,
            Timestamp(message.timestamp),
        );
        if let Some(progress) = progress {
            progress.write(&mut fields);
        }
        let own = match message.headers.strip_suffix(b"\r\n") {
            Some(own) => own,
            None => b"NATS/1.0\r\n",
        };
        [own, fields.as_bytes(), b"\r\n"].concat().into()
    }
}

/// How much more one request may be given.
struct Budget {
    messages: usize,
    bytes: usize,
}

impl Budget {
    fn new(selection: &Selection, messages: usize) -> Self {
        let bytes = usize::try_from(selection.max_bytes).unwrap_or(0);
        Self {
            messages,
            bytes: match bytes {
                0 => BATCH_BYTES_MAX,
                bytes => bytes.min(BATCH_BYTES_MAX),
            },
        }
    }

    fn has_room(&self) -> bool {
        self.messages > 0 && self.bytes > 0
    }

    /// The message that goes beyond the limit is the last one.
    fn take(&mut self, message: &StoredMessage) {
        self.messages -= 1;
        self.bytes = self.bytes.saturating_sub(message.len_bytes());
    }
}

/// How far a batch is.
struct Progress {
    /// Messages that match and were not sent.
    pending: u64,
    /// The message sent last.
    last: Sequence,
}

impl Progress {
    fn new(pending: u64) -> Self {
        Self {
            pending,
            last: Sequence::NONE,
        }
    }

    fn write(&self, fields: &mut String) {
        write!(
            fields,
            "Nats-Num-Pending: {}\r\nNats-Last-Sequence: {}\r\n",
            self.pending, self.last
        )
        .expect("writing to a string cannot fail");
    }

    /// The end of the batch.
    fn end(&self, up_to: Option<Sequence>) -> Part {
        let mut fields = "NATS/1.0 204 EOB\r\n".to_owned();
        self.write(&mut fields);
        if let Some(up_to) = up_to {
            write!(fields, "Nats-UpTo-Sequence: {up_to}\r\n")
                .expect("writing to a string cannot fail");
        }
        fields.push_str("\r\n");
        (fields.into(), Bytes::new())
    }
}
