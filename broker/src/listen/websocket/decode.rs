//! Frames in, byte stream out. Nothing is kept of a message but where in it we are: payloads are unmasked, perhaps
//! inflated, and handed on as they come, so neither long messages nor many fragments take memory.

use bytes::{Buf, BytesMut};

use super::deflate::Inflate;
use crate::limits::{
    UNAUTHENTICATED_BYTES_MAX, WEBSOCKET_FRAGMENTS_MAX, WEBSOCKET_RECEIVED_FRAME_BYTES_MAX,
};
use crate::proto::frame::{FrameError, FrameHeader, Opcode, apply_mask, parse_header};

/// What the handshake settled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Agreed {
    /// permessage-deflate.
    pub(crate) compression: bool,
    /// `Nats-No-Masking`: the other end may leave masks off.
    pub(crate) no_masking: bool,
}

/// A control frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Control {
    Ping(BytesMut),
    Close(BytesMut),
}

/// Reads the frames of one connection.
pub(crate) struct Decoder {
    agreed: Agreed,
    /// Bytes that a stranger may still make us produce by inflating; `None` once it is known.
    stranger_bytes_left: Option<usize>,
    /// The data frame we are in.
    frame: Option<Payload>,
    /// A message has begun and its last frame has not.
    in_message: bool,
    fragments: u32,
    /// The message is compressed.
    inflate: Option<Inflate>,
}

/// The rest of a data frame.
struct Payload {
    header: FrameHeader,
    taken: u64,
}

impl Decoder {
    pub(crate) fn new(agreed: Agreed) -> Self {
        Self {
            agreed,
            stranger_bytes_left: Some(UNAUTHENTICATED_BYTES_MAX),
            frame: None,
            in_message: false,
            fragments: 0,
            inflate: None,
        }
    }

    /// The client is known now.
    pub(crate) fn trust(&mut self) {
        self.stranger_bytes_left = None;
    }

    /// Works through `received` until it is used up or too little, a control frame was found, or `out` has grown by about
    /// `capacity`.
    pub(crate) fn decode(
        &mut self,
        received: &mut BytesMut,
        out: &mut BytesMut,
        capacity: usize,
    ) -> Result<Option<Control>, FrameError> {
        let before = out.len();
        let full = before.saturating_add(capacity);
        while out.len() < full {
            if self.frame.is_some() {
                if !self.payload(received, out)? {
                    return Ok(None);
                }
                if self.stranger_bytes_left.is_some() && out.len() > before {
                    // Perhaps it is a CONNECT, and what follows comes from somebody known.
                    return Ok(None);
                }
                continue;
            }
            let Some((header, size)) = parse_header(received)? else {
                return Ok(None);
            };
            self.check(&header)?;
            if header.opcode.is_control() {
                let len = header.len as usize;
                if received.len() < size + len {
                    return Ok(None);
                }
                received.advance(size);
                let mut body = received.split_to(len);
                if let Some(mask) = header.mask {
                    apply_mask(&mut body, mask, 0);
                }
                match header.opcode {
                    Opcode::Ping => return Ok(Some(Control::Ping(body))),
                    Opcode::Close => return Ok(Some(Control::Close(body))),
                    _ => continue,
                }
            }
            received.advance(size);
            self.begin(header);
        }
        Ok(None)
    }

    fn check(&self, header: &FrameHeader) -> Result<(), FrameError> {
        let refused = |reason| Err(FrameError::protocol(reason));
        if header.mask.is_none() && !self.agreed.no_masking {
            return refused("mask bit missing");
        }
        let begins = header.opcode == Opcode::Data;
        if header.is_compressed && !(begins && self.agreed.compression) {
            return refused("RSV1 must be clear");
        }
        if header.opcode.is_control() {
            return Ok(());
        }
        if begins && self.in_message {
            return refused("new message begun within another one");
        }
        if !begins && !self.in_message {
            return refused("continuation of no message");
        }
        if header.len > WEBSOCKET_RECEIVED_FRAME_BYTES_MAX {
            return Err(FrameError::too_large("frame is too large"));
        }
        if !begins && self.fragments >= WEBSOCKET_FRAGMENTS_MAX {
            return Err(FrameError::too_large("message has too many fragments"));
        }
        if let (true, Some(left)) = (header.is_compressed, self.stranger_bytes_left)
            && (!header.is_final || header.len > left as u64)
        {
            // Nothing is held for strangers between two reads, not even a decompressor.
            return Err(FrameError::too_large("message is too large before CONNECT"));
        }
        Ok(())
    }

    fn begin(&mut self, header: FrameHeader) {
        self.fragments = match header.opcode {
            Opcode::Continuation => self.fragments + 1,
            _ => 1,
        };
        self.in_message = true;
        if header.is_compressed {
            let most = WEBSOCKET_RECEIVED_FRAME_BYTES_MAX as usize;
            self.inflate = Some(Inflate::new(self.stranger_bytes_left.unwrap_or(most)));
        }
        self.frame = Some(Payload { header, taken: 0 });
    }

    /// Moves what is there of the frame's payload. False when more has to come.
    fn payload(&mut self, received: &mut BytesMut, out: &mut BytesMut) -> Result<bool, FrameError> {
        let Some(Payload { header, taken }) = &mut self.frame else {
            return Ok(true);
        };
        let left = header.len - *taken;
        let available = received.len() as u64;
        let is_stranger = self.stranger_bytes_left.is_some();
        if available < left && (available == 0 || is_stranger && self.inflate.is_some()) {
            return Ok(false);
        }
        let mut piece = received.split_to(left.min(available) as usize);
        if let Some(mask) = header.mask {
            apply_mask(&mut piece, mask, *taken);
        }
        *taken += piece.len() as u64;
        let ends = *taken == header.len;
        let ends_message = ends && header.is_final;
        let before = out.len();
        match &mut self.inflate {
            Some(inflate) => inflate.feed(&piece, out)?,
            None => out.extend_from_slice(&piece),
        }
        if ends {
            self.frame = None;
        }
        if ends_message {
            self.in_message = false;
            if let Some(inflate) = self.inflate.take() {
                inflate.finish(out)?;
            }
        }
        if let Some(left) = &mut self.stranger_bytes_left {
            *left = left.saturating_sub(out.len() - before);
        }
        Ok(true)
    }
}
