//! The auth callout: an access token in, scoped permissions out.

mod permissions;

use std::sync::Arc;

use async_trait::async_trait;
use broker::{AuthError, Authenticator, ConnectRequest};

use crate::identity::{Identity, Role};

pub use permissions::Tier;

/// The account that everybody in the appliance is in.
pub const CHAT_ACCOUNT: &str = "CHAT";

/// Decides who a connection is by the access token in its CONNECT.
///
/// Passwords and NKeys in CONNECT are not looked at: people sign in with a browser.
pub struct CalloutAuthenticator {
    identity: Arc<Identity>,
}

impl CalloutAuthenticator {
    /// An authenticator for the tokens of `identity`.
    #[must_use]
    pub fn new(identity: Arc<Identity>) -> Self {
        Self { identity }
    }

    async fn decide(&self, request: &ConnectRequest) -> Result<broker::Identity, AuthError> {
        let refused = |reason| AuthError { reason };
        let token = request
            .auth_token
            .as_deref()
            .filter(|token| !token.is_empty());
        let token = token.ok_or(refused("no token in CONNECT"))?;
        let admitted = self.identity.admit(token).await.map_err(|error| {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "cannot decide about a connection"
            );
            refused("the decision failed")
        })?;
        let admitted = admitted.map_err(|error| refused(error.0))?;
        let tier = Tier::of(&admitted.user);
        let mut identity = broker::Identity::new(admitted.user.username.clone(), CHAT_ACCOUNT);
        identity.permissions = tier.permissions(&admitted.user.username);
        identity.tags = admitted.user.roles;
        identity.expires_at = Some(admitted.expires_at);
        identity.revoked = Some(admitted.revoked);
        Ok(identity)
    }
}

#[async_trait]
impl Authenticator for CalloutAuthenticator {
    async fn authenticate(&self, request: ConnectRequest) -> Result<broker::Identity, AuthError> {
        let decided = self.decide(&request).await;
        if let Err(error) = &decided {
            tracing::info!(client_id = request.client_id, peer = %request.peer, reason = error.reason, "connection refused");
        }
        decided
    }
}

impl Tier {
    /// The tier of a user: `admin` before `user`; other roles are ignored.
    #[must_use]
    pub fn of(user: &crate::identity::User) -> Self {
        if user.has_role(Role::Admin) {
            Self::Admin
        } else if user.has_role(Role::User) {
            Self::User
        } else {
            Self::None
        }
    }
}
