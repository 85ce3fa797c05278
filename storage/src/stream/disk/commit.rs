//! How a commit gets to the disk: through the journal, or straight into the database.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use redb::ReadableDatabase;

use crate::Error;

use super::super::lock;
use super::checkpoint::{Checkpoint, Journaled, Running};
use super::edits::RowSet;
use super::error::Fault;
use super::journal::{self, Journal};
use super::open::guarded;
use super::rows::{BLOCKS, HEADS, Place};
use super::{Changes, Disk, load, write};

/// Commits from this size on go straight into the database, if the disk is waited for.
pub(super) const DIRECT_FROM_BYTES: usize = 512 * 1024;
/// Small commits after which a stream gets a journal.
pub(super) const JOURNAL_FROM_COMMITS: u32 = 8;

/// What the writer keeps from commit to commit.
#[derive(Debug, Default)]
pub(super) struct Committing {
    journal: Option<Journal>,
    checkpoint: Option<Running>,
    /// Small commits since there was a journal last.
    commits: u32,
}

impl Disk {
    /// Makes one commit; one without changes waits for what was not waited for yet. After an error
    /// the file must be reopened.
    pub(in crate::stream) fn commit(&self, changes: &Changes) -> Result<(), Error> {
        self.noting_failure(self.try_to_commit(changes))
    }

    /// The first commit of a new file, which has another name than it will have.
    pub(super) fn commit_first(&self, changes: &Changes) -> Result<(), Error> {
        let edits = self.edits(changes)?;
        self.commit_directly(&mut lock(&self.committing), edits, false)
    }

    fn edits(&self, changes: &Changes) -> Result<Bytes, Error> {
        if let Some(config) = &changes.config {
            self.compress.store(config.compression, Ordering::Relaxed);
        }
        let compress = self.compress.load(Ordering::Relaxed);
        guarded(&self.path(), "the database can not be read", || {
            write::edits(changes, &self.rows, compress, &|key| self.stored(key))
        })
    }

    fn try_to_commit(&self, changes: &Changes) -> Result<(), Error> {
        let edits = self.edits(changes)?;
        let committing = &mut *lock(&self.committing);
        if committing
            .checkpoint
            .as_ref()
            .is_some_and(Running::is_finished)
        {
            self.join_checkpoint(committing)?;
        }
        if edits.is_empty() {
            let journal = committing.journal.as_mut().filter(|_| changes.durable);
            return journal.map_or(Ok(()), Journal::sync);
        }
        let journals = !changes.durable || edits.len() < self.options.direct_from_bytes;
        if !journals || !self.take_journal(committing, &edits, changes.durable)? {
            return self.commit_directly(committing, edits, journals);
        }
        let Some(journal) = &mut committing.journal else {
            return self.commit_directly(committing, edits, journals);
        };
        journal.append(&edits, changes.durable)?;
        let path = self.path();
        lock(&self.waiting)
            .absorb(edits)
            .map_err(|fault| fault.at(&path))
    }

    /// Sees to it that the journal has room; false when the commit is better made without.
    fn take_journal(
        &self,
        committing: &mut Committing,
        edits: &Bytes,
        durable: bool,
    ) -> Result<bool, Error> {
        let Some(journal) = &mut committing.journal else {
            committing.commits += 1;
            let due = committing.commits >= self.options.journal_from_commits;
            return Ok((due || !durable) && self.begin_journal(committing, edits)?);
        };
        if journal.has_room(edits.len()) {
            return Ok(true);
        }
        if !journal.will_have_room(edits.len()) {
            // This one goes straight, the next ones will fit.
            return Ok(false);
        }
        // At most two areas have rows that the database has not.
        self.join_checkpoint(committing)?;
        let Some(journal) = &mut committing.journal else {
            return Ok(false);
        };
        // What follows may only be there if all of this is.
        journal.sync()?;
        journal.turn()?;
        let checkpoint = self.checkpoint(Journaled::At(journal.mark()))?;
        let rows = lock(&self.waiting).set_aside();
        if self.options.checkpoints_beside {
            committing.checkpoint = Some(checkpoint.begin(rows, self.waiting.clone()));
        } else {
            checkpoint.store(&[&rows])?;
            lock(&self.waiting).forget_older();
        }
        Ok(true)
    }

    /// Begins a journal; false when there is no room for one.
    fn begin_journal(&self, committing: &mut Committing, edits: &Bytes) -> Result<bool, Error> {
        committing.commits = 0;
        let files = &*self.options.files;
        let areas = self.options.journal_areas;
        let journal = match Journal::begin(files, &self.path(), areas, edits.len()) {
            Ok(Some(journal)) => journal,
            Ok(None) => return Ok(false),
            Err(error) => {
                tracing::debug!(%error, "no journal can be made");
                return Ok(false);
            }
        };
        self.checkpoint(Journaled::At(journal.mark()))?.store(&[])?;
        committing.journal = Some(journal);
        self.journaled.store(true, Ordering::Release);
        Ok(true)
    }

    /// Stores a commit in the database, with all that waits. `journals`: the next one like it should
    /// go to the journal.
    fn commit_directly(
        &self,
        committing: &mut Committing,
        edits: Bytes,
        journals: bool,
    ) -> Result<(), Error> {
        let path = self.path();
        self.join_checkpoint(committing)?;
        let edits_len = edits.len();
        let mut rows = RowSet::default();
        let absorbed = rows.absorb(edits);
        absorbed.map_err(|error| Fault::from(error).at(&path))?;
        let journaled = match &mut committing.journal {
            Some(journal) if journals && journal.is_too_small(edits_len) => {
                journal.start_over(edits_len)?;
                Journaled::At(journal.mark())
            }
            // What it has is in the database then.
            Some(journal) if !journal.is_empty() => {
                journal.turn()?;
                Journaled::At(journal.mark())
            }
            _ => Journaled::AsBefore,
        };
        if edits_len == 0 && matches!(journaled, Journaled::AsBefore) {
            return Ok(());
        }
        let waiting = lock(&self.waiting).set_aside();
        self.checkpoint(journaled)?.store(&[&waiting, &rows])?;
        lock(&self.waiting).forget_older();
        Ok(())
    }

    /// Brings all that waits into the database and gives the journal back: the stream is idle.
    /// After an error the file must be reopened.
    pub(in crate::stream) fn rest(&self) -> Result<(), Error> {
        self.noting_failure(self.give_journal_back())
    }

    /// Whether there is a journal.
    pub(in crate::stream) fn has_journal(&self) -> bool {
        self.journaled.load(Ordering::Acquire)
    }

    pub(super) fn give_journal_back(&self) -> Result<(), Error> {
        let committing = &mut *lock(&self.committing);
        committing.commits = 0;
        self.join_checkpoint(committing)?;
        if committing.journal.is_none() {
            return Ok(());
        }
        let waiting = lock(&self.waiting).set_aside();
        self.checkpoint(Journaled::No)?.store(&[&waiting])?;
        lock(&self.waiting).forget_older();
        committing.journal = None;
        self.journaled.store(false, Ordering::Release);
        // What a failure leaves has no meaning any more.
        journal::remove(&*self.options.files, &self.path())
    }

    /// Forgets journal and rows that wait, as they are in the journal's file.
    pub(super) fn abandon_journal(&self) {
        let committing = &mut *lock(&self.committing);
        if let Err(error) = self.join_checkpoint(committing) {
            tracing::debug!(%error, "the last checkpoint failed");
        }
        *committing = Committing::default();
        self.journaled.store(false, Ordering::Release);
        lock(&self.waiting).clear();
    }

    /// Brings all that waits into the database.
    pub(super) fn store_waiting(&self) -> Result<(), Error> {
        let nothing = Bytes::new();
        self.noting_failure(self.commit_directly(&mut lock(&self.committing), nothing, false))
    }

    /// Waits for a checkpoint that is under way.
    pub(super) fn finish_checkpoint(&self) -> Result<(), Error> {
        self.noting_failure(self.join_checkpoint(&mut lock(&self.committing)))
    }

    /// After a failure nothing that may be half done is stored when the file is closed.
    fn noting_failure(&self, result: Result<(), Error>) -> Result<(), Error> {
        result.map_err(|error| {
            self.failed.store(true, Ordering::Release);
            self.first_failure(error)
        })
    }

    fn join_checkpoint(&self, committing: &mut Committing) -> Result<(), Error> {
        committing.checkpoint.take().map_or(Ok(()), Running::join)
    }

    /// A commit of the database as it has to be made now.
    pub(super) fn checkpoint(&self, journal: Journaled) -> Result<Checkpoint, Error> {
        Ok(Checkpoint {
            path: self.path(),
            database: self.database()?,
            rows: Arc::clone(&self.rows),
            work: lock(&self.compaction).work(),
            quick_repair: self.file_bytes() >= self.options.large_from_bytes,
            journal,
        })
    }

    /// Head and records of a block.
    fn stored(&self, key: u64) -> Result<Option<(Vec<u8>, Bytes)>, Fault> {
        let at = &key.to_be_bytes();
        let waiting = lock(&self.waiting).block(at);
        let read = self.database()?.begin_read()?;
        let (heads, blocks) = (read.open_table(HEADS)?, read.open_table(BLOCKS)?);
        let head = match &waiting.head {
            Some(row) => row.clone(),
            None => heads
                .get(at)?
                .map(|row| Bytes::copy_from_slice(row.value())),
        };
        let Some(head) = head else {
            return Ok(None);
        };
        let head = self.rows.open(Place::Heads, at, &head)?.into_owned();
        let records = load::records(&heads, &blocks, &self.rows, key, &waiting)?;
        Ok(records.map(|records| (head, records)))
    }
}
