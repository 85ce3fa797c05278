//! The answer: checked in nats-server's order, until it is a grant or a refusal.

use std::time::SystemTime;

use crate::jwt::claims::{AuthorizationResponse, UserClaims, UserLimits};
use crate::jwt::envelope::Claims;
use crate::jwt::grant::{Grant, Refusal};
use crate::jwt::nkey::{KeyKind, PublicKey};

/// What an answer must fit.
pub(super) struct Expected {
    /// The server that asked.
    pub(super) server: PublicKey,
    /// The key of the request.
    pub(super) user: PublicKey,
    /// Who may answer.
    pub(super) issuer: PublicKey,
}

impl Expected {
    /// Reads an answer. `has_account` says whether the server has an account of that name.
    pub(super) fn grant(
        &self,
        answer: &str,
        now: SystemTime,
        has_account: impl Fn(&str) -> bool,
    ) -> Result<Grant, Refusal> {
        if answer.is_empty() {
            return Err(Refusal::new("auth callout violation: no reason supplied"));
        }
        let response = Claims::<AuthorizationResponse>::decode(answer)
            .map_err(|error| Refusal::new(format!("auth callout response: {error}")))?;
        match PublicKey::parse_as(&response.aud, KeyKind::Server) {
            Ok(audience) if audience == self.server => {}
            _ => {
                return Err(Refusal::new(
                    "auth callout response is for another audience",
                ));
            }
        }
        if response.sub != self.user {
            return Err(Refusal::new("auth callout response is for another user"));
        }
        if !response.nats.error.is_empty() {
            return Err(Refusal::new(format!(
                "Auth callout service returned an error: {}",
                shortened(&response.nats.error)
            )));
        }
        if response.iss != self.issuer {
            return Err(Refusal::new(
                "auth callout response: signing key is unknown",
            ));
        }
        if !response.is_current(now) {
            return Err(Refusal::new("auth callout response has expired"));
        }
        self.user_grant(&response.nats.jwt, now, has_account)
    }

    fn user_grant(
        &self,
        jwt: &str,
        now: SystemTime,
        has_account: impl Fn(&str) -> bool,
    ) -> Result<Grant, Refusal> {
        let user = Claims::<UserClaims>::decode(jwt)
            .map_err(|error| Refusal::new(format!("auth callout user JWT: {error}")))?;
        if !user.is_current(now) {
            return Err(Refusal::new("auth callout user JWT is not current"));
        }
        if user.sub != self.user {
            return Err(Refusal::new("auth callout user JWT is for another user"));
        }
        if user.iss != self.issuer || user.nats.issuer_account.is_some() {
            return Err(Refusal::new("auth callout user JWT has a wrong issuer"));
        }
        if user.aud.is_empty() || !has_account(&user.aud) {
            return Err(Refusal::new("auth callout user JWT names no valid account"));
        }
        // Subscriptions and payload of the JWT do not bind the connection here, as in nats-server.
        let limits: &UserLimits = &user.nats.limits;
        Ok(Grant::of_user(&user, user.aud.clone(), limits))
    }
}

/// A service's words go to the log; not all of them.
fn shortened(text: &str) -> String {
    text.chars().take(256).collect()
}
