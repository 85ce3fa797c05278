//! Bytes on their way out: contiguous buffers with large payloads shared in between.
//!
//! The same structure is a publisher's scratch for one receiver, a connection's pending output, and the batch its writer is
//! writing. Handing over is a swap of buffers where the receiver has nothing pending, so buffers travel in a circle and a
//! steady flow allocates nothing.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Bytes;

use crate::limits::SHARE_FROM_BYTES;

/// A buffer that grew beyond this is not kept for later, in bytes.
const KEEP_BYTES_MAX: usize = 256 << 10;
/// Written buffers that are kept for the next batches.
const SPARES_MAX: usize = 4;
/// A batch up to this size is copied behind what waits already rather than queued as a part of its own, in bytes.
const JOIN_BYTES_MAX: usize = 16 << 10;

/// A piece of output.
#[derive(Debug)]
pub(crate) enum Part {
    Buffer(Vec<u8>),
    Shared(Bytes),
}

impl AsRef<[u8]> for Part {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Buffer(buffer) => buffer,
            Self::Shared(bytes) => bytes,
        }
    }
}

/// Ordered output: `parts`, then `tail`.
#[derive(Debug, Default)]
pub(crate) struct OutQueue {
    parts: VecDeque<Part>,
    tail: Vec<u8>,
    parts_len: usize,
    /// Bytes of the first part that are written already.
    written: usize,
    /// Empty buffers for whoever hands over next: a receiver that is behind would else have every batch collected in a
    /// buffer that grows from nothing.
    spares: Vec<Vec<u8>>,
    /// Messages and their bytes since the last hand-over, for the counters.
    pub(crate) messages: u64,
    pub(crate) message_bytes: u64,
}

impl OutQueue {
    /// Bytes in the queue.
    pub(crate) fn len(&self) -> usize {
        self.parts_len + self.tail.len() - self.written
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where small output is appended.
    pub(crate) fn tail(&mut self) -> &mut Vec<u8> {
        &mut self.tail
    }

    /// Appends a large piece without copying it; a small one is copied.
    pub(crate) fn push_shared(&mut self, bytes: Bytes) {
        if bytes.len() < SHARE_FROM_BYTES {
            self.tail.extend_from_slice(&bytes);
            return;
        }
        self.seal();
        self.parts_len += bytes.len();
        self.parts.push_back(Part::Shared(bytes));
    }

    /// Moves everything from `other` behind what is here. `other` is left empty, perhaps with a spare buffer.
    pub(crate) fn append(&mut self, other: &mut Self) {
        if self.is_empty() {
            debug_assert!(self.written == 0 || self.parts.is_empty());
            self.clear();
            std::mem::swap(self, other);
        } else if other.parts.is_empty() && other.tail.len() <= JOIN_BYTES_MAX {
            self.tail.extend_from_slice(&other.tail);
            other.clear();
        } else {
            self.seal();
            self.parts_len += other.parts_len;
            self.parts.append(&mut other.parts);
            other.parts_len = 0;
            std::mem::swap(&mut self.tail, &mut other.tail);
            other.clear();
            if other.tail.capacity() == 0
                && let Some(spare) = self.spares.pop()
            {
                other.tail = spare;
            }
        }
    }

    /// Takes over the spare buffers of `other`.
    pub(crate) fn take_spares(&mut self, other: &mut Self) {
        if self.spares.is_empty() {
            std::mem::swap(&mut self.spares, &mut other.spares);
        }
    }

    /// Empties the queue and keeps a reasonable buffer.
    pub(crate) fn clear(&mut self) {
        self.parts.clear();
        self.parts_len = 0;
        self.written = 0;
        self.messages = 0;
        self.message_bytes = 0;
        self.tail.clear();
        if self.tail.capacity() > KEEP_BYTES_MAX {
            self.tail = Vec::new();
        }
    }

    /// Gives back all memory; only for an empty queue.
    pub(crate) fn release(&mut self) {
        if self.is_empty() {
            *self = Self::default();
        }
    }

    /// Fills `slices` with what is to be written next and returns how many were filled.
    pub(crate) fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut count = 0;
        let mut skip = self.written;
        let tail = (!self.tail.is_empty()).then_some(self.tail.as_slice());
        for part in self.parts.iter().map(AsRef::as_ref).chain(tail) {
            let Some(slot) = slices.get_mut(count) else {
                break;
            };
            *slot = IoSlice::new(&part[skip..]);
            skip = 0;
            count += 1;
        }
        count
    }

    /// Notes that `len` bytes were written.
    pub(crate) fn advance(&mut self, len: usize) {
        self.written += len;
        while let Some(first) = self.parts.front() {
            let first_len = first.as_ref().len();
            if self.written < first_len {
                return;
            }
            self.written -= first_len;
            self.parts_len -= first_len;
            if let Some(Part::Buffer(buffer)) = self.parts.pop_front() {
                self.keep(buffer);
            }
        }
        if self.written == self.tail.len() {
            self.clear();
        }
    }

    /// Keeps a written buffer, if it is worth it. Small ones are cheap to make.
    fn keep(&mut self, mut buffer: Vec<u8>) {
        let is_worth_it = (JOIN_BYTES_MAX..=KEEP_BYTES_MAX).contains(&buffer.capacity());
        if is_worth_it && self.spares.len() < SPARES_MAX {
            buffer.clear();
            self.spares.push(buffer);
        }
    }

    fn seal(&mut self) {
        if !self.tail.is_empty() {
            self.parts_len += self.tail.len();
            self.parts
                .push_back(Part::Buffer(std::mem::take(&mut self.tail)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(queue: &mut OutQueue, step: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while !queue.is_empty() {
            let mut slices = [IoSlice::new(&[]); 3];
            let count = queue.slices(&mut slices);
            let chunk: Vec<u8> = slices[..count]
                .iter()
                .flat_map(|s| s.iter().copied())
                .collect();
            let take = step.min(chunk.len());
            all.extend_from_slice(&chunk[..take]);
            queue.advance(take);
        }
        all
    }

    #[test]
    fn order_survives_sharing_appending_and_partial_writes() {
        for step in [997, 4096, 100_000] {
            let mut expected = Vec::new();
            let mut queue = OutQueue::default();
            for round in 0..20_usize {
                let mut scratch = OutQueue::default();
                for piece in [
                    10,
                    SHARE_FROM_BYTES + round,
                    3,
                    JOIN_BYTES_MAX * (round % 2),
                ] {
                    let bytes = vec![round as u8; piece];
                    expected.extend_from_slice(&bytes);
                    if piece >= SHARE_FROM_BYTES {
                        scratch.push_shared(bytes.into());
                    } else {
                        scratch.tail().extend_from_slice(&bytes);
                    }
                }
                queue.append(&mut scratch);
                assert!(scratch.is_empty());
                assert_eq!(queue.len(), expected.len());
            }
            assert!(drain(&mut queue, step) == expected, "step {step}");
        }
    }

    #[test]
    fn written_buffers_are_used_again() {
        let mut pending = OutQueue::default();
        let mut scratch = OutQueue::default();
        for _ in 0..3 {
            scratch.tail().resize(2 * JOIN_BYTES_MAX, 0);
            pending.append(&mut scratch);
        }
        let mut batch = OutQueue::default();
        batch.append(&mut pending);
        batch.advance(batch.len());
        pending.take_spares(&mut batch);
        assert_eq!(pending.spares.len(), 2);
        pending.tail().push(0);
        scratch.tail().resize(2 * JOIN_BYTES_MAX, 0);
        pending.append(&mut scratch);
        assert!(scratch.tail().capacity() >= 2 * JOIN_BYTES_MAX);
        assert!(scratch.is_empty());
    }
}
