//! What a stream holds, as the index in memory knows it, and the rules of what may enter and what
//! must leave. Pure: no clock, no file. Disk and memory streams share it.

mod admission;
mod batch;
mod readers;
mod retention;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hashbrown::{HashMap, HashSet};

use super::by_subject::{Matcher, SubjectTable};
use super::duplicates::Duplicates;
use super::record::{Entry, Totals};
use super::sequences::{Item, Sequences};
use super::{Append, Appended, Rollup, Sequence, StreamConfig, StreamState, SubjectPattern};

pub(super) use readers::ReaderId;
use readers::Readers;

/// Largest message any stream takes, headers and payload together.
pub(super) const MESSAGE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Longest subject.
const SUBJECT_BYTES_MAX: usize = 64 * 1024;
/// No place or purge may come this far: numbers never run out.
const SEQUENCE_MAX: u64 = 1 << 63;
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
    /// Messages that say that their subject went by age.
    markers: HashSet<u64>,
    /// Expiry by age looked at everything below.
    age_cursor: u64,
    /// Blocks that lost messages since the last commit, and how many.
    touched: HashMap<u64, u32>,
    /// Stored size of the blocks that have a live row.
    thinned: HashMap<u64, u32>,
    /// `last` is beyond what the stored blocks tell: it has to be stored by itself.
    last_unwritten: bool,
    /// Last sequence that is durable; what is above is not shown to readers.
    pub(super) committed: u64,
    readers: Readers,
    /// The stream takes nothing more and gives nothing more.
    pub(super) closed: bool,
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
            markers: HashSet::new(),
            age_cursor: 0,
            touched: HashMap::new(),
            thinned: HashMap::new(),
            last_unwritten: false,
            committed: last,
            readers: Readers::default(),
            closed: false,
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

    /// Takes in an append that was checked; it will be part of `block`. Older messages of its
    /// subject go where it takes their place; [`Log::make_room`] has to follow.
    pub(super) fn append(&mut self, append: &Append, block: u64, now: u64) -> Taken {
        let sequence = self.place_of(append);
        let timestamp = append.place.map_or(now, |place| place.timestamp);
        let expires = append.ttl.map(|ttl| expiry(ttl, timestamp));
        let entry = Entry {
            sequence,
            timestamp,
            subject: &append.subject,
            subject_id: 0,
            headers_len: append.headers.len(),
            payload_len: append.payload.len(),
            message_id: append.message_id.as_deref(),
            expires,
            marker: append.is_marker,
        };
        let (subject_id, previous) = if append.no_store {
            self.skip(&entry);
            (0, self.last_of(&append.subject))
        } else {
            let replaced = self.at_subject_limit(&append.subject);
            let (subject_id, previous) = self.push(&entry, block);
            if let Some(oldest) = replaced {
                self.remove(oldest);
            }
            match append.rollup {
                Some(Rollup::Subject) => self.remove_older_of_subject(&append.subject, sequence),
                Some(Rollup::All) => self.remove_below(sequence),
                None => {}
            }
            (subject_id, previous)
        };
        self.note_id(&entry, now);
        let appended = Appended {
            sequence: Sequence(sequence),
            duplicate: false,
            timestamp,
            previous: Sequence(previous),
            payload: None,
        };
        Taken {
            appended,
            expires,
            subject_id,
        }
    }

    /// Takes in a marker for a subject that has no message any more; returns the subject's id.
    pub(super) fn append_marker(&mut self, entry: &Entry<'_>, block: u64) -> u32 {
        let (subject_id, _) = self.push(entry, block);
        self.note_id(entry, entry.timestamp);
        self.make_room();
        subject_id
    }

    /// When the marker that is appended now expires.
    pub(super) fn marker_expiry(ttl: Duration, now: u64) -> u64 {
        expiry(ttl, now)
    }

    /// Sequence this append gets.
    pub(super) fn place_of(&self, append: &Append) -> u64 {
        append.place.map_or(self.last + 1, |place| place.sequence.0)
    }

    fn push(&mut self, entry: &Entry<'_>, block: u64) -> (u32, u64) {
        self.last = entry.sequence;
        self.last_timestamp = entry.timestamp;
        self.last_unwritten = false;
        self.insert(entry, block)
    }

    /// Gives out a sequence that stays empty.
    fn skip(&mut self, entry: &Entry<'_>) {
        self.last = entry.sequence;
        self.last_timestamp = entry.timestamp;
        self.last_unwritten = true;
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
        self.tell_of_removal(&item);
        if self.subjects.subject(item.subject).count == 1 {
            self.forget_subject_readers(item.subject);
        }
        let sequences = &self.sequences;
        self.subjects.remove(item.subject, sequence, || {
            let mut older = sequences.iter_below(sequence);
            older
                .find(|other| other.subject == item.subject)
                .map_or(0, |other| other.sequence)
        });
        if let Some(expires) = self.expiries.remove(&sequence) {
            self.deadlines.remove(&(expires, sequence));
            self.markers.remove(&sequence);
        }
        *self.touched.entry(item.block).or_insert(0) += 1;
        true
    }

    /// Whether sequences were given out since the last call that no message has.
    pub(super) fn take_skipped(&mut self) -> bool {
        std::mem::replace(&mut self.last_unwritten, false)
    }

    /// Figures to be stored with the next commit.
    pub(super) fn totals(&self) -> Totals {
        Totals {
            last: self.last,
            last_timestamp: self.last_timestamp,
            messages: self.messages,
            bytes: self.bytes,
        }
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

    /// Newest message of a subject, committed or not.
    pub(super) fn newest(&self, subject: &[u8]) -> Option<Item> {
        self.sequences.get(self.last_of(subject))
    }

    /// Newest sequences of all subjects that match, sorted.
    pub(super) fn lasts(&self, filter: Option<&SubjectPattern>) -> Vec<u64> {
        let mut lasts: Vec<u64> = self
            .subjects
            .matching(filter)
            .map(|(_, subject)| subject.last)
            .collect();
        lasts.sort_unstable();
        lasts
    }

    /// Of each subject that matches, the newest message up to a sequence; sorted.
    pub(super) fn lasts_up_to(&self, filters: &[SubjectPattern], up_to: u64) -> Vec<Item> {
        let mut open: HashSet<u32> = HashSet::new();
        let mut found = Vec::new();
        for (id, subject) in self.subjects.matching_any(filters) {
            match self.sequences.get(subject.last) {
                Some(item) if item.sequence <= up_to => found.push(item),
                _ => drop(open.insert(id)),
            }
        }
        // Those with newer messages: walk back until each has been met.
        for item in self.sequences.iter_below(up_to.saturating_add(1)) {
            if open.is_empty() {
                break;
            }
            if open.remove(&item.subject) {
                found.push(item);
            }
        }
        found.sort_unstable_by_key(|item| item.sequence);
        found
    }

    pub(super) fn subjects(&self, filter: Option<&SubjectPattern>) -> Vec<(Bytes, u64)> {
        let matching = self.subjects.matching(filter);
        matching
            .map(|(_, subject)| (subject.name.clone(), subject.count))
            .collect()
    }

    /// Sequences from `from` on, between the first and the last message, that are empty.
    pub(super) fn deleted(&self, from: u64, max: usize) -> Vec<u64> {
        let Some(first) = self.sequences.first() else {
            return Vec::new();
        };
        let mut next = from.max(first.sequence);
        let mut deleted = Vec::new();
        for item in self.sequences.iter_from(next) {
            let room = (max - deleted.len()) as u64;
            let end = item.sequence.min(next.saturating_add(room));
            deleted.extend(next..end);
            if deleted.len() >= max || item.sequence > self.committed {
                return deleted;
            }
            next = item.sequence + 1;
        }
        let room = (max - deleted.len()) as u64;
        let end = (self.committed + 1).min(next.saturating_add(room));
        deleted.extend(next..end);
        deleted
    }

    /// Committed messages from a sequence on, of the subjects that match one of the filters.
    pub(super) fn iter_matching<'a>(
        &'a self,
        from: u64,
        filters: &'a [SubjectPattern],
    ) -> impl Iterator<Item = Item> + 'a {
        let mut matcher = self.subjects.matcher(filters);
        let from = if matcher.is_empty() { u64::MAX } else { from };
        self.sequences
            .iter_from(from)
            .take_while(|item| item.sequence <= self.committed)
            .filter(move |item| matcher.matches(&self.subjects, item.subject))
    }

    /// How many committed messages match, from a sequence on. Where that is not all the stream
    /// holds and the filters are some, it costs a walk through the index from there.
    pub(super) fn count(&self, from: u64, filters: &[SubjectPattern]) -> u64 {
        let mut matcher = self.subjects.matcher(filters);
        if matcher.is_empty() || from > self.committed {
            return 0;
        }
        let from_first = self.sequences.first().is_none_or(|f| from <= f.sequence);
        let all = matches!(matcher, Matcher::All);
        let with_uncommitted = match (all, from_first) {
            (true, true) => self.messages,
            (true, false) => self.sequences.count_from(from),
            (false, true) => {
                let matching = self.subjects.matching_any(filters);
                matching.map(|(_, subject)| subject.count).sum()
            }
            (false, false) => return self.iter_matching(from, filters).count() as u64,
        };
        let uncommitted = self.sequences.iter_from(self.committed + 1);
        let uncommitted = uncommitted.filter(|item| matcher.matches(&self.subjects, item.subject));
        with_uncommitted - uncommitted.count() as u64
    }

    /// First committed message at or after a time.
    pub(super) fn first_at(&self, timestamp: u64) -> Option<Item> {
        let found = self.sequences.first_at(timestamp);
        found.filter(|item| item.sequence <= self.committed)
    }

    /// Keys of the blocks that follow a message.
    pub(super) fn blocks_after(&self, sequence: u64, max: usize) -> Vec<u64> {
        let mut keys = Vec::new();
        let mut last = self.sequences.get(sequence).map(|item| item.block);
        for item in self.sequences.iter_from(sequence + 1) {
            if last == Some(item.block) {
                continue;
            }
            if keys.len() == max || item.sequence > self.committed {
                break;
            }
            keys.push(item.block);
            last = Some(item.block);
        }
        keys
    }

    /// Returns the id of the subject and its newest message before this one.
    fn insert(&mut self, entry: &Entry<'_>, block: u64) -> (u32, u64) {
        let (headers, payload) = (entry.headers_len, entry.payload_len);
        let size = self
            .config
            .record_bytes(entry.subject.len(), headers, payload);
        let (subject, previous) = self.subjects.add(entry.subject, entry.sequence);
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
        if entry.marker {
            self.markers.insert(entry.sequence);
        }
        (subject, previous)
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

    /// The message that has to make room when the subject is at its limit.
    fn at_subject_limit(&self, subject: &[u8]) -> Option<u64> {
        let limit = self.config.messages_per_subject_max?;
        let id = self.subjects.find(subject)?;
        if self.subjects.subject(id).count < limit {
            return None;
        }
        self.subjects.oldest(id)
    }
}

/// An append that is in the index.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) appended: Appended,
    /// When it expires, unix nanoseconds.
    pub(super) expires: Option<u64>,
    pub(super) subject_id: u32,
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
