//! What a publisher writes, rendered before the clock starts.

use crate::connection::CHUNK_BYTES;
use crate::stamp;

/// Frames of a pool together, in bytes, where many subjects are used.
const POOL_BYTES: usize = 8 * CHUNK_BYTES;

/// Which subjects are used.
#[derive(Clone, Debug)]
pub(crate) struct Subjects<'a> {
    pub(crate) prefix: &'a str,
    pub(crate) count: usize,
    pub(crate) at_random: bool,
}

impl Subjects<'_> {
    /// The subject with a number: the prefix itself where there is one only.
    pub(crate) fn name(&self, number: usize) -> String {
        if self.count <= 1 {
            return self.prefix.to_owned();
        }
        // Two tokens, so that a wildcard in either place takes a share.
        format!("{}.{}.{}", self.prefix, number / 100, number % 100)
    }
}

/// Whole frames in a row.
#[derive(Debug)]
pub(crate) struct Pool {
    bytes: Vec<u8>,
    /// Where each frame begins, and the end.
    starts: Vec<usize>,
    payload_bytes: usize,
    next: usize,
}

impl Pool {
    /// Frames with one payload size.
    pub(crate) fn new(subjects: &Subjects<'_>, payload_bytes: usize) -> Self {
        let payload = "x".repeat(payload_bytes);
        let bytes_max = if subjects.count > 1 {
            POOL_BYTES
        } else {
            CHUNK_BYTES
        };
        let mut pool = Self {
            bytes: Vec::with_capacity(bytes_max),
            starts: vec![0],
            payload_bytes,
            next: 0,
        };
        let mut number = 0;
        while pool.starts.len() == 1 || pool.bytes.len() < bytes_max {
            let subject = subjects.name(if subjects.at_random {
                rand::random_range(0..subjects.count.max(1))
            } else {
                number % subjects.count.max(1)
            });
            number += 1;
            let frame = format!("PUB {subject} {payload_bytes}\r\n{payload}\r\n");
            pool.bytes.extend_from_slice(frame.as_bytes());
            pool.starts.push(pool.bytes.len());
        }
        pool
    }

    /// The next frames: at most `count` and about `bytes_max` bytes, with the time in the first one. Their number is said
    /// too.
    pub(crate) fn take(&mut self, count: u64, bytes_max: usize) -> (&[u8], u64) {
        if self.next + 1 >= self.starts.len() {
            self.next = 0;
        }
        let first = self.next;
        let start = self.starts[first];
        let in_bytes = self.starts[first + 1..].partition_point(|end| end - start <= bytes_max);
        let taken = in_bytes.clamp(1, usize::try_from(count).unwrap_or(usize::MAX));
        self.next = first + taken;
        let payload_end = self.starts[first + 1] - 2;
        stamp::write(&mut self.bytes[payload_end - self.payload_bytes..payload_end]);
        (&self.bytes[start..self.starts[self.next]], taken as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_whole_frames_in_a_circle() {
        let subjects = Subjects {
            prefix: "a",
            count: 3,
            at_random: false,
        };
        let mut pool = Pool::new(&subjects, 20);
        let frame_len = "PUB a.0.0 20\r\n".len() + 22;
        for (count, bytes_max, expected) in [(2, 1 << 20, 2), (9, 100, 2), (5, 1, 1)] {
            let (bytes, taken) = pool.take(count, bytes_max);
            assert_eq!(taken, expected);
            assert_eq!(bytes.len(), expected as usize * frame_len);
            assert!(bytes.starts_with(b"PUB a.0."));
        }
        let mut all = 0;
        while all < 100_000 {
            all += pool.take(100_000 - all, CHUNK_BYTES).1;
        }
        assert_eq!(all, 100_000);
    }

    #[test]
    fn one_large_payload_is_one_piece() {
        let subjects = Subjects {
            prefix: "a",
            count: 1,
            at_random: false,
        };
        let mut pool = Pool::new(&subjects, 1 << 20);
        assert_eq!(pool.take(7, 100).1, 1);
    }
}
