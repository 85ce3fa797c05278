//! What the account is told about consumers: messages on `$JS.EVENT.ADVISORY.CONSUMER.>` and `$JS.EVENT.METRIC.CONSUMER.>`.

use std::sync::Arc;

use serde::Serialize;

use super::machine::Event;
use crate::jetstream::config::{Timestamp, is_default};
use crate::jetstream::context::AccountContext;

/// Who an advisory is about.
#[derive(Debug, Clone)]
pub(crate) struct About {
    pub(crate) context: Arc<AccountContext>,
    pub(crate) stream: String,
    pub(crate) consumer: String,
}

/// An advisory, beside the events of the machine.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Notice<'a> {
    Created,
    Deleted,
    Paused { until: Option<Timestamp> },
    Of(&'a Event),
}

#[derive(Debug, Default, Serialize)]
struct Body<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    account: &'a str,
    stream: &'a str,
    consumer: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    action: &'a str,
    #[serde(skip_serializing_if = "is_default")]
    consumer_seq: u64,
    #[serde(skip_serializing_if = "is_default")]
    stream_seq: u64,
    #[serde(skip_serializing_if = "is_default")]
    ack_time: u64,
    #[serde(skip_serializing_if = "is_default")]
    deliveries: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    paused: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pause_until: Option<Timestamp>,
    #[serde(skip_serializing_if = "str::is_empty")]
    group: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pinned_id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'a str,
}

impl About {
    /// Publishes an advisory if somebody listens.
    pub(crate) fn tell(&self, notice: Notice<'_>) {
        let (subject, kind) = names(notice);
        let subject = format!("{subject}.{}.{}", self.stream, self.consumer);
        self.context.advisories.send(&subject, kind, || {
            let mut body = Body {
                stream: &self.stream,
                consumer: &self.consumer,
                ..Body::default()
            };
            self.fill(&mut body, notice);
            body
        });
    }

    fn fill<'a>(&'a self, body: &mut Body<'a>, notice: Notice<'a>) {
        match notice {
            Notice::Created => body.action = "create",
            Notice::Deleted => body.action = "delete",
            Notice::Paused { until } => {
                body.paused = Some(until.is_some());
                body.pause_until = Some(until.unwrap_or_default());
            }
            Notice::Of(Event::MaxDeliveries {
                sequence,
                deliveries,
            }) => {
                body.stream_seq = *sequence;
                body.deliveries = *deliveries;
            }
            Notice::Of(
                Event::Naked(place)
                | Event::Terminated { place, .. }
                | Event::Acknowledged { place, .. },
            ) => {
                body.stream_seq = place.sequence;
                body.consumer_seq = place.consumer_sequence;
                body.deliveries = place.deliveries;
                match notice {
                    Notice::Of(Event::Terminated { reason, .. }) => body.reason = reason,
                    Notice::Of(Event::Acknowledged { ack_time, .. }) => body.ack_time = *ack_time,
                    _ => {}
                }
            }
            Notice::Of(Event::Pinned { group, pin_id }) => {
                body.account = &self.context.account.name;
                body.group = group;
                body.pinned_id = pin_id;
            }
            Notice::Of(Event::Unpinned { group, reason }) => {
                body.account = &self.context.account.name;
                body.group = group;
                body.reason = reason;
            }
        }
    }
}

/// The middle of the subject, and the type.
fn names(notice: Notice<'_>) -> (&'static str, &'static str) {
    match notice {
        Notice::Created => ("ADVISORY.CONSUMER.CREATED", "advisory.v1.consumer_action"),
        Notice::Deleted => ("ADVISORY.CONSUMER.DELETED", "advisory.v1.consumer_action"),
        Notice::Paused { .. } => ("ADVISORY.CONSUMER.PAUSE", "advisory.v1.consumer_pause"),
        Notice::Of(event) => match event {
            Event::MaxDeliveries { .. } => (
                "ADVISORY.CONSUMER.MAX_DELIVERIES",
                "advisory.v1.max_deliver",
            ),
            Event::Naked(_) => ("ADVISORY.CONSUMER.MSG_NAKED", "advisory.v1.nak"),
            Event::Terminated { .. } => {
                ("ADVISORY.CONSUMER.MSG_TERMINATED", "advisory.v1.terminated")
            }
            Event::Acknowledged { .. } => ("METRIC.CONSUMER.ACK", "metric.v1.consumer_ack"),
            Event::Pinned { .. } => (
                "ADVISORY.CONSUMER.PINNED",
                "advisory.v1.consumer_group_pinned",
            ),
            Event::Unpinned { .. } => (
                "ADVISORY.CONSUMER.UNPINNED",
                "advisory.v1.consumer_group_unpinned",
            ),
        },
    }
}
