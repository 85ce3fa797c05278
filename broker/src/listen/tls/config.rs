//! What an operator says about TLS, as the `tls` block of nats-server does. Plain data; nothing is read here.

use std::path::PathBuf;
use std::time::Duration;

/// How TLS is spoken on one listener, or to one remote server. The defaults are nats-server's.
///
/// [`Tls::open`](crate::Tls::open) reads the files and says what is wrong with them.
#[derive(Debug, Clone, PartialEq)]
pub struct TlsConfig {
    /// Certificates with their keys. Several are told apart by the name that the client asks for (SNI); the first one is
    /// for those who ask for none that is there. A listener needs one, a remote may have one.
    pub certificates: Vec<CertificateFiles>,
    /// PEM file of the authorities whose certificates are accepted from the other end. `None`: those of the system.
    pub ca_file: Option<PathBuf>,
    /// Whether clients must show a certificate of these authorities.
    pub verify: bool,
    /// As [`TlsConfig::verify`], and the certificate says which user it is.
    pub verify_and_map: bool,
    /// Time for the whole handshake. Default two seconds.
    pub timeout: Duration,
    /// Whether TLS begins before INFO.
    pub handshake_first: HandshakeFirst,
    /// Whether clients may go on without TLS (`allow_non_tls` beside the block).
    pub allow_non_tls: bool,
    /// SHA-256 of the public keys (SubjectPublicKeyInfo) that are accepted, in hexadecimal. Empty: every verified one.
    pub pinned_certs: Vec<String>,
    /// Oldest version spoken. Default 1.2.
    pub min_version: TlsVersion,
    /// Cipher suites under the names that Go gives them, best first. Empty: all that are safe.
    pub cipher_suites: Vec<String>,
    /// Key exchange groups under the names that Go gives them, best first. Empty: all that are safe.
    pub curve_preferences: Vec<String>,
    /// Handshakes begun per second on the listener; more are refused. `None`: no limit of its own.
    pub connection_rate_limit: Option<u32>,
    /// Only for remotes: the other end's certificate is not checked.
    pub insecure: bool,
}

impl Default for TlsConfig {
    fn default() -> Self {
        Self {
            certificates: Vec::new(),
            ca_file: None,
            verify: false,
            verify_and_map: false,
            timeout: Duration::from_secs(2),
            handshake_first: HandshakeFirst::No,
            allow_non_tls: false,
            pinned_certs: Vec::new(),
            min_version: TlsVersion::Tls12,
            cipher_suites: Vec::new(),
            curve_preferences: Vec::new(),
            connection_rate_limit: None,
            insecure: false,
        }
    }
}

impl TlsConfig {
    /// Whether clients must show a certificate.
    pub(crate) fn verifies(&self) -> bool {
        self.verify || self.verify_and_map
    }
}

/// A certificate chain and its key, both as PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate, then those that lead to its authority.
    pub cert_file: PathBuf,
    /// The private key: PKCS #8, PKCS #1 or SEC1.
    pub key_file: PathBuf,
}

/// Whether a NATS listener begins with TLS or with INFO.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HandshakeFirst {
    /// INFO in clear, then TLS.
    #[default]
    No,
    /// TLS before anything else.
    Yes,
    /// TLS if the client sends something within this time, INFO in clear otherwise.
    Within(Duration),
}

impl HandshakeFirst {
    /// `handshake_first: auto`.
    pub const AUTO: Self = Self::Within(Duration::from_millis(50));
}

/// A version of TLS that is still safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum TlsVersion {
    /// TLS 1.2.
    #[default]
    Tls12,
    /// TLS 1.3.
    Tls13,
}
