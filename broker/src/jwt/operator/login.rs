//! A user JWT in CONNECT: who it is, and what it may do.

use std::time::SystemTime;

use super::account::Account;
use super::template;
use crate::auth::{AuthError, ConnectRequest, ConnectionLimits, JwtOrigin};
use crate::jwt::claims::{UserClaims, UserLimits};
use crate::jwt::envelope::Claims;
use crate::jwt::grant::Grant;
use crate::jwt::nkey::{KeyKind, PublicKey};

/// A user JWT whose holder proved that it is the user, or need not.
pub(super) struct Login {
    pub(super) user: Claims<UserClaims>,
    /// The account that the user claims to be of.
    pub(super) account: PublicKey,
}

impl Login {
    /// Reads the JWT of a CONNECT and checks the nonce's signature, before the account is even looked for. Whether a bearer
    /// JWT is enough by itself is said by the JWT, or by the scope that only the account knows: see [`Login::grant`].
    pub(super) fn read(jwt: &str, now: SystemTime) -> Result<Self, AuthError> {
        let user = Claims::<UserClaims>::decode(jwt)
            .map_err(|error| AuthError::new(format!("user JWT: {error}")))?;
        if user.sub.kind() != KeyKind::User {
            return Err(AuthError::new("user JWT: the subject is no user"));
        }
        if !user.is_current(now) {
            return Err(AuthError::new("user JWT is not current"));
        }
        let account = user.nats.issuer_account.unwrap_or(user.iss);
        Ok(Self { user, account })
    }

    /// What the user is granted, by its own claims or by its scope.
    pub(super) fn grant(
        &self,
        account: &Account,
        request: &ConnectRequest,
        now: SystemTime,
    ) -> Result<Grant, AuthError> {
        let user = &self.user;
        let refuse = |reason: &'static str| Err(AuthError::new(reason));
        if !account.is_current(now) {
            return refuse("account JWT has expired");
        }
        let Some(scope) = account.signer(&user.iss) else {
            return refuse("user JWT issuer is not known");
        };
        let limits = match scope {
            None => user.nats.limits.clone(),
            Some(_) if user.nats.limits != UserLimits::default() => {
                return refuse("a user of a scoped key must have no permissions of its own");
            }
            Some(scope) => template::fill(&scope.template, user, account)?,
        };
        self.prove(&limits, account, request)?;
        if account.has_revoked(&user.sub, user.iat) {
            return refuse("user authentication revoked");
        }
        let mut grant = Grant::of_user(user, account.key.to_string(), &limits);
        user.sub.to_string().clone_into(&mut grant.user);
        if limits.permissions.is_empty() {
            let defaults = &account.claims.nats.default_permissions;
            grant.permissions = defaults.to_permissions();
        }
        grant.limits = connection_limits(&limits);
        let ends = [grant.expires_at, account.claims.expires_at()];
        grant.expires_at = ends.into_iter().flatten().min();
        grant.origin = Some(JwtOrigin {
            user: user.sub.to_string(),
            issuer: user.iss.to_string(),
            issued_at: user.iat,
            name: user.name.clone(),
            account_name: account.claims.name.clone(),
        });
        Ok(grant)
    }

    /// Whoever has a bearer JWT is the user; everybody else signs the nonce.
    fn prove(
        &self,
        limits: &UserLimits,
        account: &Account,
        request: &ConnectRequest,
    ) -> Result<(), AuthError> {
        if limits.bearer_token {
            return if account.claims.nats.limits.disallow_bearer {
                Err(AuthError::new("account does not allow bearer tokens"))
            } else {
                Ok(())
            };
        }
        let (Some(nonce), Some(signature)) = (&request.nonce, &request.sig) else {
            return Err(AuthError::new("user JWT without a signature of the nonce"));
        };
        if self.user.sub.verifies_text(nonce.as_bytes(), signature) {
            Ok(())
        } else {
            Err(AuthError::new(
                "the signature of the nonce is not the user's",
            ))
        }
    }
}

/// -1 is no limit; everything else is one, 0 too.
fn connection_limits(limits: &UserLimits) -> ConnectionLimits {
    let limit = |value: i64| usize::try_from(value).ok();
    ConnectionLimits {
        payload_bytes_max: limit(limits.payload),
        subscriptions_max: limit(limits.subs),
    }
}
