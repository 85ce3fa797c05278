//! Brings rows that only the journal has into the database, many commits at a time.
//!
//! One commit of the database takes the rows and says where the journal goes on. While it is made,
//! beside the commits of the stream, readers find the rows in memory.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use bytes::Bytes;
use redb::{Database, WriteTransaction};

use crate::Error;

use super::super::lock;
use super::compact::Work;
use super::edits::RowSet;
use super::error::Fault;
use super::journal::Mark;
use super::open::guarded;
use super::rows::{FORMAT_ROW, JOURNAL_ROW, META, Place, Rows};
use super::{FORMAT, FORMAT_WITH_JOURNAL};

/// Rows that are not in the database yet.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// Of commits since the last checkpoint began.
    newest: RowSet,
    /// That a checkpoint is storing.
    older: Option<Arc<RowSet>>,
}

impl Waiting {
    /// Takes over the rows of a commit.
    pub(super) fn absorb(&mut self, edits: Bytes) -> Result<(), Fault> {
        Ok(self.newest.absorb(edits)?)
    }

    /// What a checkpoint has to store. Nothing else may be stored meanwhile.
    pub(super) fn set_aside(&mut self) -> Arc<RowSet> {
        let rows = Arc::new(std::mem::take(&mut self.newest));
        self.older = Some(rows.clone());
        rows
    }

    /// The rows that were set aside are in the database.
    pub(super) fn forget_older(&mut self) {
        self.older = None;
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The rows of a block that wait.
    pub(super) fn block(&self, key: &[u8; 8]) -> WaitingBlock {
        let (head, data) = self.newest.block(key);
        let older = self.older.as_ref().map(|older| older.block(key));
        let (older_head, older_data) = older.unwrap_or_default();
        WaitingBlock {
            head: head.or(older_head).cloned(),
            data: data.or(older_data).cloned(),
        }
    }

    /// Rows of a table that belong to names.
    pub(super) fn named(&self, place: Place) -> Vec<(String, Option<Bytes>)> {
        let older = self.older.iter().flat_map(|older| older.named(place));
        let rows = older.chain(self.newest.named(place));
        rows.map(|(key, row)| (key.clone(), row.clone())).collect()
    }

    /// One of them.
    pub(super) fn one_named(&self, place: Place, key: &str) -> Option<Option<Bytes>> {
        let older = || self.older.as_ref()?.named(place).get(key);
        let found = self.newest.named(place).get(key).or_else(older);
        found.cloned()
    }
}

/// Head row and data row of a block, where they wait. `Some(None)`: the row is gone.
#[derive(Debug, Clone, Default)]
pub(super) struct WaitingBlock {
    pub(super) head: Option<Option<Bytes>>,
    pub(super) data: Option<Option<Bytes>>,
}

/// What the database says of the journal from now on.
#[derive(Debug, Clone, Copy)]
pub(super) enum Journaled {
    /// What it said before.
    AsBefore,
    At(Mark),
    /// There is none.
    No,
}

/// One commit of the database.
pub(super) struct Checkpoint {
    pub(super) path: PathBuf,
    pub(super) database: Arc<Database>,
    pub(super) rows: Arc<Rows>,
    /// A copy of the file that is being made.
    pub(super) work: Option<Arc<Work>>,
    /// Two phases, and the state of the allocator with it.
    pub(super) quick_repair: bool,
    pub(super) journal: Journaled,
}

impl Checkpoint {
    /// Stores rows; of two sets the later one counts.
    pub(super) fn store(&self, sets: &[&RowSet]) -> Result<(), Error> {
        // A copier sees the file and what was noted between two commits only.
        let mut changed = self.work.as_ref().map(|work| lock(&work.changed));
        if let Some(changed) = &mut changed {
            sets.iter().for_each(|rows| rows.note(changed));
        }
        guarded(&self.path, "the database can not be written", || {
            let mut write = self.database.begin_write()?;
            write.set_quick_repair(self.quick_repair);
            for rows in sets {
                rows.apply(&write)?;
            }
            self.mark(&write)?;
            Ok(write.commit()?)
        })
    }

    fn mark(&self, write: &WriteTransaction) -> Result<(), Fault> {
        let format = match self.journal {
            Journaled::AsBefore => return Ok(()),
            Journaled::At(_) => FORMAT_WITH_JOURNAL,
            Journaled::No => FORMAT,
        };
        let mut meta = write.open_table(META)?;
        meta.insert(FORMAT_ROW, &format.to_be_bytes()[..])?;
        match self.journal {
            Journaled::At(mark) => {
                let body = mark.encode();
                self.rows.put(&mut meta, Place::Meta, JOURNAL_ROW, &[&body])
            }
            _ => {
                meta.remove(JOURNAL_ROW)?;
                Ok(())
            }
        }
    }

    /// The same on a thread of its own. The rows leave `waiting` when they are stored.
    pub(super) fn begin(self, rows: Arc<RowSet>, waiting: Arc<Mutex<Waiting>>) -> Running {
        let path = self.path.clone();
        let work = Arc::new(move || {
            self.store(&[&rows])?;
            lock(&waiting).forget_older();
            Ok(())
        });
        let again = work.clone();
        let thread = std::thread::Builder::new().name("checkpoint".to_owned());
        // Without a thread the commit that needs the room waits.
        let thread = thread.spawn(move || work()).map_err(|_| again());
        Running { path, thread }
    }
}

/// A checkpoint that is made beside commits.
#[derive(Debug)]
pub(super) struct Running {
    path: PathBuf,
    /// The thread, or how it ended without one.
    thread: Result<JoinHandle<Result<(), Error>>, Result<(), Error>>,
}

impl Running {
    pub(super) fn is_finished(&self) -> bool {
        self.thread.as_ref().map_or(true, JoinHandle::is_finished)
    }

    /// Waits for its end.
    pub(super) fn join(self) -> Result<(), Error> {
        let path = self.path;
        let thread = match self.thread {
            Ok(thread) => thread,
            Err(ended) => return ended,
        };
        let reason = "a checkpoint panicked".to_owned();
        let panicked = |_| Err(Error::WritesStopped { path, reason });
        thread.join().unwrap_or_else(panicked)
    }
}
