//! What leaves a stream once a batch is stored: republished copies, then the answers.
//!
//! The store calls this beside its next commit, so what is encoded and routed here holds up nobody.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use storage::stream::{AppendError, Appended};

use super::answer::Stored;
use super::counter;
use super::republish::Copy;
use super::rules::Rules;
use super::schedule::request::Change;
use crate::account::Account;
use crate::jetstream::error_code::ApiError;
use crate::proto::headers::Headers;
use crate::router::Router;
use crate::router::answers::Answers;

/// What follows when one message is stored, or refused.
#[derive(Debug)]
pub(crate) struct Follow {
    /// Where the answer goes; empty: nowhere.
    pub(crate) reply: Bytes,
    /// What is republished.
    pub(crate) copy: Option<Box<Copy>>,
    /// What becomes of the stream's schedules, and the subject it was stored under.
    pub(crate) schedule: Option<Box<(Bytes, Change)>>,
}

/// What became of a batch.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Every message for itself.
    Each(Vec<Result<Appended, AppendError>>),
    /// All of them; the last one is answered, for all.
    Whole { id: String, stored: Vec<Appended> },
}

/// The way out of one stream.
#[derive(Debug)]
pub(crate) struct Outlet(Mutex<Sender>);

#[derive(Debug)]
struct Sender {
    router: Router,
    answers: Answers,
}

impl Outlet {
    pub(crate) fn new(account: Arc<Account>) -> Self {
        Self(Mutex::new(Sender {
            router: Router::new(account),
            answers: Answers::default(),
        }))
    }

    /// Sends what follows from a batch.
    pub(crate) fn send(&self, rules: &Rules, follows: &[Follow], outcome: &Outcome) {
        self.lock().send(rules, follows, outcome);
    }

    /// Answers that nothing was stored.
    pub(crate) fn refuse(
        &self,
        rules: &Rules,
        refused: impl IntoIterator<Item = (Bytes, ApiError)>,
    ) {
        let mut sender = self.lock();
        let Sender { router, answers } = &mut *sender;
        answers.clear();
        for (reply, error) in refused {
            push_refusal(rules, answers, reply, &error);
        }
        router.answer(answers);
    }

    /// Confirms with an empty message that a part of a batch has arrived.
    pub(crate) fn confirm(&self, replies: impl IntoIterator<Item = Bytes>) {
        let mut sender = self.lock();
        let Sender { router, answers } = &mut *sender;
        answers.clear();
        for reply in replies {
            answers.push(reply, b"", |_| {});
        }
        router.answer(answers);
    }

    fn lock(&self) -> MutexGuard<'_, Sender> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sender {
    fn send(&mut self, rules: &Rules, follows: &[Follow], outcome: &Outcome) {
        if rules.republisher.is_some() {
            self.republish(rules, follows, outcome);
        }
        self.answers.clear();
        match outcome {
            Outcome::Each(results) => {
                for (follow, result) in follows.iter().zip(results) {
                    match result {
                        Ok(_) if follow.reply.is_empty() => {}
                        Ok(stored) => self.answer(rules, &follow.reply, stored),
                        Err(error) => {
                            let error = ApiError::from(error);
                            push_refusal(rules, &mut self.answers, follow.reply.clone(), &error);
                        }
                    }
                }
            }
            Outcome::Whole { id, stored } => {
                if let (Some(follow), Some(last)) = (follows.last(), stored.last())
                    && !follow.reply.is_empty()
                {
                    let stored = Stored {
                        sequence: last.sequence.0,
                        batch: Some((id, stored.len())),
                        ..Stored::default()
                    };
                    let head = &rules.answer_head;
                    self.answers
                        .push(follow.reply.clone(), b"", |out| head.stored(&stored, out));
                }
            }
        }
        self.router.answer(&self.answers);
    }

    fn answer(&mut self, rules: &Rules, reply: &Bytes, appended: &Appended) {
        let value = appended.payload.as_ref();
        let value = value.and_then(|payload| counter::value_text(payload));
        let stored = Stored {
            sequence: appended.sequence.0,
            is_duplicate: appended.duplicate,
            value: value.as_deref(),
            batch: None,
        };
        let head = &rules.answer_head;
        self.answers
            .push(reply.clone(), b"", |out| head.stored(&stored, out));
    }

    /// Copies have left before anybody is answered.
    fn republish(&mut self, rules: &Rules, follows: &[Follow], outcome: &Outcome) {
        let Some(republisher) = &rules.republisher else {
            return;
        };
        let stored: Vec<Option<&Appended>> = match outcome {
            Outcome::Each(results) => results.iter().map(|result| result.as_ref().ok()).collect(),
            Outcome::Whole { stored, .. } => stored.iter().map(Some).collect(),
        };
        for (follow, stored) in follows.iter().zip(stored) {
            if let (Some(copy), Some(stored)) = (&follow.copy, stored)
                && !stored.duplicate
            {
                let (headers, payload) = republisher.message(copy, &rules.name, stored);
                self.router.collect(copy.destination(), &headers, &payload);
            }
        }
        self.router.flush();
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
    let head = &rules.answer_head;
    answers.push(reply, &headers, |out| head.refused(error, out));
}
