//! The queue between the broker and an in-process subscription.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::message::Message;
use crate::monitor::Counters;

/// Bounded by messages and by bytes. Full means: the message is refused and counted, and a requester is told at once that
/// nobody answers.
#[derive(Debug)]
pub(crate) struct LocalQueue {
    state: Mutex<State>,
    wake: Notify,
    messages_max: usize,
    bytes_max: usize,
    counters: Arc<Counters>,
}

#[derive(Debug, Default)]
struct State {
    messages: VecDeque<Message>,
    bytes: usize,
    is_closed: bool,
}

impl LocalQueue {
    pub(crate) fn new(messages_max: usize, bytes_max: usize, counters: Arc<Counters>) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            wake: Notify::new(),
            messages_max,
            bytes_max,
            counters,
        })
    }

    /// Queues a message; false if there is no room.
    pub(crate) fn push(&self, message: Message) -> bool {
        let len = message.payload.len();
        let mut state = self.lock();
        if state.is_closed {
            return false;
        }
        if state.messages.len() >= self.messages_max || state.bytes + len > self.bytes_max {
            drop(state);
            self.counters
                .refused_locally
                .fetch_add(1, Ordering::Relaxed);
            return false;
        }
        state.bytes += len;
        state.messages.push_back(message);
        drop(state);
        self.wake.notify_one();
        true
    }

    /// The next message; `None` once the queue is closed and empty. Cancel-safe.
    pub(crate) async fn pop(&self) -> Option<Message> {
        loop {
            {
                let mut state = self.lock();
                if let Some(message) = state.messages.pop_front() {
                    state.bytes -= message.payload.len();
                    return Some(message);
                }
                if state.is_closed {
                    return None;
                }
            }
            self.wake.notified().await;
        }
    }

    /// Takes no more; what is queued can still be popped.
    pub(crate) fn close(&self) {
        self.lock().is_closed = true;
        self.wake.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
