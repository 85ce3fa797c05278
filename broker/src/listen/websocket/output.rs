//! The writing half of a WebSocket, over whatever carries its bytes.
//!
//! What is ready goes out as one binary message. Small messages are copied behind their header; of large ones only the
//! header is ours, the rest is written from where it is. Browsers get small frames and perhaps compression.

use std::io::{self, IoSlice};
use std::sync::Arc;

use super::control::Control;
use super::deflate;
use crate::limits::{
    WEBSOCKET_BROWSER_FRAME_BYTES_MAX, WEBSOCKET_COMPRESS_ABOVE_BYTES, WEBSOCKET_MESSAGE_BYTES_MAX,
};
use crate::monitor::CloseReason;
use crate::proto::frame::{self, BINARY, COMPRESSED, CONTINUATION, FINAL};
use crate::session::writer::Output;

/// Messages up to this size are copied behind their header, in bytes.
const COPY_BYTES_MAX: usize = 4 << 10;
/// Slices handed on at once: what the session gives, and a header.
const SLICES_MAX: usize = 65;

/// How messages are cut and coded for one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Style {
    /// Largest frame.
    pub(super) frame_bytes_max: usize,
    /// permessage-deflate was agreed on.
    pub(super) compresses: bool,
    /// Compressed messages go in one frame, whatever the frame limit: Safari reads no others.
    pub(super) keeps_compressed_whole: bool,
}

impl Default for Style {
    fn default() -> Self {
        Self {
            frame_bytes_max: WEBSOCKET_MESSAGE_BYTES_MAX,
            compresses: false,
            keeps_compressed_whole: false,
        }
    }
}

impl Style {
    /// Small frames, as nats-server sends them to browsers.
    pub(super) fn of_browser() -> Self {
        Self {
            frame_bytes_max: WEBSOCKET_BROWSER_FRAME_BYTES_MAX,
            ..Self::default()
        }
    }
}

pub(super) struct WebSocketOutput<O> {
    output: O,
    control: Arc<Control>,
    style: Style,
    /// Whole frames, or the header of the one we are in.
    staged: Vec<u8>,
    /// Bytes of `staged` that are written.
    written: usize,
    /// Payload of the frame we are in that has yet to be given to us.
    frame_left: usize,
}

impl<O> WebSocketOutput<O> {
    pub(super) fn new(output: O, control: Arc<Control>, style: Style) -> Self {
        Self {
            output,
            control,
            style,
            staged: Vec::new(),
            written: 0,
            frame_left: 0,
        }
    }
}

/// The first `len` bytes of the slices, in one piece.
fn gather(slices: &[IoSlice<'_>], mut len: usize, out: &mut Vec<u8>) {
    out.reserve(len);
    for slice in slices {
        let part = &slice[..slice.len().min(len)];
        out.extend_from_slice(part);
        len -= part.len();
    }
}

impl<O: Output> WebSocketOutput<O> {
    /// Writes out what is staged.
    fn drain(&mut self) -> io::Result<()> {
        while self.written < self.staged.len() {
            let left = &self.staged[self.written..];
            match self.output.try_write(&[IoSlice::new(left)])? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                len => self.written += len,
            }
        }
        self.staged.clear();
        self.written = 0;
        Ok(())
    }

    /// Stages a whole message in frames; `false` when it is better written from where it is.
    fn stage(&mut self, slices: &[IoSlice<'_>], len: usize) -> bool {
        let may_compress = self.style.compresses
            && len > WEBSOCKET_COMPRESS_ABOVE_BYTES
            && self.control.is_trusted();
        if may_compress {
            let mut message = Vec::new();
            gather(slices, len, &mut message);
            let mut compressed = Vec::new();
            if deflate::compress(&message, &mut compressed) {
                let whole = self.style.keeps_compressed_whole;
                let frame_max = if whole {
                    usize::MAX
                } else {
                    self.style.frame_bytes_max
                };
                self.stage_frames(&compressed, BINARY | COMPRESSED, frame_max);
                return true;
            }
        }
        if len <= COPY_BYTES_MAX {
            frame::write_header(FINAL | BINARY, len, &mut self.staged);
            gather(slices, len, &mut self.staged);
            return true;
        }
        if len > self.style.frame_bytes_max {
            let mut message = Vec::new();
            gather(slices, len, &mut message);
            self.stage_frames(&message, BINARY, self.style.frame_bytes_max);
            return true;
        }
        false
    }

    fn stage_frames(&mut self, message: &[u8], first: u8, frame_max: usize) {
        let mut first = first;
        let mut frames = message.chunks(frame_max).peekable();
        while let Some(frame) = frames.next() {
            let end = if frames.peek().is_none() { FINAL } else { 0 };
            frame::write_header(first | end, frame.len(), &mut self.staged);
            self.staged.extend_from_slice(frame);
            first = CONTINUATION;
        }
    }
}

impl<O: Output> Output for WebSocketOutput<O> {
    fn try_write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.frame_left == 0 {
            self.drain()?;
            self.control.take_pongs(&mut self.staged);
            let available: usize = slices.iter().map(|slice| slice.len()).sum();
            let len = available.min(WEBSOCKET_MESSAGE_BYTES_MAX);
            if self.stage(slices, len) {
                return match self.drain() {
                    Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
                    _ => Ok(len),
                };
            }
            frame::write_header(FINAL | BINARY, len, &mut self.staged);
            self.frame_left = len;
        }
        loop {
            let mut all = [IoSlice::new(&[]); SLICES_MAX];
            let mut room = self.frame_left;
            all[0] = IoSlice::new(&self.staged[self.written..]);
            for (slot, slice) in all[1..].iter_mut().zip(slices) {
                *slot = IoSlice::new(&slice[..slice.len().min(room)]);
                room -= slot.len();
            }
            let count = 1 + slices.len().min(SLICES_MAX - 1);
            // Without a header the first slice is empty, and some writers look at no other.
            let skip = usize::from(all[0].is_empty());
            let written = self.output.try_write(&all[skip..count])?;
            if written == 0 {
                return Ok(0);
            }
            let of_header = written.min(self.staged.len() - self.written);
            self.written += of_header;
            if self.written == self.staged.len() {
                self.staged.clear();
                self.written = 0;
            }
            let of_payload = written - of_header;
            self.frame_left -= of_payload;
            if of_payload > 0 {
                return Ok(of_payload);
            }
        }
    }

    fn try_flush(&mut self) -> io::Result<()> {
        if self.frame_left == 0 {
            self.drain()?;
            if self.control.has_pongs() {
                self.control.take_pongs(&mut self.staged);
                self.drain()?;
            }
        }
        self.output.try_flush()
    }

    fn writable(&mut self) -> impl Future<Output = io::Result<()>> + Send {
        self.output.writable()
    }

    fn farewell(&mut self, reason: CloseReason) {
        // Within a frame a close frame would be taken for its payload.
        if self.frame_left == 0 {
            self.control.take_pongs(&mut self.staged);
            match self.control.take_close() {
                Some(close) => self.staged.extend_from_slice(&close),
                None => {
                    let status = reason.websocket_status();
                    frame::write_close(status, reason.as_str(), &mut self.staged);
                }
            }
        }
    }

    async fn shutdown(&mut self) {
        self.output.shutdown().await;
    }

    fn release(&mut self) {
        if self.staged.is_empty() {
            self.staged = Vec::new();
        }
        self.output.release();
    }
}
