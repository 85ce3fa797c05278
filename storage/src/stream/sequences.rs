//! Which sequences a stream holds, and of each its subject, size and time: 24 bytes a message.
//!
//! Entries lie in segments ordered by sequence. Removing from the front, which is what retention
//! does most, shifts nothing.

use std::collections::VecDeque;

/// Entries of one segment at most; also the most that one removal in the middle shifts.
const SEGMENT_ENTRIES_MAX: usize = 1024;

/// One message as the index knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) sequence: u64,
    /// First sequence of the block it is stored in.
    pub(super) block: u64,
    /// Number of its subject in the subject table.
    pub(super) subject: u32,
    /// What it counts towards `bytes_max`.
    pub(super) size: u32,
    pub(super) timestamp: u64,
}

/// All messages a stream holds.
#[derive(Debug, Default)]
pub(super) struct Sequences {
    segments: VecDeque<Segment>,
}

#[derive(Debug)]
struct Segment {
    base: u64,
    entries: VecDeque<Packed>,
}

#[derive(Debug, Clone, Copy)]
struct Packed {
    /// Sequence minus the segment's base.
    offset: u32,
    /// Sequence minus the block's first sequence.
    lead: u32,
    subject: u32,
    size: u32,
    /// High and low half: a u64 would pad the entry to 24 bytes and more.
    timestamp: [u32; 2],
}

impl Segment {
    fn item(&self, packed: &Packed) -> Item {
        let sequence = self.base + u64::from(packed.offset);
        Item {
            sequence,
            block: sequence - u64::from(packed.lead),
            subject: packed.subject,
            size: packed.size,
            timestamp: (u64::from(packed.timestamp[0]) << 32) | u64::from(packed.timestamp[1]),
        }
    }

    fn position(&self, sequence: u64) -> usize {
        let Some(offset) = sequence.checked_sub(self.base) else {
            return 0;
        };
        self.entries
            .partition_point(|entry| u64::from(entry.offset) < offset)
    }
}

impl Sequences {
    /// Adds the newest message.
    pub(super) fn push(&mut self, item: Item) {
        let fits = |segment: &&mut Segment| {
            segment.entries.len() < SEGMENT_ENTRIES_MAX
                && item.sequence - segment.base <= u64::from(u32::MAX)
        };
        let packed = |base: u64| Packed {
            offset: (item.sequence - base) as u32,
            lead: (item.sequence - item.block) as u32,
            subject: item.subject,
            size: item.size,
            timestamp: [(item.timestamp >> 32) as u32, item.timestamp as u32],
        };
        if let Some(segment) = self.segments.back_mut().filter(fits) {
            segment.entries.push_back(packed(segment.base));
            return;
        }
        let entries = VecDeque::from([packed(item.sequence)]);
        self.segments.push_back(Segment {
            base: item.sequence,
            entries,
        });
    }

    /// The message of that sequence.
    pub(super) fn get(&self, sequence: u64) -> Option<Item> {
        let segment = self.segments.get(self.segment_of(sequence)?)?;
        let entry = segment.entries.get(segment.position(sequence))?;
        Some(segment.item(entry)).filter(|item| item.sequence == sequence)
    }

    /// Takes a message out.
    pub(super) fn remove(&mut self, sequence: u64) -> Option<Item> {
        let at = self.segment_of(sequence)?;
        let segment = &mut self.segments[at];
        let position = segment.position(sequence);
        let item = segment.item(segment.entries.get(position)?);
        if item.sequence != sequence {
            return None;
        }
        segment.entries.remove(position);
        if segment.entries.is_empty() {
            self.segments.remove(at);
        } else {
            self.tidy(at);
        }
        Some(item)
    }

    /// The oldest message.
    pub(super) fn first(&self) -> Option<Item> {
        let segment = self.segments.front()?;
        segment.entries.front().map(|entry| segment.item(entry))
    }

    /// Messages from `from` on, oldest first.
    pub(super) fn iter_from(&self, from: u64) -> impl Iterator<Item = Item> + '_ {
        let at = self
            .segments
            .partition_point(|segment| segment.base <= from)
            .saturating_sub(1);
        self.segments.range(at..).flat_map(move |segment| {
            let start = segment.position(from);
            segment
                .entries
                .range(start..)
                .map(|entry| segment.item(entry))
        })
    }

    /// How many messages there are from `from` on.
    pub(super) fn count_from(&self, from: u64) -> u64 {
        let at = self
            .segments
            .partition_point(|segment| segment.base <= from)
            .saturating_sub(1);
        let counted = self.segments.range(at..).map(|segment| {
            let before = segment.position(from);
            (segment.entries.len() - before) as u64
        });
        counted.sum()
    }

    /// The first message at or after a time, where times are in order.
    pub(super) fn first_at(&self, timestamp: u64) -> Option<Item> {
        let ended = |segment: &Segment| {
            let last = segment.entries.back();
            last.is_none_or(|entry| segment.item(entry).timestamp < timestamp)
        };
        let segment = self.segments.get(self.segments.partition_point(ended))?;
        let earlier = |entry: &Packed| segment.item(entry).timestamp < timestamp;
        let at = segment.entries.partition_point(earlier);
        segment.entries.get(at).map(|entry| segment.item(entry))
    }

    /// Messages below `below`, newest first.
    pub(super) fn iter_below(&self, below: u64) -> impl Iterator<Item = Item> + '_ {
        let end = self
            .segments
            .partition_point(|segment| segment.base < below);
        self.segments.range(..end).rev().flat_map(move |segment| {
            let end = segment.position(below);
            segment
                .entries
                .range(..end)
                .rev()
                .map(|entry| segment.item(entry))
        })
    }

    /// What is left of a block.
    pub(super) fn of_block(&self, block: u64) -> impl Iterator<Item = u64> + '_ {
        self.iter_from(block)
            .take_while(move |item| item.block == block)
            .map(|item| item.sequence)
    }

    fn segment_of(&self, sequence: u64) -> Option<usize> {
        self.segments
            .partition_point(|segment| segment.base <= sequence)
            .checked_sub(1)
    }

    /// Gives memory back where most of a segment is gone, and joins small neighbours.
    fn tidy(&mut self, at: usize) {
        let segment = &mut self.segments[at];
        let len = segment.entries.len();
        if segment.entries.capacity() > 64 && len * 4 < segment.entries.capacity() {
            segment.entries.shrink_to(len * 2);
        }
        let Some(next) = self.segments.get(at + 1) else {
            return;
        };
        let (this, span) = (&self.segments[at], next.entries.back());
        let reach = next.base + u64::from(span.map_or(0, |entry| entry.offset)) - this.base;
        if this.entries.len() + next.entries.len() > SEGMENT_ENTRIES_MAX / 4
            || reach > u64::from(u32::MAX)
        {
            return;
        }
        let shift = (next.base - this.base) as u32;
        let Some(next) = self.segments.remove(at + 1) else {
            return;
        };
        let moved = next.entries.into_iter().map(|mut entry| {
            entry.offset += shift;
            entry
        });
        self.segments[at].entries.extend(moved);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn item(sequence: u64) -> Item {
        Item {
            sequence,
            block: sequence - sequence % 7,
            subject: (sequence % 5) as u32,
            size: 30,
            timestamp: sequence << 33 | 5,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn behaves_like_a_map(
            steps in proptest::collection::vec(1..4_u64, 1..5000),
            removed in proptest::collection::vec(any::<prop::sample::Index>(), 0..4000),
            from in any::<prop::sample::Index>(),
        ) {
            let mut model = BTreeMap::new();
            let mut sequences = Sequences::default();
            let mut sequence = 0;
            for step in &steps {
                sequence += step;
                model.insert(sequence, item(sequence));
                sequences.push(item(sequence));
            }
            for index in removed {
                let sequence = index.index(sequence as usize + 2) as u64;
                prop_assert_eq!(sequences.remove(sequence), model.remove(&sequence));
            }
            let from = from.index(sequence as usize + 2) as u64;
            prop_assert_eq!(sequences.first(), model.values().next().copied());
            prop_assert_eq!(sequences.get(from), model.get(&from).copied());
            prop_assert_eq!(sequences.count_from(from), model.range(from..).count() as u64);
            let at = from << 33;
            let found = model.values().find(|item| item.timestamp >= at).copied();
            prop_assert_eq!(sequences.first_at(at), found);
            prop_assert!(sequences.iter_from(from).eq(model.range(from..).map(|(_, i)| *i)));
            prop_assert!(sequences.iter_below(from).eq(model.range(..from).rev().map(|(_, i)| *i)));
        }
    }
}
