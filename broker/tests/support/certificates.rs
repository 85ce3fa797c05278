//! Certificates of a test's own, as files where a server wants files.

use std::path::PathBuf;
use std::sync::Arc;

use broker::{CertificateFiles, TlsConfig};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tempfile::TempDir;
use tokio_rustls::TlsConnector;

/// A certificate and its key in PEM form.
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// An authority of one test.
pub(crate) struct Authority {
    dir: TempDir,
    certificate: rcgen::Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("signed");
        let authority = Self {
            dir: tempfile::tempdir().expect("a directory"),
            certificate,
            issuer: Issuer::new(params, key),
        };
        let pem = authority.certificate.pem();
        std::fs::write(authority.ca_file(), pem).expect("written");
        authority
    }

    pub(crate) fn ca_file(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// A certificate for this DNS name, with this common name.
    pub(crate) fn issue(&self, dns_name: &str) -> Pair {
        let mut params = CertificateParams::new(vec![dns_name.to_owned()]).expect("a name");
        let address = SanType::IpAddress([127, 0, 0, 1].into());
        params.subject_alt_names.push(address);
        params.distinguished_name.push(DnType::CommonName, dns_name);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        Pair {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        }
    }

    /// The same as files.
    pub(crate) fn issue_files(&self, dns_name: &str) -> CertificateFiles {
        let pair = self.issue(dns_name);
        let file = |kind: &str| self.dir.path().join(format!("{dns_name}.{kind}.pem"));
        let files = CertificateFiles {
            cert_file: file("cert"),
            key_file: file("key"),
        };
        std::fs::write(&files.cert_file, pair.certificate).expect("written");
        std::fs::write(&files.key_file, pair.key).expect("written");
        files
    }

    /// TLS with a certificate for `localhost`.
    pub(crate) fn tls(&self) -> TlsConfig {
        TlsConfig {
            certificates: vec![self.issue_files("localhost")],
            ..TlsConfig::default()
        }
    }

    /// A client that trusts this authority.
    pub(crate) fn connector(&self) -> TlsConnector {
        self.connector_with(None, rustls::ALL_VERSIONS)
    }

    /// The same with a certificate of its own, and these versions of TLS.
    pub(crate) fn connector_with(
        &self,
        own: Option<&Pair>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone()).expect("valid");
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .expect("versions that are there")
            .with_root_certificates(roots);
        let config = match own {
            Some(pair) => {
                let chain = CertificateDer::pem_slice_iter(pair.certificate.as_bytes());
                let chain = chain.collect::<Result<Vec<_>, _>>().expect("PEM");
                let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).expect("PEM");
                builder.with_client_auth_cert(chain, key).expect("valid")
            }
            None => builder.with_no_client_auth(),
        };
        TlsConnector::from(Arc::new(config))
    }
}

pub(crate) fn name(name: &str) -> ServerName<'static> {
    ServerName::try_from(name.to_owned()).expect("a name")
}
