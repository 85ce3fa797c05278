//! A link inside WebSocket messages, as a plain byte stream.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures_util::{Sink, Stream as _};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::dial::DialError;
use super::drive::Stream;
use super::url::LeafUrl;
use crate::limits::{READ_BUFFER_BYTES_MIN, WEBSOCKET_MESSAGE_BYTES_MAX};

/// Where leaves come in on a WebSocket server.
const PATH: &str = "/leafnode";

/// The byte stream inside of a WebSocket.
pub(crate) struct WebSocketIo<S> {
    socket: WebSocketStream<S>,
    read: Bytes,
}

/// Asks for a WebSocket on a stream. Frames are masked, whatever the other side would allow.
pub(crate) async fn connect(
    url: &LeafUrl,
    stream: Box<dyn Stream>,
    message_bytes_max: usize,
) -> Result<WebSocketIo<Box<dyn Stream>>, DialError> {
    let scheme = if url.scheme.is_secure() { "wss" } else { "ws" };
    let address = format!("{scheme}://{}{PATH}", url.authority());
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES_MIN)
        .write_buffer_size(0)
        .max_message_size(Some(message_bytes_max.max(WEBSOCKET_MESSAGE_BYTES_MAX)))
        .max_frame_size(Some(message_bytes_max.max(WEBSOCKET_MESSAGE_BYTES_MAX)));
    let shaken = tokio_tungstenite::client_async_with_config(address, stream, Some(config)).await;
    let (socket, _response) = shaken.map_err(|error| DialError::WebSocket(Box::new(error)))?;
    Ok(WebSocketIo::new(socket))
}

impl<S> WebSocketIo<S> {
    /// The bytes inside of a socket whose handshake is done.
    pub(crate) fn new(socket: WebSocketStream<S>) -> Self {
        Self {
            socket,
            read: Bytes::new(),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for WebSocketIo<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.read.is_empty() {
            match ready!(Pin::new(&mut self.socket).poll_next(context)) {
                Some(Ok(Message::Binary(bytes))) => self.read = bytes,
                Some(Ok(Message::Text(text))) => self.read = text.into(),
                Some(Ok(Message::Close(_))) | None => return Poll::Ready(Ok(())),
                Some(Ok(_)) => {}
                Some(Err(Error::ConnectionClosed | Error::AlreadyClosed)) => {
                    return Poll::Ready(Ok(()));
                }
                Some(Err(error)) => return Poll::Ready(Err(into_io(error))),
            }
        }
        let len = self.read.len().min(buffer.remaining());
        buffer.put_slice(&self.read[..len]);
        self.read.advance(len);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WebSocketIo<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(Pin::new(&mut self.socket).poll_ready(context)).map_err(into_io)?;
        let len = bytes.len().min(WEBSOCKET_MESSAGE_BYTES_MAX);
        let message = Message::Binary(Bytes::copy_from_slice(&bytes[..len]));
        Pin::new(&mut self.socket)
            .start_send(message)
            .map_err(into_io)?;
        Poll::Ready(Ok(len))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket)
            .poll_flush(context)
            .map_err(into_io)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match ready!(Pin::new(&mut self.socket).poll_close(context)) {
            Ok(()) | Err(Error::ConnectionClosed | Error::AlreadyClosed) => Poll::Ready(Ok(())),
            Err(error) => Poll::Ready(Err(into_io(error))),
        }
    }
}

fn into_io(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        other => io::Error::other(other),
    }
}
