//! What a stream is told to keep, and the rules such a configuration must meet.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Error;

use super::{Sequence, SubjectPattern};

/// Where messages are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StorageKind {
    /// In a redb file; survives power loss.
    Disk,
    /// In memory; gone with the process.
    Memory,
}

/// What happens to an append when the stream is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Discard {
    /// The oldest messages make room.
    Old,
    /// The append is refused.
    New,
}

/// When bytes are forced to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SyncPolicy {
    /// Before every acknowledgement (shared by all appends of one commit).
    Always,
    /// At this interval: a power cut may take what was acknowledged since. nats-server's trade.
    Interval(Duration),
}

/// A message that says that a subject's last message went away by age, appended in the commit
/// that removed it. It ends by itself, without a marker for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgeMarker {
    /// Raw NATS header block.
    pub headers: String,
    /// Life time of the marker.
    pub ttl: Duration,
}

/// Configuration of one stream. `None` means unlimited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamConfig {
    /// Name; at most 255 bytes without blanks, dots, wildcards or slashes. Never changes.
    pub name: String,
    /// Disk or memory. Never changes.
    pub storage: StorageKind,
    /// Most messages held.
    pub messages_max: Option<u64>,
    /// Most bytes held, counted as nats-server does (see [`StreamConfig::record_bytes`]).
    pub bytes_max: Option<u64>,
    /// Messages older than this are removed; at least 100 ms.
    pub age_max: Option<Duration>,
    /// Largest headers and payload of one message together.
    pub message_bytes_max: Option<u64>,
    /// Most messages per subject; the oldest of the subject makes room, whatever `discard` says.
    pub messages_per_subject_max: Option<u64>,
    /// What happens when the stream is full.
    pub discard: Discard,
    /// Refuse instead of replacing at `messages_per_subject_max`; needs `Discard::New`.
    pub discard_new_per_subject: bool,
    /// How long message ids are remembered; zero switches deduplication off.
    pub duplicate_window: Duration,
    /// When bytes are forced to the disk.
    pub sync: SyncPolicy,
    /// Whether messages may carry a life time of their own.
    pub allow_message_ttl: bool,
    /// Whether messages may replace older ones.
    pub allow_rollup: bool,
    /// Refuses deletion of single messages.
    pub deny_delete: bool,
    /// Refuses purging.
    pub deny_purge: bool,
    /// Sequence of the first message; `None` = 1.
    #[serde(default)]
    pub first_sequence: Option<u64>,
    /// The owner's own text about this stream, kept as it is.
    #[serde(default)]
    pub owner: String,
    /// Whether blocks are stored compressed.
    #[serde(default)]
    pub compression: bool,
    /// What is appended when age or a life time removes the last message of a subject.
    #[serde(default)]
    pub age_marker: Option<AgeMarker>,
    /// Subjects the broker captures for this stream. Storage only keeps them.
    pub subjects: Vec<String>,
    /// For people.
    pub description: String,
    /// For applications.
    pub metadata: BTreeMap<String, String>,
}

impl StreamConfig {
    /// An unlimited disk stream with nats-server's defaults: discard old, two minutes of
    /// duplicate window.
    pub fn with_name(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            storage: StorageKind::Disk,
            messages_max: None,
            bytes_max: None,
            age_max: None,
            message_bytes_max: None,
            messages_per_subject_max: None,
            discard: Discard::Old,
            discard_new_per_subject: false,
            duplicate_window: Duration::from_secs(120),
            sync: SyncPolicy::Always,
            allow_message_ttl: false,
            allow_rollup: false,
            deny_delete: false,
            deny_purge: false,
            first_sequence: None,
            owner: String::new(),
            compression: false,
            age_marker: None,
            subjects: Vec::new(),
            description: String::new(),
            metadata: BTreeMap::new(),
        }
    }

    /// Checks the rules of nats-server for stream configurations, as far as storage is concerned.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] with the first rule that is broken.
    pub fn validate(&self) -> Result<(), Error> {
        match self.broken_rule() {
            Some(reason) => Err(Error::InvalidConfig { reason }),
            None => Ok(()),
        }
    }

    /// Checks whether a running stream may change to `next`.
    pub(crate) fn validate_update(&self, next: &Self) -> Result<(), Error> {
        next.validate()?;
        let fixed = [
            (self.name != next.name, "the name can not change"),
            (
                self.storage != next.storage,
                "the storage kind can not change",
            ),
            (
                self.deny_delete && !next.deny_delete,
                "deny_delete can not be cancelled",
            ),
            (
                self.deny_purge && !next.deny_purge,
                "deny_purge can not be cancelled",
            ),
            (
                self.allow_message_ttl && !next.allow_message_ttl,
                "message TTLs can not be switched off",
            ),
        ];
        match fixed.iter().find(|(broken, _)| *broken) {
            Some((_, reason)) => Err(Error::InvalidConfig {
                reason: (*reason).to_owned(),
            }),
            None => Ok(()),
        }
    }

    /// What a message counts towards `bytes_max`, as in nats-server: 30 bytes of record and the
    /// parts, 4 more with headers; in memory 16 and the parts.
    #[must_use]
    pub fn record_bytes(&self, subject: usize, headers: usize, payload: usize) -> u64 {
        let overhead = match (self.storage, headers) {
            (StorageKind::Memory, _) => 16,
            (StorageKind::Disk, 0) => 30,
            (StorageKind::Disk, _) => 34,
        };
        (overhead + subject + headers + payload) as u64
    }

    fn broken_rule(&self) -> Option<String> {
        if let Some(reason) = name_problem(&self.name) {
            return Some(reason);
        }
        for subject in &self.subjects {
            if SubjectPattern::parse(subject.as_bytes()).is_none() {
                return Some(format!("{subject:?} is not a subject"));
            }
        }
        let shortest = Duration::from_millis(100);
        let window = self.duplicate_window;
        let rules = [
            (
                self.messages_max == Some(0),
                "messages_max must be at least 1",
            ),
            (self.bytes_max == Some(0), "bytes_max must be at least 1"),
            (
                self.message_bytes_max == Some(0),
                "message_bytes_max must be at least 1",
            ),
            (
                self.messages_per_subject_max == Some(0),
                "messages_per_subject_max must be at least 1",
            ),
            (
                self.age_max.is_some_and(|age| age < shortest),
                "age_max must be at least 100 ms",
            ),
            (
                !window.is_zero() && window < shortest,
                "duplicate_window must be at least 100 ms",
            ),
            (
                self.age_max.is_some_and(|age| window > age),
                "duplicate_window can not be larger than age_max",
            ),
            (
                self.discard_new_per_subject
                    && (self.discard != Discard::New || self.messages_per_subject_max.is_none()),
                "discard_new_per_subject needs discard new and messages_per_subject_max",
            ),
            (
                self.allow_rollup && self.deny_purge,
                "roll-ups need the purge permission",
            ),
            (
                matches!(self.sync, SyncPolicy::Interval(every) if every.is_zero()),
                "the sync interval must not be zero",
            ),
            (
                self.first_sequence
                    .is_some_and(|first| first == 0 || first > u64::MAX / 2),
                "first_sequence must be between 1 and 2^63",
            ),
        ];
        rules
            .iter()
            .find(|(broken, _)| *broken)
            .map(|(_, reason)| (*reason).to_owned())
    }

    /// Last sequence of a stream that was never used.
    pub(crate) fn initial_last(&self) -> Sequence {
        Sequence(self.first_sequence.unwrap_or(1).saturating_sub(1))
    }
}

/// Longest stream name in bytes, as in nats-server.
pub const NAME_BYTES_MAX: usize = 255;

fn name_problem(name: &str) -> Option<String> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return Some(format!("a stream name has 1 to {NAME_BYTES_MAX} bytes"));
    }
    let forbidden =
        |c: char| c.is_whitespace() || c.is_control() || matches!(c, '.' | '*' | '>' | '/' | '\\');
    name.chars()
        .find(|c| forbidden(*c))
        .map(|c| format!("stream name {name:?} contains {c:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(change: impl FnOnce(&mut StreamConfig), expected: &str) {
        let mut config = StreamConfig::with_name("CHAT");
        change(&mut config);
        let error = config.validate().map_err(|error| error.to_string());
        match expected {
            "" => assert_eq!(error, Ok(())),
            text => assert!(error.clone().is_err_and(|e| e.contains(text)), "{error:?}"),
        }
    }

    #[test]
    fn names_with_path_or_subject_characters_are_refused() {
        check(|_| {}, "");
        check(|c| c.name = "KV_my-bucket".into(), "");
        for bad in [
            "", "a.b", "a/b", "..", "a\\b", "a b", "a*", ">", "a\nb", "a\0b",
        ] {
            check(|c| c.name = bad.into(), "stream name");
        }
        check(|c| c.name = "x".repeat(256), "stream name");
    }

    #[test]
    fn contradicting_limits_are_refused() {
        check(|c| c.messages_max = Some(0), "messages_max");
        check(
            |c| c.discard_new_per_subject = true,
            "discard_new_per_subject",
        );
        check(
            |c| c.age_max = Some(Duration::from_secs(1)),
            "duplicate_window",
        );
        check(|c| c.age_max = Some(Duration::from_millis(1)), "age_max");
        check(
            |c| {
                c.allow_rollup = true;
                c.deny_purge = true;
            },
            "roll-ups",
        );
        check(|c| c.subjects = vec!["a..b".into()], "not a subject");
    }

    #[test]
    fn permissions_once_denied_stay_denied() {
        let mut old = StreamConfig::with_name("A");
        old.deny_delete = true;
        let new = StreamConfig::with_name("A");
        assert!(old.validate_update(&new).is_err());
        assert!(new.validate_update(&old).is_ok());
    }
}
