//! Scheduled messages: a message that makes others, once or again and again (ADR-51).
//!
//! A message with `Nats-Schedule` is stored like any other and stays the newest of its subject; when it is due, a message
//! made from it is stored under its target. [`expression`] knows when, [`index`] which is next, [`request`] what a publisher
//! may ask for, and [`produce`] what is made.

pub(crate) mod expression;
pub(crate) mod index;
pub(crate) mod produce;
pub(crate) mod request;
