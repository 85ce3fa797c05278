//! The machine's state as it is kept in the stream's file.

use serde::{Deserialize, Serialize};
use storage::stream::{Cursor, Pending as StoredPending, Sequence};

use super::machine::{Machine, Position};
use super::pending::Entry;
use super::rules::Nanos;

/// What storage has no column for.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Extra {
    /// Messages that were given up, with their deliveries.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    exhausted: Vec<(u64, u32)>,
    delivered_at: Nanos,
    acknowledged_at: Nanos,
}

impl Machine {
    /// What must survive a restart.
    pub(crate) fn to_cursor(&self) -> Cursor {
        let extra = Extra {
            exhausted: self.exhausted.iter().map(|(s, n)| (*s, *n)).collect(),
            delivered_at: self.delivered.last_active,
            acknowledged_at: self.ack_floor.last_active,
        };
        let data = serde_json::to_vec(&extra).expect("numbers are plain data");
        let stored = |entry: &Entry| StoredPending {
            sequence: Sequence(entry.sequence),
            consumer_sequence: entry.consumer_sequence,
            deliveries: entry.deliveries,
            delivered_at: entry.delivered_at,
        };
        Cursor {
            ack_floor: Sequence(self.ack_floor.stream),
            ack_floor_consumer: self.ack_floor.consumer,
            delivered: Sequence(self.delivered.stream),
            delivered_consumer: self.delivered.consumer,
            pending: self.pending.iter().map(stored).collect(),
            data: data.into(),
        }
    }

    /// Goes on where a cursor was saved. What was pending comes again when its time is over, counted from its delivery.
    pub(crate) fn restore(&mut self, cursor: &Cursor) {
        // Bytes of another version say nothing about what was given up; all that follows is that it may come again.
        let extra: Extra = serde_json::from_slice(&cursor.data).unwrap_or_default();
        self.delivered = Position {
            consumer: cursor.delivered_consumer,
            stream: cursor.delivered.0,
            last_active: extra.delivered_at,
        };
        self.ack_floor = Position {
            consumer: cursor.ack_floor_consumer,
            stream: cursor.ack_floor.0,
            last_active: extra.acknowledged_at,
        };
        self.exhausted = extra.exhausted.into_iter().collect();
        for stored in &cursor.pending {
            let wait = self.rules.ack_wait_of(stored.deliveries);
            let entry = Entry::new(
                stored.sequence.0,
                stored.consumer_sequence,
                stored.delivered_at,
                wait,
            );
            self.pending.restore(entry, stored.deliveries);
        }
    }

    /// Forgets everything and begins at `start`, with consumer sequence 1.
    pub(crate) fn reset(&mut self, start: u64) {
        let before = Position {
            stream: start.saturating_sub(1),
            ..Position::default()
        };
        self.delivered = before;
        self.ack_floor = before;
        self.pending.clear();
        self.exhausted.clear();
        self.effects.is_dirty = true;
    }
}
