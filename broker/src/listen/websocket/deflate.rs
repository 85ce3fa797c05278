//! permessage-deflate (RFC 7692) without context takeover: every message is compressed on its own.
//!
//! So no connection keeps a dictionary: compressors belong to threads, and a message that is being read has a
//! decompressor only until it ends. What a message grows to is limited while it grows.

use std::cell::RefCell;

use bytes::BytesMut;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use crate::proto::frame::FrameError;

/// What the sender left off the end of a compressed message.
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];
/// Bytes inflated at once.
const STEP_BYTES: usize = 8 << 10;

thread_local! {
    /// About 200 KiB each; one per thread however many connections there are.
    static COMPRESSOR: RefCell<Compress> = RefCell::new(Compress::new(Compression::fast(), false));
    /// The decompressor of the message that ended last.
    static SPARE: RefCell<Option<Decompress>> = const { RefCell::new(None) };
}

/// Appends the compressed form of a whole message. False when it could not be compressed; `out` is as it was then.
pub(super) fn compress(message: &[u8], out: &mut Vec<u8>) -> bool {
    let start = out.len();
    let is_done = COMPRESSOR.with_borrow_mut(|compressor| {
        compressor.reset();
        loop {
            let taken = compressor.total_in() as usize;
            out.reserve((message.len() - taken) / 2 + 64);
            let status = compressor.compress_vec(&message[taken..], out, FlushCompress::Sync);
            let is_whole = compressor.total_in() as usize == message.len();
            match status {
                // A flush is over when it leaves room.
                Ok(_) if is_whole && out.len() < out.capacity() => return true,
                Ok(Status::Ok | Status::BufError) => {}
                Ok(Status::StreamEnd) | Err(_) => return false,
            }
        }
    });
    if is_done && out.ends_with(&TAIL) {
        out.truncate(out.len() - TAIL.len());
        return true;
    }
    out.truncate(start);
    false
}

/// One compressed message that is being read.
pub(super) struct Inflate {
    inflater: Decompress,
    /// Bytes that it may still grow by.
    left: usize,
}

impl Inflate {
    /// A message that may grow to `bytes_max`.
    pub(super) fn new(bytes_max: usize) -> Self {
        let spare = SPARE.with_borrow_mut(Option::take);
        Self {
            inflater: spare.unwrap_or_else(|| Decompress::new(false)),
            left: bytes_max,
        }
    }

    /// Inflates a piece of the message; all of it is taken.
    pub(super) fn feed(&mut self, mut piece: &[u8], out: &mut BytesMut) -> Result<(), FrameError> {
        let mut step = [0; STEP_BYTES];
        loop {
            let (before_in, before_out) = (self.inflater.total_in(), self.inflater.total_out());
            let status = self
                .inflater
                .decompress(piece, &mut step, FlushDecompress::None)
                .map_err(|_| FrameError::protocol("compressed message is damaged"))?;
            let taken = (self.inflater.total_in() - before_in) as usize;
            let made = (self.inflater.total_out() - before_out) as usize;
            piece = &piece[taken..];
            self.left = self
                .left
                .checked_sub(made)
                .ok_or(FrameError::too_large("compressed message is too large"))?;
            out.extend_from_slice(&step[..made]);
            match status {
                // A sender may end the stream within a message and begin another one (RFC 7692 section 7.2.3.4).
                Status::StreamEnd => self.inflater.reset(false),
                // Nothing more comes out of what is there.
                Status::Ok | Status::BufError if made < STEP_BYTES => return Ok(()),
                Status::Ok | Status::BufError => {}
            }
            if piece.is_empty() && status == Status::StreamEnd {
                return Ok(());
            }
        }
    }

    /// The message ends here.
    pub(super) fn finish(mut self, out: &mut BytesMut) -> Result<(), FrameError> {
        self.feed(&TAIL, out)?;
        self.inflater.reset(false);
        SPARE.set(Some(self.inflater));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inflate(bytes: &[u8], piece: usize, max: usize) -> Result<BytesMut, FrameError> {
        let mut out = BytesMut::new();
        let mut inflate = Inflate::new(max);
        for piece in bytes.chunks(piece) {
            inflate.feed(piece, &mut out)?;
        }
        inflate.finish(&mut out)?;
        Ok(out)
    }

    #[test]
    fn messages_survive_compression_one_by_one() {
        for message in [
            b"PING\r\n".repeat(20),
            vec![7; 100_000],
            (0..70_000_u32)
                .flat_map(|n| (n.wrapping_mul(2_654_435_761)).to_le_bytes())
                .collect(),
        ] {
            let mut compressed = b"before".to_vec();
            assert!(compress(&message, &mut compressed));
            let compressed = &compressed[6..];
            for piece in [1, 100, 1 << 20] {
                let back = inflate(compressed, piece, message.len()).expect("valid");
                assert!(back == message, "pieces of {piece}");
            }
        }
    }

    /// GHSA-qrvq-68c2-7grw: a message of a few bytes that inflates without end.
    #[test]
    fn ghsa_qrvq_68c2_7grw_a_bomb_is_stopped_at_the_limit() {
        let mut bomb = Vec::new();
        assert!(compress(&vec![0; 8 << 20], &mut bomb));
        let refused = inflate(&bomb, 100, 64 << 10).expect_err("too large");
        assert_eq!(refused.status, 1009);
    }

    #[test]
    fn damage_is_an_error() {
        assert!(inflate(&[0xff; 64], 64, 1 << 20).is_err());
    }
}
