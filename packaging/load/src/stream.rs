//! A blocking byte stream to a server, whatever carries it.

use std::io::{self, IoSlice, Read, Write};
use std::net::TcpStream;

use crate::Error;
use crate::target::{Target, Transport};
use crate::tls::Session;
use crate::websocket::{self, FRAME_BYTES_MAX, Unframe};

/// A socket, perhaps with TLS.
#[derive(Debug)]
pub(crate) struct Carrier {
    pub(crate) socket: TcpStream,
    tls: Option<Session>,
}

/// The stream of NATS bytes.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) carrier: Carrier,
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
        let tls = match &target.tls {
            None => None,
            Some(tls) => {
                if target.transport == Transport::Tcp && !tls.is_first {
                    skip_info(&mut socket)?;
                }
                Some(tls.connect(&target.host, &mut socket)?)
            }
        };
        let mut carrier = Carrier { socket, tls };
        let unframe = match target.transport {
            Transport::Tcp => None,
            Transport::WebSocket => {
                websocket::upgrade(&mut carrier, &address, &target.path)?;
                Some(Unframe::default())
            }
        };
        Ok(Self { carrier, unframe })
    }
}

/// INFO comes before the handshake; nothing in it is needed here. It is read byte by byte, so that nothing behind it is.
fn skip_info(socket: &mut TcpStream) -> io::Result<()> {
    let mut byte = [0];
    while byte != *b"\n" {
        socket.read_exact(&mut byte)?;
    }
    Ok(())
}

impl Read for Carrier {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.tls {
            None => self.socket.read(buffer),
            Some(tls) => tls.read(&mut self.socket, buffer),
        }
    }
}

impl Write for Carrier {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.tls {
            None => self.socket.write(bytes),
            Some(tls) => tls.write(&mut self.socket, bytes),
        }
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match &mut self.tls {
            None => self.socket.write_vectored(slices),
            Some(_) => {
                let first = slices.iter().find(|slice| !slice.is_empty());
                self.write(first.map_or(&[], |slice| slice))
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.tls {
            None => Ok(()),
            Some(tls) => tls.flush(&mut self.socket),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.carrier.read(buffer)?;
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
            return self.carrier.write(bytes);
        }
        let payload = &bytes[..bytes.len().min(FRAME_BYTES_MAX)];
        let (header, header_len) = websocket::header(payload.len());
        let header = &header[..header_len];
        let written = self
            .carrier
            .write_vectored(&[IoSlice::new(header), IoSlice::new(payload)])?;
        // A frame that was begun is finished: the caller knows nothing of headers.
        let rest = written.saturating_sub(header_len);
        self.carrier.write_all(&header[written.min(header_len)..])?;
        self.carrier.write_all(&payload[rest..])?;
        Ok(payload.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.carrier.flush()
    }
}
