//! From a TLS configuration to what rustls works with: files are read here, and settings are checked against each other.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion, version};

use super::config::{CertificateFiles, TlsConfig, TlsVersion};
use super::rate::HandshakeRate;
use super::verify::{AnyServer, PinnedClients, PinnedServers, Pins};
use super::{TlsError, names};

/// One configuration of a listener and what was made of it.
pub(crate) struct Loaded {
    pub(crate) config: TlsConfig,
    pub(crate) server: Arc<ServerConfig>,
    rate: Option<HandshakeRate>,
}

impl Loaded {
    /// Reads what a listener needs.
    pub(super) fn open(config: &TlsConfig) -> Result<Self, TlsError> {
        if config.certificates.is_empty() {
            return setting("TLS on a listener needs a certificate: cert_file and key_file");
        }
        if config.insecure {
            return setting("insecure is for remotes, not for a listener");
        }
        let pins = pins(config)?;
        if !pins.is_empty() && !config.verifies() {
            return setting("pinned_certs needs verify: without it no certificate is asked for");
        }
        let provider = provider(config)?;
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(versions(config.min_version))?;
        let builder = if config.verifies() {
            let roots = Arc::new(roots(config.ca_file.as_deref())?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider.clone())
                .build()
                .map_err(|error| {
                    TlsError::Setting(format!("clients cannot be verified: {error}"))
                })?;
            builder.with_client_cert_verifier(PinnedClients::new(verifier, pins))
        } else {
            builder.with_no_client_auth()
        };
        let keys = config.certificates.iter();
        let keys: Result<Vec<_>, _> = keys.map(|files| certified(files, &provider)).collect();
        let server = builder.with_cert_resolver(Arc::new(BySni(keys?)));
        let rate = config.connection_rate_limit;
        Ok(Self {
            config: config.clone(),
            server: Arc::new(server),
            rate: rate.map(|per_second| HandshakeRate::new(per_second, Instant::now())),
        })
    }

    /// Whether one more handshake may begin in this second.
    pub(crate) fn may_begin(&self, now: Instant) -> bool {
        self.rate.as_ref().is_none_or(|rate| rate.allows(now))
    }
}

/// Reads what a connection to a remote server needs: its authorities, and a certificate of our own if there is one. Blocks
/// on the files.
pub(crate) fn open_remote(config: &TlsConfig) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = provider(config)?;
    let pins = pins(config)?;
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(versions(config.min_version))?;
    let builder = if config.insecure {
        let verifier = Arc::new(AnyServer::new(provider.clone()));
        builder
            .dangerous()
            .with_custom_certificate_verifier(verifier)
    } else {
        let roots = Arc::new(roots(config.ca_file.as_deref())?);
        let verifier = PinnedServers::new(roots, provider.clone(), pins)?;
        builder
            .dangerous()
            .with_custom_certificate_verifier(verifier)
    };
    let client = match config.certificates.first() {
        Some(files) => {
            let (chain, key) = read_pair(files)?;
            builder.with_client_auth_cert(chain, key)?
        }
        None => builder.with_no_client_auth(),
    };
    Ok(Arc::new(client))
}

fn setting<T>(text: &str) -> Result<T, TlsError> {
    Err(TlsError::Setting(text.to_owned()))
}

fn provider(config: &TlsConfig) -> Result<Arc<CryptoProvider>, TlsError> {
    Ok(Arc::new(CryptoProvider {
        cipher_suites: names::cipher_suites(&config.cipher_suites)?,
        kx_groups: names::key_exchanges(&config.curve_preferences)?,
        ..aws_lc_rs::default_provider()
    }))
}

fn versions(min: TlsVersion) -> &'static [&'static SupportedProtocolVersion] {
    static TLS13_ONLY: &[&SupportedProtocolVersion] = &[&version::TLS13];
    match min {
        TlsVersion::Tls12 => rustls::ALL_VERSIONS,
        TlsVersion::Tls13 => TLS13_ONLY,
    }
}

fn pins(config: &TlsConfig) -> Result<Pins, TlsError> {
    let pins: Result<HashSet<_>, _> = config
        .pinned_certs
        .iter()
        .map(|pin| parse_pin(pin))
        .collect();
    Ok(Pins::new(pins?))
}

fn parse_pin(pin: &str) -> Result<[u8; 32], TlsError> {
    let mut digest = [0; 32];
    let digits = |at: usize| pin.get(2 * at..2 * at + 2);
    let is_read = pin.len() == 64
        && digest.iter_mut().enumerate().all(|(at, byte)| {
            let read = digits(at).and_then(|digits| u8::from_str_radix(digits, 16).ok());
            *byte = read.unwrap_or_default();
            read.is_some()
        });
    match is_read {
        true => Ok(digest),
        false => Err(TlsError::Setting(format!(
            "{pin:?} in pinned_certs is not a SHA-256 of 64 hexadecimal digits"
        ))),
    }
}

fn roots(file: Option<&Path>) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    match file {
        Some(file) => {
            for certificate in read_certificates(file)? {
                roots.add(certificate)?;
            }
        }
        None => {
            // Certificates that rustls cannot read are left out, as every TLS client does.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    Ok(roots)
}

fn certified(
    files: &CertificateFiles,
    provider: &CryptoProvider,
) -> Result<Arc<CertifiedKey>, TlsError> {
    let (chain, key) = read_pair(files)?;
    let unusable = |source| TlsError::Pair {
        cert_file: files.cert_file.clone(),
        key_file: files.key_file.clone(),
        source,
    };
    let key = provider.key_provider.load_private_key(key);
    let certified = CertifiedKey::new(chain, key.map_err(unusable)?);
    certified.keys_match().map_err(unusable)?;
    Ok(Arc::new(certified))
}

fn read_pair(
    files: &CertificateFiles,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
    let chain = read_certificates(&files.cert_file)?;
    let pem = read(&files.key_file)?;
    let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|error| match error {
        rustls::pki_types::pem::Error::NoItemsFound => TlsError::Empty {
            file: files.key_file.clone(),
            wanted: "private key",
        },
        error => unreadable(&files.key_file, error),
    })?;
    Ok((chain, key))
}

fn read_certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = read(file)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let certificates = certificates.map_err(|error| unreadable(file, error))?;
    if certificates.is_empty() {
        return Err(TlsError::Empty {
            file: file.to_owned(),
            wanted: "certificate",
        });
    }
    Ok(certificates)
}

fn read(file: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(file).map_err(|error| unreadable(file, error))
}

fn unreadable(file: &Path, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> TlsError {
    TlsError::File {
        file: file.to_owned(),
        source: error.into(),
    }
}

/// Picks the certificate for the name that the client asks for.
#[derive(Debug)]
struct BySni(Vec<Arc<CertifiedKey>>);

impl ResolvesServerCert for BySni {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let can_sign =
            |key: &&Arc<CertifiedKey>| key.key.choose_scheme(hello.signature_schemes()).is_some();
        let usable = || self.0.iter().filter(can_sign);
        let name = hello.server_name();
        let named = name.and_then(|name| usable().find(|key| is_for(key, name)));
        named.or_else(|| usable().next()).cloned()
    }
}

fn is_for(key: &CertifiedKey, name: &str) -> bool {
    let Ok(name) = name.try_into() else {
        return false;
    };
    let certificate = key.end_entity_cert();
    certificate
        .and_then(ParsedCertificate::try_from)
        .and_then(|certificate| rustls::client::verify_server_name(&certificate, &name))
        .is_ok()
}
