//! The rows that one commit changes.

use bytes::Bytes;

use super::super::log::Touch;
use super::super::record::{self, Block};
use super::Changes;
use super::edits::Edits;
use super::error::Fault;
use super::rows::{CONFIG_ROW, Place, Rows, TOTALS_ROW};

/// What a row costs beside the data of its block, about.
const ROW_BYTES: usize = 512;

/// Head and records of a block that is stored already; `None` when there is none.
pub(super) type Stored<'a> = &'a dyn Fn(u64) -> Result<Option<(Vec<u8>, Bytes)>, Fault>;

/// The edits that make a commit.
pub(super) fn edits(
    changes: &Changes,
    rows: &Rows,
    compress: bool,
    stored: Stored<'_>,
) -> Result<Bytes, Fault> {
    let blocks = changes.blocks.iter();
    let data = blocks.map(|block| block.head.len() + block.records.len() + ROW_BYTES);
    let mut edits = Edits::with_capacity(data.sum::<usize>() + ROW_BYTES);
    for block in &changes.blocks {
        put_block(&mut edits, block, rows, compress)?;
    }
    touched(&mut edits, changes, rows, compress, stored)?;
    if let Some(config) = &changes.config {
        let json = serde_json::to_vec(&**config).map_err(|e| Fault::damage(e.to_string()))?;
        edits.put(rows, Place::Meta, CONFIG_ROW.as_bytes(), &[&json])?;
    }
    if let Some(totals) = &changes.totals {
        let body = totals.encode();
        edits.put(rows, Place::Meta, TOTALS_ROW.as_bytes(), &[&body])?;
    }
    named(&mut edits, Place::Cursors, &changes.cursors, rows)?;
    named(&mut edits, Place::Consumers, &changes.consumers, rows)?;
    Ok(edits.into_bytes())
}

fn put_block(edits: &mut Edits, block: &Block, rows: &Rows, compress: bool) -> Result<(), Fault> {
    let key = &block.key.to_be_bytes();
    edits.put(rows, Place::Heads, key, &[&block.head])?;
    if !block.inline {
        let (start, data) = record::encode_data(&block.records, compress);
        edits.put(rows, Place::Blocks, key, &[&start, &data])?;
    }
    Ok(())
}

/// Rows by name; `None` removes one.
fn named(
    edits: &mut Edits,
    place: Place,
    changes: &[(String, Option<Vec<u8>>)],
    rows: &Rows,
) -> Result<(), Fault> {
    for (name, row) in changes {
        let key = rows.name_key(name);
        match row {
            Some(row) => {
                let len = name_len(name)?;
                let parts = [&len[..], name.as_bytes(), row];
                edits.put(rows, place, key.as_bytes(), &parts)?;
            }
            None => edits.remove(place, key.as_bytes())?,
        }
    }
    Ok(())
}

/// Stores a row by name in the database itself.
///
/// `length of the name u16 | name | row`
pub(super) fn put_named(
    table: &mut redb::Table<'_, &'static str, &'static [u8]>,
    place: Place,
    name: &str,
    row: &[u8],
    rows: &Rows,
) -> Result<(), Fault> {
    let len = name_len(name)?;
    let parts = [&len[..], name.as_bytes(), row];
    rows.put(table, place, &rows.name_key(name), &parts)
}

fn name_len(name: &str) -> Result<[u8; 2], Fault> {
    let len = u16::try_from(name.len()).map_err(|_| Fault::damage("a name is too long"))?;
    Ok(len.to_be_bytes())
}

fn touched(
    edits: &mut Edits,
    changes: &Changes,
    rows: &Rows,
    compress: bool,
    stored: Stored<'_>,
) -> Result<(), Fault> {
    for (block, touch) in &changes.touched {
        let key = &block.to_be_bytes();
        match touch {
            Touch::Drop => {
                for place in [Place::Heads, Place::Blocks, Place::Live] {
                    edits.remove(place, key)?;
                }
            }
            Touch::Thin(live) => {
                let row = record::encode_live(*block, live.iter().copied());
                edits.put(rows, Place::Live, key, &[&row])?;
            }
            Touch::Rewrite(live) => {
                let mut new = changes.blocks.iter().filter(|new| new.key == *block);
                let before = match new.next() {
                    Some(new) => Some((new.head.clone(), new.records.clone())),
                    None => stored(*block)?,
                };
                let (head, records) = before.ok_or_else(|| Fault::damage("a block is missing"))?;
                let rewritten = record::rewrite(*block, &head, &records, live)?;
                put_block(edits, &rewritten, rows, compress)?;
                if rewritten.inline {
                    edits.remove(Place::Blocks, key)?;
                }
                edits.remove(Place::Live, key)?;
            }
        }
    }
    Ok(())
}
