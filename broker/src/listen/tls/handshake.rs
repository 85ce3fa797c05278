//! One handshake, bounded in time, and what it tells.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use rustls::{ProtocolVersion, ServerConnection};
use tokio::io::{self, AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::Loaded;
use super::certificate;
use super::peer::TlsSession;

/// A socket of which something has been read already.
pub(crate) struct Begun {
    pub(crate) socket: TcpStream,
    pub(crate) received: BytesMut,
}

impl AsyncRead for Begun {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.received.is_empty() {
            return Pin::new(&mut self.socket).poll_read(context, buffer);
        }
        let len = self.received.len().min(buffer.remaining());
        buffer.put_slice(&self.received[..len]);
        self.received.advance(len);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Begun {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

/// Shakes hands with a client. The caller bounds the time.
pub(crate) async fn accept(
    loaded: &Loaded,
    begun: Begun,
) -> io::Result<(Begun, ServerConnection, Arc<TlsSession>)> {
    let acceptor = TlsAcceptor::from(loaded.server.clone());
    let (begun, tls) = acceptor.accept(begun).await?.into_inner();
    let session = Arc::new(session(loaded, &tls));
    Ok((begun, tls, session))
}

/// What a finished handshake tells about the client.
pub(crate) fn session(loaded: &Loaded, tls: &ServerConnection) -> TlsSession {
    let certificates = tls.peer_certificates().unwrap_or_default();
    TlsSession {
        version: match tls.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => "1.3",
            _ => "1.2",
        },
        cipher: tls
            .negotiated_cipher_suite()
            .and_then(|suite| suite.suite().as_str())
            .map(|name| name.replace("TLS13_", "TLS_"))
            .unwrap_or_default(),
        server_name: tls.server_name().map(str::to_owned),
        certificates: certificates
            .iter()
            .filter_map(|der| certificate::read(der))
            .collect(),
        maps_user: loaded.config.verify_and_map,
    }
}
