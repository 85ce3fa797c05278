//! Streams as the rest of the broker sees them: capture by subject, acknowledgement, consumers with a durable cursor, and
//! key-value buckets. The only part that touches storage.

pub(crate) mod capture;
mod consumer;
mod error;
pub(crate) mod error_code;
pub(crate) mod kv;
pub(crate) mod publish;
pub(crate) mod registry;
mod stream;

pub use self::consumer::{Batch, PullConsumer, StreamMessage};
pub use self::error::StreamError;
pub use self::kv::{Bucket, Entry, KeyValue, KvError, Operation, Watch};
pub use self::registry::{Streams, StreamsRoot};
pub use self::stream::{PubAck, PublishOptions, StreamHandle};
