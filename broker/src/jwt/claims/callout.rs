//! Claims of type `authorization_request` and `authorization_response`.

use serde::{Deserialize, Serialize};

use super::{NatsClaims, is_default, nullable};
use crate::jwt::envelope::{ACCOUNTS, SERVERS, VERSION};
use crate::jwt::nkey::{KeyKind, PublicKey};

/// What a server asks an auth service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorizationRequest {
    /// Who asks.
    pub server_id: ServerId,
    /// A key made for this request: the answer is about it.
    pub user_nkey: PublicKey,
    /// Who connects.
    pub client_info: ClientInfo,
    /// What it said in CONNECT.
    pub connect_opts: ConnectClaims,
    /// Its TLS session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_tls: Option<ClientTls>,
    /// Random text, so that no two requests are the same.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "is_default"
    )]
    pub request_nonce: String,
    r#type: String,
    version: i64,
}

impl NatsClaims for AuthorizationRequest {
    const TYPE: &'static str = "authorization_request";
    const ISSUERS: &'static [KeyKind] = SERVERS;
}

impl AuthorizationRequest {
    /// A request; the other members are the caller's to fill in.
    #[must_use]
    pub fn new(server_id: ServerId, user_nkey: PublicKey) -> Self {
        Self {
            server_id,
            user_nkey,
            client_info: ClientInfo::default(),
            connect_opts: ConnectClaims::default(),
            client_tls: None,
            request_nonce: String::new(),
            r#type: Self::TYPE.to_owned(),
            version: VERSION,
        }
    }
}

/// A server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerId {
    /// `server_name`.
    pub name: String,
    /// Where it listens.
    pub host: String,
    /// `server_id`.
    pub id: PublicKey,
    /// The nats-server version whose behaviour it has.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "is_default"
    )]
    pub version: String,
    /// Its cluster.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "is_default"
    )]
    pub cluster: String,
    /// Its tags.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "is_default"
    )]
    pub tags: Vec<String>,
    /// The key to seal answers for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub xkey: Option<PublicKey>,
}

/// The connection.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientInfo {
    /// Its address.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "is_default"
    )]
    pub host: String,
    /// The server's number of it.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "is_default"
    )]
    pub id: u64,
    /// User name, nkey or token, whatever it offered.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "is_default"
    )]
    pub user: String,
    /// `name` of CONNECT.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "is_default"
    )]
    pub name: String,
    /// Tags of its user JWT.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "is_default"
    )]
    pub tags: Vec<String>,
    /// Name of its user JWT.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "is_default"
    )]
    pub name_tag: String,
    /// `Client` or `Leafnode`.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "is_default"
    )]
    pub kind: String,
    /// `nats`, `websocket` or `mqtt`.
    #[serde(
        default,
        rename = "type",
        deserialize_with = "nullable",
        skip_serializing_if = "is_default"
    )]
    pub connection_type: String,
    /// What it signed, if it did.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "is_default"
    )]
    pub nonce: String,
}

/// The part of CONNECT that counts for authentication.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectClaims {
    /// `jwt`, in operator mode.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "is_default"
    )]
    pub jwt: String,
    /// `nkey`.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "is_default"
    )]
    pub nkey: String,
    /// `sig`.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "is_default"
    )]
    pub sig: String,
    /// `auth_token`.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "is_default"
    )]
    pub auth_token: String,
    /// `user`.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "is_default"
    )]
    pub user: String,
    /// `pass`.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "is_default"
    )]
    pub pass: String,
    /// `name`.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "is_default"
    )]
    pub name: String,
    /// `lang`.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "is_default"
    )]
    pub lang: String,
    /// `version`.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "is_default"
    )]
    pub version: String,
    /// `protocol`.
    #[serde(default, deserialize_with = "nullable")]
    pub protocol: i64,
}

impl std::fmt::Debug for ConnectClaims {
    /// Shows no secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConnectClaims")
            .field("user", &self.user)
            .field("nkey", &self.nkey)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// The TLS session of a client.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientTls {
    /// `1.2` or `1.3`.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "is_default"
    )]
    pub version: String,
    /// The cipher suite.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "is_default"
    )]
    pub cipher: String,
    /// Its certificates as PEM, where none of them was verified.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "is_default"
    )]
    pub certs: Vec<String>,
    /// The verified chains as PEM.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "is_default"
    )]
    pub verified_chains: Vec<Vec<String>>,
}

/// What the auth service answers: a user, or why not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorizationResponse {
    /// The user JWT.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "is_default"
    )]
    pub jwt: String,
    /// Why not.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "is_default"
    )]
    pub error: String,
    /// The account, when a signing key of it signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer_account: Option<PublicKey>,
    r#type: String,
    version: i64,
}

impl NatsClaims for AuthorizationResponse {
    const TYPE: &'static str = "authorization_response";
    const ISSUERS: &'static [KeyKind] = ACCOUNTS;
}

impl AuthorizationResponse {
    /// Lets in who the user JWT says.
    #[must_use]
    pub fn accept(jwt: impl Into<String>) -> Self {
        Self {
            jwt: jwt.into(),
            error: String::new(),
            issuer_account: None,
            r#type: Self::TYPE.to_owned(),
            version: VERSION,
        }
    }

    /// Refuses.
    #[must_use]
    pub fn refuse(error: impl Into<String>) -> Self {
        Self {
            error: error.into(),
            ..Self::accept("")
        }
    }
}
