//! TLS towards a server that is dialled.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::config::LeafRemote;
use super::dial::DialError;
use super::drive::Stream;
use super::url::LeafUrl;
use crate::listen::tls::config::{HandshakeFirst, TlsConfig};
use crate::listen::tls::open_remote;

/// What it takes to secure one connection.
pub(crate) struct Connector {
    config: TlsConfig,
    host: String,
    /// TLS is spoken even where the other side does not ask for it.
    pub(crate) is_wanted: bool,
    /// TLS comes before INFO.
    pub(crate) handshake_first: bool,
}

impl Connector {
    pub(crate) fn new(remote: &LeafRemote, url: &LeafUrl) -> Self {
        let config = remote.tls.clone().unwrap_or_default();
        Self {
            host: url.host.clone(),
            is_wanted: remote.tls.is_some() || url.scheme.is_secure(),
            handshake_first: config.handshake_first != HandshakeFirst::No,
            config,
        }
    }

    /// Shakes hands.
    ///
    /// # Errors
    /// A file cannot be used; the other side cannot be trusted, or does not trust this one, or takes too long.
    pub(crate) async fn secure(
        &self,
        stream: Box<dyn Stream>,
    ) -> Result<Box<dyn Stream>, DialError> {
        let client = self.client().await?;
        let name = ServerName::try_from(self.host.clone())
            .map_err(|error| DialError::TlsHandshake(io::Error::other(error)))?;
        let within = match self.config.timeout {
            Duration::ZERO => TlsConfig::default().timeout,
            within => within,
        };
        let shaking = TlsConnector::from(client).connect(name, stream);
        let shaken = timeout(within, shaking)
            .await
            .map_err(|_elapsed| DialError::TlsTimedOut(within))?;
        Ok(Box::new(shaken.map_err(DialError::TlsHandshake)?))
    }

    /// Reads the files, off the tasks that move messages.
    async fn client(&self) -> Result<Arc<ClientConfig>, DialError> {
        let config = self.config.clone();
        let read = tokio::task::spawn_blocking(move || open_remote(&config)).await;
        let read = read.map_err(|error| DialError::TlsHandshake(io::Error::other(error)))?;
        Ok(read?)
    }
}
