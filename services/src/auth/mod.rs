//! The auth callout: an access token in, scoped permissions out.

mod permissions;

use std::sync::Arc;

use async_trait::async_trait;
use broker::ConnectRequest;
use broker::jwt::{CalloutService, Grant, Refusal};

use crate::identity::{Identity, Role};

pub use permissions::Tier;

/// The account that everybody in the appliance is in.
pub const CHAT_ACCOUNT: &str = "CHAT";

/// The built-in auth service: decides who a connection is by the access token in its CONNECT.
///
/// [`Callout::built_in`](broker::jwt::Callout::built_in) asks it as it would ask a service outside. Passwords and NKeys in
/// CONNECT are not looked at: people sign in with a browser.
pub struct AuthService {
    identity: Arc<Identity>,
}

impl AuthService {
    /// A service for the tokens of `identity`.
    #[must_use]
    pub fn new(identity: Arc<Identity>) -> Self {
        Self { identity }
    }
}

#[async_trait]
impl CalloutService for AuthService {
    async fn decide(&self, request: &ConnectRequest) -> Result<Grant, Refusal> {
        let token = request
            .auth_token
            .as_deref()
            .filter(|token| !token.is_empty());
        let token = token.ok_or_else(|| Refusal::new("no token in CONNECT"))?;
        let admitted = self.identity.admit(token).await.map_err(|error| {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "cannot decide about a connection"
            );
            Refusal::new("the decision failed")
        })?;
        let admitted = admitted.map_err(|error| Refusal::new(error.0))?;
        let user = admitted.user;
        let mut grant = Grant::new(user.username.clone(), CHAT_ACCOUNT);
        grant.permissions = Tier::of(&user).permissions(&user.username);
        grant.tags = user.roles;
        grant.expires_at = Some(admitted.expires_at);
        grant.revoked = Some(admitted.revoked);
        Ok(grant)
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
