//! WebSocket frames (RFC 6455 section 5): headers in and out, masks, close bodies. No messages, no IO.

/// What a frame is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opcode {
    Continuation,
    /// Text or binary: both carry the byte stream of NATS.
    Data,
    Close,
    Ping,
    Pong,
}

impl Opcode {
    pub(crate) fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// The head of a received frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub(crate) is_final: bool,
    /// RSV1: the message is compressed.
    pub(crate) is_compressed: bool,
    pub(crate) opcode: Opcode,
    pub(crate) mask: Option<[u8; 4]>,
    pub(crate) len: u64,
}

/// Why frames are not read on: the status and reason of the close frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameError {
    pub(crate) status: u16,
    pub(crate) reason: &'static str,
}

impl FrameError {
    pub(crate) const fn protocol(reason: &'static str) -> Self {
        Self {
            status: 1002,
            reason,
        }
    }

    pub(crate) const fn too_large(reason: &'static str) -> Self {
        Self {
            status: 1009,
            reason,
        }
    }
}

/// Longest payload of a control frame, in bytes.
pub(crate) const CONTROL_BYTES_MAX: usize = 125;

/// Takes a header apart; `None` when it is not there in full. Returns its size too.
pub(crate) fn parse_header(bytes: &[u8]) -> Result<Option<(FrameHeader, usize)>, FrameError> {
    let [first, second, rest @ ..] = bytes else {
        return Ok(None);
    };
    if first & 0x30 != 0 {
        return Err(FrameError::protocol("RSV2 and RSV3 must be clear"));
    }
    let is_final = first & 0x80 != 0;
    let opcode = match first & 0x0f {
        0 => Opcode::Continuation,
        1 | 2 => Opcode::Data,
        8 => Opcode::Close,
        9 => Opcode::Ping,
        10 => Opcode::Pong,
        _ => return Err(FrameError::protocol("unknown opcode")),
    };
    let short_len = second & 0x7f;
    if opcode.is_control() {
        if usize::from(short_len) > CONTROL_BYTES_MAX {
            return Err(FrameError::protocol("control frame is too long"));
        }
        if !is_final {
            return Err(FrameError::protocol("control frame is in fragments"));
        }
    }
    let (len, len_size) = match short_len {
        126 => match rest.first_chunk() {
            Some(len) => (u64::from(u16::from_be_bytes(*len)), 2),
            None => return Ok(None),
        },
        127 => match rest.first_chunk() {
            Some(len) => (u64::from_be_bytes(*len), 8),
            None => return Ok(None),
        },
        len => (u64::from(len), 0),
    };
    if len > i64::MAX.unsigned_abs() {
        return Err(FrameError::protocol("frame length has its highest bit set"));
    }
    let is_masked = second & 0x80 != 0;
    let mask = match (is_masked, rest[len_size..].first_chunk()) {
        (true, Some(mask)) => Some(*mask),
        (true, None) => return Ok(None),
        (false, _) => None,
    };
    let header = FrameHeader {
        is_final,
        is_compressed: first & 0x40 != 0,
        opcode,
        mask,
        len,
    };
    Ok(Some((header, 2 + len_size + if is_masked { 4 } else { 0 })))
}

/// Takes the mask off, or puts it on, from the `offset`th byte of the payload on.
pub(crate) fn apply_mask(bytes: &mut [u8], mask: [u8; 4], offset: u64) {
    let mut mask = mask;
    mask.rotate_left((offset % 4) as usize);
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (chunks, rest) = bytes.as_chunks_mut::<8>();
    for chunk in chunks {
        *chunk = (u64::from_ne_bytes(*chunk) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask.into_iter().cycle()) {
        *byte ^= mask;
    }
}

/// Appends the header of an unmasked frame: a server's.
pub(crate) fn write_header(first: u8, len: usize, out: &mut Vec<u8>) {
    out.push(first);
    match len {
        0..126 => out.push(len as u8),
        126..=0xffff => {
            out.push(126);
            out.extend_from_slice(&(len as u16).to_be_bytes());
        }
        _ => {
            out.push(127);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
}

/// First byte of a frame: end of its message.
pub(crate) const FINAL: u8 = 0x80;
/// First byte of a frame: its message is compressed.
pub(crate) const COMPRESSED: u8 = 0x40;
/// First byte of a frame: binary message.
pub(crate) const BINARY: u8 = 2;
/// First byte of a frame: goes on with a message.
pub(crate) const CONTINUATION: u8 = 0;
/// First byte of a whole close frame.
pub(crate) const CLOSE: u8 = FINAL | 8;
/// First byte of a whole pong frame.
pub(crate) const PONG: u8 = FINAL | 10;

/// Appends a close frame; the reason is cut to what fits.
pub(crate) fn write_close(status: u16, reason: &str, out: &mut Vec<u8>) {
    let len = reason.floor_char_boundary(CONTROL_BYTES_MAX - 2);
    write_header(CLOSE, 2 + len, out);
    out.extend_from_slice(&status.to_be_bytes());
    out.extend_from_slice(&reason.as_bytes()[..len]);
}

/// Status and reason of a received close frame; `None` when it gives none, an error when it gives none that is valid.
pub(crate) fn read_close(body: &[u8]) -> Result<Option<(u16, &str)>, FrameError> {
    let Some((status, reason)) = body.split_first_chunk() else {
        return match body {
            [] => Ok(None),
            _ => Err(FrameError::protocol("close frame has half a status")),
        };
    };
    let status = u16::from_be_bytes(*status);
    let is_valid = matches!(status, 1000..=1003 | 1007..=1014 | 3000..=4999);
    match std::str::from_utf8(reason) {
        Ok(reason) if is_valid => Ok(Some((status, reason))),
        _ => Err(FrameError::protocol(
            "close frame has no valid status or reason",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_the_same_at_every_offset() {
        let mask = [1, 2, 3, 4];
        let plain: Vec<u8> = (0..40).collect();
        for split in 0..plain.len() {
            let mut bytes = plain.clone();
            let (head, tail) = bytes.split_at_mut(split);
            apply_mask(head, mask, 0);
            apply_mask(tail, mask, split as u64);
            let naive: Vec<u8> = plain
                .iter()
                .enumerate()
                .map(|(at, byte)| byte ^ mask[at % 4])
                .collect();
            assert_eq!(bytes, naive, "split at {split}");
        }
    }

    #[test]
    fn headers_read_back() {
        for len in [0, 1, 125, 126, 127, 0xffff, 0x10000, usize::MAX >> 1] {
            let mut bytes = Vec::new();
            write_header(FINAL | BINARY, len, &mut bytes);
            for cut in 0..bytes.len() {
                assert_eq!(parse_header(&bytes[..cut]), Ok(None), "{len} cut at {cut}");
            }
            let (header, size) = parse_header(&bytes).expect("valid").expect("whole");
            assert_eq!((header.len, size), (len as u64, bytes.len()));
        }
    }

    /// CVE-2026-27889: lengths near the ends of 64 bits crashed nats-server before anybody had authenticated.
    #[test]
    fn cve_2026_27889_lengths_at_every_boundary_are_read_or_refused() {
        for (len, is_read) in [
            (0, true),
            (u64::from(u16::MAX), true),
            (u64::from(u32::MAX), true),
            (u64::from(u32::MAX) + 1, true),
            (i64::MAX as u64, true),
            (i64::MAX as u64 + 1, false),
            (u64::MAX - 13, false),
            (u64::MAX, false),
        ] {
            let mut bytes = vec![0x82, 0xff];
            bytes.extend_from_slice(&len.to_be_bytes());
            bytes.extend_from_slice(b"mask");
            assert_eq!(parse_header(&bytes).is_ok(), is_read, "{len:#x}");
        }
    }

    #[test]
    fn close_frames_need_a_valid_status() {
        assert_eq!(read_close(b""), Ok(None));
        assert_eq!(read_close(b"\x03\xe8bye"), Ok(Some((1000, "bye"))));
        for bad in [
            &b"\x03"[..],
            b"\x03\xed",
            b"\x00\x00",
            b"\xff\xff",
            b"\x03\xe8\xff",
        ] {
            assert!(read_close(bad).is_err(), "{bad:?}");
        }
        let mut out = Vec::new();
        write_close(1008, &"ä".repeat(100), &mut out);
        assert_eq!(out.len(), 2 + 124);
        assert!(read_close(&out[2..]).is_ok());
    }
}
