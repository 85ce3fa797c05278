//! What can go wrong with a load.

use std::io;
use std::path::PathBuf;

/// Why a load could not be brought, or not to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The URL is none of a NATS server.
    #[error("{url:?} is no address of a NATS server: {why}")]
    Url {
        /// As it was given.
        url: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Nobody answers there.
    #[error("could not connect to {address}")]
    Connect {
        /// Host and port.
        address: String,
        /// What the system says.
        source: io::Error,
    },
    /// The server does not let the client in.
    #[error("the server said {0}")]
    Refused(String),
    /// A file for TLS can not be used.
    #[error("{} holds no certificate or key in PEM form", .0.display())]
    Pem(PathBuf),
    /// Certificates or keys do not fit.
    #[error("TLS can not be used so")]
    Tls(#[source] rustls::Error),
    /// The other end's certificate is not trusted, or it speaks no TLS that we do.
    #[error("the TLS handshake failed: {0}")]
    Handshake(String),
    /// The WebSocket upgrade was answered with something else.
    #[error("no WebSocket: {0}")]
    Upgrade(String),
    /// A connection broke.
    #[error("connection lost")]
    Io(#[from] io::Error),
    /// The server hung up, for example on a slow consumer.
    #[error("the server closed the connection")]
    CutOff,
    /// Bytes that no NATS server sends.
    #[error("not understood: {0:?}")]
    Malformed(String),
    /// A request found nobody to answer it.
    #[error("nobody answers on {0}")]
    NoResponders(String),
    /// The JetStream API, or a stream instead of an acknowledgement, said no.
    #[error("{call}: {text}")]
    JetStream {
        /// What was asked.
        call: String,
        /// The description of the answer.
        text: String,
    },
    /// There is less in the stream than is to be read.
    #[error("{wanted} messages wanted, {found} there")]
    TooFew {
        /// Messages to read.
        wanted: u64,
        /// Messages in the stream.
        found: u64,
    },
}
