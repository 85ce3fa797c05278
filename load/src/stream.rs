//! A blocking byte stream to a server, whatever carries it.

use std::io::{self, IoSlice, Read, Write};
use std::net::TcpStream;

use crate::Error;
use crate::target::{Target, Transport};
use crate::websocket::{self, FRAME_BYTES_MAX, Unframe};

/// The stream of NATS bytes.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) socket: TcpStream,
    /// Present where frames are to be taken off.
    pub(crate) unframe: Option<Unframe>,
}

impl Stream {
    pub(crate) fn open(target: &Target) -> Result<Self, Error> {
        let address = target.address();
        let socket = TcpStream::connect((target.host.as_str(), target.port));
        let mut socket = socket.map_err(|source| Error::Connect {
            address: address.clone(),
            source,
        })?;
        socket.set_nodelay(true)?;
        let unframe = match target.transport {
            Transport::Tcp => None,
            Transport::WebSocket => {
                websocket::upgrade(&mut socket, &address, &target.path)?;
                Some(Unframe::default())
            }
        };
        Ok(Self { socket, unframe })
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.socket.read(buffer)?;
            let Some(unframe) = &mut self.unframe else {
                return Ok(read);
            };
            let len = unframe.compact(&mut buffer[..read])?;
            if len > 0 || read == 0 {
                return Ok(len);
            }
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.unframe.is_none() {
            return self.socket.write(bytes);
        }
        let payload = &bytes[..bytes.len().min(FRAME_BYTES_MAX)];
        let (header, header_len) = websocket::header(payload.len());
        let header = &header[..header_len];
        let written = self
            .socket
            .write_vectored(&[IoSlice::new(header), IoSlice::new(payload)])?;
        // A frame that was begun is finished: the caller knows nothing of headers.
        let rest = written.saturating_sub(header_len);
        self.socket.write_all(&header[written.min(header_len)..])?;
        self.socket.write_all(&payload[rest..])?;
        Ok(payload.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
