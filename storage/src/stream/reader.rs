//! A position in a stream, with a filter.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::Notify;

use crate::Error;

use super::inner::{Inner, Wanted, wanted};
use super::log::ReaderId;
use super::{ReadLimit, Sequence, StoredMessage, SubjectPattern, lock};

/// Most messages that are read in one go.
const MESSAGES_MAX: usize = 10_000;
/// A reader that takes at least one message in so many is read ahead for.
const AHEAD_STRIDE_MAX: u64 = 4;

/// Where a [`Reader`] begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReaderStart {
    /// At the first message with this sequence or a later one.
    Sequence(Sequence),
    /// With the newest message of every subject that matches now, by sequence; then with
    /// everything that is committed later.
    LastPerSubject,
}

/// A position in a stream that moves over what matches its filters.
///
/// The stream keeps count of what is ahead of each of its readers: asking for it costs nothing,
/// and a commit costs only the readers that match. A literal filter compares numbers, one with
/// wildcards looks at each subject once.
pub struct Reader {
    inner: Arc<Inner>,
    id: ReaderId,
    changed: Arc<Notify>,
    /// Chosen and not given out yet: a call that was cancelled left them.
    chosen: VecDeque<Wanted>,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Reader({} at {})", self.inner.name, self.position())
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        lock(&self.inner.log).remove_reader(self.id);
    }
}

impl Reader {
    pub(super) fn new(inner: Arc<Inner>, filters: Vec<SubjectPattern>, start: ReaderStart) -> Self {
        let changed = Arc::new(Notify::new());
        let id = {
            let mut log = lock(&inner.log);
            match start {
                ReaderStart::Sequence(Sequence(position)) => {
                    log.add_reader(filters, position, changed.clone())
                }
                ReaderStart::LastPerSubject => log.add_reader_of_lasts(filters, changed.clone()),
            }
        };
        Self {
            inner,
            id,
            changed,
            chosen: VecDeque::new(),
        }
    }

    /// Committed messages that match and are still ahead.
    #[must_use]
    pub fn pending(&self) -> u64 {
        lock(&self.inner.log).pending_of(self.id) + self.chosen.len() as u64
    }

    /// Messages that match, in order, at most 10,000; moves on behind them. Empty = nothing there.
    ///
    /// Nothing is lost when it is cancelled: the next call gives what this one would have given.
    ///
    /// # Errors
    /// [`Error::Closed`] when the stream was closed; [`Error`] when the file can not be read, and
    /// the position stays.
    pub async fn next(&mut self, limit: ReadLimit) -> Result<Vec<StoredMessage>, Error> {
        loop {
            let ahead = self.choose(limit).await?;
            let count = self.chosen.len().min(limit.messages);
            if count == 0 {
                return Ok(Vec::new());
            }
            let part = &self.chosen.make_contiguous()[..count];
            let blocks = self.inner.blocks(part, ahead).await?;
            let (messages, missing) = blocks.messages(self.chosen.drain(..count));
            self.inner.check_removed(&missing)?;
            if !messages.is_empty() {
                return Ok(messages);
            }
            // All of them were removed meanwhile.
        }
    }

    /// Resolves when something that matches was committed, or removed from what is ahead, or the
    /// stream was closed, since the last call. May resolve without a reason. Nothing is missed
    /// when it is cancelled.
    pub async fn changed(&mut self) {
        self.changed.notified().await;
    }

    /// The sequence that would be looked at next.
    #[must_use]
    pub fn position(&self) -> Sequence {
        let chosen = self.chosen.front();
        let chosen = chosen.map(|wanted| wanted.item.sequence);
        Sequence(chosen.unwrap_or_else(|| lock(&self.inner.log).position_of(self.id)))
    }

    /// Whether the stream still holds a message.
    #[must_use]
    pub fn holds(&self, sequence: Sequence) -> bool {
        lock(&self.inner.log).get(sequence.0).is_some()
    }

    /// Chooses what comes next, unless something was chosen already. Returns whether the messages
    /// lie close together, so that it is worth reading ahead.
    async fn choose(&mut self, limit: ReadLimit) -> Result<bool, Error> {
        let messages_max = limit.messages.min(MESSAGES_MAX);
        let (mut bytes, mut count) = (0, self.chosen.len());
        loop {
            let done = {
                let mut log = lock(&self.inner.log);
                if log.closed {
                    return Err(Error::Closed);
                }
                if count > 0 {
                    self.chosen
                        .retain(|wanted| log.get(wanted.item.sequence).is_some());
                }
                if !self.chosen.is_empty() {
                    return Ok(false);
                }
                count = 0;
                let step = log.step(self.id, |item| {
                    bytes += item.size as usize;
                    let fits = count < messages_max && (bytes <= limit.bytes || count == 0);
                    count += usize::from(fits);
                    fits
                });
                let items = step.items.into_iter();
                self.chosen.extend(items.map(|item| wanted(&log, item)));
                step.done
            };
            if done || !self.chosen.is_empty() {
                return Ok(self.is_dense());
            }
            tokio::task::yield_now().await;
        }
    }

    fn is_dense(&self) -> bool {
        let (first, last) = (self.chosen.front(), self.chosen.back());
        first.zip(last).is_some_and(|(first, last)| {
            let span = last.item.sequence - first.item.sequence + 1;
            span <= self.chosen.len() as u64 * AHEAD_STRIDE_MAX
        })
    }
}
