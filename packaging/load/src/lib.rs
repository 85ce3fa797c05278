//! Load for a NATS server, and what it measures.
//!
//! `natterjack bench` and `tests/bench` are made of this: a NATS client as thin as possible, and the work it does
//! ([`PubSub`], [`Requests`], [`StreamPublish`], [`StreamConsume`], [`Gets`]). Any NATS server will do; a [`Target`] says where it is and who comes.
//!
//! *Invariants.* The client is not what is measured: what is published is rendered before the clock starts and written in
//! large pieces, what arrives is counted in the read buffer and never copied, and a control line that equals the last one is
//! not parsed again. Everything blocks: one thread per connection, or one thread per hundreds of receiving ones. Nothing here depends on another room
//! of the house, so a mistake of the server is not repeated by its judge. Nothing is printed here: work counts in a [`Meter`]
//! while it runs and returns an [`Outcome`].

mod connection;
mod crowd;
mod error;
mod frames;
mod histogram;
mod meter;
mod outcome;
mod pool;
mod skim;
mod stamp;
mod stream;
mod target;
mod tls;
mod websocket;
mod work;

pub use connection::Connection;
pub use error::Error;
pub use histogram::Histogram;
pub use meter::Meter;
pub use outcome::{ClientOutcome, Outcome, Role};
pub use target::{Credentials, Target, Transport};
pub use tls::{Tls, TlsFiles};
pub use work::api::{Api, StreamSettings};
pub use work::consume::{AckPolicy, StreamConsume};
pub use work::gets::Gets;
pub use work::pubsub::PubSub;
pub use work::request::Requests;
pub use work::stream_publish::StreamPublish;
