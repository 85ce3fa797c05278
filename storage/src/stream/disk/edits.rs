//! The rows that one commit changes, as bytes: for the journal, and for those who read them before
//! they are in the database.
//!
//! ```text
//! edit  table u8 | length of the key u8 | key | 0 u8: the row goes
//!                                             | 1 u8: length of the row u32 | row, sealed
//! ```
//!
//! Edits are whole rows, so that making them again changes nothing, and of two edits of one row the
//! later one counts.

use std::collections::BTreeMap;

use bytes::{Buf, Bytes};
use redb::WriteTransaction;

use super::super::record::BadRecord;
use super::compact::Changed;
use super::error::Fault;
use super::rows::{BLOCKS, CONSUMERS, CURSORS, HEADS, LIVE, META, Place, Rows, sealed_len};

const GOES: u8 = 0;
const STAYS: u8 = 1;

/// Edits of one commit, in order.
#[derive(Debug, Default)]
pub(super) struct Edits {
    bytes: Vec<u8>,
}

impl Edits {
    /// Room for so many bytes of rows.
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes),
        }
    }

    /// A row that is there from now on; its body is given in parts.
    pub(super) fn put(
        &mut self,
        rows: &Rows,
        place: Place,
        key: &[u8],
        parts: &[&[u8]],
    ) -> Result<(), Fault> {
        self.begin(place, key)?;
        let len = sealed_len(parts);
        let stored = u32::try_from(len).map_err(|_| Fault::damage("a row is too long"))?;
        self.bytes.push(STAYS);
        self.bytes.extend_from_slice(&stored.to_be_bytes());
        let start = self.bytes.len();
        self.bytes.resize(start + len, 0);
        rows.write(place, key, parts, &mut self.bytes[start..])
    }

    /// A row that is gone from now on.
    pub(super) fn remove(&mut self, place: Place, key: &[u8]) -> Result<(), Fault> {
        self.begin(place, key)?;
        self.bytes.push(GOES);
        Ok(())
    }

    pub(super) fn into_bytes(self) -> Bytes {
        self.bytes.into()
    }

    fn begin(&mut self, place: Place, key: &[u8]) -> Result<(), Fault> {
        let len = u8::try_from(key.len()).map_err(|_| Fault::damage("a key is too long"))?;
        self.bytes.push(place as u8);
        self.bytes.push(len);
        self.bytes.extend_from_slice(key);
        Ok(())
    }
}

/// A row as it should be; `None` = it is gone.
type Row = Option<Bytes>;

/// The newest state of rows that were edited.
#[derive(Debug, Default)]
pub(super) struct RowSet {
    heads: BTreeMap<[u8; 8], Row>,
    blocks: BTreeMap<[u8; 8], Row>,
    live: BTreeMap<[u8; 8], Row>,
    meta: BTreeMap<String, Row>,
    cursors: BTreeMap<String, Row>,
    consumers: BTreeMap<String, Row>,
}

impl RowSet {
    /// Takes edits over. The rows share their memory.
    pub(super) fn absorb(&mut self, mut edits: Bytes) -> Result<(), BadRecord> {
        while edits.has_remaining() {
            self.absorb_one(&mut edits)?;
        }
        Ok(())
    }

    fn absorb_one(&mut self, edits: &mut Bytes) -> Result<(), BadRecord> {
        let place = take(edits, 1)?[0];
        let len = take(edits, 1)?[0];
        let key = take(edits, usize::from(len))?;
        let row = match take(edits, 1)?[0] {
            GOES => None,
            STAYS => {
                let len = take(edits, 4)?.get_u32();
                Some(take(edits, len as usize)?)
            }
            _ => return Err(BadRecord("unknown kind of edit")),
        };
        let numbered = match place {
            place if place == Place::Heads as u8 => &mut self.heads,
            place if place == Place::Blocks as u8 => &mut self.blocks,
            place if place == Place::Live as u8 => &mut self.live,
            _ => {
                let key = str::from_utf8(&key).map_err(|_| BadRecord("a key is not text"))?;
                self.named_mut(place)?.insert(key.to_owned(), row);
                return Ok(());
            }
        };
        let key = key.first_chunk::<8>().filter(|_| key.len() == 8);
        let key = key.ok_or(BadRecord("a key has another length"))?;
        numbered.insert(*key, row);
        Ok(())
    }

    fn named_mut(&mut self, place: u8) -> Result<&mut BTreeMap<String, Row>, BadRecord> {
        match place {
            place if place == Place::Meta as u8 => Ok(&mut self.meta),
            place if place == Place::Cursors as u8 => Ok(&mut self.cursors),
            place if place == Place::Consumers as u8 => Ok(&mut self.consumers),
            _ => Err(BadRecord("unknown table")),
        }
    }

    /// Head row and data row of a block, where they were edited.
    pub(super) fn block(&self, key: &[u8; 8]) -> (Option<&Row>, Option<&Row>) {
        (self.heads.get(key), self.blocks.get(key))
    }

    /// The rows of a table that belong to names.
    pub(super) fn named(&self, place: Place) -> &BTreeMap<String, Row> {
        match place {
            Place::Consumers => &self.consumers,
            Place::Cursors => &self.cursors,
            _ => &self.meta,
        }
    }

    /// Makes the rows of the database what they are here.
    pub(super) fn apply(&self, write: &WriteTransaction) -> Result<(), Fault> {
        for (table, rows) in [
            (HEADS, &self.heads),
            (BLOCKS, &self.blocks),
            (LIVE, &self.live),
        ] {
            if rows.is_empty() {
                continue;
            }
            let mut table = write.open_table(table)?;
            for (key, row) in rows {
                match row {
                    Some(row) => drop(table.insert(key, &row[..])?),
                    None => drop(table.remove(key)?),
                }
            }
        }
        for (table, rows) in [
            (META, &self.meta),
            (CURSORS, &self.cursors),
            (CONSUMERS, &self.consumers),
        ] {
            if rows.is_empty() {
                continue;
            }
            let mut table = write.open_table(table)?;
            for (key, row) in rows {
                match row {
                    Some(row) => drop(table.insert(&key[..], &row[..])?),
                    None => drop(table.remove(&key[..])?),
                }
            }
        }
        Ok(())
    }

    /// Tells a copier of the file which rows will be other ones.
    pub(super) fn note(&self, changed: &mut Changed) {
        for rows in [&self.heads, &self.blocks, &self.live] {
            changed.note_blocks(rows.keys().map(|key| u64::from_be_bytes(*key)));
        }
        for rows in [&self.cursors, &self.consumers] {
            changed.note_names(rows.keys().cloned());
        }
    }
}

fn take(edits: &mut Bytes, len: usize) -> Result<Bytes, BadRecord> {
    if edits.len() < len {
        return Err(BadRecord("an edit is cut short"));
    }
    Ok(edits.split_to(len))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 32] = [4; 32];

    fn edits() -> Bytes {
        let rows = Rows::new(&KEY, false);
        let mut edits = Edits::default();
        edits.put(&rows, Place::Heads, &[1; 8], &[b"one"]).unwrap();
        edits.put(&rows, Place::Heads, &[1; 8], &[b"two"]).unwrap();
        edits.remove(Place::Blocks, &[1; 8]).unwrap();
        let name = rows.name_key("worker");
        edits
            .put(&rows, Place::Cursors, name.as_bytes(), &[b"at ", b"9"])
            .unwrap();
        edits.into_bytes()
    }

    #[test]
    fn the_later_edit_of_a_row_counts() {
        let rows = Rows::new(&KEY, false);
        let mut set = RowSet::default();
        set.absorb(edits()).unwrap();
        let (head, data) = set.block(&[1; 8]);
        let head = head.unwrap().as_ref().unwrap();
        assert_eq!(&*rows.open(Place::Heads, &[1; 8], head).unwrap(), b"two");
        assert_eq!(data, Some(&None));
        let cursors = set.named(Place::Cursors);
        let (name, cursor) = cursors.first_key_value().unwrap();
        let cursor = cursor.as_ref().unwrap();
        let cursor = rows.open(Place::Cursors, name.as_bytes(), cursor).unwrap();
        assert_eq!(&*cursor, b"at 9");
    }

    #[test]
    fn edits_that_are_cut_short_are_refused() {
        let edits = edits();
        let whole = (0..=edits.len()).filter(|len| {
            let mut set = RowSet::default();
            set.absorb(edits.slice(..*len)).is_ok()
        });
        // Nothing, and after each of the four.
        assert_eq!(whole.count(), 5);
    }
}
