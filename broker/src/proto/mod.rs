//! The wire protocol without IO: bytes in, operations out. No tokio, no clock, no logging.

pub(crate) mod encode;
pub(crate) mod frame;
pub(crate) mod headers;
pub(crate) mod info;
pub(crate) mod op;
pub(crate) mod parse;
mod plain;
