//! Decides who a client is by the configured users.
//!
//! The order is nats-server's: a signed nkey, the certificate where the listener says so, a user name with its password, the
//! token; and `no_auth_user` only for who shows none of these. A listener with credentials of its own asks for those alone.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use hashbrown::HashMap;

use super::config::{AccountsConfig, ConnectionType, Credential, PublishRate, Secret, UserConfig};
use super::error::AccountsError;
use super::passwords::Passwords;
use crate::auth::{AuthError, Authenticator, ConnectRequest, ConnectionKind, Identity, Review};
use crate::jwt::{KeyKind, PublicKey};
use crate::listen::config::ListenerAuthorization;
use crate::rate::PublishBudget;
use crate::server::GLOBAL_ACCOUNT;

/// Who the configured users are. Takes a new configuration while it is in use.
#[derive(Debug)]
pub struct ConfiguredUsers {
    table: RwLock<Arc<Table>>,
    passwords: Passwords,
    /// Makes digests of credentials that mean nothing outside of this process.
    digests: RandomState,
}

/// One configuration, in the form that a CONNECT is checked against.
#[derive(Debug, Default)]
struct Table {
    token: Option<(Secret, Identity)>,
    users: HashMap<String, User>,
    anonymous: Option<Anonymous>,
    wants_nonce: bool,
    /// A hash that some user has: looked at for names that nobody has, so that both take the same time.
    decoy: Option<Secret>,
}

#[derive(Debug)]
struct User {
    credential: Credential,
    connection_types: Vec<ConnectionType>,
    rate: Option<PublishRate>,
    identity: Identity,
}

/// Who a client without credentials is.
#[derive(Debug)]
enum Anonymous {
    /// Whoever, in `$G`, with or without credentials: there are no users.
    Everybody(Box<Identity>),
    /// `no_auth_user`.
    User(String),
}

impl ConfiguredUsers {
    /// Users of a configuration.
    ///
    /// # Errors
    /// The configuration contradicts itself.
    pub fn new(config: &AccountsConfig) -> Result<Arc<Self>, AccountsError> {
        config.check()?;
        let digests = RandomState::new();
        let table = Table::new(config, &Table::default(), &digests);
        Ok(Arc::new(Self {
            table: RwLock::new(Arc::new(table)),
            passwords: Passwords::new(),
            digests,
        }))
    }

    fn table(&self) -> Arc<Table> {
        self.table
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    async fn decide(&self, table: &Table, request: &ConnectRequest) -> Result<Identity, AuthError> {
        if let Some(authorization) = &request.authorization {
            return self.decide_by_listener(table, authorization, request).await;
        }
        if let Some(Anonymous::Everybody(identity)) = &table.anonymous {
            return Ok(Identity::clone(identity));
        }
        if let Some(key) = &request.nkey {
            return table.signed(key, request);
        }
        if let Some(user) = table.mapped(request) {
            return user.admitted(request.kind);
        }
        if let Some(name) = &request.user {
            return self.decide_by_password(table, name, request).await;
        }
        if let Some(given) = &request.auth_token {
            return match &table.token {
                Some((token, identity)) if self.passwords.fits(token, given).await => {
                    Ok(identity.clone())
                }
                Some(_) => Err(refused("wrong token")),
                None => Err(refused("no token is configured")),
            };
        }
        let name = request.no_auth_user.as_ref().or(match &table.anonymous {
            Some(Anonymous::User(name)) => Some(name),
            _ => None,
        });
        match name.and_then(|name| table.users.get(name)) {
            Some(user) if request.pass.is_none() => user.admitted(request.kind),
            _ => Err(refused("no credentials")),
        }
    }

    async fn decide_by_password(
        &self,
        table: &Table,
        name: &str,
        request: &ConnectRequest,
    ) -> Result<Identity, AuthError> {
        let given = request.pass.as_deref().unwrap_or_default();
        let user = table.users.get(name);
        let Some(Credential::Password(stored)) = user.map(|user| &user.credential) else {
            if let Some(decoy) = &table.decoy {
                self.passwords.fits(decoy, given).await;
            }
            return Err(refused("user unknown"));
        };
        if !self.passwords.fits(stored, given).await {
            return Err(refused("wrong password"));
        }
        match user {
            Some(user) => user.admitted(request.kind),
            None => Err(refused("user unknown")),
        }
    }

    /// A listener's own credentials: its token or user, who is then one of the configured users if there is one of that
    /// name, and else somebody in `$G`.
    async fn decide_by_listener(
        &self,
        table: &Table,
        authorization: &ListenerAuthorization,
        request: &ConnectRequest,
    ) -> Result<Identity, AuthError> {
        let fits = |stored: &Option<String>, given: &Option<String>| {
            let pair = stored.clone().map(Secret::from).zip(given.clone());
            async move {
                match pair {
                    Some((stored, given)) => self.passwords.fits(&stored, &given).await,
                    None => false,
                }
            }
        };
        if authorization.token.is_some() {
            return if fits(&authorization.token, &request.auth_token).await {
                Ok(Identity::new("", GLOBAL_ACCOUNT))
            } else {
                Err(refused("wrong token"))
            };
        }
        if authorization.user.is_none() || authorization.user != request.user {
            return Err(refused("user unknown"));
        }
        if !fits(&authorization.password, &request.pass).await {
            return Err(refused("wrong password"));
        }
        let name = authorization.user.clone().unwrap_or_default();
        match table.users.get(&name) {
            Some(user) => user.admitted(request.kind),
            None => Ok(Identity::new(name, GLOBAL_ACCOUNT)),
        }
    }
}

#[async_trait]
impl Authenticator for ConfiguredUsers {
    async fn authenticate(&self, request: ConnectRequest) -> Result<Identity, AuthError> {
        let table = self.table();
        self.decide(&table, &request).await
    }

    fn anonymous(&self) -> Option<Identity> {
        let table = self.table();
        match &table.anonymous {
            Some(Anonymous::Everybody(identity)) => Some(Identity::clone(identity)),
            Some(Anonymous::User(name)) => table.users.get(name).map(|user| user.identity.clone()),
            None => None,
        }
    }

    fn wants_nonce(&self) -> bool {
        self.table().wants_nonce
    }

    fn configure(&self, config: &AccountsConfig) -> Result<(), AccountsError> {
        config.check()?;
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        let new = Table::new(config, &table, &self.digests);
        *table = Arc::new(new);
        Ok(())
    }

    fn review(&self, identity: &Identity) -> Review {
        let table = self.table();
        let now = match (identity.user.as_str(), &table.token, &table.anonymous) {
            ("", _, Some(Anonymous::Everybody(everybody))) => Some(&**everybody),
            ("", Some((_, token)), _) => Some(token),
            (name, ..) => table.users.get(name).map(|user| &user.identity),
        };
        match now {
            Some(now) if now.account != identity.account => Review::Refused,
            Some(now) if now.credential != identity.credential => Review::Refused,
            Some(now) if now == identity => Review::Unchanged,
            Some(now) => Review::Changed(Box::new(now.clone())),
            None => Review::Refused,
        }
    }
}

impl Table {
    fn new(config: &AccountsConfig, old: &Self, digests: &RandomState) -> Self {
        let mut users = HashMap::new();
        for (account, user) in config.all_users() {
            let made = User::new(config, account, user, old, digests);
            users.insert(user.name.clone(), made);
        }
        let token = config.token.clone().map(|token| {
            let mut identity = Identity::new("", GLOBAL_ACCOUNT);
            identity.permissions = config.default_permissions.clone().unwrap_or_default();
            identity.credential = Some(digests.hash_one(token.expose()));
            (token, identity)
        });
        let anonymous = match &config.no_auth_user {
            Some(name) => Some(Anonymous::User(name.clone())),
            None if config.requires_auth() => None,
            None => Some(Anonymous::Everybody(Box::new(Identity::new(
                "",
                GLOBAL_ACCOUNT,
            )))),
        };
        let hash = |user: &User| match &user.credential {
            Credential::Password(secret) if secret.is_bcrypt() => Some(secret.clone()),
            _ => None,
        };
        let is_nkey = |user: &User| user.credential == Credential::Nkey;
        Self {
            token,
            wants_nonce: users.values().any(is_nkey),
            decoy: users.values().find_map(hash),
            users,
            anonymous,
        }
    }

    /// Whoever signed the nonce with the key of a user.
    fn signed(&self, key: &str, request: &ConnectRequest) -> Result<Identity, AuthError> {
        let user = self.users.get(key);
        let user = user.filter(|user| user.credential == Credential::Nkey);
        let user = user.ok_or_else(|| refused("nkey unknown"))?;
        let (Some(nonce), Some(signature)) = (&request.nonce, &request.sig) else {
            return Err(refused("nonce not signed"));
        };
        let key = PublicKey::parse_as(key, KeyKind::User).map_err(|_| refused("nkey unknown"))?;
        if !key.verifies_text(nonce.as_bytes(), signature) {
            return Err(refused("signature does not fit the nonce"));
        }
        user.admitted(request.kind)
    }

    /// The user that a certificate names, where the listener takes it for that.
    fn mapped(&self, request: &ConnectRequest) -> Option<&User> {
        let tls = request.tls.as_ref().filter(|tls| tls.maps_user)?;
        let names = tls.certificate()?.user_names();
        names.filter_map(|name| self.users.get(name)).next()
    }
}

impl User {
    fn new(
        config: &AccountsConfig,
        account: &str,
        user: &UserConfig,
        old: &Table,
        digests: &RandomState,
    ) -> Self {
        let mut identity = Identity::new(user.name.clone(), account);
        let own = config.account(account);
        let default = match own.and_then(|account| account.default_permissions.as_ref()) {
            Some(default) => Some(default),
            None if account == GLOBAL_ACCOUNT => config.default_permissions.as_ref(),
            None => None,
        };
        let permissions = user.permissions.as_ref().or(default);
        identity.permissions = permissions.cloned().unwrap_or_default();
        identity.credential = Some(digests.hash_one(match &user.credential {
            Credential::Password(secret) => secret.expose(),
            Credential::Nkey => "nkey",
            Credential::Certificate => "certificate",
        }));
        let rate = user.publish_rate.or(config.publish_rate);
        let before = old.users.get(&user.name).filter(|old| old.rate == rate);
        identity.publish_budget = match before {
            // What was used up stays used up.
            Some(before) => before.identity.publish_budget.clone(),
            None => rate.map(PublishBudget::new),
        };
        Self {
            credential: user.credential.clone(),
            connection_types: user.connection_types.clone(),
            rate,
            identity,
        }
    }

    /// The user's identity, if it may come this way.
    fn admitted(&self, kind: ConnectionKind) -> Result<Identity, AuthError> {
        let allowed = &self.connection_types;
        if allowed.is_empty() || allowed.contains(&kind.connection_type()) {
            Ok(self.identity.clone())
        } else {
            Err(refused("connection type not allowed"))
        }
    }
}

fn refused(reason: &'static str) -> AuthError {
    AuthError::new(reason)
}
