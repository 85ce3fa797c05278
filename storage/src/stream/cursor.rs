//! Where a durable consumer stands, kept in the stream's own file.

use bytes::Bytes;

use super::Sequence;

/// State of one durable consumer. Saving replaces what was saved before, as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Everything up to this stream sequence is acknowledged.
    pub ack_floor: Sequence,
    /// Consumer sequence that belongs to `ack_floor`.
    pub ack_floor_consumer: u64,
    /// Last stream sequence delivered.
    pub delivered: Sequence,
    /// Last consumer sequence given out.
    pub delivered_consumer: u64,
    /// Delivered and not yet acknowledged, by sequence.
    pub pending: Vec<Pending>,
    /// The owner's own bytes, such as the consumer's configuration.
    pub data: Bytes,
}

impl Cursor {
    /// Bytes it takes in its row, about.
    pub(super) fn len_bytes(&self) -> usize {
        self.data.len() + self.pending.len() * 28
    }
}

/// One delivered message that waits for its acknowledgement.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pending {
    /// Its stream sequence.
    pub sequence: Sequence,
    /// Its consumer sequence of the last delivery.
    pub consumer_sequence: u64,
    /// How often it was delivered.
    pub deliveries: u32,
    /// Last delivery, unix nanoseconds.
    pub delivered_at: u64,
}

/// A consumer as it is stored in its stream's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredConsumer {
    /// Its name.
    pub name: String,
    /// The owner's own bytes, such as the consumer's configuration.
    pub owner: Bytes,
    /// Its saved state, if any was saved.
    pub cursor: Option<Cursor>,
}
