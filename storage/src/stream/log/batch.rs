//! Whether a whole batch may enter a stream: every message is checked against the stream as it
//! would be if those before it were stored.
//!
//! Nothing is changed meanwhile, so a refused batch leaves no trace. Where old messages make room,
//! they do so after the whole batch was taken.

use std::collections::VecDeque;

use bytes::Bytes;
use hashbrown::HashMap;

use super::super::sequences::Item;
use super::super::{Append, AppendError, Rollup, Sequence, StoredMessage, SubjectPattern};
use super::admission::{Standing, check};
use super::{Log, nanos};

/// The stream as it would be after part of a batch.
struct Trial<'a> {
    log: &'a Log,
    last: u64,
    messages: u64,
    bytes: u64,
    last_message_id: Bytes,
    ids: HashMap<Bytes, (u64, u64)>,
    subjects: HashMap<Bytes, Staged>,
    /// A roll-up of the whole stream removed all that the log holds.
    cleared: bool,
}

/// One subject as it would be.
#[derive(Debug, Default)]
struct Staged {
    /// How many of the log's messages are gone, oldest first.
    eaten: u64,
    /// Sequences and sizes of the batch's messages, oldest first.
    added: VecDeque<(u64, u64)>,
    last: u64,
    /// Index of its newest message in the batch.
    newest: Option<usize>,
}

impl Log {
    /// Decides about a batch as a whole and gives it back as it will be stored; `stored` reads a message that the log holds.
    pub(in crate::stream) fn check_batch(
        &self,
        batch: Vec<Append>,
        now: u64,
        mut stored: impl FnMut(&Item) -> Result<Option<StoredMessage>, AppendError>,
    ) -> Result<Vec<Append>, (usize, AppendError)> {
        let mut trial = Trial {
            log: self,
            last: self.last,
            messages: self.messages,
            bytes: self.bytes,
            last_message_id: self.last_message_id.clone(),
            ids: HashMap::new(),
            subjects: HashMap::new(),
            cleared: false,
        };
        let mut decided: Vec<Append> = Vec::with_capacity(batch.len());
        for (index, mut append) in batch.into_iter().enumerate() {
            let failed = |error| (index, error);
            if let Some(derive) = append.derive.take() {
                let previous = trial.previous(&append.subject, &decided, now, &mut stored);
                let previous = previous.map_err(failed)?;
                let derived = derive.derive(previous.as_ref());
                let derived = derived.map_err(|text| (index, AppendError::Derive(text)))?;
                append.headers = derived.headers;
                append.payload = derived.payload;
            }
            let duplicate = check(&trial, &self.config, &append, now).map_err(failed)?;
            if duplicate.is_some() {
                // Without one of its messages a batch would not be whole.
                return Err((index, AppendError::DuplicateId));
            }
            trial.take(&append, index, now);
            decided.push(append);
        }
        Ok(decided)
    }

    /// Sizes of a subject's messages, without the oldest `skip`.
    fn sizes_of(&self, subject: &[u8], skip: u64) -> impl Iterator<Item = u64> + '_ {
        let id = self.subjects.find(subject);
        let from = if id.is_some() { 0 } else { u64::MAX };
        let sequences = self.sequences.iter_from(from);
        sequences
            .filter(move |item| Some(item.subject) == id)
            .skip(skip as usize)
            .map(|item| u64::from(item.size))
    }
}

impl Trial<'_> {
    /// The newest message of a subject, in the batch or before it.
    fn previous(
        &self,
        subject: &[u8],
        decided: &[Append],
        now: u64,
        stored: &mut impl FnMut(&Item) -> Result<Option<StoredMessage>, AppendError>,
    ) -> Result<Option<StoredMessage>, AppendError> {
        let staged = self.subjects.get(subject);
        if let Some(staged) = staged
            && let Some(append) = staged.newest.map(|index| &decided[index])
        {
            return Ok(Some(StoredMessage {
                sequence: Sequence(staged.last),
                subject: append.subject.clone(),
                headers: append.headers.clone(),
                payload: append.payload.clone(),
                timestamp: now,
            }));
        }
        let last = Standing::last_of(self, subject);
        match self.log.sequences.get(last) {
            Some(item) => stored(&item),
            None => Ok(None),
        }
    }

    /// Counts an append that was checked as stored.
    fn take(&mut self, append: &Append, index: usize, now: u64) {
        let replaced = self.replaced(&append.subject);
        self.last = append.place.map_or(self.last + 1, |place| place.sequence.0);
        self.last_message_id = append.message_id.clone().unwrap_or_default();
        if let Some(id) = &append.message_id
            && nanos(self.log.config.duplicate_window) > 0
        {
            self.ids.insert(id.clone(), (self.last, now));
        }
        if append.no_store {
            return;
        }
        let (headers, payload) = (append.headers.len(), append.payload.len());
        let config = &self.log.config;
        let size = config.record_bytes(append.subject.len(), headers, payload);
        match append.rollup {
            Some(Rollup::All) => self.clear(),
            Some(Rollup::Subject) => self.clear_subject(&append.subject),
            None => {
                if let Some(freed) = replaced {
                    self.eat(&append.subject, freed);
                }
            }
        }
        let last = self.last;
        let staged = self.staged(&append.subject);
        staged.added.push_back((last, size));
        staged.last = last;
        staged.newest = Some(index);
        self.messages += 1;
        self.bytes += size;
    }

    fn clear(&mut self) {
        self.subjects.clear();
        self.cleared = true;
        self.messages = 0;
        self.bytes = 0;
    }

    fn clear_subject(&mut self, subject: &Bytes) {
        let (held, count) = (self.held(subject), self.count(subject));
        let eaten = self.staged(subject).eaten;
        if held > eaten {
            self.bytes -= self.log.sizes_of(subject, eaten).sum::<u64>();
        }
        let staged = self.staged(subject);
        let added: u64 = staged.added.drain(..).map(|(_, size)| size).sum();
        staged.eaten = held;
        self.bytes -= added;
        self.messages -= count;
    }

    /// The oldest message of a subject makes room.
    fn eat(&mut self, subject: &Bytes, freed: u64) {
        let held = self.held(subject);
        let staged = self.staged(subject);
        if staged.eaten < held {
            staged.eaten += 1;
        } else {
            staged.added.pop_front();
        }
        self.messages -= 1;
        self.bytes -= freed;
    }

    fn staged(&mut self, subject: &Bytes) -> &mut Staged {
        let last = Standing::last_of(self, subject);
        self.subjects
            .entry(subject.clone())
            .or_insert_with(|| Staged {
                last,
                ..Staged::default()
            })
    }

    /// Messages of a subject that the log holds.
    fn held(&self, subject: &[u8]) -> u64 {
        if self.cleared {
            return 0;
        }
        let held = self.log.subjects.by_name(subject);
        held.map_or(0, |subject| subject.count)
    }

    fn count(&self, subject: &[u8]) -> u64 {
        let held = self.held(subject);
        let staged = self.subjects.get(subject);
        staged.map_or(held, |staged| {
            held - staged.eaten + staged.added.len() as u64
        })
    }
}

impl Standing for Trial<'_> {
    fn last(&self) -> u64 {
        self.last
    }

    fn messages(&self) -> u64 {
        self.messages
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn last_message_id(&self) -> &[u8] {
        &self.last_message_id
    }

    fn last_of(&self, subject: &[u8]) -> u64 {
        match self.subjects.get(subject) {
            Some(staged) => staged.last,
            None if self.cleared => 0,
            None => self.log.last_of(subject),
        }
    }

    fn last_matching(&self, filter: &SubjectPattern) -> u64 {
        let staged = self.subjects.iter();
        let staged = staged.filter(|(subject, _)| filter.matches(subject));
        let staged = staged.map(|(_, staged)| staged.last).max();
        let stored = (!self.cleared).then(|| Standing::last_matching(self.log, filter));
        staged.max(stored).unwrap_or(0)
    }

    fn find_id(&self, id: &[u8], after: u64) -> Option<(u64, u64)> {
        let staged = self.ids.get(id).copied();
        staged.or_else(|| self.log.duplicates.find(id, after))
    }

    fn replaced(&self, subject: &[u8]) -> Option<u64> {
        let limit = self.log.config.messages_per_subject_max?;
        if self.count(subject) < limit {
            return None;
        }
        let staged = self.subjects.get(subject);
        let eaten = staged.map_or(0, |staged| staged.eaten);
        if eaten < self.held(subject) {
            let id = self.log.subjects.find(subject)?;
            let oldest = self.log.subjects.nth(id, eaten)?;
            let item = self.log.sequences.get(oldest);
            return item.map(|item| u64::from(item.size));
        }
        staged.and_then(|staged| staged.added.front().map(|(_, size)| *size))
    }
}
