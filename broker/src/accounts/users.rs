//! Decides who a client is by the configured users.

use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use hashbrown::HashMap;

use super::config::{AccountsConfig, Credential, Secret};
use super::error::AccountsError;
use crate::auth::{AuthError, Authenticator, ConnectRequest, Identity, Permissions, Review};
use crate::server::GLOBAL_ACCOUNT;

/// Who the configured users are. Takes a new configuration while it is in use.
#[derive(Debug)]
pub struct ConfiguredUsers {
    table: RwLock<Arc<Table>>,
}

/// One configuration, in the form that a CONNECT is checked against.
#[derive(Debug, Default)]
struct Table {
    token: Option<Secret>,
    token_permissions: Permissions,
    users: HashMap<String, User>,
    anonymous: Option<Identity>,
    wants_nonce: bool,
}

#[derive(Debug)]
struct User {
    credential: Credential,
    identity: Identity,
}

impl ConfiguredUsers {
    /// Users of a configuration.
    ///
    /// # Errors
    /// The configuration contradicts itself.
    pub fn new(config: &AccountsConfig) -> Result<Arc<Self>, AccountsError> {
        config.check()?;
        Ok(Arc::new(Self {
            table: RwLock::new(Arc::new(Table::new(config))),
        }))
    }

    fn table(&self) -> Arc<Table> {
        self.table
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

#[async_trait]
impl Authenticator for ConfiguredUsers {
    async fn authenticate(&self, _request: ConnectRequest) -> Result<Identity, AuthError> {
        let table = self.table();
        match &table.anonymous {
            Some(identity) if table.users.is_empty() && table.token.is_none() => {
                Ok(identity.clone())
            }
            _ => Err(AuthError::new(
                "credentials of configured users are not checked yet",
            )),
        }
    }

    fn anonymous(&self) -> Option<Identity> {
        self.table().anonymous.clone()
    }

    fn wants_nonce(&self) -> bool {
        self.table().wants_nonce
    }

    fn configure(&self, config: &AccountsConfig) -> Result<(), AccountsError> {
        config.check()?;
        let table = Arc::new(Table::new(config));
        *self.table.write().unwrap_or_else(PoisonError::into_inner) = table;
        Ok(())
    }

    fn review(&self, _identity: &Identity) -> Review {
        Review::Unchanged
    }
}

impl Table {
    fn new(config: &AccountsConfig) -> Self {
        let mut users = HashMap::new();
        for (account, user) in config.all_users() {
            let mut identity = Identity::new(user.name.clone(), account);
            let default = match config.account(account) {
                Some(account) if account.default_permissions.is_some() => {
                    &account.default_permissions
                }
                _ => &config.default_permissions,
            };
            let permissions = user.permissions.as_ref().or(default.as_ref());
            identity.permissions = permissions.cloned().unwrap_or_default();
            let user = User {
                credential: user.credential.clone(),
                identity,
            };
            users.insert(user.identity.user.clone(), user);
        }
        let anonymous = match &config.no_auth_user {
            Some(name) => users.get(name).map(|user| user.identity.clone()),
            None if config.requires_auth() => None,
            None => Some(Identity::new("", GLOBAL_ACCOUNT)),
        };
        Self {
            token: config.token.clone(),
            token_permissions: config.default_permissions.clone().unwrap_or_default(),
            wants_nonce: users
                .values()
                .any(|user| user.credential == Credential::Nkey),
            users,
            anonymous,
        }
    }
}
