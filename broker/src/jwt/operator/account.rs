//! One account of operator mode, as its claims say.

use std::collections::BTreeMap;
use std::time::SystemTime;

use hashbrown::HashMap;

use super::trust::Trust;
use crate::auth::AuthError;
use crate::jwt::claims::{AccountClaims, Scope, SigningKey};
use crate::jwt::envelope::Claims;
use crate::jwt::nkey::PublicKey;

/// An account whose claims were found good.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) key: PublicKey,
    pub(super) claims: Claims<AccountClaims>,
    pub(super) jwt: String,
    /// Who signs users for it; with a scope, what those users may do.
    signers: HashMap<PublicKey, Option<Box<Scope>>>,
}

impl Account {
    /// Reads an account JWT; the operator that signed it must be trusted.
    pub(super) fn decode(jwt: &str, trust: &Trust) -> Result<Self, AuthError> {
        let refuse = |reason: String| AuthError::new(reason);
        let claims = Claims::<AccountClaims>::decode(jwt)
            .map_err(|error| refuse(format!("account JWT: {error}")))?;
        if !trust.trusts(&claims.iss) {
            return Err(refuse(format!(
                "account JWT: operator {} is not trusted",
                claims.iss
            )));
        }
        let own = (!trust.is_strict(&claims.iss)).then_some((claims.sub, None));
        let keys = claims.nats.signing_keys.iter().map(|key| match key {
            SigningKey::Plain(key) => (*key, None),
            SigningKey::Scoped(scope) => (scope.key, Some(scope.clone())),
        });
        Ok(Self {
            key: claims.sub,
            signers: own.into_iter().chain(keys).collect(),
            jwt: jwt.to_owned(),
            claims,
        })
    }

    pub(super) fn is_current(&self, now: SystemTime) -> bool {
        self.claims.is_current(now)
    }

    /// Whether a key signs users for the account, and if so, their scope.
    pub(super) fn signer(&self, key: &PublicKey) -> Option<Option<&Scope>> {
        self.signers.get(key).map(Option::as_deref)
    }

    /// Whether a user whose JWT was issued then has been revoked.
    pub(super) fn has_revoked(&self, user: &PublicKey, issued_at: i64) -> bool {
        is_revoked(&self.claims.nats.revocations, user, issued_at)
    }
}

/// Whether a list of revocations, by key or `*`, covers what was issued then.
pub(super) fn is_revoked(
    revocations: &BTreeMap<String, i64>,
    key: &PublicKey,
    issued_at: i64,
) -> bool {
    let covers = |name: &str| revocations.get(name).is_some_and(|at| *at >= issued_at);
    !revocations.is_empty() && (covers("*") || covers(&key.to_string()))
}
