//! The configuration of a stream as it is on the wire (`$JS.API.STREAM.CREATE`), names and order as in nats-server.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use storage::stream::{AgeMarker, Discard, StorageKind, SyncPolicy};

use super::{Nanos, StreamSource, SubjectTransform, is_default, is_false};

/// Longest duplicate window that a stream gets by itself.
pub(crate) const DUPLICATE_WINDOW: Nanos = Nanos::from_secs(120);
/// How often `persist_mode` async forces bytes to the disk (nats-server's `sync_interval`).
const ASYNC_SYNC_INTERVAL: Duration = Duration::from_secs(120);

/// Configuration of one stream. Limits of -1 or 0 mean unlimited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StreamConfig {
    /// Name; at most 255 bytes without blanks, dots, wildcards or slashes. Never changes.
    pub name: String,
    /// For people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// What it captures; none given: its own name, unless it has an origin.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subjects: Vec<String>,
    /// When messages may go.
    pub retention: Retention,
    /// Most consumers.
    pub max_consumers: i64,
    /// Most messages.
    pub max_msgs: i64,
    /// Most bytes, counted as in nats-server.
    pub max_bytes: i64,
    /// Messages older than this are removed; zero: never.
    pub max_age: Nanos,
    /// Most messages per subject; the oldest of the subject makes room, whatever `discard` says.
    pub max_msgs_per_subject: i64,
    /// Largest headers and payload of one message together.
    pub max_msg_size: i32,
    /// What happens when the stream is full.
    pub discard: Discard,
    /// On disk or in memory. Never changes.
    #[serde(with = "storage_kind")]
    pub storage: StorageKind,
    /// Copies in a cluster: 1 here.
    pub num_replicas: i64,
    /// Publishers get no acknowledgement.
    #[serde(skip_serializing_if = "is_false")]
    pub no_ack: bool,
    /// How long message ids are remembered; zero: the default.
    #[serde(skip_serializing_if = "Nanos::is_zero")]
    pub duplicate_window: Nanos,
    /// Kept for clients; there is one place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub placement: Option<Placement>,
    /// The stream is a copy of this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mirror: Option<StreamSource>,
    /// Streams whose messages are appended to this one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<StreamSource>,
    /// How blocks are stored.
    pub compression: Compression,
    /// Sequence of the first message; 0: 1.
    #[serde(skip_serializing_if = "is_default")]
    pub first_seq: u64,
    /// Applied to subjects before anything is stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject_transform: Option<SubjectTransform>,
    /// Stored messages are published again under another subject.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub republish: Option<Republish>,
    /// Messages may be read by direct get.
    pub allow_direct: bool,
    /// Messages of the origin may be read here by direct get.
    pub mirror_direct: bool,
    /// Refuse instead of replacing at `max_msgs_per_subject`.
    #[serde(skip_serializing_if = "is_false")]
    pub discard_new_per_subject: bool,
    /// Nothing goes in or out any more. Never undone.
    pub sealed: bool,
    /// Single messages cannot be deleted. Never undone.
    pub deny_delete: bool,
    /// The stream cannot be purged. Never undone.
    pub deny_purge: bool,
    /// Messages may replace older ones.
    pub allow_rollup_hdrs: bool,
    /// Caps for consumers of this stream.
    pub consumer_limits: ConsumerLimits,
    /// Messages may carry a life time of their own. Never undone.
    pub allow_msg_ttl: bool,
    /// Life time of the marker that is left when age removes the last message of a subject; zero: no marker.
    #[serde(skip_serializing_if = "Nanos::is_zero")]
    pub subject_delete_marker_ttl: Nanos,
    /// Messages are increments of a number per subject. Never changes.
    #[serde(skip_serializing_if = "is_false")]
    pub allow_msg_counter: bool,
    /// Batches that are stored whole or not at all.
    #[serde(skip_serializing_if = "is_false")]
    pub allow_atomic: bool,
    /// Messages may be schedules of other messages. Never undone.
    #[serde(skip_serializing_if = "is_false")]
    pub allow_msg_schedules: bool,
    /// Batches with flow control.
    #[serde(skip_serializing_if = "is_false")]
    pub allow_batched: bool,
    /// Whether acknowledgements wait for the disk. Never changes.
    #[serde(skip_serializing_if = "is_default")]
    pub persist_mode: PersistMode,
    /// For applications.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

/// When messages may go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Retention {
    /// When a limit is reached.
    #[default]
    Limits,
    /// Also when every consumer that wants them has acknowledged them.
    Interest,
    /// Also when the one consumer that gets them has acknowledged them.
    WorkQueue,
}

/// How blocks are stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// As they are.
    #[default]
    None,
    /// Compressed. The name is that of nats-server's algorithm; clients know no other.
    S2,
}

/// Whether acknowledgements wait for the disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PersistMode {
    /// They do.
    #[default]
    Default,
    /// They do not: a power cut may take what was acknowledged.
    Async,
}

/// Where in a cluster a stream is to live.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Placement {
    /// Name of a cluster.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cluster: String,
    /// Tags that its servers have.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Server that is to lead.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub preferred: String,
}

/// Under which subject stored messages are published again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Republish {
    /// Which subjects; empty: all.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub src: String,
    /// What the subject becomes.
    pub dest: String,
    /// Without the payload.
    #[serde(skip_serializing_if = "is_false")]
    pub headers_only: bool,
}

/// Caps for consumers of a stream; 0 is none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConsumerLimits {
    /// Longest `inactive_threshold`, and its default.
    #[serde(skip_serializing_if = "Nanos::is_zero")]
    pub inactive_threshold: Nanos,
    /// Largest `max_ack_pending`, and its default.
    #[serde(skip_serializing_if = "is_default")]
    pub max_ack_pending: i64,
}

impl Default for StreamConfig {
    /// What a client means that leaves everything out; [`StreamConfig::normalise`] fills it in.
    fn default() -> Self {
        Self {
            name: String::new(),
            description: String::new(),
            subjects: Vec::new(),
            retention: Retention::Limits,
            max_consumers: 0,
            max_msgs: 0,
            max_bytes: 0,
            max_age: Nanos::ZERO,
            max_msgs_per_subject: 0,
            max_msg_size: 0,
            discard: Discard::Old,
            storage: StorageKind::Disk,
            num_replicas: 0,
            no_ack: false,
            duplicate_window: Nanos::ZERO,
            placement: None,
            mirror: None,
            sources: Vec::new(),
            compression: Compression::None,
            first_seq: 0,
            subject_transform: None,
            republish: None,
            allow_direct: false,
            mirror_direct: false,
            discard_new_per_subject: false,
            sealed: false,
            deny_delete: false,
            deny_purge: false,
            allow_rollup_hdrs: false,
            consumer_limits: ConsumerLimits::default(),
            allow_msg_ttl: false,
            subject_delete_marker_ttl: Nanos::ZERO,
            allow_msg_counter: false,
            allow_atomic: false,
            allow_msg_schedules: false,
            allow_batched: false,
            persist_mode: PersistMode::Default,
            metadata: BTreeMap::new(),
        }
    }
}

impl StreamConfig {
    /// An unlimited disk stream with nats-server's defaults.
    pub fn with_name(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }

    /// What storage has to know of it. `owner` is the broker's own text beside it.
    pub(crate) fn to_storage(&self, owner: String) -> storage::stream::StreamConfig {
        let limit = |value: i64| u64::try_from(value).ok().filter(|limit| *limit > 0);
        let mut stored = storage::stream::StreamConfig::with_name(&self.name);
        stored.storage = self.storage;
        stored.messages_max = limit(self.max_msgs);
        stored.bytes_max = limit(self.max_bytes);
        stored.age_max = self.max_age.positive();
        stored.message_bytes_max = limit(self.max_msg_size.into());
        stored.messages_per_subject_max = limit(self.max_msgs_per_subject);
        stored.discard = self.discard;
        stored.discard_new_per_subject = self.discard_new_per_subject;
        stored.duplicate_window = self.duplicate_window.duration();
        stored.sync = match self.persist_mode {
            PersistMode::Default => SyncPolicy::Always,
            PersistMode::Async => SyncPolicy::Interval(ASYNC_SYNC_INTERVAL),
        };
        stored.allow_message_ttl = self.allow_msg_ttl;
        stored.allow_rollup = self.allow_rollup_hdrs;
        stored.deny_delete = self.deny_delete;
        stored.deny_purge = self.deny_purge;
        stored.first_sequence = Some(self.first_seq).filter(|first| *first > 0);
        stored.compression = self.compression == Compression::S2;
        stored.age_marker = self
            .subject_delete_marker_ttl
            .positive()
            .map(|ttl| AgeMarker {
                headers: format!(
                    "NATS/1.0\r\nNats-Marker-Reason: MaxAge\r\nNats-TTL: {}\r\nNats-Rollup: sub\r\n\r\n",
                    self.subject_delete_marker_ttl
                ),
                ttl,
            });
        stored.owner = owner;
        stored
    }
}

/// nats-server says `file` where storage says disk.
mod storage_kind {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use storage::stream::StorageKind;

    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Wire {
        File,
        Memory,
    }

    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde asks for a reference"
    )]
    pub(super) fn serialize<S: Serializer>(
        kind: &StorageKind,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let wire = match kind {
            StorageKind::Disk => Wire::File,
            StorageKind::Memory => Wire::Memory,
        };
        wire.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<StorageKind, D::Error> {
        Ok(match Wire::deserialize(deserializer)? {
            Wire::File => StorageKind::Disk,
            Wire::Memory => StorageKind::Memory,
        })
    }
}
