//! What may enter a stream, in nats-server's order of checks.

use super::super::{Append, AppendError, Appended, Discard, Sequence};
use super::{Log, MESSAGE_BYTES_MAX, SUBJECT_BYTES_MAX, nanos};

impl Log {
    /// Decides about an append. `Some` is the answer to a duplicate, which is not stored.
    pub(in crate::stream) fn check(
        &self,
        append: &Append,
        now: u64,
    ) -> Result<Option<Appended>, AppendError> {
        let config = &self.config;
        if append.subject.is_empty() || append.subject.len() > SUBJECT_BYTES_MAX {
            return Err(AppendError::BadSubject);
        }
        if append.ttl.is_some() && !config.allow_message_ttl {
            return Err(AppendError::TtlNotAllowed);
        }
        self.check_expected_sequences(append)?;
        if let Some(id) = &append.message_id {
            let after = now.saturating_sub(nanos(config.duplicate_window));
            if let Some((sequence, timestamp)) = self.duplicates.find(id, after) {
                return Ok(Some(Appended {
                    sequence: Sequence(sequence),
                    duplicate: true,
                    timestamp,
                }));
            }
        }
        if let Some(id) = &append.expected.last_message_id
            && *id != self.last_message_id
        {
            return Err(AppendError::WrongLastMessageId {
                last: String::from_utf8_lossy(&self.last_message_id).into_owned(),
            });
        }
        if append.rollup.is_some() && (!config.allow_rollup || config.deny_purge) {
            return Err(AppendError::RollupNotAllowed);
        }
        self.check_room(append)?;
        Ok(None)
    }

    fn check_expected_sequences(&self, append: &Append) -> Result<(), AppendError> {
        let expected = &append.expected;
        if let Some(wanted) = expected.last_subject_sequence {
            let last = match &expected.last_subject_filter {
                Some(filter) => self.lasts(Some(filter)).last().copied().unwrap_or(0),
                None => self.last_of(&append.subject),
            };
            if wanted.0 != last {
                return Err(AppendError::WrongLastSubjectSequence {
                    last: Sequence(last),
                });
            }
        }
        match expected.last_sequence {
            Some(wanted) if wanted.0 != self.last => Err(AppendError::WrongLastSequence {
                last: Sequence(self.last),
            }),
            _ => Ok(()),
        }
    }

    fn check_room(&self, append: &Append) -> Result<(), AppendError> {
        let config = &self.config;
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
        let replaced = self.at_subject_limit(&append.subject);
        if replaced.is_some() && config.discard_new_per_subject {
            return Err(AppendError::MaximumPerSubject);
        }
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
        let freed = replaced.and_then(|oldest| self.sequences.get(oldest));
        if freed.is_none() && config.messages_max.is_some_and(|max| self.messages >= max) {
            return Err(AppendError::MaximumMessages);
        }
        let after = self.bytes + size - freed.map_or(0, |item| u64::from(item.size));
        if config.bytes_max.is_some_and(|max| after > max) {
            return Err(AppendError::MaximumBytes);
        }
        Ok(())
    }
}
