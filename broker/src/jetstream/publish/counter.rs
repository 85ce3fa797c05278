//! Counters: a message adds to the number that its subject holds (ADR-49).
//!
//! Numbers have any size. The sum is made on the writer of the stream, from the message before ([`Derive`]): nothing can
//! come between. What other streams contributed is kept in the header `Nats-Counter-Sources`, so that a message that comes
//! from one of them adds only what is new since the last.

use std::collections::BTreeMap;
use std::str::FromStr;

use bytes::Bytes;
use num_bigint::BigInt;
use serde::{Deserialize, Serialize};
use storage::stream::{Derive, Derived, StoredMessage};

use super::headers::PublishHeaders;
use crate::jetstream::error_code::{self as code, ApiError};
use crate::proto::headers::{BlockEdit, raw_value};

const INCREMENT: &str = "Nats-Incr";
const SOURCES: &str = "Nats-Counter-Sources";
/// What the store is told; publishers get [`code::MESSAGE_COUNTER_BROKEN`].
const BROKEN: &str = "message counter is broken";
/// Longest increment, in digits. nats-server has no limit but that of the header.
const DIGITS_MAX: usize = 4096;

/// Last values seen: origin stream, then subject there.
type Sources = BTreeMap<String, BTreeMap<String, String>>;

/// The body of a counter.
#[derive(Debug, Serialize, Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    val: std::borrow::Cow<'a, str>,
}

/// What one message adds.
#[derive(Debug)]
pub(crate) struct Increment {
    headers: Bytes,
    change: Change,
}

#[derive(Debug)]
enum Change {
    /// A publisher said how much.
    By(BigInt),
    /// A message of an origin: how much follows from what was seen of it before.
    To {
        value: BigInt,
        stream: String,
        subject: String,
    },
}

impl Increment {
    /// Reads what a publisher wants added; `block` is what will be stored.
    ///
    /// # Errors
    /// There is no increment, it is no number, the message has a body, or asks for what counters do not do.
    pub(crate) fn from_publisher(
        headers: &PublishHeaders<'_>,
        block: &Bytes,
        payload: &[u8],
    ) -> Result<Self, ApiError> {
        let Some(text) = headers.increment else {
            return Err(code::MESSAGE_INCR_MISSING.into());
        };
        let increment = parse_number(text).ok_or(code::MESSAGE_INCR_INVALID)?;
        let asks_for_more = headers.rollup.is_some()
            || headers.expected_stream.is_some()
            || headers.expected_last_sequence.is_some()
            || headers.expected_last_subject_sequence.is_some()
            || headers.expected_last_subject_sequence_subject.is_some()
            || headers.expected_last_message_id.is_some();
        if asks_for_more {
            return Err(code::MESSAGE_INCR_INVALID.into());
        }
        if !payload.is_empty() {
            return Err(code::MESSAGE_INCR_PAYLOAD.into());
        }
        Ok(Self {
            headers: block.clone(),
            change: Change::By(increment),
        })
    }

    /// Takes over the value of an origin's counter. `None`: the message is no counter.
    pub(crate) fn from_source(
        block: &Bytes,
        payload: &[u8],
        stream: &str,
        subject: &[u8],
    ) -> Option<Self> {
        raw_value(block, INCREMENT)?;
        Some(Self {
            headers: block.clone(),
            change: Change::To {
                value: value_of(payload)?,
                stream: stream.to_owned(),
                subject: String::from_utf8_lossy(subject).into_owned(),
            },
        })
    }
}

impl Derive for Increment {
    fn derive(&self, previous: Option<&StoredMessage>) -> Result<Derived, String> {
        let broken = || BROKEN.to_owned();
        let before = match previous {
            Some(message) => value_of(&message.payload).ok_or_else(broken)?,
            None => BigInt::ZERO,
        };
        let known = previous.and_then(|message| raw_value(&message.headers, SOURCES));
        let (sum, headers) = match &self.change {
            Change::By(increment) => {
                let headers = match known {
                    Some(sources) => with_sources(&self.headers, &String::from_utf8_lossy(sources)),
                    None => self.headers.clone(),
                };
                (before + increment, headers)
            }
            Change::To {
                value,
                stream,
                subject,
            } => {
                let mut sources: Sources = match known {
                    Some(text) => serde_json::from_slice(text).map_err(|_| broken())?,
                    None => Sources::new(),
                };
                let seen = sources.entry(stream.clone()).or_default();
                let last = seen.insert(subject.clone(), value.to_string());
                let last = match last {
                    Some(text) => parse_number(text.as_bytes()).ok_or_else(broken)?,
                    None => BigInt::ZERO,
                };
                let increment = value - last;
                let text = serde_json::to_string(&sources).map_err(|_| broken())?;
                let headers = with_increment(&self.headers, &increment);
                (before + increment, with_sources(&headers, &text))
            }
        };
        let val = sum.to_string();
        let payload = serde_json::to_vec(&Body { val: val.into() }).map_err(|_| broken())?;
        Ok(Derived {
            headers,
            payload: payload.into(),
        })
    }
}

/// The number in the body of a counter, as its PubAck shows it.
pub(crate) fn value_text(payload: &[u8]) -> Option<String> {
    let body: Body<'_> = serde_json::from_slice(payload).ok()?;
    Some(body.val.into_owned())
}

fn value_of(payload: &[u8]) -> Option<BigInt> {
    parse_number(value_text(payload)?.as_bytes())
}

/// Digits with an optional sign, nothing else.
fn parse_number(text: &[u8]) -> Option<BigInt> {
    let text = std::str::from_utf8(text).ok()?;
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is_number = !digits.is_empty()
        && digits.len() <= DIGITS_MAX
        && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| BigInt::from_str(text).ok()).flatten()
}

/// The increment stays where it was among the headers: it is what people look at.
fn with_increment(block: &[u8], increment: &BigInt) -> Bytes {
    BlockEdit::replacing(block, INCREMENT, &increment.to_string()).finish()
}

fn with_sources(block: &[u8], sources: &str) -> Bytes {
    BlockEdit::replacing(block, SOURCES, sources).finish()
}

#[cfg(test)]
mod tests {
    use storage::stream::Sequence;

    use super::*;

    fn stored(headers: &Bytes, payload: &Bytes) -> StoredMessage {
        StoredMessage {
            sequence: Sequence(1),
            subject: Bytes::from_static(b"c"),
            headers: headers.clone(),
            payload: payload.clone(),
            timestamp: 0,
        }
    }

    fn publish(lines: &str, payload: &[u8]) -> Result<Increment, ApiError> {
        let block = Bytes::from(format!("NATS/1.0\r\n{lines}\r\n\r\n"));
        Increment::from_publisher(&PublishHeaders::read(&block), &block, payload)
    }

    #[track_caller]
    fn check_refused(lines: &str, payload: &[u8], err_code: u16) {
        let refused = publish(lines, payload).expect_err("refused");
        assert_eq!(refused.err_code, err_code);
    }

    #[test]
    fn increments_add_up_whatever_their_size() {
        let mut last: Option<StoredMessage> = None;
        for (increment, sum) in [
            ("+1", "1"),
            ("1", "2"),
            ("-5", "-3"),
            ("0", "-3"),
            ("00012", "9"),
            ("99999999999999999999", "100000000000000000008"),
            ("-0", "100000000000000000008"),
        ] {
            let increment = publish(&format!("Nats-Incr: {increment}"), b"").expect("accepted");
            let made = increment.derive(last.as_ref()).expect("derived");
            assert_eq!(value_text(&made.payload).as_deref(), Some(sum));
            assert_eq!(made.payload, format!("{{\"val\":\"{sum}\"}}"));
            last = Some(stored(&made.headers, &made.payload));
        }
    }

    #[test]
    fn mistakes_have_their_codes() {
        for invalid in ["x", "+", "1.5", "+-1", "1_000"] {
            check_refused(&format!("Nats-Incr: {invalid}"), b"", 10171);
        }
        check_refused("Nats-Incr:", b"", 10169);
        check_refused("A: b", b"", 10169);
        check_refused("Nats-Incr: 1", b"x", 10170);
        check_refused("Nats-Incr: 1\r\nNats-Rollup: sub", b"", 10171);
        check_refused("Nats-Incr: 1\r\nNats-Expected-Last-Sequence: 1", b"", 10171);
    }

    #[test]
    fn what_is_no_counter_breaks_the_sum() {
        let before = stored(&Bytes::new(), &Bytes::from_static(b"hello"));
        let increment = publish("Nats-Incr: 1", b"").expect("accepted");
        let broken = increment.derive(Some(&before)).expect_err("broken");
        assert_eq!(broken, "message counter is broken");
    }

    #[test]
    fn an_origin_adds_what_is_new() {
        let block = Bytes::from_static(b"NATS/1.0\r\nNats-Incr: +5\r\nA: b\r\n\r\n");
        let from = |value: &str| {
            let body = format!("{{\"val\":\"{value}\"}}");
            Increment::from_source(&block, body.as_bytes(), "C", b"c.a").expect("a counter")
        };
        let first = from("10").derive(None).expect("derived");
        assert_eq!(
            &first.headers[..],
            b"NATS/1.0\r\nNats-Incr: 10\r\nA: b\r\nNats-Counter-Sources: {\"C\":{\"c.a\":\"10\"}}\r\n\r\n"
        );
        let last = stored(&first.headers, &first.payload);
        let second = from("12").derive(Some(&last)).expect("derived");
        assert_eq!(raw_value(&second.headers, INCREMENT), Some(&b"2"[..]));
        assert_eq!(value_text(&second.payload).as_deref(), Some("12"));
        let last = stored(&second.headers, &second.payload);
        let own = publish("Nats-Incr: 3", b"").expect("accepted");
        let own = own.derive(Some(&last)).expect("derived");
        assert_eq!(value_text(&own.payload).as_deref(), Some("15"));
        assert_eq!(
            raw_value(&own.headers, SOURCES),
            Some(&b"{\"C\":{\"c.a\":\"12\"}}"[..])
        );
        assert!(Increment::from_source(&Bytes::new(), b"{}", "C", b"c").is_none());
    }
}
