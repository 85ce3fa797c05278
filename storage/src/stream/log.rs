//! What a stream holds, as the index in memory knows it, and the rules of what may enter and what
//! must leave. Pure: no clock, no file. Disk and memory streams share it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hashbrown::HashMap;

use super::by_subject::SubjectTable;
use super::duplicates::Duplicates;
use super::record::Entry;
use super::sequences::{Item, Sequences};
use super::{
    Append, AppendError, Appended, Discard, Purge, Rollup, Sequence, StreamConfig, StreamState,
};

/// Messages that one round of expiry removes at most, so that appends are not kept waiting.
const EXPIRE_MESSAGES_MAX: usize = 10_000;
/// Largest message any stream takes, headers and payload together.
pub(super) const MESSAGE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Longest subject.
const SUBJECT_BYTES_MAX: usize = 64 * 1024;
/// Expiry of a message that outlives `age_max`.
pub(super) const NEVER: u64 = u64::MAX;

/// What has to happen to a stored block that lost messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Touch {
    /// Nothing is left of it.
    Drop,
    /// These are left: note it beside the block.
    Thin(Vec<u64>),
    /// These are left, fewer than half: store the block anew.
    Rewrite(Vec<u64>),
}

/// The index of one stream.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) config: Arc<StreamConfig>,
    sequences: Sequences,
    subjects: SubjectTable,
    last: u64,
    last_timestamp: u64,
    last_message_id: Bytes,
    messages: u64,
    bytes: u64,
    duplicates: Duplicates,
    /// Messages with a life time of their own.
    expiries: BTreeMap<u64, u64>,
    deadlines: BTreeSet<(u64, u64)>,
    /// Expiry by age looked at everything below.
    age_cursor: u64,
    /// Blocks that lost messages since the last commit, and how many.
    touched: HashMap<u64, u32>,
    /// Stored size of the blocks that have a live row.
    thinned: HashMap<u64, u32>,
    /// Last sequence that is durable; what is above is not shown to readers.
    pub(super) committed: u64,
}

impl Log {
    pub(super) fn new(config: Arc<StreamConfig>) -> Self {
        let last = config.initial_last().0;
        Self {
            sequences: Sequences::default(),
            subjects: SubjectTable::new(config.messages_per_subject_max),
            last,
            last_timestamp: 0,
            last_message_id: Bytes::new(),
            messages: 0,
            bytes: 0,
            duplicates: Duplicates::default(),
            expiries: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            age_cursor: 0,
            touched: HashMap::new(),
            thinned: HashMap::new(),
            committed: last,
            config,
        }
    }

    // Building from what is stored.

    /// Takes in a stored message; `live` is false for one that was removed since.
    pub(super) fn load(&mut self, entry: &Entry<'_>, block: u64, live: bool, now: u64) {
        self.last = entry.sequence;
        self.last_timestamp = entry.timestamp;
        if live {
            self.insert(entry, block);
        }
        self.note_id(entry, now);
        self.committed = self.last;
    }

    /// Notes that a stored block has `stored` messages, of which some are dead.
    pub(super) fn load_thinned(&mut self, block: u64, stored: u32) {
        self.thinned.insert(block, stored);
    }

    /// The last sequence ever given out, which may be beyond the last message.
    pub(super) fn load_last(&mut self, last: u64, timestamp: u64) {
        if last > self.last {
            self.last = last;
            self.last_timestamp = timestamp;
            self.last_message_id = Bytes::new();
        }
        self.committed = self.last;
    }

    // Appending.

    /// Decides about an append. `Some` is the answer to a duplicate, which is not stored.
    pub(super) fn check(&self, append: &Append, now: u64) -> Result<Option<Appended>, AppendError> {
        let config = &self.config;
        if append.subject.is_empty() || append.subject.len() > SUBJECT_BYTES_MAX {
            return Err(AppendError::BadSubject);
        }
        if append.ttl.is_some() && !config.allow_message_ttl {
            return Err(AppendError::TtlNotAllowed);
        }
        self.check_expected_sequences(append)?;
        if let Some(id) = &append.message_id {
            let after = now.saturating_sub(nanos(config.duplicate_window));
            if let Some((sequence, timestamp)) = self.duplicates.find(id, after) {
                return Ok(Some(Appended {
                    sequence: Sequence(sequence),
                    duplicate: true,
                    timestamp,
                }));
            }
        }
        if let Some(id) = &append.expected.last_message_id
            && *id != self.last_message_id
        {
            return Err(AppendError::WrongLastMessageId {
                last: String::from_utf8_lossy(&self.last_message_id).into_owned(),
            });
        }
        if append.rollup.is_some() && (!config.allow_rollup || config.deny_purge) {
            return Err(AppendError::RollupNotAllowed);
        }
        self.check_room(append)?;
        Ok(None)
    }

    /// Takes in an append that was checked; it will be part of `block`. Older messages make room.
    /// Returns when it expires too.
    pub(super) fn append(
        &mut self,
        append: &Append,
        block: u64,
        now: u64,
    ) -> (Appended, Option<u64>) {
        let sequence = self.last + 1;
        let replaced = self.at_subject_limit(&append.subject);
        let expires = append.ttl.map(|ttl| expiry(ttl, now));
        let entry = Entry {
            sequence,
            timestamp: now,
            subject: &append.subject,
            headers_len: append.headers.len(),
            payload_len: append.payload.len(),
            message_id: append.message_id.as_deref(),
            expires,
        };
        self.last = sequence;
        self.last_timestamp = now;
        self.insert(&entry, block);
        self.note_id(&entry, now);
        if let Some(oldest) = replaced {
            self.remove(oldest);
        }
        match append.rollup {
            Some(Rollup::Subject) => self.remove_older_of_subject(&append.subject, sequence),
            Some(Rollup::All) => self.remove_below(sequence),
            None => {}
        }
        self.make_room();
        let appended = Appended {
            sequence: Sequence(sequence),
            duplicate: false,
            timestamp: now,
        };
        (appended, expires)
    }

    /// Sequence the next append gets.
    pub(super) fn next_sequence(&self) -> u64 {
        self.last + 1
    }

    // Removing.

    /// Removes one message; false when it is not there.
    pub(super) fn remove(&mut self, sequence: u64) -> bool {
        let Some(item) = self.sequences.remove(sequence) else {
            return false;
        };
        self.messages -= 1;
        self.bytes -= u64::from(item.size);
        let sequences = &self.sequences;
        self.subjects.remove(item.subject, sequence, || {
            let mut older = sequences.iter_below(sequence);
            older
                .find(|other| other.subject == item.subject)
                .map_or(0, |other| other.sequence)
        });
        if let Some(expires) = self.expiries.remove(&sequence) {
            self.deadlines.remove(&(expires, sequence));
        }
        *self.touched.entry(item.block).or_insert(0) += 1;
        true
    }

    /// Removes what a purge asks for; returns how many.
    pub(super) fn purge(&mut self, purge: &Purge) -> u64 {
        let before = purge.before.map_or(u64::MAX, |before| before.0);
        let wanted = self.wanted_subjects(purge.filter.as_ref());
        let matching = self
            .sequences
            .iter_from(0)
            .take_while(|item| item.sequence < before)
            .filter(|item| {
                wanted
                    .as_ref()
                    .is_none_or(|ids| ids.contains(&item.subject))
            });
        let mut doomed: Vec<u64> = matching.map(|item| item.sequence).collect();
        let keep = usize::try_from(purge.keep.unwrap_or(0)).unwrap_or(usize::MAX);
        doomed.truncate(doomed.len().saturating_sub(keep));
        for sequence in &doomed {
            self.remove(*sequence);
        }
        doomed.len() as u64
    }

    /// Removes what is too old; returns how many. At most a fixed number at a time: ask again
    /// while `next_deadline` has passed.
    pub(super) fn expire(&mut self, now: u64) -> usize {
        let window = nanos(self.config.duplicate_window);
        self.duplicates.forget(now.saturating_sub(window));
        let mut removed = 0;
        while let Some((deadline, sequence)) = self.deadlines.first().copied() {
            if deadline > now || removed >= EXPIRE_MESSAGES_MAX {
                break;
            }
            self.remove(sequence);
            removed += 1;
        }
        while let Some((item, deadline)) = self.oldest_by_age() {
            if deadline > now || removed >= EXPIRE_MESSAGES_MAX {
                break;
            }
            self.age_cursor = item.sequence + 1;
            if self.expiries.get(&item.sequence) != Some(&NEVER) {
                self.remove(item.sequence);
                removed += 1;
            }
        }
        removed
    }

    /// When the next message expires, unix nanoseconds.
    pub(super) fn next_deadline(&self) -> Option<u64> {
        let by_age = self.oldest_by_age().map(|(_, deadline)| deadline);
        let by_ttl = self.deadlines.first().map(|(deadline, _)| *deadline);
        by_age.into_iter().chain(by_ttl).min()
    }

    /// When the oldest remembered message id may be forgotten.
    pub(super) fn next_forget(&self) -> Option<u64> {
        let window = nanos(self.config.duplicate_window);
        self.duplicates
            .oldest()
            .map(|seen| seen.saturating_add(window))
    }

    /// Changes the configuration; lowered limits apply at once.
    pub(super) fn update(&mut self, config: Arc<StreamConfig>) {
        let limit = config.messages_per_subject_max;
        let limit_changed = limit != self.config.messages_per_subject_max;
        self.config = config;
        self.age_cursor = 0;
        if limit_changed {
            self.rebuild_subjects(limit);
        }
        self.make_room();
    }

    /// What became of the blocks that lost messages since the last call.
    pub(super) fn take_touched(&mut self) -> Vec<(u64, Touch)> {
        let first = self.sequences.first().map_or(0, |item| item.block);
        let mut touched = Vec::with_capacity(self.touched.len());
        for (block, removed) in std::mem::take(&mut self.touched) {
            let live: Vec<u64> = self.sequences.of_block(block).collect();
            let left = live.len() as u32;
            let stored = self.thinned.get(&block).copied().unwrap_or(left + removed);
            // The oldest block dies soon by itself: rewriting it again and again as it is eaten
            // from the front would double the writes of every full stream.
            let touch = if live.is_empty() {
                self.thinned.remove(&block);
                Touch::Drop
            } else if left * 2 < stored && block != first {
                self.thinned.remove(&block);
                Touch::Rewrite(live)
            } else {
                self.thinned.insert(block, stored);
                Touch::Thin(live)
            };
            touched.push((block, touch));
        }
        touched
    }

    // Asking. Nothing above `committed` is shown.

    pub(super) fn state(&self) -> StreamState {
        let first = self.sequences.first();
        let used = self.last > 0;
        let first_sequence = match first {
            Some(item) => item.sequence,
            None if used => self.last + 1,
            None => 0,
        };
        let span = if self.messages == 0 {
            0
        } else {
            self.last - first_sequence + 1
        };
        StreamState {
            first: Sequence(first_sequence),
            last: Sequence(self.last),
            messages: self.messages,
            bytes: self.bytes,
            subjects: self.subjects.len() as u64,
            first_timestamp: first.map_or(0, |item| item.timestamp),
            last_timestamp: self.last_timestamp,
            deleted: span - self.messages,
        }
    }

    #[cfg(test)]
    pub(super) fn find_id(&self, id: &[u8], now: u64) -> Option<(u64, u64)> {
        let after = now.saturating_sub(nanos(self.config.duplicate_window));
        self.duplicates.find(id, after)
    }

    pub(super) fn get(&self, sequence: u64) -> Option<Item> {
        self.sequences
            .get(sequence)
            .filter(|item| item.sequence <= self.committed)
    }

    pub(super) fn subject_name(&self, item: &Item) -> Bytes {
        self.subjects.subject(item.subject).name.clone()
    }

    /// Newest sequence of a subject, committed or not; 0 = none.
    pub(super) fn last_of(&self, subject: &[u8]) -> u64 {
        self.subjects
            .by_name(subject)
            .map_or(0, |subject| subject.last)
    }

    /// Newest sequences of all subjects that match, sorted.
    pub(super) fn lasts(&self, filter: Option<&super::SubjectPattern>) -> Vec<u64> {
        let mut lasts: Vec<u64> = self
            .subjects
            .matching(filter)
            .map(|(_, subject)| subject.last)
            .collect();
        lasts.sort_unstable();
        lasts
    }

    pub(super) fn subjects(&self, filter: Option<&super::SubjectPattern>) -> Vec<(Bytes, u64)> {
        let matching = self.subjects.matching(filter);
        matching
            .map(|(_, subject)| (subject.name.clone(), subject.count))
            .collect()
    }

    /// Committed messages from a sequence on, of the subjects that match.
    pub(super) fn iter_matching<'a>(
        &'a self,
        from: u64,
        filter: Option<&super::SubjectPattern>,
    ) -> impl Iterator<Item = Item> + 'a {
        let wanted = self.wanted_subjects(filter);
        let nothing = wanted.as_ref().is_some_and(hashbrown::HashSet::is_empty);
        let from = if nothing { u64::MAX } else { from };
        self.sequences
            .iter_from(from)
            .take_while(|item| item.sequence <= self.committed)
            .filter(move |item| {
                wanted
                    .as_ref()
                    .is_none_or(|ids| ids.contains(&item.subject))
            })
    }

    fn wanted_subjects(
        &self,
        filter: Option<&super::SubjectPattern>,
    ) -> Option<hashbrown::HashSet<u32>> {
        let filter = filter.filter(|filter| filter.as_bytes() != b">")?;
        Some(
            self.subjects
                .matching(Some(filter))
                .map(|(id, _)| id)
                .collect(),
        )
    }

    fn insert(&mut self, entry: &Entry<'_>, block: u64) {
        let (headers, payload) = (entry.headers_len, entry.payload_len);
        let size = self
            .config
            .record_bytes(entry.subject.len(), headers, payload);
        let subject = self.subjects.add(entry.subject, entry.sequence);
        self.sequences.push(Item {
            sequence: entry.sequence,
            block,
            subject,
            size: u32::try_from(size).unwrap_or(u32::MAX),
            timestamp: entry.timestamp,
        });
        self.messages += 1;
        self.bytes += size;
        if let Some(expires) = entry.expires {
            self.expiries.insert(entry.sequence, expires);
            if expires != NEVER {
                self.deadlines.insert((expires, entry.sequence));
            }
        }
    }

    fn note_id(&mut self, entry: &Entry<'_>, now: u64) {
        let Some(id) = entry.message_id else {
            self.last_message_id = Bytes::new();
            return;
        };
        self.last_message_id = Bytes::copy_from_slice(id);
        let window = nanos(self.config.duplicate_window);
        if window > 0 && entry.timestamp.saturating_add(window) > now {
            self.duplicates
                .remember(id, entry.sequence, entry.timestamp);
        }
    }

    fn check_expected_sequences(&self, append: &Append) -> Result<(), AppendError> {
        let expected = &append.expected;
        if let Some(wanted) = expected.last_subject_sequence {
            let last = match &expected.last_subject_filter {
                Some(filter) => self.lasts(Some(filter)).last().copied().unwrap_or(0),
                None => self.last_of(&append.subject),
            };
            if wanted.0 != last {
                return Err(AppendError::WrongLastSubjectSequence {
                    last: Sequence(last),
                });
            }
        }
        match expected.last_sequence {
            Some(wanted) if wanted.0 != self.last => Err(AppendError::WrongLastSequence {
                last: Sequence(self.last),
            }),
            _ => Ok(()),
        }
    }

    fn check_room(&self, append: &Append) -> Result<(), AppendError> {
        let config = &self.config;
        let len_bytes = (append.headers.len() + append.payload.len()) as u64;
        let max_bytes = config
            .message_bytes_max
            .unwrap_or(MESSAGE_BYTES_MAX)
            .min(MESSAGE_BYTES_MAX);
        if len_bytes > max_bytes {
            return Err(AppendError::MessageTooLarge {
                len_bytes,
                max_bytes,
            });
        }
        let replaced = self.at_subject_limit(&append.subject);
        if replaced.is_some() && config.discard_new_per_subject {
            return Err(AppendError::MaximumPerSubject);
        }
        let (subject, headers) = (append.subject.len(), append.headers.len());
        let size = config.record_bytes(subject, headers, append.payload.len());
        if config.discard == Discard::Old {
            // Making room would remove everything and then the message itself.
            let fits = config.bytes_max.is_none_or(|max| size <= max);
            return if fits {
                Ok(())
            } else {
                Err(AppendError::MaximumBytes)
            };
        }
        let freed = replaced.and_then(|oldest| self.sequences.get(oldest));
        if freed.is_none() && config.messages_max.is_some_and(|max| self.messages >= max) {
            return Err(AppendError::MaximumMessages);
        }
        let after = self.bytes + size - freed.map_or(0, |item| u64::from(item.size));
        if config.bytes_max.is_some_and(|max| after > max) {
            return Err(AppendError::MaximumBytes);
        }
        Ok(())
    }

    /// The message that has to make room when the subject is at its limit.
    fn at_subject_limit(&self, subject: &[u8]) -> Option<u64> {
        let limit = self.config.messages_per_subject_max?;
        let id = self.subjects.find(subject)?;
        if self.subjects.subject(id).count < limit {
            return None;
        }
        self.subjects.oldest(id)
    }

    fn make_room(&mut self) {
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

    fn remove_below(&mut self, sequence: u64) {
        while let Some(first) = self
            .sequences
            .first()
            .filter(|item| item.sequence < sequence)
        {
            self.remove(first.sequence);
        }
    }

    fn remove_older_of_subject(&mut self, subject: &[u8], sequence: u64) {
        let Some(id) = self.subjects.find(subject) else {
            return;
        };
        // Newest first: that is where the few older messages of a key usually are.
        while self.subjects.subject(id).count > 1 {
            let mut older = self.sequences.iter_below(sequence);
            let found = older
                .find(|item| item.subject == id)
                .map(|item| item.sequence);
            drop(older);
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

    /// Starts the subject table over, because it keeps other things under another limit.
    fn rebuild_subjects(&mut self, limit: Option<u64>) {
        let old = std::mem::replace(&mut self.subjects, SubjectTable::new(limit));
        let items: Vec<Item> = self.sequences.iter_from(0).collect();
        self.sequences = Sequences::default();
        for item in &items {
            let subject = self
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

/// Unix nanoseconds at which a message with this life time ends.
fn expiry(ttl: Duration, now: u64) -> u64 {
    if ttl == Duration::MAX {
        NEVER
    } else {
        now.saturating_add(nanos(ttl)).min(NEVER - 1)
    }
}

pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
