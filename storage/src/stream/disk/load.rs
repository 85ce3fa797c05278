//! The index and single rows, read back from a file.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use redb::{ReadTransaction, ReadableTable};

use super::super::StreamConfig;
use super::super::log::Log;
use super::super::record::{self, BadRecord, Totals};
use super::FORMAT_WITH_JOURNAL;
use super::checkpoint::WaitingBlock;
use super::error::Fault;
use super::journal::Mark;
use super::rows::{
    CONFIG_ROW, FORMAT_ROW, HEADS, JOURNAL_ROW, LIVE, META, Place, Rows, TOTALS_ROW,
};

/// Format number of a file; an unknown one is an error.
pub(super) fn format(meta: &impl ReadableTable<&'static str, &'static [u8]>) -> Result<u32, Fault> {
    let row = meta.get(FORMAT_ROW)?;
    let row = row.ok_or_else(|| Fault::damage("it is not a stream file"))?;
    let found = row.value().try_into().map_or(0, u32::from_be_bytes);
    match found {
        1..=FORMAT_WITH_JOURNAL => Ok(found),
        0 => Err(Fault::damage("its format number is damaged")),
        _ => Err(Fault::Newer(found)),
    }
}

/// Reads the configuration and rebuilds the index.
pub(super) fn log(read: &ReadTransaction, rows: &Rows, now: u64) -> Result<Log, Fault> {
    let meta = read.open_table(META)?;
    format(&meta)?;
    let mut log = Log::new(Arc::new(config(&meta, rows)?));
    let heads = read.open_table(HEADS)?;
    let live = read.open_table(LIVE)?;
    for row in heads.iter()? {
        let (key, head) = row?;
        let block = u64::from_be_bytes(*key.value());
        let head = rows.open(Place::Heads, key.value(), head.value())?;
        let entries = record::decode_head(block, &head)?;
        let live = live.get(key.value())?;
        let live = live.as_ref().map(|row| row.value());
        let live = live.map(|row| rows.open(Place::Live, key.value(), row));
        let live = live.transpose()?;
        for entry in &entries {
            let alive = live
                .as_ref()
                .is_none_or(|row| record::is_live(row, block, entry.sequence));
            log.load(entry, block, alive, now);
        }
        if live.is_some() {
            log.load_thinned(block, entries.len() as u32);
        }
    }
    if let Some(totals) = totals(&meta, rows)? {
        log.load_last(totals.last, totals.last_timestamp);
        compare(&log, &totals)?;
    }
    Ok(log)
}

pub(super) fn config(
    meta: &impl ReadableTable<&'static str, &'static [u8]>,
    rows: &Rows,
) -> Result<StreamConfig, Fault> {
    let row = meta.get(CONFIG_ROW)?;
    let row = row.ok_or_else(|| Fault::damage("its configuration is missing"))?;
    let json = rows.open(Place::Meta, CONFIG_ROW.as_bytes(), row.value())?;
    serde_json::from_slice(&json)
        .map_err(|error| Fault::damage(format!("its configuration is unreadable: {error}")))
}

/// Figures of the last commit; none in a stream that was never used.
pub(super) fn totals(
    meta: &impl ReadableTable<&'static str, &'static [u8]>,
    rows: &Rows,
) -> Result<Option<Totals>, Fault> {
    let Some(row) = meta.get(TOTALS_ROW)? else {
        return Ok(None);
    };
    let row = rows.open(Place::Meta, TOTALS_ROW.as_bytes(), row.value())?;
    Ok(Some(Totals::decode(&row)?))
}

/// Where the journal lies; none in a file that was closed.
pub(super) fn mark(read: &ReadTransaction, rows: &Rows) -> Result<Option<Mark>, Fault> {
    let meta = read.open_table(META)?;
    let Some(row) = meta.get(JOURNAL_ROW)? else {
        return Ok(None);
    };
    let row = rows.open(Place::Meta, JOURNAL_ROW.as_bytes(), row.value())?;
    Ok(Some(Mark::decode(&row)?))
}

/// Rows that are whole and yet too few or too many.
fn compare(log: &Log, totals: &Totals) -> Result<(), Fault> {
    let found = log.totals();
    if found == *totals || *totals == Totals::of_first_format(totals.last, totals.last_timestamp) {
        return Ok(());
    }
    Err(Fault::damage(format!(
        "it holds {} messages of {} bytes up to sequence {}, and should hold {} of {} up to {}",
        found.messages, found.bytes, found.last, totals.messages, totals.bytes, totals.last,
    )))
}

/// The records of a block; `None` when it is gone. Rows that wait come before those stored.
pub(super) fn records(
    heads: &impl ReadableTable<&'static [u8; 8], &'static [u8]>,
    blocks: &impl ReadableTable<&'static [u8; 8], &'static [u8]>,
    rows: &Rows,
    block: u64,
    waiting: &WaitingBlock,
) -> Result<Option<Bytes>, Fault> {
    let key = &block.to_be_bytes();
    match &waiting.data {
        Some(Some(row)) => return data_records(rows, key, row).map(Some),
        Some(None) => {}
        None => {
            if let Some(row) = blocks.get(key)? {
                return data_records(rows, key, row.value()).map(Some);
            }
        }
    }
    match &waiting.head {
        Some(Some(row)) => inline_records(rows, key, row),
        Some(None) => Ok(None),
        None => match heads.get(key)? {
            Some(row) => inline_records(rows, key, row.value()),
            None => Ok(None),
        },
    }
}

/// The records of a data row.
fn data_records(rows: &Rows, key: &[u8; 8], row: &[u8]) -> Result<Bytes, Fault> {
    let row = rows.open(Place::Blocks, key, row)?;
    Ok(record::decode_data(row)?)
}

/// The records behind a head, where they lie there.
fn inline_records(rows: &Rows, key: &[u8; 8], row: &[u8]) -> Result<Option<Bytes>, Fault> {
    let head = rows.open(Place::Heads, key, row)?;
    let records = record::inline_records(&head)?;
    Ok(records.map(Bytes::copy_from_slice))
}

/// Name and body of a row that belongs to a name.
pub(super) fn named<'a>(
    rows: &Rows,
    place: Place,
    key: &str,
    row: &'a [u8],
) -> Result<(String, Cow<'a, [u8]>), BadRecord> {
    let body = rows.open(place, key.as_bytes(), row)?;
    let short = BadRecord("row is cut short");
    let (len, rest) = body.split_first_chunk::<2>().ok_or(short)?;
    let len = usize::from(u16::from_be_bytes(*len));
    let name = rest.get(..len).ok_or(short)?.to_vec();
    let name = String::from_utf8(name).map_err(|_| BadRecord("a name is not text"))?;
    let body = match body {
        Cow::Borrowed(body) => Cow::Borrowed(&body[2 + len..]),
        Cow::Owned(mut body) => Cow::Owned(body.split_off(2 + len)),
    };
    Ok((name, body))
}
