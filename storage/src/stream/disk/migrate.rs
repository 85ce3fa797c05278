//! Brings files of earlier formats forward.
//!
//! 1 -> 2: the file gets a key, and the rows of `meta`, `live`, `cursors` and `consumers` are sealed
//! under it, in one commit. Heads and blocks, which are most of a file and have a checksum, stay as
//! they are and are still read; so the key stays in the clear, whatever key file there is.

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};

use crate::key::random;

use super::super::record::{BadRecord, Totals};
use super::FORMAT;
use super::error::Fault;
use super::load;
use super::open::store_key;
use super::rows::{
    CONFIG_ROW, CONSUMERS, CURSORS, FORMAT_ROW, LIVE, META, Place, Rows, TOTALS_ROW,
};
use super::write::put_named;

/// The figures of a stream in the first format: last sequence and its time.
const LAST_ROW: &str = "last";

/// Makes the present format of what an earlier version wrote. A file without tables is left alone.
pub(super) fn bring_forward(database: &Database) -> Result<(), Fault> {
    let found = {
        let read = database.begin_read()?;
        match read.open_table(META) {
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(()),
            opened => load::format(&opened?)?,
        }
    };
    if found >= FORMAT {
        return Ok(());
    }
    let mut write = database.begin_write()?;
    write.set_two_phase_commit(true);
    seal(&write)?;
    Ok(write.commit()?)
}

fn seal(write: &WriteTransaction) -> Result<(), Fault> {
    let key = random();
    store_key(write, &key, None)?;
    let rows = &Rows::new(&key, true);
    {
        let mut meta = write.open_table(META)?;
        let config = meta.get(CONFIG_ROW)?.map(|row| row.value().to_vec());
        let config = config.ok_or_else(|| Fault::damage("its configuration is missing"))?;
        rows.put(&mut meta, Place::Meta, CONFIG_ROW, &[&config])?;
        let last = meta.remove(LAST_ROW)?.map(|row| row.value().to_vec());
        if let Some(last) = last.as_deref().and_then(|row| row.first_chunk::<16>()) {
            let last = u128::from_be_bytes(*last);
            let totals = Totals::of_first_format((last >> 64) as u64, last as u64);
            rows.put(&mut meta, Place::Meta, TOTALS_ROW, &[&totals.encode()])?;
        }
        meta.insert(FORMAT_ROW, &FORMAT.to_be_bytes()[..])?;
    }
    {
        let mut live = write.open_table(LIVE)?;
        let mut found = Vec::new();
        for row in live.iter()? {
            let (key, row) = row?;
            let bits = row.value().get(1..).unwrap_or_default().to_vec();
            found.push((*key.value(), bits));
        }
        for (key, bits) in found {
            rows.put(&mut live, Place::Live, &key, &[&bits])?;
        }
    }
    // A consumer's row had a checksum: `1 u8 | crc32 u32 | owner`.
    named(write, rows, CONSUMERS, Place::Consumers, |row| {
        let short = BadRecord("row is cut short");
        let (_, rest) = row.split_first().ok_or(short)?;
        let (crc, owner) = rest.split_first_chunk::<4>().ok_or(short)?;
        if *crc != crc32fast::hash(owner).to_be_bytes() {
            return Err(BadRecord("row checksum differs"));
        }
        Ok([&[1], owner].concat())
    })?;
    named(write, rows, CURSORS, Place::Cursors, |row| Ok(row.to_vec()))
}

fn named(
    write: &WriteTransaction,
    rows: &Rows,
    table: TableDefinition<'static, &'static str, &'static [u8]>,
    place: Place,
    forward: impl Fn(&[u8]) -> Result<Vec<u8>, BadRecord>,
) -> Result<(), Fault> {
    let mut table = write.open_table(table)?;
    let mut found = Vec::new();
    for row in table.iter()? {
        let (name, row) = row?;
        found.push((name.value().to_owned(), forward(row.value())?));
    }
    for (name, row) in found {
        table.remove(&name[..])?;
        put_named(&mut table, place, &name, &row, rows)?;
    }
    Ok(())
}
