//! What the broker keeps in a stream's file beside what storage has to know: the configuration as clients see it.

use serde::{Deserialize, Serialize};

use super::config::{Nanos, StreamConfig, Timestamp};
use super::error::StreamError;
use super::stream::StreamHandle;

/// The broker's part of a stored stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Owner {
    #[serde(flatten)]
    pub(crate) config: StreamConfig,
    /// When the stream was made.
    #[serde(default)]
    pub(crate) created: Timestamp,
    /// It is being restored: what is there is not all yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) is_partial: bool,
}

impl Owner {
    /// A stream that is all there.
    pub(crate) fn new(config: StreamConfig, created: Timestamp) -> Self {
        Self {
            config,
            created,
            is_partial: false,
        }
    }

    /// What is stored with this stream.
    pub(crate) fn of(stream: &StreamHandle) -> Self {
        Self::new(StreamConfig::clone(&stream.config()), stream.created())
    }

    /// What storage is given.
    pub(crate) fn to_storage(&self) -> storage::stream::StreamConfig {
        let text = serde_json::to_string(self).expect("a configuration is plain data");
        self.config.to_storage(text)
    }

    /// Reads it back. Where storage has a figure of its own, that one counts: it is the one in force.
    ///
    /// # Errors
    /// The text is not what the broker writes.
    pub(crate) fn read(stored: &storage::stream::StreamConfig) -> Result<Self, StreamError> {
        let mut owner: Self =
            serde_json::from_str(&stored.owner).map_err(|source| StreamError::Owner {
                name: stored.name.clone(),
                source,
            })?;
        let limit =
            |value: Option<u64>| value.map_or(-1, |limit| i64::try_from(limit).unwrap_or(i64::MAX));
        let config = &mut owner.config;
        config.name.clone_from(&stored.name);
        config.storage = stored.storage;
        config.max_msgs = limit(stored.messages_max);
        config.max_bytes = limit(stored.bytes_max);
        config.max_age = stored.age_max.map(Nanos::from).unwrap_or_default();
        config.max_msg_size = stored
            .message_bytes_max
            .map_or(-1, |limit| i32::try_from(limit).unwrap_or(i32::MAX));
        config.max_msgs_per_subject = limit(stored.messages_per_subject_max);
        config.discard = stored.discard;
        config.discard_new_per_subject = stored.discard_new_per_subject;
        config.duplicate_window = stored.duplicate_window.into();
        config.allow_msg_ttl = stored.allow_message_ttl;
        config.allow_rollup_hdrs = stored.allow_rollup;
        config.deny_delete = stored.deny_delete;
        config.deny_purge = stored.deny_purge;
        if config.num_replicas == 0 {
            config.num_replicas = 1;
        }
        if config.max_consumers == 0 {
            config.max_consumers = -1;
        }
        owner.config = owner.config.stamped();
        Ok(owner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jetstream::config::Retention;

    #[test]
    fn a_configuration_comes_back_as_it_was_stored() {
        let mut config = StreamConfig {
            subjects: vec!["a.>".to_owned()],
            retention: Retention::WorkQueue,
            max_age: Nanos::from_secs(60),
            duplicate_window: Nanos::from_secs(30),
            max_msgs: 7,
            first_seq: 5,
            allow_direct: true,
            ..StreamConfig::with_name("S")
        };
        config.max_bytes = -1;
        config.max_msg_size = -1;
        config.max_msgs_per_subject = -1;
        config.max_consumers = -1;
        config.num_replicas = 1;
        let owner = Owner::new(config.stamped(), Timestamp(17));
        assert_eq!(Owner::read(&owner.to_storage()).expect("readable"), owner);
    }

    #[test]
    fn a_file_of_the_first_format_is_read() {
        let mut stored = storage::stream::StreamConfig::with_name("S");
        stored.owner = r#"{"subjects":["a"],"description":"d","metadata":{"k":"v"}}"#.into();
        stored.messages_max = Some(9);
        let owner = Owner::read(&stored).expect("readable");
        assert_eq!(owner.config.subjects, ["a"]);
        assert_eq!(owner.config.max_msgs, 9);
        assert_eq!(owner.config.max_bytes, -1);
        assert_eq!(owner.config.num_replicas, 1);
        assert_eq!(owner.created, Timestamp::NEVER);
    }
}
