//! The auth callout: somebody else decides who a connection is.
//!
//! The one who decides is a [`CalloutService`]. It may be outside, a NATS client that answers signed requests
//! ([`Callout::external`]), or in this process ([`Callout::built_in`]). What either answers is a [`Grant`], which is held
//! against the connection in one place.
//!
//! Configured users are tried first, so that switching the callout on locks nobody out. The service's own users
//! (`auth_users`) are never asked about. Nobody in the callout's account may publish requests.

mod answer;
mod external;
mod request;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;

use super::ConfigError;
use super::config::CalloutConfig;
use super::grant::{Grant, Refusal};
use crate::accounts::{AccountsConfig, AccountsError};
use crate::auth::{AuthError, Authenticator, ConnectRequest, Identity, Review};
use crate::server::WeakServer;
use external::External;

/// The subject that requests are published on.
pub(crate) const REQUEST_SUBJECT: &str = "$SYS.REQ.USER.AUTH";
/// What the session adds to the callout's own time before it gives up by itself.
const GRACE: Duration = Duration::from_secs(1);

/// Decides about logins.
#[async_trait]
pub trait CalloutService: Send + Sync {
    /// Who a client is, or why it is not let in.
    async fn decide(&self, request: &ConnectRequest) -> Result<Grant, Refusal>;
}

/// Asks a [`CalloutService`] about whoever is no configured user.
pub struct Callout {
    service: Service,
    configured: Option<Configured>,
}

enum Service {
    BuiltIn(Arc<dyn CalloutService>),
    External(Box<External>),
}

/// Users that are known without asking.
struct Configured {
    users: Arc<dyn Authenticator>,
    config: CalloutConfig,
}

impl Callout {
    /// A service in this process decides about everybody.
    #[must_use]
    pub fn built_in(service: Arc<dyn CalloutService>) -> Self {
        Self {
            service: Service::BuiltIn(service),
            configured: None,
        }
    }

    /// A NATS client decides about everybody whom `users` does not know.
    ///
    /// # Errors
    /// A key of the configuration is none, or `auth_users` is empty.
    pub fn external(
        config: CalloutConfig,
        users: Arc<dyn Authenticator>,
    ) -> Result<Self, ConfigError> {
        if config.auth_users.is_empty() {
            let text = "authorization callouts require auth_users to be set";
            return Err(ConfigError::Unusable(text.to_owned()));
        }
        Ok(Self {
            service: Service::External(Box::new(External::new(&config)?)),
            configured: Some(Configured { users, config }),
        })
    }

    /// Asks, and holds the answer against the connection.
    async fn ask(&self, request: &ConnectRequest) -> Result<Identity, AuthError> {
        let grant = match &self.service {
            Service::BuiltIn(service) => service.decide(request).await,
            Service::External(service) => service.decide(request).await,
        };
        let decided = grant.and_then(|grant| grant.admit(request, SystemTime::now()));
        if let Err(error) = &decided {
            tracing::info!(
                client_id = request.client_id,
                peer = %request.peer,
                reason = &*error.reason,
                "connection refused"
            );
        }
        match decided {
            Ok(mut identity) => {
                identity.is_delegated = true;
                Ok(identity)
            }
            Err(mut error) => {
                let config = self.configured.as_ref().map(|known| &known.config);
                error.account = config.map(|config| config.account.clone());
                Err(error)
            }
        }
    }
}

impl Configured {
    /// Whether the client says that it is one of the service's own users.
    fn is_service_user(&self, request: &ConnectRequest) -> bool {
        raw_user(request).is_some_and(|user| self.config.auth_users.iter().any(|own| own == user))
    }

    /// Whether a configured user is asked about all the same.
    fn is_delegated(&self, identity: &Identity, request: &ConnectRequest) -> bool {
        self.config.allowed_accounts.contains(&identity.account) && !self.is_service_user(request)
    }

    /// Requests come from the server alone.
    fn deny_requests(&self, mut identity: Identity) -> Identity {
        if identity.account == self.config.account {
            let deny = &mut identity.permissions.publish.deny;
            deny.push(REQUEST_SUBJECT.to_owned());
        }
        identity
    }
}

#[async_trait]
impl Authenticator for Callout {
    async fn authenticate(&self, request: ConnectRequest) -> Result<Identity, AuthError> {
        let Some(configured) = &self.configured else {
            return self.ask(&request).await;
        };
        let identity = match configured.users.authenticate(request.clone()).await {
            Ok(identity) if configured.is_delegated(&identity, &request) => {
                self.ask(&request).await
            }
            Err(_) if !configured.is_service_user(&request) => self.ask(&request).await,
            known => known,
        };
        identity.map(|identity| configured.deny_requests(identity))
    }

    fn anonymous(&self) -> Option<Identity> {
        let configured = self.configured.as_ref()?;
        let identity = configured.users.anonymous()?;
        Some(configured.deny_requests(identity))
    }

    fn wants_nonce(&self) -> bool {
        let configured = self.configured.as_ref();
        configured.is_some_and(|configured| configured.users.wants_nonce())
    }

    fn configure(&self, config: &AccountsConfig) -> Result<(), AccountsError> {
        match &self.configured {
            Some(configured) => configured.users.configure(config),
            None => Ok(()),
        }
    }

    fn review(&self, identity: &Identity) -> Review {
        let Some(configured) = self.configured.as_ref().filter(|_| !identity.is_delegated) else {
            return Review::Unchanged;
        };
        match configured.users.review(identity) {
            Review::Changed(changed) => {
                Review::Changed(Box::new(configured.deny_requests(*changed)))
            }
            other => other,
        }
    }

    fn patience(&self) -> Option<Duration> {
        match &self.service {
            Service::BuiltIn(_) => None,
            Service::External(service) => Some(service.timeout().saturating_add(GRACE)),
        }
    }

    fn attach(&self, server: &WeakServer) {
        if let Some(configured) = &self.configured {
            configured.users.attach(server);
        }
        if let Service::External(service) = &self.service {
            service.attach(server);
        }
    }

    fn detach(&self) {
        if let Some(configured) = &self.configured {
            configured.users.detach();
        }
        if let Service::External(service) = &self.service {
            service.detach();
        }
    }
}

/// By what a client says who it is: nkey, user name or token.
fn raw_user(request: &ConnectRequest) -> Option<&str> {
    let offered = [&request.nkey, &request.user, &request.auth_token];
    offered.into_iter().find_map(Option::as_deref)
}
