//! What waits for the writer of a stream. Bounded by items and by bytes; full means: `submit`
//! refuses, `append` and the rest wait.

use std::collections::VecDeque;

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::Error;

use super::{Append, AppendError, Appended, Cursor, Purge, Settle, StreamConfig};

/// Appends that may wait in one stream.
pub(super) const QUEUE_APPENDS_MAX: usize = 65_536;
/// Bytes that may wait in one stream.
pub(super) const QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Appends that go into one commit at most.
pub(super) const COMMIT_APPENDS_MAX: usize = 16_384;
/// Bytes that go into one commit at most.
pub(super) const COMMIT_BYTES_MAX: usize = 16 * 1024 * 1024;

pub(super) type Completion = Box<dyn FnOnce(Vec<Result<Appended, AppendError>>) + Send>;
pub(super) type Batch = Result<Vec<Appended>, (usize, AppendError)>;
pub(super) type BatchCompletion = Box<dyn FnOnce(Batch) + Send>;
pub(super) type Reply<T> = oneshot::Sender<Result<T, Error>>;

/// One thing for the writer to do.
pub(super) enum Job {
    Append(Vec<Append>, Completion),
    /// All or nothing.
    AppendAll(Vec<Append>, BatchCompletion),
    Delete(u64, Reply<bool>),
    Purge(Purge, Reply<u64>),
    Update(Box<StreamConfig>, Reply<()>),
    SaveCursor(String, Box<Cursor>, Reply<()>),
    RemoveCursor(String, Reply<bool>),
    SaveConsumer(String, Bytes, Reply<()>),
    RemoveConsumer(String, Reply<bool>),
    Settle(Box<Settle>, Reply<u64>),
    Expire(Reply<()>),
    Flush(Reply<()>),
    /// The stream is idle: what it holds beside its file is given back.
    Rest(Reply<()>),
    Close(Reply<()>),
}

impl Job {
    fn cost(&self) -> (usize, usize) {
        match self {
            Self::Append(batch, _) | Self::AppendAll(batch, _) => {
                (batch.len(), batch.iter().map(Append::len_bytes).sum())
            }
            Self::SaveCursor(_, cursor, _) => (1, cursor.len_bytes()),
            Self::SaveConsumer(_, owner, _) => (1, owner.len()),
            Self::Settle(settle, _) => {
                let cursor = settle.cursor.as_ref();
                let cursor = cursor.map_or(0, |(_, cursor)| cursor.len_bytes());
                (1 + settle.remove.len(), cursor)
            }
            _ => (1, 0),
        }
    }
}

/// Jobs in the order they came.
#[derive(Default)]
pub(super) struct Queue {
    jobs: VecDeque<Job>,
    appends: usize,
    bytes: usize,
    /// Whether a writer is at work, or on its way.
    pub(super) running: bool,
    pub(super) closed: bool,
}

impl Queue {
    /// Adds a job, or gives it back when there is no room. An empty queue takes any job.
    pub(super) fn push(&mut self, job: Job) -> Result<(), Job> {
        let (appends, bytes) = job.cost();
        let full =
            self.appends + appends > QUEUE_APPENDS_MAX || self.bytes + bytes > QUEUE_BYTES_MAX;
        if full && !self.jobs.is_empty() {
            return Err(job);
        }
        self.push_anyway(job);
        Ok(())
    }

    /// Whether a batch would be taken.
    pub(super) fn has_room(&self, batch: &[Append]) -> bool {
        let bytes: usize = batch.iter().map(Append::len_bytes).sum();
        self.jobs.is_empty()
            || (self.appends + batch.len() <= QUEUE_APPENDS_MAX
                && self.bytes + bytes <= QUEUE_BYTES_MAX)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Adds a job whatever waits already.
    pub(super) fn push_anyway(&mut self, job: Job) {
        let (appends, bytes) = job.cost();
        self.appends += appends;
        self.bytes += bytes;
        self.jobs.push_back(job);
    }

    /// Takes what shares the next commit.
    pub(super) fn take(&mut self) -> Vec<Job> {
        let mut taken = Vec::new();
        let (mut appends, mut bytes) = (0, 0);
        while let Some(job) = self.jobs.front() {
            let (more_appends, more_bytes) = job.cost();
            let over = appends + more_appends > COMMIT_APPENDS_MAX
                || bytes + more_bytes > COMMIT_BYTES_MAX;
            if over && !taken.is_empty() {
                break;
            }
            appends += more_appends;
            bytes += more_bytes;
            taken.extend(self.jobs.pop_front());
        }
        self.appends -= appends;
        self.bytes -= bytes;
        if self.jobs.is_empty() {
            self.jobs = VecDeque::new();
        }
        taken
    }
}
