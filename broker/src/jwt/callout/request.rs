//! The request: what the service is told about a client.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::auth::{ConnectRequest, ConnectionKind};
use crate::jwt::claims::{AuthorizationRequest, ClientInfo, ClientTls, ConnectClaims, ServerId};
use crate::jwt::envelope::{Claims, unix_seconds};
use crate::jwt::nkey::PublicKey;
use crate::listen::tls::peer::{PeerCertificate, TlsSession};
use crate::proto::info::COMPATIBLE_VERSION;
use crate::server::Shared;

const AUDIENCE: &str = "nats-authorization-request";
/// In place of a token, in nats-server's spelling.
const REDACTED: &str = "[REDACTED]";
/// Letters of a line of PEM.
const PEM_LINE: usize = 64;

/// A signed request about one client. `user` is a key made for it, `subject` the account key that is to answer.
pub(super) fn sign(
    server: &Shared,
    connect: &ConnectRequest,
    user: PublicKey,
    subject: PublicKey,
    lifetime: Duration,
) -> String {
    let host = server
        .listens_on()
        .map(|addr| addr.ip().to_string())
        .unwrap_or_default();
    let server_id = ServerId {
        name: server.config.server_name.clone(),
        host,
        id: server.key.public(),
        version: COMPATIBLE_VERSION.to_owned(),
        cluster: String::new(),
        tags: Vec::new(),
        xkey: Some(server.curve_key.public()),
    };
    let mut request = AuthorizationRequest::new(server_id, user);
    request.client_info = client_info(connect);
    request.connect_opts = connect_claims(connect);
    request.client_tls = connect.tls.as_deref().map(client_tls);
    let mut claims = Claims::new(subject, request);
    AUDIENCE.clone_into(&mut claims.aud);
    claims.exp = unix_seconds(SystemTime::now() + lifetime);
    claims.sign(&server.key)
}

fn client_info(connect: &ConnectRequest) -> ClientInfo {
    ClientInfo {
        host: connect.peer.ip().to_string(),
        id: connect.client_id,
        user: shown_user(connect).to_owned(),
        name: connect.name.clone().unwrap_or_default(),
        kind: match connect.kind {
            ConnectionKind::Tcp | ConnectionKind::WebSocket => "Client",
            ConnectionKind::Leafnode | ConnectionKind::LeafnodeWebSocket => "Leafnode",
        }
        .to_owned(),
        connection_type: connect.kind.as_str().to_owned(),
        // Only who signed it can have it checked.
        nonce: connect
            .nonce
            .clone()
            .filter(|_| connect.sig.is_some())
            .unwrap_or_default(),
        ..ClientInfo::default()
    }
}

/// A token is no name: it stands in `connect_opts` alone.
fn shown_user(connect: &ConnectRequest) -> &str {
    let named = connect.nkey.as_deref().or(connect.user.as_deref());
    let hidden = connect.auth_token.as_ref().map(|_| REDACTED);
    named.or(hidden).unwrap_or_default()
}

/// Certificates are there only where the listener verified them: one chain, the client's own first.
fn client_tls(session: &TlsSession) -> ClientTls {
    let pem = |certificate: &PeerCertificate| {
        let text = STANDARD.encode(&certificate.der);
        let lines: Vec<_> = text.as_bytes().chunks(PEM_LINE).collect();
        let lines = String::from_utf8_lossy(&lines.join(&b'\n')).into_owned();
        format!("-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n")
    };
    let chain: Vec<_> = session.certificates.iter().map(pem).collect();
    ClientTls {
        version: session.version.to_owned(),
        cipher: session.cipher.clone(),
        certs: Vec::new(),
        verified_chains: if chain.is_empty() {
            Vec::new()
        } else {
            vec![chain]
        },
    }
}

/// The JWT of CONNECT means nothing outside operator mode and is left out, as nats-server does.
fn connect_claims(connect: &ConnectRequest) -> ConnectClaims {
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    ConnectClaims {
        jwt: String::new(),
        nkey: text(&connect.nkey),
        sig: text(&connect.sig),
        auth_token: text(&connect.auth_token),
        user: text(&connect.user),
        pass: text(&connect.pass),
        name: text(&connect.name),
        lang: text(&connect.lang),
        version: text(&connect.version),
        protocol: connect.protocol,
    }
}
