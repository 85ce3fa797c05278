//! A NATS server as a library: protocol, routing, permissions, streams, and the in-process client.
//!
//! [`Server`] owns listeners, sessions and streams; [`Client`] is the only door for code in the same process. An
//! [`Authenticator`] decides who a connection is and what it may do.
//!
//! From socket to socket: `listen` turns a socket into bytes, `session` reads them and lets `proto` take operations out of
//! them, `router` finds receivers through `interest` and collects their output, which each receiver's writer writes.
//!
//! Invariants:
//! - A message is parsed once; one more receiver costs a copy (small payloads) or a reference count, never an allocation.
//! - The parser allocates nothing and does not look at payloads; nothing from the network can panic.
//! - Who sent a message is stamped by the broker, and no client can write that stamp.
//! - A slow receiver is cut off at its own limit and slows nobody else for longer than a moment.
//! - Everything that a stranger can make grow has a limit in `limits.rs`.
//! - Whoever was acknowledged by a stream finds the message there after a power cut.

mod account;
pub mod accounts;
mod auth;
mod client;
mod clock;
pub mod config_file;
mod crossing;
mod delivery;
mod error;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod interest;
mod jetstream;
pub mod jwt;
mod leaf;
mod limits;
mod listen;
mod message;
mod monitor;
mod proto;
mod rate;
mod router;
mod server;
mod session;
pub mod subject;
mod system;
mod transform;
mod user_info;

pub use auth::{
    AllowAll, AuthError, Authenticator, ConnectRequest, ConnectionKind, ConnectionLimits, Identity,
    JwtOrigin, Permissions, ResponsePermission, Review, Sender, SubjectPermissions,
};
pub use client::{Client, Subscription};
pub use error::{Error, PublishError, RequestError};
pub use jetstream::{
    AckPolicy, ApiError, Batch, Bucket, Compression, ConsumerConfig, ConsumerLimits, DeliverPolicy,
    Entry, External, JetStreamConfig, JetStreamLimits, KeyValue, KvError, Nanos, Operation,
    PersistMode, Placement, PriorityPolicy, PubAck, PublishOptions, PullConsumer, ReplayPolicy,
    Republish, Retention, StreamConfig, StreamError, StreamHandle, StreamMessage, StreamSource,
    Streams, StreamsRoot, SubjectTransform, Timestamp, Watch,
};
pub use leaf::{
    LeafAuthorization, LeafConfig, LeafListen, LeafRemote, LeafScheme, LeafSnapshot, LeafUrl,
    LeafUrlError, LeafUser,
};
pub use limits::Limits;
pub use listen::config::{
    Advertise, CookieNames, ListenerAuthorization, TcpConfig, TrustedProxies, WebSocketConfig,
};
pub use listen::tls::config::{CertificateFiles, HandshakeFirst, TlsConfig, TlsVersion};
pub use listen::tls::peer::{PeerCertificate, TlsSession};
pub use listen::tls::{Tls, TlsError};
pub use listen::websocket::ConnectionInfo;
pub use message::{Message, Publish};
pub use monitor::{
    AccStatz, AccStatzOptions, AccountSnapshot, Accountz, CloseReason, ConnState,
    ConnectionSnapshot, Connz, ConnzOptions, ConnzSort, Facts, Gatewayz, Healthz, HealthzOptions,
    Jsz, JszOptions, Leafz, NotPossible, Routez, Snapshot, StreamSnapshot, Subscriptions, Subsz,
    SubszOptions, Varz,
};
pub use proto::headers::Headers;
pub use proto::info::COMPATIBLE_VERSION;
pub use rate::PublishBudget;
pub use server::{Config, GLOBAL_ACCOUNT, SYSTEM_ACCOUNT, Server, WeakServer};
pub use storage::stream::{Discard, Rollup, Sequence, StorageKind, StoredMessage, StreamState};
pub use subject::{Subject, SubjectError, SubjectFilter};
