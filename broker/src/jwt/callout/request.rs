//! The request: what the service is told about a client.

use std::time::{Duration, SystemTime};

use super::raw_user;
use crate::auth::ConnectRequest;
use crate::jwt::claims::{AuthorizationRequest, ClientInfo, ConnectClaims, ServerId};
use crate::jwt::envelope::{Claims, unix_seconds};
use crate::jwt::nkey::PublicKey;
use crate::proto::info::COMPATIBLE_VERSION;
use crate::server::Shared;

const AUDIENCE: &str = "nats-authorization-request";

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
    let mut claims = Claims::new(subject, request);
    AUDIENCE.clone_into(&mut claims.aud);
    claims.exp = unix_seconds(SystemTime::now() + lifetime).saturating_add(1);
    claims.sign(&server.key)
}

fn client_info(connect: &ConnectRequest) -> ClientInfo {
    ClientInfo {
        host: connect.peer.ip().to_string(),
        id: connect.client_id,
        user: raw_user(connect).unwrap_or_default().to_owned(),
        name: connect.name.clone().unwrap_or_default(),
        kind: "Client".to_owned(),
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
