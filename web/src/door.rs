//! The way from an upgraded WebSocket to the broker.

use std::sync::Arc;

use broker::ConnectionInfo;
use tokio::io::{AsyncRead, AsyncWrite};

/// A byte stream that speaks WebSocket frames from here on.
pub trait NatsIo: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> NatsIo for T {}

type Accept = dyn Fn(Box<dyn NatsIo>, ConnectionInfo) + Send + Sync;

/// Takes over what was upgraded at `/nats-ws`; it owns the connection from then on.
#[derive(Clone)]
pub struct NatsDoor(Arc<Accept>);

impl NatsDoor {
    /// Hands every upgraded connection, with what is known about it, to `accept`.
    #[must_use]
    pub fn new(accept: impl Fn(Box<dyn NatsIo>, ConnectionInfo) + Send + Sync + 'static) -> Self {
        Self(Arc::new(accept))
    }

    pub(crate) fn accept(&self, io: Box<dyn NatsIo>, info: ConnectionInfo) {
        (self.0)(io, info);
    }
}
