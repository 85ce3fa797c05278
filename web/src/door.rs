//! The way from an upgraded WebSocket to the broker.

use std::sync::Arc;

use broker::ConnectionInfo;
use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// A byte stream that speaks WebSocket frames from here on.
pub trait NatsIo: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> NatsIo for T {}

/// An upgraded connection.
pub enum NatsSocket {
    /// A bare socket: the broker reads and writes it without anything of HTTP in between.
    Tcp {
        /// The socket.
        socket: TcpStream,
        /// What was read of it behind the request.
        received: Bytes,
    },
    /// Anything else.
    Stream(Box<dyn NatsIo>),
}

type Accept = dyn Fn(NatsSocket, ConnectionInfo) + Send + Sync;

/// Takes over what was upgraded at `/nats-ws`; it owns the connection from then on.
#[derive(Clone)]
pub struct NatsDoor(Arc<Accept>);

impl NatsDoor {
    /// Hands every upgraded connection, with what is known about it, to `accept`.
    #[must_use]
    pub fn new(accept: impl Fn(NatsSocket, ConnectionInfo) + Send + Sync + 'static) -> Self {
        Self(Arc::new(accept))
    }

    pub(crate) fn accept(&self, io: NatsSocket, info: ConnectionInfo) {
        (self.0)(io, info);
    }
}
