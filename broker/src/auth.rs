//! Who a connection is and what it may do: the callout seam.
//!
//! The broker asks an [`Authenticator`] once per CONNECT and holds the connection to the [`Identity`] it gets back. In
//! doubt an authenticator refuses; what the client sees is always `Authorization Violation`.

use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::accounts::{AccountsConfig, AccountsError, ConnectionType};
use crate::listen::config::ListenerAuthorization;
use crate::listen::tls::peer::TlsSession;
use crate::rate::PublishBudget;
use crate::server::WeakServer;

/// Decides who a connecting client is.
#[async_trait]
pub trait Authenticator: Send + Sync {
    /// Checks one CONNECT. The broker waits at most its `auth_timeout` and reads nothing more from the client meanwhile.
    ///
    /// # Errors
    /// [`AuthError`] closes the connection with `Authorization Violation`; the reason is for the log only.
    async fn authenticate(&self, request: ConnectRequest) -> Result<Identity, AuthError>;

    /// Who a client is that never sent CONNECT (nats-server's `no_auth_user`, or no authentication at all).
    ///
    /// `None`, the default, means that INFO says `auth_required` and the first command must be CONNECT.
    fn anonymous(&self) -> Option<Identity> {
        None
    }

    /// Whether INFO offers a nonce to sign. Default: no.
    fn wants_nonce(&self) -> bool {
        false
    }

    /// Takes on a new configuration. Who decides by something else ignores it, which is the default.
    ///
    /// # Errors
    /// The configuration contradicts itself; the old one stays.
    fn configure(&self, config: &AccountsConfig) -> Result<(), AccountsError> {
        let _ = config;
        Ok(())
    }

    /// What becomes of a connection after something changed: a new configuration, a revoked key. Asked for every open
    /// connection by `Server::review_connections`. Default: it stays as it is.
    fn review(&self, identity: &Identity) -> Review {
        let _ = identity;
        Review::Unchanged
    }

    /// Longest time that one decision may take, counted from CONNECT; then the client is told of a violation. `None`, the
    /// default, is what is left of `auth_timeout`, and the client is told of a timeout.
    fn patience(&self) -> Option<Duration> {
        None
    }

    /// The server exists now and asks this authenticator. For one that publishes or subscribes in it.
    fn attach(&self, _server: &WeakServer) {}

    /// The server has stopped: whatever [`Authenticator::attach`] made goes.
    fn detach(&self) {}
}

/// What becomes of a connection whose identity was looked at again.
#[derive(Debug, Clone)]
pub enum Review {
    /// It stays as it is.
    Unchanged,
    /// It goes on with other permissions, limits or another end; account and user are the same.
    Changed(Box<Identity>),
    /// It is closed with `Authorization Violation`.
    Refused,
    /// It is closed with `User Authentication Revoked`.
    Revoked,
}

/// Lets everybody into one account without restriction: a broker on its own, and tests.
#[derive(Debug, Clone)]
pub struct AllowAll {
    account: String,
}

impl AllowAll {
    /// Everybody is put into `account`.
    #[must_use]
    pub fn new(account: impl Into<String>) -> Self {
        Self {
            account: account.into(),
        }
    }
}

#[async_trait]
impl Authenticator for AllowAll {
    async fn authenticate(&self, request: ConnectRequest) -> Result<Identity, AuthError> {
        Ok(Identity::new(
            request.user.unwrap_or_default(),
            self.account.clone(),
        ))
    }

    fn anonymous(&self) -> Option<Identity> {
        Some(Identity::new("", self.account.clone()))
    }
}

/// The transport a client came by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionKind {
    /// Plain TCP on the NATS port.
    Tcp,
    /// WebSocket on the HTTP port.
    WebSocket,
    /// A leaf node link over TCP.
    Leafnode,
    /// A leaf node link over WebSocket.
    LeafnodeWebSocket,
}

impl ConnectionKind {
    /// The name of it in a user's `allowed_connection_types`.
    #[must_use]
    pub fn connection_type(self) -> ConnectionType {
        match self {
            Self::Tcp => ConnectionType::Standard,
            Self::WebSocket => ConnectionType::Websocket,
            Self::Leafnode => ConnectionType::Leafnode,
            Self::LeafnodeWebSocket => ConnectionType::LeafnodeWs,
        }
    }

    /// The name that nats-server uses in events and `/connz`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp | Self::Leafnode => "nats",
            Self::WebSocket | Self::LeafnodeWebSocket => "websocket",
        }
    }

    /// What nats-server calls whoever is at the other end.
    pub(crate) fn role(self) -> &'static str {
        match self.is_leafnode() {
            true => "Leafnode",
            false => "Client",
        }
    }

    /// Whether it is another server and not a client.
    #[must_use]
    pub fn is_leafnode(self) -> bool {
        matches!(self, Self::Leafnode | Self::LeafnodeWebSocket)
    }
}

/// What a client said about itself in CONNECT, and in cookies for what CONNECT leaves empty. `Debug` shows no secret.
#[derive(Clone)]
pub struct ConnectRequest {
    /// `auth_token`: where browsers put their access token.
    pub auth_token: Option<String>,
    /// `user`.
    pub user: Option<String>,
    /// `pass`.
    pub pass: Option<String>,
    /// `jwt`.
    pub jwt: Option<String>,
    /// `nkey`, a public key.
    pub nkey: Option<String>,
    /// `sig`, the signature of the nonce's text.
    pub sig: Option<String>,
    /// The nonce that INFO offered, if any.
    pub nonce: Option<String>,
    /// `name` of the connection.
    pub name: Option<String>,
    /// `lang` of the client library.
    pub lang: Option<String>,
    /// `version` of the client library.
    pub version: Option<String>,
    /// `protocol` of CONNECT.
    pub protocol: i64,
    /// The broker's number of the connection.
    pub client_id: u64,
    /// Where the client is: the other end of the socket, or what a trusted proxy says about it.
    pub peer: SocketAddr,
    /// The proxy at the other end of the socket, where there is one.
    pub proxy: Option<SocketAddr>,
    /// The transport.
    pub kind: ConnectionKind,
    /// The finished TLS handshake, with the client's verified certificates; `None` without TLS.
    pub tls: Option<Arc<TlsSession>>,
    /// Who a client without credentials is on this listener, instead of the server's own `no_auth_user`.
    pub no_auth_user: Option<String>,
    /// Credentials that hold on this listener instead of the server's.
    pub authorization: Option<Arc<ListenerAuthorization>>,
}

impl ConnectRequest {
    /// A client that says nothing about itself.
    #[must_use]
    pub fn new(client_id: u64, peer: SocketAddr, kind: ConnectionKind) -> Self {
        Self {
            auth_token: None,
            user: None,
            pass: None,
            jwt: None,
            nkey: None,
            sig: None,
            nonce: None,
            name: None,
            lang: None,
            version: None,
            protocol: 0,
            client_id,
            peer,
            proxy: None,
            kind,
            tls: None,
            no_auth_user: None,
            authorization: None,
        }
    }
}

impl fmt::Debug for ConnectRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secret = |value: &Option<String>| value.as_ref().map(|_| "…");
        f.debug_struct("ConnectRequest")
            .field("client_id", &self.client_id)
            .field("peer", &self.peer)
            .field("kind", &self.kind)
            .field("user", &self.user)
            .field("nkey", &self.nkey)
            .field("name", &self.name)
            .field("lang", &self.lang)
            .field("version", &self.version)
            .field("auth_token", &secret(&self.auth_token))
            .field("pass", &secret(&self.pass))
            .field("jwt", &secret(&self.jwt))
            .field("sig", &secret(&self.sig))
            .finish_non_exhaustive()
    }
}

/// Who a connection is, for as long as it lasts.
#[derive(Debug, Clone)]
pub struct Identity {
    /// User name, stamped on everything the connection publishes.
    pub user: String,
    /// Account: connections of different accounts never see each other's subjects.
    pub account: String,
    /// Tags, such as roles.
    pub tags: Vec<String>,
    /// What the connection may publish and subscribe.
    pub permissions: Permissions,
    /// When the connection is closed with `User Authentication Expired`.
    pub expires_at: Option<SystemTime>,
    /// Cancelling it closes the connection at once with `User Authentication Revoked`.
    pub revoked: Option<CancellationToken>,
    /// What the connection may use, below the server's and its account's limits.
    pub limits: ConnectionLimits,
    /// What it may publish per second, shared with the user's other connections.
    pub publish_budget: Option<PublishBudget>,
    /// An auth service decided, not the configuration: changes of configured users do not touch it.
    pub is_delegated: bool,
    /// The user JWT that it was let in by, in operator mode.
    pub origin: Option<Arc<JwtOrigin>>,
    /// A digest of what it proved itself with, by which [`Authenticator::review`] sees that a password has changed.
    pub credential: Option<u64>,
}

/// What is remembered of a user JWT: enough to see later whether it still holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwtOrigin {
    /// The user's key.
    pub user: String,
    /// The key that signed it.
    pub issuer: String,
    /// When, in seconds since 1970.
    pub issued_at: i64,
    /// The user's name, for people.
    pub name: String,
    /// The account's name, for people.
    pub account_name: String,
}

impl PartialEq for Identity {
    /// Two that allow the same. What ends them from outside, `revoked`, is not looked at.
    fn eq(&self, other: &Self) -> bool {
        self.user == other.user
            && self.account == other.account
            && self.tags == other.tags
            && self.permissions == other.permissions
            && self.expires_at == other.expires_at
            && self.limits == other.limits
            && self.publish_budget == other.publish_budget
            && self.credential == other.credential
    }
}

/// Limits of one connection. `None` is its account's limit, or the server's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Headers and payload of one message together, in bytes.
    pub payload_bytes_max: Option<usize>,
    /// Subscriptions at the same time.
    pub subscriptions_max: Option<usize>,
}

impl Identity {
    /// An identity without restriction, tag or end.
    #[must_use]
    pub fn new(user: impl Into<String>, account: impl Into<String>) -> Self {
        Self {
            user: user.into(),
            account: account.into(),
            tags: Vec::new(),
            permissions: Permissions::default(),
            expires_at: None,
            revoked: None,
            limits: ConnectionLimits::default(),
            publish_budget: None,
            is_delegated: false,
            origin: None,
            credential: None,
        }
    }
}

/// What a connection may do; the default is everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Permissions {
    /// Subjects it may publish to.
    pub publish: SubjectPermissions,
    /// Subjects it may subscribe to; an entry `"subject queue"` allows the subject with that queue group only.
    pub subscribe: SubjectPermissions,
    /// Lets it answer requests it received. Without a publish allow list it may then publish nothing but answers.
    pub allow_responses: Option<ResponsePermission>,
    /// Subscriptions below `_INBOX.` need a literal second token of at least 16 characters, so nobody can listen to
    /// others' replies.
    pub private_inboxes: bool,
}

/// Allow and deny lists of subject patterns; deny wins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SubjectPermissions {
    /// `None` allows everything, an empty list nothing.
    pub allow: Option<Vec<String>>,
    /// Denied whatever `allow` says.
    pub deny: Vec<String>,
}

/// How often and for how long a received request may be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResponsePermission {
    /// Answers per request; 0 means the default of 1, a negative number any number.
    pub max: i32,
    /// Time after the request in which answers are allowed; zero means the default of two minutes.
    pub expires: Duration,
}

impl Default for ResponsePermission {
    fn default() -> Self {
        Self {
            max: 1,
            expires: Duration::from_secs(120),
        }
    }
}

/// A refused CONNECT.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct AuthError {
    /// For the log; the client sees `Authorization Violation` whatever it says.
    pub reason: Cow<'static, str>,
    /// An account whose members hear of it on `$SYS.ACCOUNT.CLIENT.AUTH.ERR`.
    pub account: Option<String>,
}

impl AuthError {
    /// An error with this reason.
    #[must_use]
    pub fn new(reason: impl Into<Cow<'static, str>>) -> Self {
        Self {
            reason: reason.into(),
            account: None,
        }
    }
}

/// Who sent a message: the broker's stamp, which no client can write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    /// User name.
    pub user: String,
    /// Account.
    pub account: String,
    /// Tags, such as roles.
    pub tags: Arc<[String]>,
    /// The broker's number of the connection; it appears as `client.id` in CONNECT and DISCONNECT events.
    pub client_id: u64,
}
