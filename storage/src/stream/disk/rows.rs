//! The tables of a stream file, and what lies around the body of every row: a checksum, or a seal.
//!
//! ```text
//! plain   2 u8 | crc32 u32 of table, key and body | body
//! sealed  3 u8 | nonce (24 bytes) | XChaCha20 of the body | Poly1305 tag (16 bytes)
//! ```
//!
//! Table and key are part of what is checked, so a row is good in its own place only. A nonce is 16
//! random bytes, drawn when the file is opened, and a counter. Where rows are sealed, names are not
//! keys: HMAC-SHA-256 under a key of its own takes their place (32 hexadecimal digits), and the
//! name lies sealed in the row. What a thief of the file learns is how many rows there are, how
//! long, and which sequences they begin with. Rows that are older versions of themselves are not
//! recognised as such, but for the totals that every commit writes.
//!
//! The first format had rows that begin with 1: a checksum without table and key in heads and
//! blocks, none in the other tables. Heads and blocks of it are still read.

use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};

use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
use redb::{Key, TableDefinition};

use crate::key::{KEY_BYTES, NONCE_BYTES, TAG_BYTES, keyed_hash};

use super::super::record::BadRecord;
use super::error::Fault;

pub(super) const META: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("meta");
pub(super) const HEADS: TableDefinition<'static, &[u8; 8], &[u8]> = TableDefinition::new("heads");
pub(super) const BLOCKS: TableDefinition<'static, &[u8; 8], &[u8]> = TableDefinition::new("blocks");
pub(super) const LIVE: TableDefinition<'static, &[u8; 8], &[u8]> = TableDefinition::new("live");
pub(super) const CURSORS: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("cursors");
pub(super) const CONSUMERS: TableDefinition<'static, &str, &[u8]> =
    TableDefinition::new("consumers");

/// Rows of `meta`.
pub(super) const FORMAT_ROW: &str = "format";
pub(super) const KEY_ROW: &str = "key";
pub(super) const CONFIG_ROW: &str = "config";
pub(super) const TOTALS_ROW: &str = "totals";

const FIRST_FORMAT: u8 = 1;
const PLAIN: u8 = 2;
const SEALED: u8 = 3;
const CRC_BYTES: usize = 4;

/// A table, as rows know it. The numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Meta = 1,
    Heads = 2,
    Blocks = 3,
    Live = 4,
    Cursors = 5,
    Consumers = 6,
}

/// Puts checksums or seals around the rows of one file, and checks them.
pub(super) struct Rows {
    cipher: Option<Cipher>,
}

struct Cipher {
    cipher: XChaCha20Poly1305,
    names: [u8; KEY_BYTES],
    nonce_start: [u8; NONCE_BYTES - 8],
    nonces: AtomicU64,
}

impl Rows {
    /// Rows that everybody can read.
    pub(super) fn plain() -> Self {
        Self { cipher: None }
    }

    /// Rows that only the holder of the file's key can read.
    pub(super) fn sealed(key: &[u8; KEY_BYTES]) -> Self {
        let cipher = Cipher {
            cipher: XChaCha20Poly1305::new(key.into()),
            names: keyed_hash(key, b"natterjack names 1"),
            nonce_start: rand::random(),
            nonces: AtomicU64::new(0),
        };
        Self {
            cipher: Some(cipher),
        }
    }

    /// The key of a row that belongs to a name.
    pub(super) fn name_key<'a>(&self, name: &'a str) -> Cow<'a, str> {
        let Some(cipher) = &self.cipher else {
            return Cow::Borrowed(name);
        };
        let hash = keyed_hash(&cipher.names, name.as_bytes());
        Cow::Owned(
            hash[..16]
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect(),
        )
    }

    /// Stores a row; its body is given in parts.
    pub(super) fn put<K: Key + 'static>(
        &self,
        table: &mut redb::Table<'_, K, &'static [u8]>,
        place: Place,
        key: K::SelfType<'_>,
        parts: &[&[u8]],
    ) -> Result<(), Fault> {
        let key_bytes = K::as_bytes(&key).as_ref().to_vec();
        let len = self.len(parts);
        let mut row = table.insert_reserve(key, len)?;
        self.write(place, &key_bytes, parts, row.as_mut())
    }

    /// A row that is stored in another way than by `put`.
    #[cfg(test)]
    pub(super) fn row(&self, place: Place, key: &[u8], body: &[u8]) -> Vec<u8> {
        let mut row = vec![0; self.len(&[body])];
        self.write(place, key, &[body], &mut row).unwrap();
        row
    }

    /// The body of a row, checked.
    pub(super) fn open<'a>(
        &self,
        place: Place,
        key: &[u8],
        row: &'a [u8],
    ) -> Result<Cow<'a, [u8]>, BadRecord> {
        let short = BadRecord("row is cut short");
        let (kind, rest) = row.split_first().ok_or(short)?;
        match (*kind, &self.cipher) {
            (PLAIN, None) => {
                let (crc, body) = rest.split_at_checked(CRC_BYTES).ok_or(short)?;
                if crc != checksum(place, key, &[body]).to_be_bytes() {
                    return Err(BadRecord("row checksum differs"));
                }
                Ok(Cow::Borrowed(body))
            }
            (SEALED, Some(cipher)) => cipher.open(place, key, rest).map(Cow::Owned),
            (FIRST_FORMAT, None) => first_format(place, row).map(Cow::Owned),
            (PLAIN | FIRST_FORMAT, Some(_)) => Err(BadRecord("row is not sealed")),
            _ => Err(BadRecord("unknown kind of row")),
        }
    }

    fn len(&self, parts: &[&[u8]]) -> usize {
        let around = match self.cipher {
            None => 1 + CRC_BYTES,
            Some(_) => 1 + NONCE_BYTES + TAG_BYTES,
        };
        around + parts.iter().map(|part| part.len()).sum::<usize>()
    }

    fn write(
        &self,
        place: Place,
        key: &[u8],
        parts: &[&[u8]],
        row: &mut [u8],
    ) -> Result<(), Fault> {
        let Some(cipher) = &self.cipher else {
            row[0] = PLAIN;
            row[1..=CRC_BYTES].copy_from_slice(&checksum(place, key, parts).to_be_bytes());
            join(parts, &mut row[1 + CRC_BYTES..]);
            return Ok(());
        };
        row[0] = SEALED;
        let nonce = cipher.next_nonce();
        row[1..=NONCE_BYTES].copy_from_slice(&nonce);
        let body_end = row.len() - TAG_BYTES;
        let (body, end) = row[1 + NONCE_BYTES..].split_at_mut(body_end - 1 - NONCE_BYTES);
        join(parts, body);
        let tag = cipher
            .cipher
            .encrypt_inout_detached(&nonce.into(), &context(place, key), body.into())
            .map_err(|_| Fault::damage("a row is too long to be sealed"))?;
        end.copy_from_slice(&tag);
        Ok(())
    }
}

impl Cipher {
    fn next_nonce(&self) -> [u8; NONCE_BYTES] {
        let mut nonce = [0; NONCE_BYTES];
        let (start, count) = nonce.split_at_mut(self.nonce_start.len());
        start.copy_from_slice(&self.nonce_start);
        count.copy_from_slice(&self.nonces.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        nonce
    }

    fn open(&self, place: Place, key: &[u8], rest: &[u8]) -> Result<Vec<u8>, BadRecord> {
        let short = BadRecord("row is cut short");
        let (nonce, rest) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(short)?;
        let (body, tag) = rest.split_last_chunk::<TAG_BYTES>().ok_or(short)?;
        let mut body = body.to_vec();
        self.cipher
            .decrypt_inout_detached(
                nonce.into(),
                &context(place, key),
                (&mut body[..]).into(),
                tag.into(),
            )
            .map_err(|_| BadRecord("row does not open: it was changed or belongs elsewhere"))?;
        Ok(body)
    }
}

fn join(parts: &[&[u8]], mut out: &mut [u8]) {
    for part in parts {
        let (start, rest) = out.split_at_mut(part.len());
        start.copy_from_slice(part);
        out = rest;
    }
}

/// What a row is bound to.
fn context(place: Place, key: &[u8]) -> Vec<u8> {
    let mut context = Vec::with_capacity(1 + key.len());
    context.push(place as u8);
    context.extend_from_slice(key);
    context
}

fn checksum(place: Place, key: &[u8], parts: &[&[u8]]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&[place as u8]);
    crc.update(key);
    for part in parts {
        crc.update(part);
    }
    crc.finalize()
}

/// A row of the first format as the body it would be today.
///
/// `head  1 u8 | flags u8 | count u32 | base u64 | entries length u32 | crc32 u32 | rest`;
/// `data  1 u8 | crc32 u32 | records`.
fn first_format(place: Place, row: &[u8]) -> Result<Vec<u8>, BadRecord> {
    const HEAD_CRC_AT: usize = 18;
    const DATA_CRC_AT: usize = 1;
    let (crc_at, checked_start) = match place {
        Place::Heads => (HEAD_CRC_AT, &row[..row.len().min(HEAD_CRC_AT)]),
        Place::Blocks => (DATA_CRC_AT, &[][..]),
        _ => return Err(BadRecord("row has no checksum")),
    };
    let rest = row.get(crc_at + CRC_BYTES..);
    let rest = rest.ok_or(BadRecord("row is cut short"))?;
    let mut crc = crc32fast::Hasher::new();
    crc.update(checked_start);
    crc.update(rest);
    if row[crc_at..crc_at + CRC_BYTES] != crc.finalize().to_be_bytes() {
        return Err(BadRecord("row checksum differs"));
    }
    let start = match place {
        Place::Heads => &row[1..HEAD_CRC_AT],
        _ => &[0][..],
    };
    Ok([start, rest].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both() -> [Rows; 2] {
        [Rows::plain(), Rows::sealed(&[7; KEY_BYTES])]
    }

    #[test]
    fn a_row_opens_in_its_own_place_only() {
        for rows in both() {
            let row = rows.row(Place::Heads, &[1; 8], b"body");
            assert_eq!(&*rows.open(Place::Heads, &[1; 8], &row).unwrap(), b"body");
            assert!(rows.open(Place::Blocks, &[1; 8], &row).is_err());
            assert!(rows.open(Place::Heads, &[2; 8], &row).is_err());
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        for rows in both() {
            let row = rows.row(Place::Live, &[1; 8], b"\x05\x06");
            for bit in 0..row.len() * 8 {
                let mut damaged = row.clone();
                damaged[bit / 8] ^= 1 << (bit % 8);
                assert!(rows.open(Place::Live, &[1; 8], &damaged).is_err(), "{bit}");
            }
            for len in 0..row.len() {
                assert!(rows.open(Place::Live, &[1; 8], &row[..len]).is_err());
            }
        }
    }

    #[test]
    fn a_sealed_file_takes_no_plain_row_and_shows_nothing() {
        let [plain, sealed] = both();
        let row = plain.row(Place::Meta, b"config", b"secret text");
        assert!(sealed.open(Place::Meta, b"config", &row).is_err());
        let one = sealed.row(Place::Meta, b"config", b"secret text");
        let two = sealed.row(Place::Meta, b"config", b"secret text");
        assert_ne!(one, two);
        assert!(!one.windows(6).any(|part| part == b"secret"));
        assert!(plain.open(Place::Meta, b"config", &one).is_err());
        let key = sealed.name_key("worker");
        assert_eq!(key.len(), 32);
        assert_eq!(key, sealed.name_key("worker"));
        assert_ne!(key, sealed.name_key("reader"));
        assert_ne!(key, Rows::sealed(&[8; KEY_BYTES]).name_key("worker"));
        assert_eq!(plain.name_key("worker"), "worker");
    }
}
