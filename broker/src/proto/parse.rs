//! Reads one operation from the front of a buffer. Nothing is allocated and payloads are not looked at.
//!
//! `memchr` finds the end of the control line, nom takes the line apart. An operation that is not complete is parsed
//! again when more bytes are there; the line is short, and the payload, which is not, is never scanned.

use memchr::memchr;
use nom::bytes::complete::{take_till1, take_while};
use nom::{IResult, Parser};

use super::op::{Op, PublishOp};
use super::plain;

/// What bounds a client's operations.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ParseLimits {
    pub(crate) control_line_bytes_max: usize,
    pub(crate) payload_bytes_max: usize,
}

/// What the front of a buffer holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Progress<'a> {
    /// An operation and the number of bytes it takes up.
    Op(Op<'a>, usize),
    /// No whole operation yet: the buffer must hold at least this many bytes for it.
    More(usize),
}

/// Why the connection cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ParseError {
    /// No verb of the client's, or no CR LF behind a payload.
    UnknownOperation,
    /// Wrong number or form of arguments: the connection closes without a word.
    Arguments,
    /// The size announced is over the limit.
    PayloadTooLarge,
    /// The control line is over the limit.
    ControlLineTooLong,
}

/// Every verb a client may send.
const VERBS: [&[u8]; 10] = [
    b"PUB", b"HPUB", b"SUB", b"UNSUB", b"PING", b"PONG", b"CONNECT", b"INFO", b"+OK", b"-ERR",
];
/// Longest verb with its blank, in bytes.
const VERB_BYTES_MAX: usize = 8;
/// Sizes have at most this many digits, as in nats-server.
pub(super) const SIZE_DIGITS_MAX: usize = 9;

/// Reads the operation at the front of `buffer`.
///
/// # Errors
/// The buffer starts with something that no client may send; how the connection ends depends on which.
pub(crate) fn parse<'a>(
    buffer: &'a [u8],
    limits: &ParseLimits,
) -> Result<Progress<'a>, ParseError> {
    let Some(end) = memchr(b'\n', buffer) else {
        return incomplete(buffer, limits);
    };
    let has_cr = end > 0 && buffer[end - 1] == b'\r';
    let line = &buffer[..end - usize::from(has_cr)];
    if line.len() > limits.control_line_bytes_max {
        // Whatever follows the verb counts, with a blank between them or without.
        let blank = line.iter().position(|byte| is_blank(*byte)).unwrap_or(0);
        let blank = blank.min(VERB_BYTES_MAX - 1);
        if line.len() - blank > limits.control_line_bytes_max + 1 {
            return Err(ParseError::ControlLineTooLong);
        }
    }
    let after = end + 1;
    let op = match line {
        [
            b'P' | b'p',
            b'U' | b'u',
            b'B' | b'b',
            b' ' | b'\t',
            args @ ..,
        ] => {
            return publish(buffer, args, after, has_cr, false, limits);
        }
        [
            b'H' | b'h',
            b'P' | b'p',
            b'U' | b'u',
            b'B' | b'b',
            b' ' | b'\t',
            args @ ..,
        ] => {
            return publish(buffer, args, after, has_cr, true, limits);
        }
        [b'P' | b'p', b'I' | b'i', b'N' | b'n', b'G' | b'g', ..] => Op::Ping,
        [b'P' | b'p', b'O' | b'o', b'N' | b'n', b'G' | b'g', ..] => Op::Pong,
        [
            b'S' | b's',
            b'U' | b'u',
            b'B' | b'b',
            b' ' | b'\t',
            args @ ..,
        ] => subscribe(args)?,
        [
            b'U' | b'u',
            b'N' | b'n',
            b'S' | b's',
            b'U' | b'u',
            b'B' | b'b',
            b' ' | b'\t',
            args @ ..,
        ] => unsubscribe(args)?,
        [b'+', b'O' | b'o', b'K' | b'k', ..] => Op::Ignored,
        _ => rare(line)?,
    };
    Ok(Progress::Op(op, after))
}

/// CONNECT, INFO and -ERR.
fn rare(line: &[u8]) -> Result<Op<'_>, ParseError> {
    let starts =
        |verb: &[u8]| line.len() >= verb.len() && line[..verb.len()].eq_ignore_ascii_case(verb);
    if starts(b"CONNECT") {
        Ok(Op::Connect(line[b"CONNECT".len()..].trim_ascii()))
    } else if starts(b"INFO ") || starts(b"INFO\t") {
        Ok(Op::Ignored)
    } else if starts(b"-ERR ") || starts(b"-ERR\t") {
        Ok(Op::PeerError)
    } else {
        Err(ParseError::UnknownOperation)
    }
}

/// No line end yet: wait, unless what is there can never become an operation.
fn incomplete<'a>(buffer: &'a [u8], limits: &ParseLimits) -> Result<Progress<'a>, ParseError> {
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
    Ok(Progress::More(buffer.len() + 1))
}

pub(crate) fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// One argument and the blanks before it.
pub(crate) fn argument(input: &[u8]) -> IResult<&[u8], &[u8]> {
    let (input, _) = take_while(is_blank).parse_complete(input)?;
    take_till1(|byte| is_blank(byte) || byte == b'\r').parse_complete(input)
}

/// Splits a line into at most `N` arguments; `None` where there are more, or a CR in the middle.
#[inline]
fn arguments<const N: usize>(mut line: &[u8]) -> Option<([&[u8]; N], usize)> {
    let mut found = [&line[..0]; N];
    let mut count = 0;
    while let Ok((rest, one)) = argument(line) {
        *found.get_mut(count)? = one;
        count += 1;
        line = rest;
    }
    line.iter()
        .all(|byte| is_blank(*byte))
        .then_some((found, count))
}

pub(crate) fn size(digits: &[u8]) -> Result<usize, ParseError> {
    if digits.is_empty() || digits.len() > SIZE_DIGITS_MAX {
        return Err(ParseError::Arguments);
    }
    digits.iter().try_fold(0, |value: usize, byte| match byte {
        b'0'..=b'9' => Ok(value * 10 + usize::from(byte - b'0')),
        _ => Err(ParseError::Arguments),
    })
}

/// Where a part of `whole` starts.
fn offset(whole: &[u8], part: &[u8]) -> usize {
    part.as_ptr() as usize - whole.as_ptr() as usize
}

/// Whether a number is spelled without leading zeros.
fn is_plain_number(digits: &[u8]) -> bool {
    digits.len() == 1 || digits[0] != b'0'
}

#[inline]
fn publish<'a>(
    buffer: &'a [u8],
    args: &'a [u8],
    after: usize,
    has_cr: bool,
    with_headers: bool,
    limits: &ParseLimits,
) -> Result<Progress<'a>, ParseError> {
    if !with_headers
        && has_cr
        && let Some(plain) = plain::arguments(args)
        && plain.size <= limits.payload_bytes_max
        && let end = after + plain.size + 2
        && end <= buffer.len()
        && buffer[end - 2] == b'\r'
        && buffer[end - 1] == b'\n'
    {
        let op = PublishOp {
            subject: plain.subject,
            reply: plain.reply,
            with_headers,
            header_len: 0,
            body: &buffer[after..end - 2],
            verbatim: &buffer[after - 2 - args.len() + plain.tail..end],
        };
        return Ok(Progress::Op(Op::Publish(op), end));
    }
    publish_with_care(buffer, args, after, has_cr, with_headers, limits)
}

fn publish_with_care<'a>(
    buffer: &'a [u8],
    args: &'a [u8],
    after: usize,
    has_cr: bool,
    with_headers: bool,
    limits: &ParseLimits,
) -> Result<Progress<'a>, ParseError> {
    let (found, count) = arguments::<4>(args).ok_or(ParseError::Arguments)?;
    let sizes = 1 + usize::from(with_headers);
    let reply = match count.checked_sub(1 + sizes) {
        Some(0) => &args[..0],
        Some(1) => found[1],
        _ => return Err(ParseError::Arguments),
    };
    let total = found[count - 1];
    let total_len = size(total)?;
    let header = found[count - 2];
    let header_len = if with_headers { size(header)? } else { 0 };
    if header_len > total_len {
        return Err(ParseError::Arguments);
    }
    if total_len > limits.payload_bytes_max {
        return Err(ParseError::PayloadTooLarge);
    }
    let end = after + total_len + 2;
    if buffer.len() < end {
        return Ok(Progress::More(end));
    }
    if &buffer[end - 2..end] != b"\r\n" {
        return Err(ParseError::UnknownOperation);
    }
    // Arguments separated by one blank each, plain numbers and a CR LF: the length of the line then says so by itself.
    let start = offset(buffer, found[1]);
    let plain_len: usize = found[1..count]
        .iter()
        .map(|arg| arg.len() + 1)
        .sum::<usize>()
        + 1;
    let is_plain = has_cr
        && after - start == plain_len
        && found[2..count]
            .iter()
            .all(|arg| buffer[offset(buffer, arg) - 1] == b' ')
        && is_plain_number(total)
        && (!with_headers || (header_len > 0 && is_plain_number(header)));
    let op = PublishOp {
        subject: found[0],
        reply,
        with_headers,
        header_len,
        body: &buffer[after..end - 2],
        verbatim: if is_plain { &buffer[start..end] } else { &[] },
    };
    Ok(Progress::Op(Op::Publish(op), end))
}

fn subscribe(args: &[u8]) -> Result<Op<'_>, ParseError> {
    match arguments::<3>(args) {
        Some(([subject, sid, _], 2)) => Ok(Op::Subscribe {
            subject,
            queue: None,
            sid,
        }),
        Some(([subject, queue, sid], 3)) => Ok(Op::Subscribe {
            subject,
            queue: Some(queue),
            sid,
        }),
        _ => Err(ParseError::Arguments),
    }
}

fn unsubscribe(args: &[u8]) -> Result<Op<'_>, ParseError> {
    match arguments::<2>(args) {
        Some(([sid, _], 1)) => Ok(Op::Unsubscribe { sid, max: None }),
        Some(([sid, max], 2)) => Ok(Op::Unsubscribe {
            sid,
            max: size(max).ok().filter(|max| *max > 0).map(|max| max as u64),
        }),
        _ => Err(ParseError::Arguments),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: ParseLimits = ParseLimits {
        control_line_bytes_max: 64,
        payload_bytes_max: 1000,
    };

    #[track_caller]
    fn check_error(input: &str, expected: ParseError) {
        assert_eq!(parse(input.as_bytes(), &LIMITS), Err(expected), "{input:?}");
    }

    #[track_caller]
    fn check_op(input: &str, expected: Op<'_>) {
        assert_eq!(
            parse(input.as_bytes(), &LIMITS),
            Ok(Progress::Op(expected, input.len())),
            "{input:?}"
        );
    }

    #[track_caller]
    fn check_publish(
        input: &str,
        subject: &str,
        reply: &str,
        header_len: usize,
        body: &str,
        verbatim: &str,
    ) {
        let op = PublishOp {
            subject: subject.as_bytes(),
            reply: reply.as_bytes(),
            with_headers: input.starts_with(['H', 'h']),
            header_len,
            body: body.as_bytes(),
            verbatim: verbatim.as_bytes(),
        };
        check_op(input, Op::Publish(op));
    }

    #[test]
    fn verbs_are_read_in_any_case_and_end_at_lf() {
        check_op("PING\n", Op::Ping);
        check_op("ping\r\n", Op::Ping);
        check_op("PING xyz\r\n", Op::Ping);
        check_op("pong\r\n", Op::Pong);
        check_op("+OK\r\n", Op::Ignored);
        check_op("INFO {}\r\n", Op::Ignored);
        check_op("-ERR 'x'\r\n", Op::PeerError);
        check_op("connect {\"a\":1} \r\n", Op::Connect(b"{\"a\":1}"));
    }

    #[test]
    fn publishes_keep_their_verbatim_tail_only_when_plain() {
        check_publish("PUB a 2\r\nhi\r\n", "a", "", 0, "hi", "2\r\nhi\r\n");
        check_publish("PUB a b 2\r\nhi\r\n", "a", "b", 0, "hi", "b 2\r\nhi\r\n");
        check_publish("PUB a b\t2\r\nhi\r\n", "a", "b", 0, "hi", "");
        check_publish("PUB a  2 \r\nhi\r\n", "a", "", 0, "hi", "");
        check_publish("PUB a b  2\r\nhi\r\n", "a", "b", 0, "hi", "");
        check_publish("PUB a 02\r\nhi\r\n", "a", "", 0, "hi", "");
        check_publish("PUB a 2\nhi\r\n", "a", "", 0, "hi", "");
        check_publish("PUB  a 0\r\n\r\n", "a", "", 0, "", "0\r\n\r\n");
        check_publish(
            "hpub a b 1 3\r\nHhi\r\n",
            "a",
            "b",
            1,
            "Hhi",
            "b 1 3\r\nHhi\r\n",
        );
        check_publish("HPUB a 0 2\r\nhi\r\n", "a", "", 0, "hi", "");
    }

    #[test]
    fn bad_arguments_close_without_a_word() {
        for input in [
            "PUB a\r\n",
            "PUB a b c 1\r\n",
            "PUB a -1\r\n",
            "PUB a 1234567890\r\n",
            "PUB a x\r\n",
            "HPUB a 1\r\n",
            "HPUB a 3 2\r\n",
            "HPUB a b c 1 2\r\n",
            "SUB a\r\n",
            "SUB a b c d\r\n",
            "SUB \r\n",
            "UNSUB 1 2 3\r\n",
            "UNSUB  \r\n",
            "PUB \r\n",
            "PUB a\rb 2\r\nhi\r\n",
            "SUB a\r b\r\n",
        ] {
            check_error(input, ParseError::Arguments);
        }
    }

    #[test]
    fn foreign_operations_are_unknown() {
        for input in [
            "MSG a 1 2\r\n",
            "RS+ a\r\n",
            "UNSUB\r\n",
            "SUB\r\n",
            "\r\n",
            "GET / HTTP/1.1\r\n",
            "X",
            "PX",
            "PUB a 2\r\nhixx",
            "INFO\r\n",
            "\0",
        ] {
            check_error(input, ParseError::UnknownOperation);
        }
    }

    #[test]
    fn limits_hold_before_the_rest_has_arrived() {
        check_error("PUB a 1001\r\n", ParseError::PayloadTooLarge);
        check_error(
            &format!("SUB {}", "a".repeat(80)),
            ParseError::ControlLineTooLong,
        );
        check_error(
            &format!("SUB {} 1\r\n", "a".repeat(80)),
            ParseError::ControlLineTooLong,
        );
        check_op(
            &format!("SUB {} 1\r\n", "a".repeat(62)),
            Op::Subscribe {
                subject: "a".repeat(62).as_bytes(),
                queue: None,
                sid: b"1",
            },
        );
    }

    #[test]
    fn unsubscribe_with_zero_or_garbage_has_no_maximum() {
        check_op(
            "UNSUB 1 5\r\n",
            Op::Unsubscribe {
                sid: b"1",
                max: Some(5),
            },
        );
        check_op(
            "UNSUB 1 0\r\n",
            Op::Unsubscribe {
                sid: b"1",
                max: None,
            },
        );
        check_op(
            "UNSUB 1 x\r\n",
            Op::Unsubscribe {
                sid: b"1",
                max: None,
            },
        );
        check_op(
            "SUB a q 1\r\n",
            Op::Subscribe {
                subject: b"a",
                queue: Some(b"q"),
                sid: b"1",
            },
        );
    }

    /// Parses a whole stream that arrives in the given pieces and renders each operation.
    fn run(stream: &[u8], cuts: &[usize]) -> Vec<String> {
        let mut seen = Vec::new();
        let (mut buffer, mut rest) = (Vec::new(), stream);
        let mut cuts = cuts.iter();
        loop {
            loop {
                match parse(&buffer, &LIMITS) {
                    Ok(Progress::Op(op, len)) => {
                        seen.push(format!("{op:?}"));
                        buffer.drain(..len);
                    }
                    Ok(Progress::More(needed)) => {
                        assert!(needed > buffer.len());
                        break;
                    }
                    Err(error) => {
                        seen.push(format!("{error:?}"));
                        return seen;
                    }
                }
            }
            if rest.is_empty() {
                return seen;
            }
            let take = cuts
                .next()
                .copied()
                .unwrap_or(rest.len())
                .clamp(1, rest.len());
            buffer.extend_from_slice(&rest[..take]);
            rest = &rest[take..];
        }
    }

    fn piece() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            Just(b"PING\r\n".to_vec()),
            Just(b"SUB a.b q 1\r\n".to_vec()),
            Just(b"UNSUB 1 2\n".to_vec()),
            Just(b"CONNECT {}\r\n".to_vec()),
            prop::collection::vec(any::<u8>(), 0..40).prop_map(|body| {
                let mut op = format!("PUB s r {}\r\n", body.len()).into_bytes();
                op.extend(body);
                op.extend(b"\r\n");
                op
            }),
            prop::collection::vec(any::<u8>(), 0..9),
        ]
    }

    proptest! {
        #[test]
        fn the_quick_way_reads_what_the_careful_one_does(
            args in prop::collection::vec(
                prop::sample::select(vec!["a", "b.c", " ", "\t", "1", "20", "0", "\r", ""]), 0..7
            ),
        ) {
            let args = args.concat();
            for body in ["x", "\r\n"] {
                let buffer = format!("PUB {args}\r\n{}", body.repeat(30)).into_bytes();
                let buffer = buffer.as_slice();
                let after = 6 + args.len();
                let careful = publish_with_care(buffer, &buffer[4..after - 2], after, true, false, &LIMITS);
                let quick = publish(buffer, &buffer[4..after - 2], after, true, false, &LIMITS);
                prop_assert_eq!(quick, careful);
            }
        }

        #[test]
        fn splits_do_not_change_what_is_read(
            pieces in prop::collection::vec(piece(), 0..8),
            cuts in prop::collection::vec(1usize..7, 0..200),
        ) {
            let stream = pieces.concat();
            prop_assert_eq!(run(&stream, &cuts), run(&stream, &[]));
        }
    }
}
