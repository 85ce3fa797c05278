//! A TLS connection as input and output of a session. Both halves share the cipher state under a short lock; each keeps its
//! own half of the socket, so that reading and writing do not wait for each other's system calls.

use std::io::{self, IoSlice, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, BytesMut};
use rustls::ServerConnection;

use crate::limits::READ_BUFFER_BYTES_MIN;
use crate::monitor::CloseReason;
use crate::session::connection::Connection;
use crate::session::reader::Input;
use crate::session::writer::Output;

/// Cipher state of one connection.
type State = Arc<Mutex<ServerConnection>>;

fn lock(state: &State) -> MutexGuard<'_, ServerConnection> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Puts TLS around both halves of a socket. `received` is what came behind the handshake already.
pub(crate) fn wrap<I, O>(
    tls: ServerConnection,
    received: BytesMut,
    input: I,
    output: O,
) -> (TlsInput<I>, TlsOutput<O>) {
    let state = Arc::new(Mutex::new(tls));
    let input = TlsInput {
        state: state.clone(),
        received,
        is_ended: false,
        writer: None,
        input,
    };
    (input, TlsOutput { state, output })
}

/// The reading half.
pub(crate) struct TlsInput<I> {
    state: State,
    /// Records as they came.
    received: BytesMut,
    is_ended: bool,
    /// Whose writer sends what TLS itself has to say.
    writer: Option<Arc<Connection>>,
    input: I,
}

impl<I> TlsInput<I> {
    /// Decrypts what has come. Appends plain bytes, at most about `capacity`, and returns how many.
    fn decrypt(&mut self, buffer: &mut BytesMut, capacity: usize) -> io::Result<usize> {
        let before = buffer.len();
        let mut tls = lock(&self.state);
        loop {
            let waiting = take_plain(&mut tls, buffer)?;
            self.is_ended |= waiting.is_none();
            if self.received.is_empty() || self.is_ended || buffer.len() - before >= capacity {
                break;
            }
            let mut records = &self.received[..];
            let taken = tls.read_tls(&mut records)?;
            self.received.advance(taken);
            let processed = tls.process_new_packets();
            if tls.wants_write()
                && let Some(connection) = &self.writer
            {
                connection.writer_wake.notify_one();
            }
            processed.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        }
        Ok(buffer.len() - before)
    }
}

/// Moves decrypted bytes over. `None`: there will be no more.
fn take_plain(tls: &mut ServerConnection, buffer: &mut BytesMut) -> io::Result<Option<()>> {
    use std::io::BufRead;
    let mut reader = tls.reader();
    loop {
        let len = match reader.fill_buf() {
            Ok([]) => return Ok(None),
            Ok(plain) => {
                buffer.put_slice(plain);
                plain.len()
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Some(())),
            Err(error) => return Err(error),
        };
        reader.consume(len);
    }
}

impl<I: Input> Input for TlsInput<I> {
    fn poll_fill(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut BytesMut,
        capacity: usize,
    ) -> Poll<io::Result<usize>> {
        loop {
            let len = self.decrypt(buffer, capacity)?;
            if len > 0 || self.is_ended {
                return Poll::Ready(Ok(len));
            }
            if self.received.is_empty() && self.received.capacity() <= 2 * READ_BUFFER_BYTES_MIN {
                self.received = BytesMut::new();
            }
            // Records are larger than what is in them; a full read has to look like one to the session.
            let wanted = capacity + capacity / 4;
            let input = &mut self.input;
            if ready!(input.poll_fill(context, &mut self.received, wanted))? == 0 {
                return Poll::Ready(Ok(0));
            }
        }
    }

    fn attach(&mut self, connection: &Arc<Connection>) {
        self.writer = Some(connection.clone());
    }

    fn trust(&mut self) {
        self.input.trust();
    }

    fn release(&mut self) {
        if self.received.is_empty() {
            self.received = BytesMut::new();
        }
        self.input.release();
    }
}

/// The writing half.
pub(crate) struct TlsOutput<O> {
    state: State,
    output: O,
}

/// Lets rustls write records to an output.
struct Records<'a, O>(&'a mut O);

impl<O: Output> Write for Records<'_, O> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes out every finished record.
fn drain<O: Output>(tls: &mut ServerConnection, output: &mut O) -> io::Result<()> {
    while tls.wants_write() {
        if tls.write_tls(&mut Records(output))? == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
    }
    Ok(())
}

impl<O: Output> Output for TlsOutput<O> {
    fn try_write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut tls = lock(&self.state);
        drain(&mut tls, &mut self.output)?;
        // As many whole records as rustls holds back at most, 64 KiB; the slices are encrypted where they are.
        let len = tls.writer().write_vectored(slices)?;
        match drain(&mut tls, &mut self.output) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(len),
        }
    }

    fn try_flush(&mut self) -> io::Result<()> {
        drain(&mut lock(&self.state), &mut self.output)?;
        self.output.try_flush()
    }

    fn writable(&mut self) -> impl Future<Output = io::Result<()>> + Send {
        self.output.writable()
    }

    fn farewell(&mut self, reason: CloseReason) {
        self.output.farewell(reason);
    }

    async fn shutdown(&mut self) {
        lock(&self.state).send_close_notify();
        while let Err(error) = self.try_flush() {
            if error.kind() != io::ErrorKind::WouldBlock || self.writable().await.is_err() {
                return;
            }
        }
        self.output.shutdown().await;
    }

    fn release(&mut self) {
        self.output.release();
    }
}
