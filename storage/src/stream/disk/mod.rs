//! One redb file per stream.
//!
//! Tables: `meta` (format, key, configuration, totals), `heads`, `blocks` and `live` (keyed by
//! big-endian sequence, see `record.rs`), `cursors` and `consumers` by name. Around every row lies
//! a checksum or a seal (`rows.rs`): redb checks its pages in a repair only.
//!
//! How commits are made. A commit is on the disk when it is answered, however it was made; the two
//! ways differ in how a crash within it is noticed.
//!
//! - Below [`LARGE_FROM_BYTES`] in one phase: pages and header, one sync. After a crash redb walks
//!   the file and takes the newer of two states whose page checksums are right. These checksums are
//!   quick and no secret, and redb warns of those who could choose the bytes of pages so that a torn
//!   page has the right one. Here nobody can: what lies in the pages is sealed under a random key.
//! - Above it in two phases with quick-repair: two syncs, and the state of the allocator is stored
//!   with every commit, so that nothing has to be walked. Recovery needs that on the *last* commit,
//!   whichever it is.
//!
//! (figures follow)

mod check;
mod compact;
mod error;
mod load;
mod migrate;
mod rows;
mod write;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use redb::{
    Database, Durability, ReadTransaction, ReadableDatabase, ReadableTable, StorageBackend,
    TableDefinition, WriteTransaction,
};

use crate::Error;
use crate::data_dir::io_error;
use crate::key::{KEY_BYTES, MasterKey, UnwrapError, random};

use super::check::{Checked, Problem};
use super::files::{Files, SystemFiles, Watched, WatchedFile};
use super::frozen::Frozen;
use super::log::{Log, Touch};
use super::record::{self, Block, Totals};
use super::{Cursor, StreamConfig, lock};

pub(super) use compact::remove_leftover;
use compact::{COMPACT_FROM_BYTES, Compaction};
use error::{Fault, corrupt};
use rows::{BLOCKS, CONSUMERS, CURSORS, HEADS, KEY_ROW, META, Place, Rows};

/// Newest file format this version knows. 1 had no checksums outside of blocks.
const FORMAT: u32 = 2;
/// How the key of a file lies in it.
const KEY_IN_THE_CLEAR: u8 = 0;
const KEY_WRAPPED: u8 = 1;
/// redb's own page cache per stream. Its default is 1 GiB; the tail cache serves recent reads, so
/// this only has to hold the upper B-tree pages and one commit's dirty pages.
const CACHE_BYTES: usize = 1024 * 1024;
/// From this file size on every commit is made in two phases with quick-repair.
const LARGE_FROM_BYTES: u64 = 256 * 1024 * 1024;

/// Everything one commit changes.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) blocks: Vec<Block>,
    pub(super) touched: Vec<(u64, Touch)>,
    /// Figures of the stream after this commit, when it changes them.
    pub(super) totals: Option<Totals>,
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

/// How stream files are opened.
#[derive(Clone)]
pub(crate) struct DiskOptions {
    pub(crate) files: Arc<dyn Files>,
    /// From this file size on every commit is made in two phases with quick-repair.
    pub(crate) large_from_bytes: u64,
    /// Smaller files are not compacted.
    pub(crate) compact_from_bytes: u64,
    /// The keys of new files are wrapped by this one.
    pub(crate) key: Option<Arc<MasterKey>>,
}

impl Default for DiskOptions {
    fn default() -> Self {
        Self {
            files: Arc::new(SystemFiles),
            large_from_bytes: LARGE_FROM_BYTES,
            compact_from_bytes: COMPACT_FROM_BYTES,
            key: None,
        }
    }
}

/// An open stream file.
pub(super) struct Disk {
    path: Mutex<PathBuf>,
    options: DiskOptions,
    rows: Arc<Rows>,
    /// Whether new blocks are compressed, as the configuration says.
    compress: AtomicBool,
    database: Mutex<Option<Arc<Database>>>,
    watched: Mutex<Arc<Watched>>,
    compaction: Mutex<Compaction>,
}

impl Disk {
    /// Opens a file, repairing it if it was not closed, and brings it to the present format.
    pub(super) fn open(path: &Path, options: DiskOptions) -> Result<Self, Error> {
        Ok(Self::open_noting(path, options)?.0)
    }

    /// The same; says whether the file had been closed.
    pub(super) fn open_noting(path: &Path, options: DiskOptions) -> Result<(Self, bool), Error> {
        let file = options.files.open(path)?;
        Self::open_in(path, options, file)
    }

    /// Opens a file and writes nothing to it, whatever it needs.
    pub(super) fn open_frozen(path: &Path, options: DiskOptions) -> Result<(Self, bool), Error> {
        if !options.files.exists(path) {
            return Err(io_error(path, std::io::ErrorKind::NotFound.into()));
        }
        let file = Frozen::new(options.files.open(path)?);
        Self::open_in(path, options, Box::new(file))
    }

    fn open_in(
        path: &Path,
        options: DiskOptions,
        file: Box<dyn StorageBackend>,
    ) -> Result<(Self, bool), Error> {
        let repaired = Arc::new(AtomicBool::new(false));
        let (database, watched) = open_database(path, file, Some(repaired.clone()))?;
        let prepared = guarded(path, "the database can not be read", || {
            migrate::bring_forward(&database)?;
            read_key(&database, path, options.key.as_deref())
        });
        match prepared {
            Ok(rows) => {
                let this = Self::new(path, options, rows, database, watched);
                Ok((this, !repaired.load(Ordering::Relaxed)))
            }
            Err(error) => {
                close_database(path, database);
                Err(error)
            }
        }
    }

    /// Makes a new file.
    pub(super) fn create(
        path: &Path,
        options: DiskOptions,
        config: &Arc<StreamConfig>,
    ) -> Result<Self, Error> {
        let file = options.files.open(path)?;
        let (database, watched) = open_database(path, file, None)?;
        let key = options.key.clone();
        let rows = guarded(path, "the database can not be written", || {
            make_tables(&database, key.as_deref())
        })?;
        let disk = Self::new(path, options, rows, database, watched);
        disk.commit(&Changes {
            config: Some(config.clone()),
            durable: true,
            ..Changes::default()
        })?;
        Ok(disk)
    }

    fn new(
        path: &Path,
        options: DiskOptions,
        rows: Rows,
        database: Database,
        watched: Arc<Watched>,
    ) -> Self {
        Self {
            path: Mutex::new(path.to_path_buf()),
            options,
            rows: Arc::new(rows),
            compress: AtomicBool::new(false),
            database: Mutex::new(Some(Arc::new(database))),
            watched: Mutex::new(watched),
            compaction: Mutex::default(),
        }
    }

    pub(super) fn path(&self) -> PathBuf {
        lock(&self.path).clone()
    }

    /// Says that the file has another name now.
    pub(super) fn moved(&self, path: &Path) {
        *lock(&self.path) = path.to_path_buf();
    }

    /// Present size of the file.
    pub(super) fn file_bytes(&self) -> u64 {
        lock(&self.watched).len()
    }

    /// Reads the configuration and rebuilds the index.
    pub(super) fn load(&self, now: u64) -> Result<Log, Error> {
        let log = self.read(|read| load::log(read, &self.rows, now))?;
        self.compress
            .store(log.config.compression, Ordering::Relaxed);
        Ok(log)
    }

    /// Makes one commit. After an error the file must be reopened.
    pub(super) fn commit(&self, changes: &Changes) -> Result<(), Error> {
        let path = self.path();
        if let Some(config) = &changes.config {
            self.compress.store(config.compression, Ordering::Relaxed);
        }
        // A copier sees the file and what was noted between two commits only.
        let work = lock(&self.compaction).work();
        let mut changed = work.as_ref().map(|work| lock(&work.changed));
        if let Some(changed) = &mut changed {
            changed.note(changes, &self.rows);
        }
        guarded(&path, "the database can not be written", || {
            let database = self.database()?;
            let mut write = database.begin_write()?;
            if changes.durable {
                // Quick-repair makes it two phases by itself.
                let large = self.file_bytes() >= self.options.large_from_bytes;
                write.set_quick_repair(large);
            } else {
                write.set_durability(Durability::None)?;
            }
            let compress = self.compress.load(Ordering::Relaxed);
            write::changes(&write, changes, &self.rows, compress)?;
            Ok(write.commit()?)
        })
        .map_err(|error| self.first_failure(error))
    }

    /// The records of blocks; `None` where one is gone.
    pub(super) fn records(&self, keys: &[u64]) -> Result<Vec<Option<Bytes>>, Error> {
        self.read(|read| {
            let (heads, blocks) = (read.open_table(HEADS)?, read.open_table(BLOCKS)?);
            let one = |key: &u64| load::records(&heads, &blocks, &self.rows, *key);
            keys.iter().map(one).collect()
        })
    }

    /// All cursors.
    pub(super) fn cursors(&self) -> Result<Vec<(String, Cursor)>, Error> {
        self.named(CURSORS, Place::Cursors, record::decode_cursor)
    }

    /// All consumers, without their cursors.
    pub(super) fn consumers(&self) -> Result<Vec<(String, Bytes)>, Error> {
        self.named(CONSUMERS, Place::Consumers, record::decode_owner)
    }

    /// One cursor.
    pub(super) fn cursor(&self, name: &str) -> Result<Option<Cursor>, Error> {
        self.read(|read| {
            let table = read.open_table(CURSORS)?;
            let key = self.rows.name_key(name);
            let Some(row) = table.get(&key[..])? else {
                return Ok(None);
            };
            let (_, cursor) = load::named(&self.rows, Place::Cursors, &key, row.value())?;
            Ok(Some(record::decode_cursor(&cursor)?))
        })
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
        self.stop_compaction();
        let database = lock(&self.database).take();
        close_database(&self.path(), database);
    }

    fn stop_compaction(&self) {
        let mut compaction = lock(&self.compaction);
        if compaction.work().is_some() {
            compaction.stop();
            let removed = remove_leftover(&self.path(), &self.options);
            if let Err(error) = removed {
                tracing::warn!(%error, "half a compacted file is left");
            }
        }
        compaction.stop();
    }

    /// Checks every page and every reference of the database, on the disk and not in a cache.
    /// Nobody else may use the file meanwhile.
    ///
    /// False when it had to be repaired.
    pub(super) fn verify(&self) -> Result<bool, Error> {
        let path = self.path();
        let mut guard = lock(&self.database);
        let database = guard.as_mut().and_then(Arc::get_mut);
        let database = database.ok_or(Error::Closed)?;
        guarded(&path, "the database can not be checked", || {
            Ok(database.check_integrity()?)
        })
    }

    /// Looks everything through; `repair` puts right what can be. Nobody else may use the file.
    pub(super) fn check(&self, now: u64, repair: bool, found: &mut Checked) -> Result<(), Error> {
        let book_keeping = match self.verify() {
            Ok(true) => None,
            Ok(false) => Some(("the database's book-keeping was wrong".to_owned(), repair)),
            Err(Error::Corrupt { reason, .. }) => Some((
                format!("pages of the database are damaged: {reason}"),
                false,
            )),
            Err(other) => return Err(other),
        };
        if let Some((what, repaired)) = book_keeping {
            found.problems.push(Problem {
                what,
                sequences: None,
                repaired,
            });
            if !repaired && repair {
                // Nothing may be written through a handle whose pages are damaged.
                self.freeze()?;
            }
        }
        let damaged = found.problems.iter().any(|p| p.what.starts_with("pages"));
        let repair = repair && !damaged;
        let path = self.path();
        guarded(&path, "the database can not be read", || {
            let database = self.database()?;
            check::Examination::new(&self.rows, repair, found).run(&database, now)
        })
    }

    fn named<T>(
        &self,
        table: TableDefinition<'static, &'static str, &'static [u8]>,
        place: Place,
        decode: impl Fn(&[u8]) -> Result<T, record::BadRecord>,
    ) -> Result<Vec<(String, T)>, Error> {
        self.read(|read| {
            let table = read.open_table(table)?;
            let mut found = Vec::new();
            for row in table.iter()? {
                let (key, row) = row?;
                let (name, body) = load::named(&self.rows, place, key.value(), row.value())?;
                found.push((name, decode(&body)?));
            }
            Ok(found)
        })
    }

    fn read<T>(&self, work: impl FnOnce(&ReadTransaction) -> Result<T, Fault>) -> Result<T, Error> {
        let path = self.path();
        guarded(&path, "the database can not be read", || {
            let database = self.database()?;
            work(&database.begin_read()?)
        })
    }

    fn reopen(
        &self,
        wrap: impl FnOnce(Box<dyn StorageBackend>) -> Box<dyn StorageBackend>,
    ) -> Result<(), Error> {
        // Dropped first: the old handle holds the file's lock.
        self.close();
        let path = self.path();
        let file = wrap(self.options.files.open(&path)?);
        let (database, watched) = open_database(&path, file, None)?;
        *lock(&self.database) = Some(Arc::new(database));
        *lock(&self.watched) = watched;
        Ok(())
    }

    fn database(&self) -> Result<Arc<Database>, Error> {
        lock(&self.database).clone().ok_or(Error::Closed)
    }

    /// The failure that stopped the file. redb names it once, and maybe to a reader.
    fn first_failure(&self, error: Error) -> Error {
        let failure = lock(&self.watched).failure();
        match (error, failure) {
            (Error::WritesStopped { path, .. }, Some(failure)) => io_error(&path, failure),
            (error, _) => error,
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.close();
    }
}

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Disk({})", self.path().display())
    }
}

/// Does something with the database of a file. redb may panic on pages it would never write; that
/// is a damaged file, not our bug.
fn guarded<T>(
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
fn close_database<T>(path: &Path, database: T) {
    let closed = guarded(path, "the database did not close", || {
        drop(database);
        Ok(())
    });
    if let Err(error) = closed {
        tracing::warn!(%error, "a stream file was not closed cleanly");
    }
}

fn open_database(
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
fn make_tables(database: &Database, master: Option<&MasterKey>) -> Result<Rows, Fault> {
    let mut write = database.begin_write()?;
    write.set_two_phase_commit(true);
    let key: [u8; KEY_BYTES] = random();
    store_key(&write, &key, master)?;
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
fn store_key(
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
fn read_key(database: &Database, path: &Path, master: Option<&MasterKey>) -> Result<Rows, Fault> {
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
