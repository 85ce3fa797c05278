//! One redb file per stream.
//!
//! Tables: `meta` (format, configuration, last sequence), `heads`, `blocks` and `live` (keyed by
//! big-endian sequence, see `record.rs`), `cursors` and `consumers` by name.
//!
//! How commits are made. Two-phase: text from strangers is stored, and redb's one-phase commit
//! trusts a checksum that a stranger may aim at. Measured at 544 MB: 0.30 ms instead of 0.20 ms
//! for a commit alone, a twelfth of the throughput at 1,000 messages a commit. Quick-repair, which
//! spares the walk through the file after a crash, is on for every commit once the file is large
//! enough for that walk to be felt: recovery needs it on the *last* commit, whichever that is.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use redb::{
    Database, Durability, ReadableDatabase, ReadableTable, StorageBackend, TableDefinition,
};

use crate::Error;
use crate::data_dir::io_error;

use super::files::{Files, SystemFiles, Watched, WatchedFile};
use super::frozen::Frozen;
use super::log::{Log, Touch};
use super::record::{self, BadRecord, Block};
use super::{Cursor, StreamConfig, lock};

const META: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("meta");
const HEADS: TableDefinition<'static, &[u8; 8], &[u8]> = TableDefinition::new("heads");
const BLOCKS: TableDefinition<'static, &[u8; 8], &[u8]> = TableDefinition::new("blocks");
const LIVE: TableDefinition<'static, &[u8; 8], &[u8]> = TableDefinition::new("live");
const CURSORS: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("cursors");
const CONSUMERS: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("consumers");

/// Newest file format this version knows.
const FORMAT: u32 = 1;
/// redb's own page cache per stream. Its default is 1 GiB; the tail cache serves recent reads, so
/// this only has to hold the upper B-tree pages and one commit's dirty pages.
const CACHE_BYTES: usize = 1024 * 1024;
/// From this file size on every commit is made with quick-repair. Below it a repair after a crash
/// takes well under a tenth of a second, and small streams commit faster without.
const QUICK_REPAIR_FROM_BYTES: u64 = 32 * 1024 * 1024;

/// Everything one commit changes.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) blocks: Vec<Block>,
    pub(super) touched: Vec<(u64, Touch)>,
    /// Last sequence and its time; written when messages go, so that it is never reused.
    pub(super) last: Option<(u64, u64)>,
    pub(super) config: Option<Arc<StreamConfig>>,
    pub(super) cursors: Vec<(String, Option<Vec<u8>>)>,
    pub(super) consumers: Vec<(String, Option<Vec<u8>>)>,
    /// Whether the disk is waited for.
    pub(super) durable: bool,
}

impl Changes {
    pub(super) fn save_cursor(&mut self, cursor: Option<Box<(String, Cursor)>>) {
        if let Some((name, cursor)) = cursor.map(|cursor| *cursor) {
            self.cursors
                .push((name, Some(record::encode_cursor(&cursor))));
        }
    }
}

/// An open stream file.
pub(super) struct Disk {
    path: Mutex<PathBuf>,
    options: DiskOptions,
    database: Mutex<Option<Arc<Database>>>,
    watched: Mutex<Arc<Watched>>,
}

/// How stream files are opened.
#[derive(Clone)]
pub(crate) struct DiskOptions {
    pub(crate) files: Arc<dyn Files>,
    /// From this file size on every commit is made with quick-repair.
    pub(crate) quick_repair_from_bytes: u64,
}

impl Default for DiskOptions {
    fn default() -> Self {
        Self {
            files: Arc::new(SystemFiles),
            quick_repair_from_bytes: QUICK_REPAIR_FROM_BYTES,
        }
    }
}

impl Disk {
    /// Opens the file, repairing it if it was not closed.
    pub(super) fn open(path: &Path, options: DiskOptions) -> Result<Self, Error> {
        let file = options.files.open(path)?;
        let (database, watched) = open_database(path, file)?;
        Ok(Self {
            path: Mutex::new(path.to_path_buf()),
            options,
            database: Mutex::new(Some(Arc::new(database))),
            watched: Mutex::new(watched),
        })
    }

    pub(super) fn path(&self) -> PathBuf {
        lock(&self.path).clone()
    }

    /// Says that the file has another name now.
    pub(super) fn moved(&self, path: &Path) {
        *lock(&self.path) = path.to_path_buf();
    }

    /// Writes the first rows of a new file.
    pub(super) fn init(&self, config: &Arc<StreamConfig>) -> Result<(), Error> {
        self.commit(&Changes {
            config: Some(config.clone()),
            durable: true,
            ..Changes::default()
        })
    }

    /// Reads the configuration and rebuilds the index.
    pub(super) fn load(&self, now: u64) -> Result<Log, Error> {
        let path = self.path();
        // redb may panic on pages it would never write; that is a damaged file, not our bug.
        catch_unwind(AssertUnwindSafe(|| self.load_checked(now)))
            .unwrap_or_else(|_| Err(corrupt(&path, "the database can not be read")))
    }

    /// Makes one commit. After an error the file must be reopened.
    pub(super) fn commit(&self, changes: &Changes) -> Result<(), Error> {
        let path = self.path();
        catch_unwind(AssertUnwindSafe(|| self.commit_checked(changes)))
            .unwrap_or_else(|_| Err(corrupt(&path, "the database can not be written")))
            .map_err(|error| self.first_failure(error))
    }

    /// The records of a block; `None` when it is gone.
    pub(super) fn records(&self, keys: &[u64]) -> Result<Vec<Option<Bytes>>, Error> {
        let database = self.database()?;
        let path = self.path();
        let sort = |error: redb::Error| sort(&path, error);
        let read = database.begin_read().map_err(|e| sort(e.into()))?;
        let blocks = read.open_table(BLOCKS).map_err(|e| sort(e.into()))?;
        let heads = read.open_table(HEADS).map_err(|e| sort(e.into()))?;
        let one = |key: &u64| -> Result<Option<Bytes>, Error> {
            let key = &key.to_be_bytes();
            if let Some(row) = blocks.get(key).map_err(|e| sort(e.into()))? {
                let records = record::data_records(row.value()).map_err(|e| bad(&path, e))?;
                return Ok(Some(Bytes::copy_from_slice(records)));
            }
            let Some(row) = heads.get(key).map_err(|e| sort(e.into()))? else {
                return Ok(None);
            };
            let records = record::inline_records(row.value()).map_err(|e| bad(&path, e))?;
            Ok(records.map(Bytes::copy_from_slice))
        };
        keys.iter().map(one).collect()
    }

    /// All cursors.
    pub(super) fn cursors(&self) -> Result<Vec<(String, Cursor)>, Error> {
        let database = self.database()?;
        let path = self.path();
        let sort = |error: redb::Error| sort(&path, error);
        let read = database.begin_read().map_err(|e| sort(e.into()))?;
        let table = read.open_table(CURSORS).map_err(|e| sort(e.into()))?;
        let mut cursors = Vec::new();
        for row in table.iter().map_err(|e| sort(e.into()))? {
            let (name, row) = row.map_err(|e| sort(e.into()))?;
            let cursor = record::decode_cursor(row.value()).map_err(|e| bad(&path, e))?;
            cursors.push((name.value().to_owned(), cursor));
        }
        Ok(cursors)
    }

    /// All consumers, without their cursors.
    pub(super) fn consumers(&self) -> Result<Vec<(String, Bytes)>, Error> {
        let database = self.database()?;
        let path = self.path();
        let sort = |error: redb::Error| sort(&path, error);
        let read = database.begin_read().map_err(|e| sort(e.into()))?;
        let table = match read.open_table(CONSUMERS) {
            // Files of the first versions have it from the first consumer on.
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
            opened => opened.map_err(|e| sort(e.into()))?,
        };
        let mut consumers = Vec::new();
        for row in table.iter().map_err(|e| sort(e.into()))? {
            let (name, row) = row.map_err(|e| sort(e.into()))?;
            let owner = record::decode_owner(row.value()).map_err(|e| bad(&path, e))?;
            consumers.push((name.value().to_owned(), owner));
        }
        Ok(consumers)
    }

    /// One cursor.
    pub(super) fn cursor(&self, name: &str) -> Result<Option<Cursor>, Error> {
        let database = self.database()?;
        let path = self.path();
        let sort = |error: redb::Error| sort(&path, error);
        let read = database.begin_read().map_err(|e| sort(e.into()))?;
        let table = read.open_table(CURSORS).map_err(|e| sort(e.into()))?;
        let row = table.get(name).map_err(|e| sort(e.into()))?;
        row.map(|row| record::decode_cursor(row.value()).map_err(|e| bad(&path, e)))
            .transpose()
    }

    /// After a failed commit: goes on for readers only, writing nothing to the file any more.
    pub(super) fn freeze(&self) -> Result<(), Error> {
        self.reopen(|backend| Box::new(Frozen::new(backend)))
    }

    /// Opens the file for writing again.
    pub(super) fn thaw(&self) -> Result<(), Error> {
        self.reopen(|backend| backend)
    }

    /// Closes the file, leaving it in a state that opens without repair.
    pub(super) fn close(&self) {
        lock(&self.database).take();
    }

    fn reopen(
        &self,
        wrap: impl FnOnce(Box<dyn StorageBackend>) -> Box<dyn StorageBackend>,
    ) -> Result<(), Error> {
        // Dropped first: the old handle holds the file's lock.
        self.close();
        let path = self.path();
        let file = wrap(self.options.files.open(&path)?);
        let (database, watched) = open_database(&path, file)?;
        *lock(&self.database) = Some(Arc::new(database));
        *lock(&self.watched) = watched;
        Ok(())
    }

    fn database(&self) -> Result<Arc<Database>, Error> {
        lock(&self.database).clone().ok_or(Error::Closed)
    }

    fn load_checked(&self, now: u64) -> Result<Log, Error> {
        let path = self.path();
        let sort = |error: redb::Error| sort(&path, error);
        let database = self.database()?;
        let read = database.begin_read().map_err(|e| sort(e.into()))?;
        let missing = || corrupt(&path, "it is not a stream file");
        let meta = read.open_table(META).map_err(|_| missing())?;
        let row = |key: &str| meta.get(key).map_err(|e| sort(e.into()));
        let format = row("format")?.ok_or_else(missing)?;
        let format = format.value().try_into().map_or(0, u32::from_be_bytes);
        if format > FORMAT {
            return Err(Error::NewerFormat {
                path,
                found: format,
                supported: FORMAT,
            });
        }
        let config = row("config")?.ok_or_else(missing)?;
        let config: StreamConfig = serde_json::from_slice(config.value()).map_err(|error| {
            corrupt(&path, &format!("its configuration is unreadable: {error}"))
        })?;
        let mut log = Log::new(Arc::new(config));
        let heads = read.open_table(HEADS).map_err(|e| sort(e.into()))?;
        let live = read.open_table(LIVE).map_err(|e| sort(e.into()))?;
        for row in heads.iter().map_err(|e| sort(e.into()))? {
            let (key, head) = row.map_err(|e| sort(e.into()))?;
            let block = u64::from_be_bytes(*key.value());
            let entries = record::decode_head(block, head.value()).map_err(|e| bad(&path, e))?;
            let live = live.get(key.value()).map_err(|e| sort(e.into()))?;
            for entry in &entries {
                let alive = live
                    .as_ref()
                    .is_none_or(|row| record::is_live(row.value(), block, entry.sequence));
                log.load(entry, block, alive, now);
            }
            if live.is_some() {
                log.load_thinned(block, entries.len() as u32);
            }
        }
        if let Some(last) = row("last")? {
            let last: [u8; 16] = last.value().try_into().map_err(|_| missing())?;
            let last = u128::from_be_bytes(last);
            log.load_last((last >> 64) as u64, last as u64);
        }
        Ok(log)
    }

    fn commit_checked(&self, changes: &Changes) -> Result<(), Error> {
        let path = self.path();
        let sort = |error: redb::Error| sort(&path, error);
        let database = self.database()?;
        let mut write = database.begin_write().map_err(|e| sort(e.into()))?;
        if changes.durable {
            write.set_two_phase_commit(true);
            let large = self.file_bytes() >= self.options.quick_repair_from_bytes;
            write.set_quick_repair(large);
        } else {
            write
                .set_durability(Durability::None)
                .map_err(|e| sort(e.into()))?;
        }
        write_rows(&write, changes, &path)?;
        write.commit().map_err(|e| sort(e.into()))
    }

    /// Present size of the file.
    pub(super) fn file_bytes(&self) -> u64 {
        lock(&self.watched).len()
    }

    /// The failure that stopped the file. redb names it once, and maybe to a reader.
    fn first_failure(&self, error: Error) -> Error {
        let failure = lock(&self.watched).failure();
        match (error, failure) {
            (Error::WritesStopped { path, .. }, Some(failure)) => io_error(&path, failure),
            (error, _) => error,
        }
    }

    /// Checks every page and every reference of the database, on the disk and not in a cache.
    /// Nobody else may use the file meanwhile.
    ///
    /// False when it had to be repaired.
    #[cfg(test)]
    pub(super) fn verify(&self) -> Result<bool, Error> {
        let path = self.path();
        let mut guard = lock(&self.database);
        let database = guard.as_mut().and_then(Arc::get_mut);
        let database = database.ok_or(Error::Closed)?;
        let checked = catch_unwind(AssertUnwindSafe(|| database.check_integrity()));
        match checked {
            Ok(result) => result.map_err(|error| sort(&path, error)),
            Err(_) => Err(corrupt(&path, "the database can not be checked")),
        }
    }
}

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Disk({})", self.path().display())
    }
}

fn open_database(
    path: &Path,
    file: Box<dyn StorageBackend>,
) -> Result<(Database, Arc<Watched>), Error> {
    let (file, watched) = WatchedFile::new(file);
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES);
    let opened = catch_unwind(AssertUnwindSafe(|| builder.create_with_backend(file)));
    match opened {
        Ok(Ok(database)) => Ok((database, watched)),
        Ok(Err(error)) => Err(sort(path, error)),
        Err(_) => Err(corrupt(path, "the database can not be opened")),
    }
}

fn write_rows(write: &redb::WriteTransaction, changes: &Changes, path: &Path) -> Result<(), Error> {
    let sort = |error: redb::Error| sort(path, error);
    if let Some(config) = &changes.config {
        let mut meta = write.open_table(META).map_err(|e| sort(e.into()))?;
        let json = serde_json::to_vec(&**config).map_err(|e| corrupt(path, &e.to_string()))?;
        meta.insert("format", &FORMAT.to_be_bytes()[..])
            .map_err(|e| sort(e.into()))?;
        meta.insert("config", &json[..])
            .map_err(|e| sort(e.into()))?;
        for table in [HEADS, BLOCKS, LIVE] {
            write.open_table(table).map_err(|e| sort(e.into()))?;
        }
        for table in [CURSORS, CONSUMERS] {
            write.open_table(table).map_err(|e| sort(e.into()))?;
        }
    }
    if !changes.blocks.is_empty() {
        let mut heads = write.open_table(HEADS).map_err(|e| sort(e.into()))?;
        for block in &changes.blocks {
            let key = &block.key.to_be_bytes();
            heads
                .insert(key, &block.head[..])
                .map_err(|e| sort(e.into()))?;
        }
        if changes.blocks.iter().any(|block| !block.data.is_empty()) {
            let mut blocks = write.open_table(BLOCKS).map_err(|e| sort(e.into()))?;
            for block in changes.blocks.iter().filter(|block| !block.data.is_empty()) {
                let key = &block.key.to_be_bytes();
                blocks
                    .insert(key, &block.data[..])
                    .map_err(|e| sort(e.into()))?;
            }
        }
    }
    write_touched(write, &changes.touched, path)?;
    if let Some((last, timestamp)) = changes.last {
        let row = (u128::from(last) << 64 | u128::from(timestamp)).to_be_bytes();
        let mut meta = write.open_table(META).map_err(|e| sort(e.into()))?;
        meta.insert("last", &row[..]).map_err(|e| sort(e.into()))?;
    }
    write_named(write, CURSORS, &changes.cursors, path)?;
    write_named(write, CONSUMERS, &changes.consumers, path)
}

/// Rows by name; `None` removes one.
fn write_named(
    write: &redb::WriteTransaction,
    table: TableDefinition<'static, &str, &[u8]>,
    rows: &[(String, Option<Vec<u8>>)],
    path: &Path,
) -> Result<(), Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let sort = |error: redb::Error| sort(path, error);
    let mut table = write.open_table(table).map_err(|e| sort(e.into()))?;
    for (name, row) in rows {
        match row {
            Some(row) => table
                .insert(&name[..], &row[..])
                .map_err(|e| sort(e.into()))?,
            None => table.remove(&name[..]).map_err(|e| sort(e.into()))?,
        };
    }
    Ok(())
}

fn write_touched(
    write: &redb::WriteTransaction,
    touched: &[(u64, Touch)],
    path: &Path,
) -> Result<(), Error> {
    if touched.is_empty() {
        return Ok(());
    }
    let sort = |error: redb::Error| sort(path, error);
    let mut heads = write.open_table(HEADS).map_err(|e| sort(e.into()))?;
    let mut blocks = write.open_table(BLOCKS).map_err(|e| sort(e.into()))?;
    let mut lives = write.open_table(LIVE).map_err(|e| sort(e.into()))?;
    for (block, touch) in touched {
        let key = &block.to_be_bytes();
        match touch {
            Touch::Drop => {
                heads.remove(key).map_err(|e| sort(e.into()))?;
                blocks.remove(key).map_err(|e| sort(e.into()))?;
                lives.remove(key).map_err(|e| sort(e.into()))?;
            }
            Touch::Thin(live) => {
                let row = record::encode_live(*block, live.iter().copied());
                lives.insert(key, &row[..]).map_err(|e| sort(e.into()))?;
            }
            Touch::Rewrite(live) => {
                let gone = || corrupt(path, "a block is missing");
                let rewritten = {
                    let head = heads
                        .get(key)
                        .map_err(|e| sort(e.into()))?
                        .ok_or_else(gone)?;
                    let data = blocks.get(key).map_err(|e| sort(e.into()))?;
                    let records = match &data {
                        Some(row) => record::data_records(row.value()),
                        None => record::inline_records(head.value()).map(Option::unwrap_or_default),
                    };
                    let records = records.map_err(|e| bad(path, e))?;
                    let records = Bytes::copy_from_slice(records);
                    record::rewrite(*block, head.value(), &records, live)
                        .map_err(|e| bad(path, e))?
                };
                heads
                    .insert(key, &rewritten.head[..])
                    .map_err(|e| sort(e.into()))?;
                if rewritten.data.is_empty() {
                    blocks.remove(key).map_err(|e| sort(e.into()))?;
                } else {
                    blocks
                        .insert(key, &rewritten.data[..])
                        .map_err(|e| sort(e.into()))?;
                }
                lives.remove(key).map_err(|e| sort(e.into()))?;
            }
        }
    }
    Ok(())
}

/// Sorts redb's errors into the ones people can act on.
fn sort(path: &Path, error: impl Into<redb::Error>) -> Error {
    match error.into() {
        redb::Error::Io(source) => io_error(path, source),
        redb::Error::Corrupted(reason) => corrupt(path, &reason),
        redb::Error::PreviousIo => Error::WritesStopped {
            path: path.to_path_buf(),
            reason: "an earlier input or output error".to_owned(),
        },
        redb::Error::UpgradeRequired(_) => corrupt(path, "it has a database format of the past"),
        redb::Error::DatabaseAlreadyOpen => Error::Locked {
            path: path.to_path_buf(),
            holder: "unknown".to_owned(),
        },
        other => Error::Io {
            path: path.to_path_buf(),
            source: std::io::Error::other(other),
        },
    }
}

fn bad(path: &Path, error: BadRecord) -> Error {
    corrupt(path, error.0)
}

fn corrupt(path: &Path, reason: &str) -> Error {
    Error::Corrupt {
        path: path.to_path_buf(),
        reason: reason.to_owned(),
    }
}
