//! Gives the space of deleted messages back to the disk while the stream goes on.
//!
//! redb uses freed pages again and never moves one, so a file stays as large as it once was. When
//! less than half of a file is alive, its rows are copied into a new file beside it: from a snapshot
//! in the background, while commits go on and note which rows they change; then what changed
//! meanwhile, again and again until little is left. The last of it is copied by the writer of the
//! stream between two commits, which syncs the new file and gives it the name of the old one. A
//! crash leaves either of them, whole; one that got no name yet is removed at the next start.
//!
//! Rows are copied as they are, sealed, after a look at the seal: what is damaged is not copied
//! silently, the file stays then.
//!
//! Half of the time the copier pauses, so that it takes at most half of the disk from others.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;

use redb::{
    Database, Durability, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition,
    WriteTransaction,
};
use tracing::{info, warn};

use crate::Error;
use crate::data_dir::io_error;

use super::super::files::{Watched, remove_if_there, sync_name};
use super::super::lock;
use super::error::Fault;
use super::open::{close_database, guarded, open_database};
use super::rows::{
    BLOCKS, CONSUMERS, CURSORS, FORMAT_ROW, HEADS, KEY_ROW, LIVE, META, Place, Rows,
};
use super::{Disk, DiskOptions};

/// Files below this size are left as they are.
pub(super) const COMPACT_FROM_BYTES: u64 = 16 * 1024 * 1024;
/// What is copied before the copier pauses.
const CHUNK_BYTES: usize = 1024 * 1024;
/// Rows the writer may be left to copy: a few milliseconds.
const LEFT_ROWS_MAX: usize = 128;
/// Times that what changed is copied in the background. A stream that changes more than that while
/// it is copied is too busy to be compacted now.
const ROUNDS_MAX: usize = 16;

type Numbered = TableDefinition<'static, &'static [u8; 8], &'static [u8]>;
type Named = TableDefinition<'static, &'static str, &'static [u8]>;

const NUMBERED: [(Numbered, Place); 3] = [
    (HEADS, Place::Heads),
    (BLOCKS, Place::Blocks),
    (LIVE, Place::Live),
];
const NAMED: [(Named, Place); 2] = [(CURSORS, Place::Cursors), (CONSUMERS, Place::Consumers)];

/// Rows that commits changed since they were copied.
#[derive(Debug, Default)]
pub(super) struct Changed {
    blocks: BTreeSet<u64>,
    names: BTreeSet<String>,
}

impl Changed {
    pub(super) fn note_blocks(&mut self, blocks: impl Iterator<Item = u64>) {
        self.blocks.extend(blocks);
    }

    pub(super) fn note_names(&mut self, names: impl Iterator<Item = String>) {
        self.names.extend(names);
    }

    fn len(&self) -> usize {
        self.blocks.len() + self.names.len()
    }
}

/// What the copier and the writer share.
#[derive(Debug, Default)]
pub(super) struct Work {
    stop: AtomicBool,
    /// Held by a commit from its begin to its end.
    pub(super) changed: Mutex<Changed>,
    outcome: Mutex<Option<Result<Copy, Error>>>,
}

#[derive(Debug)]
struct Copy {
    database: Database,
    watched: Arc<Watched>,
}

/// The compaction of one file: the one that runs, and what the last one came to.
#[derive(Debug, Default)]
pub(super) struct Compaction {
    running: Option<(Arc<Work>, JoinHandle<()>)>,
    /// Closes what was replaced.
    closing: Option<JoinHandle<()>>,
    /// Bytes alive and bytes of the file after the last try.
    last: Option<(u64, u64)>,
}

impl Compaction {
    pub(super) fn work(&self) -> Option<Arc<Work>> {
        self.running.as_ref().map(|(work, _)| work.clone())
    }

    /// Whether it is worth while. After a try it is only when much was deleted or added since: what
    /// is alive is an estimate.
    fn is_due(&self, from_bytes: u64, live: u64, file: u64) -> bool {
        let sparse = file >= from_bytes && live < file / 2;
        let again = self
            .last
            .is_none_or(|(live_then, file_then)| live < live_then / 2 || file / 2 >= file_then);
        self.running.is_none() && sparse && again
    }

    /// Ends what runs and waits for it.
    pub(super) fn stop(&mut self) {
        if let Some((work, thread)) = self.running.take() {
            work.stop.store(true, Ordering::Release);
            join(thread);
            lock(&work.outcome).take();
        }
        if let Some(thread) = self.closing.take() {
            join(thread);
        }
    }
}

fn join(thread: JoinHandle<()>) {
    // The last handle of a stream may be dropped by its own copier.
    if thread.thread().id() != std::thread::current().id() {
        drop(thread.join());
    }
}

/// The file that rows are copied into.
pub(crate) fn aside(path: &Path) -> PathBuf {
    path.with_extension("compact")
}

impl Disk {
    /// Begins to copy the file when little of it is alive. Called by the writer between commits;
    /// `wake` makes it call [`Disk::finish_compaction`] when the copy is ready.
    ///
    /// # Errors
    /// When rows that wait can not be stored: the file must be reopened.
    pub(in crate::stream) fn compact_if_sparse(
        &self,
        live_bytes: u64,
        wake: impl FnOnce() + Send + 'static,
    ) -> Result<(), Error> {
        let from_bytes = self.options.compact_from_bytes;
        if !lock(&self.compaction).is_due(from_bytes, live_bytes, self.file_bytes()) {
            return Ok(());
        }
        // What was deleted may wait to be, and a checkpoint under way would not note what it does.
        self.store_waiting()?;
        let mut compaction = lock(&self.compaction);
        compaction.last = Some((live_bytes, self.file_bytes()));
        let database = self.database()?;
        let path = self.path();
        // The writer stands still here: from this snapshot on every change is noted.
        let snapshot = guarded(&path, "the database can not be read", || {
            Ok(database.begin_read()?)
        });
        let Ok(snapshot) = snapshot else {
            return Ok(());
        };
        let work = Arc::new(Work::default());
        let copier = Copier {
            database,
            rows: self.rows.clone(),
            options: self.options.clone(),
            path,
            work: work.clone(),
        };
        let spawned = std::thread::Builder::new()
            .name("compaction".to_owned())
            .spawn(move || {
                copier.run(snapshot);
                wake();
            });
        match spawned {
            Ok(thread) => compaction.running = Some((work, thread)),
            Err(error) => warn!(%error, "no thread for a compaction"),
        }
        Ok(())
    }

    /// Puts a copy that is ready in the place of the file. Called by the writer between commits.
    ///
    /// # Errors
    /// When it is not sure which of the two files has the name: nothing more may be acknowledged.
    pub(in crate::stream) fn finish_compaction(&self) -> Result<(), Error> {
        let ready = |compaction: &Compaction| {
            let outcome = |work: Arc<Work>| lock(&work.outcome).take();
            compaction.work().and_then(outcome)
        };
        let Some(outcome) = ready(&lock(&self.compaction)) else {
            return Ok(());
        };
        // From here on the database stands still.
        self.finish_checkpoint()?;
        let mut compaction = lock(&self.compaction);
        let Some((work, thread)) = compaction.running.take() else {
            return Ok(());
        };
        compaction.closing = Some(thread);
        let path = self.path();
        let began = Instant::now();
        let before = self.file_bytes();
        let copied = outcome.and_then(|copy| self.copy_rest(&work, copy));
        let copy = match copied {
            Ok(copy) => copy,
            Err(error) => {
                warn!(%error, "the file was not compacted and goes on as it is");
                drop(remove_if_there(&*self.options.files, &aside(&path)));
                return Ok(());
            }
        };
        let renamed = self.options.files.rename(&aside(&path), &path);
        if let Err(error) = renamed {
            warn!(%error, "the compacted file got no name, the old one goes on");
            close_database(&path, copy.database);
            drop(remove_if_there(&*self.options.files, &aside(&path)));
            return Ok(());
        }
        let after = copy.watched.len();
        *lock(&self.watched) = copy.watched;
        let old = lock(&self.database).replace(Arc::new(copy.database));
        if let Some((live, _)) = compaction.last {
            compaction.last = Some((live, after));
        }
        // Closing writes and syncs what has no name any more: not while publishers wait.
        let earlier = compaction.closing.take();
        let old_path = path.clone();
        compaction.closing = std::thread::Builder::new()
            .name("closing".to_owned())
            .spawn(move || {
                if let Some(earlier) = earlier {
                    join(earlier);
                }
                close_database(&old_path, old);
            })
            .ok();
        sync_name(&*self.options.files, &path)?;
        info!(
            file = %path.display(), before, after, stall = ?began.elapsed(),
            "gave space of deleted messages back"
        );
        Ok(())
    }

    /// What changed since the last round of the copier, made durable.
    fn copy_rest(&self, work: &Work, copy: Copy) -> Result<Copy, Error> {
        let path = self.path();
        let changed = std::mem::take(&mut *lock(&work.changed));
        guarded(&path, "the compacted file can not be written", || {
            let read = self.database()?.begin_read()?;
            let mut write = copy.database.begin_write()?;
            write.set_two_phase_commit(true);
            copy_changed(&read, &write, &self.rows, &changed)?;
            copy_meta(&read, &write, &self.rows)?;
            write.commit()?;
            Ok(copy)
        })
    }
}

/// Copies a file in the background.
struct Copier {
    database: Arc<Database>,
    rows: Arc<Rows>,
    options: DiskOptions,
    path: PathBuf,
    work: Arc<Work>,
}

impl Copier {
    fn run(&self, snapshot: ReadTransaction) {
        let aside = aside(&self.path);
        let copied = guarded(&aside, "the compacted file can not be written", || {
            self.copy(&aside, snapshot)
        });
        *lock(&self.work.outcome) = Some(copied);
    }

    fn copy(&self, aside: &Path, snapshot: ReadTransaction) -> Result<Copy, Fault> {
        let files = &*self.options.files;
        remove_if_there(files, aside)?;
        let (mut database, watched) = open_database(aside, files.open(aside)?, None)?;
        sync_name(files, aside)?;
        for (table, place) in NUMBERED {
            self.copy_all(&snapshot, &database, table, place)?;
        }
        let write = database.begin_write()?;
        for (table, place) in NAMED {
            let (from, mut to) = (snapshot.open_table(table)?, write.open_table(table)?);
            for row in from.iter()? {
                let (key, row) = row?;
                self.rows.open(place, key.value().as_bytes(), row.value())?;
                to.insert(key.value(), row.value())?;
            }
        }
        write.commit()?;
        drop(snapshot);
        for _ in 0..ROUNDS_MAX {
            let (read, changed) = {
                // No commit is under way: the snapshot has all that was noted.
                let mut changed = lock(&self.work.changed);
                if changed.len() <= LEFT_ROWS_MAX {
                    break;
                }
                (self.database.begin_read()?, std::mem::take(&mut *changed))
            };
            self.check_stop()?;
            let mut write = database.begin_write()?;
            write.set_durability(Durability::None)?;
            copy_changed(&read, &write, &self.rows, &changed)?;
            write.commit()?;
        }
        if lock(&self.work.changed).len() > LEFT_ROWS_MAX * 8 {
            return Err(Fault::damage("the stream is too busy to be compacted now"));
        }
        // All is synced here, so that little is left to sync for the writer; and cut to its size.
        database
            .compact()
            .map_err(|error| Fault::damage(error.to_string()))?;
        self.check_stop()?;
        Ok(Copy { database, watched })
    }

    /// Copies a table in chunks.
    fn copy_all(
        &self,
        snapshot: &ReadTransaction,
        database: &Database,
        table: Numbered,
        place: Place,
    ) -> Result<(), Fault> {
        let from = snapshot.open_table(table)?;
        let mut next = Some(0_u64);
        while let Some(start) = next {
            self.check_stop()?;
            let began = Instant::now();
            let mut write = database.begin_write()?;
            write.set_durability(Durability::None)?;
            next = None;
            {
                let mut to = write.open_table(table)?;
                let mut bytes = 0;
                for row in from.range::<&[u8; 8]>(&start.to_be_bytes()..)? {
                    let (key, row) = row?;
                    if bytes > CHUNK_BYTES {
                        next = Some(u64::from_be_bytes(*key.value()));
                        break;
                    }
                    self.rows.open(place, key.value(), row.value())?;
                    to.insert(key.value(), row.value())?;
                    bytes += row.value().len();
                }
            }
            write.commit()?;
            if next.is_some() {
                std::thread::sleep(began.elapsed());
            }
        }
        Ok(())
    }

    fn check_stop(&self) -> Result<(), Fault> {
        if self.work.stop.load(Ordering::Acquire) {
            return Err(Error::Closed.into());
        }
        Ok(())
    }
}

/// Brings rows that changed to what they are now.
fn copy_changed(
    read: &ReadTransaction,
    write: &WriteTransaction,
    rows: &Rows,
    changed: &Changed,
) -> Result<(), Fault> {
    for (table, place) in NUMBERED {
        let (from, mut to) = (read.open_table(table)?, write.open_table(table)?);
        for block in &changed.blocks {
            let key = &block.to_be_bytes();
            match from.get(key)? {
                Some(row) => {
                    rows.open(place, key, row.value())?;
                    to.insert(key, row.value())?;
                }
                None => drop(to.remove(key)?),
            }
        }
    }
    for (table, place) in NAMED {
        let (from, mut to) = (read.open_table(table)?, write.open_table(table)?);
        for name in &changed.names {
            match from.get(&name[..])? {
                Some(row) => {
                    rows.open(place, name.as_bytes(), row.value())?;
                    to.insert(&name[..], row.value())?;
                }
                None => drop(to.remove(&name[..])?),
            }
        }
    }
    Ok(())
}

/// Key, configuration and totals.
fn copy_meta(read: &ReadTransaction, write: &WriteTransaction, rows: &Rows) -> Result<(), Fault> {
    let (from, mut to) = (read.open_table(META)?, write.open_table(META)?);
    for row in from.iter()? {
        let (key, row) = row?;
        if ![FORMAT_ROW, KEY_ROW].contains(&key.value()) {
            rows.open(Place::Meta, key.value().as_bytes(), row.value())?;
        }
        to.insert(key.value(), row.value())?;
    }
    Ok(())
}

/// Removes what a crash left of a compaction.
pub(in crate::stream) fn remove_leftover(path: &Path, options: &DiskOptions) -> Result<(), Error> {
    let aside = aside(path);
    if options.files.exists(&aside) {
        options
            .files
            .remove(&aside)
            .map_err(|source| io_error(&aside, source))?;
    }
    Ok(())
}
