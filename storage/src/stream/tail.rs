//! Blocks kept in memory: the newest ones for the readers that follow a stream closely, and those
//! that were read from the file for the readers that come through it next.
//!
//! What is kept of a block may hold messages that were removed since; the index tells.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use hashbrown::HashMap;

/// Memory for the newest blocks of one stream: a reader may be so far behind without reading the
/// file. An idle stream gives it back.
const NEWEST_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Memory for blocks of one stream that were read from its file.
const READ_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Memory for all streams of the process; beyond it each keeps only a little.
const ALL_BYTES_MAX: usize = 256 * 1024 * 1024;
/// That little.
const SCARCE_BYTES_MAX: usize = 256 * 1024;
/// What a block costs beside its bytes.
const OVERHEAD_BYTES: usize = 96;

static ALL_BYTES: AtomicUsize = AtomicUsize::new(0);

#[derive(Debug, Default)]
pub(super) struct Tail {
    newest: VecDeque<(u64, Bytes)>,
    newest_bytes: Counted,
    read: HashMap<u64, Bytes>,
    read_order: VecDeque<u64>,
    read_bytes: Counted,
}

impl Tail {
    /// Keeps a block that was just committed.
    pub(super) fn push(&mut self, key: u64, records: Bytes) {
        self.newest_bytes.add(records.len());
        self.newest.push_back((key, records));
        while self.newest_bytes.over(NEWEST_BYTES_MAX) {
            if let Some((_, oldest)) = self.newest.pop_front() {
                self.newest_bytes.subtract(oldest.len());
            }
        }
    }

    /// Keeps a block that was read from the file.
    pub(super) fn insert(&mut self, key: u64, records: Bytes) {
        self.read_bytes.add(records.len());
        match self.read.insert(key, records) {
            Some(before) => self.read_bytes.subtract(before.len()),
            None => self.read_order.push_back(key),
        }
        while self.read_bytes.over(READ_BYTES_MAX) {
            let oldest = self.read_order.pop_front();
            if let Some(oldest) = oldest.and_then(|oldest| self.read.remove(&oldest)) {
                self.read_bytes.subtract(oldest.len());
            }
        }
    }

    /// The records of a block.
    pub(super) fn get(&self, key: u64) -> Option<Bytes> {
        let newest = self.newest.binary_search_by_key(&key, |(key, _)| *key);
        match newest {
            Ok(at) => self.newest.get(at).map(|(_, records)| records.clone()),
            Err(_) => self.read.get(&key).cloned(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.newest.is_empty() && self.read.is_empty()
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// Bytes that count for the stream and for the process.
#[derive(Debug, Default)]
struct Counted(usize);

impl Counted {
    fn add(&mut self, len: usize) {
        self.0 += len + OVERHEAD_BYTES;
        ALL_BYTES.fetch_add(len + OVERHEAD_BYTES, Ordering::Relaxed);
    }

    fn subtract(&mut self, len: usize) {
        self.0 -= len + OVERHEAD_BYTES;
        ALL_BYTES.fetch_sub(len + OVERHEAD_BYTES, Ordering::Relaxed);
    }

    fn over(&self, max: usize) -> bool {
        let scarce = ALL_BYTES.load(Ordering::Relaxed) > ALL_BYTES_MAX;
        self.0 > if scarce { SCARCE_BYTES_MAX } else { max }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        ALL_BYTES.fetch_sub(self.0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_blocks_go_first() {
        let mut tail = Tail::default();
        let block = Bytes::from(vec![0; NEWEST_BYTES_MAX / 4]);
        for key in 1..=4 {
            tail.push(key, block.clone());
        }
        assert_eq!(tail.get(1), None);
        assert!(tail.get(2).is_some());
        tail.push(5, Bytes::from(vec![0; NEWEST_BYTES_MAX + 1]));
        assert!(tail.get(4).is_none() && tail.get(5).is_none());
    }

    #[test]
    fn blocks_that_were_read_have_a_place_of_their_own() {
        let mut tail = Tail::default();
        let block = Bytes::from(vec![0; READ_BYTES_MAX / 4]);
        tail.push(9, Bytes::from_static(b"newest"));
        for key in [3, 3, 1, 2, 4] {
            tail.insert(key, block.clone());
        }
        assert!(tail.get(9).is_some() && tail.get(4).is_some());
        assert_eq!(tail.get(3), None);
    }
}
