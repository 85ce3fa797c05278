//! The schedules of a stream at work: found when it opens, kept up with what is stored, and sent when they are due.

use std::sync::Arc;

use storage::stream::{
    AppendError, Appended, ReadLimit, ReaderStart, Sequence, Settle, StoredMessage,
};
use tokio::sync::oneshot;

use super::{Capture, Run, admit};
use crate::jetstream::config::Timestamp;
use crate::jetstream::error::StreamError;
use crate::jetstream::publish::headers::PublishHeaders;
use crate::jetstream::publish::outlet::{Follow, Outcome};
use crate::jetstream::publish::rules::Rules;
use crate::jetstream::publish::schedule::expression::Expression;
use crate::jetstream::publish::schedule::index::Due;
use crate::jetstream::publish::schedule::produce;
use crate::jetstream::publish::schedule::request::Change;

/// Messages that are made at a time.
const DUE_MAX: usize = 1000;
/// Messages that are read at a time when a stream opens.
const READ_MAX: usize = 1000;
/// When a schedule that could not be removed is tried again, in nanoseconds.
const RETRY: u64 = 1_000_000_000;

impl Capture {
    /// Finds the schedules that the stream holds: those of the newest message of every subject.
    ///
    /// # Errors
    /// The stream cannot be read.
    pub(crate) async fn recover_schedules(self: &Arc<Self>) -> Result<(), StreamError> {
        if !self.rules().allow_schedules {
            return Ok(());
        }
        let mut reader = self.stream.reader(Vec::new(), ReaderStart::LastPerSubject);
        loop {
            let messages = reader.next(ReadLimit::messages(READ_MAX)).await?;
            if messages.is_empty() {
                break;
            }
            let now = Timestamp::now().0;
            for message in &messages {
                if let Some(expression) = stored_expression(message) {
                    self.schedules().set(
                        &message.subject,
                        message.sequence.0,
                        expression,
                        message.timestamp,
                        now,
                    );
                }
            }
        }
        if !self.schedules().is_empty() {
            self.watch.wake(self);
        }
        Ok(())
    }

    /// Keeps up with what was stored.
    pub(super) fn note_schedules(self: &Arc<Self>, follows: &[Follow], outcome: &Outcome) {
        let stored: Vec<Option<&Appended>> = match outcome {
            Outcome::Each(results) => results.iter().map(|result| result.as_ref().ok()).collect(),
            Outcome::Whole { stored, .. } => stored.iter().map(Some).collect(),
        };
        let mut schedules = self.schedules();
        let mut is_changed = false;
        for (follow, stored) in follows.iter().zip(stored) {
            let (Some(note), Some(stored)) = (&follow.schedule, stored) else {
                continue;
            };
            if stored.duplicate {
                continue;
            }
            let (subject, change) = &**note;
            let sequence = stored.sequence.0;
            match change {
                Change::Set(expression) => {
                    let (at, now) = (stored.timestamp, Timestamp::now().0);
                    schedules.set(subject, sequence, expression.clone(), at, now);
                    is_changed = true;
                }
                Change::Clear => schedules.clear(subject, sequence),
                Change::End(scheduler) => {
                    schedules.clear(subject, sequence);
                    schedules.end(scheduler);
                    is_changed = true;
                }
            }
        }
        drop(schedules);
        if is_changed {
            self.watch.wake(self);
        }
    }

    /// Makes what is due, and removes the messages of schedules that have ended.
    pub(super) async fn run_schedules(self: &Arc<Self>, rules: &Arc<Rules>) {
        let (due, mut ended) = {
            let mut schedules = self.schedules();
            let due = schedules.take_due(Timestamp::now().0, DUE_MAX);
            (due, schedules.take_ended())
        };
        let mut run = Run::default();
        let mut made = Vec::new();
        for due in due {
            match self.make(rules, &due, &mut run).await {
                Ok(true) => made.push(due),
                Ok(false) => self.schedules().clear(&due.subject, due.sequence + 1),
                Err(error) => {
                    tracing::debug!(
                        stream = rules.name,
                        subject = %String::from_utf8_lossy(&due.subject),
                        error = &error as &dyn std::error::Error,
                        "scheduled message not made"
                    );
                }
            }
        }
        ended.extend(
            made.iter()
                .filter(|due| due.is_once)
                .map(|due| due.sequence),
        );
        // The removal is queued behind the messages and shares their commit: nobody sees one without the other, and a power
        // cut takes both or none.
        let store = self.store_and_wait(rules, run);
        let (results, removed) = tokio::join!(store, self.remove_ended(ended));
        for (due, result) in made.into_iter().zip(results) {
            if let Err(error) = result {
                tracing::warn!(
                    stream = rules.name,
                    subject = %String::from_utf8_lossy(&due.subject),
                    error = &error as &dyn std::error::Error,
                    "scheduled message not stored"
                );
            }
            if let Err(error) = &removed
                && due.is_once
            {
                tracing::warn!(
                    stream = rules.name,
                    error = error as &dyn std::error::Error,
                    "schedule that has ended not removed"
                );
                self.try_again(&due);
            }
        }
    }

    async fn remove_ended(&self, ended: Vec<u64>) -> Result<(), storage::Error> {
        if ended.is_empty() {
            return Ok(());
        }
        let settle = Settle {
            remove: ended.into_iter().map(Sequence).collect(),
            ..Settle::default()
        };
        self.stream.settle(settle).await.map(drop)
    }

    /// Makes the message of one schedule. False: the schedule is there no more.
    async fn make(&self, rules: &Rules, due: &Due, run: &mut Run) -> Result<bool, StreamError> {
        let schedule = self.stream.message(Sequence(due.sequence)).await?;
        let Some(schedule) = schedule else {
            return Ok(false);
        };
        let sampled = match produce::source(&schedule) {
            Some(source) => self.stream.last_for_subject(source).await?,
            None => None,
        };
        let Some(message) = produce::message(&schedule, sampled.as_ref(), due.next) else {
            return Ok(false);
        };
        // What a schedule makes is no schedule, whatever its source was.
        let block = message.headers.clone();
        let headers = PublishHeaders {
            scheduler: None,
            schedule_next: None,
            ..PublishHeaders::read(&block)
        };
        let (append, change) = admit(rules, message, &headers)?;
        run.push(rules, append, bytes::Bytes::new(), change);
        Ok(true)
    }

    async fn store_and_wait(
        self: &Arc<Self>,
        rules: &Arc<Rules>,
        run: Run,
    ) -> Vec<Result<Appended, AppendError>> {
        let Run { appends, follows } = run;
        if appends.is_empty() {
            return Vec::new();
        }
        let len = appends.len();
        let (reply, answer) = oneshot::channel();
        let (capture, of) = (self.clone(), rules.clone());
        let done = move |results: Vec<Result<Appended, AppendError>>| {
            let outcome = Outcome::Each(results);
            capture.leave(&of, &follows, &outcome);
            if let Outcome::Each(results) = outcome {
                drop(reply.send(results));
            }
        };
        let closed = || (0..len).map(|_| Err(AppendError::Closed)).collect();
        match self.stream.submit(appends, done) {
            Ok(()) => answer.await.unwrap_or_else(|_| closed()),
            Err(_full) => closed(),
        }
    }

    /// What is due only once and is still there, such as on a full disk, is not forgotten.
    fn try_again(&self, due: &Due) {
        let now = Timestamp::now().0;
        let later = Expression::At(now.saturating_add(RETRY));
        self.schedules()
            .set(&due.subject, due.sequence, later, now, now);
    }
}

fn stored_expression(message: &StoredMessage) -> Option<Expression> {
    let headers = PublishHeaders::read(&message.headers);
    Expression::parse(headers.schedule?, headers.schedule_time_zone).ok()
}
