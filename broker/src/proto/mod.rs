//! The wire protocol without IO: bytes in, operations out. No tokio, no clock, no logging.

pub mod headers;
