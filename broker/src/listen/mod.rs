//! Turns sockets into byte streams and gives them to sessions.

pub(crate) mod tcp;
pub(crate) mod websocket;
