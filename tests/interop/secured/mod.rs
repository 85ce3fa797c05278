//! One broker with a port of every secured kind, and the certificates for it.

#![allow(dead_code, reason = "each user needs its own part")]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use broker::{
    AuthError, Authenticator, CertificateFiles, Config, ConnectRequest, CookieNames,
    HandshakeFirst, Identity, Server, TcpConfig, Tls, TlsConfig, WebSocketConfig,
};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use tempfile::TempDir;

/// Lets everybody in; who shows a certificate is the user of that name.
struct Names;

#[async_trait]
impl Authenticator for Names {
    async fn authenticate(&self, request: ConnectRequest) -> Result<Identity, AuthError> {
        let session = request.tls.as_deref();
        let certificate = session.and_then(broker::TlsSession::certificate);
        let user = certificate.and_then(|certificate| certificate.user_names().next());
        Ok(Identity::new(user.unwrap_or("nobody"), "A"))
    }

    fn anonymous(&self) -> Option<Identity> {
        Some(Identity::new("nobody", "A"))
    }
}

/// Which port is which.
pub(crate) struct Secured {
    dir: TempDir,
    server: Server,
    /// TLS after INFO.
    pub(crate) tls: SocketAddr,
    /// TLS first.
    pub(crate) first: SocketAddr,
    /// TLS after INFO, with client certificates.
    pub(crate) verify: SocketAddr,
    /// WebSocket over TLS.
    pub(crate) wss: SocketAddr,
    /// Plain WebSocket with compression.
    pub(crate) ws: SocketAddr,
}

impl Secured {
    pub(crate) async fn start() -> Self {
        let dir = tempfile::tempdir().expect("temporary directories can be made");
        make_certificates(dir.path());
        let server = Server::new(Config::default(), Arc::new(Names), None);
        let tls = || TlsConfig {
            certificates: vec![CertificateFiles {
                cert_file: dir.path().join("server.pem"),
                key_file: dir.path().join("server.key"),
            }],
            ..TlsConfig::default()
        };
        let first = TlsConfig {
            handshake_first: HandshakeFirst::Yes,
            ..tls()
        };
        let verify = TlsConfig {
            verify_and_map: true,
            ca_file: Some(dir.path().join("ca.pem")),
            ..tls()
        };
        let compressed = WebSocketConfig {
            compression: true,
            cookies: CookieNames::default(),
            ..WebSocketConfig::default()
        };
        let secret = WebSocketConfig {
            tls: Some(open(&tls())),
            ..WebSocketConfig::default()
        };
        Self {
            tls: listen(&server, &tls()).await,
            first: listen(&server, &first).await,
            verify: listen(&server, &verify).await,
            wss: listen_websocket(&server, secret).await,
            ws: listen_websocket(&server, compressed).await,
            server,
            dir,
        }
    }

    /// Where everything is, as JSON.
    pub(crate) fn about(&self) -> serde_json::Value {
        let url = |scheme: &str, addr: SocketAddr| format!("{scheme}://localhost:{}", addr.port());
        serde_json::json!({
            "tls": url("tls", self.tls),
            "first": url("tls", self.first),
            "verify": url("tls", self.verify),
            "wss": url("wss", self.wss),
            "ws": url("ws", self.ws),
            "ca": self.file("ca.pem"),
            "cert": self.file("client.pem"),
            "key": self.file("client.key"),
        })
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Cuts every client off.
    pub(crate) async fn disconnect(&self) {
        self.server.disconnect(|_| true);
    }

    pub(crate) async fn stop(self) {
        self.server.shutdown().await;
    }
}

fn open(tls: &TlsConfig) -> Tls {
    Tls::open(tls).expect("the certificates are valid")
}

async fn listen(server: &Server, tls: &TlsConfig) -> SocketAddr {
    let config = TcpConfig {
        tls: Some(open(tls)),
        ..TcpConfig::default()
    };
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let listening = server.listen_tcp_with(any, config).await;
    listening.expect("a port is free")
}

async fn listen_websocket(server: &Server, config: WebSocketConfig) -> SocketAddr {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let listening = server.listen_websocket(any, config).await;
    listening.expect("a port is free")
}

/// An authority, the server's certificate and one for a client, as stock TLS libraries want them.
fn make_certificates(dir: &Path) {
    let write = |name: &str, pem: String| {
        std::fs::write(dir.join(name), pem).expect("the directory is ours");
    };
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CommonName, "tests");
    let key = KeyPair::generate().expect("a key");
    let authority = params.self_signed(&key).expect("signed");
    write("ca.pem", authority.pem());
    let issuer = Issuer::new(params, key);
    for (name, host, usage) in [
        ("server", "localhost", ExtendedKeyUsagePurpose::ServerAuth),
        (
            "client",
            "alice.example",
            ExtendedKeyUsagePurpose::ClientAuth,
        ),
    ] {
        let mut params = CertificateParams::new(vec![host.to_owned()]).expect("a name");
        let address = SanType::IpAddress([127, 0, 0, 1].into());
        params.subject_alt_names.push(address);
        params.distinguished_name.push(DnType::CommonName, host);
        params.use_authority_key_identifier_extension = true;
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &issuer).expect("signed");
        write(&format!("{name}.pem"), certificate.pem());
        write(&format!("{name}.key"), key.serialize_pem());
    }
}
