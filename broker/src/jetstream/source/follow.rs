//! The task that copies one origin into a stream, for as long as both are there.
//!
//! It reads ahead by one batch while the batch before is being committed, and never has more than these two in memory.
//! A batch is stored whole or up to the first message that the stream does not take; a message that may fit later
//! holds up what follows it: nothing is lost and the order stays. Whatever it waits for wakes it: commits of the origin,
//! streams that come and go, room in the stream. Only a disk that fails is asked again after a pause.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use storage::stream::{AppendError, ReadLimit, Reader, ReaderStart, Sequence, StoredMessage};
use tokio::sync::{Notify, watch};

use super::claim::Claim;
use super::copy::{Copying, Provenance, Role, Target, skip_to};
use super::header::life_id;
use super::position::{self, Begin};
use super::progress::Progress;
use crate::jetstream::StreamHandle;
use crate::jetstream::config::{Retention, StreamSource};
use crate::jetstream::error_code::{self as code, ApiError};
use crate::jetstream::registry::AccountStreams;

/// One batch: so much is read and committed together.
const BATCH: ReadLimit = ReadLimit {
    messages: 2048,
    bytes: 4 << 20,
};
/// Before storage that failed is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// One origin of one stream.
pub(super) struct Follower {
    pub(super) source: StreamSource,
    pub(super) copying: Copying,
    pub(super) target: StreamHandle,
    pub(super) streams: Weak<AccountStreams>,
    pub(super) progress: Arc<Progress>,
    /// The stream has another configuration: what did not fit may fit now.
    pub(super) reconfigured: Arc<Notify>,
}

/// Why copying ends.
enum End {
    /// The origin is gone, or is another one, or keeps its messages in another way: it is looked for again.
    Detached,
    /// The stream is being closed.
    TargetClosed,
    /// Storage of either failed.
    Failed(ApiError),
}

/// What becomes of a message that the stream refuses.
enum Refused {
    /// It never fits: it is left out.
    LeaveOut,
    /// It fits when there is room.
    Wait,
    /// The disk is asked again.
    Pause,
    Close,
}

/// An origin that was found.
struct Origin {
    handle: StreamHandle,
    life: String,
    /// Where the origin keeps messages only while somebody wants them.
    claim: Option<Claim>,
}

impl Follower {
    /// Copies until the stream is closed.
    pub(super) async fn run(self) {
        loop {
            let Some(streams) = self.streams.upgrade() else {
                return;
            };
            // Taken before the look, so that a stream that comes in between is not missed.
            let mut arrivals = streams.arrivals();
            let found = streams.find(&self.source.name);
            drop(streams);
            let Some(handle) = found else {
                let error = ApiError::from(code::STREAM_NOT_FOUND);
                self.progress.lost(Instant::now(), error);
                if arrivals.changed().await.is_err() {
                    return;
                }
                continue;
            };
            let life = life_id(handle.created());
            let origin = Origin {
                handle,
                life,
                claim: None,
            };
            let ended = self.copy(origin, &mut arrivals).await;
            match ended {
                Err(End::Detached) => {}
                Err(End::TargetClosed) => return,
                Err(End::Failed(error)) => self.failed(error).await,
                Ok(never) => match never {},
            }
        }
    }

    async fn failed(&self, error: ApiError) {
        let stream = &self.target.config().name;
        let origin = &self.source.name;
        tracing::warn!(stream, origin, %error, "copying stopped");
        self.progress.blocked(error, None);
        tokio::time::sleep(PAUSE).await;
    }

    async fn copy(
        &self,
        mut origin: Origin,
        arrivals: &mut watch::Receiver<u64>,
    ) -> Result<std::convert::Infallible, End> {
        let start = self.start(&origin).await?;
        origin.claim = self.claim(&origin, start).await?;
        let patterns = self.copying.selection.patterns();
        let storage = origin.handle.storage();
        let mut reader = storage.reader(patterns, ReaderStart::Sequence(start));
        let mut lag = reader.pending();
        self.progress.attached(lag);
        let mut batch = Vec::new();
        loop {
            if batch.is_empty() {
                batch = self.read(&origin, &mut reader).await?;
            }
            if batch.is_empty() {
                lag = 0;
                self.progress.attached(0);
                tokio::select! {
                    () = reader.changed() => {}
                    changed = arrivals.changed() => {
                        if changed.is_err() || !self.is_current(&origin) {
                            return Err(End::Detached);
                        }
                    }
                }
                if origin.claim.is_none() && origin.handle.config().retention != Retention::Limits {
                    return Err(End::Detached);
                }
                continue;
            }
            lag = match lag.saturating_sub(batch.len() as u64) {
                0 => reader.pending(),
                left => left,
            };
            let (stored, next) = tokio::join!(
                self.store(&origin, &batch, lag),
                self.read(&origin, &mut reader)
            );
            stored?;
            batch = next?;
        }
    }

    async fn read(&self, origin: &Origin, reader: &mut Reader) -> Result<Vec<StoredMessage>, End> {
        let read = reader.next(BATCH).await;
        read.map_err(|error| match self.is_current(origin) {
            true => End::Failed(error.into()),
            false => End::Detached,
        })
    }

    /// Whether the origin is still the stream of that name.
    fn is_current(&self, origin: &Origin) -> bool {
        let streams = self.streams.upgrade();
        let found = streams.and_then(|streams| streams.find(&self.source.name));
        found.is_some_and(|found| found.is_same(&origin.handle))
    }

    /// Has the origin keep what is to be copied from `start` on, if it would not by itself.
    async fn claim(&self, origin: &Origin, start: Sequence) -> Result<Option<Claim>, End> {
        let target = &self.target.config().name;
        let Copying { selection, role } = &self.copying;
        let staked = Claim::stake(&origin.handle, target, role, selection, start).await;
        staked.map_err(|error| match self.is_current(origin) {
            true => End::Failed(error),
            false => End::Detached,
        })
    }

    /// The sequence at which to read on.
    async fn start(&self, origin: &Origin) -> Result<Sequence, End> {
        let target = self.target.storage();
        let copied = match &self.copying.role {
            Role::Mirror => Some(target.state().last).filter(|last| *last > Sequence::NONE),
            Role::Source(key) => {
                let copied = position::copied_last(target, key, &origin.life).await;
                copied.map_err(|error| End::Failed(error.into()))?
            }
        };
        if let Some(last) = copied {
            self.progress.resumed(last.0);
            return Ok(last.next());
        }
        let storage = origin.handle.storage();
        let begin = match position::configured(&self.source) {
            Begin::Sequence(sequence) => sequence.max(storage.state().first),
            Begin::Time(time) => storage.sequence_at(time.0),
        };
        if let Role::Mirror = self.copying.role
            && begin > Sequence(1)
        {
            let last = Sequence(begin.0 - 1);
            let skip = skip_to(last, &self.source.name);
            if let Err(error) = target.append(skip).await {
                return Err(self.end_of(error));
            }
        }
        Ok(begin)
    }

    /// Stores a batch, however long that takes; `lag` messages follow it.
    async fn store(&self, origin: &Origin, batch: &[StoredMessage], lag: u64) -> Result<(), End> {
        let mut rest = batch;
        let mut room: Option<Reader> = None;
        while !rest.is_empty() {
            let (stored, refused) = self.store_part(origin, rest).await?;
            rest = &rest[stored..];
            if stored > 0 {
                room = None;
                let sequence = batch[batch.len() - rest.len() - 1].sequence;
                self.progress.copied(sequence.0, lag + rest.len() as u64);
            }
            let Some(error) = refused else {
                continue;
            };
            match refusal(&error) {
                Refused::LeaveOut => {
                    self.report_left_out(&rest[0], &error);
                    rest = &rest[1..];
                }
                Refused::Wait => match &mut room {
                    // Room that was made before this was there to see it is found by the next try.
                    None => room = Some(self.room()),
                    Some(room) => {
                        let first = rest[0].sequence;
                        self.wait_for_room(origin, first, &error, room).await;
                    }
                },
                Refused::Pause => {
                    self.progress.blocked(ApiError::from(&error), None);
                    tokio::time::sleep(PAUSE).await;
                }
                Refused::Close => return Err(End::TargetClosed),
            }
        }
        if let Some(claim) = &origin.claim {
            let copied = batch.iter().map(|message| message.sequence.0);
            claim.let_go(&copied.collect::<Vec<_>>(), lag == 0);
        }
        Ok(())
    }

    /// Stores what the stream takes from the beginning of `messages`: how many of them are done with, and why the next
    /// one is not.
    async fn store_part(
        &self,
        origin: &Origin,
        messages: &[StoredMessage],
    ) -> Result<(usize, Option<AppendError>), End> {
        let target = Target {
            config: self.target.config(),
            rules: self.target.rules(),
        };
        let from = Provenance {
            stream: &self.source.name,
            life: &origin.life,
        };
        let mut end = messages.len();
        let mut refused = None;
        loop {
            let mut places = Vec::with_capacity(end);
            let mut appends = Vec::with_capacity(end);
            for (place, message) in messages[..end].iter().enumerate() {
                if let Some(append) = self.copying.append(message, from, &target) {
                    places.push(place);
                    appends.push(append);
                }
            }
            let Some(last) = appends.last_mut() else {
                return Ok((end, refused));
            };
            last.cursor = self.copying.cursor(&messages[end - 1], from);
            if target.config.retention == Retention::Interest {
                let consumers = self.target.consumers();
                for append in &mut appends {
                    append.no_store = !consumers.wants(&append.subject);
                }
            }
            let follows = target.rules.follows(&appends);
            match self.target.storage().append_all(appends).await {
                Ok(stored) => {
                    self.target.republish(&target.rules, &follows, stored);
                    return Ok((end, refused));
                }
                Err((index, error)) => {
                    end = places.get(index).copied().unwrap_or(0);
                    refused = Some(error);
                }
            }
        }
    }

    /// Waits for what may let the message `first` in, and counts meanwhile what gathers behind it.
    async fn wait_for_room(
        &self,
        origin: &Origin,
        first: Sequence,
        error: &AppendError,
        room: &mut Reader,
    ) {
        let patterns = self.copying.selection.patterns();
        let start = ReaderStart::Sequence(first);
        let mut behind = origin.handle.storage().reader(patterns, start);
        loop {
            let lag = behind.pending();
            self.progress.blocked(ApiError::from(error), Some(lag));
            tokio::select! {
                () = room.changed() => return,
                () = self.reconfigured.notified() => return,
                () = behind.changed() => {}
            }
        }
    }

    /// Something that resolves when messages of the stream go: all of them are ahead of it.
    fn room(&self) -> Reader {
        let start = ReaderStart::Sequence(Sequence(1));
        self.target.storage().reader(Vec::new(), start)
    }

    fn end_of(&self, error: AppendError) -> End {
        match error {
            AppendError::Closed => End::TargetClosed,
            error => End::Failed(ApiError::from(&error)),
        }
    }

    fn report_left_out(&self, message: &StoredMessage, error: &AppendError) {
        let stream = &self.target.config().name;
        let origin = &self.source.name;
        let sequence = message.sequence.0;
        tracing::debug!(stream, origin, sequence, %error, "a message is not copied");
    }
}

fn refusal(error: &AppendError) -> Refused {
    match error {
        AppendError::MaximumMessages
        | AppendError::MaximumBytes
        | AppendError::MaximumPerSubject
        | AppendError::MessageTooLarge { .. }
        // The configuration has changed between the look at it and the append.
        | AppendError::TtlNotAllowed
        | AppendError::RollupNotAllowed => Refused::Wait,
        AppendError::Closed => Refused::Close,
        AppendError::DiskFull | AppendError::Storage(_) => Refused::Pause,
        _ => Refused::LeaveOut,
    }
}
