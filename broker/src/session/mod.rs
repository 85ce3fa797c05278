//! One connected client: what it may do, what it reads and what is written to it.

pub(crate) mod connection;
pub(crate) mod grants;
pub(crate) mod outbound;
pub(crate) mod permissions;
pub(crate) mod profile;
pub(crate) mod reader;
pub(crate) mod state;
pub(crate) mod writer;
