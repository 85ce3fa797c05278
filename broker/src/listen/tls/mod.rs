//! TLS: what is configured, the handle that can be reloaded, and what a handshake tells about the other end.

mod certificate;
pub(crate) mod config;
pub(crate) mod handshake;
pub(crate) mod io;
mod load;
mod names;
pub(crate) mod peer;
mod rate;
mod verify;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use config::TlsConfig;
pub(crate) use load::{Loaded, open_remote};

/// TLS as configured, with its files read. Clones are handles on the same one, so that [`Tls::reload`] reaches every
/// listener; connections that are open keep what they have.
#[derive(Clone)]
pub struct Tls(Arc<Mutex<Arc<Loaded>>>);

/// Why a TLS configuration is not used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{} cannot be read", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What the system or the PEM reader said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A file has nothing of what it should have.
    #[error("{} has no {wanted} in it", file.display())]
    Empty {
        /// The file.
        file: PathBuf,
        /// What was looked for.
        wanted: &'static str,
    },
    /// Key and certificate do not belong together, or cannot be used.
    #[error("the certificate in {} cannot be used with the key in {}", cert_file.display(), key_file.display())]
    Pair {
        /// File of the certificate.
        cert_file: PathBuf,
        /// File of the key.
        key_file: PathBuf,
        /// Why not.
        source: rustls::Error,
    },
    /// A setting that does not exist here, or not together with another one.
    #[error("{0}")]
    Setting(String),
    /// The settings leave nothing that could be spoken.
    #[error("these TLS settings cannot be spoken together")]
    Protocol(#[from] rustls::Error),
}

impl Tls {
    /// Reads certificates, keys and authorities for a listener. Blocks on the files.
    ///
    /// # Errors
    /// [`TlsError`] names the file or the setting that is wrong.
    pub fn open(config: &TlsConfig) -> Result<Self, TlsError> {
        Ok(Self(Arc::new(Mutex::new(Arc::new(Loaded::open(config)?)))))
    }

    /// Reads everything again; handshakes from now on use it. Blocks on the files.
    ///
    /// # Errors
    /// As [`Tls::open`]; what was there before stays in use.
    pub fn reload(&self, config: &TlsConfig) -> Result<(), TlsError> {
        let loaded = Arc::new(Loaded::open(config)?);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = loaded;
        Ok(())
    }

    /// What holds for a connection that comes now.
    pub(crate) fn current(&self) -> Arc<Loaded> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Tls").field(&self.current().config).finish()
    }
}
