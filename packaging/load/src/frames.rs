//! Reading what a server delivers, without copying it.

use std::io::{Read, Write};
use std::ops::Range;

use crate::Error;
use crate::connection::{Connection, refusal};
use crate::stream::Stream;

/// One delivered message, as places in the buffer of [`Frames`].
#[derive(Clone, Debug, Default)]
pub(crate) struct Frame {
    reply: Range<usize>,
    headers: Range<usize>,
    payload: Range<usize>,
}

/// The frames that come in on a connection.
#[derive(Debug)]
pub(crate) struct Frames {
    /// Where answers to this connection go, without the last token.
    pub(crate) inbox: String,
    stream: Stream,
    read_bytes: usize,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Frames {
    /// Reads about `read_bytes` at once.
    pub(crate) fn new(connection: Connection, inbox: String, read_bytes: usize) -> Self {
        let mut buffer = connection.rest;
        let end = buffer.len();
        buffer.resize(end + 2 * read_bytes, 0);
        Self {
            inbox,
            stream: connection.stream,
            read_bytes,
            buffer,
            start: 0,
            end,
        }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        Ok(self.stream.write_all(bytes)?)
    }

    /// The next message, however long it takes.
    pub(crate) fn wait(&mut self) -> Result<Frame, Error> {
        loop {
            if let Some(frame) = self.next()? {
                return Ok(frame);
            }
            self.fill()?;
        }
    }

    /// Reads what there is, and waits if there is nothing.
    pub(crate) fn fill(&mut self) -> Result<(), Error> {
        if self.buffer.len() - self.end < self.read_bytes {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.buffer.len() - self.end < self.read_bytes {
            self.buffer.resize(2 * self.buffer.len(), 0);
        }
        let read = self.stream.read(&mut self.buffer[self.end..])?;
        if read == 0 {
            return Err(Error::CutOff);
        }
        self.end += read;
        Ok(())
    }

    /// The next message that is whole in the buffer.
    pub(crate) fn next(&mut self) -> Result<Option<Frame>, Error> {
        loop {
            let unread = &self.buffer[self.start..self.end];
            let Some(line_len) = memchr::memchr(b'\n', unread) else {
                return Ok(None);
            };
            let line = unread[..line_len].trim_ascii_end();
            match line.split(|byte| *byte == b' ').next() {
                Some(b"MSG" | b"HMSG") => {}
                Some(b"PING") => {
                    self.stream.write_all(b"PONG\r\n")?;
                    self.start += line_len + 1;
                    continue;
                }
                Some(b"PONG" | b"INFO" | b"+OK") => {
                    self.start += line_len + 1;
                    continue;
                }
                _ => {
                    return Err(refusal(line).unwrap_or_else(|| malformed(line)));
                }
            }
            let body = self.start + line_len + 1;
            let frame = parse(line, self.start, body);
            let frame = frame.ok_or_else(|| malformed(line))?;
            if self.end < frame.payload.end + 2 {
                return Ok(None);
            }
            self.start = frame.payload.end + 2;
            return Ok(Some(frame));
        }
    }

    /// Valid until the next read, as all of these.
    pub(crate) fn payload(&self, frame: &Frame) -> &[u8] {
        &self.buffer[frame.payload.clone()]
    }

    pub(crate) fn reply(&self, frame: &Frame) -> &[u8] {
        &self.buffer[frame.reply.clone()]
    }

    /// The status in the headers, such as 408: the server's word and no message.
    pub(crate) fn status(&self, frame: &Frame) -> Option<&[u8]> {
        let line = self.buffer[frame.headers.clone()].strip_prefix(b"NATS/1.0 ")?;
        line.split(|byte| matches!(byte, b' ' | b'\r')).next()
    }
}

fn malformed(line: &[u8]) -> Error {
    Error::Malformed(String::from_utf8_lossy(line).into_owned())
}

/// Takes a control line apart; `at` is where it is in the buffer and `body` where the message begins.
fn parse(line: &[u8], at: usize, body: usize) -> Option<Frame> {
    let has_headers = line.first() == Some(&b'H');
    let mut words = [const { 0..0 }; 6];
    let mut len = 0;
    let mut from = 0;
    for word in line.split(|byte| *byte == b' ') {
        *words.get_mut(len)? = from..from + word.len();
        len += 1;
        from += word.len() + 1;
    }
    let number = |word: &Range<usize>| {
        let digits = line[word.clone()].iter();
        digits.fold(0, |value, digit| value * 10 + usize::from(digit - b'0'))
    };
    let sizes = if has_headers { 2 } else { 1 };
    let has_reply = len == 4 + sizes;
    let total = number(&words[len.checked_sub(1)?]);
    let headers = if has_headers {
        number(&words[len - 2])
    } else {
        0
    };
    let reply = if has_reply {
        words[3].start + at..words[3].end + at
    } else {
        0..0
    };
    (has_reply || len == 3 + sizes).then(|| Frame {
        reply,
        headers: body..body + headers,
        payload: body + headers..body + total,
    })
}
