//! What clients send to a consumer: acknowledgements, pull requests, answers to flow control.

use bytes::Bytes;

use super::ack::{Ack, Kind, parse_subject};
use crate::proto::headers::raw_value;
use crate::proto::info::API_LEVEL;

/// Which of a consumer's subjects a message came in by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// `$JS.ACK.<stream>.<consumer>.…`
    Acks,
    /// `$JS.API.CONSUMER.MSG.NEXT.<stream>.<consumer>`
    Requests,
    /// `$JS.FC.<stream>.<consumer>.…`
    FlowControl,
}

/// A message to a consumer. It owns its bytes; an acknowledgement without a reply subject has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mail {
    Ack(Ack),
    Request {
        reply: Bytes,
        body: Bytes,
    },
    /// A request of a client that needs more than we can do.
    Unsupported {
        reply: Bytes,
    },
    FlowControl {
        subject: Bytes,
    },
}

impl Mail {
    /// Reads a message; `None` where it means nothing.
    pub(crate) fn read(
        door: Door,
        subject: &[u8],
        reply: &[u8],
        headers: &[u8],
        payload: &[u8],
    ) -> Option<Self> {
        let copy = Bytes::copy_from_slice;
        Some(match door {
            Door::Acks => Self::Ack(Ack {
                place: parse_subject(subject)?,
                kind: Kind::parse(payload),
                reply: copy(reply),
            }),
            Door::Requests if needs_more(headers) => Self::Unsupported { reply: copy(reply) },
            Door::Requests => Self::Request {
                reply: copy(reply),
                body: copy(payload),
            },
            Door::FlowControl => Self::FlowControl {
                subject: copy(subject),
            },
        })
    }
}

/// Whether a client asks for a level of the API that we have not.
fn needs_more(headers: &[u8]) -> bool {
    let Some(level) = raw_value(headers, "Nats-Required-Api-Level") else {
        return false;
    };
    let level = std::str::from_utf8(level)
        .ok()
        .and_then(|text| text.trim().parse::<u32>().ok());
    level.is_none_or(|level| level > API_LEVEL)
}
