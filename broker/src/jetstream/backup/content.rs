//! What a backup says about a stream and its consumers, in JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use storage::stream::{Cursor, Pending, Sequence, StoredConsumer};

use crate::jetstream::owner::Owner;

/// A stream without its messages.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StreamPart {
    pub(super) owner: Owner,
    /// Last sequence ever given out, and when.
    pub(super) last_seq: u64,
    pub(super) last_ts: u64,
}

/// A consumer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ConsumerPart {
    pub(super) name: String,
    /// What the broker keeps about it, in base64.
    owner: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<CursorPart>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct CursorPart {
    ack_floor: u64,
    ack_floor_consumer: u64,
    delivered: u64,
    delivered_consumer: u64,
    /// Sequence, consumer sequence, deliveries, time of the last one.
    pending: Vec<(u64, u64, u32, u64)>,
    data: String,
}

impl From<StoredConsumer> for ConsumerPart {
    fn from(stored: StoredConsumer) -> Self {
        Self {
            name: stored.name,
            owner: STANDARD.encode(&stored.owner),
            cursor: stored.cursor.map(|cursor| CursorPart {
                ack_floor: cursor.ack_floor.0,
                ack_floor_consumer: cursor.ack_floor_consumer,
                delivered: cursor.delivered.0,
                delivered_consumer: cursor.delivered_consumer,
                pending: cursor
                    .pending
                    .iter()
                    .map(|pending| {
                        (
                            pending.sequence.0,
                            pending.consumer_sequence,
                            pending.deliveries,
                            pending.delivered_at,
                        )
                    })
                    .collect(),
                data: STANDARD.encode(&cursor.data),
            }),
        }
    }
}

impl ConsumerPart {
    /// As storage keeps it; `None` where it is not what was written.
    pub(super) fn into_stored(self) -> Option<StoredConsumer> {
        let bytes = |text: &str| STANDARD.decode(text).ok().map(Bytes::from);
        let cursor = match self.cursor {
            None => None,
            Some(part) => Some(Cursor {
                ack_floor: Sequence(part.ack_floor),
                ack_floor_consumer: part.ack_floor_consumer,
                delivered: Sequence(part.delivered),
                delivered_consumer: part.delivered_consumer,
                pending: part
                    .pending
                    .into_iter()
                    .map(
                        |(sequence, consumer_sequence, deliveries, delivered_at)| Pending {
                            sequence: Sequence(sequence),
                            consumer_sequence,
                            deliveries,
                            delivered_at,
                        },
                    )
                    .collect(),
                data: bytes(&part.data)?,
            }),
        };
        Some(StoredConsumer {
            name: self.name,
            owner: bytes(&self.owner)?,
            cursor,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consumer_comes_back_as_it_was() {
        let stored = StoredConsumer {
            name: "C".to_owned(),
            owner: Bytes::from_static(b"\x00{}"),
            cursor: Some(Cursor {
                ack_floor: Sequence(3),
                ack_floor_consumer: 2,
                delivered: Sequence(9),
                delivered_consumer: 5,
                pending: vec![Pending {
                    sequence: Sequence(7),
                    consumer_sequence: 4,
                    deliveries: 2,
                    delivered_at: 11,
                }],
                data: Bytes::from_static(b"\xff"),
            }),
        };
        let json = serde_json::to_string(&ConsumerPart::from(stored.clone())).expect("plain data");
        let part: ConsumerPart = serde_json::from_str(&json).expect("the same");
        assert_eq!(part.into_stored(), Some(stored));
    }
}
