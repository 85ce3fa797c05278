//! A message on its way into a stream: what its headers ask for, and whether the stream's rules allow it.
//!
//! Only what depends on the message and the configuration is decided here. What depends on the stream's content (expected
//! sequences, duplicates, limits) the store decides, in nats-server's order; so a message with two faults of both kinds is
//! refused for the one found here.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use storage::stream::{Append, AppendError, Expected, Rollup, Sequence, SubjectPattern};

use super::counter::Increment;
use super::headers::{PublishHeaders, tells_of_an_end};
use super::life_time::parse_life_time;
use super::rules::Rules;
use crate::jetstream::capture::Captured;
use crate::jetstream::error_code::{self as code, ApiError};
use crate::proto::headers::{BlockEdit, without_status};

/// Largest header block a stream takes, in bytes.
const HEADER_BYTES_MAX: usize = 64 << 10;

impl From<&AppendError> for ApiError {
    fn from(error: &AppendError) -> Self {
        match error {
            AppendError::WrongLastSequence { last }
            | AppendError::WrongLastSubjectSequence { last } => {
                code::STREAM_WRONG_LAST_SEQUENCE.with(last)
            }
            AppendError::WrongLastMessageId { last } => {
                code::STREAM_WRONG_LAST_MESSAGE_ID.with(last)
            }
            AppendError::MessageTooLarge { .. } => code::STREAM_MESSAGE_EXCEEDS_MAXIMUM.into(),
            AppendError::TtlNotAllowed => code::MESSAGE_TTL_DISABLED.into(),
            AppendError::RollupNotAllowed => code::STREAM_ROLLUP_FAILED.with(error),
            AppendError::Derive(_) => code::MESSAGE_COUNTER_BROKEN.into(),
            AppendError::DuplicateId => code::ATOMIC_PUBLISH_CONTAINS_DUPLICATE_MESSAGE.into(),
            AppendError::DiskFull => code::INSUFFICIENT_RESOURCES.into(),
            _ => code::STREAM_STORE_FAILED.with(error),
        }
    }
}

/// Judges the size of a message, which comes before everything else.
///
/// # Errors
/// It is larger than the stream takes.
pub(crate) fn check_size(rules: &Rules, message: &Captured) -> Result<(), ApiError> {
    let len = (message.headers.len() + message.payload.len()) as u64;
    if rules.message_bytes_max.is_some_and(|max| len > max) {
        return Err(code::STREAM_MESSAGE_EXCEEDS_MAXIMUM.into());
    }
    Ok(())
}

/// Turns a message into an append; `headers` are those of its block.
///
/// # Errors
/// Why the stream does not take it.
pub(crate) fn append_from(
    rules: &Rules,
    message: Captured,
    headers: &PublishHeaders<'_>,
) -> Result<Append, ApiError> {
    let mut append = plain(rules, message)?;
    if !append.headers.is_empty() {
        append = with_headers(rules, append, headers)?;
    }
    if rules.allow_counter {
        let increment = Increment::from_publisher(headers, &append.headers, &append.payload)?;
        append.derive = Some(Arc::new(increment));
    }
    Ok(append)
}

/// Turns a message without headers into an append, where that is all a publisher can send.
///
/// # Errors
/// Why the stream does not take it.
pub(crate) fn plain(rules: &Rules, message: Captured) -> Result<Append, ApiError> {
    if rules.is_sealed {
        return Err(code::STREAM_SEALED.into());
    }
    Ok(Append {
        subject: rules.stored_subject(message.subject),
        headers: message.headers,
        payload: message.payload,
        ..Append::default()
    })
}

fn with_headers(
    rules: &Rules,
    mut append: Append,
    headers: &PublishHeaders<'_>,
) -> Result<Append, ApiError> {
    let block = append.headers;
    if block.len() > HEADER_BYTES_MAX {
        return Err(code::STREAM_HEADER_EXCEEDS_MAXIMUM.into());
    }
    if headers.increment.is_some() && !rules.allow_counter {
        return Err(code::MESSAGE_INCR_DISABLED.into());
    }
    if let Some(expected) = headers.expected_stream
        && expected != rules.name.as_bytes()
    {
        return Err(code::STREAM_NOT_MATCH.into());
    }
    append.ttl = life_time(rules, headers)?;
    append.expected = expected(headers)?;
    if headers.stream_source.is_some() {
        return Err(code::MESSAGE_SOURCE_HDR_NOT_ALLOWED.into());
    }
    append.message_id = headers.message_id.map(|id| block.slice_ref(id));
    append.rollup = rollup(headers.rollup)?;
    append.is_marker = tells_of_an_end(&block);
    append.headers = without_status(&block).unwrap_or(block);
    if let (Some(ttl), Some(min)) = (append.ttl, rules.life_time_min)
        && ttl < min
    {
        append.ttl = Some(min);
        append.headers = BlockEdit::without(&append.headers, |name| name == b"Nats-TTL")
            .with("Nats-TTL", &min.as_secs().to_string())
            .finish();
    }
    Ok(append)
}

fn life_time(rules: &Rules, headers: &PublishHeaders<'_>) -> Result<Option<Duration>, ApiError> {
    let Some(text) = headers.life_time else {
        return Ok(None);
    };
    let ttl = parse_life_time(text).ok_or(code::MESSAGE_TTL_INVALID)?;
    if !rules.allow_life_time {
        return Err(code::MESSAGE_TTL_DISABLED.into());
    }
    Ok(Some(ttl))
}

fn rollup(value: Option<&[u8]>) -> Result<Option<Rollup>, ApiError> {
    match value {
        None => Ok(None),
        Some(value) if value.eq_ignore_ascii_case(b"sub") => Ok(Some(Rollup::Subject)),
        Some(value) if value.eq_ignore_ascii_case(b"all") => Ok(Some(Rollup::All)),
        Some(other) => {
            let text = String::from_utf8_lossy(other);
            let reason = format!("rollup value invalid: {text:?}");
            Err(code::STREAM_ROLLUP_FAILED.with(reason))
        }
    }
}

fn expected(headers: &PublishHeaders<'_>) -> Result<Expected, ApiError> {
    let last_subject_sequence = headers.expected_last_subject_sequence.map(sequence);
    let pattern = headers.expected_last_subject_sequence_subject;
    if pattern.is_some() && last_subject_sequence.is_none() {
        return Err(code::STREAM_EXPECTED_LAST_SEQ_PER_SUBJECT_INVALID.into());
    }
    let last_subject_filter = pattern.and_then(SubjectPattern::parse);
    // What is no pattern matches nothing, and nothing has the last sequence 0.
    let matches_nothing = pattern.is_some() && last_subject_filter.is_none();
    if matches_nothing && last_subject_sequence != Some(Sequence::NONE) {
        return Err(code::STREAM_WRONG_LAST_SEQUENCE.with(0));
    }
    Ok(Expected {
        last_sequence: headers.expected_last_sequence.map(sequence),
        last_subject_sequence: last_subject_sequence.filter(|_| !matches_nothing),
        last_subject_filter,
        last_message_id: headers.expected_last_message_id.map(Bytes::copy_from_slice),
    })
}

/// What is no number is a number that no stream will ever have.
fn sequence(text: &[u8]) -> Sequence {
    let number = std::str::from_utf8(text).ok().map(str::trim);
    Sequence(
        number
            .and_then(|text| text.parse().ok())
            .unwrap_or(u64::MAX),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transform::Transform;

    fn rules() -> Rules {
        Rules {
            allow_life_time: true,
            ..Rules::new("S", None)
        }
    }

    fn captured(headers: &str) -> Captured {
        Captured {
            subject: Bytes::from_static(b"a"),
            reply: Bytes::new(),
            headers: format!("NATS/1.0\r\n{headers}\r\n\r\n").into(),
            payload: Bytes::new(),
        }
    }

    fn admit(rules: &Rules, message: Captured) -> Result<Append, ApiError> {
        let block = message.headers.clone();
        check_size(rules, &message)?;
        append_from(rules, message, &PublishHeaders::read(&block))
    }

    fn admitted(rules: &Rules, headers: &str) -> Append {
        admit(rules, captured(headers)).expect("admitted")
    }

    #[track_caller]
    fn check_refused(rules: &Rules, headers: &str, err_code: u32) {
        let refused = admit(rules, captured(headers)).expect_err("refused");
        assert_eq!(u32::from(refused.err_code), err_code, "{refused:?}");
    }

    #[test]
    fn bad_headers_have_their_codes() {
        check_refused(&rules(), "Nats-Expected-Stream: T", 10060);
        check_refused(&rules(), "Nats-TTL: 0", 10165);
        check_refused(&rules(), "Nats-TTL: 500ms", 10165);
        check_refused(&rules(), "Nats-TTL: soon", 10165);
        check_refused(&rules(), "Nats-Rollup: x", 10111);
        check_refused(&rules(), "Nats-Stream-Source: x", 10227);
        check_refused(
            &rules(),
            "Nats-Expected-Last-Subject-Sequence-Subject: a.*",
            10193,
        );
        check_refused(&rules(), &format!("A: {}", "x".repeat(65_536)), 10097);
        check_refused(&Rules::new("S", None), "Nats-TTL: 5", 10166);
        check_refused(&Rules::new("S", None), "Nats-TTL: x", 10165);
    }

    #[test]
    fn size_comes_before_everything_and_sealing_before_headers() {
        let mut rules = rules();
        rules.is_sealed = true;
        check_refused(&rules, "Nats-Expected-Stream: T", 10109);
        rules.message_bytes_max = Some(10);
        check_refused(&rules, "Nats-Expected-Stream: T", 10054);
    }

    #[test]
    fn headers_become_conditions() {
        let append = admitted(
            &rules(),
            "Nats-Msg-Id: x\r\nNats-Expected-Last-Sequence: 4\r\nNats-TTL: 1m30s\r\nNats-Rollup: ALL",
        );
        assert_eq!(append.message_id.as_deref(), Some(&b"x"[..]));
        assert_eq!(append.expected.last_sequence, Some(Sequence(4)));
        assert_eq!(append.ttl, Some(Duration::from_secs(90)));
        assert_eq!(append.rollup, Some(Rollup::All));
        let pattern = "Nats-Expected-Last-Subject-Sequence-Subject: a..b";
        let expected =
            |sequence: u64| format!("Nats-Expected-Last-Subject-Sequence: {sequence}\r\n{pattern}");
        check_refused(&rules(), &expected(1), 10071);
        let append = admitted(&rules(), &expected(0));
        assert_eq!(append.expected.last_subject_sequence, None);
        let append = admitted(&rules(), "Nats-Expected-Last-Sequence: x");
        assert_eq!(append.expected.last_sequence, Some(Sequence(u64::MAX)));
    }

    #[test]
    fn a_life_time_shorter_than_the_marker_s_is_raised() {
        let rules = Rules {
            life_time_min: Some(Duration::from_secs(10)),
            ..rules()
        };
        let append = admitted(&rules, "A: 1\r\nNats-TTL: 2s\r\nB: 2");
        assert_eq!(append.ttl, Some(Duration::from_secs(10)));
        assert_eq!(
            &append.headers[..],
            b"NATS/1.0\r\nA: 1\r\nB: 2\r\nNats-TTL: 10\r\n\r\n"
        );
        let append = admitted(&rules, "Nats-TTL: 20s");
        assert_eq!(&append.headers[..], b"NATS/1.0\r\nNats-TTL: 20s\r\n\r\n");
    }

    #[test]
    fn subjects_are_transformed_before_anything_is_stored() {
        let rules = Rules {
            transform: Transform::parse("a.*", "b.$1").ok(),
            ..rules()
        };
        for (published, stored) in [("a.x", "b.x"), ("c.x", "c.x")] {
            let mut message = captured("");
            message.subject = published.into();
            let append = admit(&rules, message).expect("admitted");
            assert_eq!(&append.subject[..], stored.as_bytes());
        }
    }

    #[test]
    fn counters_are_for_counter_streams() {
        check_refused(&rules(), "Nats-Incr: 1", 10168);
        let rules = Rules {
            allow_counter: true,
            ..rules()
        };
        check_refused(&rules, "A: b", 10169);
        assert!(admitted(&rules, "Nats-Incr: 1").derive.is_some());
    }
}
