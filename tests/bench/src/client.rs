//! A NATS connection as thin as possible, so that the generator is never what is measured.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Bytes per write of a publisher and per read of a subscriber.
pub(crate) const CHUNK_BYTES: usize = 256 * 1024;

/// Nothing in a measurement may take longer than this without a byte arriving.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// A connection that has been let in.
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
}

impl Connection {
    /// Connects and waits until the server has answered everything in `setup`.
    pub(crate) fn open(address: SocketAddr, token: Option<&str>, setup: &str) -> io::Result<Self> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SILENCE_MAX))?;
        stream.write_all(hello(token, setup).as_bytes())?;
        wait_for_pong(&mut stream)?;
        Ok(Self { stream })
    }

    /// Reads until `bytes` have come. The frames have a fixed size, so they need no parsing.
    pub(crate) fn receive(&mut self, bytes: u64) -> io::Result<()> {
        let mut buffer = vec![0; CHUNK_BYTES];
        let mut left = bytes;
        while left > 0 {
            let read = self.stream.read(&mut buffer)?;
            if read == 0 {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    format!("cut off with {left} of {bytes} bytes missing"),
                ));
            }
            left = left.saturating_sub(read as u64);
        }
        Ok(())
    }

    /// Writes `frame` `count` times, in large pieces.
    pub(crate) fn send(&mut self, frame: &[u8], count: u64) -> io::Result<()> {
        let per_chunk = (CHUNK_BYTES / frame.len()).max(1) as u64;
        let chunk = frame.repeat(per_chunk.min(count) as usize);
        let mut left = count;
        while left > 0 {
            let now = left.min(per_chunk);
            self.stream
                .write_all(&chunk[..now as usize * frame.len()])?;
            left -= now;
        }
        Ok(())
    }
}

/// What a client says first. `protocol` 0 keeps the server from sending INFO later, between the counted bytes.
pub(crate) fn hello(token: Option<&str>, setup: &str) -> String {
    let token = token.map_or_else(String::new, |token| format!("\"auth_token\":\"{token}\","));
    format!(
        "CONNECT {{{token}\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true,\
         \"protocol\":0,\"lang\":\"bench\",\"version\":\"0\"}}\r\n{setup}PING\r\n"
    )
}

/// Reads up to PONG; an error of the server becomes an error here.
pub(crate) fn wait_for_pong(stream: &mut impl Read) -> io::Result<()> {
    let mut seen = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer)?;
        seen.extend_from_slice(&buffer[..read]);
        if find(&seen, b"PONG\r\n").is_some() {
            return Ok(());
        }
        if read == 0 || find(&seen, b"-ERR").is_some() {
            let text = String::from_utf8_lossy(&seen).into_owned();
            return Err(io::Error::other(format!("not let in: {text}")));
        }
    }
}

/// Where `needle` begins.
pub(crate) fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}
