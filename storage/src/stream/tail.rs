//! The newest blocks, kept in memory for the readers that follow a stream closely.

use std::collections::VecDeque;

use bytes::Bytes;

/// Memory for recent blocks of one stream. An idle stream gives it back.
const TAIL_BYTES_MAX: usize = 1024 * 1024;

#[derive(Debug, Default)]
pub(super) struct Tail {
    blocks: VecDeque<(u64, Bytes)>,
    bytes: usize,
}

impl Tail {
    pub(super) fn push(&mut self, key: u64, records: Bytes) {
        if records.len() > TAIL_BYTES_MAX {
            self.clear();
            return;
        }
        self.bytes += records.len();
        self.blocks.push_back((key, records));
        while self.bytes > TAIL_BYTES_MAX {
            if let Some((_, oldest)) = self.blocks.pop_front() {
                self.bytes -= oldest.len();
            }
        }
    }

    /// The records of a block. They may hold messages that were removed since.
    pub(super) fn get(&self, key: u64) -> Option<Bytes> {
        let at = self
            .blocks
            .binary_search_by_key(&key, |(key, _)| *key)
            .ok()?;
        self.blocks.get(at).map(|(_, records)| records.clone())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}
