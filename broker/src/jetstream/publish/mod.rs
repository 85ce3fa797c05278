//! From a publisher into a stream: what headers ask for, what the configuration allows, and what is answered.
//!
//! [`headers`] reads a block once; [`admission`] turns a message into an append under the stream's [`rules`]; the store
//! decides about everything that depends on what it holds already, in the same order as nats-server; [`answer`] is the
//! PubAck. `Nats-Batch-*` messages wait in [`atomic`] until they are committed together, [`schedule`]s make messages by
//! themselves, and [`outlet`] is where copies and answers leave.

pub(crate) mod admission;
pub(crate) mod answer;
pub(crate) mod atomic;
pub(crate) mod counter;
pub(crate) mod headers;
pub(crate) mod life_time;
pub(crate) mod outlet;
pub(crate) mod republish;
pub(crate) mod rules;
pub(crate) mod schedule;
pub(crate) mod watch;
