//! Claims of type `user`, and the permissions and limits that user JWTs, scopes and account defaults share.

use serde::{Deserialize, Serialize};

use super::{NatsClaims, is_default, nullable};
use crate::auth::{Permissions, ResponsePermission, SubjectPermissions};
use crate::jwt::envelope::{ACCOUNTS, VERSION};
use crate::jwt::nkey::{KeyKind, PublicKey};

/// What a user may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserClaims {
    /// Permissions and limits; absent in a user that a scoped key signed.
    #[serde(flatten)]
    pub limits: UserLimits,
    /// The account, when a signing key of it signed and not the account's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer_account: Option<PublicKey>,
    /// Tags: roles of the connection, and values for templates.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "is_default"
    )]
    pub tags: Vec<String>,
    r#type: String,
    version: i64,
}

impl NatsClaims for UserClaims {
    const TYPE: &'static str = "user";
    const ISSUERS: &'static [KeyKind] = ACCOUNTS;
}

impl Default for UserClaims {
    fn default() -> Self {
        Self {
            limits: UserLimits::default(),
            issuer_account: None,
            tags: Vec::new(),
            r#type: Self::TYPE.to_owned(),
            version: VERSION,
        }
    }
}

impl UserClaims {
    /// A user with these permissions and limits.
    #[must_use]
    pub fn new(limits: UserLimits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }
}

/// Permissions and limits of a user, or of all users of a scope.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserLimits {
    /// What may be published and subscribed.
    #[serde(flatten)]
    pub permissions: PermissionsClaim,
    /// Networks (`10.0.0.0/8`) the client may come from; empty is everywhere.
    #[serde(
        default,
        deserialize_with = "networks",
        skip_serializing_if = "is_default"
    )]
    pub src: Vec<String>,
    /// Times of the day at which the client may be connected; empty is always.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "is_default"
    )]
    pub times: Vec<TimeRange>,
    /// Time zone of `times`; empty is the server's.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "is_default"
    )]
    pub times_location: String,
    /// Subscriptions; -1 is any number.
    #[serde(default, deserialize_with = "nullable")]
    pub subs: i64,
    /// Bytes in all; -1 is any number. Kept and not counted, as in nats-server.
    #[serde(default, deserialize_with = "nullable")]
    pub data: i64,
    /// Bytes of one message; -1 is any number.
    #[serde(default, deserialize_with = "nullable")]
    pub payload: i64,
    /// The JWT alone lets in: no signature of the nonce.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "is_default"
    )]
    pub bearer_token: bool,
    /// Only through a trusted proxy.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "is_default"
    )]
    pub proxy_required: bool,
    /// `STANDARD`, `WEBSOCKET`, ...; empty is every kind.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "is_default"
    )]
    pub allowed_connection_types: Vec<String>,
}

impl UserLimits {
    /// No permission lists, no limits.
    #[must_use]
    pub fn unlimited() -> Self {
        Self {
            subs: -1,
            data: -1,
            payload: -1,
            ..Self::default()
        }
    }
}

/// `pub`, `sub` and `resp`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PermissionsClaim {
    /// Subjects to publish to.
    #[serde(default, rename = "pub", deserialize_with = "nullable")]
    pub publish: SubjectsClaim,
    /// Subjects to subscribe to; `"subject queue"` names a queue group.
    #[serde(default, rename = "sub", deserialize_with = "nullable")]
    pub subscribe: SubjectsClaim,
    /// Whether received requests may be answered.
    #[serde(default, rename = "resp", skip_serializing_if = "Option::is_none")]
    pub responses: Option<ResponseClaim>,
}

impl PermissionsClaim {
    /// Whether nothing at all is said, so that the account's defaults hold.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The same in the broker's terms. An empty list says nothing, as in nats-server.
    #[must_use]
    pub fn to_permissions(&self) -> Permissions {
        let lists = |claim: &SubjectsClaim| SubjectPermissions {
            allow: (!claim.allow.is_empty()).then(|| claim.allow.clone()),
            deny: claim.deny.clone(),
        };
        Permissions {
            publish: lists(&self.publish),
            subscribe: lists(&self.subscribe),
            allow_responses: self.responses.as_ref().map(ResponseClaim::to_permission),
            private_inboxes: false,
        }
    }
}

/// Allow and deny lists.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubjectsClaim {
    /// Empty allows everything.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "is_default"
    )]
    pub allow: Vec<String>,
    /// Denied whatever `allow` says.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "is_default"
    )]
    pub deny: Vec<String>,
}

/// How often and for how long a request may be answered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResponseClaim {
    /// Answers per request; 0 is the default of 1, a negative number any number.
    #[serde(default, deserialize_with = "nullable")]
    pub max: i64,
    /// Nanoseconds; 0 is the default of two minutes, a negative number for ever.
    #[serde(default, deserialize_with = "nullable")]
    pub ttl: i64,
}

impl ResponseClaim {
    fn to_permission(&self) -> ResponsePermission {
        let max = i32::try_from(self.max).unwrap_or(if self.max < 0 { -1 } else { i32::MAX });
        let expires = u64::try_from(self.ttl)
            .map_or(std::time::Duration::MAX, std::time::Duration::from_nanos);
        ResponsePermission { max, expires }
    }
}

/// From `start` to `end`, `15:04:05` each.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeRange {
    /// Begin.
    #[serde(default)]
    pub start: String,
    /// End; before the begin it is that of the next day.
    #[serde(default)]
    pub end: String,
}

/// Networks are a list, or one text with commas as older tools wrote it.
fn networks<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Form {
        List(Vec<String>),
        Text(String),
    }
    Ok(match Option::<Form>::deserialize(deserializer)? {
        None => Vec::new(),
        Some(Form::List(list)) => list,
        Some(Form::Text(text)) => text
            .split(',')
            .map(|network| network.trim().to_owned())
            .filter(|network| !network.is_empty())
            .collect(),
    })
}
