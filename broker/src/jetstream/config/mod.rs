//! JetStream configurations as they are on the wire, and the value types that their JSON is made of.

pub(crate) mod check;
pub(crate) mod consumer;
pub(crate) mod consumer_check;
pub(crate) mod metadata;
mod nanos;
mod origins;
pub(crate) mod source;
pub(crate) mod stream;
mod subjects;
mod timestamp;
mod update;

pub use self::consumer::{AckPolicy, ConsumerConfig, DeliverPolicy, PriorityPolicy, ReplayPolicy};
pub use self::nanos::Nanos;
pub use self::source::{External, StreamSource, SubjectTransform};
pub use self::stream::{
    Compression, ConsumerLimits, PersistMode, Placement, Republish, Retention, StreamConfig,
};
pub use self::timestamp::Timestamp;

/// Longest description of a stream or consumer, in bytes (nats-server's figure).
pub(crate) const DESCRIPTION_BYTES_MAX: usize = 4 << 10;
/// Names and values of all metadata of a stream or consumer together, in bytes (nats-server's figure).
pub(crate) const METADATA_BYTES_MAX: usize = 128 << 10;

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for a reference"
)]
pub(crate) fn is_false(value: &bool) -> bool {
    !*value
}

pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
