//! Messages of the server itself to a receiver: a status line, and what goes with it. Texts as in nats-server, letter by
//! letter, because clients compare them.

use super::rules::Nanos;
use crate::jetstream::config::Nanos as Span;

/// What is left of a pull request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Left {
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
}

/// A status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Status {
    IdleHeartbeat {
        consumer_sequence: u64,
        sequence: u64,
        /// Where to answer to get a stalled consumer going.
        stalled: Option<String>,
    },
    FlowControl,
    BadRequest(String),
    NoMessages,
    RequestTimeout(Left),
    RequestsPending,
    ConsumerDeleted,
    ServerShutdown(Left),
    PushBased,
    SizeExceeded(Left),
    BatchCompleted(Left),
    BatchExceeded(u64),
    ExpiresExceeded(Nanos),
    BytesExceeded(u64),
    WaitingExceeded,
    WrongPin,
    PinMismatch,
    RequiredApiLevel,
}

impl Status {
    /// The header block that says it.
    pub(crate) fn to_block(&self) -> Vec<u8> {
        let text = match self {
            Self::IdleHeartbeat {
                consumer_sequence,
                sequence,
                stalled,
            } => {
                let stalled = stalled.as_ref().map_or_else(String::new, |subject| {
                    format!("Nats-Consumer-Stalled: {subject}\r\n")
                });
                format!(
                    "100 Idle Heartbeat\r\nNats-Last-Consumer: {consumer_sequence}\r\n\
                     Nats-Last-Stream: {sequence}\r\n{stalled}"
                )
            }
            Self::FlowControl => "100 FlowControl Request\r\n".to_owned(),
            Self::BadRequest(reason) => format!("400 {reason}\r\n"),
            Self::NoMessages => "404 No Messages\r\n".to_owned(),
            Self::RequestTimeout(left) => left.beside("408 Request Timeout"),
            Self::RequestsPending => "408 Requests Pending\r\n".to_owned(),
            Self::ConsumerDeleted => "409 Consumer Deleted\r\n".to_owned(),
            Self::ServerShutdown(left) => left.beside("409 Server Shutdown"),
            Self::PushBased => "409 Consumer is push based\r\n".to_owned(),
            Self::SizeExceeded(left) => left.beside("409 Message Size Exceeds MaxBytes"),
            Self::BatchCompleted(left) => left.beside("409 Batch Completed"),
            Self::BatchExceeded(max) => format!("409 Exceeded MaxRequestBatch of {max}\r\n"),
            Self::ExpiresExceeded(max) => {
                let max = Span(i64::try_from(*max).unwrap_or(i64::MAX));
                format!("409 Exceeded MaxRequestExpires of {max}\r\n")
            }
            Self::BytesExceeded(max) => format!("409 Exceeded MaxRequestMaxBytes of {max}\r\n"),
            Self::WaitingExceeded => "409 Exceeded MaxWaiting\r\n".to_owned(),
            Self::WrongPin => "423 Nats-Wrong-Pin-Id\r\n".to_owned(),
            Self::RequiredApiLevel => "412 Required Api Level\r\n".to_owned(),
            Self::PinMismatch => "423 Nats-Pin-Id mismatch\r\n".to_owned(),
        };
        format!("NATS/1.0 {text}\r\n").into_bytes()
    }
}

impl Left {
    fn beside(self, status: &str) -> String {
        format!(
            "{status}\r\nNats-Pending-Messages: {}\r\nNats-Pending-Bytes: {}\r\n",
            self.messages, self.bytes
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(status: &Status, expected: &str) {
        assert_eq!(
            String::from_utf8(status.to_block()).expect("text"),
            expected
        );
    }

    #[test]
    fn item_131_pull_statuses_say_what_is_left() {
        let left = Left {
            messages: 2,
            bytes: 55,
        };
        let pending = "\r\nNats-Pending-Messages: 2\r\nNats-Pending-Bytes: 55\r\n\r\n";
        for (status, line) in [
            (Status::RequestTimeout(left), "408 Request Timeout"),
            (Status::BatchCompleted(left), "409 Batch Completed"),
            (
                Status::SizeExceeded(left),
                "409 Message Size Exceeds MaxBytes",
            ),
            (Status::ServerShutdown(left), "409 Server Shutdown"),
        ] {
            check(&status, &format!("NATS/1.0 {line}{pending}"));
        }
    }

    #[test]
    fn texts_are_those_of_nats_server() {
        check(&Status::NoMessages, "NATS/1.0 404 No Messages\r\n\r\n");
        check(
            &Status::ConsumerDeleted,
            "NATS/1.0 409 Consumer Deleted\r\n\r\n",
        );
        check(
            &Status::ExpiresExceeded(1_000_000_000),
            "NATS/1.0 409 Exceeded MaxRequestExpires of 1s\r\n\r\n",
        );
        check(
            &Status::IdleHeartbeat {
                consumer_sequence: 3,
                sequence: 7,
                stalled: Some("$JS.FC.S.C.abcd".to_owned()),
            },
            "NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: 3\r\nNats-Last-Stream: 7\r\n\
             Nats-Consumer-Stalled: $JS.FC.S.C.abcd\r\n\r\n",
        );
    }
}
