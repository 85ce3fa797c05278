//! The leaf node protocol without IO: bytes in, operations out. No tokio, no clock, no logging.

pub(crate) mod encode;
pub(crate) mod info;
pub(crate) mod op;
pub(crate) mod parse;
pub(crate) mod reply;
