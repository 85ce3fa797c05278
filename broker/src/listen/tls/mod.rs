//! TLS: what is configured, the handle that can be reloaded, and what a handshake tells about the other end.

pub(crate) mod config;
pub(crate) mod peer;

use std::sync::{Arc, Mutex, PoisonError};

use config::TlsConfig;

/// TLS as configured, with its files read. Clones are handles on the same one, so that [`Tls::reload`] reaches every
/// listener; connections that are open keep what they have.
#[derive(Clone)]
pub struct Tls(Arc<Mutex<Arc<Loaded>>>);

/// One configuration and what was made of it.
pub(crate) struct Loaded {
    pub(crate) config: TlsConfig,
}

/// Why a TLS configuration is not used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// What is asked for does not exist here.
    #[error("{0}")]
    Unsupported(String),
}

impl Tls {
    /// Reads certificates, keys and authorities. Blocks on the files.
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

impl Loaded {
    fn open(config: &TlsConfig) -> Result<Self, TlsError> {
        let _ = config;
        Err(TlsError::Unsupported("TLS is not spoken yet".to_owned()))
    }
}
