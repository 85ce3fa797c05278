//! One redb file per stream, and beside it a journal while there is much to write.
//!
//! Tables: `meta` (format, key, configuration, totals, place of the journal), `heads`, `blocks` and
//! `live` (keyed by big-endian sequence, see `record.rs`), `cursors` and `consumers` by name. Around
//! every row lies a checksum or a seal (`rows.rs`): redb checks its pages in a repair only.
//!
//! A commit is on the disk when it is answered, and there are two ways to it:
//!
//! - Through the journal (`journal/`): one write and one sync of a file that has its size. The rows
//!   wait in memory (`checkpoint.rs`) and go into the database many commits at a time, beside further
//!   commits.
//! - Straight into the database, with all that waits: commits from [`DIRECT_FROM_BYTES`] on, which
//!   would be written twice for little; and the first few of a stream that was idle, so that it
//!   needs no journal for a message an hour.
//!
//! Beside commits straight into the database, on two cores that others used too: 1,000 in flight 470 to
//! 610 thousand messages a second instead of 300 to 360, a lone commit 110 µs of processor time instead
//! of 220, commits of 10,000 in flight as quick as before.
//!
//! A file that was closed has no journal, and the format that earlier versions know. While there is a
//! journal the format is one higher: a version that does not know journals refuses the file.
//!
//! The database's own commits are made in two ways, which differ in how a crash within one is noticed:
//!
//! - Below [`LARGE_FROM_BYTES`] in one phase: pages and header, one sync. After a crash redb walks
//!   the file and takes the newer of two states whose page checksums are right. These checksums are
//!   quick and no secret, and redb warns of those who could choose the bytes of pages so that a torn
//!   page has the right one. Here nobody can: what lies in the pages is sealed under a random key.
//! - Above it in two phases with quick-repair: two syncs, and the state of the allocator is stored
//!   with every commit, so that nothing has to be walked. Recovery needs that on the *last* commit,
//!   whichever it is.

mod check;
mod checkpoint;
mod commit;
mod compact;
mod edits;
mod error;
mod journal;
mod load;
mod migrate;
mod open;
mod rows;
mod write;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use redb::{
    Database, ReadTransaction, ReadableDatabase, ReadableTable, StorageBackend, TableDefinition,
};

use crate::Error;
use crate::data_dir::io_error;
use crate::key::MasterKey;

use super::check::{Checked, Problem};
use super::files::{Files, SystemFiles, Watched};
use super::frozen::Frozen;
use super::log::{Log, Touch};
use super::record::{self, Block, Totals};
use super::{Cursor, StreamConfig, lock};

use checkpoint::{Journaled, Waiting, WaitingBlock};
use commit::{Committing, DIRECT_FROM_BYTES, JOURNAL_FROM_COMMITS};
use compact::{COMPACT_FROM_BYTES, Compaction};
use edits::RowSet;
use error::{Fault, corrupt};
use open::{close_database, guarded, make_tables, open_database, read_key};
use rows::{BLOCKS, CONSUMERS, CURSORS, HEADS, Place, Rows};

pub(super) use compact::remove_leftover;
pub(super) use journal::{database_of, remove as remove_journal};

/// File format of a file that was closed. 1 had no checksums outside of blocks.
const FORMAT: u32 = 2;
/// Newest file format this version knows: that of a file whose last commits are in its journal.
const FORMAT_WITH_JOURNAL: u32 = 3;
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
    /// Commits from this size on go straight into the database.
    pub(crate) direct_from_bytes: usize,
    /// Small commits after which there is a journal.
    pub(crate) journal_from_commits: u32,
    /// Sizes of the areas of journals, small first.
    pub(crate) journal_areas: &'static [u64],
    /// Whether what waits goes into the database beside further commits.
    pub(crate) checkpoints_beside: bool,
    /// The keys of new files are wrapped by this one.
    pub(crate) key: Option<Arc<MasterKey>>,
}

impl Default for DiskOptions {
    fn default() -> Self {
        Self {
            files: Arc::new(SystemFiles),
            large_from_bytes: LARGE_FROM_BYTES,
            compact_from_bytes: COMPACT_FROM_BYTES,
            direct_from_bytes: DIRECT_FROM_BYTES,
            journal_from_commits: JOURNAL_FROM_COMMITS,
            journal_areas: &journal::AREA_BYTES,
            checkpoints_beside: true,
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
    committing: Mutex<Committing>,
    /// Rows that only the journal has.
    waiting: Arc<Mutex<Waiting>>,
    /// Whether there is a journal.
    journaled: AtomicBool,
    /// Whether a commit failed: nothing is stored any more until the file is reopened.
    failed: AtomicBool,
}

/// How a file was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Condition {
    /// Whether it had not been closed.
    pub(super) open: bool,
    /// Why commits are lost that the journal had.
    pub(super) damage: Option<&'static str>,
}

impl Disk {
    /// Opens a file, repairing it if it was not closed, and brings it to the present format.
    pub(super) fn open(path: &Path, options: DiskOptions) -> Result<Self, Error> {
        let file = options.files.open(path)?;
        let (disk, mut condition) = Self::open_in(path, options, file)?;
        disk.recover(&mut condition, Tolerance::None)?;
        remove_journal(&*disk.options.files, path)?;
        Ok(disk)
    }

    /// The same for those who look a file through: a damaged journal is told of and given up.
    pub(super) fn open_to_repair(
        path: &Path,
        options: DiskOptions,
    ) -> Result<(Self, Condition), Error> {
        let file = options.files.open(path)?;
        let (disk, mut condition) = Self::open_in(path, options, file)?;
        disk.recover(&mut condition, Tolerance::Damage)?;
        remove_journal(&*disk.options.files, path)?;
        Ok((disk, condition))
    }

    /// Opens a file and writes nothing to it or beside it, whatever it needs.
    pub(super) fn open_frozen(
        path: &Path,
        options: DiskOptions,
    ) -> Result<(Self, Condition), Error> {
        if !options.files.exists(path) {
            return Err(io_error(path, std::io::ErrorKind::NotFound.into()));
        }
        let file = Frozen::new(options.files.open(path)?);
        let (disk, mut condition) = Self::open_in(path, options, Box::new(file))?;
        disk.recover(&mut condition, Tolerance::Damage)?;
        Ok((disk, condition))
    }

    fn open_in(
        path: &Path,
        options: DiskOptions,
        file: Box<dyn StorageBackend>,
    ) -> Result<(Self, Condition), Error> {
        let repaired = Arc::new(AtomicBool::new(false));
        let (database, watched) = open_database(path, file, Some(repaired.clone()))?;
        let prepared = guarded(path, "the database can not be read", || {
            migrate::bring_forward(&database)?;
            read_key(&database, path, options.key.as_deref())
        });
        match prepared {
            Ok(rows) => {
                let this = Self::new(path, options, rows, database, watched);
                let condition = Condition {
                    open: repaired.load(Ordering::Relaxed),
                    damage: None,
                };
                Ok((this, condition))
            }
            Err(error) => {
                close_database(path, database);
                Err(error)
            }
        }
    }

    /// Brings what only the journal has into the database. The journal's file stays as it is and has
    /// no meaning any more.
    fn recover(&self, condition: &mut Condition, tolerance: Tolerance) -> Result<(), Error> {
        let path = self.path();
        let Some(mark) = self.read(|read| load::mark(read, &self.rows))? else {
            return Ok(());
        };
        let replayed = journal::replay(&*self.options.files, &path, &mark)?;
        if let Some(damage) = replayed.damage
            && tolerance == Tolerance::None
        {
            return Err(corrupt(&path, damage));
        }
        condition.open = true;
        condition.damage = replayed.damage;
        let mut rows = RowSet::default();
        for edits in replayed.edits {
            let absorbed = rows.absorb(edits);
            absorbed.map_err(|error| Fault::from(error).at(&path))?;
        }
        self.checkpoint(Journaled::No)?.store(&[&rows])
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
        disk.commit_first(&Changes {
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
            committing: Mutex::default(),
            waiting: Arc::default(),
            journaled: AtomicBool::new(false),
            failed: AtomicBool::new(false),
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

    /// The records of blocks; `None` where one is gone.
    pub(super) fn records(&self, keys: &[u64]) -> Result<Vec<Option<Bytes>>, Error> {
        // Before the database is looked at: what leaves here meanwhile is there then.
        let waiting: Vec<WaitingBlock> = {
            let waiting = lock(&self.waiting);
            let block = |key: &u64| waiting.block(&key.to_be_bytes());
            keys.iter().map(block).collect()
        };
        self.read(|read| {
            let (heads, blocks) = (read.open_table(HEADS)?, read.open_table(BLOCKS)?);
            let keys = keys.iter().zip(&waiting);
            keys.map(|(key, waiting)| load::records(&heads, &blocks, &self.rows, *key, waiting))
                .collect()
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
        let key = self.rows.name_key(name);
        let waiting = lock(&self.waiting).one_named(Place::Cursors, &key);
        self.read(|read| {
            let row = match waiting {
                Some(row) => row,
                None => {
                    let table = read.open_table(CURSORS)?;
                    let row = table.get(&key[..])?;
                    row.map(|row| Bytes::copy_from_slice(row.value()))
                }
            };
            let Some(row) = row else {
                return Ok(None);
            };
            let (_, cursor) = load::named(&self.rows, Place::Cursors, &key, &row)?;
            Ok(Some(record::decode_cursor(&cursor)?))
        })
    }

    /// After a failed commit: goes on for readers only, writing nothing to the file any more.
    pub(super) fn freeze(&self) -> Result<(), Error> {
        self.reopen(|backend| Box::new(Frozen::new(backend)))
    }

    /// Opens the file for writing again.
    pub(super) fn thaw(&self) -> Result<(), Error> {
        self.reopen(|backend| backend)?;
        remove_journal(&*self.options.files, &self.path())
    }

    /// Closes the file, leaving it in a state that opens without repair and without a journal.
    pub(super) fn close(&self) {
        self.stop_compaction();
        // After a failure the journal is what is sure.
        if !self.failed.load(Ordering::Acquire)
            && let Err(error) = self.give_journal_back()
        {
            tracing::warn!(%error, "the journal of a stream is kept for the next start");
        }
        self.close_as_it_is();
    }

    fn close_as_it_is(&self) {
        self.abandon_journal();
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
        let waiting: BTreeMap<_, _> = lock(&self.waiting).named(place).into_iter().collect();
        self.read(|read| {
            let table = read.open_table(table)?;
            let mut found = Vec::new();
            for row in table.iter()? {
                let (key, row) = row?;
                if !waiting.contains_key(key.value()) {
                    let (name, body) = load::named(&self.rows, place, key.value(), row.value())?;
                    found.push((name, decode(&body)?));
                }
            }
            for (key, row) in &waiting {
                if let Some(row) = row {
                    let (name, body) = load::named(&self.rows, place, key, row)?;
                    found.push((name, decode(&body)?));
                }
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
        self.stop_compaction();
        self.close_as_it_is();
        let path = self.path();
        let file = wrap(self.options.files.open(&path)?);
        let (database, watched) = open_database(&path, file, None)?;
        *lock(&self.database) = Some(Arc::new(database));
        *lock(&self.watched) = watched;
        self.recover(&mut Condition::default(), Tolerance::None)?;
        self.failed.store(false, Ordering::Release);
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

/// Reads an area of a journal whatever is in it, and its edits whatever they are.
#[cfg(any(test, fuzzing))]
pub(super) fn fuzz_journal(generation: u64, area: &[u8]) {
    let mut rows = RowSet::default();
    for edits in journal::fuzz_area(generation, area) {
        let _ = rows.absorb(edits);
    }
    let _ = rows.absorb(Bytes::copy_from_slice(area));
}

/// What opening a file puts up with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tolerance {
    None,
    /// Records of the journal that are lost.
    Damage,
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
