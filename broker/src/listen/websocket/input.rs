//! The reading half of a WebSocket, over whatever carries its bytes.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;

use super::control::Control;
use super::decode::{self, Decoder};
use crate::limits::{READ_BUFFER_BYTES_MIN, UNAUTHENTICATED_BYTES_MAX};
use crate::monitor::CloseReason;
use crate::proto::frame::FrameError;
use crate::session::connection::Connection;
use crate::session::reader::Input;

pub(super) struct WebSocketInput<I> {
    input: I,
    received: BytesMut,
    decoder: Decoder,
    control: Arc<Control>,
    connection: Arc<Connection>,
    /// Bytes that a stranger may still send, frame headers included; `None` once it is known.
    stranger_bytes_left: Option<usize>,
}

impl<I> WebSocketInput<I> {
    pub(super) fn new(
        input: I,
        received: BytesMut,
        decoder: Decoder,
        control: Arc<Control>,
        connection: Arc<Connection>,
    ) -> Self {
        Self {
            input,
            stranger_bytes_left: Some(UNAUTHENTICATED_BYTES_MAX.saturating_sub(received.len())),
            received,
            decoder,
            control,
            connection,
        }
    }

    /// Decodes what is there. `Break`: no more will come.
    fn decode(&mut self, buffer: &mut BytesMut, capacity: usize) -> Result<bool, FrameError> {
        loop {
            match self.decoder.decode(&mut self.received, buffer, capacity)? {
                None => return Ok(false),
                Some(decode::Control::Ping(payload)) => {
                    self.control.pong(&payload);
                    self.connection.writer_wake.notify_one();
                }
                Some(decode::Control::Close(body)) => {
                    self.control.echo_close(&body);
                    return Ok(true);
                }
            }
        }
    }

    fn refuse(&self, error: FrameError) {
        self.control.refuse(error);
        self.connection.close(match error.status {
            1009 => CloseReason::MaximumPayloadExceeded,
            _ => CloseReason::ProtocolViolation,
        });
    }
}

impl<I: Input> Input for WebSocketInput<I> {
    fn poll_fill(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut BytesMut,
        capacity: usize,
    ) -> Poll<io::Result<usize>> {
        let before = buffer.len();
        loop {
            let is_over = match self.decode(buffer, capacity) {
                Ok(is_over) => is_over,
                Err(error) => {
                    self.refuse(error);
                    true
                }
            };
            if is_over || buffer.len() > before {
                return Poll::Ready(Ok(buffer.len() - before));
            }
            if self.received.is_empty() && self.received.capacity() <= 2 * READ_BUFFER_BYTES_MIN {
                self.received = BytesMut::new();
            }
            // Frames are larger than what is in them; a full read has to look like one to the session.
            let mut wanted = capacity + capacity / 4;
            if let Some(left) = self.stranger_bytes_left {
                if left == 0 {
                    self.refuse(FrameError {
                        status: 1008,
                        reason: "too much before CONNECT",
                    });
                    return Poll::Ready(Ok(0));
                }
                wanted = wanted.min(left);
            }
            let input = &mut self.input;
            let len = ready!(input.poll_fill(context, &mut self.received, wanted))?;
            if len == 0 {
                return Poll::Ready(Ok(0));
            }
            if let Some(left) = &mut self.stranger_bytes_left {
                *left = left.saturating_sub(len);
            }
        }
    }

    fn trust(&mut self) {
        self.stranger_bytes_left = None;
        self.decoder.trust();
        self.control.trust();
        self.input.trust();
    }

    fn release(&mut self) {
        if self.received.is_empty() {
            self.received = BytesMut::new();
        }
        self.input.release();
    }
}
