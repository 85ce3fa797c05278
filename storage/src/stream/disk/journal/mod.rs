//! The journal of a stream: a file beside its database that commits are written to one after the
//! other.
//!
//! A commit of redb writes pages all over its file and syncs what the file system has to say about
//! that. A record of the journal is one write within a file that has its size, and one sync. So
//! small commits go here first, and into the database many at a time (`checkpoint.rs`).
//!
//! The file has areas, of which two are in use: records go into one, and the next one is agreed on
//! already. When an area is full its rows are written to the database beside further commits, which go
//! to the next area. Which two are in use stands in the database itself, in the row `journal` (the
//! [`Mark`]): a commit of the database that holds the rows of an area also forgets it. So each
//! record is either in the journal or in the database, whenever power goes, and nothing in the
//! journal has to be erased: what belongs to no mark is no record.
//!
//! Areas come in three sizes. A stream that fills one within [`BUSY`] gets the next size, up to two
//! areas of 4 MiB. A stream that is idle, or closed, has no journal at all.

mod record;
mod replay;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::{Buf, BufMut};
use redb::StorageBackend;

use crate::Error;
use crate::data_dir::io_error;
use crate::key::random;

use super::super::files::{Files, remove_if_there, sync_name};
use super::super::record::BadRecord;
use record::{Header, encode, record_bytes};

#[cfg(any(test, fuzzing))]
pub(super) use replay::fuzz_area;
pub(super) use replay::replay;

/// Sizes of areas, small first. There are two of each.
pub(super) const AREA_BYTES: [u64; 3] = [64 * 1024, 512 * 1024, 4 * 1024 * 1024];
/// Areas of all streams of the process, which the rows that wait in memory are bounded by. Beyond it
/// areas do not get larger.
const ALL_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// An area that is full within this time is too small.
const BUSY: Duration = Duration::from_secs(5);
/// Records of the length at hand that an area should take.
const RECORDS_MIN: u64 = 8;
/// What is written at once to make room in a file.
const ZEROS_BYTES: usize = 256 * 1024;
const ENDING: &str = "journal";

static ALL_BYTES: AtomicU64 = AtomicU64::new(0);

/// The journal beside a database.
fn beside(database: &Path) -> PathBuf {
    database.with_extension(ENDING)
}

/// The database that a journal belongs to, by their names; `None` when the file is no journal.
pub(in crate::stream) fn database_of(journal: &Path, ending: &str) -> Option<PathBuf> {
    let is_journal = journal.extension().is_some_and(|found| found == ENDING);
    is_journal.then(|| journal.with_extension(ending))
}

/// A part of the journal, and the tag of its first record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Area {
    generation: u64,
    start: u64,
    len: u64,
}

/// The areas that records may lie in: first all of `here`, then `next`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    here: Area,
    next: Area,
}

impl Mark {
    /// Both areas of a size.
    fn of_size(sizes: &[u64], size: usize) -> Self {
        Self {
            here: area_at(sizes, size * 2),
            next: area_at(sizes, size * 2 + 1),
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut row = Vec::with_capacity(48);
        for area in [&self.here, &self.next] {
            row.put_u64(area.generation);
            row.put_u64(area.start);
            row.put_u64(area.len);
        }
        row
    }

    pub(super) fn decode(mut row: &[u8]) -> Result<Self, BadRecord> {
        if row.len() != 48 {
            return Err(BadRecord("the mark of the journal has another length"));
        }
        let mut area = || Area {
            generation: row.get_u64(),
            start: row.get_u64(),
            len: row.get_u64(),
        };
        Ok(Self {
            here: area(),
            next: area(),
        })
    }
}

/// The smallest size of which areas take a few records of this length, else the largest.
fn size_for(sizes: &[u64], edits_len: usize) -> Option<usize> {
    let bytes = record_bytes(edits_len) as u64;
    let few = sizes.iter().position(|size| bytes * RECORDS_MIN <= *size);
    let one = || sizes.iter().rposition(|size| bytes <= *size);
    few.or_else(one)
}

/// A place for an area, by its number: two of each size.
fn area_at(sizes: &[u64], slot: usize) -> Area {
    let start: u64 = sizes[..slot / 2].iter().map(|len| len * 2).sum();
    let len = sizes[slot / 2];
    Area {
        generation: u64::from_be_bytes(random()),
        start: start + len * (slot % 2) as u64,
        len,
    }
}

/// A journal that is written to.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: Box<dyn StorageBackend>,
    sizes: &'static [u64],
    /// Slot of the area that is agreed on as the next one.
    next_slot: usize,
    mark: Mark,
    /// Where the next record goes within its area.
    at: u64,
    /// Number of the next record.
    number: u64,
    /// Records that are on the disk for certain.
    synced: u64,
    /// Records of the area before.
    before: u64,
    began: Instant,
    reserved: Reserved,
    /// One record as it is written.
    scratch: Vec<u8>,
}

impl Journal {
    /// Makes the file, with areas for edits of this length. Its mark has to be in the database before
    /// a record is written. `None`: such edits are too long for any area.
    ///
    /// # Errors
    /// When there is no room, or the disk fails: nothing is left behind then.
    pub(super) fn begin(
        files: &dyn Files,
        database: &Path,
        sizes: &'static [u64],
        edits_len: usize,
    ) -> Result<Option<Self>, Error> {
        let Some(size) = size_for(sizes, edits_len) else {
            return Ok(None);
        };
        let path = beside(database);
        let made = Self::make(files, &path, sizes, size).map(Some);
        if made.is_err() {
            drop(remove_if_there(files, &path));
        }
        made
    }

    fn make(
        files: &dyn Files,
        path: &Path,
        sizes: &'static [u64],
        size: usize,
    ) -> Result<Self, Error> {
        let failed = |source| io_error(path, source);
        remove_if_there(files, path)?;
        let file = files.open(path)?;
        let mark = Mark::of_size(sizes, size);
        fill(&*file, 0, mark.next.start + mark.next.len).map_err(failed)?;
        file.sync_data().map_err(failed)?;
        sync_name(files, path)?;
        Ok(Self {
            path: path.to_path_buf(),
            file,
            sizes,
            next_slot: size * 2 + 1,
            mark,
            at: 0,
            number: 0,
            synced: 0,
            before: 0,
            began: Instant::now(),
            reserved: Reserved::new(sizes[size] * 2),
            scratch: Vec::new(),
        })
    }

    pub(super) fn mark(&self) -> Mark {
        self.mark
    }

    /// Whether there are records that only the journal has.
    pub(super) fn is_empty(&self) -> bool {
        self.number == 0
    }

    /// Whether edits of this length fit into what is left of the area.
    pub(super) fn has_room(&self, edits_len: usize) -> bool {
        self.at + record_bytes(edits_len) as u64 <= self.mark.here.len
    }

    /// Whether they fit into the next area.
    pub(super) fn will_have_room(&self, edits_len: usize) -> bool {
        record_bytes(edits_len) as u64 <= self.mark.next.len
    }

    /// Writes a record, and waits for the disk if `durable`. After an error nothing more may be
    /// written.
    pub(super) fn append(&mut self, edits: &[u8], durable: bool) -> Result<(), Error> {
        let area = self.mark.here;
        let header = Header::new(edits, self.synced, self.before);
        let tag = area.generation.wrapping_add(self.number);
        encode(&mut self.scratch, tag, &header, edits);
        self.file
            .write(area.start + self.at, &self.scratch)
            .map_err(|source| io_error(&self.path, source))?;
        self.at += self.scratch.len() as u64;
        self.number += 1;
        // A large record should not be the memory of an idle stream.
        self.scratch.shrink_to(ZEROS_BYTES);
        if durable { self.sync() } else { Ok(()) }
    }

    /// Waits until all records are on the disk.
    pub(super) fn sync(&mut self) -> Result<(), Error> {
        if self.synced == self.number {
            return Ok(());
        }
        self.file
            .sync_data()
            .map_err(|source| io_error(&self.path, source))?;
        self.synced = self.number;
        Ok(())
    }

    /// Goes on in the next area. The new mark is to be stored together with the rows of all records
    /// so far; those that follow may be written before it is, if these are synced.
    ///
    /// # Errors
    /// When the disk fails: nothing more may be written.
    pub(super) fn turn(&mut self) -> Result<(), Error> {
        let slot = self.next_slot;
        let larger = (slot / 2 + 1) * 2;
        let grows = self.began.elapsed() < BUSY && larger / 2 < self.sizes.len();
        let following = if grows && self.grow(larger)? {
            larger
        } else {
            slot ^ 1
        };
        self.before = self.number;
        self.mark = Mark {
            here: self.mark.next,
            next: area_at(self.sizes, following),
        };
        self.next_slot = following;
        (self.at, self.number, self.synced) = (0, 0, 0);
        self.began = Instant::now();
        Ok(())
    }

    /// Whether edits of this length would fit if areas were larger.
    pub(super) fn is_too_small(&self, edits_len: usize) -> bool {
        let size = size_for(self.sizes, edits_len);
        !self.will_have_room(edits_len) && size.is_some_and(|size| size > self.next_slot / 2)
    }

    /// Starts over with areas for edits of this length, where there is room for such. The new mark is
    /// to be stored together with the rows of all records so far, before anything is written.
    ///
    /// # Errors
    /// When the disk fails: nothing more may be written.
    pub(super) fn start_over(&mut self, edits_len: usize) -> Result<(), Error> {
        let size = size_for(self.sizes, edits_len).unwrap_or_default();
        let size = if self.grow(size * 2)? {
            size
        } else {
            self.next_slot / 2
        };
        self.mark = Mark::of_size(self.sizes, size);
        self.next_slot = size * 2 + 1;
        (self.at, self.number, self.synced, self.before) = (0, 0, 0, 0);
        self.began = Instant::now();
        Ok(())
    }

    /// Makes room for both areas of a size; false when there is none.
    fn grow(&mut self, slot: usize) -> Result<bool, Error> {
        let first = area_at(self.sizes, slot);
        let end = first.start + first.len * 2;
        if !self.reserved.grow(first.len * 2) {
            return Ok(false);
        }
        let failed = |source| io_error(&self.path, source);
        let len = self.file.len().map_err(failed)?;
        if len >= end {
            return Ok(true);
        }
        if let Err(error) = fill(&*self.file, len, end) {
            tracing::debug!(%error, "no room for a larger journal");
            self.file.set_len(len).map_err(failed)?;
            return Ok(false);
        }
        self.file.sync_data().map_err(failed)?;
        Ok(true)
    }
}

/// What areas may hold, counted for the process.
#[derive(Debug)]
struct Reserved(u64);

impl Reserved {
    fn new(bytes: u64) -> Self {
        ALL_BYTES.fetch_add(bytes, Ordering::Relaxed);
        Self(bytes)
    }

    /// Takes more, unless all together would have too much.
    fn grow(&mut self, bytes: u64) -> bool {
        let more = bytes.saturating_sub(self.0);
        if ALL_BYTES.fetch_add(more, Ordering::Relaxed) + more > ALL_BYTES_MAX {
            ALL_BYTES.fetch_sub(more, Ordering::Relaxed);
            return false;
        }
        self.0 += more;
        true
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        ALL_BYTES.fetch_sub(self.0, Ordering::Relaxed);
    }
}

/// Writes zeros: a file that merely has a length gets its blocks one by one, at a price.
fn fill(file: &dyn StorageBackend, from: u64, to: u64) -> std::io::Result<()> {
    let zeros = vec![0; ZEROS_BYTES];
    let mut at = from;
    file.set_len(to)?;
    while at < to {
        let part = zeros.len().min((to - at) as usize);
        file.write(at, &zeros[..part])?;
        at += part as u64;
    }
    Ok(())
}

/// Removes a journal that has nothing the database has not.
pub(in crate::stream) fn remove(files: &dyn Files, database: &Path) -> Result<(), Error> {
    remove_if_there(files, &beside(database))
}
