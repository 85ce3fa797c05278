//! The one writer of a stream: takes what waits into one commit, and answers after it.
//!
//! A writer runs on tokio's blocking threads while there is something to write, one at a time per
//! stream, and leaves when its queue is empty. So streams commit in parallel and an idle stream
//! costs no thread.
//!
//! The index is changed while the commit is prepared, and readers are shown nothing above the last
//! committed sequence. After a failed commit the index is built anew from the file.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{error, info};

use crate::Error;

use super::disk::Changes;
use super::inner::{Inner, Store};
use super::log::Log;
use super::queue::{Completion, Job, Reply};
use super::record::{self, BlockBuilder, Entry};
use super::{Append, AppendError, Appended, StreamConfig, SyncPolicy, lock};

/// Messages in one block.
const BLOCK_MESSAGES_MAX: u32 = 512;
/// Data of one block, a little under the 64 KiB that redb gives to it: the next size is twice that.
const BLOCK_BYTES_MAX: usize = 60 * 1024;
/// How long appends are refused after the disk was full before it is tried again.
const DISK_FULL_PAUSE: Duration = Duration::from_secs(1);
/// Appends that are decided while readers wait for the index.
const DECIDE_APPENDS_MAX: usize = 512;

/// What the writer keeps from commit to commit.
#[derive(Debug, Default)]
pub(super) struct Writer {
    builder: BlockBuilder,
    failure: Option<Failure>,
    /// Commits since the disk was last waited for.
    unsynced: bool,
    closed: bool,
}

#[derive(Debug)]
struct Failure {
    error: Arc<Error>,
    since: Instant,
}

/// Answers that leave after the commit.
enum Answer {
    Append(Vec<Result<Appended, AppendError>>, Completion),
    Bool(Result<bool, Error>, Reply<bool>),
    Count(Result<u64, Error>, Reply<u64>),
    Unit(Result<(), Error>, Reply<()>),
}

impl Inner {
    /// Works until nothing waits. Called on a blocking thread.
    pub(super) fn drain(&self) {
        let mut writer = lock(&self.writer);
        loop {
            let jobs = {
                let mut queue = lock(&self.queue);
                let jobs = queue.take();
                if jobs.is_empty() {
                    queue.running = false;
                    return;
                }
                jobs
            };
            self.space.notify_waiters();
            let run = catch_unwind(AssertUnwindSafe(|| writer.run(self, jobs)));
            if run.is_err() {
                // Whoever waits for an answer sees "closed"; the next jobs are refused.
                let reason = "the writer of the stream panicked".to_owned();
                let path = self.name.clone().into();
                writer.fail(self, Error::WritesStopped { path, reason });
            }
        }
    }
}

impl Writer {
    fn run(&mut self, inner: &Inner, jobs: Vec<Job>) {
        self.recover_from_full_disk(inner);
        let mut changes = Changes::default();
        let mut answers = Vec::with_capacity(jobs.len());
        let mut flush = false;
        let mut close = false;
        for job in jobs {
            flush |= matches!(job, Job::Flush(_) | Job::Close(_));
            close |= matches!(job, Job::Close(_));
            answers.push(self.prepare(inner, job, &mut changes));
        }
        let outcome = self.commit(inner, changes, flush);
        if close {
            self.close(inner);
        }
        for answer in answers {
            answer.send(outcome.as_ref().err());
        }
    }

    /// Decides a job and notes what it changes.
    fn prepare(&mut self, inner: &Inner, job: Job, changes: &mut Changes) -> Answer {
        if let Some(refused) = self.refuse() {
            return refused_answer(job, &refused);
        }
        match job {
            Job::Append(batch, done) => Answer::Append(self.appends(inner, &batch, changes), done),
            Job::Delete(sequence, reply) => {
                Answer::Bool(Ok(lock(&inner.log).remove(sequence)), reply)
            }
            Job::Purge(purge, reply) => Answer::Count(Ok(lock(&inner.log).purge(&purge)), reply),
            Job::Update(config, reply) => Answer::Unit(self.update(inner, *config, changes), reply),
            Job::SaveCursor(name, cursor, reply) => {
                changes
                    .cursors
                    .push((name, Some(record::encode_cursor(&cursor))));
                Answer::Unit(Ok(()), reply)
            }
            Job::RemoveCursor(name, reply) => {
                let earlier = changes
                    .cursors
                    .iter()
                    .rev()
                    .find(|(other, _)| *other == name);
                let existed = match earlier {
                    Some((_, row)) => Ok(row.is_some()),
                    None => inner.store.cursor(&name).map(|cursor| cursor.is_some()),
                };
                changes.cursors.push((name, None));
                Answer::Bool(existed, reply)
            }
            Job::Expire(reply) => {
                lock(&inner.log).expire(inner.clock.now());
                Answer::Unit(Ok(()), reply)
            }
            Job::Flush(reply) | Job::Close(reply) => Answer::Unit(Ok(()), reply),
        }
    }

    fn appends(
        &mut self,
        inner: &Inner,
        batch: &[Append],
        changes: &mut Changes,
    ) -> Vec<Result<Appended, AppendError>> {
        let now = inner.clock.now();
        let mut results = Vec::with_capacity(batch.len());
        for part in batch.chunks(DECIDE_APPENDS_MAX) {
            let mut log = lock(&inner.log);
            results.extend(
                part.iter()
                    .map(|append| self.append(&mut log, append, now, changes)),
            );
        }
        results
    }

    fn append(
        &mut self,
        log: &mut Log,
        append: &Append,
        now: u64,
        changes: &mut Changes,
    ) -> Result<Appended, AppendError> {
        if let Some(duplicate) = log.check(append, now)? {
            return Ok(duplicate);
        }
        let size = append.len_bytes();
        if self.builder.count() >= BLOCK_MESSAGES_MAX
            || (!self.builder.is_empty() && self.builder.data_len() + size > BLOCK_BYTES_MAX)
        {
            changes.blocks.push(self.builder.finish());
        }
        let block = self.builder.key_for(log.next_sequence());
        let (appended, expires) = log.append(append, block, now);
        let entry = Entry {
            sequence: appended.sequence.0,
            timestamp: now,
            subject: &append.subject,
            headers_len: append.headers.len(),
            payload_len: append.payload.len(),
            message_id: append.message_id.as_deref(),
            expires,
        };
        self.builder.push(&entry, &append.headers, &append.payload);
        Ok(appended)
    }

    fn update(
        &mut self,
        inner: &Inner,
        config: StreamConfig,
        changes: &mut Changes,
    ) -> Result<(), Error> {
        let mut log = lock(&inner.log);
        log.config.validate_update(&config)?;
        let config = Arc::new(config);
        log.update(config.clone());
        changes.config = Some(config);
        Ok(())
    }

    /// Makes what was prepared durable, then shows it to readers.
    fn commit(
        &mut self,
        inner: &Inner,
        mut changes: Changes,
        flush: bool,
    ) -> Result<(), Arc<Error>> {
        if !self.builder.is_empty() {
            changes.blocks.push(self.builder.finish());
        }
        let sync = {
            let mut log = lock(&inner.log);
            changes.touched = log.take_touched();
            if !changes.touched.is_empty() {
                let state = log.state();
                changes.last = Some((state.last.0, state.last_timestamp));
            }
            log.config.sync
        };
        let nothing = changes.blocks.is_empty()
            && changes.touched.is_empty()
            && changes.cursors.is_empty()
            && changes.config.is_none();
        changes.durable = flush || sync == SyncPolicy::Always;
        if nothing && !(flush && self.unsynced) {
            return Ok(());
        }
        match inner.store.commit(&changes) {
            Ok(()) => {
                self.unsynced = !changes.durable;
                inner.publish(changes, self.unsynced);
                Ok(())
            }
            Err(error) => Err(self.fail(inner, error)),
        }
    }

    /// A failed commit is final: readers go on with what is stored, writers are refused.
    fn fail(&mut self, inner: &Inner, error: Error) -> Arc<Error> {
        error!(stream = %inner.name, error = &error as &dyn std::error::Error, "commit failed, writing stops");
        let error = Arc::new(error);
        self.builder = BlockBuilder::default();
        self.unsynced = false;
        self.failure = Some(Failure {
            error: error.clone(),
            since: Instant::now(),
        });
        if let Store::Disk(disk) = &inner.store {
            let reloaded = disk.freeze().and_then(|()| disk.load(inner.clock.now()));
            match reloaded {
                Ok(log) => inner.replace_log(log),
                Err(error) => {
                    error!(stream = %inner.name, error = &error as &dyn std::error::Error, "reading stops too");
                }
            }
        }
        error
    }

    /// A full disk is the one failure that passes: nothing was lost, so the file is opened again.
    fn recover_from_full_disk(&mut self, inner: &Inner) {
        let (Some(failure), Store::Disk(disk)) = (&mut self.failure, &inner.store) else {
            return;
        };
        let full = matches!(*failure.error, Error::DiskFull { .. });
        if !full || failure.since.elapsed() < inner.disk_full_pause(DISK_FULL_PAUSE) {
            return;
        }
        failure.since = Instant::now();
        match disk.thaw().and_then(|()| disk.load(inner.clock.now())) {
            Ok(log) => {
                inner.replace_log(log);
                self.failure = None;
                info!(stream = %inner.name, "trying to write again after the disk was full");
            }
            Err(_) => {
                // Still no room for the repair: on with reading.
                if let Ok(log) = disk.freeze().and_then(|()| disk.load(inner.clock.now())) {
                    inner.replace_log(log);
                }
            }
        }
    }

    fn refuse(&self) -> Option<Arc<Error>> {
        if self.closed {
            return Some(Arc::new(Error::Closed));
        }
        self.failure.as_ref().map(|failure| failure.error.clone())
    }

    fn close(&mut self, inner: &Inner) {
        self.closed = true;
        lock(&inner.queue).closed = true;
        if let Store::Disk(disk) = &inner.store {
            disk.close();
        }
    }
}

impl Answer {
    fn send(self, failure: Option<&Arc<Error>>) {
        // A receiver that is gone does not wait for its answer any more: nothing to do.
        match self {
            Self::Append(mut results, done) => {
                if let Some(failure) = failure {
                    for result in results.iter_mut().filter(|result| result.is_ok()) {
                        *result = Err(append_error(failure));
                    }
                }
                // A completion that panics must not take the writer with it.
                if catch_unwind(AssertUnwindSafe(|| done(results))).is_err() {
                    error!("the completion of an append panicked");
                }
            }
            Self::Bool(result, reply) => drop(reply.send(fail_over(result, failure))),
            Self::Count(result, reply) => drop(reply.send(fail_over(result, failure))),
            Self::Unit(result, reply) => drop(reply.send(fail_over(result, failure))),
        }
    }
}

fn refused_answer(job: Job, error: &Arc<Error>) -> Answer {
    match job {
        Job::Append(batch, done) => {
            let results = batch.iter().map(|_| Err(append_error(error))).collect();
            Answer::Append(results, done)
        }
        Job::Delete(_, reply) | Job::RemoveCursor(_, reply) => {
            Answer::Bool(Err(again(error)), reply)
        }
        Job::Purge(_, reply) => Answer::Count(Err(again(error)), reply),
        Job::Update(_, reply) | Job::SaveCursor(_, _, reply) => {
            Answer::Unit(Err(again(error)), reply)
        }
        Job::Expire(reply) | Job::Flush(reply) => Answer::Unit(Err(again(error)), reply),
        Job::Close(reply) => Answer::Unit(Ok(()), reply),
    }
}

fn fail_over<T>(result: Result<T, Error>, failure: Option<&Arc<Error>>) -> Result<T, Error> {
    match failure {
        Some(failure) => result.and_then(|_| Err(again(failure))),
        None => result,
    }
}

fn append_error(error: &Arc<Error>) -> AppendError {
    match **error {
        Error::DiskFull { .. } => AppendError::DiskFull,
        Error::Closed => AppendError::Closed,
        _ => AppendError::Storage(error.clone()),
    }
}

/// The same failure for one more caller.
fn again(error: &Error) -> Error {
    match error {
        Error::DiskFull { path } => Error::DiskFull { path: path.clone() },
        Error::Corrupt { path, reason } => Error::Corrupt {
            path: path.clone(),
            reason: reason.clone(),
        },
        Error::WritesStopped { path, reason } => Error::WritesStopped {
            path: path.clone(),
            reason: reason.clone(),
        },
        Error::Io { path, source } | Error::NotWritable { path, source } => Error::WritesStopped {
            path: path.clone(),
            reason: source.to_string(),
        },
        _ => Error::Closed,
    }
}
