//! Reads a journal back after a crash.

use std::path::Path;

use bytes::Bytes;

use crate::Error;
use crate::data_dir::io_error;

use super::super::super::files::Files;
use super::record::{Found, decode, goes_on_after};
use super::{Area, Mark, beside};

/// What a journal holds.
#[derive(Debug, Default)]
pub(in crate::stream::disk) struct Replayed {
    /// The edits of its records, in order.
    pub(in crate::stream::disk) edits: Vec<Bytes>,
    /// What is wrong: records after these were lost.
    pub(in crate::stream::disk) damage: Option<&'static str>,
}

/// Reads all records that a mark names.
///
/// # Errors
/// When the file can not be read. That records are missing is no error but damage.
pub(in crate::stream::disk) fn replay(
    files: &dyn Files,
    database: &Path,
    mark: &Mark,
) -> Result<Replayed, Error> {
    let mut found = Replayed::default();
    let path = beside(database);
    if !files.exists(&path) {
        found.damage = Some("its journal is missing");
        return Ok(found);
    }
    let file = files.open(&path)?;
    let failed = |source| io_error(&path, source);
    let len = file.len().map_err(failed)?;
    let mut before = None;
    for area in [mark.here, mark.next] {
        // Areas lie behind each other and are small; a mark that says otherwise is damaged.
        if area.start.saturating_add(area.len) > len {
            found.damage = Some("its journal is cut short");
            return Ok(found);
        }
        let mut bytes = vec![0; area.len as usize];
        file.read(area.start, &mut bytes).map_err(failed)?;
        match read_area(&bytes, &area, before, &mut found.edits) {
            Ok(records) => before = Some(records),
            Err(damage) => {
                found.damage = Some(damage);
                return Ok(found);
            }
        }
    }
    Ok(found)
}

/// Reads the records of one area; returns how many there are. `before` is how many the area before
/// it has, where it was read.
fn read_area(
    bytes: &[u8],
    area: &Area,
    before: Option<u64>,
    edits: &mut Vec<Bytes>,
) -> Result<u64, &'static str> {
    const MISSING: &str = "records of its journal are missing";
    let (mut at, mut number) = (0, 0);
    loop {
        let tag = area.generation.wrapping_add(number);
        match decode(&bytes[at..], tag) {
            Found::Record(header, record, taken) => {
                if number == 0 && before.is_some_and(|before| before != header.before) {
                    return Err(MISSING);
                }
                edits.push(record.into());
                at += taken;
                number += 1;
            }
            Found::Rotten => return Err("a record of its journal is damaged"),
            Found::Nothing if goes_on_after(bytes, area.generation, number) => return Err(MISSING),
            Found::Nothing => return Ok(number),
        }
    }
}

/// The records in these bytes.
#[cfg(any(test, fuzzing))]
pub(in crate::stream::disk) fn fuzz_area(generation: u64, bytes: &[u8]) -> Vec<Bytes> {
    let area = Area {
        generation,
        start: 0,
        len: bytes.len() as u64,
    };
    let mut edits = Vec::new();
    let _ = read_area(bytes, &area, None, &mut edits);
    edits
}
