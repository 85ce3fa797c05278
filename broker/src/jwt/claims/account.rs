//! Claims of type `account`: users' home, its exchange with others, its limits.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::user::UserLimits;
use super::{NatsClaims, PermissionsClaim, is_default, nullable};
use crate::jwt::envelope::{OPERATORS, VERSION};
use crate::jwt::nkey::{KeyKind, PublicKey};

/// What an account is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountClaims {
    /// What it takes from others.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "is_default"
    )]
    pub imports: Vec<Import>,
    /// What it gives to others.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "is_default"
    )]
    pub exports: Vec<Export>,
    /// Its limits.
    #[serde(default, deserialize_with = "nullable")]
    pub limits: AccountLimitsClaim,
    /// Keys that sign users for it, beside its own.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "is_default"
    )]
    pub signing_keys: Vec<SigningKey>,
    /// Users, by key or `*`, whose JWT is void if it was issued at this second or before.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "is_default"
    )]
    pub revocations: BTreeMap<String, i64>,
    /// Permissions of users that have none.
    #[serde(default, deserialize_with = "nullable")]
    pub default_permissions: PermissionsClaim,
    /// Subject mappings.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "is_default"
    )]
    pub mappings: BTreeMap<String, Vec<Mapping>>,
    /// Its auth callout.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "is_default"
    )]
    pub authorization: AccountAuthorization,
    /// Tags, values for templates.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "is_default"
    )]
    pub tags: Vec<String>,
    r#type: String,
    version: i64,
}

impl NatsClaims for AccountClaims {
    const TYPE: &'static str = "account";
    const ISSUERS: &'static [KeyKind] = OPERATORS;
}

impl Default for AccountClaims {
    /// An account without limits, and without JetStream.
    fn default() -> Self {
        Self {
            imports: Vec::new(),
            exports: Vec::new(),
            limits: AccountLimitsClaim::unlimited(),
            signing_keys: Vec::new(),
            revocations: BTreeMap::new(),
            default_permissions: PermissionsClaim::default(),
            mappings: BTreeMap::new(),
            authorization: AccountAuthorization::default(),
            tags: Vec::new(),
            r#type: Self::TYPE.to_owned(),
            version: VERSION,
        }
    }
}

/// Stream or service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExportKind {
    /// Messages go from exporter to importer.
    Stream,
    /// Requests go from importer to exporter, answers back.
    Service,
    /// Anything else, which nobody can use.
    #[default]
    #[serde(other)]
    Unknown,
}

/// Something taken from another account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Import {
    /// A name for people.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "is_default"
    )]
    pub name: String,
    /// The subject: in the exporter's account, except for a service whose `to` or `local_subject` renames it.
    #[serde(default, deserialize_with = "nullable")]
    pub subject: String,
    /// The exporting account.
    #[serde(default, deserialize_with = "nullable")]
    pub account: String,
    /// The activation, for an export that asks for one.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "is_default"
    )]
    pub token: String,
    /// A prefix for streams; for services the subject in the exporter's account. `local_subject` replaced it.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "is_default"
    )]
    pub to: String,
    /// The subject in the importing account.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "is_default"
    )]
    pub local_subject: String,
    /// Stream or service.
    #[serde(default, rename = "type", deserialize_with = "nullable")]
    pub kind: ExportKind,
    /// The service hears who asks.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "is_default"
    )]
    pub share: bool,
    /// Message traces cross into the exporter's account.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "is_default"
    )]
    pub allow_trace: bool,
}

/// Something offered to other accounts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Export {
    /// A name for people.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "is_default"
    )]
    pub name: String,
    /// The subject.
    #[serde(default, deserialize_with = "nullable")]
    pub subject: String,
    /// Stream or service.
    #[serde(default, rename = "type", deserialize_with = "nullable")]
    pub kind: ExportKind,
    /// Only with an activation.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "is_default"
    )]
    pub token_req: bool,
    /// Accounts, by key or `*`, whose activation is void if it was issued at this second or before.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "is_default"
    )]
    pub revocations: BTreeMap<String, i64>,
    /// `Singleton`, `Stream` or `Chunked`.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "is_default"
    )]
    pub response_type: String,
    /// How long answers are waited for, in nanoseconds.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "is_default"
    )]
    pub response_threshold: i64,
    /// The token of the subject that is the importer's key, counted from 1.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "is_default"
    )]
    pub account_token_position: usize,
    /// Message traces of importers cross into this account.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "is_default"
    )]
    pub allow_trace: bool,
}

/// Limits of an account; -1 is none, and what is absent is 0.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AccountLimitsClaim {
    /// Subscriptions.
    pub subs: i64,
    /// Bytes in all.
    pub data: i64,
    /// Bytes of one message.
    pub payload: i64,
    /// Imports.
    pub imports: i64,
    /// Exports.
    pub exports: i64,
    /// Exports may have wildcards.
    pub wildcards: bool,
    /// Users' JWTs alone do not let in.
    #[serde(skip_serializing_if = "is_default")]
    pub disallow_bearer: bool,
    /// Client connections.
    pub conn: i64,
    /// Leaf node connections.
    pub leaf: i64,
    /// JetStream for the account as a whole.
    #[serde(flatten)]
    pub jetstream: JetStreamClaim,
    /// JetStream by tier, `R1` to `R5`.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "is_default")]
    pub tiered_limits: BTreeMap<String, JetStreamClaim>,
}

impl AccountLimitsClaim {
    /// No limits, and no JetStream.
    #[must_use]
    pub fn unlimited() -> Self {
        Self {
            subs: -1,
            data: -1,
            payload: -1,
            imports: -1,
            exports: -1,
            wildcards: true,
            disallow_bearer: false,
            conn: -1,
            leaf: -1,
            jetstream: JetStreamClaim::default(),
            tiered_limits: BTreeMap::new(),
        }
    }
}

/// What an account may keep; without storage it has no JetStream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct JetStreamClaim {
    /// Bytes in memory; -1 is any number.
    #[serde(skip_serializing_if = "is_default")]
    pub mem_storage: i64,
    /// Bytes on disk; -1 is any number.
    #[serde(skip_serializing_if = "is_default")]
    pub disk_storage: i64,
    /// Streams; 0 and -1 are any number.
    #[serde(skip_serializing_if = "is_default")]
    pub streams: i64,
    /// Consumers; 0 and -1 are any number.
    #[serde(skip_serializing_if = "is_default")]
    pub consumer: i64,
    /// Unacknowledged messages of one consumer.
    #[serde(skip_serializing_if = "is_default")]
    pub max_ack_pending: i64,
    /// Bytes of one stream in memory.
    #[serde(skip_serializing_if = "is_default")]
    pub mem_max_stream_bytes: i64,
    /// Bytes of one stream on disk.
    #[serde(skip_serializing_if = "is_default")]
    pub disk_max_stream_bytes: i64,
    /// Streams must have `max_bytes`.
    #[serde(skip_serializing_if = "is_default")]
    pub max_bytes_required: bool,
}

impl JetStreamClaim {
    /// Whether there is JetStream at all.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.mem_storage != 0 || self.disk_storage != 0
    }
}

/// A key that signs users for the account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SigningKey {
    /// Users have the permissions of their own JWT.
    Plain(PublicKey),
    /// Users have the permissions of the scope.
    Scoped(Box<Scope>),
}

impl SigningKey {
    /// The key.
    #[must_use]
    pub fn key(&self) -> PublicKey {
        match self {
            Self::Plain(key) => *key,
            Self::Scoped(scope) => scope.key,
        }
    }
}

/// A signing key with what its users may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// `user_scope`.
    #[serde(default, deserialize_with = "nullable")]
    pub kind: String,
    /// The key.
    pub key: PublicKey,
    /// A name for people.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "is_default"
    )]
    pub role: String,
    /// Permissions and limits, with templates.
    #[serde(default, deserialize_with = "nullable")]
    pub template: UserLimits,
}

/// A subject that a mapping leads to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Mapping {
    /// The destination.
    pub subject: String,
    /// Percent of the messages; 0 is all.
    #[serde(skip_serializing_if = "is_default")]
    pub weight: u8,
    /// Only in this cluster.
    #[serde(skip_serializing_if = "is_default")]
    pub cluster: String,
}

/// The auth callout of an account in operator mode.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AccountAuthorization {
    /// Users, by key, that are not asked about.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "is_default")]
    pub auth_users: Vec<String>,
    /// Accounts that the service may put users into; `*` is all.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "is_default")]
    pub allowed_accounts: Vec<String>,
    /// Requests are sealed for this key.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "is_default")]
    pub xkey: String,
}
