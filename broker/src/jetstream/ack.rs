//! What a publisher tells a stream by headers, and what the stream answers (ADR-7, nats-server's texts and numbers).

use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use storage::stream::{Append, AppendError, Expected, Rollup, Sequence, SubjectPattern};

use super::capture::Captured;
use super::error_code::{self as code, ApiError};
use crate::proto::headers::{raw_value, without_status};

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
            AppendError::DiskFull => code::INSUFFICIENT_RESOURCES.into(),
            _ => code::STREAM_STORE_FAILED.with(error),
        }
    }
}

#[derive(Serialize)]
struct Answer<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a ApiError>,
    stream: &'a str,
    seq: u64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    duplicate: bool,
}

/// The body of a PubAck.
pub(crate) fn answer(stream: &str, result: Result<(Sequence, bool), &ApiError>) -> Bytes {
    let answer = match result {
        Ok((sequence, duplicate)) => Answer {
            error: None,
            stream,
            seq: sequence.0,
            duplicate,
        },
        Err(error) => Answer {
            error: Some(error),
            stream,
            seq: 0,
            duplicate: false,
        },
    };
    serde_json::to_vec(&answer)
        .expect("a PubAck is plain data")
        .into()
}

/// Reads the headers of a captured message.
///
/// # Errors
/// A header has a value that no stream accepts, or names another stream.
pub(crate) fn append_from(stream: &str, captured: &Captured) -> Result<Append, ApiError> {
    let block = &captured.headers;
    let mut append = Append {
        subject: captured.subject.clone(),
        headers: without_status(block).unwrap_or_else(|| block.clone()),
        payload: captured.payload.clone(),
        ..Append::default()
    };
    if block.is_empty() {
        return Ok(append);
    }
    if block.len() > HEADER_BYTES_MAX {
        return Err(code::STREAM_HEADER_EXCEEDS_MAXIMUM.into());
    }
    let text = |name| raw_value(block, name).map(String::from_utf8_lossy);
    if text("Nats-Expected-Stream").is_some_and(|expected| expected != stream) {
        return Err(code::STREAM_NOT_MATCH.into());
    }
    if let Some(value) = text("Nats-TTL") {
        append.ttl = Some(parse_ttl(&value).ok_or(code::MESSAGE_TTL_INVALID)?);
    }
    append.expected = expected_from(block)?;
    append.message_id = raw_value(block, "Nats-Msg-Id")
        .filter(|id| !id.is_empty())
        .map(Bytes::copy_from_slice);
    append.rollup = match text("Nats-Rollup").as_deref() {
        None => None,
        Some("sub") => Some(Rollup::Subject),
        Some("all") => Some(Rollup::All),
        Some(other) => {
            let reason = format!("rollup value invalid: {other:?}");
            return Err(code::STREAM_ROLLUP_FAILED.with(reason));
        }
    };
    Ok(append)
}

fn expected_from(block: &[u8]) -> Result<Expected, ApiError> {
    let sequence = |name| {
        let value = raw_value(block, name)?;
        std::str::from_utf8(value)
            .ok()?
            .trim()
            .parse()
            .ok()
            .map(Sequence)
    };
    let last_subject_sequence = sequence("Nats-Expected-Last-Subject-Sequence");
    let pattern = raw_value(block, "Nats-Expected-Last-Subject-Sequence-Subject");
    if pattern.is_some() && last_subject_sequence.is_none() {
        return Err(code::STREAM_EXPECTED_LAST_SEQ_PER_SUBJECT_INVALID.into());
    }
    Ok(Expected {
        last_sequence: sequence("Nats-Expected-Last-Sequence"),
        last_subject_sequence,
        last_subject_filter: pattern.and_then(SubjectPattern::parse),
        last_message_id: raw_value(block, "Nats-Expected-Last-Msg-Id").map(Bytes::copy_from_slice),
    })
}

/// Whole seconds, a Go duration of at least a second, or `never`.
fn parse_ttl(text: &str) -> Option<Duration> {
    let text = text.trim();
    if text == "never" {
        return Some(Duration::MAX);
    }
    let ttl = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => parse_go_duration(text)?,
    };
    (ttl >= Duration::from_secs(1)).then_some(ttl)
}

fn parse_go_duration(mut text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    while !text.is_empty() {
        let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = text[..digits].parse().ok()?;
        text = &text[digits..];
        let unit = text
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(text.len());
        let seconds = match &text[..unit] {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        total = total.checked_add(Duration::try_from_secs_f64(number * seconds).ok()?)?;
        text = &text[unit..];
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captured(headers: &str) -> Captured {
        Captured {
            subject: Bytes::from_static(b"a"),
            reply: Bytes::new(),
            headers: format!("NATS/1.0\r\n{headers}\r\n\r\n").into(),
            payload: Bytes::new(),
        }
    }

    #[track_caller]
    fn check_refused(headers: &str, err_code: u32) {
        let refused = append_from("S", &captured(headers)).expect_err("refused");
        assert_eq!(u32::from(refused.err_code), err_code, "{refused:?}");
    }

    #[test]
    fn bad_headers_have_their_codes() {
        check_refused("Nats-Expected-Stream: T", 10060);
        check_refused("Nats-TTL: 0", 10165);
        check_refused("Nats-TTL: 500ms", 10165);
        check_refused("Nats-TTL: soon", 10165);
        check_refused("Nats-Rollup: x", 10111);
        check_refused("Nats-Expected-Last-Subject-Sequence-Subject: a.*", 10193);
    }

    #[test]
    fn headers_become_conditions() {
        let append = append_from(
            "S",
            &captured("Nats-Msg-Id: x\r\nNats-Expected-Last-Sequence: 4\r\nNats-TTL: 1m30s"),
        )
        .expect("accepted");
        assert_eq!(append.message_id.as_deref(), Some(&b"x"[..]));
        assert_eq!(append.expected.last_sequence, Some(Sequence(4)));
        assert_eq!(append.ttl, Some(Duration::from_secs(90)));
    }

    #[test]
    fn item_58_a_refusal_carries_stream_and_sequence_0() {
        assert_eq!(
            &answer("S", Ok((Sequence(7), false)))[..],
            br#"{"stream":"S","seq":7}"#
        );
        assert_eq!(
            &answer("S", Ok((Sequence(7), true)))[..],
            br#"{"stream":"S","seq":7,"duplicate":true}"#
        );
        let error = ApiError::from(&AppendError::WrongLastSequence { last: Sequence(3) });
        assert_eq!(
            &answer("S", Err(&error))[..],
            br#"{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 3"},"stream":"S","seq":0}"#
        );
    }
}
