//! The bytes of a backup.
//!
//! ```text
//! archive := magic record* end
//! magic   := "natterjack\x01"                    the last byte is the version
//! record  := kind:u8 len:u32 body                numbers are big-endian
//! kind 1  := body is the stream, as JSON
//! kind 2  := body is one consumer, as JSON
//! kind 3  := sequence:u64 timestamp:u64 subject_len:u32 headers_len:u32 subject headers payload
//! kind 4  := the end; body is crc:u32 over all bytes before this record
//! ```
//!
//! Records come in the order of their kinds. Reading is sans-IO: bytes in, records out, in whatever pieces they arrive.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use crc32fast::Hasher;
use storage::stream::{Sequence, StoredMessage};

const MAGIC: &[u8; 11] = b"natterjack\x01";
/// How nats-server's backups begin: they are compressed with S2.
const S2_MAGIC: &[u8] = b"\xff\x06\x00\x00S2sTwO";
/// Kind and length.
const RECORD_HEAD: usize = 5;
/// Sequence, timestamp and two lengths.
const MESSAGE_HEAD: usize = 24;
/// Largest record: the largest message that a server can be told to take, with room for its subject.
const RECORD_BYTES_MAX: usize = (64 << 20) + (256 << 10);

const STREAM: u8 = 1;
const CONSUMER: u8 = 2;
const MESSAGE: u8 = 3;
const END: u8 = 4;

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Record {
    Stream(Bytes),
    Consumer(Bytes),
    Message(StoredMessage),
    End,
}

/// Why bytes are no backup. The texts are for whoever restores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum ArchiveError {
    #[error(
        "this is a backup of nats-server: it holds the files of its store, which this server cannot read; copy the messages with a client instead"
    )]
    NatsServer,
    #[error("these bytes are no backup of a stream")]
    NotOurs,
    #[error("the backup was made by a newer version of this server")]
    Newer,
    #[error("the backup is damaged")]
    Damaged,
    #[error("the backup ends too early")]
    Short,
}

/// Writes an archive, record by record, into a buffer that the caller empties.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) buffer: BytesMut,
    hasher: Hasher,
}

impl Writer {
    pub(super) fn new() -> Self {
        let mut hasher = Hasher::new();
        hasher.update(MAGIC);
        Self {
            buffer: BytesMut::from(&MAGIC[..]),
            hasher,
        }
    }

    pub(super) fn stream(&mut self, json: &[u8]) {
        self.record(STREAM, json.len(), |buffer| buffer.put_slice(json));
    }

    pub(super) fn consumer(&mut self, json: &[u8]) {
        self.record(CONSUMER, json.len(), |buffer| buffer.put_slice(json));
    }

    pub(super) fn message(&mut self, message: &StoredMessage) {
        let StoredMessage {
            sequence,
            subject,
            headers,
            payload,
            timestamp,
        } = message;
        let len = MESSAGE_HEAD + subject.len() + headers.len() + payload.len();
        self.record(MESSAGE, len, |buffer| {
            buffer.put_u64(sequence.0);
            buffer.put_u64(*timestamp);
            put_len(buffer, subject.len());
            put_len(buffer, headers.len());
            buffer.put_slice(subject);
            buffer.put_slice(headers);
            buffer.put_slice(payload);
        });
    }

    pub(super) fn end(&mut self) {
        let sum = self.hasher.clone().finalize();
        self.record(END, 4, |buffer| buffer.put_u32(sum));
    }

    fn record(&mut self, kind: u8, len: usize, body: impl FnOnce(&mut BytesMut)) {
        let start = self.buffer.len();
        self.buffer.put_u8(kind);
        put_len(&mut self.buffer, len);
        body(&mut self.buffer);
        self.hasher.update(&self.buffer[start..]);
    }
}

fn put_len(buffer: &mut BytesMut, len: usize) {
    buffer.put_u32(u32::try_from(len).expect("messages are smaller than 4 GiB"));
}

/// Reads an archive that arrives in pieces.
#[derive(Debug, Default)]
pub(super) struct Reader {
    buffer: BytesMut,
    hasher: Hasher,
    has_magic: bool,
    /// Kind of the last record: they do not go back.
    last: u8,
}

/// Everything that is read from an archive that comes in pieces, and what ends it.
#[cfg(any(test, fuzzing))]
pub(crate) fn records(archive: &[u8], piece: usize) -> Vec<String> {
    let mut reader = Reader::default();
    let mut seen = Vec::new();
    for bytes in archive.chunks(piece) {
        reader.push(bytes);
        loop {
            match reader.next() {
                Ok(Some(record)) => seen.push(format!("{record:?}")),
                Ok(None) => break,
                Err(error) => {
                    seen.push(error.to_string());
                    return seen;
                }
            }
        }
    }
    seen
}

impl Reader {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next record, if it has arrived as a whole.
    ///
    /// # Errors
    /// The bytes are no archive, or damaged.
    pub(super) fn next(&mut self) -> Result<Option<Record>, ArchiveError> {
        if !self.has_magic && !self.read_magic()? {
            return Ok(None);
        }
        let Some((&kind, rest)) = self.buffer.split_first() else {
            return Ok(None);
        };
        let is_next = match kind {
            STREAM => self.last == 0,
            CONSUMER | MESSAGE | END => (STREAM..=kind).contains(&self.last),
            _ => false,
        };
        if !is_next {
            return Err(ArchiveError::Damaged);
        }
        let Some(len) = rest.first_chunk::<4>() else {
            return Ok(None);
        };
        let len = usize::try_from(u32::from_be_bytes(*len)).map_err(|_| ArchiveError::Damaged)?;
        if len > RECORD_BYTES_MAX {
            return Err(ArchiveError::Damaged);
        }
        if self.buffer.len() < RECORD_HEAD + len {
            return Ok(None);
        }
        let sum = self.hasher.clone().finalize();
        let record = self.buffer.split_to(RECORD_HEAD + len).freeze();
        self.hasher.update(&record);
        self.last = kind;
        let mut body = record.slice(RECORD_HEAD..);
        Ok(Some(match kind {
            STREAM => Record::Stream(body),
            CONSUMER => Record::Consumer(body),
            MESSAGE => Record::Message(message(body).ok_or(ArchiveError::Damaged)?),
            _ if len == 4 && body.get_u32() == sum && self.buffer.is_empty() => Record::End,
            _ => return Err(ArchiveError::Damaged),
        }))
    }

    /// Why there is no more, where the archive has not ended.
    pub(super) fn problem(&self) -> ArchiveError {
        match self.has_magic || self.buffer.is_empty() || MAGIC.starts_with(&self.buffer) {
            true => ArchiveError::Short,
            false => ArchiveError::NotOurs,
        }
    }

    fn read_magic(&mut self) -> Result<bool, ArchiveError> {
        let (name, version) = MAGIC.split_at(MAGIC.len() - 1);
        let len = self.buffer.len().min(name.len());
        if self.buffer[..len] != name[..len] {
            let len = self.buffer.len().min(S2_MAGIC.len());
            return Err(match self.buffer[..len] == S2_MAGIC[..len] {
                true => ArchiveError::NatsServer,
                false => ArchiveError::NotOurs,
            });
        }
        match self.buffer.get(name.len()) {
            None => Ok(false),
            Some(found) if *found == version[0] => {
                self.hasher.update(MAGIC);
                self.buffer.advance(MAGIC.len());
                self.has_magic = true;
                Ok(true)
            }
            Some(_) => Err(ArchiveError::Newer),
        }
    }
}

fn message(mut body: Bytes) -> Option<StoredMessage> {
    if body.len() < MESSAGE_HEAD {
        return None;
    }
    let sequence = Sequence(body.get_u64());
    let timestamp = body.get_u64();
    let subject = usize::try_from(body.get_u32()).ok()?;
    let headers = usize::try_from(body.get_u32()).ok()?;
    if subject.checked_add(headers)? > body.len() {
        return None;
    }
    Some(StoredMessage {
        sequence,
        timestamp,
        subject: body.split_to(subject),
        headers: body.split_to(headers),
        payload: body,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample(count: u64) -> (Vec<Record>, Vec<u8>) {
        let message = |number: u64| StoredMessage {
            sequence: Sequence(number * 2),
            timestamp: number,
            subject: format!("s.{number}").into(),
            headers: match number % 2 {
                0 => Bytes::new(),
                _ => Bytes::from_static(b"NATS/1.0\r\nA: b\r\n\r\n"),
            },
            payload: vec![b'x'; usize::try_from(number).expect("small")].into(),
        };
        let messages: Vec<_> = (1..=count).map(message).collect();
        let mut writer = Writer::new();
        writer.stream(b"{}");
        writer.consumer(b"{\"name\":\"C\"}");
        messages.iter().for_each(|message| writer.message(message));
        writer.end();
        let mut records = vec![
            Record::Stream(Bytes::from_static(b"{}")),
            Record::Consumer(Bytes::from_static(b"{\"name\":\"C\"}")),
        ];
        records.extend(messages.into_iter().map(Record::Message));
        records.push(Record::End);
        (records, writer.buffer.to_vec())
    }

    fn read(bytes: &[u8], piece: usize) -> Result<Vec<Record>, ArchiveError> {
        let mut reader = Reader::default();
        let mut records = Vec::new();
        for piece in bytes.chunks(piece) {
            reader.push(piece);
            while let Some(record) = reader.next()? {
                records.push(record);
            }
        }
        match records.last() {
            Some(Record::End) => Ok(records),
            _ => Err(reader.problem()),
        }
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_in_any_pieces(count in 0u64..20, piece in 1usize..300) {
            let (records, bytes) = sample(count);
            prop_assert_eq!(read(&bytes, piece), Ok(records));
        }

        #[test]
        fn every_flipped_bit_is_noticed(count in 0u64..5, at in any::<prop::sample::Index>(), bit in 0u8..8) {
            let (_, mut bytes) = sample(count);
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert!(read(&bytes, 64).is_err());
        }

        #[test]
        fn every_cut_is_noticed(count in 0u64..5, at in any::<prop::sample::Index>()) {
            let (_, bytes) = sample(count);
            let at = at.index(bytes.len());
            prop_assert!(read(&bytes[..at], 64).is_err());
        }

        #[test]
        fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes, 7);
            let _ = read(&[&MAGIC[..], &bytes].concat(), 7);
        }
    }

    #[test]
    fn foreign_bytes_are_told_apart() {
        assert_eq!(
            read(b"\xff\x06\x00\x00S2sTwO....", 64),
            Err(ArchiveError::NatsServer)
        );
        assert_eq!(read(b"garbagegarbage", 64), Err(ArchiveError::NotOurs));
        assert_eq!(read(b"natterjack\x02", 64), Err(ArchiveError::Newer));
        assert_eq!(read(b"", 64), Err(ArchiveError::Short));
        assert_eq!(read(b"natter", 64), Err(ArchiveError::Short));
    }
}
