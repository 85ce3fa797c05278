//! Consumers of one stream: places in it, and what was delivered from there to whom.
//!
//! [`machine`] holds all rules and is pure; [`driver`] is the task that feeds it from the stream and sends what it says;
//! [`set`] is the list of all consumers of one stream.

pub(crate) mod ack;
mod acks;
mod advisory;
mod clock;
mod driver;
mod handle;
mod in_process;
mod info;
mod machine;
mod mail;
#[cfg(test)]
mod model;
mod outlet;
mod pending;
mod priority;
mod pull;
mod push;
pub(crate) mod request;
mod retention;
pub(crate) mod rules;
mod saver;
mod set;
mod status;
mod stored;
mod waiting;

pub(crate) use self::handle::{Consumer, End};
pub use self::in_process::{Batch, PullConsumer, StreamMessage};
pub(crate) use self::info::ConsumerInfo;
pub(crate) use self::mail::{Door, Mail};
pub(crate) use self::outlet::{Frame, Taken};
pub(crate) use self::set::{Action, Consumers};

/// Letters and digits at random: names of consumers, pins, ids of advisories.
pub(crate) fn token(len: usize) -> String {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let letters = (0..len).map(|_| char::from(ALPHABET[rand::random_range(0..ALPHABET.len())]));
    letters.collect()
}
