//! Pull requests that wait for messages, in the order in which they are served.

use std::collections::VecDeque;

use bytes::Bytes;

use super::request::PullRequest;
use super::rules::Nanos;
use super::status::Left;

/// A request that waits.
#[derive(Debug, Clone)]
pub(crate) struct Waiting {
    /// Where its messages go.
    pub(crate) reply: Bytes,
    pub(crate) asked: PullRequest,
    /// Messages still to come.
    pub(crate) messages_left: u64,
    /// Bytes still to come; means nothing without `bytes_max`.
    pub(crate) bytes_left: u64,
    pub(crate) expires_at: Option<Nanos>,
    pub(crate) heartbeat_at: Option<Nanos>,
}

/// What becomes of a request after a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Served {
    /// It waits for more.
    More,
    Done,
    /// It has its messages, and its bytes would allow more.
    DoneWithBytesLeft,
}

impl Waiting {
    pub(crate) fn new(reply: Bytes, asked: PullRequest, now: Nanos) -> Self {
        Self {
            reply,
            messages_left: asked.batch,
            bytes_left: asked.bytes_max,
            expires_at: asked.expires.map(|expires| now.saturating_add(expires)),
            heartbeat_at: asked.heartbeat.map(|interval| now.saturating_add(interval)),
            asked,
        }
    }

    pub(crate) fn left(&self) -> Left {
        Left {
            messages: self.messages_left,
            bytes: self.bytes_left,
        }
    }

    pub(crate) fn is_expired(&self, now: Nanos) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    /// Whether it ends when nothing more is there: it does not wait, or waits for the first message only and has it.
    pub(crate) fn is_over(&self) -> bool {
        let has_been_served = self.messages_left < self.asked.batch;
        self.asked.no_wait && (self.expires_at.is_none() || has_been_served)
    }

    /// Whether a message of that size still fits.
    pub(crate) fn has_room(&self, size: u64) -> bool {
        self.asked.bytes_max == 0 || size <= self.bytes_left
    }

    /// Counts a message of that size.
    pub(crate) fn serve(&mut self, size: u64, now: Nanos) -> Served {
        self.messages_left -= 1;
        let is_limited = self.asked.bytes_max > 0;
        if is_limited {
            self.bytes_left -= size;
        }
        if let Some(interval) = self.asked.heartbeat {
            self.heartbeat_at = Some(now.saturating_add(interval));
        }
        match (self.messages_left, is_limited, self.bytes_left) {
            (_, true, 0) => Served::Done,
            (0, true, _) => Served::DoneWithBytesLeft,
            (0, false, _) => Served::Done,
            _ => Served::More,
        }
    }

    fn next_event(&self) -> Option<Nanos> {
        match (self.expires_at, self.heartbeat_at) {
            (Some(expiry), Some(heartbeat)) => Some(expiry.min(heartbeat)),
            (expiry, heartbeat) => expiry.or(heartbeat),
        }
    }
}

/// The queue: the front is served next, unless something speaks against it.
#[derive(Debug, Default)]
pub(crate) struct WaitQueue {
    requests: VecDeque<Waiting>,
    /// Requests are kept in the order of their priority.
    is_prioritized: bool,
}

impl WaitQueue {
    pub(crate) fn new(is_prioritized: bool) -> Self {
        Self {
            requests: VecDeque::new(),
            is_prioritized,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.requests.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    pub(crate) fn get(&self, index: usize) -> Option<&Waiting> {
        self.requests.get(index)
    }

    pub(crate) fn get_mut(&mut self, index: usize) -> Option<&mut Waiting> {
        self.requests.get_mut(index)
    }

    /// Adds a request behind the others, of its priority where that counts.
    pub(crate) fn push(&mut self, waiting: Waiting) {
        if !self.is_prioritized {
            self.requests.push_back(waiting);
            return;
        }
        let priority = waiting.asked.priority;
        let at = self
            .requests
            .partition_point(|other| other.asked.priority <= priority);
        self.requests.insert(at, waiting);
    }

    pub(crate) fn remove(&mut self, index: usize) -> Option<Waiting> {
        if index == 0 {
            self.requests.pop_front()
        } else {
            self.requests.remove(index)
        }
    }

    /// A request got a message: the others of its priority come first now.
    pub(crate) fn rotate(&mut self, index: usize) {
        if self.requests.len() > 1
            && let Some(waiting) = self.remove(index)
        {
            self.push(waiting);
        }
    }

    /// Takes out what `keep` refuses.
    pub(crate) fn retain(&mut self, keep: impl FnMut(&mut Waiting) -> bool) {
        self.requests.retain_mut(keep);
    }

    /// Takes out everything.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Waiting> {
        std::mem::take(&mut self.requests).into_iter()
    }

    /// Messages that all of them still want.
    pub(crate) fn messages_left(&self) -> u64 {
        self.requests
            .iter()
            .fold(0, |sum, waiting| sum.saturating_add(waiting.messages_left))
    }

    /// When the next one expires or wants a heartbeat.
    pub(crate) fn next_event(&self) -> Option<Nanos> {
        self.requests.iter().filter_map(Waiting::next_event).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(reply: &'static str, priority: u8) -> Waiting {
        let asked = PullRequest {
            batch: 5,
            priority,
            ..PullRequest::default()
        };
        Waiting::new(Bytes::from_static(reply.as_bytes()), asked, 0)
    }

    fn order(queue: &WaitQueue) -> String {
        let replies = queue.requests.iter().map(|one| one.reply.clone());
        String::from_utf8(replies.flatten().collect()).expect("text")
    }

    #[test]
    fn requests_take_turns() {
        let mut queue = WaitQueue::new(false);
        for reply in ["a", "b", "c"] {
            queue.push(waiting(reply, 0));
        }
        queue.rotate(0);
        assert_eq!(order(&queue), "bca");
        queue.rotate(1);
        assert_eq!(order(&queue), "bac");
    }

    #[test]
    fn requests_take_turns_within_their_priority() {
        let mut queue = WaitQueue::new(true);
        for (reply, priority) in [("a", 2), ("b", 0), ("c", 0), ("d", 1)] {
            queue.push(waiting(reply, priority));
        }
        assert_eq!(order(&queue), "bcda");
        queue.rotate(0);
        assert_eq!(order(&queue), "cbda");
    }

    #[test]
    fn bytes_end_a_request_as_messages_do() {
        let asked = PullRequest {
            batch: 2,
            bytes_max: 100,
            ..PullRequest::default()
        };
        let mut one = Waiting::new(Bytes::new(), asked, 0);
        assert!(one.has_room(100) && !one.has_room(101));
        assert_eq!(one.clone().serve(100, 0), Served::Done);
        assert_eq!(one.serve(40, 0), Served::More);
        assert_eq!(one.serve(40, 0), Served::DoneWithBytesLeft);
    }
}
