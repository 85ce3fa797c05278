//! Many answers at once, each to a reply subject that is used once.
//!
//! A stock client makes a new inbox token for every request, so the route of a reply is needed exactly once: remembering it
//! would drive the useful ones out of the cache. Here the trie is walked under one lock for many answers, and what is found
//! is encoded straight into the receiver's output. Nothing is allocated per answer.

use std::sync::Arc;

use bytes::Bytes;

use super::Router;
use crate::interest::subscription::{Admission, Sink, Subscription};
use crate::interest::trie::Trie;
use crate::proto::encode::Delivery;
use crate::session::connection::Connection;

/// Answers that are routed while the trie is held.
const ANSWERS_PER_LOCK: usize = 512;
/// Subscriptions to one reply subject that the short way can take; more go the long one.
const FEW: usize = 4;

/// Answers that leave together.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    entries: Vec<Entry>,
    bytes: Vec<u8>,
}

#[derive(Debug)]
struct Entry {
    reply: Bytes,
    header_len: usize,
    /// Where its header block and payload end in `bytes`; they begin where the entry before ends.
    end: usize,
}

impl Answers {
    /// Adds one answer, whose body `write` appends.
    pub(crate) fn push(&mut self, reply: Bytes, headers: &[u8], write: impl FnOnce(&mut Vec<u8>)) {
        self.bytes.extend_from_slice(headers);
        write(&mut self.bytes);
        self.entries.push(Entry {
            reply,
            header_len: headers.len(),
            end: self.bytes.len(),
        });
    }

    /// Forgets the answers and keeps the room.
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.bytes.clear();
    }

    fn body(&self, index: usize) -> &[u8] {
        let from = match index {
            0 => 0,
            _ => self.entries[index - 1].end,
        };
        &self.bytes[from..self.entries[index].end]
    }
}

impl Router {
    /// Publishes answers and hands them over: one lock and one wake-up per receiver.
    pub(crate) fn answer(&mut self, answers: &Answers) {
        let account = self.account.clone();
        let mut ended: Vec<Arc<Subscription>> = Vec::new();
        let mut index = 0;
        while index < answers.entries.len() {
            let stop = answers.entries.len().min(index + ANSWERS_PER_LOCK);
            let interest = account.interest();
            while index < stop && self.answer_one(&interest, answers, index, &mut ended) {
                index += 1;
            }
            drop(interest);
            for subscription in ended.drain(..) {
                self.end(&subscription);
            }
            if index < stop {
                let entry = &answers.entries[index];
                let (headers, payload) = answers.body(index).split_at(entry.header_len);
                self.collect(&entry.reply, headers, &Bytes::copy_from_slice(payload));
                index += 1;
            }
            if self.is_full {
                self.flush();
            }
        }
        self.flush();
    }

    /// Delivers the short way; false where that is not possible, and then nobody has it.
    fn answer_one(
        &mut self,
        interest: &Trie,
        answers: &Answers,
        index: usize,
        ended: &mut Vec<Arc<Subscription>>,
    ) -> bool {
        let entry = &answers.entries[index];
        let mut found = [None; FEW];
        if interest.few(&entry.reply, &mut found).is_none() {
            return false;
        }
        let is_connection = |one: &&Arc<Subscription>| matches!(one.sink, Sink::Connection(..));
        if !found.iter().flatten().all(is_connection) {
            return false;
        }
        for subscription in found.into_iter().flatten() {
            match subscription.admit() {
                Admission::No => continue,
                Admission::Last => ended.push(subscription.clone()),
                Admission::Yes => {}
            }
            self.queue_answer(subscription, entry, answers.body(index));
        }
        true
    }

    fn queue_answer(&mut self, subscription: &Subscription, entry: &Entry, body: &[u8]) {
        let Sink::Connection(connection, profile) = &subscription.sink else {
            return;
        };
        if connection.is_closed() || !profile.permissions.can_receive(&entry.reply, None) {
            return;
        }
        let header_len = if profile.headers { entry.header_len } else { 0 };
        let body = &body[entry.header_len - header_len..];
        let slot = self.slot(connection);
        let queue = &mut self.receiver(slot).queue;
        let out = queue.tail();
        out.extend_from_slice(if header_len > 0 { b"HMSG " } else { b"MSG " });
        out.extend_from_slice(&entry.reply);
        out.push(b' ');
        out.extend_from_slice(&subscription.sid);
        let delivery = Delivery {
            prefix: b" ",
            reply: b"",
            header_len,
            total_len: body.len(),
        };
        delivery.write(out);
        out.extend_from_slice(body);
        out.extend_from_slice(b"\r\n");
        queue.messages += 1;
        queue.message_bytes += body.len() as u64;
        if queue.len() >= crate::limits::SCRATCH_BYTES_MAX {
            self.is_full = true;
        }
    }

    /// Where the output for a connection is collected.
    pub(super) fn slot(&mut self, connection: &Arc<Connection>) -> usize {
        let receivers = &mut self.receivers;
        *self.slots.entry(connection.id).or_insert_with(|| {
            receivers.push(super::Receiver::new(connection.clone()));
            receivers.len() - 1
        })
    }

    /// A subscription had its last message.
    fn end(&self, subscription: &Subscription) {
        self.account.unsubscribe(subscription);
        if let Sink::Connection(connection, _) = &subscription.sink {
            connection.forget_subscription(&subscription.sid);
        }
    }
}
