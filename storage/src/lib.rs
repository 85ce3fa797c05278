//! Bytes, sequences and rows: what natterjack keeps on disk.
//!
//! [`data_dir`] says what lies where, [`stream`] holds append-only streams with limits, in redb
//! files or in memory, and [`chat`] the chat database. Nothing in this crate knows sockets, the NATS
//! protocol or the rules of chat; `stream` and `chat` do not know each other.
//!
//! Invariants: an acknowledged write survives a power cut; a failed commit is final for the
//! handle that saw it; a damaged or newer file is reported and never deleted.

pub mod chat;
pub mod data_dir;
pub mod stream;

mod error;
#[cfg(test)]
mod fault;
mod key;

pub use data_dir::DataDir;
pub use error::Error;
pub use key::MasterKey;
