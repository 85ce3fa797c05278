//! Users, their credentials, and what an account may use.

use std::fmt;
use std::str::FromStr;

use super::shares::{Export, Import, Mapping};
use crate::auth::Permissions;
use crate::server::GLOBAL_ACCOUNT;

/// All users and accounts of a server: the keys `authorization`, `accounts`, `no_auth_user`, `system_account` and
/// `mappings` of a nats-server configuration. The default lets everybody into `$G`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AccountsConfig {
    /// `authorization.token`: whoever has it is let into `$G`. Plain, or a bcrypt hash. Not together with users.
    pub token: Option<Secret>,
    /// `authorization.users`, or the single user: they belong to `$G`.
    pub users: Vec<UserConfig>,
    /// `authorization.default_permissions`: for those of `users` that have none of their own, and for the token.
    pub default_permissions: Option<Permissions>,
    /// `accounts`. `$G` and the system account are there without being named.
    pub accounts: Vec<AccountConfig>,
    /// `no_auth_user`: who a client is that shows no credentials at all.
    pub no_auth_user: Option<String>,
    /// `system_account`: where events are published. Default `$SYS`.
    pub system_account: Option<String>,
    /// `no_system_account`: nobody can look at events; not together with `system_account`.
    pub no_system_account: bool,
    /// `mappings` at the top level: those of `$G`.
    pub mappings: Vec<Mapping>,
    /// What a client may publish at most per second if its user says nothing itself. Default: no limit.
    pub publish_rate: Option<PublishRate>,
}

impl AccountsConfig {
    /// Whether a client needs credentials.
    #[must_use]
    pub fn requires_auth(&self) -> bool {
        self.token.is_some() || self.all_users().next().is_some()
    }

    /// Every user with the name of its account.
    pub fn all_users(&self) -> impl Iterator<Item = (&str, &UserConfig)> {
        let global = self.users.iter().map(|user| (GLOBAL_ACCOUNT, user));
        let others = self.accounts.iter().flat_map(|account| {
            let users = account.users.iter();
            users.map(|user| (account.name.as_str(), user))
        });
        global.chain(others)
    }

    /// An account by name, if it is configured.
    #[must_use]
    pub fn account(&self, name: &str) -> Option<&AccountConfig> {
        self.accounts.iter().find(|account| account.name == name)
    }
}

/// One account.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AccountConfig {
    /// Its name; in operator mode its public key.
    pub name: String,
    /// Who belongs to it.
    pub users: Vec<UserConfig>,
    /// For users without permissions of their own.
    pub default_permissions: Option<Permissions>,
    /// What others may import.
    pub exports: Vec<Export>,
    /// What it takes from others.
    pub imports: Vec<Import>,
    /// Where messages that its clients publish go instead.
    pub mappings: Vec<Mapping>,
    /// What its clients may use.
    pub limits: AccountLimits,
    /// JetStream is enabled for it, with these limits.
    pub jetstream: Option<AccountJetStream>,
}

impl AccountConfig {
    /// An account without users.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }
}

/// One user.
#[derive(Debug, Clone, PartialEq)]
pub struct UserConfig {
    /// `user`; for an nkey user its public key.
    pub name: String,
    /// How it proves who it is.
    pub credential: Credential,
    /// What it may do; `None`: the default of its account, or everything.
    pub permissions: Option<Permissions>,
    /// `allowed_connection_types`; empty: all.
    pub connection_types: Vec<ConnectionType>,
    /// What it may publish per second over all its connections; `None`: the server's default.
    pub publish_rate: Option<PublishRate>,
}

impl UserConfig {
    /// A user with a password, plain or as a bcrypt hash.
    #[must_use]
    pub fn with_password(name: impl Into<String>, password: impl Into<Secret>) -> Self {
        Self::new(name.into(), Credential::Password(password.into()))
    }

    /// A user with an nkey.
    #[must_use]
    pub fn with_nkey(public_key: impl Into<String>) -> Self {
        Self::new(public_key.into(), Credential::Nkey)
    }

    fn new(name: String, credential: Credential) -> Self {
        Self {
            name,
            credential,
            permissions: None,
            connection_types: Vec::new(),
            publish_rate: None,
        }
    }
}

/// How a user proves who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// A password, plain or as a bcrypt hash (`$2a$`, `$2b$`, `$2x$`, `$2y$`).
    Password(Secret),
    /// A signature of the nonce; the user's name is the public key.
    Nkey,
    /// Its TLS certificate alone (`verify_and_map`); no password ever fits.
    Certificate,
}

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether it is a bcrypt hash rather than the secret itself.
    #[must_use]
    pub fn is_bcrypt(&self) -> bool {
        let text = self.0.as_bytes();
        matches!(
            text,
            [b'$', b'2', b'a' | b'b' | b'x' | b'y', b'$', one, two, b'$', ..]
                if one.is_ascii_digit() && two.is_ascii_digit()
        )
    }
}

impl<T: Into<String>> From<T> for Secret {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// The ways a client may come by: `allowed_connection_types`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConnectionType {
    /// TCP, with or without TLS.
    Standard,
    /// WebSocket.
    Websocket,
    /// A leaf link.
    Leafnode,
    /// A leaf link over WebSocket.
    LeafnodeWs,
    /// MQTT, which is not spoken here.
    Mqtt,
    /// MQTT over WebSocket, which is not spoken here.
    MqttWs,
    /// Inside the process.
    InProcess,
}

impl ConnectionType {
    const ALL: [Self; 7] = [
        Self::Standard,
        Self::Websocket,
        Self::Leafnode,
        Self::LeafnodeWs,
        Self::Mqtt,
        Self::MqttWs,
        Self::InProcess,
    ];

    /// Its name in configuration files and JWTs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "STANDARD",
            Self::Websocket => "WEBSOCKET",
            Self::Leafnode => "LEAFNODE",
            Self::LeafnodeWs => "LEAFNODE_WS",
            Self::Mqtt => "MQTT",
            Self::MqttWs => "MQTT_WS",
            Self::InProcess => "IN_PROCESS",
        }
    }
}

impl FromStr for ConnectionType {
    type Err = super::AccountsError;

    /// Any case is understood.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut all = Self::ALL.into_iter();
        all.find(|one| one.as_str().eq_ignore_ascii_case(text))
            .ok_or_else(|| super::AccountsError::UnknownConnectionType {
                name: text.to_owned(),
            })
    }
}

/// What the clients of an account may use. `None` is the server's limit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccountLimits {
    /// Client connections at the same time.
    pub connections_max: Option<usize>,
    /// Leaf links at the same time.
    pub leafnodes_max: Option<usize>,
    /// Subscriptions of one connection, as in nats-server.
    pub subscriptions_max: Option<usize>,
    /// Headers and payload of one message together, in bytes.
    pub payload_bytes_max: Option<usize>,
}

/// What an account may use of JetStream. `None` is the server's limit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccountJetStream {
    /// Bytes of all memory streams.
    pub memory_bytes_max: Option<u64>,
    /// Bytes of all disk streams.
    pub storage_bytes_max: Option<u64>,
    /// Streams.
    pub streams_max: Option<usize>,
    /// Consumers of one stream.
    pub consumers_max: Option<usize>,
    /// `max_ack_pending` of one consumer.
    pub ack_pending_max: Option<u64>,
    /// `max_bytes` of one memory stream.
    pub memory_stream_bytes_max: Option<u64>,
    /// `max_bytes` of one disk stream.
    pub storage_stream_bytes_max: Option<u64>,
    /// Every stream must say how large it may get.
    pub bytes_max_required: bool,
}

/// How much may be published per second. Whoever is faster is read more slowly; nothing is lost. Zero is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PublishRate {
    /// Messages per second.
    pub messages: u32,
    /// Bytes of headers and payloads per second.
    pub bytes: u64,
    /// Messages that may come at once after a pause; 0: as many as in one second.
    pub burst_messages: u32,
}
