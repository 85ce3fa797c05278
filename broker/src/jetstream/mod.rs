//! JetStream: streams that capture subjects, consumers that deliver from them, and the API that manages both. The only part
//! of the broker that touches storage.

mod advisory;
pub(crate) mod api;
pub(crate) mod backup;
pub(crate) mod capture;
pub(crate) mod config;
pub(crate) mod consumer;
pub(crate) mod context;
mod error;
pub(crate) mod error_code;
pub(crate) mod kv;
pub(crate) mod limits;
pub(crate) mod outbox;
mod owner;
pub(crate) mod publish;
pub(crate) mod registry;
pub(crate) mod source;
mod stream;
mod streams;

pub use self::config::{
    AckPolicy, Compression, ConsumerConfig, ConsumerLimits, DeliverPolicy, External, Nanos,
    PersistMode, Placement, PriorityPolicy, ReplayPolicy, Republish, Retention, StreamConfig,
    StreamSource, SubjectTransform, Timestamp,
};

pub use self::consumer::{Batch, PullConsumer, StreamMessage};
pub use self::context::JetStreamConfig;
pub use self::error::StreamError;
pub use self::error_code::ApiError;
pub use self::kv::{Bucket, Entry, KeyValue, KvError, Operation, Watch};
pub use self::limits::JetStreamLimits;
pub use self::registry::StreamsRoot;
pub use self::stream::{PubAck, PublishOptions, StreamHandle};
pub use self::streams::Streams;
