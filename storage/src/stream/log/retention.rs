//! What must leave a stream: limits, age, life times, purges.

use std::sync::Arc;

use bytes::Bytes;

use super::super::by_subject::{Matcher, SubjectTable};
use super::super::sequences::{Item, Sequences};
use super::super::{Purge, StreamConfig};
use super::{Log, NEVER, SEQUENCE_MAX, nanos};

/// Messages that one round of expiry removes at most, so that appends are not kept waiting.
const EXPIRE_MESSAGES_MAX: usize = 10_000;

impl Log {
    /// Removes what a purge asks for; returns how many.
    pub(in crate::stream) fn purge(&mut self, purge: &Purge) -> u64 {
        let before = purge.before.map_or(u64::MAX, |before| before.0);
        let filters = purge.filter.as_slice();
        let mut matcher = self.subjects.matcher(filters);
        let from = if matcher.is_empty() { u64::MAX } else { 0 };
        let matching = self
            .sequences
            .iter_from(from)
            .take_while(|item| item.sequence < before)
            .filter(|item| matcher.matches(&self.subjects, item.subject));
        let mut doomed: Vec<u64> = matching.map(|item| item.sequence).collect();
        let keep = usize::try_from(purge.keep.unwrap_or(0)).unwrap_or(usize::MAX);
        doomed.truncate(doomed.len().saturating_sub(keep));
        for sequence in &doomed {
            self.remove(*sequence);
        }
        if matches!(matcher, Matcher::All) && keep == 0 && purge.before.is_some() {
            self.move_on(before.saturating_sub(1));
        }
        doomed.len() as u64
    }

    /// A purge below a sequence that was not given out yet moves the stream on to it, as in
    /// nats-server.
    fn move_on(&mut self, last: u64) {
        if last > self.last && last < SEQUENCE_MAX {
            self.last = last;
            self.last_unwritten = true;
        }
    }

    /// Removes what is too old. At most a fixed number at a time: ask again while
    /// `next_deadline` has passed. Returns the subjects that are owed a marker.
    pub(in crate::stream) fn expire(&mut self, now: u64) -> Vec<Bytes> {
        let window = nanos(self.config.duplicate_window);
        self.duplicates.forget(now.saturating_sub(window));
        let mut owed = Vec::new();
        let mut removed = 0;
        while let Some((deadline, sequence)) = self.deadlines.first().copied() {
            if deadline > now || removed >= EXPIRE_MESSAGES_MAX {
                break;
            }
            owed.extend(self.remove_expired(sequence));
            removed += 1;
        }
        while let Some((item, deadline)) = self.oldest_by_age() {
            if deadline > now || removed >= EXPIRE_MESSAGES_MAX {
                break;
            }
            self.age_cursor = item.sequence + 1;
            if self.expiries.get(&item.sequence) != Some(&NEVER) {
                owed.extend(self.remove_expired(item.sequence));
                removed += 1;
            }
        }
        owed
    }

    /// Removes a message whose time is over. Returns its subject when it was the last one there,
    /// markers are wanted, and it was none itself.
    fn remove_expired(&mut self, sequence: u64) -> Option<Bytes> {
        let item = self.sequences.get(sequence)?;
        let wanted = self.config.age_marker.is_some() && !self.markers.contains(&sequence);
        let last = self.subjects.subject(item.subject).count == 1;
        let owed = (wanted && last).then(|| self.subject_name(&item));
        self.remove(sequence);
        owed
    }

    /// When the next message expires, unix nanoseconds.
    pub(in crate::stream) fn next_deadline(&self) -> Option<u64> {
        let by_age = self.oldest_by_age().map(|(_, deadline)| deadline);
        let by_ttl = self.deadlines.first().map(|(deadline, _)| *deadline);
        by_age.into_iter().chain(by_ttl).min()
    }

    /// When the oldest remembered message id may be forgotten.
    pub(in crate::stream) fn next_forget(&self) -> Option<u64> {
        let window = nanos(self.config.duplicate_window);
        self.duplicates
            .oldest()
            .map(|seen| seen.saturating_add(window))
    }

    pub(in crate::stream) fn make_room(&mut self) {
        let (messages_max, bytes_max) = (self.config.messages_max, self.config.bytes_max);
        while messages_max.is_some_and(|max| self.messages > max)
            || bytes_max.is_some_and(|max| self.bytes > max)
        {
            let Some(first) = self.sequences.first() else {
                return;
            };
            self.remove(first.sequence);
        }
    }

    pub(super) fn remove_below(&mut self, sequence: u64) {
        while let Some(first) = self
            .sequences
            .first()
            .filter(|item| item.sequence < sequence)
        {
            self.remove(first.sequence);
        }
    }

    pub(super) fn remove_older_of_subject(&mut self, subject: &[u8], sequence: u64) {
        let Some(id) = self.subjects.find(subject) else {
            return;
        };
        while self.subjects.subject(id).count > 1 {
            let oldest = self.subjects.oldest(id);
            let found = oldest.or_else(|| {
                // Newest first: that is where the few older messages of a key usually are.
                let mut older = self.sequences.iter_below(sequence);
                older
                    .find(|item| item.subject == id)
                    .map(|item| item.sequence)
            });
            let Some(found) = found else {
                return;
            };
            self.remove(found);
        }
    }

    fn oldest_by_age(&self) -> Option<(Item, u64)> {
        let age = nanos(self.config.age_max?);
        let item = self.sequences.iter_from(self.age_cursor).next()?;
        Some((item, item.timestamp.saturating_add(age)))
    }

    /// Changes the configuration; lowered limits apply at once.
    pub(in crate::stream) fn update(&mut self, config: Arc<StreamConfig>) {
        let limit = config.messages_per_subject_max;
        let limit_changed = limit != self.config.messages_per_subject_max;
        self.config = config;
        self.age_cursor = 0;
        if limit_changed {
            self.rebuild_subjects(limit);
        }
        self.make_room();
    }

    /// Starts the subject table over, because it keeps other things under another limit.
    fn rebuild_subjects(&mut self, limit: Option<u64>) {
        let old = std::mem::replace(&mut self.subjects, SubjectTable::new(limit));
        let items: Vec<Item> = self.sequences.iter_from(0).collect();
        self.sequences = Sequences::default();
        self.forget_met_subjects();
        for item in &items {
            let (subject, _) = self
                .subjects
                .add(&old.subject(item.subject).name, item.sequence);
            self.sequences.push(Item { subject, ..*item });
        }
        let Some(limit) = limit else {
            return;
        };
        for item in items {
            let Some(now) = self.sequences.get(item.sequence) else {
                continue;
            };
            if self.subjects.subject(now.subject).count > limit {
                self.remove(item.sequence);
            }
        }
    }
}
