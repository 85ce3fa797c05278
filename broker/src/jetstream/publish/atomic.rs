//! Atomic batches: messages that are stored together or not at all (ADR-50).
//!
//! The members of a batch wait here until the last one says commit. Nothing about them is checked before but their size and
//! their place in the batch; what else is wrong with one of them comes out at the commit and refuses the whole. A batch that
//! nobody adds to for a while is abandoned, and an advisory says so.

use std::time::Duration;

use bytes::Bytes;
use hashbrown::{HashMap, HashSet};
use serde::Serialize;
use tokio::time::Instant;

use super::headers::PublishHeaders;
use crate::jetstream::capture::Captured;
use crate::jetstream::error_code::{self as code, ApiError};
use crate::proto::headers::BlockEdit;

/// Longest id of a batch, in bytes.
const ID_BYTES_MAX: usize = 64;
/// Messages of one batch.
pub(crate) const BATCH_MESSAGES_MAX: usize = 1000;
/// Batches of one stream that are being filled.
const BATCHES_MAX: usize = 50;
/// Bytes of all batches of one stream that are being filled (nats-server: unlimited).
const BATCH_BYTES_MAX: usize = 64 << 20;
/// A batch that gets nothing for this long is abandoned.
const IDLE_MAX: Duration = Duration::from_secs(10);
/// What a message costs beside its bytes.
const MESSAGE_OVERHEAD_BYTES: usize = 256;

/// Why a batch was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Abandoned {
    Timeout,
    Incomplete,
    Large,
}

impl Abandoned {
    /// As the advisory says it.
    fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Incomplete => "incomplete",
            Self::Large => "large",
        }
    }

    /// What an advisory says of it.
    pub(crate) fn advisory<'a>(self, stream: &'a str, batch: &'a str) -> AbandonedBody<'a> {
        AbandonedBody {
            stream,
            batch,
            reason: self.as_str(),
        }
    }
}

/// The body of the advisory about an abandoned batch.
#[derive(Debug, Serialize)]
pub(crate) struct AbandonedBody<'a> {
    stream: &'a str,
    batch: &'a str,
    reason: &'static str,
}

/// What a member led to.
#[derive(Debug)]
pub(crate) enum Step {
    /// It waits with the others.
    Waits,
    /// The batch is complete: store these.
    Commit { id: String, members: Vec<Captured> },
    /// It is refused; a batch it belonged to is gone, which an advisory may have to say.
    Refused(ApiError, Option<Abandoned>),
}

/// The batches of one stream that are being filled.
#[derive(Debug, Default)]
pub(crate) struct Batches {
    open: HashMap<String, Batch>,
    bytes: usize,
}

#[derive(Debug)]
struct Batch {
    members: Vec<Captured>,
    bytes: usize,
    touched: Instant,
}

/// How a batch ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Commit {
    No,
    WithThis,
    WithoutThis,
}

impl Batches {
    /// Takes a message that carries a batch id.
    pub(crate) fn add(
        &mut self,
        headers: &PublishHeaders<'_>,
        message: &Captured,
        now: Instant,
    ) -> Step {
        let id = String::from_utf8_lossy(headers.batch_id.unwrap_or_default()).into_owned();
        if id.len() > ID_BYTES_MAX {
            return Step::Refused(code::ATOMIC_PUBLISH_INVALID_BATCH_ID.into(), None);
        }
        let Some(sequence) = headers.batch_sequence.and_then(parse_sequence) else {
            return Step::Refused(code::ATOMIC_PUBLISH_MISSING_SEQ.into(), None);
        };
        let commit = match headers.batch_commit {
            None => Commit::No,
            Some(b"1") => Commit::WithThis,
            Some(b"eob") => Commit::WithoutThis,
            Some(_) => {
                self.remove(&id);
                return Step::Refused(code::ATOMIC_PUBLISH_INVALID_BATCH_COMMIT.into(), None);
            }
        };
        if let Err(step) = self.check_place(&id, sequence, commit) {
            return step;
        }
        if commit != Commit::WithoutThis
            && let Err(step) = self.push(&id, message, now)
        {
            return step;
        }
        if commit == Commit::No {
            return Step::Waits;
        }
        let batch = self.remove(&id);
        let mut members = batch.map_or_else(Vec::new, |batch| batch.members);
        if commit == Commit::WithoutThis
            && let Some(last) = members.last_mut()
        {
            // Whoever reads the stream knows the end of a batch by this header.
            let block = BlockEdit::without(&last.headers, |_| false);
            last.headers = block.with("Nats-Batch-Commit", "1").finish();
        }
        Step::Commit { id, members }
    }

    /// Gives up the batches that got nothing for too long, and names them.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<String> {
        let is_idle = |batch: &Batch| now.duration_since(batch.touched) >= IDLE_MAX;
        let idle: Vec<String> = self
            .open
            .iter()
            .filter(|(_, batch)| is_idle(batch))
            .map(|(id, _)| id.clone())
            .collect();
        for id in &idle {
            self.remove(id);
        }
        idle
    }

    /// When the next batch has to be given up.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let touched = self.open.values().map(|batch| batch.touched).min()?;
        Some(touched + IDLE_MAX)
    }

    /// Forgets all of them: the stream does not take batches any more.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    fn check_place(&mut self, id: &str, sequence: u64, commit: Commit) -> Result<(), Step> {
        let incomplete = |reason| {
            let error = code::ATOMIC_PUBLISH_INCOMPLETE_BATCH.into();
            Err(Step::Refused(error, reason))
        };
        let Some(batch) = self.open.get(id) else {
            return match sequence {
                1 if commit == Commit::WithoutThis => incomplete(None),
                1 if self.open.len() >= BATCHES_MAX => {
                    let error = code::ATOMIC_PUBLISH_TOO_MANY_INFLIGHT.into();
                    Err(Step::Refused(error, None))
                }
                1 => Ok(()),
                _ => incomplete(None),
            };
        };
        if sequence == batch.members.len() as u64 + 1 {
            return Ok(());
        }
        self.remove(id);
        incomplete(Some(Abandoned::Incomplete))
    }

    fn push(&mut self, id: &str, message: &Captured, now: Instant) -> Result<(), Step> {
        let bytes = message.len_bytes() + MESSAGE_OVERHEAD_BYTES;
        let count = self.open.get(id).map_or(0, |batch| batch.members.len());
        if count >= BATCH_MESSAGES_MAX || self.bytes + bytes > BATCH_BYTES_MAX {
            self.remove(id);
            let error = code::ATOMIC_PUBLISH_TOO_LARGE_BATCH.with(BATCH_MESSAGES_MAX);
            return Err(Step::Refused(error, Some(Abandoned::Large)));
        }
        self.bytes += bytes;
        let batch = self.open.entry_ref(id).or_insert_with(|| Batch {
            members: Vec::new(),
            bytes: 0,
            touched: now,
        });
        batch.bytes += bytes;
        batch.touched = now;
        // What waits for long must not keep a whole read buffer alive.
        batch.members.push(message.detached());
        Ok(())
    }

    fn remove(&mut self, id: &str) -> Option<Batch> {
        let batch = self.open.remove(id)?;
        self.bytes -= batch.bytes;
        Some(batch)
    }
}

/// What members of one batch must not do to each other, in the order of the batch.
#[derive(Debug, Default)]
pub(crate) struct Members {
    subjects: HashSet<Bytes>,
    ids: HashSet<Vec<u8>>,
}

impl Members {
    /// Checks one member, that will be stored under `subject`.
    ///
    /// # Errors
    /// A header that batches do not have, a message id that the batch has already, or a condition that looks at what the
    /// batch itself wrote.
    pub(crate) fn check(
        &mut self,
        headers: &PublishHeaders<'_>,
        subject: &Bytes,
    ) -> Result<(), ApiError> {
        if headers.expected_last_message_id.is_some() {
            let name = "Nats-Expected-Last-Msg-Id";
            return Err(code::ATOMIC_PUBLISH_UNSUPPORTED_HEADER_BATCH.with(name));
        }
        if let Some(id) = headers.message_id
            && !self.ids.insert(id.to_vec())
        {
            return Err(code::ATOMIC_PUBLISH_CONTAINS_DUPLICATE_MESSAGE.into());
        }
        let is_first_of_subject = !self.subjects.contains(subject);
        if headers.expected_last_subject_sequence.is_some() && !is_first_of_subject {
            return Err(code::STREAM_WRONG_LAST_SEQUENCE_CONSTANT.into());
        }
        if let Some(rollup) = headers.rollup {
            let is_all = rollup.eq_ignore_ascii_case(b"all");
            let is_valid = if is_all {
                self.subjects.is_empty()
            } else {
                is_first_of_subject
            };
            if !is_valid {
                let text = format!("batch rollup {} invalid", String::from_utf8_lossy(rollup));
                return Err(code::STREAM_ROLLUP_FAILED.with(text));
            }
        }
        self.subjects.insert(subject.clone());
        Ok(())
    }
}

fn parse_sequence(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(lines: &str) -> Captured {
        Captured {
            subject: Bytes::from_static(b"b"),
            reply: Bytes::new(),
            headers: format!("NATS/1.0\r\n{lines}\r\n\r\n").into(),
            payload: Bytes::from_static(b"x"),
        }
    }

    struct Test {
        batches: Batches,
        now: Instant,
    }

    impl Test {
        fn new() -> Self {
            Self {
                batches: Batches::default(),
                now: Instant::now(),
            }
        }

        fn add(&mut self, id: &str, sequence: &str, commit: &str) -> Step {
            let message = member(&format!(
                "Nats-Batch-Id: {id}\r\nNats-Batch-Sequence: {sequence}\r\nNats-Batch-Commit: {commit}"
            ));
            let headers = PublishHeaders::read(&message.headers);
            self.batches.add(&headers, &message, self.now)
        }

        #[track_caller]
        fn check(&mut self, id: &str, sequence: &str, commit: &str, expected: Result<usize, u16>) {
            let step = match self.add(id, sequence, commit) {
                Step::Waits => Ok(0),
                Step::Commit { members, .. } => Ok(members.len()),
                Step::Refused(error, _) => Err(error.err_code),
            };
            assert_eq!(step, expected, "{id} {sequence} {commit}");
        }
    }

    #[test]
    fn a_batch_is_committed_with_or_without_its_last_message() {
        let mut test = Test::new();
        test.check("A", "1", "", Ok(0));
        test.check("A", "2", "", Ok(0));
        test.check("A", "3", "1", Ok(3));
        test.check("A", "1", "", Ok(0));
        let Step::Commit { members, .. } = test.add("A", "2", "eob") else {
            panic!("not complete");
        };
        assert_eq!(members.len(), 1);
        let end = PublishHeaders::read(&members[0].headers).batch_commit;
        assert_eq!(end, Some(&b"1"[..]));
        test.check("A", "1", "1", Ok(1));
        test.check("A", "1", "eob", Err(10176));
        assert_eq!(test.batches.bytes, 0);
    }

    #[test]
    fn gaps_and_strangers_are_incomplete() {
        let mut test = Test::new();
        test.check("A", "2", "", Err(10176));
        test.check("A", "1", "", Ok(0));
        test.check("A", "3", "", Err(10176));
        test.check("A", "2", "1", Err(10176));
        test.check("A", "1", "", Ok(0));
        test.check("A", "1", "", Err(10176));
        test.check("A", "0", "", Err(10176));
        test.check("A", "1", "", Ok(0));
        test.check("A", "2", "2", Err(10200));
        test.check("A", "2", "1", Err(10176));
        for missing in ["", "x", "-1"] {
            test.check("A", missing, "", Err(10175));
        }
        test.check(&"A".repeat(64), "1", "1", Ok(1));
        test.check(&"A".repeat(65), "1", "1", Err(10179));
    }

    #[test]
    fn batches_have_limits() {
        let mut test = Test::new();
        for sequence in 1..=BATCH_MESSAGES_MAX {
            test.check("A", &sequence.to_string(), "", Ok(0));
        }
        let step = test.add("A", "1001", "");
        assert!(
            matches!(&step, Step::Refused(error, Some(Abandoned::Large)) if error.err_code == 10199)
        );
        for number in 0..BATCHES_MAX {
            test.check(&number.to_string(), "1", "", Ok(0));
        }
        test.check("one more", "1", "", Err(10210));
    }

    #[test]
    fn an_idle_batch_is_abandoned() {
        let mut test = Test::new();
        test.check("A", "1", "", Ok(0));
        assert_eq!(test.batches.deadline(), Some(test.now + IDLE_MAX));
        test.now += IDLE_MAX / 2;
        test.check("B", "1", "", Ok(0));
        test.now += IDLE_MAX / 2;
        assert_eq!(test.batches.expire(test.now), ["A"]);
        test.check("A", "2", "1", Err(10176));
        test.check("B", "2", "1", Ok(2));
        assert_eq!(test.batches.deadline(), None);
    }

    #[test]
    fn members_do_not_look_at_each_other() {
        let check = |members: &mut Members, lines: &str, subject: &'static str| {
            let message = member(lines);
            let headers = PublishHeaders::read(&message.headers);
            let checked = members.check(&headers, &Bytes::from_static(subject.as_bytes()));
            checked.map_err(|error| error.err_code)
        };
        let mut members = Members::default();
        let last_id = "Nats-Expected-Last-Msg-Id: x";
        assert_eq!(check(&mut members, last_id, "a"), Err(10177));
        assert_eq!(check(&mut members, "Nats-Rollup: all", "a"), Ok(()));
        assert_eq!(check(&mut members, "Nats-Rollup: all", "b"), Err(10111));
        assert_eq!(check(&mut members, "Nats-Rollup: sub", "b"), Ok(()));
        assert_eq!(check(&mut members, "Nats-Rollup: sub", "b"), Err(10111));
        let expected = "Nats-Expected-Last-Subject-Sequence: 0";
        assert_eq!(check(&mut members, expected, "c"), Ok(()));
        assert_eq!(check(&mut members, expected, "c"), Err(10164));
        assert_eq!(check(&mut members, "Nats-Msg-Id: m", "d"), Ok(()));
        assert_eq!(check(&mut members, "Nats-Msg-Id: m", "e"), Err(10201));
    }
}
