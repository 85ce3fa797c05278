//! The codec of stored messages.
//!
//! Appends of one commit are stored together: a *head* with what the index needs to be rebuilt,
//! and the *data* with headers and payloads. Opening a stream reads heads only. Both rows have the
//! first sequence of the block as key (8 bytes, big endian). Small data lies behind its head.
//!
//! These are the bodies of rows; `disk/rows.rs` puts a checksum or a seal around them.
//!
//! ```text
//! head   flags u8 (1 = data is inline) | count u32 | base time u64 | entries length u32 |
//!        entries | inline records
//! entry  sequence step varint | time step zigzag varint | flags u8 (1 = id, 2 = expiry, 4 = marker) |
//!        subject number varint [| length varint | subject, when the number is new] |
//!        headers length varint | payload length varint |
//!        [id length varint | id] [expiry u64]
//! data   flags u8 (1 = compressed) | records, or: length of the records u32 | LZ4 block of them
//! record sequence - key u32 | headers length u32 | payload length u32 | headers | payload
//! live   bits: byte i/8, bit i%8 set = sequence key + i still exists
//! totals last sequence u64 | its time u64 | messages u64 | bytes u64
//! owner  version u8 = 1 | the owner's bytes
//! cursor version u8 = 1 | ack floor u64, u64 | delivered u64, u64 | data length u32 | data |
//!        count u32 | (sequence u64 | consumer sequence u64 | deliveries u32 | time u64) each
//! ```
//!
//! Fixed numbers are big endian; varints are LEB128; times are unix nanoseconds. An expiry of
//! `u64::MAX` means never. A live row exists only for blocks that lost messages.

use std::borrow::Cow;

use bytes::{Buf, BufMut, Bytes};
use hashbrown::HashMap;

use super::{Cursor, Pending, Sequence};

const VERSION: u8 = 1;
const HEAD_FIXED: usize = 17;
const FLAG_COMPRESSED: u8 = 1;
const FLAG_INLINE: u8 = 1;
const FLAG_ID: u8 = 1;
const FLAG_EXPIRY: u8 = 2;
const FLAG_MARKER: u8 = 4;
/// Data up to this size is stored with its head: one row instead of two for a lone message.
const INLINE_BYTES_MAX: usize = 1024;

/// A stored row that can not be right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct BadRecord(pub(super) &'static str);

/// What the index keeps of one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    pub(super) sequence: u64,
    pub(super) timestamp: u64,
    pub(super) subject: &'a [u8],
    pub(super) headers_len: usize,
    pub(super) payload_len: usize,
    pub(super) message_id: Option<&'a [u8]>,
    pub(super) expires: Option<u64>,
    /// Names the subject within one source of entries: the index, or the block they are read from.
    pub(super) subject_id: u32,
    /// Tells of an end: the marker of a subject whose last message went by age, or a tombstone. No
    /// marker follows it.
    pub(super) marker: bool,
}

/// A finished block: the head row, and the data row unless it is inline.
#[derive(Debug, Clone, Default)]
pub(super) struct Block {
    pub(super) key: u64,
    pub(super) head: Vec<u8>,
    /// Whether the head holds the records, so that there is no data row.
    pub(super) inline: bool,
    /// Headers and payloads.
    pub(super) records: Bytes,
}

/// Collects messages into one block.
#[derive(Debug, Default)]
pub(super) struct BlockBuilder {
    key: u64,
    /// Keeps the key of a block that is rewritten, whatever its first message is by now.
    fixed_key: Option<u64>,
    count: u32,
    base: u64,
    last_sequence: u64,
    last_timestamp: u64,
    entries: Vec<u8>,
    data: Vec<u8>,
    /// The subjects of this block by their ids.
    subjects: HashMap<u32, Numbered>,
    subject_count: u32,
    /// Length of the last block's data, which the next one's is likely to have.
    data_len_expected: usize,
}

/// A subject's number in the block, and where its name lies among the entries.
#[derive(Debug, Clone, Copy)]
struct Numbered {
    number: u32,
    name_start: u32,
    name_len: u32,
}

impl BlockBuilder {
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn count(&self) -> u32 {
        self.count
    }

    pub(super) fn data_len(&self) -> usize {
        self.data.len()
    }

    /// Sequence of the first message, or the one that is to be.
    pub(super) fn key_for(&self, sequence: u64) -> u64 {
        if self.is_empty() { sequence } else { self.key }
    }

    /// Adds one message.
    pub(super) fn push(&mut self, entry: &Entry<'_>, headers: &[u8], payload: &[u8]) {
        if self.is_empty() {
            self.begin(entry);
        }
        let known = self.known_subject(entry);
        let out = &mut self.entries;
        put_varint(out, entry.sequence - self.last_sequence);
        put_varint(
            out,
            zigzag(entry.timestamp.wrapping_sub(self.last_timestamp)),
        );
        let mut flags = 0;
        for (present, flag) in [
            (entry.message_id.is_some(), FLAG_ID),
            (entry.expires.is_some(), FLAG_EXPIRY),
            (entry.marker, FLAG_MARKER),
        ] {
            flags |= if present { flag } else { 0 };
        }
        out.put_u8(flags);
        put_varint(out, u64::from(known.unwrap_or(self.subject_count)));
        if known.is_none() {
            put_slice(out, entry.subject);
            let numbered = Numbered {
                number: self.subject_count,
                name_start: (out.len() - entry.subject.len()) as u32,
                name_len: entry.subject.len() as u32,
            };
            self.subjects.insert(entry.subject_id, numbered);
            self.subject_count += 1;
        }
        put_varint(out, headers.len() as u64);
        put_varint(out, payload.len() as u64);
        if let Some(id) = entry.message_id {
            put_slice(out, id);
        }
        if let Some(expires) = entry.expires {
            out.put_u64(expires);
        }
        self.data.put_u32((entry.sequence - self.key) as u32);
        self.data.put_u32(headers.len() as u32);
        self.data.put_u32(payload.len() as u32);
        self.data.extend_from_slice(headers);
        self.data.extend_from_slice(payload);
        self.last_sequence = entry.sequence;
        self.last_timestamp = entry.timestamp;
        self.count += 1;
    }

    /// Headers and payload of one message, copied.
    pub(super) fn find(&self, sequence: u64) -> Option<(Bytes, Bytes)> {
        let records = Bytes::copy_from_slice(&self.data);
        find_record(&records, self.key, sequence)
    }

    /// Ends the block and starts over.
    pub(super) fn finish(&mut self) -> Block {
        let inline = self.data.len() <= INLINE_BYTES_MAX;
        let records_len = if inline { self.data.len() } else { 0 };
        let mut head = Vec::with_capacity(HEAD_FIXED + self.entries.len() + records_len);
        head.put_u8(if inline { FLAG_INLINE } else { 0 });
        head.put_u32(self.count);
        head.put_u64(self.base);
        head.put_u32(self.entries.len() as u32);
        head.extend_from_slice(&self.entries);
        if inline {
            head.extend_from_slice(&self.data);
        }
        self.data_len_expected = self.data.len();
        let block = Block {
            key: self.key,
            head,
            inline,
            records: Bytes::from(std::mem::take(&mut self.data)),
        };
        self.entries.clear();
        self.subjects.clear();
        self.subject_count = 0;
        self.count = 0;
        block
    }

    /// The number of a subject that is in this block already. Names are compared, because an id
    /// may have gone to another subject meanwhile.
    fn known_subject(&self, entry: &Entry<'_>) -> Option<u32> {
        let known = self.subjects.get(&entry.subject_id)?;
        let name = known.name_start as usize..(known.name_start + known.name_len) as usize;
        (self.entries[name] == *entry.subject).then_some(known.number)
    }

    fn begin(&mut self, entry: &Entry<'_>) {
        self.key = self.fixed_key.unwrap_or(entry.sequence);
        self.base = entry.timestamp;
        self.last_sequence = self.key;
        self.last_timestamp = entry.timestamp;
        self.data = Vec::with_capacity(self.data_len_expected);
    }
}

/// The entries of a head row.
pub(super) fn decode_head(key: u64, head: &[u8]) -> Result<Vec<Entry<'_>>, BadRecord> {
    let (fixed, mut rest) = split_head(head)?;
    let mut fixed = &fixed[1..];
    let count = fixed.get_u32() as usize;
    let mut timestamp = fixed.get_u64();
    let mut sequence = key;
    let mut subjects: Vec<&[u8]> = Vec::new();
    let rest = &mut rest;
    // An entry has at least six bytes, so a wrong count can not ask for much memory.
    let mut entries = Vec::with_capacity(count.min(rest.len() / 6 + 1));
    for _ in 0..count {
        sequence = sequence
            .checked_add(varint(rest)?)
            .ok_or(BadRecord("sequence overflows"))?;
        timestamp = timestamp.wrapping_add(unzigzag(varint(rest)?));
        let flags = take(rest, 1)?[0];
        let number = varint(rest)? as usize;
        if number == subjects.len() {
            subjects.push(slice(rest)?);
        }
        let subject = *subjects
            .get(number)
            .ok_or(BadRecord("unknown subject number"))?;
        let headers_len = varint(rest)? as usize;
        let payload_len = varint(rest)? as usize;
        let message_id = if flags & FLAG_ID == 0 {
            None
        } else {
            Some(slice(rest)?)
        };
        let expires = if flags & FLAG_EXPIRY == 0 {
            None
        } else {
            Some(take(rest, 8)?.get_u64())
        };
        entries.push(Entry {
            sequence,
            timestamp,
            subject,
            subject_id: number as u32,
            headers_len,
            payload_len,
            message_id,
            expires,
            marker: flags & FLAG_MARKER != 0,
        });
    }
    Ok(entries)
}

/// The records behind a head, when they are inline.
pub(super) fn inline_records(head: &[u8]) -> Result<Option<&[u8]>, BadRecord> {
    let (fixed, entries) = split_head(head)?;
    if fixed[0] & FLAG_INLINE == 0 {
        return Ok(None);
    }
    Ok(Some(&head[HEAD_FIXED + entries.len()..]))
}

/// What comes before the records in a data row, and the records as they are stored: compressed
/// where that was asked for and makes them smaller.
pub(super) fn encode_data(records: &[u8], compress: bool) -> (Vec<u8>, Cow<'_, [u8]>) {
    if compress {
        let compressed = lz4_flex::block::compress(records);
        if compressed.len() + 4 < records.len() {
            let mut start = vec![FLAG_COMPRESSED];
            start.put_u32(records.len() as u32);
            return (start, Cow::Owned(compressed));
        }
    }
    (vec![0], Cow::Borrowed(records))
}

/// The records of a data row.
pub(super) fn decode_data(row: Cow<'_, [u8]>) -> Result<Bytes, BadRecord> {
    let rest = &mut &row[..];
    let flags = take(rest, 1)?[0];
    if flags & FLAG_COMPRESSED == 0 {
        return Ok(match row {
            Cow::Borrowed(row) => Bytes::copy_from_slice(&row[1..]),
            Cow::Owned(row) => Bytes::from(row).slice(1..),
        });
    }
    let len = take(rest, 4)?.get_u32() as usize;
    // LZ4 makes at most 255 bytes of one: a wrong length can not ask for much memory.
    if len > rest.len().saturating_mul(255) + 16 {
        return Err(BadRecord("data is too short for its length"));
    }
    let records = lz4_flex::block::decompress(rest, len);
    let records = records.map_err(|_| BadRecord("data does not decompress"))?;
    if records.len() != len {
        return Err(BadRecord("data has another length"));
    }
    Ok(Bytes::from(records))
}

/// Figures of the whole stream, stored with every commit that changes them. When it is opened the
/// index is compared with them: rows that were lost as a whole are noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) last: u64,
    pub(super) last_timestamp: u64,
    pub(super) messages: u64,
    pub(super) bytes: u64,
}

impl Totals {
    /// Files of the first format do not know how many messages they have.
    pub(super) fn of_first_format(last: u64, last_timestamp: u64) -> Self {
        Self {
            last,
            last_timestamp,
            messages: u64::MAX,
            bytes: u64::MAX,
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let numbers = [self.last, self.last_timestamp, self.messages, self.bytes];
        numbers.iter().flat_map(|n| n.to_be_bytes()).collect()
    }

    pub(super) fn decode(row: &[u8]) -> Result<Self, BadRecord> {
        let mut fixed = row;
        if row.len() != 32 {
            return Err(BadRecord("totals have another length"));
        }
        Ok(Self {
            last: fixed.get_u64(),
            last_timestamp: fixed.get_u64(),
            messages: fixed.get_u64(),
            bytes: fixed.get_u64(),
        })
    }
}

/// Headers and payload of one message among the records of its block.
pub(super) fn find_record(records: &Bytes, key: u64, sequence: u64) -> Option<(Bytes, Bytes)> {
    Walk::new(records.clone(), key).find(sequence)
}

/// Goes through the records of a block once, from the first to the last.
#[derive(Debug)]
pub(super) struct Walk {
    records: Bytes,
    key: u64,
    at: usize,
}

impl Walk {
    pub(super) fn new(records: Bytes, key: u64) -> Self {
        Self {
            records,
            key,
            at: 0,
        }
    }

    /// Headers and payload of a message that is not before the one found last.
    pub(super) fn find(&mut self, sequence: u64) -> Option<(Bytes, Bytes)> {
        let records = &self.records;
        while let Some(mut fixed) = records.get(self.at..self.at + 12) {
            let found = self.key + u64::from(fixed.get_u32());
            let headers = self.at + 12;
            let payload = headers + fixed.get_u32() as usize;
            let end = payload + fixed.get_u32() as usize;
            if end > records.len() || found > sequence {
                return None;
            }
            self.at = end;
            if found == sequence {
                return Some((
                    slice_of(records, headers, payload),
                    slice_of(records, payload, end),
                ));
            }
        }
        None
    }
}

/// A part of a block; an empty one does not hold on to it.
fn slice_of(records: &Bytes, start: usize, end: usize) -> Bytes {
    if start == end {
        Bytes::new()
    } else {
        records.slice(start..end)
    }
}

/// The same block with only some of its messages; `live` is sorted.
pub(super) fn rewrite(
    key: u64,
    head: &[u8],
    records: &Bytes,
    live: &[u64],
) -> Result<Block, BadRecord> {
    let mut builder = BlockBuilder {
        fixed_key: Some(key),
        ..BlockBuilder::default()
    };
    for entry in decode_head(key, head)? {
        if live.binary_search(&entry.sequence).is_err() {
            continue;
        }
        let found = find_record(records, key, entry.sequence);
        let (headers, payload) = found.ok_or(BadRecord("record is missing"))?;
        builder.push(&entry, &headers, &payload);
    }
    if builder.count() as usize != live.len() {
        return Err(BadRecord("block lost messages"));
    }
    Ok(builder.finish())
}

/// The records of some messages of a block; `live` is sorted.
pub(super) fn keep_records(records: &Bytes, key: u64, live: &[u64]) -> Bytes {
    let mut kept = Vec::new();
    for sequence in live {
        if let Some((headers, payload)) = find_record(records, key, *sequence) {
            kept.put_u32((sequence - key) as u32);
            kept.put_u32(headers.len() as u32);
            kept.put_u32(payload.len() as u32);
            kept.extend_from_slice(&headers);
            kept.extend_from_slice(&payload);
        }
    }
    Bytes::from(kept)
}

/// A live row from the sequences that still exist.
pub(super) fn encode_live(key: u64, live: impl Iterator<Item = u64>) -> Vec<u8> {
    let mut row = Vec::new();
    for sequence in live {
        let bit = (sequence - key) as usize;
        if row.len() <= bit / 8 {
            row.resize(bit / 8 + 1, 0);
        }
        row[bit / 8] |= 1 << (bit % 8);
    }
    row
}

/// Whether a live row says that `sequence` still exists.
pub(super) fn is_live(row: &[u8], key: u64, sequence: u64) -> bool {
    let bit = (sequence - key) as usize;
    row.get(bit / 8)
        .is_some_and(|byte| byte & (1 << (bit % 8)) != 0)
}

/// A consumer's row.
pub(super) fn encode_owner(owner: &[u8]) -> Vec<u8> {
    let mut row = Vec::with_capacity(1 + owner.len());
    row.put_u8(VERSION);
    row.extend_from_slice(owner);
    row
}

/// Reads a consumer's row back.
pub(super) fn decode_owner(row: &[u8]) -> Result<Bytes, BadRecord> {
    match row.split_first() {
        Some((&VERSION, owner)) => Ok(Bytes::copy_from_slice(owner)),
        _ => Err(BadRecord("unknown consumer version")),
    }
}

/// A cursor row.
pub(super) fn encode_cursor(cursor: &Cursor) -> Vec<u8> {
    let mut out = Vec::with_capacity(41 + cursor.data.len() + cursor.pending.len() * 28);
    out.put_u8(VERSION);
    out.put_u64(cursor.ack_floor.0);
    out.put_u64(cursor.ack_floor_consumer);
    out.put_u64(cursor.delivered.0);
    out.put_u64(cursor.delivered_consumer);
    out.put_u32(cursor.data.len() as u32);
    out.extend_from_slice(&cursor.data);
    out.put_u32(cursor.pending.len() as u32);
    for pending in &cursor.pending {
        out.put_u64(pending.sequence.0);
        out.put_u64(pending.consumer_sequence);
        out.put_u32(pending.deliveries);
        out.put_u64(pending.delivered_at);
    }
    out
}

/// Reads a cursor row back.
pub(super) fn decode_cursor(mut row: &[u8]) -> Result<Cursor, BadRecord> {
    let row = &mut row;
    if take(row, 1)?[0] != VERSION {
        return Err(BadRecord("unknown cursor version"));
    }
    let mut fixed = take(row, 36)?;
    let mut cursor = Cursor {
        ack_floor: Sequence(fixed.get_u64()),
        ack_floor_consumer: fixed.get_u64(),
        delivered: Sequence(fixed.get_u64()),
        delivered_consumer: fixed.get_u64(),
        ..Cursor::default()
    };
    let data_len = fixed.get_u32() as usize;
    cursor.data = Bytes::copy_from_slice(take(row, data_len)?);
    let count = take(row, 4)?.get_u32() as usize;
    for _ in 0..count {
        let mut fixed = take(row, 28)?;
        cursor.pending.push(Pending {
            sequence: Sequence(fixed.get_u64()),
            consumer_sequence: fixed.get_u64(),
            deliveries: fixed.get_u32(),
            delivered_at: fixed.get_u64(),
        });
    }
    Ok(cursor)
}

/// The fixed part and the entries.
fn split_head(head: &[u8]) -> Result<(&[u8], &[u8]), BadRecord> {
    let short = BadRecord("head is cut short");
    let (fixed, rest) = head.split_at_checked(HEAD_FIXED).ok_or(short)?;
    let entries_len = (&fixed[13..]).get_u32() as usize;
    let entries = rest.get(..entries_len).ok_or(short)?;
    Ok((fixed, entries))
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_slice(out: &mut Vec<u8>, slice: &[u8]) {
    put_varint(out, slice.len() as u64);
    out.extend_from_slice(slice);
}

fn varint(input: &mut &[u8]) -> Result<u64, BadRecord> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(input, 1)?[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(BadRecord("number is too long"))
}

fn slice<'a>(input: &mut &'a [u8]) -> Result<&'a [u8], BadRecord> {
    let len = varint(input)?;
    take(
        input,
        usize::try_from(len).map_err(|_| BadRecord("row is cut short"))?,
    )
}

fn take<'a>(input: &mut &'a [u8], len: usize) -> Result<&'a [u8], BadRecord> {
    let (taken, rest) = input
        .split_at_checked(len)
        .ok_or(BadRecord("row is cut short"))?;
    *input = rest;
    Ok(taken)
}

fn zigzag(step: u64) -> u64 {
    (step << 1) ^ (0_u64.wrapping_sub(step >> 63))
}

fn unzigzag(value: u64) -> u64 {
    (value >> 1) ^ 0_u64.wrapping_sub(value & 1)
}

#[cfg(test)]
mod tests;
