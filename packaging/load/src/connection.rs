//! A NATS connection as thin as possible, so that the generator is never what is measured.

use std::io::{self, Read, Write};
use std::time::Duration;

use crate::Error;
use crate::stream::Stream;
use crate::target::{Credentials, Target};

/// Bytes per write of a publisher and per read of a subscriber.
pub(crate) const CHUNK_BYTES: usize = 256 << 10;
/// Nothing may take longer than this without a byte arriving.
pub(crate) const SILENCE_MAX: Duration = Duration::from_secs(30);
/// How long a publisher looks whether the server has something to say.
const GLANCE: Duration = Duration::from_millis(1);

/// A connection that has been let in.
#[derive(Debug)]
pub struct Connection {
    pub(crate) stream: Stream,
    /// What came behind the PONG of the greeting.
    pub(crate) rest: Vec<u8>,
}

impl Connection {
    /// Connects and waits until the server has answered everything in `setup`: protocol lines such as `SUB a 1\r\n`.
    ///
    /// # Errors
    /// Nobody is there, or the client is not let in.
    pub fn open(target: &Target, setup: &str) -> Result<Self, Error> {
        let mut stream = Stream::open(target)?;
        stream.carrier.socket.set_read_timeout(Some(SILENCE_MAX))?;
        stream.write_all(greeting(&target.credentials, setup).as_bytes())?;
        let mut seen = Vec::new();
        wait_for_pong(&mut stream, &mut seen)?;
        Ok(Self { stream, rest: seen })
    }

    /// Writes protocol lines and payloads as they are.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        Ok(self.stream.write_all(bytes)?)
    }

    /// Waits until the server has worked through everything sent before. Not for connections with subscriptions.
    pub(crate) fn flush(&mut self) -> Result<(), Error> {
        self.stream.write_all(b"PING\r\n")?;
        wait_for_pong(&mut self.stream, &mut self.rest)
    }

    /// Looks whether the server has something to say to a publisher that does not listen: it answers a PING, and an error
    /// is one. Costs a millisecond.
    pub(crate) fn glance(&mut self) -> Result<(), Error> {
        self.stream.carrier.socket.set_read_timeout(Some(GLANCE))?;
        let mut buffer = [0; 4096];
        let read = self.stream.read(&mut buffer);
        self.stream
            .carrier
            .socket
            .set_read_timeout(Some(SILENCE_MAX))?;
        match read {
            Ok(0) => return Err(Error::CutOff),
            Ok(len) => self.rest.extend_from_slice(&buffer[..len]),
            Err(error) if is_timeout(&error) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        while let Some(line) = take_line(&mut self.rest) {
            self.hear(&line)?;
        }
        Ok(())
    }

    fn hear(&mut self, line: &[u8]) -> Result<(), Error> {
        if line.starts_with(b"PING") {
            self.stream.write_all(b"PONG\r\n")?;
        }
        refusal(line).map_or(Ok(()), Err)
    }
}

/// What a client says first.
fn greeting(credentials: &Credentials, setup: &str) -> String {
    let mut connect = serde_json::json!({
        "verbose": false, "pedantic": false, "headers": true, "no_responders": true, "protocol": 1,
        "name": "natterjack bench", "lang": "rust", "version": env!("CARGO_PKG_VERSION"),
    });
    match credentials {
        Credentials::None => {}
        Credentials::Token(token) => connect["auth_token"] = token.as_str().into(),
        Credentials::User { name, password } => {
            connect["user"] = name.as_str().into();
            connect["pass"] = password.as_str().into();
        }
    }
    format!("CONNECT {connect}\r\n{setup}PING\r\n")
}

/// Reads up to PONG; what follows it stays in `seen`.
fn wait_for_pong(stream: &mut Stream, seen: &mut Vec<u8>) -> Result<(), Error> {
    let mut buffer = [0; 4096];
    loop {
        while let Some(line) = take_line(seen) {
            if line.starts_with(b"PONG") {
                return Ok(());
            }
            if line.starts_with(b"PING") {
                stream.write_all(b"PONG\r\n")?;
            }
            if let Some(error) = refusal(&line) {
                return Err(error);
            }
        }
        match stream.read(&mut buffer)? {
            0 => return Err(Error::CutOff),
            len => seen.extend_from_slice(&buffer[..len]),
        }
    }
}

fn take_line(seen: &mut Vec<u8>) -> Option<Vec<u8>> {
    let end = memchr::memchr(b'\n', seen)?;
    Some(seen.drain(..=end).collect())
}

/// The error in an `-ERR` line.
pub(crate) fn refusal(line: &[u8]) -> Option<Error> {
    let text = line.strip_prefix(b"-ERR")?;
    Some(Error::Refused(
        String::from_utf8_lossy(text.trim_ascii()).into_owned(),
    ))
}

pub(crate) fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}
