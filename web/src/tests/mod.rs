//! The HTTP surface over a real listener, as a browser meets it.

mod doors;
mod harness;
mod setup;
mod sign_in;
