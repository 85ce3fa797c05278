//! NATS over WebSocket: the same byte stream in binary messages. The HTTP upgrade has happened already.
//!
//! Text and binary messages are accepted, binary ones are sent. There is no compression. What a client may send before it
//! has authenticated is counted below the frames, so that not even frame headers are free.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, Stream, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, Frame};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::auth::ConnectionKind;
use crate::limits::{
    READ_BUFFER_BYTES_MIN, UNAUTHENTICATED_BYTES_MAX, WEBSOCKET_BROWSER_FRAME_BYTES_MAX,
    WEBSOCKET_MESSAGE_BYTES_MAX,
};
use crate::monitor::CloseReason;
use crate::proto::encode::{self, ProtocolError};
use crate::server::Shared;
use crate::session::connection::{Connection, Take};
use crate::session::outbound::OutQueue;
use crate::session::reader::{self, Input};
use crate::session::state::{Session, write_info};

/// What the HTTP side knows about a client that was upgraded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionInfo {
    peer: SocketAddr,
    is_browser: bool,
}

impl ConnectionInfo {
    /// A client at the other end of this address.
    #[must_use]
    pub fn new(peer: SocketAddr) -> Self {
        Self {
            peer,
            is_browser: false,
        }
    }

    /// Takes note of the `User-Agent`: browsers get small frames, as from nats-server.
    #[must_use]
    pub fn with_user_agent(mut self, user_agent: &str) -> Self {
        self.is_browser = user_agent.starts_with("Mozilla/");
        self
    }
}

/// Counts what a stranger sends and ends the stream at the limit. Being trusted lifts it.
struct Metered<S> {
    io: S,
    /// Bytes left; `usize::MAX` once trusted.
    left: Arc<AtomicUsize>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let left = self.left.load(Ordering::Relaxed);
        if left == 0 {
            return Poll::Ready(Err(io::ErrorKind::FileTooLarge.into()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(context, buffer))?;
        if left != usize::MAX {
            let read = buffer.filled().len() - before;
            self.left
                .store(left.saturating_sub(read), Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

type Socket<S> = WebSocketStream<Metered<S>>;

/// The reading half of a WebSocket.
struct WebSocketInput<S> {
    messages: SplitStream<Socket<S>>,
    connection: Arc<Connection>,
    left: Arc<AtomicUsize>,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Input for WebSocketInput<S> {
    fn poll_fill(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut BytesMut,
        capacity: usize,
    ) -> Poll<io::Result<usize>> {
        let before = buffer.len();
        let end = loop {
            match Pin::new(&mut self.messages).poll_next(context) {
                Poll::Ready(Some(Ok(Message::Binary(bytes)))) => buffer.extend_from_slice(&bytes),
                Poll::Ready(Some(Ok(Message::Text(text)))) => {
                    buffer.extend_from_slice(text.as_bytes())
                }
                Poll::Ready(Some(Ok(Message::Close(_))) | None) => break Some(Ok(0)),
                Poll::Ready(Some(Ok(_))) => {
                    // A pong was queued by the library; the writer sends it.
                    self.connection.writer_wake.notify_one();
                }
                Poll::Ready(Some(Err(Error::ConnectionClosed | Error::AlreadyClosed))) => {
                    break Some(Ok(0));
                }
                Poll::Ready(Some(Err(Error::Io(error)))) => break Some(Err(error)),
                Poll::Ready(Some(Err(Error::Capacity(_)))) => {
                    self.connection.close(CloseReason::MaximumPayloadExceeded);
                    break Some(Ok(0));
                }
                Poll::Ready(Some(Err(_))) => {
                    self.connection.close(CloseReason::ProtocolViolation);
                    break Some(Ok(0));
                }
                Poll::Pending => break None,
            }
            if buffer.len() - before >= capacity {
                break None;
            }
        };
        match (buffer.len() - before, end) {
            (0, Some(end)) => Poll::Ready(end),
            (0, None) => Poll::Pending,
            (len, _) => Poll::Ready(Ok(len)),
        }
    }

    fn trust(&mut self) {
        self.left.store(usize::MAX, Ordering::Relaxed);
    }
}

/// Serves an upgraded connection in tasks of the server's.
pub(crate) fn serve<S>(server: &Arc<Shared>, io: S, info: ConnectionInfo)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let admitted = server.connect(ConnectionKind::WebSocket, info.peer);
    let is_refused = admitted.is_none();
    let connection =
        admitted.unwrap_or_else(|| server.stranger(ConnectionKind::WebSocket, info.peer));
    let server = server.clone();
    let left = Arc::new(AtomicUsize::new(UNAUTHENTICATED_BYTES_MAX));
    let metered = Metered {
        io,
        left: left.clone(),
    };
    server.tasks.clone().spawn(async move {
        let payload_max = server.config.limits.payload_bytes_max;
        let message_max =
            payload_max + server.config.limits.control_line_bytes_max + READ_BUFFER_BYTES_MIN;
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES_MIN)
            .write_buffer_size(0)
            .max_message_size(Some(message_max.max(WEBSOCKET_MESSAGE_BYTES_MAX)))
            .max_frame_size(Some(message_max.max(WEBSOCKET_MESSAGE_BYTES_MAX)));
        let socket = WebSocketStream::from_raw_socket(metered, Role::Server, Some(config)).await;
        let (sink, messages) = socket.split();
        connection.push(|out| write_info(&server.info(&connection), out));
        let write_deadline = server.config.write_deadline;
        let frame_bytes = if info.is_browser {
            WEBSOCKET_BROWSER_FRAME_BYTES_MAX
        } else {
            WEBSOCKET_MESSAGE_BYTES_MAX
        };
        let writer = Writer {
            connection: connection.clone(),
            sink,
            write_deadline,
            frame_bytes,
        };
        server.tasks.spawn(writer.run());
        if is_refused {
            connection.push(|out| encode::error(&ProtocolError::ConnectionsExceeded, out));
            connection.close(CloseReason::MaximumConnectionsExceeded);
            return;
        }
        let input = WebSocketInput {
            messages,
            connection: connection.clone(),
            left,
        };
        reader::run(Session::new(server.clone(), connection), input).await;
    });
}

/// The writing half of a WebSocket.
struct Writer<S> {
    connection: Arc<Connection>,
    sink: SplitSink<Socket<S>, Message>,
    write_deadline: Duration,
    frame_bytes: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Writer<S> {
    async fn run(mut self) {
        let mut batch = OutQueue::default();
        loop {
            match self.connection.take(&mut batch) {
                Take::Done => break,
                Take::Nothing => {
                    batch.release();
                    self.connection.writer_wake.notified().await;
                    // Woken without output: a pong waits inside the library.
                    if self.in_time(Self::flush).await.is_err() {
                        break;
                    }
                }
                Take::Batch => {
                    while let Some(part) = batch.pop() {
                        if self.write(part).await.is_err() {
                            return;
                        }
                    }
                    batch.clear();
                    if self.in_time(Self::flush).await.is_err() {
                        return;
                    }
                    self.connection.touch(Instant::now());
                }
            }
        }
        let reason = self
            .connection
            .close_reason()
            .unwrap_or(CloseReason::ClientClosed);
        let frame = CloseFrame {
            code: reason.websocket_status().into(),
            reason: reason.as_str().into(),
        };
        let close = async {
            self.sink.send(Message::Close(Some(frame))).await?;
            self.sink.close().await
        };
        // The other end may be gone already.
        let _ = timeout(self.write_deadline, close).await;
    }

    /// Sends a piece of the byte stream as messages of bounded size, each as frames of bounded size.
    async fn write(&mut self, mut part: Bytes) -> Result<(), ()> {
        while !part.is_empty() {
            let mut message = part.split_to(part.len().min(WEBSOCKET_MESSAGE_BYTES_MAX));
            let message_len = message.len();
            let mut opcode = OpCode::Data(Data::Binary);
            while !message.is_empty() {
                let frame = message.split_to(message.len().min(self.frame_bytes));
                let is_last = message.is_empty();
                let frame = Message::Frame(Frame::message(frame, opcode, is_last));
                self.in_time(async |writer| writer.sink.feed(frame).await)
                    .await?;
                opcode = OpCode::Data(Data::Continue);
            }
            if !self.connection.wrote(message_len) {
                return Err(());
            }
        }
        Ok(())
    }

    async fn flush(writer: &mut Self) -> Result<(), Error> {
        writer.sink.flush().await
    }

    /// Runs one write under the deadline; a cut-off connection ends it at once.
    async fn in_time(
        &mut self,
        write: impl AsyncFnOnce(&mut Self) -> Result<(), Error>,
    ) -> Result<(), ()> {
        let connection = self.connection.clone();
        let deadline = self.write_deadline;
        let cut_off = async {
            while !connection.is_cut_off() {
                connection.writer_wake.notified().await;
            }
        };
        let written = tokio::select! {
            biased;
            written = timeout(deadline, write(self)) => written,
            // Wake-ups for more output are spent here; the writer looks for it after this write anyway.
            () = cut_off => return Err(()),
        };
        let reason = match written {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(_)) => CloseReason::WriteError,
            Err(_elapsed) => CloseReason::SlowConsumerWriteDeadline,
        };
        connection.cut_off(reason);
        Err(())
    }
}
