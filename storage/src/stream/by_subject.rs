//! The subjects a stream holds: last message and count of each, and all sequences where a
//! per-subject limit needs them. Lives in memory; rebuilt when the stream opens.

use std::collections::VecDeque;
use std::hash::BuildHasher;

use bytes::Bytes;
use hashbrown::{DefaultHashBuilder, HashMap, HashTable};

use super::SubjectPattern;

/// One subject.
#[derive(Debug, Default)]
pub(super) struct Subject {
    pub(super) name: Bytes,
    /// Newest message.
    pub(super) last: u64,
    /// Messages held; 0 marks a free place.
    pub(super) count: u64,
    /// All its messages, where the table keeps them. Boxed: most tables do not, and a million
    /// subjects would carry 24 bytes each for nothing.
    #[allow(clippy::box_collection, reason = "size of the common case")]
    sequences: Option<Box<VecDeque<u64>>>,
}

/// Decides about subjects by their numbers, looking at each name once at most.
#[derive(Debug)]
pub(super) enum Matcher<'a> {
    /// Every subject.
    All,
    /// One, if there is such a subject.
    One(Option<u32>),
    /// Those that match one of the filters.
    Some {
        filters: &'a [SubjectPattern],
        known: HashMap<u32, bool>,
    },
}

impl Matcher<'_> {
    /// Whether no subject can match.
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::One(None))
    }

    pub(super) fn matches(&mut self, table: &SubjectTable, subject: u32) -> bool {
        match self {
            Self::All => true,
            Self::One(one) => *one == Some(subject),
            Self::Some { filters, known } => *known.entry(subject).or_insert_with(|| {
                let name = &table.subject(subject).name;
                filters.iter().any(|filter| filter.matches(name))
            }),
        }
    }
}

/// All subjects of one stream, numbered.
#[derive(Debug, Default)]
pub(super) struct SubjectTable {
    subjects: Vec<Subject>,
    free: Vec<u32>,
    by_name: HashTable<u32>,
    hasher: DefaultHashBuilder,
    /// Whether the sequences of each subject are kept: a limit above one needs them.
    keeps_sequences: bool,
}

impl SubjectTable {
    /// `limit` is the stream's limit of messages per subject.
    pub(super) fn new(limit: Option<u64>) -> Self {
        Self {
            keeps_sequences: limit.is_some_and(|limit| limit > 1),
            ..Self::default()
        }
    }

    /// Number of distinct subjects.
    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    pub(super) fn find(&self, name: &[u8]) -> Option<u32> {
        let hash = self.hasher.hash_one(name);
        let found = self
            .by_name
            .find(hash, |id| self.subjects[*id as usize].name == name);
        found.copied()
    }

    pub(super) fn subject(&self, id: u32) -> &Subject {
        &self.subjects[id as usize]
    }

    pub(super) fn by_name(&self, name: &[u8]) -> Option<&Subject> {
        self.find(name).map(|id| self.subject(id))
    }

    /// Counts a new message; returns the number of its subject and its last message before.
    pub(super) fn add(&mut self, name: &[u8], sequence: u64) -> (u32, u64) {
        let id = self.find(name).unwrap_or_else(|| self.insert(name));
        let subject = &mut self.subjects[id as usize];
        let previous = std::mem::replace(&mut subject.last, sequence);
        subject.count += 1;
        if self.keeps_sequences {
            subject
                .sequences
                .get_or_insert_default()
                .push_back(sequence);
        }
        (id, previous)
    }

    /// Oldest message of a subject, where it is known without a search: the table keeps
    /// sequences, or there is only one.
    pub(super) fn oldest(&self, id: u32) -> Option<u64> {
        self.nth(id, 0)
    }

    /// The message of a subject after its `skip` oldest, where it is known without a search.
    pub(super) fn nth(&self, id: u32, skip: u64) -> Option<u64> {
        let subject = self.subject(id);
        match &subject.sequences {
            Some(sequences) => sequences.get(usize::try_from(skip).ok()?).copied(),
            None => (subject.count == 1 && skip == 0).then_some(subject.last),
        }
    }

    /// Forgets a message. `previous` finds the newest message of the subject below a sequence; it
    /// is asked only when the newest one goes and sequences are not kept.
    pub(super) fn remove(&mut self, id: u32, sequence: u64, previous: impl FnOnce() -> u64) {
        let subject = &mut self.subjects[id as usize];
        subject.count -= 1;
        if subject.count == 0 {
            self.release(id);
            return;
        }
        if let Some(sequences) = &mut subject.sequences
            && let Ok(at) = sequences.binary_search(&sequence)
        {
            sequences.remove(at);
        }
        if subject.last == sequence {
            let kept = subject.sequences.as_ref().and_then(|s| s.back().copied());
            subject.last = kept.unwrap_or_else(previous);
        }
    }

    /// Decides which of the subjects match one of these filters; none = all.
    pub(super) fn matcher<'a>(&self, filters: &'a [SubjectPattern]) -> Matcher<'a> {
        if filters.is_empty() || filters.iter().any(SubjectPattern::is_all) {
            return Matcher::All;
        }
        if let [filter] = filters
            && let Some(name) = filter.as_literal()
        {
            return Matcher::One(self.find(name));
        }
        Matcher::Some {
            filters,
            known: HashMap::new(),
        }
    }

    /// All subjects that match, in no order.
    pub(super) fn matching<'a>(
        &'a self,
        filter: Option<&'a SubjectPattern>,
    ) -> impl Iterator<Item = (u32, &'a Subject)> + 'a {
        let literal = filter.and_then(SubjectPattern::as_literal);
        let one = literal.and_then(|name| self.find(name));
        let all = literal.is_none().then(|| self.subjects.iter().enumerate());
        let all = all
            .into_iter()
            .flatten()
            .map(|(id, subject)| (id as u32, subject));
        one.map(|id| (id, self.subject(id)))
            .into_iter()
            .chain(all)
            .filter(move |(_, subject)| {
                subject.count > 0 && filter.is_none_or(|filter| filter.matches(&subject.name))
            })
    }

    /// All subjects that match one of these filters, in no order; none = all. Filters that
    /// overlap may give a subject twice.
    pub(super) fn matching_any<'a>(
        &'a self,
        filters: &'a [SubjectPattern],
    ) -> impl Iterator<Item = (u32, &'a Subject)> + 'a {
        let all = filters.is_empty().then(|| self.matching(None));
        let some = filters
            .iter()
            .flat_map(|filter| self.matching(Some(filter)));
        all.into_iter().flatten().chain(some)
    }

    fn insert(&mut self, name: &[u8]) -> u32 {
        let subject = Subject {
            name: Bytes::copy_from_slice(name),
            ..Subject::default()
        };
        let id = match self.free.pop() {
            Some(id) => {
                self.subjects[id as usize] = subject;
                id
            }
            None => {
                self.subjects.push(subject);
                (self.subjects.len() - 1) as u32
            }
        };
        let (subjects, hasher) = (&self.subjects, &self.hasher);
        let hash = |id: &u32| hasher.hash_one(&subjects[*id as usize].name[..]);
        self.by_name.insert_unique(hash(&id), id, hash);
        id
    }

    fn release(&mut self, id: u32) {
        let subject = std::mem::take(&mut self.subjects[id as usize]);
        let hash = self.hasher.hash_one(&subject.name[..]);
        if let Ok(found) = self.by_name.find_entry(hash, |other| *other == id) {
            found.remove();
        }
        self.free.push(id);
    }
}
