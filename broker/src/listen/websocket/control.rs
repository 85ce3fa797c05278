//! What the reading half of a WebSocket has the writing half do.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::limits::WEBSOCKET_PONG_BYTES_MAX;
use crate::proto::frame::{self, FrameError};

/// Control frames to send, shared by both halves.
#[derive(Debug, Default)]
pub(super) struct Control {
    /// Anything to send at all: looked at before the lock is taken.
    has_pongs: AtomicBool,
    is_trusted: AtomicBool,
    frames: Mutex<Frames>,
}

#[derive(Debug, Default)]
struct Frames {
    pongs: Vec<u8>,
    /// The whole close frame, where it does not follow from why the connection ends.
    close: Option<Vec<u8>>,
}

impl Control {
    /// Answers a ping. Pings that come quicker than answers can be written go unanswered, as RFC 6455 allows.
    pub(super) fn pong(&self, payload: &[u8]) {
        let mut frames = self.lock();
        if frames.pongs.len() < WEBSOCKET_PONG_BYTES_MAX {
            frame::write_header(frame::PONG, payload.len(), &mut frames.pongs);
            frames.pongs.extend_from_slice(payload);
            self.has_pongs.store(true, Ordering::Release);
        }
    }

    /// Moves pongs to `out`.
    pub(super) fn take_pongs(&self, out: &mut Vec<u8>) {
        if self.has_pongs.swap(false, Ordering::AcqRel) {
            out.append(&mut std::mem::take(&mut self.lock().pongs));
        }
    }

    pub(super) fn has_pongs(&self) -> bool {
        self.has_pongs.load(Ordering::Acquire)
    }

    /// The other end closes: its status and reason are echoed, and no status if it gave none.
    pub(super) fn echo_close(&self, body: &[u8]) {
        let mut echo = Vec::new();
        match frame::read_close(body) {
            Ok(Some((status, reason))) => frame::write_close(status, reason, &mut echo),
            Ok(None) => frame::write_header(frame::CLOSE, 0, &mut echo),
            Err(error) => frame::write_close(error.status, error.reason, &mut echo),
        }
        self.lock().close.get_or_insert(echo);
    }

    /// The frames are bad: that is said in the close frame.
    pub(super) fn refuse(&self, error: FrameError) {
        let mut close = Vec::new();
        frame::write_close(error.status, error.reason, &mut close);
        self.lock().close.get_or_insert(close);
    }

    pub(super) fn take_close(&self) -> Option<Vec<u8>> {
        self.lock().close.take()
    }

    pub(super) fn trust(&self) {
        self.is_trusted.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_trusted(&self) -> bool {
        self.is_trusted.load(Ordering::Relaxed)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Frames> {
        self.frames.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
