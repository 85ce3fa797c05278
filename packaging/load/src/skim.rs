//! Counting what a server delivers, without looking at more of it than is needed.

use std::time::Duration;

use memchr::memchr;

use crate::Error;
use crate::connection::refusal;
use crate::stamp;

/// A control line is never longer: a server's limit is 4 KiB by default and a subject is most of a line.
const LINE_BYTES_MAX: usize = 64 << 10;

/// What was in a piece of the byte stream.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) messages: u64,
    /// Messages of the second subscription, which says that the end has come.
    pub(crate) ends: u64,
    pub(crate) pings: u64,
}

/// A counter of messages that takes the byte stream in pieces, wherever they are cut.
#[derive(Debug, Default)]
pub(crate) struct Skim {
    /// The last control line, with its line end, and the length of the whole frame: the next one is most often the same.
    line: Vec<u8>,
    frame_len: usize,
    is_end: bool,
    /// Bytes of a frame begun that are still to come.
    skip: usize,
    /// The beginning of a control line.
    partial: Vec<u8>,
}

/// The sid of ordinary subscriptions, and of the one that ends the count.
pub(crate) const END_SID: &[u8] = b"9999";

impl Skim {
    /// Counts. The way of every message that carries its time is given to `record`.
    pub(crate) fn feed(
        &mut self,
        bytes: &[u8],
        mut record: impl FnMut(Duration),
    ) -> Result<Seen, Error> {
        let mut seen = Seen::default();
        let skipped = self.skip.min(bytes.len());
        self.skip -= skipped;
        let mut rest = &bytes[skipped..];
        if skipped > 0 && self.skip == 0 {
            self.count(&mut seen);
        }
        while !rest.is_empty() {
            if self.partial.is_empty() && rest.starts_with(&self.line) && !self.line.is_empty() {
                rest = self.frame(rest, &mut seen, &mut record);
                continue;
            }
            let Some(end) = memchr(b'\n', rest) else {
                self.partial.extend_from_slice(rest);
                if self.partial.len() > LINE_BYTES_MAX {
                    return Err(malformed(&self.partial[..64]));
                }
                break;
            };
            if self.partial.is_empty() && rest.starts_with(b"MSG ") {
                let line = &rest[..=end];
                self.learn(line)?;
                // The line is the last one now.
                continue;
            }
            let mut line = std::mem::take(&mut self.partial);
            line.extend_from_slice(&rest[..=end]);
            rest = &rest[end + 1..];
            match line.first_chunk() {
                Some(b"MSG " | b"HMSG") => {
                    self.learn(&line)?;
                    self.skip = self.frame_len - line.len();
                    let now = self.skip.min(rest.len());
                    self.skip -= now;
                    rest = &rest[now..];
                    if self.skip == 0 {
                        self.count(&mut seen);
                    }
                }
                Some(b"PING") => seen.pings += 1,
                Some(b"PONG" | b"INFO" | b"+OK\r") => {}
                _ => return Err(refusal(&line).unwrap_or_else(|| malformed(&line))),
            }
        }
        Ok(seen)
    }

    /// A frame whose control line is the last one.
    #[inline]
    fn frame<'a>(
        &mut self,
        rest: &'a [u8],
        seen: &mut Seen,
        record: &mut impl FnMut(Duration),
    ) -> &'a [u8] {
        if let Some(age) = stamp::age(&rest[self.line.len()..]) {
            record(age);
        }
        if rest.len() < self.frame_len {
            self.skip = self.frame_len - rest.len();
            return &[];
        }
        self.count(seen);
        &rest[self.frame_len..]
    }

    #[inline]
    fn count(&self, seen: &mut Seen) {
        if self.is_end {
            seen.ends += 1;
        } else {
            seen.messages += 1;
        }
    }

    #[cold]
    fn learn(&mut self, line: &[u8]) -> Result<(), Error> {
        let mut words = line.trim_ascii_end().split(|byte| *byte == b' ');
        let sid = words.nth(2);
        let total = words.next_back().unwrap_or_default();
        let total = std::str::from_utf8(total).ok();
        let total: usize = total
            .and_then(|total| total.parse().ok())
            .ok_or_else(|| malformed(line))?;
        self.is_end = sid == Some(END_SID);
        self.line.clear();
        self.line.extend_from_slice(line);
        self.frame_len = line.len() + total + 2;
        Ok(())
    }
}

#[cold]
fn malformed(line: &[u8]) -> Error {
    Error::Malformed(String::from_utf8_lossy(line).trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire() -> (Vec<u8>, Seen) {
        let mut wire = b"INFO {}\r\n".to_vec();
        let mut seen = Seen::default();
        for number in 0..40_usize {
            let body = "x".repeat(number % 3 * 20);
            wire.extend(format!("MSG a.b 1 {}\r\n{body}\r\n", body.len()).bytes());
            wire.extend(b"MSG a.b 1 _INBOX.r 3\r\nabc\r\n");
            wire.extend(b"HMSG a 1 12 15\r\nNATS/1.0\r\n\r\nabc\r\n");
            seen.messages += 3;
            if number % 10 == 0 {
                wire.extend(b"PING\r\nPONG\r\n");
                seen.pings += 1;
            }
        }
        wire.extend(b"MSG end 9999 0\r\n\r\n");
        seen.ends = 1;
        (wire, seen)
    }

    #[test]
    fn counts_are_the_same_wherever_the_stream_is_cut() {
        let (wire, expected) = wire();
        for step in [1, 2, 3, 5, 13, 64, 1000, wire.len()] {
            let mut skim = Skim::default();
            let mut seen = Seen::default();
            for piece in wire.chunks(step) {
                let one = skim.feed(piece, |_| {}).unwrap();
                seen.messages += one.messages;
                seen.ends += one.ends;
                seen.pings += one.pings;
            }
            assert_eq!(seen, expected, "step {step}");
        }
    }

    #[test]
    fn errors_of_the_server_are_errors() {
        let refused = Skim::default().feed(b"-ERR 'Slow Consumer'\r\n", |_| {});
        assert_eq!(
            refused.unwrap_err().to_string(),
            "the server said 'Slow Consumer'"
        );
        assert!(Skim::default().feed(b"HELLO\r\n", |_| {}).is_err());
        assert!(Skim::default().feed(b"MSG a 1 x\r\n", |_| {}).is_err());
    }

    #[test]
    fn stamped_messages_are_recorded() {
        let mut payload = [b'x'; 16];
        stamp::write(&mut payload);
        let frame = [b"MSG a 1 16\r\n", &payload[..], b"\r\n"].concat();
        let mut recorded = 0;
        let seen = Skim::default().feed(&frame.repeat(3), |_| recorded += 1);
        assert_eq!(seen.unwrap().messages, 3);
        assert_eq!(recorded, 3);
    }
}
