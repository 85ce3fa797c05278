//! Reaching another server: TCP, TLS and WebSocket, up to its first INFO.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::config::LeafRemote;
use super::drive::Stream;
use super::proto::info::LeafInfo;
use super::proto::op::LeafOp;
use super::proto::parse::{LeafProgress, parse};
use super::tls::Connector;
use super::url::LeafUrl;
use super::websocket;
use crate::jwt::KeyError;
use crate::limits::{LEAF_CONTROL_LINE_FACTOR, READ_BUFFER_BYTES_MIN};
use crate::listen::tls::TlsError;
use crate::proto::parse::ParseLimits;
use crate::server::Shared;

/// Time for the name to be found and the socket to be there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// A server that has said what it is.
pub(crate) struct Dialled {
    pub(crate) stream: Box<dyn Stream>,
    pub(crate) peer: SocketAddr,
    pub(crate) info: LeafInfo,
    /// What came behind INFO.
    pub(crate) read: BytesMut,
}

/// Why a remote gave no link.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    #[error("no connection")]
    Connect(#[source] io::Error),
    #[error("no connection within {CONNECT_TIMEOUT:?}")]
    ConnectTimedOut,
    #[error("no INFO within {0:?}")]
    InfoTimedOut(Duration),
    #[error("the connection ended before INFO")]
    Ended,
    #[error("what it says first is no INFO of a server")]
    NoInfo,
    #[error("attempted to connect to wrong port: it is not one of leaf nodes")]
    WrongPort,
    #[error("TLS")]
    Tls(#[from] TlsError),
    #[error("the TLS handshake failed")]
    TlsHandshake(#[source] io::Error),
    #[error("no TLS handshake within {0:?}")]
    TlsTimedOut(Duration),
    #[error("the WebSocket handshake failed")]
    WebSocket(#[source] Box<tokio_tungstenite::tungstenite::Error>),
    #[error("the credentials file cannot be read")]
    CredentialsFile(#[source] io::Error),
    #[error("the credentials file holds no user JWT and seed")]
    NoCredentials,
    #[error("the key cannot be used")]
    Key(#[from] KeyError),
}

/// Connects and waits for INFO. Cancel-safe: nothing is left behind.
pub(crate) async fn dial(
    server: &Shared,
    remote: &LeafRemote,
    url: &LeafUrl,
) -> Result<Dialled, DialError> {
    let connecting = TcpStream::connect((url.host.as_str(), url.port));
    let connected = timeout(CONNECT_TIMEOUT, connecting).await;
    let socket = connected
        .map_err(|_| DialError::ConnectTimedOut)?
        .map_err(DialError::Connect)?;
    // Without it small messages wait for the acknowledgement of earlier ones; a socket that refuses is gone already.
    let _ = socket.set_nodelay(true);
    let peer = socket.peer_addr().map_err(DialError::Connect)?;
    let mut stream: Box<dyn Stream> = Box::new(socket);
    let tls = Connector::new(remote, url);
    let mut is_secure = false;
    if url.scheme.is_websocket() {
        if url.scheme.is_secure() {
            stream = tls.secure(stream).await?;
        }
        stream = Box::new(websocket::connect(url, stream, websocket_bytes_max(server)).await?);
        is_secure = true;
    } else if tls.handshake_first {
        stream = tls.secure(stream).await?;
        is_secure = true;
    }
    let limits = ParseLimits {
        control_line_bytes_max: server.config.limits.control_line_bytes_max
            * LEAF_CONTROL_LINE_FACTOR,
        payload_bytes_max: 0,
    };
    let within = remote.first_info_timeout;
    let (info, read) = timeout(within, read_info(&mut stream, &limits))
        .await
        .map_err(|_| DialError::InfoTimedOut(within))??;
    if info.client_id == 0 || info.leafnode_urls.is_none() {
        return Err(DialError::WrongPort);
    }
    if !is_secure && (info.tls_required || tls.is_wanted) {
        if !read.is_empty() {
            // What comes before the handshake could be anybody's.
            return Err(DialError::NoInfo);
        }
        stream = tls.secure(stream).await?;
    }
    Ok(Dialled {
        stream,
        peer,
        info,
        read,
    })
}

/// Largest WebSocket message that is taken: a whole operation.
fn websocket_bytes_max(server: &Shared) -> usize {
    let limits = &server.config.limits;
    let line = limits.control_line_bytes_max * LEAF_CONTROL_LINE_FACTOR;
    limits.payload_bytes_max + line + READ_BUFFER_BYTES_MIN
}

/// Reads up to the first INFO.
async fn read_info(
    stream: &mut (impl AsyncRead + Unpin),
    limits: &ParseLimits,
) -> Result<(LeafInfo, BytesMut), DialError> {
    let mut buffer = BytesMut::with_capacity(READ_BUFFER_BYTES_MIN);
    loop {
        match parse(&buffer, limits) {
            Ok(LeafProgress::Op(LeafOp::Info(json), len)) => {
                let info = serde_json::from_slice(json).map_err(|_| DialError::NoInfo)?;
                let rest = buffer.split_off(len);
                return Ok((info, rest));
            }
            Ok(LeafProgress::More(_)) => {}
            Ok(LeafProgress::Op(..)) | Err(_) => return Err(DialError::NoInfo),
        }
        buffer.reserve(READ_BUFFER_BYTES_MIN);
        match stream.read_buf(&mut buffer).await {
            Ok(0) => return Err(DialError::Ended),
            Ok(_) => {}
            Err(error) => return Err(DialError::Connect(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: ParseLimits = ParseLimits {
        control_line_bytes_max: 1000,
        payload_bytes_max: 0,
    };

    #[tokio::test]
    async fn what_follows_info_is_kept() {
        let mut bytes = &b"INFO {\"client_id\":3,\"leafnode_urls\":[]}\r\nPING\r\n"[..];
        let (info, rest) = read_info(&mut bytes, &LIMITS).await.expect("INFO");
        assert_eq!(info.client_id, 3);
        assert_eq!(&rest[..], b"PING\r\n");
    }

    #[tokio::test]
    async fn what_is_no_info_ends_the_attempt() {
        for text in ["HTTP/1.1 400 Bad Request\r\n", "-ERR 'x'\r\n", "INFO x\r\n"] {
            let read = read_info(&mut text.as_bytes(), &LIMITS).await;
            assert!(matches!(read, Err(DialError::NoInfo)), "{text:?}");
        }
        let read = read_info(&mut &b"INF"[..], &LIMITS).await;
        assert!(matches!(read, Err(DialError::Ended)));
    }
}
