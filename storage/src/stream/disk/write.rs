//! The rows that one commit changes.

use redb::{ReadableTable, TableDefinition, WriteTransaction};

use super::super::log::Touch;
use super::super::record::{self, Block};
use super::error::Fault;
use super::load;
use super::rows::{
    BLOCKS, CONFIG_ROW, CONSUMERS, CURSORS, FORMAT_ROW, HEADS, LIVE, META, Place, Rows, TOTALS_ROW,
};
use super::{Changes, FORMAT};

type SequenceTable<'a> = redb::Table<'a, &'static [u8; 8], &'static [u8]>;

/// Writes what a commit changes.
pub(super) fn changes(
    write: &WriteTransaction,
    changes: &Changes,
    rows: &Rows,
    compress: bool,
) -> Result<(), Fault> {
    if !changes.blocks.is_empty() {
        let mut heads = write.open_table(HEADS)?;
        let mut blocks = write.open_table(BLOCKS)?;
        for block in &changes.blocks {
            put_block(&mut heads, &mut blocks, block, rows, compress)?;
        }
    }
    touched(write, &changes.touched, rows, compress)?;
    if changes.config.is_some() || changes.totals.is_some() {
        let mut meta = write.open_table(META)?;
        if let Some(config) = &changes.config {
            let json = serde_json::to_vec(&**config).map_err(|e| Fault::damage(e.to_string()))?;
            meta.insert(FORMAT_ROW, &FORMAT.to_be_bytes()[..])?;
            rows.put(&mut meta, Place::Meta, CONFIG_ROW, &[&json])?;
        }
        if let Some(totals) = &changes.totals {
            rows.put(&mut meta, Place::Meta, TOTALS_ROW, &[&totals.encode()])?;
        }
    }
    named(write, CURSORS, Place::Cursors, &changes.cursors, rows)?;
    named(write, CONSUMERS, Place::Consumers, &changes.consumers, rows)
}

fn put_block(
    heads: &mut SequenceTable<'_>,
    blocks: &mut SequenceTable<'_>,
    block: &Block,
    rows: &Rows,
    compress: bool,
) -> Result<(), Fault> {
    let key = &block.key.to_be_bytes();
    rows.put(heads, Place::Heads, key, &[&block.head])?;
    if !block.inline {
        let (start, data) = record::encode_data(&block.records, compress);
        rows.put(blocks, Place::Blocks, key, &[&start, &data])?;
    }
    Ok(())
}

/// Rows by name; `None` removes one.
fn named(
    write: &WriteTransaction,
    table: TableDefinition<'static, &'static str, &'static [u8]>,
    place: Place,
    changes: &[(String, Option<Vec<u8>>)],
    rows: &Rows,
) -> Result<(), Fault> {
    if changes.is_empty() {
        return Ok(());
    }
    let mut table = write.open_table(table)?;
    for (name, row) in changes {
        match row {
            Some(row) => put_named(&mut table, place, name, row, rows)?,
            None => drop(table.remove(&rows.name_key(name)[..])?),
        }
    }
    Ok(())
}

/// `length of the name u16 | name | row`
pub(super) fn put_named(
    table: &mut redb::Table<'_, &'static str, &'static [u8]>,
    place: Place,
    name: &str,
    row: &[u8],
    rows: &Rows,
) -> Result<(), Fault> {
    let len = u16::try_from(name.len()).map_err(|_| Fault::damage("a name is too long"))?;
    let parts = [&len.to_be_bytes()[..], name.as_bytes(), row];
    rows.put(table, place, &rows.name_key(name), &parts)
}

fn touched(
    write: &WriteTransaction,
    touched: &[(u64, Touch)],
    rows: &Rows,
    compress: bool,
) -> Result<(), Fault> {
    if touched.is_empty() {
        return Ok(());
    }
    let mut heads = write.open_table(HEADS)?;
    let mut blocks = write.open_table(BLOCKS)?;
    let mut lives = write.open_table(LIVE)?;
    for (block, touch) in touched {
        let key = &block.to_be_bytes();
        match touch {
            Touch::Drop => {
                heads.remove(key)?;
                blocks.remove(key)?;
                lives.remove(key)?;
            }
            Touch::Thin(live) => {
                let row = record::encode_live(*block, live.iter().copied());
                rows.put(&mut lives, Place::Live, key, &[&row])?;
            }
            Touch::Rewrite(live) => {
                let rewritten = rewritten(&heads, &blocks, rows, *block, live)?;
                put_block(&mut heads, &mut blocks, &rewritten, rows, compress)?;
                if rewritten.inline {
                    blocks.remove(key)?;
                }
                lives.remove(key)?;
            }
        }
    }
    Ok(())
}

fn rewritten(
    heads: &SequenceTable<'_>,
    blocks: &SequenceTable<'_>,
    rows: &Rows,
    block: u64,
    live: &[u64],
) -> Result<Block, Fault> {
    let gone = || Fault::damage("a block is missing");
    let key = &block.to_be_bytes();
    let head = heads.get(key)?.ok_or_else(gone)?;
    let head = rows.open(Place::Heads, key, head.value())?;
    let records = load::records(heads, blocks, rows, block)?.ok_or_else(gone)?;
    Ok(record::rewrite(block, &head, &records, live)?)
}
