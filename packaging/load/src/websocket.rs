//! The client's side of WebSocket framing, only as much as carries NATS.

use std::io::{self, Read, Write};

use crate::Error;

/// Largest header of a frame, in bytes.
const HEADER_BYTES_MAX: usize = 14;
/// Largest frame written, in bytes.
pub(crate) const FRAME_BYTES_MAX: usize = 64 << 10;

const FIN_BINARY: u8 = 0x82;
const CLOSE: u8 = 0x8;
/// The mask is all zeros, so that masking costs the generator nothing. A server cannot tell.
const MASKED: u8 = 0x80;
const MASK: [u8; 4] = [0; 4];

/// Asks for the upgrade; the answer is read byte by byte, so that nothing behind it is taken.
pub(crate) fn upgrade(io: &mut (impl Read + Write), host: &str, path: &str) -> Result<(), Error> {
    write!(
        io,
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )?;
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && head.len() < 4096 {
        io.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    if head.starts_with(b"HTTP/1.1 101") {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    Err(Error::Upgrade(text.lines().next().unwrap_or("").to_owned()))
}

/// The header of a masked binary frame and its length.
pub(crate) fn header(payload_len: usize) -> ([u8; HEADER_BYTES_MAX], usize) {
    let mut bytes = [0; HEADER_BYTES_MAX];
    bytes[0] = FIN_BINARY;
    let len = match payload_len {
        0..126 => {
            bytes[1] = MASKED | payload_len as u8;
            2
        }
        126..=0xffff => {
            bytes[1] = MASKED | 126;
            bytes[2..4].copy_from_slice(&(payload_len as u16).to_be_bytes());
            4
        }
        _ => {
            bytes[1] = MASKED | 127;
            bytes[2..10].copy_from_slice(&(payload_len as u64).to_be_bytes());
            10
        }
    };
    bytes[len..len + 4].copy_from_slice(&MASK);
    (bytes, len + 4)
}

/// Takes the headers out of what a server sends, wherever reads cut it.
#[derive(Debug, Default)]
pub(crate) struct Unframe {
    /// Payload bytes of the current frame that are still to come.
    left: u64,
    /// The beginning of a header.
    partial: [u8; HEADER_BYTES_MAX],
    partial_len: usize,
    is_control: bool,
}

impl Unframe {
    /// Moves what belongs to the byte stream to the front of `bytes` and says how much that is.
    ///
    /// # Errors
    /// The server closes the connection.
    pub(crate) fn compact(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let (mut from, mut to) = (0, 0);
        while from < bytes.len() {
            if self.left > 0 {
                let len =
                    (bytes.len() - from).min(usize::try_from(self.left).unwrap_or(usize::MAX));
                if !self.is_control {
                    if from != to {
                        bytes.copy_within(from..from + len, to);
                    }
                    to += len;
                }
                self.left -= len as u64;
                from += len;
                continue;
            }
            self.partial[self.partial_len] = bytes[from];
            self.partial_len += 1;
            from += 1;
            self.begin()?;
        }
        Ok(to)
    }

    /// Begins a frame if its header is whole.
    fn begin(&mut self) -> io::Result<()> {
        let header = &self.partial[..self.partial_len];
        let left = match header {
            [_, len, ..] if len & 0x7f < 126 => u64::from(len & 0x7f),
            [_, len, a, b] if len & 0x7f == 126 => u64::from(u16::from_be_bytes([*a, *b])),
            [_, _, rest @ ..] if rest.len() == 8 => {
                u64::from_be_bytes(rest.try_into().unwrap_or_default())
            }
            _ => return Ok(()),
        };
        let opcode = header[0] & 0x0f;
        if opcode == CLOSE {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.is_control = opcode & 0x8 != 0;
        self.left = left;
        self.partial_len = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_vanish_wherever_reads_cut() {
        let mut wire = Vec::new();
        let mut expected = Vec::new();
        for len in [0_usize, 1, 125, 126, 300, 70_000] {
            let body = vec![b'a' + (len % 20) as u8; len];
            let (header, header_len) = header(len);
            // A server's frames are not masked.
            let mut unmasked = header[..header_len - 4].to_vec();
            unmasked[1] &= 0x7f;
            wire.extend(unmasked);
            wire.extend(&body);
            // A ping between two frames.
            wire.extend([0x89, 2, b'h', b'i']);
            expected.extend(body);
        }
        for step in [1, 2, 3, 7, 1000, wire.len()] {
            let mut unframe = Unframe::default();
            let mut found: Vec<u8> = Vec::new();
            for piece in wire.chunks(step) {
                let mut piece = piece.to_vec();
                let len = unframe.compact(&mut piece).unwrap();
                found.extend(&piece[..len]);
            }
            assert!(found == expected, "step {step}");
        }
        assert!(Unframe::default().compact(&mut [0x88, 0]).is_err());
    }
}
