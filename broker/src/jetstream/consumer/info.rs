//! What a consumer is like now, as clients are told.

use serde::Serialize;

use super::machine::{Machine, Position};
use super::rules::Nanos;
use crate::jetstream::config::{ConsumerConfig, Timestamp, is_default, is_false, metadata};

/// `consumer_info`.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ConsumerInfo {
    stream_name: String,
    name: String,
    created: Timestamp,
    config: ConsumerConfig,
    delivered: Sequences,
    ack_floor: Sequences,
    num_ack_pending: usize,
    num_redelivered: usize,
    num_waiting: usize,
    num_pending: u64,
    #[serde(skip_serializing_if = "is_false")]
    push_bound: bool,
    #[serde(skip_serializing_if = "is_false")]
    paused: bool,
    #[serde(skip_serializing_if = "is_default")]
    pause_remaining: u64,
    ts: Timestamp,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    priority_groups: Vec<Group>,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct Sequences {
    consumer_seq: u64,
    stream_seq: u64,
    #[serde(skip_serializing_if = "Timestamp::is_never")]
    last_active: Timestamp,
}

#[derive(Debug, Clone, Serialize)]
struct Group {
    group: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pinned_client_id: String,
    pinned_ts: Timestamp,
}

impl From<Position> for Sequences {
    fn from(position: Position) -> Self {
        Self {
            consumer_seq: position.consumer,
            stream_seq: position.stream,
            last_active: Timestamp(position.last_active),
        }
    }
}

/// What the machine does not know about its consumer.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) stream: String,
    pub(crate) name: String,
    pub(crate) created: Timestamp,
    pub(crate) config: ConsumerConfig,
}

impl ConsumerInfo {
    /// With what answers about one consumer carry, and lists do not.
    #[must_use]
    pub(crate) fn for_answer(mut self) -> Self {
        metadata::for_answer(&mut self.config.metadata);
        self
    }

    /// `unread` messages match and were not delivered yet.
    pub(crate) fn new(identity: Identity, machine: &Machine, unread: u64, now: Nanos) -> Self {
        let until = machine.rules().paused_until;
        // There is one group; further ones are kept and mean nothing, as in nats-server.
        let groups = identity.config.priority_groups.iter().take(1).map(|group| {
            let holder = machine.pinned().filter(|holder| holder.group == *group);
            Group {
                group: group.clone(),
                pinned_client_id: holder.map(|holder| holder.id.clone()).unwrap_or_default(),
                pinned_ts: Timestamp(holder.map_or(0, |holder| holder.since)),
            }
        });
        Self {
            priority_groups: groups.collect(),
            stream_name: identity.stream,
            name: identity.name,
            created: identity.created,
            config: identity.config,
            delivered: machine.delivered().into(),
            ack_floor: machine.ack_floor().into(),
            num_ack_pending: machine.pending().len(),
            num_redelivered: machine.redelivered_len(),
            num_waiting: machine.waiting_len(),
            num_pending: unread,
            push_bound: machine.is_push_bound(),
            paused: machine.is_paused(now),
            pause_remaining: until.saturating_sub(now),
            ts: Timestamp(now),
        }
    }
}
