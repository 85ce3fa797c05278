//! The readers of a stream: where each stands, and how much of what it wants is still ahead.
//!
//! The index tells them of every commit and every removal, so nobody ever counts again. A list
//! of matching readers is kept per subject: of a thousand readers with filters only those that
//! match a message cost anything when it is committed.

use std::collections::VecDeque;
use std::sync::Arc;

use hashbrown::HashMap;
use tokio::sync::Notify;

use super::super::SubjectPattern;
use super::super::sequences::Item;
use super::Log;

/// Index entries that are looked at in one go, so that the writer is not kept waiting by a reader
/// whose messages lie far apart.
const LOOK_AT_MAX: usize = 50_000;

/// Names a reader of one stream; never used twice.
pub(in crate::stream) type ReaderId = u32;

/// All readers of one stream.
#[derive(Debug, Default)]
pub(in crate::stream) struct Readers {
    by_id: HashMap<ReaderId, State>,
    last_id: ReaderId,
    /// Those that want every subject.
    of_all: Vec<ReaderId>,
    /// The others by subject number, sorted; a subject that was not met yet is missing.
    of_subject: HashMap<u32, Vec<ReaderId>>,
    /// Those that were counted anew since they were told last.
    untold: Vec<ReaderId>,
}

#[derive(Debug)]
struct State {
    wants: Wants,
    /// Everything below was read or is not wanted, except for `initial`.
    position: u64,
    /// Committed messages that match, from the position on.
    pending: u64,
    initial: Initial,
    changed: Arc<Notify>,
    /// Its owner has still to be told of a change.
    untold: bool,
}

/// The newest messages of their subjects, with which a reader may begin.
#[derive(Debug, Default)]
struct Initial {
    ahead: VecDeque<u64>,
    /// Of the messages up to this one they are the newest.
    up_to: u64,
    read: u64,
}

/// Which subjects a reader wants.
#[derive(Debug)]
enum Wants {
    All,
    Some(Vec<SubjectPattern>),
}

impl Wants {
    fn matches(&self, subject: &[u8]) -> bool {
        match self {
            Self::All => true,
            Self::Some(filters) => filters.iter().any(|filter| filter.matches(subject)),
        }
    }

    fn filters(&self) -> &[SubjectPattern] {
        match self {
            Self::All => &[],
            Self::Some(filters) => filters,
        }
    }
}

/// How a reader looks at the index: what is next, and whether that was all.
#[derive(Debug, Default)]
pub(in crate::stream) struct Step {
    pub(in crate::stream) items: Vec<Item>,
    /// The end of the stream or a limit was reached: there is no use in looking again.
    pub(in crate::stream) done: bool,
}

impl Log {
    /// Adds a reader at a position.
    pub(in crate::stream) fn add_reader(
        &mut self,
        filters: Vec<SubjectPattern>,
        position: u64,
        changed: Arc<Notify>,
    ) -> ReaderId {
        let pending = self.count(position, &filters);
        let initial = Initial::default();
        self.insert_reader(filters, position, pending, initial, changed)
    }

    /// Adds a reader that begins with the newest message of every subject it wants.
    pub(in crate::stream) fn add_reader_of_lasts(
        &mut self,
        filters: Vec<SubjectPattern>,
        changed: Arc<Notify>,
    ) -> ReaderId {
        let up_to = self.committed;
        let lasts = self.lasts_up_to(&filters, up_to);
        let initial = Initial {
            ahead: lasts.iter().map(|item| item.sequence).collect(),
            up_to,
            read: 0,
        };
        self.insert_reader(filters, up_to + 1, 0, initial, changed)
    }

    fn insert_reader(
        &mut self,
        filters: Vec<SubjectPattern>,
        position: u64,
        pending: u64,
        initial: Initial,
        changed: Arc<Notify>,
    ) -> ReaderId {
        let all = filters.is_empty() || filters.iter().any(SubjectPattern::is_all);
        let state = State {
            wants: if all {
                Wants::All
            } else {
                Wants::Some(filters)
            },
            position,
            pending,
            initial,
            changed,
            untold: false,
        };
        let readers = &mut self.readers;
        readers.last_id += 1;
        let id = readers.last_id;
        if all {
            readers.of_all.push(id);
        } else {
            // Subjects that were met already learn of the new reader; its id is the largest.
            for (subject, met) in &mut readers.of_subject {
                if state.wants.matches(&self.subjects.subject(*subject).name) {
                    met.push(id);
                }
            }
        }
        readers.by_id.insert(id, state);
        id
    }

    pub(in crate::stream) fn remove_reader(&mut self, id: ReaderId) {
        let Some(state) = self.readers.by_id.remove(&id) else {
            return;
        };
        self.readers.of_all.retain(|other| *other != id);
        if matches!(state.wants, Wants::Some(_)) {
            let readers = &mut self.readers;
            if readers.by_id.len() == readers.of_all.len() {
                readers.of_subject = HashMap::new();
            }
            // Elsewhere the id is taken out when it is met.
        }
    }

    /// Takes over the readers of an index that this one replaces.
    pub(in crate::stream) fn adopt_readers(&mut self, old: &mut Self) {
        let mut readers = std::mem::take(&mut old.readers);
        readers.of_subject = HashMap::new();
        readers.untold = Vec::new();
        for state in readers.by_id.values_mut() {
            state.untold = false;
            let filters = state.wants.filters();
            state.pending = self.count(state.position, filters);
            let Initial { ahead, up_to, read } = &mut state.initial;
            if !ahead.is_empty() {
                let lasts = self.lasts_up_to(filters, *up_to);
                let lasts = lasts.iter().map(|item| item.sequence);
                *ahead = lasts.filter(|sequence| sequence > read).collect();
            }
            state.changed.notify_one();
        }
        self.readers = readers;
    }

    /// Shows everything up to a sequence to readers.
    pub(in crate::stream) fn publish(&mut self, last: u64) {
        let before = std::mem::replace(&mut self.committed, last);
        if self.readers.by_id.is_empty() {
            return;
        }
        let mut new = 0;
        for item in self.sequences.iter_from(before + 1) {
            if item.sequence > last {
                break;
            }
            new += 1;
            self.readers
                .count_filtered(&item, &self.subjects.subject(item.subject).name);
        }
        if new > 0 {
            self.count_all(before, last, new);
        }
        self.readers.tell();
    }

    /// Counts `new` messages in `before + 1 ..= last` for the readers that want all subjects.
    fn count_all(&mut self, before: u64, last: u64, new: u64) {
        for id in &self.readers.of_all {
            let Some(state) = self.readers.by_id.get_mut(id) else {
                continue;
            };
            let counted = if state.position <= before + 1 {
                new
            } else {
                let ahead = self.sequences.iter_from(state.position);
                ahead.take_while(|item| item.sequence <= last).count() as u64
            };
            state.pending += counted;
            if counted > 0 {
                state.note(*id, &mut self.readers.untold);
            }
        }
    }

    /// Tells readers of a message that is gone. Its subject must still have its name.
    pub(super) fn tell_of_removal(&mut self, item: &Item) {
        if item.sequence > self.committed || self.readers.by_id.is_empty() {
            return;
        }
        let readers = &mut self.readers;
        readers.meet(item.subject, &self.subjects.subject(item.subject).name);
        let filtered = readers.of_subject.get(&item.subject);
        let matching = readers.of_all.iter().chain(filtered.into_iter().flatten());
        for id in matching {
            if let Some(state) = readers.by_id.get_mut(id)
                && state.forget(item.sequence)
            {
                state.note(*id, &mut readers.untold);
            }
        }
    }

    /// A subject has no message left: its number may go to another one.
    pub(super) fn forget_subject_readers(&mut self, subject: u32) {
        self.readers.of_subject.remove(&subject);
    }

    /// The subjects were numbered anew.
    pub(super) fn forget_met_subjects(&mut self) {
        self.readers.of_subject = HashMap::new();
    }

    /// Wakes all readers: the stream ends.
    pub(in crate::stream) fn tell_all_readers(&mut self) {
        for state in self.readers.by_id.values() {
            state.changed.notify_one();
        }
    }

    /// Committed messages that match and are ahead of a reader.
    pub(in crate::stream) fn pending_of(&self, id: ReaderId) -> u64 {
        let state = self.readers.by_id.get(&id);
        state.map_or(0, |state| state.pending + state.initial.ahead.len() as u64)
    }

    /// The sequence a reader looks at next.
    pub(in crate::stream) fn position_of(&self, id: ReaderId) -> u64 {
        let state = self.readers.by_id.get(&id);
        state.map_or(0, |state| {
            let initial = state.initial.ahead.front();
            initial.copied().unwrap_or(state.position)
        })
    }

    /// Moves a reader over what it wants, as far as `take` likes it. Looks at a bounded part of
    /// the index: ask again while the step is not done.
    pub(in crate::stream) fn step(
        &mut self,
        id: ReaderId,
        mut take: impl FnMut(&Item) -> bool,
    ) -> Step {
        let mut step = Step::default();
        let Some(state) = self.readers.by_id.get_mut(&id) else {
            step.done = true;
            return step;
        };
        while let Some(sequence) = state.initial.ahead.front().copied() {
            // What was removed since is no longer in the list.
            if let Some(item) = self.sequences.get(sequence) {
                if !take(&item) {
                    step.done = true;
                    return step;
                }
                step.items.push(item);
            }
            state.initial.read = sequence;
            state.initial.ahead.pop_front();
        }
        if state.pending == 0 {
            state.position = state.position.max(self.committed + 1);
            step.done = true;
            return step;
        }
        let mut matcher = self.subjects.matcher(state.wants.filters());
        let mut looked_at = 0;
        for item in self.sequences.iter_from(state.position) {
            looked_at += 1;
            if looked_at > LOOK_AT_MAX {
                return step;
            }
            if item.sequence > self.committed || state.pending == 0 {
                break;
            }
            let met = self.readers.of_subject.get(&item.subject);
            let wanted = match (&state.wants, met) {
                (Wants::Some(_), Some(met)) => met.binary_search(&id).is_ok(),
                _ => matcher.matches(&self.subjects, item.subject),
            };
            if wanted {
                if !take(&item) {
                    step.done = true;
                    return step;
                }
                step.items.push(item);
                state.pending -= 1;
            }
            state.position = item.sequence + 1;
        }
        state.position = state.position.max(self.committed + 1);
        step.done = true;
        step
    }
}

impl State {
    /// A committed message that matches was removed; whether it was still ahead.
    fn forget(&mut self, sequence: u64) -> bool {
        if sequence >= self.position {
            self.pending = self.pending.saturating_sub(1);
            return true;
        }
        let initial = self.initial.ahead.binary_search(&sequence);
        initial.is_ok_and(|at| self.initial.ahead.remove(at).is_some())
    }

    /// Remembers that the owner is to be told.
    fn note(&mut self, id: ReaderId, untold: &mut Vec<ReaderId>) {
        if !std::mem::replace(&mut self.untold, true) {
            untold.push(id);
        }
    }
}

impl Readers {
    /// Finds the readers with filters that want a subject, unless they are known.
    fn meet(&mut self, subject: u32, name: &[u8]) {
        if self.by_id.len() == self.of_all.len() || self.of_subject.contains_key(&subject) {
            return;
        }
        let filtered = self.by_id.iter().filter(|(_, state)| match &state.wants {
            Wants::All => false,
            wants @ Wants::Some(_) => wants.matches(name),
        });
        let mut matching: Vec<ReaderId> = filtered.map(|(id, _)| *id).collect();
        matching.sort_unstable();
        self.of_subject.insert(subject, matching);
    }

    /// Counts a message that was committed for the readers with filters.
    fn count_filtered(&mut self, item: &Item, name: &[u8]) {
        if self.by_id.len() == self.of_all.len() {
            return;
        }
        self.meet(item.subject, name);
        let Some(matching) = self.of_subject.get_mut(&item.subject) else {
            return;
        };
        let (by_id, untold) = (&mut self.by_id, &mut self.untold);
        matching.retain(|id| {
            let Some(state) = by_id.get_mut(id) else {
                return false;
            };
            if item.sequence >= state.position {
                state.pending += 1;
                state.note(*id, untold);
            }
            true
        });
    }

    fn tell(&mut self) {
        for id in self.untold.drain(..) {
            if let Some(state) = self.by_id.get_mut(&id) {
                state.untold = false;
                state.changed.notify_one();
            }
        }
    }
}
