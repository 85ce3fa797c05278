//! The claims of each type, as they stand under `nats`. Unknown members are passed over.

mod account;
mod callout;
mod operator;
mod user;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use account::{
    AccountAuthorization, AccountClaims, AccountLimitsClaim, Export, ExportKind, Import,
    JetStreamClaim, Mapping, Scope, SigningKey,
};
pub use callout::{
    AuthorizationRequest, AuthorizationResponse, ClientInfo, ClientTls, ConnectClaims, ServerId,
};
pub use operator::{ActivationClaims, OperatorClaims};
pub use user::{PermissionsClaim, ResponseClaim, SubjectsClaim, TimeRange, UserClaims, UserLimits};

use super::nkey::KeyKind;

/// One type of claims.
pub trait NatsClaims: Serialize + DeserializeOwned {
    /// `nats.type`.
    const TYPE: &'static str;
    /// Kinds of keys that may sign such claims.
    const ISSUERS: &'static [KeyKind];
}

/// `null` where a list, a map or a number belongs is its default: Go writes empty ones so.
fn nullable<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// Absent members of claims are not written.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
