//! The client's side of TLS.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use crate::Error;

/// Plain text that is gathered into records before it is written, in bytes.
const WRITE_BYTES_MAX: usize = 256 << 10;

/// Whom to trust, and who to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// PEM file of the authorities that are trusted. `None`: those of the system.
    pub ca: Option<PathBuf>,
    /// PEM files of a certificate and its key, for servers that ask for one.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// How TLS is spoken with a server.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ClientConfig>,
    /// TLS comes before INFO.
    pub is_first: bool,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("is_first", &self.is_first)
            .finish_non_exhaustive()
    }
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// A file can not be read, or holds nothing of the kind.
    pub fn open(files: &TlsFiles, is_first: bool) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        match &files.ca {
            Some(path) => {
                for certificate in certificates(path)? {
                    roots.add(certificate).map_err(Error::Tls)?;
                }
            }
            None => {
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            }
        }
        let config = ClientConfig::builder().with_root_certificates(roots);
        let config = match &files.identity {
            None => config.with_no_client_auth(),
            Some((certificate, key)) => {
                let key = PrivateKeyDer::from_pem_file(key).map_err(|_| no_pem(key))?;
                config
                    .with_client_auth_cert(certificates(certificate)?, key)
                    .map_err(Error::Tls)?
            }
        };
        Ok(Self {
            config: Arc::new(config),
            is_first,
        })
    }

    /// Shakes hands over a socket.
    pub(crate) fn connect(&self, host: &str, socket: &mut TcpStream) -> Result<Session, Error> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| Error::Url {
            url: host.to_owned(),
            why: "it is no name that a certificate could have",
        })?;
        let mut session = ClientConnection::new(self.config.clone(), name).map_err(Error::Tls)?;
        session.set_buffer_limit(Some(WRITE_BYTES_MAX));
        while session.is_handshaking() {
            session
                .complete_io(socket)
                .map_err(|error| match error.get_ref() {
                    Some(inner) if inner.is::<rustls::Error>() => {
                        Error::Handshake(error.to_string())
                    }
                    _ => error.into(),
                })?;
        }
        Ok(Session(Box::new(session)))
    }
}

/// An encrypted stream over a socket that is given with every call.
#[derive(Debug)]
pub(crate) struct Session(Box<ClientConnection>);

impl Session {
    pub(crate) fn read(&mut self, socket: &mut TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
        rustls::Stream::new(&mut *self.0, socket).read(buffer)
    }

    pub(crate) fn write(&mut self, socket: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
        rustls::Stream::new(&mut *self.0, socket).write(bytes)
    }

    pub(crate) fn flush(&mut self, socket: &mut TcpStream) -> io::Result<()> {
        rustls::Stream::new(&mut *self.0, socket).flush()
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let found = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    match found {
        Ok(certificates) if Vec::is_empty(&certificates) => Err(no_pem(path)),
        Ok(certificates) => Ok(certificates),
        Err(_) => Err(no_pem(path)),
    }
}

fn no_pem(path: &Path) -> Error {
    Error::Pem(path.to_owned())
}
