//! The one writer of a stream: takes what waits into one commit, and answers after it.
//!
//! A writer runs on tokio's blocking threads while there is something to write, one at a time per
//! stream, and leaves when its queue is empty. So streams commit in parallel and an idle stream
//! costs no thread.
//!
//! The index is changed while the commit is prepared, and readers are shown nothing above the last
//! committed sequence. After a failed commit the index is built anew from the file.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tracing::{error, info};

use crate::Error;

use super::disk::Changes;
use super::inner::{Inner, Store};
use super::log::Log;
use super::queue::{Batch, BatchCompletion, Completion, Job, Reply};
use super::record::{self, BlockBuilder, Entry};
use super::sequences::Item;
use super::{
    Append, AppendError, Appended, Sequence, Settle, StoredMessage, StreamConfig, SyncPolicy, lock,
};

/// Messages in one block.
const BLOCK_MESSAGES_MAX: u32 = 512;
/// Data of one block, a little under the 64 KiB that redb gives to it: the next size is twice that.
const BLOCK_BYTES_MAX: usize = 60 * 1024;
/// Sequences from the first to the last of a block: its live row has a bit for each.
const BLOCK_SPAN_MAX: u64 = 8192;
/// How long appends are refused after the disk was full before it is tried again.
const DISK_FULL_PAUSE: Duration = Duration::from_secs(1);
/// Commits whose answers wait for the thread that sends them.
const COMMITS_UNANSWERED_MAX: usize = 4;
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

/// The answers of one commit.
pub(super) struct Answers {
    answers: Vec<Answer>,
    failure: Option<Arc<Error>>,
}

/// Answers of earlier commits that a thread of their own sends.
#[derive(Default)]
pub(super) struct Answering {
    waiting: VecDeque<Answers>,
    /// Whether that thread is at work, or on its way.
    running: bool,
}

/// An answer that leaves after the commit.
enum Answer {
    Append(Vec<Result<Appended, AppendError>>, Completion),
    Batch(Batch, BatchCompletion),
    Bool(Result<bool, Error>, Reply<bool>),
    Count(Result<u64, Error>, Reply<u64>),
    Unit(Result<(), Error>, Reply<()>),
}

impl Inner {
    /// Works until nothing waits. Called on a blocking thread.
    pub(super) fn drain(self: &Arc<Self>) {
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

impl Inner {
    /// Sends the answers of a commit. While more waits to be written another thread does it, so
    /// that answers and the next commit go on side by side; they leave in order either way.
    fn answer(self: &Arc<Self>, answers: Answers) {
        let more = !lock(&self.queue).is_empty();
        {
            let mut answering = lock(&self.answering);
            if answering.running || (more && answers.answers.len() > 1) {
                let full = |a: &mut Answering| a.waiting.len() >= COMMITS_UNANSWERED_MAX;
                // Answers that are slower than commits hold the writer up, and so the publishers.
                let waited = self.answered.wait_while(answering, full);
                answering = waited.unwrap_or_else(PoisonError::into_inner);
                answering.waiting.push_back(answers);
                if std::mem::replace(&mut answering.running, true) {
                    return;
                }
                let inner = self.clone();
                // Parent of the task is `answering`: `running` is true until it has left.
                drop(self.runtime.spawn_blocking(move || inner.answer_all()));
                return;
            }
        }
        answers.send();
    }

    fn answer_all(&self) {
        loop {
            let answers = {
                let mut answering = lock(&self.answering);
                let Some(answers) = answering.waiting.pop_front() else {
                    answering.running = false;
                    return;
                };
                answers
            };
            self.answered.notify_one();
            answers.send();
        }
    }
}

impl Answers {
    fn send(self) {
        for answer in self.answers {
            answer.send(self.failure.as_ref());
        }
    }
}

impl Writer {
    fn run(&mut self, inner: &Arc<Inner>, jobs: Vec<Job>) {
        self.recover_from_full_disk(inner);
        self.finish_compaction(inner);
        let mut changes = Changes::default();
        let mut answers = Vec::with_capacity(jobs.len());
        let mut flush = false;
        let mut close = false;
        let mut rest = false;
        for job in jobs {
            flush |= matches!(job, Job::Flush(_) | Job::Close(_));
            close |= matches!(job, Job::Close(_));
            rest |= matches!(job, Job::Rest(_));
            answers.push(self.prepare(inner, job, &mut changes));
        }
        let outcome = self.commit(inner, changes, flush);
        let outcome = outcome.and_then(|()| if rest { self.rest(inner) } else { Ok(()) });
        if close {
            self.close(inner);
        } else {
            self.compact_if_sparse(inner);
        }
        inner.answer(Answers {
            answers,
            failure: outcome.err(),
        });
    }

    /// Decides a job and notes what it changes.
    fn prepare(&mut self, inner: &Inner, job: Job, changes: &mut Changes) -> Answer {
        if let Some(refused) = self.refuse() {
            return refused_answer(job, &refused);
        }
        match job {
            Job::Append(batch, done) => Answer::Append(self.appends(inner, batch, changes), done),
            Job::AppendAll(batch, done) => {
                Answer::Batch(self.append_all(inner, batch, changes), done)
            }
            Job::Delete(sequence, reply) => {
                Answer::Bool(Ok(lock(&inner.log).remove(sequence)), reply)
            }
            Job::Purge(purge, reply) => Answer::Count(Ok(lock(&inner.log).purge(&purge)), reply),
            Job::Settle(settle, reply) => {
                Answer::Count(Ok(settled(inner, *settle, changes)), reply)
            }
            Job::Update(config, reply) => Answer::Unit(self.update(inner, *config, changes), reply),
            Job::SaveCursor(name, cursor, reply) => {
                changes.save_cursor(Some(Box::new((name, *cursor))));
                Answer::Unit(Ok(()), reply)
            }
            Job::RemoveCursor(name, reply) => {
                let existed = earlier(&changes.cursors, &name)
                    .map_or_else(|| Ok(inner.store.cursor(&name)?.is_some()), Ok);
                changes.cursors.push((name, None));
                Answer::Bool(existed, reply)
            }
            Job::SaveConsumer(name, owner, reply) => {
                changes
                    .consumers
                    .push((name, Some(record::encode_owner(&owner))));
                Answer::Unit(Ok(()), reply)
            }
            Job::RemoveConsumer(name, reply) => {
                let existed = earlier(&changes.consumers, &name)
                    .map_or_else(|| inner.store.has_consumer(&name), Ok);
                changes.consumers.push((name.clone(), None));
                changes.cursors.push((name, None));
                Answer::Bool(existed, reply)
            }
            Job::Expire(reply) => {
                self.expire(inner, changes);
                Answer::Unit(Ok(()), reply)
            }
            Job::Flush(reply) | Job::Rest(reply) | Job::Close(reply) => Answer::Unit(Ok(()), reply),
        }
    }

    fn appends(
        &mut self,
        inner: &Inner,
        batch: Vec<Append>,
        changes: &mut Changes,
    ) -> Vec<Result<Appended, AppendError>> {
        let now = inner.clock.now();
        let mut results = Vec::with_capacity(batch.len());
        let mut log = lock(&inner.log);
        for (index, mut append) in batch.into_iter().enumerate() {
            if index % DECIDE_APPENDS_MAX == DECIDE_APPENDS_MAX - 1 {
                drop(log);
                log = lock(&inner.log);
            }
            let result = self.append(inner, &mut log, &mut append, now, changes);
            results.push(result);
        }
        results
    }

    fn append(
        &mut self,
        inner: &Inner,
        log: &mut Log,
        append: &mut Append,
        now: u64,
        changes: &mut Changes,
    ) -> Result<Appended, AppendError> {
        let mut made = None;
        if let Some(derive) = append.derive.take() {
            let previous = match log.newest(&append.subject) {
                Some(item) => self.stored(inner, log, changes, &item)?,
                None => None,
            };
            let derived = derive.derive(previous.as_ref());
            let derived = derived.map_err(AppendError::Derive)?;
            append.headers = derived.headers;
            append.payload = derived.payload;
            made = Some(append.payload.clone());
        }
        let duplicate = log.check(append, now)?;
        changes.save_cursor(append.cursor.take());
        if let Some(duplicate) = duplicate {
            return Ok(duplicate);
        }
        let mut appended = self.take(log, append, now, changes);
        appended.payload = made;
        log.make_room();
        Ok(appended)
    }

    fn append_all(
        &mut self,
        inner: &Inner,
        mut batch: Vec<Append>,
        changes: &mut Changes,
    ) -> Batch {
        let now = inner.clock.now();
        let derives: Vec<bool> = batch.iter().map(|append| append.derive.is_some()).collect();
        let cursors = batch.iter_mut().filter_map(|append| append.cursor.take());
        let cursors: Vec<_> = cursors.collect();
        let mut log = lock(&inner.log);
        let decided =
            log.check_batch(batch, now, |item| self.stored(inner, &log, changes, item))?;
        for cursor in cursors {
            changes.save_cursor(Some(cursor));
        }
        let mut results = Vec::with_capacity(decided.len());
        for (append, derived) in decided.into_iter().zip(derives) {
            let mut appended = self.take(&mut log, &append, now, changes);
            appended.payload = derived.then_some(append.payload);
            results.push(appended);
        }
        log.make_room();
        Ok(results)
    }

    /// Puts an append that was checked into index and block.
    fn take(
        &mut self,
        log: &mut Log,
        append: &Append,
        now: u64,
        changes: &mut Changes,
    ) -> Appended {
        let sequence = log.place_of(append);
        if append.no_store {
            return log.append(append, sequence, now).appended;
        }
        let block = self.block_for(sequence, append.len_bytes(), changes);
        let taken = log.append(append, block, now);
        let entry = Entry {
            sequence,
            timestamp: taken.appended.timestamp,
            subject: &append.subject,
            subject_id: taken.subject_id,
            headers_len: append.headers.len(),
            payload_len: append.payload.len(),
            message_id: append.message_id.as_deref(),
            expires: taken.expires,
            marker: append.is_marker,
        };
        self.builder.push(&entry, &append.headers, &append.payload);
        taken.appended
    }

    /// Key of the block that a message goes into; begins a new one where the last is full.
    fn block_for(&mut self, sequence: u64, size: usize, changes: &mut Changes) -> u64 {
        let builder = &mut self.builder;
        let full = builder.count() >= BLOCK_MESSAGES_MAX
            || builder.data_len() + size > BLOCK_BYTES_MAX
            || sequence - builder.key_for(sequence) >= BLOCK_SPAN_MAX;
        if full && !builder.is_empty() {
            changes.blocks.push(builder.finish());
        }
        builder.key_for(sequence)
    }

    /// A message that the index holds, committed or not.
    fn stored(
        &self,
        inner: &Inner,
        log: &Log,
        changes: &Changes,
        item: &Item,
    ) -> Result<Option<StoredMessage>, AppendError> {
        let found = if !self.builder.is_empty() && self.builder.key_for(0) == item.block {
            self.builder.find(item.sequence)
        } else {
            let unwritten = changes.blocks.iter().rev();
            let unwritten = unwritten.filter(|block| block.key == item.block);
            let records = match unwritten.map(|block| block.records.clone()).next() {
                Some(records) => Some(records),
                None => inner
                    .block(item.block)
                    .map_err(|error| append_error(&Arc::new(error)))?,
            };
            records.and_then(|records| record::find_record(&records, item.block, item.sequence))
        };
        Ok(found.map(|(headers, payload)| StoredMessage {
            sequence: Sequence(item.sequence),
            subject: log.subject_name(item),
            headers,
            payload,
            timestamp: item.timestamp,
        }))
    }

    /// Removes what is too old and appends the markers that are owed for it.
    fn expire(&mut self, inner: &Inner, changes: &mut Changes) {
        let now = inner.clock.now();
        let mut log = lock(&inner.log);
        let owed = log.expire(now);
        let Some(marker) = log.config.age_marker.clone() else {
            return;
        };
        for subject in owed {
            let sequence = log.next_sequence();
            let size = subject.len() + marker.headers.len();
            let block = self.block_for(sequence, size, changes);
            let mut entry = Entry {
                sequence,
                timestamp: now,
                subject: &subject,
                subject_id: 0,
                headers_len: marker.headers.len(),
                payload_len: 0,
                message_id: None,
                expires: Some(Log::marker_expiry(marker.ttl, now)),
                marker: true,
            };
            entry.subject_id = log.append_marker(&entry, block);
            self.builder.push(&entry, marker.headers.as_bytes(), b"");
        }
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
            let skipped = log.take_skipped();
            let changed = skipped || !changes.blocks.is_empty() || !changes.touched.is_empty();
            changes.totals = changed.then(|| log.totals());
            inner.sync.unwrap_or(log.config.sync)
        };
        let nothing = changes.totals.is_none()
            && changes.cursors.is_empty()
            && changes.consumers.is_empty()
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

    /// The stream is idle. What is acknowledged stays acknowledged if that fails.
    fn rest(&mut self, inner: &Inner) -> Result<(), Arc<Error>> {
        let Store::Disk(disk) = &inner.store else {
            return Ok(());
        };
        if self.failure.is_some() || self.closed {
            return Ok(());
        }
        disk.rest().map_err(|error| self.fail(inner, error))?;
        self.unsynced = false;
        Ok(())
    }

    /// Looks whether so much was deleted that the file should be smaller.
    fn compact_if_sparse(&mut self, inner: &Arc<Inner>) {
        let Store::Disk(disk) = &inner.store else {
            return;
        };
        if self.failure.is_some() || self.closed {
            return;
        }
        let stream = Arc::downgrade(inner);
        let begun = disk.compact_if_sparse(inner.state().bytes, move || {
            // Any job makes the writer look.
            if let Some(inner) = stream.upgrade() {
                inner.push_anyway(Job::Expire(tokio::sync::oneshot::channel().0));
            }
        });
        if let Err(error) = begun {
            self.fail(inner, error);
        }
    }

    fn finish_compaction(&mut self, inner: &Inner) {
        let Store::Disk(disk) = &inner.store else {
            return;
        };
        if self.failure.is_none()
            && let Err(error) = disk.finish_compaction()
        {
            self.fail(inner, error);
        }
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
        {
            let mut log = lock(&inner.log);
            log.closed = true;
            log.tell_all_readers();
        }
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
            Self::Batch(mut result, done) => {
                if let (Some(failure), Ok(_)) = (failure, &result) {
                    result = Err((0, append_error(failure)));
                }
                if catch_unwind(AssertUnwindSafe(|| done(result))).is_err() {
                    error!("the completion of a batch panicked");
                }
            }
            Self::Bool(result, reply) => drop(reply.send(fail_over(result, failure))),
            Self::Count(result, reply) => drop(reply.send(fail_over(result, failure))),
            Self::Unit(result, reply) => drop(reply.send(fail_over(result, failure))),
        }
    }
}

/// Notes a consumer's new state and removes what nobody needs any more; returns how many.
fn settled(inner: &Inner, settle: Settle, changes: &mut Changes) -> u64 {
    changes.save_cursor(settle.cursor.map(Box::new));
    let mut removed = 0;
    for part in settle.remove.chunks(DECIDE_APPENDS_MAX) {
        let mut log = lock(&inner.log);
        removed += part.iter().filter(|s| log.remove(s.0)).count() as u64;
    }
    removed
}

/// Whether a named row will be there, as far as this commit tells.
fn earlier(rows: &[(String, Option<Vec<u8>>)], name: &str) -> Option<bool> {
    let earlier = rows.iter().rev().find(|(other, _)| other == name);
    earlier.map(|(_, row)| row.is_some())
}

fn refused_answer(job: Job, error: &Arc<Error>) -> Answer {
    match job {
        Job::Append(batch, done) => {
            let results = batch.iter().map(|_| Err(append_error(error))).collect();
            Answer::Append(results, done)
        }
        Job::AppendAll(_, done) => Answer::Batch(Err((0, append_error(error))), done),
        Job::Delete(_, reply) | Job::RemoveCursor(_, reply) | Job::RemoveConsumer(_, reply) => {
            Answer::Bool(Err(again(error)), reply)
        }
        Job::Purge(_, reply) | Job::Settle(_, reply) => Answer::Count(Err(again(error)), reply),
        Job::Update(_, reply) | Job::SaveCursor(_, _, reply) | Job::SaveConsumer(_, _, reply) => {
            Answer::Unit(Err(again(error)), reply)
        }
        Job::Expire(reply) | Job::Flush(reply) | Job::Rest(reply) => {
            Answer::Unit(Err(again(error)), reply)
        }
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
