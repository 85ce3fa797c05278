//! A position in a stream, with a filter.

use std::sync::Arc;

use tokio::sync::watch;

use crate::Error;

use super::inner::Inner;
use super::{ReadLimit, Sequence, StoredMessage, SubjectPattern, lock};

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
pub struct Reader {
    inner: Arc<Inner>,
    filters: Vec<SubjectPattern>,
    /// Newest messages of their subjects, still to be read.
    initial: Vec<u64>,
    position: u64,
    commits: watch::Receiver<u64>,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Reader({} at {})", self.inner.name, self.position)
    }
}

impl Reader {
    pub(super) fn new(inner: Arc<Inner>, filters: Vec<SubjectPattern>, start: ReaderStart) -> Self {
        let commits = inner.commits();
        let (initial, position) = {
            let log = lock(&inner.log);
            match start {
                ReaderStart::Sequence(sequence) => (Vec::new(), sequence.0),
                ReaderStart::LastPerSubject => {
                    let items = log.lasts_up_to(&filters, log.committed);
                    let mut initial: Vec<u64> = items.iter().map(|item| item.sequence).collect();
                    initial.reverse();
                    (initial, log.committed + 1)
                }
            }
        };
        Self {
            inner,
            filters,
            initial,
            position,
            commits,
        }
    }

    /// Committed messages that match and are still ahead.
    #[must_use]
    pub fn pending(&self) -> u64 {
        let log = lock(&self.inner.log);
        let initial = self.initial.iter().filter(|s| log.get(**s).is_some());
        let later = log.iter_from(self.position);
        let later = later.filter(|item| self.wants(&log.subject_name(item)));
        (initial.count() + later.count()) as u64
    }

    /// Messages that match, in order; moves on behind them. Empty = nothing there.
    ///
    /// # Errors
    /// [`Error`] when the file can not be read; the position stays.
    pub async fn next(&mut self, limit: ReadLimit) -> Result<Vec<StoredMessage>, Error> {
        let (mut messages, mut bytes) = (Vec::new(), 0);
        while messages.len() < limit.messages {
            let Some(sequence) = self.initial.last().copied() else {
                break;
            };
            if let Some(message) = self.inner.message(Sequence(sequence)).await? {
                bytes += message.len_bytes();
                if bytes > limit.bytes && !messages.is_empty() {
                    return Ok(messages);
                }
                messages.push(message);
            }
            self.initial.pop();
        }
        let mut position = self.position;
        while messages.len() < limit.messages {
            let part = ReadLimit {
                messages: limit.messages - messages.len(),
                bytes: usize::MAX,
            };
            let read = self.inner.read(Sequence(position), None, part).await?;
            let Some(last) = read.last() else {
                break;
            };
            let end = last.sequence.0 + 1;
            for message in read {
                if self.wants(&message.subject) {
                    bytes += message.len_bytes();
                    if bytes > limit.bytes && !messages.is_empty() {
                        self.position = message.sequence.0;
                        return Ok(messages);
                    }
                    messages.push(message);
                }
            }
            position = end;
        }
        self.position = position;
        Ok(messages)
    }

    /// Resolves when something that matches was committed or removed, or the stream was closed,
    /// since the last call. May resolve without a reason. Nothing is lost when it is cancelled.
    pub async fn changed(&mut self) {
        // The sender lives in `inner`, which this reader holds.
        let _ = self.commits.changed().await;
    }

    /// The sequence that would be looked at next.
    #[must_use]
    pub fn position(&self) -> Sequence {
        Sequence(self.initial.last().copied().unwrap_or(self.position))
    }

    /// Whether the stream still holds a message.
    #[must_use]
    pub fn holds(&self, sequence: Sequence) -> bool {
        lock(&self.inner.log).get(sequence.0).is_some()
    }

    fn wants(&self, subject: &[u8]) -> bool {
        self.filters.is_empty() || self.filters.iter().any(|filter| filter.matches(subject))
    }
}
