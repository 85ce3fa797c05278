//! Requests of an in-process client: one wildcard inbox, and a waiting list by token.

use std::sync::{Mutex, MutexGuard, PoisonError};

use hashbrown::HashMap;
use tokio::sync::oneshot;

use crate::message::Message;

/// Requests that wait for their answer, by the last token of the reply subject.
#[derive(Debug, Default)]
pub(crate) struct Replies {
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    by_token: HashMap<u64, oneshot::Sender<Message>>,
    next: u64,
    is_closed: bool,
}

/// Why a request cannot wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    TooMany(usize),
    Closed,
}

/// A waiting request; dropping it ends the wait.
pub(crate) struct Ticket<'a> {
    replies: &'a Replies,
    pub(crate) token: u64,
    pub(crate) answer: oneshot::Receiver<Message>,
}

impl Replies {
    /// Registers one more request.
    pub(crate) fn wait(&self, waiting_max: usize) -> Result<Ticket<'_>, Refused> {
        let mut waiting = self.lock();
        if waiting.is_closed {
            return Err(Refused::Closed);
        }
        if waiting.by_token.len() >= waiting_max {
            return Err(Refused::TooMany(waiting.by_token.len()));
        }
        waiting.next += 1;
        let token = waiting.next;
        let (sender, answer) = oneshot::channel();
        waiting.by_token.insert(token, sender);
        Ok(Ticket {
            replies: self,
            token,
            answer,
        })
    }

    /// Hands an answer to its request; false if none waits (any more).
    pub(crate) fn complete(&self, message: Message) -> bool {
        let token = message
            .subject
            .tokens()
            .next_back()
            .and_then(|token| token.parse().ok());
        let Some(token) = token else {
            return false;
        };
        let sender = self.lock().by_token.remove::<u64>(&token);
        sender.is_some_and(|sender| sender.send(message).is_ok())
    }

    /// Ends all waiting requests.
    pub(crate) fn close(&self) {
        let mut waiting = self.lock();
        waiting.is_closed = true;
        waiting.by_token.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.replies.lock().by_token.remove(&self.token);
    }
}
