//! How a record lies in a journal.
//!
//! ```text
//! record   sectors of 512 bytes, up to a full page of 4 KiB
//! sector   tag u64 | 504 bytes of the content
//! content  header | edits (`edits.rs`) | zeros
//! header   length of the edits u32 | crc32 u32 of the edits | synced u64 | before u64 | crc32 u32 of the header
//! ```
//!
//! The tag is the generation of the journal, which is drawn by chance, plus the number of the record
//! in it. A disk writes a sector whole or not at all, so tags tell a record that power cut short
//! (a sector has the tag of what was there before) from one that was damaged later (all tags are
//! right, or nearly, and a checksum is not). The first is the end of the journal; the second must not
//! be, since it was acknowledged.
//!
//! `synced` says how many records were on the disk for certain when this one was begun, and `before`
//! how many the generation before this one has: with them a record that is missing between others is
//! noticed.
//!
//! What lies in the rows is sealed, so nobody who writes messages can choose the bytes of a sector.

use bytes::Buf;

pub(super) const SECTOR: usize = 512;
/// What the system writes at once: a record has its pages for itself, so that those of records that
/// were acknowledged are never written again.
pub(super) const PAGE: usize = 4096;
const TAG: usize = 8;
const CONTENT: usize = SECTOR - TAG;
const HEADER: usize = 28;
/// A tag that differs in so few bits was the right one once.
const ROTTEN_BITS_MAX: u32 = 3;

/// What comes before the edits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    len: u32,
    crc: u32,
    /// Records of this generation that were on the disk when this one was begun.
    pub(super) synced: u64,
    /// Records of the generation before this one.
    pub(super) before: u64,
}

impl Header {
    pub(super) fn new(edits: &[u8], synced: u64, before: u64) -> Self {
        Self {
            // Longer ones do not fit into an area of a journal.
            len: edits.len() as u32,
            crc: crc32fast::hash(edits),
            synced,
            before,
        }
    }

    fn encode(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..4].copy_from_slice(&self.len.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.crc.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.synced.to_be_bytes());
        bytes[16..24].copy_from_slice(&self.before.to_be_bytes());
        let crc = crc32fast::hash(&bytes[..24]);
        bytes[24..].copy_from_slice(&crc.to_be_bytes());
        bytes
    }

    fn decode(mut bytes: &[u8]) -> Option<Self> {
        let crc = crc32fast::hash(bytes.get(..24)?);
        let header = Self {
            len: bytes.get_u32(),
            crc: bytes.get_u32(),
            synced: bytes.get_u64(),
            before: bytes.get_u64(),
        };
        (bytes.get_u32() == crc).then_some(header)
    }
}

/// What lies where a record could be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A record, and the bytes it takes.
    Record(Header, Vec<u8>, usize),
    /// None, or one that was not written to its end.
    Nothing,
    /// One that was whole and is not any more.
    Rotten,
}

/// Bytes that a record takes.
pub(super) fn record_bytes(edits_len: usize) -> usize {
    let sectors = (HEADER + edits_len).div_ceil(CONTENT);
    (sectors * SECTOR).next_multiple_of(PAGE)
}

/// Writes a record over what is in `out`.
pub(super) fn encode(out: &mut Vec<u8>, tag: u64, header: &Header, edits: &[u8]) {
    let bytes = record_bytes(edits.len());
    out.clear();
    out.reserve(bytes);
    let header = header.encode();
    let (first, mut rest) = edits.split_at(edits.len().min(CONTENT - HEADER));
    out.extend_from_slice(&tag.to_be_bytes());
    out.extend_from_slice(&header);
    out.extend_from_slice(first);
    while !rest.is_empty() {
        let part = rest.len().min(CONTENT);
        out.extend_from_slice(&tag.to_be_bytes());
        out.extend_from_slice(&rest[..part]);
        rest = &rest[part..];
    }
    out.resize(bytes, 0);
}

/// What lies at the beginning of these bytes, where the record with this tag should be.
pub(super) fn decode(bytes: &[u8], tag: u64) -> Found {
    let Some((first, _)) = bytes.split_first_chunk::<SECTOR>() else {
        return Found::Nothing;
    };
    match tagged(first, tag) {
        Tagged::No => return Found::Nothing,
        Tagged::Nearly => return Found::Rotten,
        Tagged::Yes => {}
    }
    let Some(header) = Header::decode(&first[TAG..TAG + HEADER]) else {
        return Found::Rotten;
    };
    let len = header.len as usize;
    let sectors = (HEADER + len).div_ceil(CONTENT);
    let taken = record_bytes(len);
    let Some(bytes) = bytes.get(..taken) else {
        return Found::Rotten;
    };
    let mut edits = Vec::with_capacity(sectors * CONTENT);
    let (mut torn, mut rotten) = (false, false);
    for sector in bytes.chunks_exact(SECTOR).take(sectors) {
        match tagged(sector, tag) {
            Tagged::Yes => {}
            Tagged::No => torn = true,
            Tagged::Nearly => rotten = true,
        }
        edits.extend_from_slice(&sector[TAG..]);
    }
    edits.drain(..HEADER);
    edits.truncate(len);
    if rotten {
        Found::Rotten
    } else if torn {
        Found::Nothing
    } else if crc32fast::hash(&edits) == header.crc {
        Found::Record(header, edits, taken)
    } else {
        Found::Rotten
    }
}

/// Whether a record lies anywhere that was begun after record `number` was on the disk.
pub(super) fn goes_on_after(bytes: &[u8], generation: u64, number: u64) -> bool {
    let most = (bytes.len() / PAGE) as u64;
    bytes.chunks_exact(PAGE).any(|page| {
        let (tag, rest) = page.split_at(TAG);
        let tag = tag.try_into().map_or(0, u64::from_be_bytes);
        let later = tag.wrapping_sub(generation);
        (number + 1..=most).contains(&later)
            && Header::decode(&rest[..HEADER]).is_some_and(|header| header.synced > number)
    })
}

enum Tagged {
    Yes,
    Nearly,
    No,
}

fn tagged(sector: &[u8], tag: u64) -> Tagged {
    let found = sector.first_chunk::<TAG>();
    let found = found.map_or(!tag, |found| u64::from_be_bytes(*found));
    match (found ^ tag).count_ones() {
        0 => Tagged::Yes,
        1..=ROTTEN_BITS_MAX => Tagged::Nearly,
        _ => Tagged::No,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAG_OF_IT: u64 = 0x0123_4567_89ab_cdef;

    fn written(len: usize) -> (Vec<u8>, Vec<u8>) {
        let edits: Vec<u8> = (0..len).map(|n| (n * 7) as u8).collect();
        let mut out = Vec::new();
        encode(&mut out, TAG_OF_IT, &Header::new(&edits, 3, 9), &edits);
        assert_eq!(out.len(), record_bytes(len));
        assert!(out.len().is_multiple_of(PAGE));
        (out, edits)
    }

    #[test]
    fn a_record_of_any_length_is_read_back() {
        for len in [0, 1, 475, 476, 477, 979, 980, 981, 4003, 4004, 4005, 70_000] {
            let (mut out, edits) = written(len);
            let taken = out.len();
            out.extend_from_slice(&[7; PAGE]);
            let Found::Record(header, found, bytes) = decode(&out, TAG_OF_IT) else {
                panic!("{len} is not found");
            };
            assert_eq!((found, bytes), (edits, taken));
            assert_eq!((header.synced, header.before), (3, 9));
            assert_eq!(decode(&out, TAG_OF_IT + 0x77), Found::Nothing);
        }
    }

    #[test]
    fn a_record_that_was_cut_short_is_none() {
        let (out, _) = written(3000);
        for lost in 0..6 {
            for before in [0, 0xff] {
                let mut torn = out.clone();
                torn[lost * SECTOR..(lost + 1) * SECTOR].fill(before);
                assert_eq!(decode(&torn, TAG_OF_IT), Found::Nothing);
            }
        }
        assert_eq!(decode(&out[..100], TAG_OF_IT), Found::Nothing);
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let (out, edits) = written(1200);
        let used = (HEADER + edits.len()).div_ceil(CONTENT) * SECTOR;
        for bit in 0..used * 8 {
            let mut rotten = out.clone();
            rotten[bit / 8] ^= 1 << (bit % 8);
            match decode(&rotten, TAG_OF_IT) {
                Found::Rotten => {}
                // What fills the last sector is no part of the record.
                Found::Record(_, found, _) => assert_eq!(found, edits),
                Found::Nothing => panic!("bit {bit} makes an acknowledged record go away"),
            }
        }
    }

    #[test]
    fn a_missing_record_is_noticed_by_a_later_one() {
        let mut journal = Vec::new();
        for number in 0..3 {
            let mut out = Vec::new();
            let header = Header::new(b"edits", number, 0);
            encode(&mut out, TAG_OF_IT + number, &header, b"edits");
            journal.extend_from_slice(&out);
        }
        assert!(goes_on_after(&journal, TAG_OF_IT, 0));
        assert!(goes_on_after(&journal, TAG_OF_IT, 1));
        assert!(!goes_on_after(&journal, TAG_OF_IT, 2));
        assert!(!goes_on_after(&journal, TAG_OF_IT ^ 0xff00, 0));
    }
}
