//! Turns sockets into byte streams and gives them to sessions.

pub(crate) mod config;
pub(crate) mod io;
pub(crate) mod listener;
mod opening;
pub(crate) mod places;
pub(crate) mod proxy;
pub(crate) mod tcp;
pub(crate) mod tls;
pub(crate) mod websocket;
