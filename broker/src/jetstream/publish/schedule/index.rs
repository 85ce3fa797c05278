//! The schedules of one stream in the order in which they are due.

use std::collections::BTreeSet;

use bytes::Bytes;
use hashbrown::HashMap;

use super::expression::Expression;

/// One schedule per subject: the one that the subject's newest message holds.
#[derive(Debug, Default)]
pub(crate) struct Schedules {
    by_subject: HashMap<Bytes, Entry>,
    due: BTreeSet<(u64, Bytes)>,
    /// Messages of schedules that somebody ended: to be removed.
    ended: Vec<u64>,
}

#[derive(Debug)]
struct Entry {
    sequence: u64,
    expression: Expression,
    next: u64,
}

/// A schedule whose time has come.
#[derive(Debug, Clone)]
pub(crate) struct Due {
    pub(crate) subject: Bytes,
    /// Where its message is.
    pub(crate) sequence: u64,
    /// When it is due again.
    pub(crate) next: Option<u64>,
    /// It is due only once.
    pub(crate) is_once: bool,
}

impl Schedules {
    /// A subject has got a schedule, stored at `begun`.
    pub(crate) fn set(
        &mut self,
        subject: &Bytes,
        sequence: u64,
        expression: Expression,
        begun: u64,
        now: u64,
    ) {
        let is_older = |entry: &Entry| entry.sequence > sequence;
        if self.by_subject.get(subject).is_some_and(is_older) {
            return;
        }
        self.remove(subject);
        if let Some(next) = expression.next(begun, now) {
            // The name is kept for long, its buffer is not.
            let subject = Bytes::copy_from_slice(subject);
            self.due.insert((next, subject.clone()));
            let entry = Entry {
                sequence,
                expression,
                next,
            };
            self.by_subject.insert(subject, entry);
        }
    }

    /// A subject has a newer message that is no schedule.
    pub(crate) fn clear(&mut self, subject: &[u8], sequence: u64) {
        let is_older = |entry: &Entry| entry.sequence < sequence;
        if self.by_subject.get(subject).is_some_and(is_older) {
            self.remove(subject);
        }
    }

    /// Forgets the schedule of a subject and says where its message is.
    fn remove(&mut self, subject: &[u8]) -> Option<u64> {
        let (subject, entry) = self.by_subject.remove_entry(subject)?;
        self.due.remove(&(entry.next, subject));
        Some(entry.sequence)
    }

    /// Ends the schedule of a subject; its message is to be removed.
    pub(crate) fn end(&mut self, subject: &[u8]) {
        let sequence = self.remove(subject);
        self.ended.extend(sequence);
    }

    /// Takes out the messages that are to be removed.
    pub(crate) fn take_ended(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.ended)
    }

    /// Takes out what is due, at most `max`; what comes again is entered anew, the others are gone.
    pub(crate) fn take_due(&mut self, now: u64, max: usize) -> Vec<Due> {
        let mut taken = Vec::new();
        while taken.len() < max
            && let Some((time, subject)) = self.due.first().cloned()
            && time <= now
        {
            self.due.pop_first();
            let Some(entry) = self.by_subject.get_mut(&subject) else {
                continue;
            };
            let is_once = entry.expression.is_once();
            let next = match is_once {
                true => None,
                false => entry.expression.next(time, now),
            };
            taken.push(Due {
                subject: subject.clone(),
                sequence: entry.sequence,
                next,
                is_once,
            });
            match next {
                Some(next) => {
                    entry.next = next;
                    self.due.insert((next, subject));
                }
                None => drop(self.by_subject.remove(&subject)),
            }
        }
        taken
    }

    /// When the next one is due, or a message is to be removed.
    pub(crate) fn deadline(&self) -> Option<u64> {
        if !self.ended.is_empty() {
            return Some(0);
        }
        self.due.first().map(|(time, _)| *time)
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.by_subject.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn subjects(due: &[Due]) -> Vec<&[u8]> {
        due.iter().map(|due| &due.subject[..]).collect()
    }

    #[test]
    fn schedules_come_in_the_order_they_are_due_and_come_again() {
        let mut schedules = Schedules::default();
        let every = |seconds| Expression::Every(seconds * SECOND);
        schedules.set(&"a".into(), 1, every(10), 0, 0);
        schedules.set(&"b".into(), 2, every(4), 0, 0);
        schedules.set(&"c".into(), 3, Expression::At(7 * SECOND), 0, 0);
        assert_eq!(schedules.deadline(), Some(4 * SECOND));
        assert!(schedules.take_due(3 * SECOND, 10).is_empty());
        assert_eq!(subjects(&schedules.take_due(7 * SECOND, 10)), [b"b", b"c"]);
        assert_eq!(schedules.deadline(), Some(8 * SECOND));
        assert_eq!(subjects(&schedules.take_due(10 * SECOND, 1)), [b"b"]);
        assert_eq!(subjects(&schedules.take_due(10 * SECOND, 10)), [b"a"]);
        assert_eq!(schedules.deadline(), Some(12 * SECOND));
    }

    #[test]
    fn the_newest_message_of_a_subject_counts() {
        let mut schedules = Schedules::default();
        let once = Expression::At(SECOND);
        schedules.set(&"a".into(), 5, once.clone(), 0, 0);
        schedules.set(&"a".into(), 4, Expression::At(9 * SECOND), 0, 0);
        assert_eq!(schedules.deadline(), Some(SECOND));
        schedules.clear(b"a", 4);
        assert!(!schedules.is_empty());
        schedules.clear(b"a", 6);
        assert!(schedules.is_empty() && schedules.deadline().is_none());
        schedules.set(&"a".into(), 7, once, 0, 0);
        schedules.end(b"a");
        schedules.end(b"a");
        assert_eq!(schedules.deadline(), Some(0));
        assert_eq!(schedules.take_ended(), [7]);
        assert!(schedules.is_empty() && schedules.deadline().is_none());
    }
}
