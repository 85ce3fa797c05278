//! Opens and closes the database of a file, and keeps the file's key.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redb::{Database, ReadableDatabase, StorageBackend, WriteTransaction};

use crate::Error;
use crate::key::{KEY_BYTES, MasterKey, UnwrapError, random};

use super::super::files::{Watched, WatchedFile};
use super::FORMAT;
use super::error::{Fault, corrupt};
use super::rows::{self, BLOCKS, CONSUMERS, CURSORS, FORMAT_ROW, HEADS, KEY_ROW, META, Rows};

/// How the key of a file lies in it.
const KEY_IN_THE_CLEAR: u8 = 0;
const KEY_WRAPPED: u8 = 1;
/// redb's own page cache per stream. Its default is 1 GiB; the tail cache serves recent reads, so
/// this only has to hold the upper B-tree pages and one commit's dirty pages.
const CACHE_BYTES: usize = 1024 * 1024;

/// Does something with the database of a file. redb may panic on pages it would never write; that
/// is a damaged file, not our bug.
pub(super) fn guarded<T>(
    path: &Path,
    panicked: &str,
    work: impl FnOnce() -> Result<T, Fault>,
) -> Result<T, Error> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(|fault| fault.at(path)),
        Err(_) => Err(corrupt(path, panicked)),
    }
}

/// redb writes when it closes, and may panic as well as at any other time.
pub(super) fn close_database<T>(path: &Path, database: T) {
    let closed = guarded(path, "the database did not close", || {
        drop(database);
        Ok(())
    });
    if let Err(error) = closed {
        tracing::warn!(%error, "a stream file was not closed cleanly");
    }
}

pub(super) fn open_database(
    path: &Path,
    file: Box<dyn StorageBackend>,
    repaired: Option<Arc<AtomicBool>>,
) -> Result<(Database, Arc<Watched>), Error> {
    let (file, watched) = WatchedFile::new(file);
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES);
    if let Some(repaired) = repaired {
        builder.set_repair_callback(move |_| repaired.store(true, Ordering::Relaxed));
    }
    let database = guarded(path, "the database can not be opened", || {
        Ok(builder.create_with_backend(file)?)
    })?;
    Ok((database, watched))
}

/// The tables of a new file, and its key.
pub(super) fn make_tables(database: &Database, master: Option<&MasterKey>) -> Result<Rows, Fault> {
    let mut write = database.begin_write()?;
    write.set_two_phase_commit(true);
    let key: [u8; KEY_BYTES] = random();
    store_key(&write, &key, master)?;
    write
        .open_table(META)?
        .insert(FORMAT_ROW, &FORMAT.to_be_bytes()[..])?;
    for table in [HEADS, BLOCKS, rows::LIVE] {
        write.open_table(table)?;
    }
    for table in [CURSORS, CONSUMERS] {
        write.open_table(table)?;
    }
    write.commit()?;
    Ok(Rows::new(&key, false))
}

/// Stores the key of a file, wrapped where there is something to wrap it with.
pub(super) fn store_key(
    write: &WriteTransaction,
    key: &[u8; KEY_BYTES],
    master: Option<&MasterKey>,
) -> Result<(), Fault> {
    let body = match master {
        None => [&[KEY_IN_THE_CLEAR], &key[..]].concat(),
        Some(master) => [&[KEY_WRAPPED], &master.wrap(key)[..]].concat(),
    };
    let mut meta = write.open_table(META)?;
    meta.insert(KEY_ROW, &rows::checked(&body)[..])?;
    Ok(())
}

/// How the rows of a file are to be read.
pub(super) fn read_key(
    database: &Database,
    path: &Path,
    master: Option<&MasterKey>,
) -> Result<Rows, Fault> {
    let read = database.begin_read()?;
    let meta = match read.open_table(META) {
        Err(redb::TableError::TableDoesNotExist(_)) => {
            return Err(Fault::damage("it is not a stream file"));
        }
        opened => opened?,
    };
    let damaged = || Fault::damage("its key is damaged");
    let row = meta.get(KEY_ROW)?.ok_or_else(damaged)?;
    let (kind, key) = rows::open_checked(row.value())?
        .split_first()
        .ok_or_else(damaged)?;
    if *kind == KEY_IN_THE_CLEAR {
        let key = key.try_into().map_err(|_| damaged())?;
        return Ok(Rows::new(key, true));
    }
    let path = path.to_path_buf();
    let Some(master) = master else {
        return Err(Error::KeyMissing { path }.into());
    };
    match master.unwrap(key) {
        Ok(key) => Ok(Rows::new(&key, false)),
        Err(UnwrapError::OtherKey) => Err(Error::KeyDiffers { path }.into()),
        Err(UnwrapError::Damaged) => Err(damaged()),
    }
}
