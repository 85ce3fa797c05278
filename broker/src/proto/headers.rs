//! Header blocks: `NATS/1.0[ code[ description]]`, `Name: value` lines, an empty line (ADR-4).
//!
//! The broker passes blocks through as they came, garbage included; only the names it reserves for itself are cut out of
//! what clients send ([`strip_reserved`]). Reading and cutting go by the same notion of a line ([`lines`]), so a block that
//! hides a reserved name from the one hides it from the other.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};

/// First line of every block.
const VERSION: &str = "NATS/1.0";
/// Names that only the broker may set, in lower case.
const RESERVED: [&[u8]; 2] = [b"nats-request-info", b"nats-user"];

/// The headers of one message, in order; names are case-sensitive and may repeat.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers {
    status: Option<(u16, String)>,
    fields: Vec<(String, String)>,
}

impl Headers {
    /// No headers: the message is a plain MSG.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a block leniently: what is not understood is left out.
    #[must_use]
    pub fn parse(block: &[u8]) -> Self {
        let mut headers = Self::new();
        for (index, line) in lines(block).enumerate() {
            let text = String::from_utf8_lossy(line);
            if index == 0 && text.starts_with(VERSION) {
                headers.status = parse_status(&text[VERSION.len()..]);
            } else if let Some((name, value)) = text.split_once(':') {
                headers.append(name, value.trim_start());
            }
        }
        headers
    }

    /// The block on the wire; empty where there is nothing to say.
    #[must_use]
    pub fn to_block(&self) -> Bytes {
        if self.is_empty() {
            return Bytes::new();
        }
        let mut block = BytesMut::with_capacity(64);
        block.extend_from_slice(VERSION.as_bytes());
        if let Some((code, description)) = &self.status {
            block.extend_from_slice(format!(" {code:03}").as_bytes());
            if !description.is_empty() {
                block.extend_from_slice(b" ");
                block.extend_from_slice(one_line(description).as_bytes());
            }
        }
        block.extend_from_slice(b"\r\n");
        for (name, value) in &self.fields {
            block.extend_from_slice(one_line(name).as_bytes());
            block.extend_from_slice(b": ");
            block.extend_from_slice(one_line(value).as_bytes());
            block.extend_from_slice(b"\r\n");
        }
        block.extend_from_slice(b"\r\n");
        block.freeze()
    }

    /// The first value of a header, by its exact name.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        self.iter()
            .find(|(other, _)| *other == name)
            .map(|(_, value)| value)
    }

    /// Adds a value and keeps those already there.
    pub fn append(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.fields.push((name.into(), value.into()));
    }

    /// Replaces all values of a header.
    pub fn insert(&mut self, name: impl Into<String>, value: impl Into<String>) {
        let name = name.into();
        self.fields.retain(|(other, _)| *other != name);
        self.append(name, value);
    }

    /// As [`Headers::insert`], for building in one expression.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.insert(name, value);
        self
    }

    /// Sets the status of the first line.
    #[must_use]
    pub fn with_status(mut self, code: u16, description: impl Into<String>) -> Self {
        self.status = Some((code, description.into()));
        self
    }

    /// The status code of the first line: 503 means that nobody answers.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.status.as_ref().map(|(code, _)| *code)
    }

    /// The description beside the status code.
    #[must_use]
    pub fn description(&self) -> Option<&str> {
        self.status
            .as_ref()
            .map(|(_, description)| description.as_str())
    }

    /// Names and values in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether there is neither a status nor a field.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.status.is_none() && self.fields.is_empty()
    }
}

fn parse_status(rest: &str) -> Option<(u16, String)> {
    let rest = rest.trim_start();
    let code = rest.get(..3)?.parse().ok()?;
    Some((code, rest[3..].trim().to_owned()))
}

fn one_line(text: &str) -> Cow<'_, str> {
    if text.contains(['\r', '\n']) {
        Cow::Owned(text.replace(['\r', '\n'], " "))
    } else {
        Cow::Borrowed(text)
    }
}

/// Splits a block into its non-empty lines; CR and LF each end one, so a lone one of them hides nothing.
pub(crate) fn lines(block: &[u8]) -> impl Iterator<Item = &[u8]> {
    block
        .split(|byte| matches!(byte, b'\r' | b'\n'))
        .filter(|line| !line.is_empty())
}

/// Whether a line names a reserved header, whatever its case and the blanks around the name.
fn is_reserved(line: &[u8]) -> bool {
    let Some(colon) = memchr::memchr(b':', line) else {
        return false;
    };
    let is_noise = |byte: &u8| *byte <= b' ' || *byte == 0x7f;
    let name = &line[..colon];
    let Some(start) = name.iter().position(|byte| !is_noise(byte)) else {
        return false;
    };
    let end = name
        .iter()
        .rposition(|byte| !is_noise(byte))
        .map_or(start, |last| last + 1);
    RESERVED
        .iter()
        .any(|reserved| name[start..end].eq_ignore_ascii_case(reserved))
}

/// The block without reserved headers and their continuation lines, or `None` where it holds none: the common case, which
/// allocates nothing.
pub(crate) fn strip_reserved(block: &[u8]) -> Option<Bytes> {
    if !lines(block).any(is_reserved) {
        return None;
    }
    let mut kept = BytesMut::with_capacity(block.len());
    let mut cutting = false;
    for (index, line) in lines(block).enumerate() {
        let continues = index > 0 && matches!(line[0], b' ' | b'\t') && cutting;
        cutting = continues || is_reserved(line);
        if !cutting {
            kept.extend_from_slice(line);
            kept.extend_from_slice(b"\r\n");
        }
    }
    if kept.is_empty() {
        kept.extend_from_slice(b"NATS/1.0\r\n");
    }
    kept.extend_from_slice(b"\r\n");
    Some(kept.freeze())
}

/// The first value of a header in a raw block, by its exact name, without building [`Headers`].
pub(crate) fn raw_value<'a>(block: &'a [u8], name: &str) -> Option<&'a [u8]> {
    lines(block).find_map(|line| {
        let rest = line.strip_prefix(name.as_bytes())?.strip_prefix(b":")?;
        Some(rest.trim_ascii_start())
    })
}

/// The block with the status of its first line dropped, as stored messages carry it.
pub(crate) fn without_status(block: &[u8]) -> Option<Bytes> {
    let line = lines(block).next()?;
    if line.len() == VERSION.len() || !line.starts_with(VERSION.as_bytes()) {
        return None;
    }
    let rest = &block[memchr::memchr(b'\n', block)? + 1..];
    if rest == b"\r\n" {
        return Some(Bytes::new());
    }
    let mut kept = BytesMut::with_capacity(block.len());
    kept.extend_from_slice(b"NATS/1.0\r\n");
    kept.extend_from_slice(rest);
    Some(kept.freeze())
}

/// A block being made from another one.
pub(crate) struct BlockEdit(Vec<u8>);

impl BlockEdit {
    /// Starts with the lines of `block` whose name is not to be dropped.
    pub(crate) fn without(block: &[u8], is_dropped: impl Fn(&[u8]) -> bool) -> Self {
        let mut kept = Vec::with_capacity(block.len() + 64);
        for line in lines(block).filter(|line| !line.starts_with(VERSION.as_bytes())) {
            let name = &line[..memchr::memchr(b':', line).unwrap_or(line.len())];
            if !is_dropped(name) {
                kept.extend_from_slice(line);
                kept.extend_from_slice(b"\r\n");
            }
        }
        Self(kept)
    }

    /// As `block`, with another value of one header: where it stood, or else at the end.
    pub(crate) fn replacing(block: &[u8], name: &str, value: &str) -> Self {
        let line = Self(Vec::new()).with(name, value).0;
        let mut edited = Vec::with_capacity(block.len() + line.len());
        let mut is_there = false;
        for old in lines(block).filter(|line| !line.starts_with(VERSION.as_bytes())) {
            let old_name = &old[..memchr::memchr(b':', old).unwrap_or(old.len())];
            if old_name != name.as_bytes() {
                edited.extend_from_slice(old);
                edited.extend_from_slice(b"\r\n");
            } else if !std::mem::replace(&mut is_there, true) {
                edited.extend_from_slice(&line);
            }
        }
        if !is_there {
            edited.extend_from_slice(&line);
        }
        Self(edited)
    }

    /// Adds a line.
    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        for part in [name, ": ", &*one_line(value), "\r\n"] {
            self.0.extend_from_slice(part.as_bytes());
        }
        self
    }

    /// The whole block; empty where no line is left.
    pub(crate) fn finish(self) -> Bytes {
        if self.0.is_empty() {
            return Bytes::new();
        }
        [VERSION.as_bytes(), b"\r\n", &self.0, b"\r\n"]
            .concat()
            .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_strip(block: &str, expected: Option<&str>) {
        assert_eq!(
            strip_reserved(block.as_bytes()).as_deref(),
            expected.map(str::as_bytes),
            "{block:?}"
        );
    }

    #[test]
    fn reserved_names_are_cut_whatever_their_spelling() {
        check_strip("NATS/1.0\r\nA: b\r\n\r\n", None);
        check_strip("NATS/1.0\r\nX-Nats-User: b\r\n\r\n", None);
        check_strip(
            "NATS/1.0\r\nNats-User: a\r\nB: c\r\n\r\n",
            Some("NATS/1.0\r\nB: c\r\n\r\n"),
        );
        check_strip(
            "NATS/1.0\r\nnats-REQUEST-info: a\r\n\r\n",
            Some("NATS/1.0\r\n\r\n"),
        );
        check_strip(
            "NATS/1.0\r\n\tNats-User : a\r\n\r\n",
            Some("NATS/1.0\r\n\r\n"),
        );
        check_strip("NATS/1.0\nNats-User: a\n\n", Some("NATS/1.0\r\n\r\n"));
        check_strip(
            "NATS/1.0\r\nA: b\rNats-User: a\r\n\r\n",
            Some("NATS/1.0\r\nA: b\r\n\r\n"),
        );
        check_strip("Nats-User: a\r\n\r\n", Some("NATS/1.0\r\n\r\n"));
        check_strip(
            "NATS/1.0\r\nNats-User: a\r\n more: b\r\nC: d\r\n\r\n",
            Some("NATS/1.0\r\nC: d\r\n\r\n"),
        );
        check_strip("\0Nats-User\0:x", Some("NATS/1.0\r\n\r\n"));
    }

    #[test]
    fn blocks_survive_a_round_trip() {
        let headers = Headers::new()
            .with_status(503, "")
            .with("Nats-Subject", "a.b");
        assert_eq!(
            &headers.to_block()[..],
            b"NATS/1.0 503\r\nNats-Subject: a.b\r\n\r\n"
        );
        assert_eq!(Headers::parse(&headers.to_block()), headers);
        assert_eq!(Headers::new().to_block(), Bytes::new());
    }

    #[test]
    fn line_breaks_in_values_cannot_start_a_header() {
        let block = Headers::new().with("A", "b\r\nNats-User: x").to_block();
        assert_eq!(&block[..], b"NATS/1.0\r\nA: b  Nats-User: x\r\n\r\n");
    }

    #[test]
    fn names_are_case_sensitive_and_only_leading_blanks_are_dropped() {
        let block = b"NATS/1.0\r\nNats-Msg-Id:  x \r\n\r\n";
        assert_eq!(raw_value(block, "Nats-Msg-Id"), Some(&b"x "[..]));
        assert_eq!(raw_value(block, "nats-msg-id"), None);
        assert_eq!(Headers::parse(block).value("Nats-Msg-Id"), Some("x "));
    }

    #[test]
    fn blocks_are_edited_line_by_line() {
        let edit = |block: &[u8]| BlockEdit::without(block, |name| name == b"A");
        assert_eq!(
            &edit(b"NATS/1.0\r\nA: 1\r\nB: 2\r\n\r\n")
                .with("C", "3\r\nD: 4")
                .finish()[..],
            b"NATS/1.0\r\nB: 2\r\nC: 3  D: 4\r\n\r\n"
        );
        assert_eq!(&edit(b"NATS/1.0\r\nA: 1\r\n\r\n").finish()[..], b"");
        let block = b"NATS/1.0\r\nA: 1\r\nB: 2\r\nA: 3\r\n\r\n";
        assert_eq!(
            &BlockEdit::replacing(block, "A", "4").finish()[..],
            b"NATS/1.0\r\nA: 4\r\nB: 2\r\n\r\n"
        );
        assert_eq!(
            &BlockEdit::replacing(b"", "A", "4").finish()[..],
            b"NATS/1.0\r\nA: 4\r\n\r\n"
        );
        assert_eq!(
            &edit(b"").with("B", "").finish()[..],
            b"NATS/1.0\r\nB: \r\n\r\n"
        );
    }

    #[test]
    fn a_stored_message_carries_no_status() {
        assert_eq!(without_status(b"NATS/1.0\r\nA: b\r\n\r\n"), None);
        assert_eq!(
            without_status(b"NATS/1.0 503\r\n\r\n").as_deref(),
            Some(&b""[..])
        );
        assert_eq!(
            without_status(b"NATS/1.0 100 Idle\r\nA: b\r\n\r\n").as_deref(),
            Some(&b"NATS/1.0\r\nA: b\r\n\r\n"[..])
        );
    }
}
