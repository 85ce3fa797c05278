//! Reads one operation from the front of a link's buffer. Nothing is allocated and payloads are not looked at.

use memchr::memchr;

use super::op::{LeafMessage, LeafOp, Queues};
use crate::proto::parse::{ParseError, ParseLimits, argument, is_blank, size};

/// What the front of a buffer holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum LeafProgress<'a> {
    /// An operation and the number of bytes it takes up.
    Op(LeafOp<'a>, usize),
    /// No whole operation yet: the buffer must hold at least this many bytes for it.
    More(usize),
}

/// Every verb of the protocol.
const VERBS: [&[u8]; 10] = [
    b"LMSG", b"HMSG", b"LS+", b"LS-", b"PING", b"PONG", b"CONNECT", b"INFO", b"+OK", b"-ERR",
];
/// Longest verb with its blank, in bytes.
const VERB_BYTES_MAX: usize = 8;

/// Reads the operation at the front of `buffer`.
///
/// # Errors
/// The buffer starts with something that no leaf node may send.
pub(crate) fn parse<'a>(
    buffer: &'a [u8],
    limits: &ParseLimits,
) -> Result<LeafProgress<'a>, ParseError> {
    let Some(end) = memchr(b'\n', buffer) else {
        return incomplete(buffer, limits);
    };
    let line = match &buffer[..end] {
        [line @ .., b'\r'] => line,
        line => line,
    };
    if line.len() > limits.control_line_bytes_max + VERB_BYTES_MAX {
        return Err(ParseError::ControlLineTooLong);
    }
    let split = line.iter().position(|byte| is_blank(*byte));
    let (verb, args) = line.split_at(split.unwrap_or(line.len()));
    let is = |name: &[u8]| verb.eq_ignore_ascii_case(name);
    let after = end + 1;
    let op = if is(b"LMSG") {
        return message(buffer, args, after, false, limits);
    } else if is(b"HMSG") {
        return message(buffer, args, after, true, limits);
    } else if is(b"LS+") {
        subscribe(args)?
    } else if is(b"LS-") {
        unsubscribe(args)?
    } else if is(b"PING") {
        LeafOp::Ping
    } else if is(b"PONG") {
        LeafOp::Pong
    } else if is(b"+OK") {
        LeafOp::Ignored
    } else if is(b"INFO") {
        LeafOp::Info(args.trim_ascii())
    } else if is(b"CONNECT") {
        LeafOp::Connect(args.trim_ascii())
    } else if is(b"-ERR") {
        LeafOp::Error(unquoted(args.trim_ascii()))
    } else {
        return Err(ParseError::UnknownOperation);
    };
    Ok(LeafProgress::Op(op, after))
}

/// No line end yet: wait, unless what is there can never become an operation.
fn incomplete<'a>(buffer: &'a [u8], limits: &ParseLimits) -> Result<LeafProgress<'a>, ParseError> {
    let possible = VERBS.iter().any(|verb| {
        let common = verb.len().min(buffer.len());
        buffer[..common].eq_ignore_ascii_case(&verb[..common])
    });
    if !possible {
        return Err(ParseError::UnknownOperation);
    }
    // One more for the CR, whose LF has not come.
    if buffer.len() > limits.control_line_bytes_max + VERB_BYTES_MAX + 1 {
        return Err(ParseError::ControlLineTooLong);
    }
    Ok(LeafProgress::More(buffer.len() + 1))
}

fn unquoted(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"'")
        .and_then(|text| text.strip_suffix(b"'"))
        .unwrap_or(text)
}

/// The first argument of a line and what follows it.
fn first(line: &[u8]) -> Option<(&[u8], &[u8])> {
    argument(line).ok().map(|(rest, one)| (one, rest))
}

/// The last argument of a line and what precedes it.
fn last(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let line = trimmed(line);
    let start = line.iter().rposition(|byte| is_blank(*byte));
    let (before, one) = line.split_at(start.map_or(0, |at| at + 1));
    (!one.is_empty()).then_some((one, before))
}

/// The line without blanks at its end.
fn trimmed(line: &[u8]) -> &[u8] {
    let len = line.iter().rposition(|byte| !is_blank(*byte));
    &line[..len.map_or(0, |at| at + 1)]
}

fn subscribe(args: &[u8]) -> Result<LeafOp<'_>, ParseError> {
    let (subject, rest) = first(args).ok_or(ParseError::Arguments)?;
    let Some((queue, rest)) = first(rest) else {
        return end(rest).map(|()| LeafOp::Subscribe {
            subject,
            queue: None,
        });
    };
    let (weight, rest) = first(rest).ok_or(ParseError::Arguments)?;
    end(rest)?;
    let weight = u32::try_from(size(weight)?).map_err(|_| ParseError::Arguments)?;
    Ok(LeafOp::Subscribe {
        subject,
        queue: Some((queue, weight.max(1))),
    })
}

fn unsubscribe(args: &[u8]) -> Result<LeafOp<'_>, ParseError> {
    let (subject, rest) = first(args).ok_or(ParseError::Arguments)?;
    let (queue, rest) = match first(rest) {
        Some((queue, rest)) => (Some(queue), rest),
        None => (None, rest),
    };
    end(rest)?;
    Ok(LeafOp::Unsubscribe { subject, queue })
}

/// Nothing but blanks may follow.
fn end(rest: &[u8]) -> Result<(), ParseError> {
    match trimmed(rest) {
        [] => Ok(()),
        _ => Err(ParseError::Arguments),
    }
}

/// `<subject> [reply] [header size] <size>`, or with `| <queue>...` or `+ <reply> <queue>...` behind the subject.
fn message<'a>(
    buffer: &'a [u8],
    args: &'a [u8],
    after: usize,
    with_headers: bool,
    limits: &ParseLimits,
) -> Result<LeafProgress<'a>, ParseError> {
    if args.contains(&b'\r') {
        return Err(ParseError::Arguments);
    }
    let (total, args) = last(args).ok_or(ParseError::Arguments)?;
    let total_len = size(total)?;
    let (header_len, args) = match with_headers {
        false => (0, args),
        true => {
            let (header, args) = last(args).ok_or(ParseError::Arguments)?;
            (size(header)?, args)
        }
    };
    let (subject, rest) = first(args).ok_or(ParseError::Arguments)?;
    let (reply, queues) = receivers(rest)?;
    if header_len > total_len {
        return Err(ParseError::Arguments);
    }
    if total_len > limits.payload_bytes_max {
        return Err(ParseError::PayloadTooLarge);
    }
    let end = after + total_len + 2;
    if buffer.len() < end {
        return Ok(LeafProgress::More(end));
    }
    if &buffer[end - 2..end] != b"\r\n" {
        return Err(ParseError::UnknownOperation);
    }
    let message = LeafMessage {
        subject,
        reply,
        queues,
        header_len,
        body: &buffer[after..end - 2],
    };
    Ok(LeafProgress::Op(LeafOp::Message(message), end))
}

/// What stands between the subject and the sizes: a reply subject, queue groups, both or nothing.
fn receivers(rest: &[u8]) -> Result<(&[u8], Queues<'_>), ParseError> {
    let none = &rest[..0];
    let Some((sign, more)) = first(rest) else {
        return Ok((none, Queues::default()));
    };
    match sign {
        b"|" => Ok((none, named(more)?)),
        b"+" => {
            let (reply, more) = first(more).ok_or(ParseError::Arguments)?;
            Ok((reply, named(more)?))
        }
        reply => end(more).map(|()| (reply, Queues::default())),
    }
}

fn named(rest: &[u8]) -> Result<Queues<'_>, ParseError> {
    let (_, _) = first(rest).ok_or(ParseError::Arguments)?;
    Ok(Queues(trimmed(rest).trim_ascii_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: ParseLimits = ParseLimits {
        control_line_bytes_max: 64,
        payload_bytes_max: 1000,
    };

    #[track_caller]
    fn check(input: &str, expected: LeafOp<'_>) {
        let parsed = parse(input.as_bytes(), &LIMITS);
        assert_eq!(parsed, Ok(LeafProgress::Op(expected, input.len())));
        for len in 0..input.len() {
            let parsed = parse(&input.as_bytes()[..len], &LIMITS);
            assert!(matches!(parsed, Ok(LeafProgress::More(more)) if more > len));
        }
    }

    #[track_caller]
    fn check_error(input: &str, expected: ParseError) {
        assert_eq!(parse(input.as_bytes(), &LIMITS), Err(expected), "{input:?}");
    }

    #[track_caller]
    fn check_message(input: &str, reply: &str, queues: &[&str], header_len: usize, body: &str) {
        let Ok(LeafProgress::Op(LeafOp::Message(message), len)) = parse(input.as_bytes(), &LIMITS)
        else {
            panic!("{input:?} is a message");
        };
        let named: Vec<&[u8]> = message.queues.iter().collect();
        let expected: Vec<&[u8]> = queues.iter().map(|name| name.as_bytes()).collect();
        assert_eq!((len, message.subject), (input.len(), &b"a.b"[..]));
        assert_eq!(message.reply, reply.as_bytes());
        assert_eq!(named, expected);
        assert_eq!(message.header_len, header_len);
        assert_eq!(message.body, body.as_bytes());
    }

    #[test]
    fn interest_is_read_with_and_without_a_queue() {
        let plain = LeafOp::Subscribe {
            subject: b"a.*",
            queue: None,
        };
        check("LS+ a.*\r\n", plain);
        let queue = LeafOp::Subscribe {
            subject: b"a",
            queue: Some((b"q", 12)),
        };
        check("ls+ a q 12\r\n", queue);
        let gone = |queue| LeafOp::Unsubscribe {
            subject: b"a",
            queue,
        };
        check("LS- a\r\n", gone(None));
        check("LS- a q\r\n", gone(Some(b"q")));
    }

    #[test]
    fn messages_are_read_in_every_form() {
        check_message("LMSG a.b 2\r\nhi\r\n", "", &[], 0, "hi");
        check_message("LMSG a.b r 2\r\nhi\r\n", "r", &[], 0, "hi");
        check_message("LMSG a.b | q1 2\r\nhi\r\n", "", &["q1"], 0, "hi");
        check_message(
            "LMSG a.b + r q1  q2 2\r\nhi\r\n",
            "r",
            &["q1", "q2"],
            0,
            "hi",
        );
        check_message("HMSG a.b 1 3\r\nHhi\r\n", "", &[], 1, "Hhi");
        check_message("HMSG a.b r 1 3\r\nHhi\r\n", "r", &[], 1, "Hhi");
        check_message("hmsg a.b + r q 1 3\r\nHhi\r\n", "r", &["q"], 1, "Hhi");
        check_message("LMSG a.b 0\r\n\r\n", "", &[], 0, "");
    }

    #[test]
    fn the_rest_of_the_protocol_is_read() {
        check("PING\r\n", LeafOp::Ping);
        check("PONG\r\n", LeafOp::Pong);
        check("+OK\r\n", LeafOp::Ignored);
        check("INFO {\"a\":1} \r\n", LeafOp::Info(b"{\"a\":1}"));
        check("CONNECT {}\r\n", LeafOp::Connect(b"{}"));
        check("-ERR 'no way'\r\n", LeafOp::Error(b"no way"));
    }

    #[test]
    fn what_no_leaf_node_may_send_is_refused() {
        for input in ["SUB a 1\r\n", "PUB a 0\r\n\r\n", "RS+ a b\r\n", "X", "\r\n"] {
            check_error(input, ParseError::UnknownOperation);
        }
        for input in [
            "LS+\r\n",
            "LS+ a q\r\n",
            "LS+ a q x\r\n",
            "LS+ a q 1 2\r\n",
            "LS- a q x\r\n",
            "LMSG\r\n",
            "LMSG a\r\n",
            "LMSG a b c 2\r\nhi\r\n",
            "LMSG a | 2\r\nhi\r\n",
            "LMSG a + r 2\r\nhi\r\n",
            "HMSG a 3\r\nhi\r\n",
            "HMSG a 3 2\r\nhi\r\n",
            "LMSG a\rb 2\r\nhi\r\n",
        ] {
            check_error(input, ParseError::Arguments);
        }
        check_error("LMSG a 1001\r\n", ParseError::PayloadTooLarge);
        check_error("LMSG a 2\r\nhixx", ParseError::UnknownOperation);
        check_error(&"LS+ a".repeat(40), ParseError::ControlLineTooLong);
    }
}
