//! Every chat service, and the accounts they authorise by.
//!
//! Each service is a few subjects, the rules behind them and tests, in a module of its own; [`start`] runs them all as
//! internal subscribers. They talk to the world through a [`Bus`] and to the disk through `storage::chat`, and to each
//! other by subject. What several of them have to know lies in two shared read models: [`directory`] (rooms and members)
//! and [`attendance`] (which connection is in which room).
//!
//! Invariants:
//!
//! * Who sent a message is the broker's stamp, never what a body says. A body that names somebody else is refused.
//! * A room that does not exist and a private room of others look exactly alike to an outsider.
//! * A message is acknowledged to its sender after it is durable in the stream; the database follows from the stream.

mod attendance;
mod bus;
mod caller;
mod clock;
mod config;
mod directory;
mod endpoint;
mod fanout;
mod history;
mod limits;
mod names;
mod persist;
mod presence;
mod read_receipts;
mod rooms;
mod running;
mod subjects;
mod users;

pub mod auth;
pub mod demo;
pub mod identity;
pub mod wire;

pub use bus::{
    Append, Appended, Bucket, BucketConfig, Bus, BusError, Follower, LocalBus, Record, StreamStart,
    Subscription,
};
pub use config::Config;
pub use names::{RoomName, RoomNameError};
pub use running::{Ended, Running, StartError, start};
