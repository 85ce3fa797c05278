//! What may enter a stream, in nats-server's order of checks.

use super::super::{
    Append, AppendError, Appended, Discard, Sequence, StreamConfig, SubjectPattern,
};
use super::{Log, MESSAGE_BYTES_MAX, SEQUENCE_MAX, SUBJECT_BYTES_MAX, nanos};

/// What the checks ask about a stream: as it is, or as it would be within an atomic batch.
pub(super) trait Standing {
    fn last(&self) -> u64;
    fn messages(&self) -> u64;
    fn bytes(&self) -> u64;
    fn last_message_id(&self) -> &[u8];
    /// Newest sequence of a subject; 0 = none.
    fn last_of(&self, subject: &[u8]) -> u64;
    /// Newest sequence of the subjects that match; 0 = none.
    fn last_matching(&self, filter: &SubjectPattern) -> u64;
    /// Sequence and time of the message that had this id, if it was stored after a time.
    fn find_id(&self, id: &[u8], after: u64) -> Option<(u64, u64)>;
    /// Size of the message that makes room because its subject is at its limit.
    fn replaced(&self, subject: &[u8]) -> Option<u64>;
}

impl Standing for Log {
    fn last(&self) -> u64 {
        self.last
    }

    fn messages(&self) -> u64 {
        self.messages
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn last_message_id(&self) -> &[u8] {
        &self.last_message_id
    }

    fn last_of(&self, subject: &[u8]) -> u64 {
        Self::last_of(self, subject)
    }

    fn last_matching(&self, filter: &SubjectPattern) -> u64 {
        let matching = self.subjects.matching(Some(filter));
        matching.map(|(_, subject)| subject.last).max().unwrap_or(0)
    }

    fn find_id(&self, id: &[u8], after: u64) -> Option<(u64, u64)> {
        self.duplicates.find(id, after)
    }

    fn replaced(&self, subject: &[u8]) -> Option<u64> {
        let oldest = self.at_subject_limit(subject)?;
        self.sequences.get(oldest).map(|item| u64::from(item.size))
    }
}

impl Log {
    /// Decides about an append. `Some` is the answer to a duplicate, which is not stored.
    pub(in crate::stream) fn check(
        &self,
        append: &Append,
        now: u64,
    ) -> Result<Option<Appended>, AppendError> {
        check(self, &self.config, append, now)
    }
}

/// Decides about an append. `Some` is the answer to a duplicate, which is not stored.
pub(super) fn check(
    standing: &impl Standing,
    config: &StreamConfig,
    append: &Append,
    now: u64,
) -> Result<Option<Appended>, AppendError> {
    if append.subject.is_empty() || append.subject.len() > SUBJECT_BYTES_MAX {
        return Err(AppendError::BadSubject);
    }
    if let Some(place) = append.place
        && !(standing.last() + 1..SEQUENCE_MAX).contains(&place.sequence.0)
    {
        return Err(AppendError::WrongPlace {
            place: place.sequence,
            last: Sequence(standing.last()),
        });
    }
    if append.ttl.is_some() && !config.allow_message_ttl {
        return Err(AppendError::TtlNotAllowed);
    }
    check_expected_sequences(standing, append)?;
    if let Some(id) = &append.message_id {
        let after = now.saturating_sub(nanos(config.duplicate_window));
        if let Some((sequence, timestamp)) = standing.find_id(id, after) {
            return Ok(Some(Appended {
                sequence: Sequence(sequence),
                duplicate: true,
                timestamp,
                previous: Sequence::NONE,
                payload: None,
            }));
        }
    }
    if let Some(id) = &append.expected.last_message_id
        && *id != standing.last_message_id()
    {
        return Err(AppendError::WrongLastMessageId {
            last: String::from_utf8_lossy(standing.last_message_id()).into_owned(),
        });
    }
    if append.rollup.is_some() && (!config.allow_rollup || config.deny_purge) {
        return Err(AppendError::RollupNotAllowed);
    }
    check_size(config, append)?;
    if !append.no_store {
        check_room(standing, config, append)?;
    }
    Ok(None)
}

fn check_expected_sequences(standing: &impl Standing, append: &Append) -> Result<(), AppendError> {
    let expected = &append.expected;
    if let Some(wanted) = expected.last_subject_sequence {
        let last = match &expected.last_subject_filter {
            Some(filter) => standing.last_matching(filter),
            None => standing.last_of(&append.subject),
        };
        if wanted.0 != last {
            return Err(AppendError::WrongLastSubjectSequence {
                last: Sequence(last),
            });
        }
    }
    match expected.last_sequence {
        Some(wanted) if wanted.0 != standing.last() => Err(AppendError::WrongLastSequence {
            last: Sequence(standing.last()),
        }),
        _ => Ok(()),
    }
}

fn check_size(config: &StreamConfig, append: &Append) -> Result<(), AppendError> {
    let len_bytes = (append.headers.len() + append.payload.len()) as u64;
    let max_bytes = config
        .message_bytes_max
        .unwrap_or(MESSAGE_BYTES_MAX)
        .min(MESSAGE_BYTES_MAX);
    if len_bytes > max_bytes {
        return Err(AppendError::MessageTooLarge {
            len_bytes,
            max_bytes,
        });
    }
    Ok(())
}

fn check_room(
    standing: &impl Standing,
    config: &StreamConfig,
    append: &Append,
) -> Result<(), AppendError> {
    let (subject, headers) = (append.subject.len(), append.headers.len());
    let size = config.record_bytes(subject, headers, append.payload.len());
    if config.discard == Discard::Old {
        // Making room would remove everything and then the message itself.
        let fits = config.bytes_max.is_none_or(|max| size <= max);
        return if fits {
            Ok(())
        } else {
            Err(AppendError::MaximumBytes)
        };
    }
    let freed = standing.replaced(&append.subject);
    if freed.is_some() && config.discard_new_per_subject {
        return Err(AppendError::MaximumPerSubject);
    }
    let full = |max| standing.messages() >= max;
    if freed.is_none() && config.messages_max.is_some_and(full) {
        return Err(AppendError::MaximumMessages);
    }
    let after = standing.bytes() + size - freed.unwrap_or(0);
    if config.bytes_max.is_some_and(|max| after > max) {
        return Err(AppendError::MaximumBytes);
    }
    Ok(())
}
