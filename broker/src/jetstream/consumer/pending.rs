//! What was delivered and waits for an acknowledgement, in the order of the stream.
//!
//! New messages come in ascending order and most acknowledgements concern the oldest ones, so a deque with gaps serves:
//! an acknowledgement in the middle leaves a gap, gaps at the front go, and many gaps are swept out together.

use std::collections::VecDeque;

use super::rules::Nanos;

/// `due` of an entry that waits in the redelivery queue.
const QUEUED: Nanos = Nanos::MAX;
/// Gaps are swept out once there are more than these and more than entries.
const GAPS_MIN: usize = 1024;

/// One message that waits for its acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Its place in the stream.
    pub(crate) sequence: u64,
    /// Consumer sequence of its first delivery; redeliveries do not change it.
    pub(crate) consumer_sequence: u64,
    /// Deliveries so far; 0 marks a gap.
    pub(crate) deliveries: u32,
    /// Time of the last delivery.
    pub(crate) delivered_at: Nanos,
    /// When it is to be delivered again.
    due: Nanos,
}

impl Entry {
    pub(crate) fn new(sequence: u64, consumer_sequence: u64, now: Nanos, ack_wait: Nanos) -> Self {
        Self {
            sequence,
            consumer_sequence,
            deliveries: 1,
            delivered_at: now,
            due: due(now, ack_wait),
        }
    }
}

/// A time that is not [`QUEUED`].
fn due(now: Nanos, wait: Nanos) -> Nanos {
    now.saturating_add(wait).min(QUEUED - 1)
}

/// All of them, and which are to be delivered again.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    entries: VecDeque<Entry>,
    len: usize,
    /// Entries that were delivered more than once.
    redelivered: usize,
    /// No entry is due before.
    earliest: Option<Nanos>,
    /// Sequences to deliver again, in this order; some may be acknowledged meanwhile.
    queue: VecDeque<u64>,
}

impl Pending {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn redelivered(&self) -> usize {
        self.redelivered
    }

    pub(crate) fn first(&self) -> Option<&Entry> {
        self.entries.front()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.deliveries > 0)
    }

    /// Where a sequence is, or would be.
    fn position(&self, sequence: u64) -> usize {
        match self.entries.front() {
            Some(first) if first.sequence >= sequence => 0,
            _ => match self.entries.back() {
                Some(last) if last.sequence < sequence => self.entries.len(),
                _ => self
                    .entries
                    .partition_point(|entry| entry.sequence < sequence),
            },
        }
    }

    fn find(&self, sequence: u64) -> Option<usize> {
        let at = self.position(sequence);
        let entry = self.entries.get(at)?;
        (entry.sequence == sequence && entry.deliveries > 0).then_some(at)
    }

    pub(crate) fn get(&self, sequence: u64) -> Option<&Entry> {
        self.find(sequence).map(|at| &self.entries[at])
    }

    /// Adds a message, or replaces what is known of it.
    pub(crate) fn insert(&mut self, entry: Entry) {
        debug_assert!(entry.deliveries > 0, "a gap is no entry");
        self.take(entry.sequence);
        let at = self.position(entry.sequence);
        match self.entries.get_mut(at) {
            Some(gap) if gap.sequence == entry.sequence => *gap = entry,
            _ => self.entries.insert(at, entry),
        }
        self.len += 1;
        self.redelivered += usize::from(entry.deliveries > 1);
        self.note_due(entry.due);
    }

    /// As [`Pending::insert`], of what was pending before a restart.
    pub(crate) fn restore(&mut self, entry: Entry, deliveries: u32) {
        self.insert(Entry {
            deliveries: deliveries.max(1),
            ..entry
        });
    }

    /// The message was delivered once more.
    pub(crate) fn delivered_again(&mut self, sequence: u64, now: Nanos, ack_wait: Nanos) {
        let Some(at) = self.find(sequence) else {
            return;
        };
        let entry = &mut self.entries[at];
        entry.deliveries += 1;
        entry.delivered_at = now;
        entry.due = due(now, ack_wait);
        let due = entry.due;
        self.redelivered += usize::from(entry.deliveries == 2);
        self.note_due(due);
    }

    /// Leaves a gap where the message was.
    fn take(&mut self, sequence: u64) -> Option<Entry> {
        let at = self.find(sequence)?;
        let entry = self.entries[at];
        self.entries[at].deliveries = 0;
        self.len -= 1;
        self.redelivered -= usize::from(entry.deliveries > 1);
        Some(entry)
    }

    /// The message is done with.
    pub(crate) fn remove(&mut self, sequence: u64) -> Option<Entry> {
        let entry = self.take(sequence)?;
        self.tidy();
        Some(entry)
    }

    /// The oldest message is done with, if it is not younger than `sequence`.
    pub(crate) fn pop_up_to(&mut self, sequence: u64) -> Option<Entry> {
        let first = *self.entries.front()?;
        if first.sequence > sequence {
            return None;
        }
        self.remove(first.sequence)
    }

    /// Takes out what does not satisfy `keep` and returns it.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&Entry) -> bool) -> Vec<Entry> {
        let gone: Vec<Entry> = self.iter().filter(|entry| !keep(entry)).copied().collect();
        for entry in &gone {
            self.take(entry.sequence);
        }
        self.tidy();
        gone
    }

    fn tidy(&mut self) {
        while self
            .entries
            .front()
            .is_some_and(|entry| entry.deliveries == 0)
        {
            self.entries.pop_front();
        }
        let gaps = self.entries.len() - self.len;
        if gaps > GAPS_MIN && gaps > self.len {
            self.entries.retain(|entry| entry.deliveries > 0);
        }
        if self.len == 0 {
            self.earliest = None;
            self.queue.clear();
        }
    }

    fn note_due(&mut self, due: Nanos) {
        if due != QUEUED {
            self.earliest = Some(self.earliest.map_or(due, |earliest| earliest.min(due)));
        }
    }

    /// Sets the time of the next delivery; false if the message is not pending.
    pub(crate) fn postpone(&mut self, sequence: u64, now: Nanos, wait: Nanos) -> bool {
        let Some(at) = self.find(sequence) else {
            return false;
        };
        let due = due(now, wait);
        self.entries[at].due = due;
        self.note_due(due);
        true
    }

    /// The message is to be delivered again at once; false if it is not pending.
    pub(crate) fn requeue(&mut self, sequence: u64) -> bool {
        let Some(at) = self.find(sequence) else {
            return false;
        };
        // One that was postponed while it was queued may be in the queue twice; it is delivered once all the same, because
        // the delivery ends its being queued.
        if self.entries[at].due != QUEUED {
            self.entries[at].due = QUEUED;
            self.queue.push_back(sequence);
        }
        true
    }

    /// When [`Pending::expire`] is to be called next.
    pub(crate) fn next_due(&self) -> Option<Nanos> {
        self.earliest
    }

    /// Puts what is due into the redelivery queue, but for what is `exhausted`: that is taken out and returned.
    pub(crate) fn expire(
        &mut self,
        now: Nanos,
        mut exhausted: impl FnMut(&Entry) -> bool,
    ) -> Vec<Entry> {
        let mut gone = Vec::new();
        if self.earliest.is_none_or(|earliest| now < earliest) {
            return gone;
        }
        let mut earliest: Option<Nanos> = None;
        for entry in self.entries.iter_mut().filter(|entry| entry.deliveries > 0) {
            if entry.due <= now {
                if exhausted(entry) {
                    gone.push(*entry);
                } else {
                    entry.due = QUEUED;
                    self.queue.push_back(entry.sequence);
                }
            } else if entry.due != QUEUED {
                earliest = Some(earliest.map_or(entry.due, |due| due.min(entry.due)));
            }
        }
        self.earliest = earliest;
        for entry in &gone {
            self.take(entry.sequence);
        }
        self.tidy();
        gone
    }

    /// The next message to deliver again. It stays in the queue.
    pub(crate) fn next_redelivery(&mut self) -> Option<u64> {
        while let Some(sequence) = self.queue.front() {
            if self.is_queued(*sequence) {
                return Some(*sequence);
            }
            self.queue.pop_front();
        }
        None
    }

    /// Up to `max` messages to deliver again, in order. They stay in the queue.
    pub(crate) fn redeliveries(&mut self, max: usize) -> Vec<u64> {
        if self.next_redelivery().is_none() {
            return Vec::new();
        }
        let queued = self.queue.iter().copied();
        queued
            .filter(|sequence| self.is_queued(*sequence))
            .take(max)
            .collect()
    }

    /// Whether a message waits for its redelivery.
    pub(crate) fn is_queued(&self, sequence: u64) -> bool {
        self.get(sequence).is_some_and(|entry| entry.due == QUEUED)
    }

    /// Messages to deliver again.
    pub(crate) fn queued_len(&self) -> usize {
        self.queue
            .iter()
            .filter(|sequence| self.is_queued(**sequence))
            .count()
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(sequences: impl IntoIterator<Item = u64>) -> Pending {
        let mut pending = Pending::default();
        for (number, sequence) in sequences.into_iter().enumerate() {
            pending.insert(Entry::new(
                sequence,
                number as u64 + 1,
                100,
                10 * (number as u64 + 1),
            ));
        }
        pending
    }

    fn sequences(pending: &Pending) -> Vec<u64> {
        pending.iter().map(|entry| entry.sequence).collect()
    }

    #[test]
    fn gaps_at_the_front_go() {
        let mut pending = filled([2, 4, 6, 9]);
        assert!(pending.remove(4).is_some());
        assert!(pending.remove(4).is_none());
        assert!(pending.remove(5).is_none());
        assert_eq!(pending.first().map(|entry| entry.sequence), Some(2));
        assert!(pending.remove(2).is_some());
        assert_eq!(pending.first().map(|entry| entry.sequence), Some(6));
        assert_eq!((pending.len(), sequences(&pending)), (2, vec![6, 9]));
    }

    #[test]
    fn many_gaps_are_swept_out() {
        let mut pending = filled(1..=4 * GAPS_MIN as u64);
        for sequence in 2..=4 * GAPS_MIN as u64 {
            pending.remove(sequence);
        }
        assert_eq!(sequences(&pending), [1]);
        assert!(pending.entries.len() <= GAPS_MIN + 2);
    }

    #[test]
    fn what_is_due_comes_again_once() {
        let mut pending = filled([1, 2, 3]);
        assert_eq!(pending.next_due(), Some(110));
        assert!(pending.expire(109, |_| false).is_empty());
        assert_eq!(pending.next_redelivery(), None);
        pending.expire(120, |_| false);
        assert_eq!(pending.redeliveries(9), [1, 2]);
        assert_eq!(pending.next_due(), Some(130));
        pending.requeue(2);
        assert_eq!(pending.queued_len(), 2);
        pending.remove(1);
        assert_eq!(pending.next_redelivery(), Some(2));
        pending.delivered_again(2, 200, 50);
        assert_eq!(
            (pending.next_redelivery(), pending.redelivered()),
            (None, 1)
        );
        pending.remove(2);
        assert_eq!(pending.redelivered(), 0);
    }

    #[test]
    fn a_postponed_message_leaves_the_queue() {
        let mut pending = filled([1, 2]);
        pending.requeue(1);
        pending.postpone(1, 100, 900);
        assert_eq!(pending.next_redelivery(), None);
        pending.expire(1000, |_| false);
        assert_eq!(pending.redeliveries(9), [1, 2]);
    }

    #[test]
    fn exhausted_messages_are_taken_out() {
        let mut pending = filled([1, 2]);
        let gone = pending.expire(500, |entry| entry.sequence == 1);
        assert_eq!(gone.len(), 1);
        assert_eq!(sequences(&pending), [2]);
        assert_eq!(pending.redeliveries(9), [2]);
    }

    #[test]
    fn everything_up_to_a_sequence_can_be_popped() {
        let mut pending = filled([1, 3, 5, 7]);
        let popped: Vec<u64> = std::iter::from_fn(|| pending.pop_up_to(5))
            .map(|entry| entry.sequence)
            .collect();
        assert_eq!(popped, [1, 3, 5]);
        assert_eq!(sequences(&pending), [7]);
    }
}
