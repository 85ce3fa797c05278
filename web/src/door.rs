//! The way from an upgraded WebSocket to the broker.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};

/// A byte stream that speaks WebSocket frames from here on.
pub trait NatsIo: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> NatsIo for T {}

type Accept = dyn Fn(Box<dyn NatsIo>, SocketAddr) + Send + Sync;

/// Takes over what was upgraded at `/nats-ws`; it owns the connection from then on.
#[derive(Clone)]
pub struct NatsDoor(Arc<Accept>);

impl NatsDoor {
    /// Hands every upgraded connection, with its peer, to `accept`.
    #[must_use]
    pub fn new(accept: impl Fn(Box<dyn NatsIo>, SocketAddr) + Send + Sync + 'static) -> Self {
        Self(Arc::new(accept))
    }

    pub(crate) fn accept(&self, io: Box<dyn NatsIo>, peer: SocketAddr) {
        (self.0)(io, peer);
    }
}
