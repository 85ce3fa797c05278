//! The data directory, the streams and the chat database.

pub mod chat;
