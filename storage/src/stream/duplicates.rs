//! Message ids seen within the duplicate window.

use std::collections::VecDeque;

use bytes::Bytes;
use hashbrown::HashMap;

/// Memory for remembered ids of one stream. Beyond it the oldest are forgotten early.
const IDS_BYTES_MAX: usize = 64 * 1024 * 1024;
/// What an id costs beside its own bytes.
const ID_OVERHEAD_BYTES: usize = 120;

#[derive(Debug, Default)]
pub(super) struct Duplicates {
    by_id: HashMap<Bytes, (u64, u64)>,
    /// Oldest first.
    order: VecDeque<(u64, Bytes)>,
    bytes: usize,
}

impl Duplicates {
    /// Sequence and time of the message that had this id first.
    pub(super) fn find(&self, id: &[u8], after: u64) -> Option<(u64, u64)> {
        self.by_id
            .get(id)
            .copied()
            .filter(|(_, timestamp)| *timestamp > after)
    }

    pub(super) fn remember(&mut self, id: &[u8], sequence: u64, timestamp: u64) {
        let id = Bytes::copy_from_slice(id);
        self.bytes += id.len() + ID_OVERHEAD_BYTES;
        self.order.push_back((timestamp, id.clone()));
        self.by_id.insert(id, (sequence, timestamp));
        while self.bytes > IDS_BYTES_MAX {
            self.forget_oldest();
        }
    }

    /// Drops what was seen at or before a time.
    pub(super) fn forget(&mut self, until: u64) {
        while self
            .order
            .front()
            .is_some_and(|(timestamp, _)| *timestamp <= until)
        {
            self.forget_oldest();
        }
        if self.order.is_empty() && self.by_id.capacity() > 0 {
            *self = Self::default();
        }
    }

    /// Time of the oldest id.
    pub(super) fn oldest(&self) -> Option<u64> {
        self.order.front().map(|(timestamp, _)| *timestamp)
    }

    fn forget_oldest(&mut self) {
        let Some((timestamp, id)) = self.order.pop_front() else {
            return;
        };
        self.bytes -= id.len() + ID_OVERHEAD_BYTES;
        if self
            .by_id
            .get(&id)
            .is_some_and(|(_, newest)| *newest == timestamp)
        {
            self.by_id.remove(&id);
        }
    }
}
