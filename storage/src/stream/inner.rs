//! What all handles of one stream share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use hashbrown::HashMap;
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot, watch};

use crate::Error;

use super::clock::Clock;
use super::disk::{Changes, Disk};
use super::log::{Log, nanos};
use super::memory::Memory;
use super::queue::{Job, Queue, Reply};
use super::record::Walk;
use super::sequences::Item;
use super::tail::Tail;
use super::writer::{Answering, Writer};
use super::{
    Cursor, ReadLimit, Sequence, StoreOptions, StoredConsumer, StoredMessage, StreamState,
    SubjectPattern, SyncPolicy, lock,
};

/// An idle stream gives its tail cache back after this time.
const TAIL_IDLE: Duration = Duration::from_secs(10);
/// Blocks that are read with the wanted ones when the file is read in order.
const BLOCKS_AHEAD: usize = 16;
/// Most messages of one read, whatever its limit says.
const READ_MESSAGES_MAX: usize = 10_000;

/// What keeps the bytes.
#[derive(Debug)]
pub(super) enum Store {
    Disk(Box<Disk>),
    Memory(Memory),
}

impl Store {
    pub(super) fn commit(&self, changes: &Changes) -> Result<(), Error> {
        match self {
            Self::Disk(disk) => disk.commit(changes),
            Self::Memory(memory) => {
                memory.commit(changes);
                Ok(())
            }
        }
    }

    pub(super) fn cursor(&self, name: &str) -> Result<Option<Cursor>, Error> {
        match self {
            Self::Disk(disk) => disk.cursor(name),
            Self::Memory(memory) => Ok(memory.cursor(name)),
        }
    }

    pub(super) fn cursors(&self) -> Result<Vec<(String, Cursor)>, Error> {
        match self {
            Self::Disk(disk) => disk.cursors(),
            Self::Memory(memory) => Ok(memory.cursors()),
        }
    }

    /// All consumers by name, with what was saved of each.
    pub(super) fn consumers(&self) -> Result<Vec<StoredConsumer>, Error> {
        let consumers = match self {
            Self::Disk(disk) => disk.consumers()?,
            Self::Memory(memory) => memory.consumers(),
        };
        let mut cursors: HashMap<String, Cursor> = self.cursors()?.into_iter().collect();
        let stored = consumers.into_iter().map(|(name, owner)| StoredConsumer {
            cursor: cursors.remove(&name),
            name,
            owner,
        });
        Ok(stored.collect())
    }

    pub(super) fn has_consumer(&self, name: &str) -> Result<bool, Error> {
        let consumers = match self {
            Self::Disk(disk) => disk.consumers()?,
            Self::Memory(memory) => memory.consumers(),
        };
        Ok(consumers.iter().any(|(other, _)| other == name))
    }

    /// Bytes that the store takes.
    pub(super) fn file_bytes(&self) -> u64 {
        match self {
            Self::Disk(disk) => disk.file_bytes(),
            Self::Memory(memory) => memory.bytes(),
        }
    }

    /// Whether something lies beside the file that is given back when the stream is idle.
    pub(super) fn has_journal(&self) -> bool {
        match self {
            Self::Disk(disk) => disk.has_journal(),
            Self::Memory(_) => false,
        }
    }

    pub(super) fn records(&self, keys: &[u64]) -> Result<Vec<Option<Bytes>>, Error> {
        match self {
            Self::Disk(disk) => disk.records(keys),
            Self::Memory(memory) => Ok(keys.iter().map(|key| memory.records(*key)).collect()),
        }
    }
}

pub(super) struct Inner {
    pub(super) name: String,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) store: Store,
    pub(super) log: Mutex<Log>,
    pub(super) queue: Mutex<Queue>,
    /// Told when the queue has room again.
    pub(super) space: Notify,
    pub(super) writer: Mutex<Writer>,
    pub(super) answering: Mutex<Answering>,
    /// Told when a commit's answers were taken by the thread that sends them.
    pub(super) answered: Condvar,
    state: Mutex<StreamState>,
    pub(super) last: watch::Sender<Sequence>,
    /// Counts commits, the failed ones too.
    commits: watch::Sender<u64>,
    pub(super) tail: Mutex<Tail>,
    pub(super) runtime: Handle,
    /// When the timer wakes by itself, unix nanoseconds.
    pub(super) armed: AtomicU64,
    /// When what was acknowledged has to be synced at the latest; `u64::MAX` = nothing waits.
    pub(super) sync_due: AtomicU64,
    pub(super) timer: Arc<Notify>,
    pub(super) retry_at_once: bool,
    /// When the store forces bytes to the disk, whatever the stream's configuration says.
    pub(super) sync: Option<SyncPolicy>,
}

/// One message to be fetched from its block.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) item: Item,
    pub(super) subject: Bytes,
}

/// Blocks that hold wanted messages, in order.
pub(super) struct Blocks {
    walks: std::vec::IntoIter<(u64, Option<Walk>)>,
}

impl Blocks {
    fn new(blocks: impl Iterator<Item = (u64, Option<Bytes>)>) -> Self {
        let walks = blocks.map(|(key, records)| (key, records.map(|r| Walk::new(r, key))));
        let walks: Vec<_> = walks.collect();
        Self {
            walks: walks.into_iter(),
        }
    }

    /// The messages, sorted by sequence, that are still there, and those that are not.
    pub(super) fn messages(
        mut self,
        wanted: impl IntoIterator<Item = Wanted>,
    ) -> (Vec<StoredMessage>, Vec<Item>) {
        let wanted = wanted.into_iter();
        let mut messages = Vec::with_capacity(wanted.size_hint().0);
        let mut missing = Vec::new();
        let mut at: Option<(u64, Option<Walk>)> = None;
        for Wanted { item, subject } in wanted {
            while at.as_ref().is_none_or(|(key, _)| *key != item.block) {
                at = self.walks.next();
                if at.is_none() {
                    break;
                }
            }
            let walk = at.as_mut().and_then(|(_, walk)| walk.as_mut());
            if let Some((headers, payload)) = walk.and_then(|walk| walk.find(item.sequence)) {
                messages.push(StoredMessage {
                    sequence: Sequence(item.sequence),
                    subject,
                    headers,
                    payload,
                    timestamp: item.timestamp,
                });
            } else {
                missing.push(item);
            }
        }
        (messages, missing)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.timer.notify_one();
    }
}

impl Inner {
    pub(super) fn new(store: Store, log: Log, options: &StoreOptions) -> Self {
        let state = log.state();
        Self {
            name: log.config.name.clone(),
            clock: options.clock.clone(),
            store,
            queue: Mutex::default(),
            space: Notify::new(),
            writer: Mutex::default(),
            answering: Mutex::default(),
            answered: Condvar::new(),
            state: Mutex::new(state),
            last: watch::Sender::new(state.last),
            commits: watch::Sender::new(0),
            tail: Mutex::default(),
            runtime: Handle::current(),
            armed: AtomicU64::new(u64::MAX),
            sync_due: AtomicU64::new(u64::MAX),
            timer: Arc::new(Notify::new()),
            retry_at_once: options.retry_at_once,
            sync: options.sync,
            log: Mutex::new(log),
        }
    }

    pub(super) fn state(&self) -> StreamState {
        *lock(&self.state)
    }

    pub(super) fn disk_full_pause(&self, usual: Duration) -> Duration {
        if self.retry_at_once {
            Duration::ZERO
        } else {
            usual
        }
    }

    // Writing.

    /// Queues a job, or gives it back when the queue is full.
    pub(super) fn push(self: &Arc<Self>, job: Job) -> Result<(), Job> {
        let mut queue = lock(&self.queue);
        queue.push(job)?;
        self.start_writer(queue);
        Ok(())
    }

    /// Queues a job whatever waits already.
    pub(super) fn push_anyway(self: &Arc<Self>, job: Job) {
        let mut queue = lock(&self.queue);
        queue.push_anyway(job);
        self.start_writer(queue);
    }

    fn start_writer(self: &Arc<Self>, mut queue: MutexGuard<'_, Queue>) {
        if std::mem::replace(&mut queue.running, true) {
            return;
        }
        drop(queue);
        let inner = self.clone();
        // Parent of the task is the queue: `running` is true until it has left.
        drop(self.runtime.spawn_blocking(move || inner.drain()));
    }

    /// Queues a job, waiting for room.
    pub(super) async fn push_waiting(self: &Arc<Self>, mut job: Job) {
        loop {
            let room = self.space.notified();
            tokio::pin!(room);
            // Listen first: room made between a refusal and the wait must not be missed.
            room.as_mut().enable();
            match self.push(job) {
                Ok(()) => return,
                Err(back) => job = back,
            }
            room.await;
        }
    }

    /// Queues a job and waits for its answer.
    pub(super) async fn ask<T>(
        self: &Arc<Self>,
        job: impl FnOnce(Reply<T>) -> Job,
    ) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        self.push_waiting(job(reply)).await;
        answer.await.unwrap_or(Err(Error::Closed))
    }

    /// Shows a commit to readers.
    pub(super) fn publish(&self, changes: Changes, unsynced: bool) {
        let keeps_tail = matches!(self.store, Store::Disk(_)) && !changes.blocks.is_empty();
        if keeps_tail {
            // Before readers are woken: they look here first.
            let mut tail = lock(&self.tail);
            for block in changes.blocks {
                tail.push(block.key, block.records);
            }
        }
        let (state, deadline) = {
            let mut log = lock(&self.log);
            let state = log.state();
            log.publish(state.last.0);
            self.note_unsynced(self.sync.unwrap_or(log.config.sync), unsynced);
            (state, self.next_wake(&log))
        };
        self.show(state);
        self.arm(deadline);
        if keeps_tail || self.store.has_journal() {
            self.arm_for_idle();
        }
    }

    /// Sees to it that the timer wakes by then.
    fn arm(&self, wake: u64) {
        if wake < self.armed.load(Ordering::Acquire) {
            self.armed.store(wake, Ordering::Release);
            self.timer.notify_one();
        }
    }

    /// Something will have to be given back once the stream is idle.
    fn arm_for_idle(&self) {
        self.arm(self.clock.now().saturating_add(nanos(TAIL_IDLE)));
    }

    /// Replaces the index by one that was read from the file again.
    pub(super) fn replace_log(&self, mut log: Log) {
        let state = log.state();
        {
            let mut old = lock(&self.log);
            log.adopt_readers(&mut old);
            *old = log;
        }
        lock(&self.tail).clear();
        self.show(state);
    }

    fn show(&self, state: StreamState) {
        *lock(&self.state) = state;
        self.last
            .send_if_modified(|last| std::mem::replace(last, state.last) != state.last);
        self.commits
            .send_modify(|commits| *commits = commits.wrapping_add(1));
    }

    fn next_wake(&self, log: &Log) -> u64 {
        let deadlines = [log.next_deadline(), log.next_forget()];
        let sync = self.sync_due.load(Ordering::Acquire);
        deadlines.into_iter().flatten().fold(sync, u64::min)
    }

    /// Notes by when unsynced commits have to be synced: the first of them counts.
    fn note_unsynced(&self, sync: SyncPolicy, unsynced: bool) {
        let due = match sync {
            SyncPolicy::Interval(every) if unsynced => {
                let next = self.clock.now().saturating_add(nanos(every));
                next.min(self.sync_due.load(Ordering::Acquire))
            }
            _ => u64::MAX,
        };
        self.sync_due.store(due, Ordering::Release);
    }

    /// What the timer has to wait for next, unix nanoseconds; gives the tail back when it is idle.
    pub(super) fn rearm(&self, idle: bool) -> u64 {
        let mut tail = lock(&self.tail);
        if idle {
            tail.clear();
        }
        let tail_idle = if tail.is_empty() && !self.store.has_journal() {
            u64::MAX
        } else {
            self.clock.now().saturating_add(nanos(TAIL_IDLE))
        };
        drop(tail);
        let log = lock(&self.log);
        let wake = tail_idle.min(self.next_wake(&log));
        self.armed.store(wake, Ordering::Release);
        wake
    }

    pub(super) fn commit_count(&self) -> u64 {
        *self.commits.borrow()
    }

    // Reading.

    pub(super) async fn message(
        self: &Arc<Self>,
        sequence: Sequence,
    ) -> Result<Option<StoredMessage>, Error> {
        let wanted = {
            let log = lock(&self.log);
            log.get(sequence.0).map(|item| wanted(&log, item))
        };
        let found = self.fetch(wanted.into_iter().collect()).await?;
        Ok(found.into_iter().next())
    }

    pub(super) async fn last_for_subject(
        self: &Arc<Self>,
        subject: &[u8],
    ) -> Result<Option<StoredMessage>, Error> {
        loop {
            let mut commits = self.commits.subscribe();
            let found = {
                let log = lock(&self.log);
                let last = log.last_of(subject);
                if last > log.committed {
                    Err(())
                } else {
                    Ok(log.get(last).map(|i| wanted(&log, i)))
                }
            };
            // A newer message is being committed and the older one may be gone already.
            let Ok(found) = found else {
                commits.changed().await.map_err(|_| Error::Closed)?;
                continue;
            };
            let Some(found) = found else {
                return Ok(None);
            };
            if let Some(message) = self.fetch(vec![found]).await?.pop() {
                return Ok(Some(message));
            }
            // Replaced between the two steps: look again.
        }
    }

    pub(super) async fn last_per_subject(
        self: &Arc<Self>,
        filter: Option<&SubjectPattern>,
    ) -> Result<Vec<StoredMessage>, Error> {
        loop {
            let mut commits = self.commits.subscribe();
            let found = {
                let log = lock(&self.log);
                let lasts = log.lasts(filter);
                if lasts.last().is_some_and(|last| *last > log.committed) {
                    Err(())
                } else {
                    let items = lasts.iter().filter_map(|last| log.get(*last));
                    Ok(items.map(|item| wanted(&log, item)).collect())
                }
            };
            match found {
                Ok(found) => return self.fetch(found).await,
                Err(()) => commits.changed().await.map_err(|_| Error::Closed)?,
            }
        }
    }

    pub(super) async fn read(
        self: &Arc<Self>,
        from: Sequence,
        filter: Option<&SubjectPattern>,
        limit: ReadLimit,
    ) -> Result<Vec<StoredMessage>, Error> {
        let mut found: Vec<Wanted> = Vec::new();
        {
            let log = lock(&self.log);
            let mut bytes = 0;
            let filters = filter.map_or(&[][..], std::slice::from_ref);
            let items = log.iter_matching(from.0, filters);
            for item in items.take(limit.messages.min(READ_MESSAGES_MAX)) {
                bytes += item.size as usize;
                if bytes > limit.bytes && !found.is_empty() {
                    break;
                }
                found.push(wanted(&log, item));
            }
        }
        self.fetch(found).await
    }

    /// The newest messages of subjects that match, of those up to a sequence.
    pub(super) async fn last_per_subject_up_to(
        self: &Arc<Self>,
        filters: &[SubjectPattern],
        up_to: Option<Sequence>,
        max: usize,
    ) -> Result<Vec<StoredMessage>, Error> {
        let found: Vec<Wanted> = {
            let log = lock(&self.log);
            let up_to = up_to.map_or(log.committed, |up_to| up_to.0.min(log.committed));
            let lasts = log.lasts_up_to(filters, up_to);
            if lasts.len() > max {
                return Err(Error::TooManySubjects { max });
            }
            lasts.into_iter().map(|item| wanted(&log, item)).collect()
        };
        self.fetch(found).await
    }

    /// The records of a block, read here and now.
    pub(super) fn block(&self, key: u64) -> Result<Option<Bytes>, Error> {
        if let Some(records) = lock(&self.tail).get(key) {
            return Ok(Some(records));
        }
        Ok(self.store.records(&[key])?.pop().flatten())
    }

    /// Gets messages from their blocks; what was removed meanwhile is left out.
    async fn fetch(self: &Arc<Self>, wanted: Vec<Wanted>) -> Result<Vec<StoredMessage>, Error> {
        let blocks = self.blocks(&wanted, false).await?;
        let (messages, missing) = blocks.messages(wanted);
        self.check_removed(&missing)?;
        Ok(messages)
    }

    /// Gets the blocks of messages that are sorted by sequence. With `ahead` those that follow are
    /// read on the way, where the file has to be read anyway.
    pub(super) async fn blocks(
        self: &Arc<Self>,
        wanted: &[Wanted],
        ahead: bool,
    ) -> Result<Blocks, Error> {
        let mut keys: Vec<u64> = wanted.iter().map(|wanted| wanted.item.block).collect();
        keys.dedup();
        if let Store::Memory(_) = &self.store {
            let records = self.store.records(&keys)?;
            return Ok(Blocks::new(keys.into_iter().zip(records)));
        }
        let mut records: Vec<Option<Bytes>> = {
            let tail = lock(&self.tail);
            keys.iter().map(|key| tail.get(*key)).collect()
        };
        let absent = keys.iter().zip(&records);
        let absent = absent.filter(|(_, records)| records.is_none());
        let mut absent: Vec<u64> = absent.map(|(key, _)| *key).collect();
        if absent.is_empty() {
            return Ok(Blocks::new(keys.into_iter().zip(records)));
        }
        if let Some(last) = wanted.last().filter(|_| ahead) {
            let sequence = last.item.sequence;
            absent.extend(lock(&self.log).blocks_after(sequence, BLOCKS_AHEAD));
        }
        let read = self
            .blocking(move |store| Ok((store.records(&absent)?, absent)))
            .await?;
        let mut found = read.1.into_iter().zip(read.0);
        for records in records.iter_mut().filter(|records| records.is_none()) {
            *records = found.next().and_then(|(_, found)| found);
        }
        let read = keys.iter().copied().zip(records.iter().cloned());
        {
            let mut tail = lock(&self.tail);
            for (key, records) in read.clone().chain(found) {
                if let Some(records) = records.filter(|_| tail.get(key).is_none()) {
                    tail.insert(key, records);
                }
            }
        }
        self.arm_for_idle();
        Ok(Blocks::new(keys.into_iter().zip(records)))
    }

    /// What was not found must have been removed meanwhile; else the file has lost it.
    pub(super) fn check_removed(&self, missing: &[Item]) -> Result<(), Error> {
        if missing.is_empty() {
            return Ok(());
        }
        let log = lock(&self.log);
        let lost = missing
            .iter()
            .find(|item| log.get(item.sequence).as_ref() == Some(*item));
        let (Some(lost), Store::Disk(disk)) = (lost, &self.store) else {
            return Ok(());
        };
        Err(Error::Corrupt {
            path: disk.path(),
            reason: format!("message {} is missing", lost.sequence),
        })
    }

    /// Runs a blocking read of the store off the async threads.
    pub(super) async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl FnOnce(&Store) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let inner = self.clone();
        let read = self.runtime.spawn_blocking(move || read(&inner.store));
        read.await.unwrap_or(Err(Error::Closed))
    }
}

pub(super) fn wanted(log: &Log, item: Item) -> Wanted {
    Wanted {
        subject: log.subject_name(&item),
        item,
    }
}
