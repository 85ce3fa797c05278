//! Acknowledgements: the reply subject that every delivered message carries, and what comes back on it.
//!
//! `$JS.ACK.<stream>.<consumer>.<deliveries>.<stream sequence>.<consumer sequence>.<timestamp>.<pending>`

use std::time::Duration;

use bytes::Bytes;

use super::rules::Nanos;
use crate::jetstream::publish::life_time::parse_duration;

/// What every acknowledgement subject begins with.
const PREFIX: &[u8] = b"$JS.ACK.";

/// The pattern of the acknowledgements of one consumer.
pub(crate) fn filter(stream: &str, consumer: &str) -> String {
    format!("$JS.ACK.{stream}.{consumer}.*.*.*.*.*")
}

/// What the reply subject of a delivery says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// Deliveries of the message, this one included.
    pub(crate) deliveries: u32,
    /// Its place in the stream.
    pub(crate) sequence: u64,
    /// The number of the delivery.
    pub(crate) consumer_sequence: u64,
}

/// Writes reply subjects into one buffer.
#[derive(Debug)]
pub(crate) struct ReplySubject {
    buffer: Vec<u8>,
    prefix_len: usize,
}

impl ReplySubject {
    pub(crate) fn new(stream: &str, consumer: &str) -> Self {
        let buffer = [PREFIX, stream.as_bytes(), b".", consumer.as_bytes(), b"."].concat();
        Self {
            prefix_len: buffer.len(),
            buffer,
        }
    }

    /// The reply subject of one delivery.
    pub(crate) fn write(&mut self, place: Place, timestamp: Nanos, pending: u64) -> &[u8] {
        let mut number = itoa::Buffer::new();
        self.buffer.truncate(self.prefix_len);
        self.buffer
            .extend_from_slice(number.format(place.deliveries).as_bytes());
        for part in [place.sequence, place.consumer_sequence, timestamp, pending] {
            self.buffer.push(b'.');
            self.buffer
                .extend_from_slice(number.format(part).as_bytes());
        }
        &self.buffer
    }

    /// What was written last.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.buffer
    }
}

/// Reads the place from an acknowledgement's subject.
pub(crate) fn parse_subject(subject: &[u8]) -> Option<Place> {
    let mut tokens = subject
        .strip_prefix(PREFIX)?
        .split(|byte| *byte == b'.')
        .skip(2);
    let mut number = || -> Option<u64> {
        let token = tokens.next()?;
        if token.is_empty() || token.len() > 19 {
            return None;
        }
        token.iter().try_fold(0_u64, |value, digit| {
            digit
                .is_ascii_digit()
                .then(|| value * 10 + u64::from(digit - b'0'))
        })
    };
    let deliveries = number()?;
    Some(Place {
        deliveries: u32::try_from(deliveries).unwrap_or(u32::MAX),
        sequence: number()?,
        consumer_sequence: number()?,
    })
}

/// What a client says about a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Done.
    Ack,
    /// Deliver it again, now or after a while.
    Nak(Option<Nanos>),
    /// Still being worked on: wait anew.
    InProgress,
    /// Never deliver it again, for this reason.
    Term(Bytes),
    /// Done, and this is a pull request.
    Next(Bytes),
    /// Nothing known; it is confirmed all the same.
    Unknown,
}

/// An acknowledgement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ack {
    pub(crate) place: Place,
    pub(crate) kind: Kind,
    /// Where to confirm it; empty: nowhere.
    pub(crate) reply: Bytes,
}

impl Kind {
    /// Reads the payload of an acknowledgement.
    pub(crate) fn parse(payload: &[u8]) -> Self {
        match payload {
            b"" | b"+ACK" | b"+OK" => Self::Ack,
            b"+WPI" => Self::InProgress,
            _ => {
                if let Some(rest) = payload.strip_prefix(b"-NAK") {
                    Self::Nak(parse_delay(rest))
                } else if let Some(rest) = payload.strip_prefix(b"+NXT") {
                    Self::Next(Bytes::copy_from_slice(rest.trim_ascii()))
                } else if let Some(rest) = payload.strip_prefix(b"+TERM") {
                    Self::Term(Bytes::copy_from_slice(rest.trim_ascii()))
                } else {
                    Self::Unknown
                }
            }
        }
    }
}

/// `{"delay": nanoseconds}` or a duration as Go writes it; anything else is no delay.
fn parse_delay(text: &[u8]) -> Option<Nanos> {
    #[derive(serde::Deserialize)]
    struct Delay {
        #[serde(default)]
        delay: i64,
    }
    let text = text.trim_ascii();
    let nanos = if text.first() == Some(&b'{') {
        let delay: Delay = serde_json::from_slice(text).ok()?;
        u64::try_from(delay.delay).ok()?
    } else {
        let delay: Duration = parse_duration(std::str::from_utf8(text).ok()?)?;
        u64::try_from(delay.as_nanos()).ok()?
    };
    (nanos > 0).then_some(nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn item_85_the_reply_subject_has_nine_tokens() {
        let mut reply = ReplySubject::new("S", "C");
        let place = Place {
            deliveries: 2,
            sequence: 10,
            consumer_sequence: 14,
        };
        for _ in 0..2 {
            let subject = reply.write(place, 1_700_000_000_000_000_000, 3);
            assert_eq!(subject, b"$JS.ACK.S.C.2.10.14.1700000000000000000.3");
            assert_eq!(parse_subject(subject), Some(place));
        }
    }

    #[test]
    fn malformed_subjects_have_no_place() {
        for subject in [
            "",
            "$JS.ACK",
            "$JS.ACK.S.C",
            "$JS.ACK.S.C.1.2",
            "$JS.ACK.S.C.1.x.2.3.4",
            "$JS.ACK.S.C.1..2.3.4",
            "$JS.ACK.S.C.1.-2.2.3.4",
            "$JS.ACK.S.C.1.18446744073709551616.2.3.4",
            "$JS.FC.S.C.1.2.3.4.5",
        ] {
            assert_eq!(parse_subject(subject.as_bytes()), None, "{subject}");
        }
    }

    #[track_caller]
    fn check(payload: &str, expected: &Kind) {
        assert_eq!(Kind::parse(payload.as_bytes()), *expected, "{payload}");
    }

    #[test]
    fn item_87_delays_are_json_or_go() {
        check("-NAK", &Kind::Nak(None));
        check(
            r#"-NAK {"delay": 200000000}"#,
            &Kind::Nak(Some(200_000_000)),
        );
        check("-NAK 200ms", &Kind::Nak(Some(200_000_000)));
        check("-NAK 1m1s", &Kind::Nak(Some(61_000_000_000)));
        check("-NAK soon", &Kind::Nak(None));
        check(r#"-NAK {"delay": -1}"#, &Kind::Nak(None));
        check(r#"-NAK {"delay": "#, &Kind::Nak(None));
    }

    #[test]
    fn payloads_have_their_kinds() {
        for payload in ["", "+ACK", "+OK"] {
            check(payload, &Kind::Ack);
        }
        check("+WPI", &Kind::InProgress);
        check("+TERM", &Kind::Term(Bytes::new()));
        check("+TERM no use", &Kind::Term("no use".into()));
        check("+NXT", &Kind::Next(Bytes::new()));
        check("+NXT 5", &Kind::Next("5".into()));
        check("+ack", &Kind::Unknown);
        check("hello", &Kind::Unknown);
    }
}
