//! What monitoring shows and the broker itself does not know: it is said by whoever starts the server.

use std::collections::BTreeMap;
use std::time::SystemTime;

/// Facts around the server, for `/varz`. The default leaves everything out or at zero, as nats-server does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Address of the monitoring port, as it was configured.
    pub http_host: String,
    /// Monitoring port; 0: none.
    pub http_port: u16,
    /// Monitoring port with TLS; 0: none.
    pub https_port: u16,
    /// What the monitoring paths begin with, such as `/nats`.
    pub http_base_path: String,
    /// Address that clients are told to come to, where it is not the one listened on.
    pub connect_urls: Vec<String>,
    /// The same for WebSockets.
    pub ws_connect_urls: Vec<String>,
    /// Where the streams are.
    pub store_dir: String,
    /// `sha256:` and the digest of the configuration file.
    pub config_digest: String,
    /// When the configuration was read last; without it, when the server was made.
    pub config_loaded: Option<SystemTime>,
    /// `server_tags`.
    pub tags: Vec<String>,
    /// `server_metadata`.
    pub metadata: BTreeMap<String, String>,
    /// Host name or address of the WebSocket listener; empty: none.
    pub websocket_host: String,
    /// Its port.
    pub websocket_port: u16,
    /// Clients must speak TLS.
    pub tls_required: bool,
    /// Clients must show a certificate.
    pub tls_verify: bool,
}
