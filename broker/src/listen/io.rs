//! Bare byte streams as inputs and outputs of sessions: a TCP socket, or any stream that somebody else opened.

use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::limits::READ_BUFFER_BYTES_MAX;
use crate::session::reader::Input;
use crate::session::writer::Output;

/// Bytes that a stream without readiness takes at once.
const STAGED_BYTES_MAX: usize = 64 << 10;

/// Reads of this size come from publishers of large payloads too, whose buffers are worth keeping, in bytes.
const KEEP_FROM_BYTES: usize = 64 << 10;
/// Read buffers that are kept until receivers have written what is in them.
const SPARES_MAX: usize = 4;

/// The reading half of a socket.
pub(crate) struct TcpInput {
    io: OwnedReadHalf,
    /// Buffers with large payloads in them that are shared with receivers. They are read into again when nobody needs them
    /// any more: memory that is new for every read costs as much as copying what is in it.
    spares: Vec<BytesMut>,
}

impl TcpInput {
    pub(crate) fn new(io: OwnedReadHalf) -> Self {
        Self {
            io,
            spares: Vec::new(),
        }
    }

    fn make_room(&mut self, buffer: &mut BytesMut, capacity: usize) {
        if buffer.try_reclaim(capacity) {
            return;
        }
        if capacity < KEEP_FROM_BYTES {
            buffer.reserve(capacity);
            return;
        }
        let wanted = buffer.len() + capacity;
        let mut spares = self.spares.iter_mut();
        let free = spares.position(|spare| spare.try_reclaim(wanted));
        let mut next = match free {
            Some(index) => self.spares.swap_remove(index),
            None => BytesMut::with_capacity(wanted.next_multiple_of(READ_BUFFER_BYTES_MAX)),
        };
        next.extend_from_slice(buffer);
        let mut last = std::mem::replace(buffer, next);
        last.clear();
        if self.spares.len() < SPARES_MAX {
            self.spares.push(last);
        }
    }
}

impl Input for TcpInput {
    fn poll_fill(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut BytesMut,
        capacity: usize,
    ) -> Poll<io::Result<usize>> {
        ready!(self.io.as_ref().poll_read_ready(context))?;
        self.make_room(buffer, capacity);
        let read = pin!(self.io.read_buf(buffer));
        Future::poll(read, context)
    }

    fn release(&mut self) {
        self.spares = Vec::new();
    }
}

/// The writing half of a socket.
pub(crate) struct TcpOutput(pub(crate) OwnedWriteHalf);

impl Output for TcpOutput {
    fn try_write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(slices)
    }

    fn writable(&mut self) -> impl Future<Output = io::Result<()>> + Send {
        self.0.writable()
    }

    async fn shutdown(&mut self) {
        // The other end may be gone already.
        let _ = AsyncWriteExt::shutdown(&mut self.0).await;
    }
}

/// The reading half of a stream that somebody else opened.
pub(crate) struct StreamInput<S>(pub(crate) ReadHalf<S>);

impl<S: AsyncRead + Send> Input for StreamInput<S> {
    fn poll_fill(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut BytesMut,
        capacity: usize,
    ) -> Poll<io::Result<usize>> {
        // A stream does not say whether there is something to read: the buffer has to be there before.
        buffer.reserve(capacity);
        let read = pin!(self.0.read_buf(buffer));
        Future::poll(read, context)
    }
}

/// The writing half of a stream that somebody else opened. Such a stream cannot be tried, only polled, so what is to be
/// written is copied first.
pub(crate) struct StreamOutput<S> {
    io: WriteHalf<S>,
    staged: Vec<u8>,
    written: usize,
    is_flushed: bool,
}

impl<S> StreamOutput<S> {
    pub(crate) fn new(io: WriteHalf<S>) -> Self {
        Self {
            io,
            staged: Vec::new(),
            written: 0,
            is_flushed: true,
        }
    }
}

impl<S: AsyncWrite + Send + 'static> StreamOutput<S> {
    fn poll_drain(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.staged.len() {
            let left = &self.staged[self.written..];
            match ready!(Pin::new(&mut self.io).poll_write(context, left))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                len => self.written += len,
            }
        }
        self.staged.clear();
        self.written = 0;
        if !self.is_flushed {
            ready!(Pin::new(&mut self.io).poll_flush(context))?;
            self.is_flushed = true;
        }
        Poll::Ready(Ok(()))
    }

    fn try_drain(&mut self) -> io::Result<()> {
        match self.poll_drain(&mut Context::from_waker(std::task::Waker::noop())) {
            Poll::Ready(drained) => drained,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl<S: AsyncWrite + Send + 'static> Output for StreamOutput<S> {
    fn try_write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        if !self.staged.is_empty() {
            self.try_drain()?;
        }
        for slice in slices {
            let room = STAGED_BYTES_MAX - self.staged.len();
            self.staged
                .extend_from_slice(&slice[..slice.len().min(room)]);
        }
        self.is_flushed = false;
        Ok(self.staged.len())
    }

    fn try_flush(&mut self) -> io::Result<()> {
        match self.is_flushed {
            true => Ok(()),
            false => self.try_drain(),
        }
    }

    fn writable(&mut self) -> impl Future<Output = io::Result<()>> + Send {
        std::future::poll_fn(|context| self.poll_drain(context))
    }

    async fn shutdown(&mut self) {
        let _ = AsyncWriteExt::shutdown(&mut self.io).await;
    }

    fn release(&mut self) {
        if self.staged.is_empty() {
            self.staged = Vec::new();
        }
    }
}
