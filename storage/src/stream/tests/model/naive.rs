//! What a stream should do, done slowly with a `BTreeMap`.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::*;

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Kept {
    pub(super) subject: String,
    pub(super) headers: usize,
    pub(super) len: usize,
    pub(super) timestamp: u64,
    pub(super) expires: Option<u64>,
    pub(super) marker: bool,
}

/// An append as the model sees it.
#[derive(Debug, Clone)]
pub(super) struct Put {
    pub(super) kept: Kept,
    pub(super) id: Option<u8>,
    pub(super) rollup: Option<Rollup>,
    pub(super) place: Option<u64>,
    pub(super) no_store: bool,
    pub(super) expected: Expected,
}

#[derive(Debug, Clone)]
pub(super) struct Model {
    pub(super) config: StreamConfig,
    pub(super) kept: BTreeMap<u64, Kept>,
    pub(super) last: u64,
    pub(super) ids: BTreeMap<u8, (u64, u64)>,
}

impl Model {
    pub(super) fn new(config: StreamConfig) -> Self {
        Self {
            config,
            kept: BTreeMap::new(),
            last: 0,
            ids: BTreeMap::new(),
        }
    }

    fn size(&self, kept: &Kept) -> u64 {
        let subject = kept.subject.len();
        self.config.record_bytes(subject, kept.headers, kept.len)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.kept.values().map(|kept| self.size(kept)).sum()
    }

    pub(super) fn of_subject(&self, subject: &str) -> Vec<u64> {
        let found = self.kept.iter().filter(|(_, kept)| kept.subject == subject);
        found.map(|(sequence, _)| *sequence).collect()
    }

    pub(super) fn last_of(&self, subject: &str) -> u64 {
        self.of_subject(subject).last().copied().unwrap_or(0)
    }

    /// The sequence, and whether it is a duplicate; or the name of the refusal.
    pub(super) fn append(&mut self, put: Put, now: u64) -> Result<(u64, bool), &'static str> {
        let stored = self.append_without_room(put, now)?;
        self.make_room();
        Ok(stored)
    }

    /// All or nothing.
    pub(super) fn append_all(
        &mut self,
        batch: Vec<Put>,
        now: u64,
    ) -> Result<Vec<u64>, (usize, &'static str)> {
        let mut trial = self.clone();
        let mut stored = Vec::new();
        for (index, put) in batch.into_iter().enumerate() {
            match trial.append_without_room(put, now) {
                Ok((sequence, false)) => stored.push(sequence),
                Ok((_, true)) => return Err((index, "duplicate")),
                Err(error) => return Err((index, error)),
            }
        }
        trial.make_room();
        *self = trial;
        Ok(stored)
    }

    fn append_without_room(&mut self, put: Put, now: u64) -> Result<(u64, bool), &'static str> {
        if put.place.is_some_and(|place| place <= self.last) {
            return Err("place");
        }
        let subject = put.kept.subject.clone();
        let expected = &put.expected;
        let last_of = Sequence(self.last_of(&subject));
        if expected.last_subject_sequence.is_some_and(|s| s != last_of) {
            return Err("last of subject");
        }
        if expected.last_sequence.is_some_and(|s| s.0 != self.last) {
            return Err("last");
        }
        if let Some((sequence, at)) = put.id.and_then(|id| self.ids.get(&id)).copied()
            && at + nanos(self.config.duplicate_window) > now
        {
            return Ok((sequence, true));
        }
        if !put.no_store {
            self.check_room(&put.kept)?;
        }
        self.last = put.place.unwrap_or(self.last + 1);
        if let Some(id) = put.id {
            self.ids.insert(id, (self.last, now));
        }
        let last = self.last;
        if put.no_store {
            return Ok((last, false));
        }
        self.kept.insert(last, put.kept);
        match put.rollup {
            Some(Rollup::All) => self.kept.retain(|sequence, _| *sequence == last),
            Some(Rollup::Subject) => self.kept.retain(|s, k| *s == last || k.subject != subject),
            None => {}
        }
        self.trim_subjects();
        Ok((last, false))
    }

    fn check_room(&self, kept: &Kept) -> Result<(), &'static str> {
        let mates = self.of_subject(&kept.subject);
        let full = self
            .config
            .messages_per_subject_max
            .is_some_and(|max| mates.len() as u64 >= max);
        if full && self.config.discard_new_per_subject {
            return Err("per subject");
        }
        let size = self.size(kept);
        let bytes_max = self.config.bytes_max.unwrap_or(u64::MAX);
        if self.config.discard == Discard::Old {
            return if size > bytes_max {
                Err("bytes")
            } else {
                Ok(())
            };
        }
        let freed = if full {
            self.size(&self.kept[&mates[0]])
        } else {
            0
        };
        let held = self.kept.len() as u64;
        if !full && self.config.messages_max.is_some_and(|max| held >= max) {
            return Err("messages");
        }
        if self.bytes() + size - freed > bytes_max {
            return Err("bytes");
        }
        Ok(())
    }

    pub(super) fn trim(&mut self) {
        self.trim_subjects();
        self.make_room();
    }

    fn trim_subjects(&mut self) {
        let Some(max) = self.config.messages_per_subject_max else {
            return;
        };
        let subjects: Vec<String> = self.kept.values().map(|k| k.subject.clone()).collect();
        for subject in subjects {
            let mates = self.of_subject(&subject);
            for sequence in &mates[..mates.len().saturating_sub(max as usize)] {
                self.kept.remove(sequence);
            }
        }
    }

    fn make_room(&mut self) {
        let over = |model: &Self| {
            let messages_max = model.config.messages_max;
            messages_max.is_some_and(|max| model.kept.len() as u64 > max)
                || model
                    .config
                    .bytes_max
                    .is_some_and(|max| model.bytes() > max)
        };
        while over(self) {
            self.kept.pop_first();
        }
    }

    pub(super) fn expire(&mut self, now: u64) {
        let mut owed = Vec::new();
        let mut by_ttl: Vec<(u64, u64)> = self
            .kept
            .iter()
            .filter_map(|(sequence, kept)| Some((kept.expires?, *sequence)))
            .filter(|(expires, _)| *expires <= now)
            .collect();
        by_ttl.sort_unstable();
        for (_, sequence) in by_ttl {
            owed.extend(self.remove_expired(sequence));
        }
        let age = self.config.age_max.map_or(u64::MAX, nanos);
        let old = |kept: &Kept| {
            kept.expires != Some(u64::MAX) && kept.timestamp.saturating_add(age) <= now
        };
        let old = self.kept.iter().filter(|(_, kept)| old(kept));
        let old: Vec<u64> = old.map(|(sequence, _)| *sequence).collect();
        for sequence in old {
            owed.extend(self.remove_expired(sequence));
        }
        let Some(marker) = self.config.age_marker.clone() else {
            return;
        };
        for subject in owed {
            self.last += 1;
            let kept = Kept {
                subject,
                headers: marker.headers.len(),
                len: 0,
                timestamp: now,
                expires: Some(now + nanos(marker.ttl)),
                marker: true,
            };
            self.kept.insert(self.last, kept);
            self.make_room();
        }
    }

    fn remove_expired(&mut self, sequence: u64) -> Option<String> {
        let kept = self.kept.remove(&sequence)?;
        let owed = !kept.marker && self.of_subject(&kept.subject).is_empty();
        owed.then_some(kept.subject)
    }

    pub(super) fn purge(&mut self, purge: &Purge) -> u64 {
        let wanted = |sequence: u64, kept: &Kept| {
            purge.before.is_none_or(|before| sequence < before.0)
                && purge
                    .filter
                    .as_ref()
                    .is_none_or(|f| f.matches(kept.subject.as_bytes()))
        };
        let doomed = self.kept.iter().filter(|(s, k)| wanted(**s, k));
        let mut doomed: Vec<u64> = doomed.map(|(s, _)| *s).collect();
        let keep = purge.keep.unwrap_or(0) as usize;
        doomed.truncate(doomed.len().saturating_sub(keep));
        for sequence in &doomed {
            self.kept.remove(sequence);
        }
        if let Some(before) = purge.before.filter(|_| keep == 0 && purge.filter.is_none()) {
            self.last = self.last.max(before.0 - 1);
        }
        doomed.len() as u64
    }

    /// Newest sequences of the subjects that match, of those up to one.
    pub(super) fn lasts(&self, filters: &[SubjectPattern], up_to: u64) -> Vec<u64> {
        let mut lasts: BTreeMap<&str, u64> = BTreeMap::new();
        for (sequence, kept) in self.kept.range(..=up_to) {
            if wants(filters, &kept.subject) {
                lasts.insert(&kept.subject, *sequence);
            }
        }
        let mut lasts: Vec<u64> = lasts.into_values().collect();
        lasts.sort_unstable();
        lasts
    }

    pub(super) async fn check(&self, stream: &Stream) {
        self.check_state(stream);
        let limit = ReadLimit::messages(10_000);
        let read = stream.read(Sequence(0), None, limit).await.unwrap();
        let read = read.into_iter().map(|m| (m.sequence.0, self.as_kept(m)));
        assert_eq!(read.collect::<BTreeMap<_, _>>(), self.kept);
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        for kept in self.kept.values() {
            *counts.entry(kept.subject.clone()).or_default() += 1;
        }
        let subjects = stream.subjects(None).into_iter();
        let subjects: BTreeMap<String, u64> = subjects
            .map(|(s, n)| (String::from_utf8(s.to_vec()).unwrap(), n))
            .collect();
        assert_eq!(subjects, counts);
        let found = stream.last_per_subject(None).await.unwrap();
        let found: Vec<u64> = found.iter().map(|m| m.sequence.0).collect();
        assert_eq!(found, self.lasts(&[], u64::MAX));
        for filter in ["s.1", "*.2", "s.>"] {
            let filter = SubjectPattern::parse(filter).unwrap();
            let wanted = |(_, k): &(&u64, &Kept)| filter.matches(k.subject.as_bytes());
            for from in [0, self.last / 2, self.last] {
                let expected = self.kept.range(from..).filter(wanted).count() as u64;
                assert_eq!(stream.count(Sequence(from), Some(&filter)), expected);
            }
        }
        let filters = [SubjectPattern::parse("s.*").unwrap()];
        let up_to = self.last / 2;
        let found = stream.last_per_subject_up_to(&filters, Some(Sequence(up_to)), 10);
        let found = found.await.unwrap();
        let found: Vec<u64> = found.iter().map(|m| m.sequence.0).collect();
        assert_eq!(found, self.lasts(&filters, up_to));
    }

    fn check_state(&self, stream: &Stream) {
        let state = stream.state();
        assert_eq!(state.last.0, self.last);
        assert_eq!(state.messages, self.kept.len() as u64);
        assert_eq!(state.bytes, self.bytes());
        let first = match self.kept.keys().next() {
            Some(first) => *first,
            None if self.last == 0 => 0,
            None => self.last + 1,
        };
        assert_eq!(state.first.0, first);
        let gaps = (first..=self.last).filter(|s| first > 0 && !self.kept.contains_key(s));
        let gaps: Vec<u64> = gaps.collect();
        assert_eq!(state.deleted, gaps.len() as u64);
        for (from, max) in [(0, usize::MAX), (self.last / 2, 3)] {
            let expected = gaps.iter().copied().filter(|s| *s >= from).take(max);
            let deleted = stream.deleted(Sequence(from), max);
            let deleted: Vec<u64> = deleted.iter().map(|s| s.0).collect();
            assert_eq!(deleted, expected.collect::<Vec<_>>());
        }
    }

    fn as_kept(&self, message: StoredMessage) -> Kept {
        let kept = self.kept.get(&message.sequence.0);
        Kept {
            subject: String::from_utf8(message.subject.to_vec()).unwrap(),
            headers: message.headers.len(),
            len: message.payload.len(),
            timestamp: message.timestamp,
            expires: kept.and_then(|kept| kept.expires),
            marker: kept.is_some_and(|kept| kept.marker),
        }
    }
}

/// A reader beside the model of its stream.
#[derive(Debug)]
pub(super) struct NaiveReader {
    filters: Vec<SubjectPattern>,
    initial: Vec<u64>,
    position: u64,
}

impl NaiveReader {
    pub(super) fn new(model: &Model, filters: Vec<SubjectPattern>, start: ReaderStart) -> Self {
        let (initial, position) = match start {
            ReaderStart::Sequence(sequence) => (Vec::new(), sequence.0),
            ReaderStart::LastPerSubject => (model.lasts(&filters, u64::MAX), model.last + 1),
        };
        Self {
            filters,
            initial,
            position,
        }
    }

    /// What is ahead.
    pub(super) fn ahead(&mut self, model: &Model) -> Vec<u64> {
        self.initial.retain(|s| model.kept.contains_key(s));
        let later = model.kept.range(self.position..);
        let later = later.filter(|(_, kept)| wants(&self.filters, &kept.subject));
        let initial = self.initial.iter().copied();
        initial.chain(later.map(|(s, _)| *s)).collect()
    }

    /// Moves over what was read.
    pub(super) fn read(&mut self, model: &Model, count: usize) {
        let ahead = self.ahead(model);
        let initial = self.initial.len().min(count);
        self.initial.drain(..initial);
        if let Some(last) = ahead[..count].last().filter(|_| count > initial) {
            self.position = last + 1;
        }
    }
}

fn wants(filters: &[SubjectPattern], subject: &str) -> bool {
    filters.is_empty() || filters.iter().any(|f| f.matches(subject.as_bytes()))
}

pub(super) fn nanos(duration: Duration) -> u64 {
    duration.as_nanos() as u64
}
