//! The way out for answers of one account's JetStream.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use crate::account::Account;
use crate::router::Router;
use crate::router::answers::Answers;

/// Sends answers, each to a reply subject that is used once.
#[derive(Debug)]
pub(crate) struct Outbox {
    router: Mutex<Router>,
}

impl Outbox {
    pub(crate) fn new(account: Arc<Account>) -> Self {
        Self {
            router: Mutex::new(Router::new(account)),
        }
    }

    /// Sends one answer; without a reply subject it goes nowhere.
    pub(crate) fn send(&self, reply: Bytes, headers: &[u8], payload: &[u8]) {
        if reply.is_empty() {
            return;
        }
        let mut answers = Answers::default();
        answers.push(reply, headers, |body| body.extend_from_slice(payload));
        self.send_all(&answers);
    }

    /// Sends answers in order.
    pub(crate) fn send_all(&self, answers: &Answers) {
        self.router
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .answer(answers);
    }
}
