//! Messages on a stream's subjects, on their way into the stream.

mod schedules;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use storage::stream::{Append, AppendError, Appended, Stream};
use tokio::time::Instant;

use super::config::Timestamp;
use super::consumer::Consumers;
use super::context::AccountContext;
use super::error::StreamError;
use super::error_code::{self as code, ApiError};
use super::publish::admission;
use super::publish::atomic::{Abandoned, Batches, Members, Step};
use super::publish::headers::PublishHeaders;
use super::publish::outlet::{Follow, Outcome, Outlet};
use super::publish::rules::Rules;
use super::publish::schedule::index::Schedules;
use super::publish::schedule::request::{self, Change};
use super::publish::watch::{Watch, Watched};
use crate::delivery::Outgoing;

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

impl Captured {
    /// Bytes of all parts.
    pub(crate) fn len_bytes(&self) -> usize {
        self.subject.len() + self.reply.len() + self.headers.len() + self.payload.len()
    }

    /// A copy that shares nothing, for what is kept for long.
    pub(crate) fn detached(&self) -> Self {
        Self {
            subject: Bytes::copy_from_slice(&self.subject),
            reply: Bytes::copy_from_slice(&self.reply),
            headers: Bytes::copy_from_slice(&self.headers),
            payload: Bytes::copy_from_slice(&self.payload),
        }
    }
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
    outlet: Outlet,
    batches: Mutex<Batches>,
    schedules: Mutex<Schedules>,
    watch: Watch,
    consumers: Consumers,
    context: Arc<AccountContext>,
}

/// Appends of one batch, with what follows from each.
#[derive(Debug, Default)]
struct Run {
    appends: Vec<Append>,
    follows: Vec<Follow>,
}

impl Capture {
    pub(crate) fn new(
        stream: Stream,
        consumers: Consumers,
        context: Arc<AccountContext>,
        rules: Rules,
    ) -> Arc<Self> {
        Arc::new(Self {
            stream,
            rules: RwLock::new(Arc::new(rules)),
            outlet: Outlet::new(context.account.clone()),
            batches: Mutex::default(),
            schedules: Mutex::default(),
            watch: Watch::new(&context),
            consumers,
            context,
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
        if !rules.allow_atomic {
            self.batches().clear();
        }
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
    }

    /// Hands a publisher's batch to the stream. Answers leave after the commit; a full stream refuses the batch.
    pub(crate) fn submit(self: &Arc<Self>, batch: CapturedBatch) {
        let rules = self.rules();
        // Looked at once per batch: an account may go beyond its limit by one.
        let has_room = self.context.has_room(rules.storage);
        let messages = batch.into_messages();
        let mut run = Run::with_capacity(messages.len());
        let mut refused = Vec::new();
        for mut message in messages {
            if rules.no_ack {
                message.reply = Bytes::new();
            }
            let reply = message.reply.clone();
            let taken = match has_room {
                true => self.take(&rules, message, &mut run),
                false => Err(code::ACCOUNT_RESOURCES_EXCEEDED.into()),
            };
            if let Err(error) = taken {
                refused.push((reply, error));
            }
        }
        if !refused.is_empty() {
            self.outlet.refuse(&rules, refused);
        }
        self.store(&rules, run);
    }

    /// Stores one message that does not come from a subscription. Resolves after the commit. `adjust` may say what headers
    /// cannot.
    ///
    /// # Errors
    /// The stream's rules or the store refuse it.
    pub(crate) async fn publish(
        self: &Arc<Self>,
        message: Captured,
        adjust: impl FnOnce(&mut Append),
    ) -> Result<Appended, StreamError> {
        let rules = self.rules();
        if !self.context.has_room(rules.storage) {
            return Err(ApiError::from(code::ACCOUNT_RESOURCES_EXCEEDED).into());
        }
        let mut run = Run::default();
        self.take(&rules, message, &mut run)?;
        let Run {
            mut appends,
            follows,
        } = run;
        let Some(mut append) = appends.pop() else {
            // A batch has no place in a call that answers for one message.
            return Err(ApiError::from(code::ATOMIC_PUBLISH_DISABLED).into());
        };
        adjust(&mut append);
        self.keep_wanted(&rules, std::slice::from_mut(&mut append));
        let stored = self.stream.append(append).await?;
        self.leave(&rules, &follows, &Outcome::Each(vec![Ok(stored.clone())]));
        Ok(stored)
    }

    /// Publishes again what was stored without a publisher.
    pub(crate) fn republish(&self, rules: &Rules, follows: &[Follow], stored: Vec<Appended>) {
        if !follows.is_empty() {
            let results = stored.into_iter().map(Ok).collect();
            self.outlet.send(rules, follows, &Outcome::Each(results));
        }
    }

    /// Admits one message to the run, or to the batch it belongs to.
    fn take(
        self: &Arc<Self>,
        rules: &Arc<Rules>,
        message: Captured,
        run: &mut Run,
    ) -> Result<(), ApiError> {
        admission::check_size(rules, &message)?;
        let is_bare = message.headers.is_empty() && !rules.allow_counter && !rules.allow_schedules;
        let reply = message.reply.clone();
        if is_bare {
            let append = admission::plain(rules, message)?;
            run.push(rules, append, reply, None);
            return Ok(());
        }
        let block = message.headers.clone();
        let headers = PublishHeaders::read(&block);
        if headers.batch_id.is_some() {
            return self.take_member(rules, message, &headers, run);
        }
        let (append, change) = admit(rules, message, &headers)?;
        run.push(rules, append, reply, change);
        Ok(())
    }

    fn take_member(
        self: &Arc<Self>,
        rules: &Arc<Rules>,
        message: Captured,
        headers: &PublishHeaders<'_>,
        run: &mut Run,
    ) -> Result<(), ApiError> {
        if !rules.allow_atomic {
            return Err(code::ATOMIC_PUBLISH_DISABLED.into());
        }
        let step = self.batches().add(headers, &message, Instant::now());
        match step {
            Step::Waits => {
                self.watch.wake(self);
                if !message.reply.is_empty() {
                    self.outlet.confirm([message.reply]);
                }
                Ok(())
            }
            Step::Refused(error, reason) => {
                if let (Some(reason), Some(id)) = (reason, headers.batch_id) {
                    self.advise_abandoned(rules, &String::from_utf8_lossy(id), reason);
                }
                Err(error)
            }
            Step::Commit { id, members } => {
                // What the same publisher sent before is stored before.
                self.store(rules, std::mem::take(run));
                self.commit(rules, id, members, message.reply)
            }
        }
    }

    /// Stores a complete batch.
    fn commit(
        self: &Arc<Self>,
        rules: &Arc<Rules>,
        id: String,
        members: Vec<Captured>,
        reply: Bytes,
    ) -> Result<(), ApiError> {
        let mut run = Run::with_capacity(members.len());
        let mut checks = Members::default();
        for member in members {
            let block = member.headers.clone();
            let headers = PublishHeaders::read(&block);
            let (append, change) = admit(rules, member, &headers)?;
            checks.check(&headers, &append.subject)?;
            run.push(rules, append, Bytes::new(), change);
        }
        if let Some(last) = run.follows.last_mut() {
            last.reply = reply.clone();
        }
        let Run {
            mut appends,
            follows,
        } = run;
        self.keep_wanted(rules, &mut appends);
        let (capture, of) = (self.clone(), rules.clone());
        let done = move |result: Result<Vec<Appended>, (usize, AppendError)>| match result {
            Ok(stored) => capture.leave(&of, &follows, &Outcome::Whole { id, stored }),
            Err((_, error)) => capture
                .outlet
                .refuse(&of, [(reply, ApiError::from(&error))]),
        };
        let overload = |_| code::STREAM_TOO_MANY_REQUESTS.into();
        self.stream.submit_all(appends, done).map_err(overload)
    }

    /// In an interest stream what no consumer wants takes a sequence and is not kept.
    fn keep_wanted(&self, rules: &Rules, appends: &mut [Append]) {
        if rules.is_interest {
            for append in appends {
                append.no_store = !self.consumers.wants(&append.subject);
            }
        }
    }

    fn store(self: &Arc<Self>, rules: &Arc<Rules>, run: Run) {
        let Run {
            mut appends,
            follows,
        } = run;
        if appends.is_empty() {
            return;
        }
        self.keep_wanted(rules, &mut appends);
        // The queue gives appends back where it has no room, but not the completion's part.
        let follows = Arc::new(follows);
        let done = {
            let (capture, rules, follows) = (self.clone(), rules.clone(), follows.clone());
            move |results| {
                capture.leave(&rules, &follows, &Outcome::Each(results));
            }
        };
        if self.stream.submit(appends, done).is_err() {
            let overload = || ApiError::from(code::STREAM_TOO_MANY_REQUESTS);
            let replies = follows.iter().map(|follow| follow.reply.clone());
            self.outlet
                .refuse(rules, replies.map(|reply| (reply, overload())));
        }
    }

    /// What follows from what was stored or refused.
    fn leave(self: &Arc<Self>, rules: &Rules, follows: &[Follow], outcome: &Outcome) {
        if rules.allow_schedules {
            self.note_schedules(follows, outcome);
        }
        self.outlet.send(rules, follows, outcome);
    }

    /// Ends what goes on by itself; what was taken already is stored.
    pub(crate) fn stop(&self) {
        self.watch.stop();
        self.batches().clear();
    }

    /// When the watch has to come again.
    fn deadline(&self) -> Option<Instant> {
        let batches = self.batches().deadline();
        let schedules = self.schedules().deadline().map(instant);
        batches.into_iter().chain(schedules).min()
    }

    fn advise_abandoned(&self, rules: &Rules, id: &str, reason: Abandoned) {
        let stream = &rules.name;
        let subject = format!("ADVISORY.STREAM.BATCH_ABANDONED.{stream}");
        let kind = "advisory.v1.stream_batch_abandoned";
        self.context
            .advisories
            .send(&subject, kind, || reason.advisory(stream, id));
    }

    fn schedules(&self) -> MutexGuard<'_, Schedules> {
        self.schedules
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn batches(&self) -> MutexGuard<'_, Batches> {
        self.batches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A time of the wall clock on the clock that timers use.
fn instant(time: u64) -> Instant {
    let left = time.saturating_sub(Timestamp::now().0);
    // A hundred years are for ever; more could overflow the clock.
    let longest = Duration::from_secs(100 * 365 * 24 * 3600);
    Instant::now() + Duration::from_nanos(left).min(longest)
}

impl Watched for Capture {
    async fn tick(self: &Arc<Self>, now: Instant) -> Option<Instant> {
        let rules = self.rules();
        let abandoned = self.batches().expire(now);
        for id in abandoned {
            self.advise_abandoned(&rules, &id, Abandoned::Timeout);
        }
        self.run_schedules(&rules).await;
        match self.deadline() {
            None if !self.watch.end_if(|| self.deadline().is_none()) => Some(now),
            next => next,
        }
    }
}

/// Turns a message into an append, and says what it does to the schedules.
fn admit(
    rules: &Rules,
    message: Captured,
    headers: &PublishHeaders<'_>,
) -> Result<(Append, Option<Change>), ApiError> {
    let mut append = admission::append_from(rules, message, headers)?;
    if !rules.allow_schedules && headers.schedule.is_none() {
        return Ok((append, None));
    }
    let change = request::change(rules, headers, &append.subject)?;
    if matches!(change, Change::Set(_)) {
        request::store_as_schedule(&mut append);
    }
    Ok((append, Some(change)))
}

impl Run {
    fn with_capacity(len: usize) -> Self {
        Self {
            appends: Vec::with_capacity(len),
            follows: Vec::with_capacity(len),
        }
    }

    fn push(&mut self, rules: &Rules, append: Append, reply: Bytes, change: Option<Change>) {
        let copy = rules.republisher.as_ref().and_then(|republisher| {
            republisher.copy(&append.subject, &append.headers, &append.payload)
        });
        self.follows.push(Follow {
            reply,
            copy: copy.map(Box::new),
            schedule: change.map(|change| Box::new((append.subject.clone(), change))),
        });
        self.appends.push(append);
    }
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
                shown: None,
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
