//! Operator mode: operators sign accounts, accounts sign users, and whoever shows a chain of signatures is let in.
//!
//! - `trust` which operators; `account` one account; `login` a user's JWT; `template` permissions of a scope.
//! - `resolver` where account JWTs come from (`directory`, `http`); `requests` how they are changed while the server runs.
//! - `build` what accounts share, as the configuration of [`crate::accounts`].

mod account;
mod build;
mod directory;
mod http;
mod login;
mod requests;
mod resolver;
mod template;
#[cfg(test)]
mod tests;
mod trust;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use async_trait::async_trait;
use hashbrown::{HashMap, HashSet};

use self::account::Account;
use self::login::Login;
use self::resolver::Resolver;
use self::trust::Trust;
use super::ConfigError;
use super::config::OperatorConfig;
use super::nkey::{KeyKind, PublicKey};
use crate::accounts::AccountsConfig;
use crate::auth::{AuthError, Authenticator, ConnectRequest, Identity, Review};
use crate::limits::OPERATOR_ACCOUNTS_MAX;
use crate::server::{Server, WeakServer};

/// Decides by user JWTs. Clones are handles on the same one.
#[derive(Clone)]
pub struct OperatorMode {
    inner: Arc<Inner>,
}

struct Inner {
    trust: Trust,
    resolver: Resolver,
    sentinel: Option<String>,
    accounts: Mutex<HashMap<PublicKey, Arc<Account>>>,
    server: Mutex<Option<WeakServer>>,
    /// Accounts are fetched and taken on one after the other.
    changes: tokio::sync::Mutex<()>,
}

impl OperatorMode {
    /// Operator mode of a configuration.
    ///
    /// # Errors
    /// A key or JWT of the configuration is none, or the resolver's directory cannot be used.
    pub fn new(config: &OperatorConfig) -> Result<Self, ConfigError> {
        Ok(Self {
            inner: Arc::new(Inner {
                trust: Trust::new(config)?,
                resolver: Resolver::new(config)?,
                sentinel: config.default_sentinel.clone(),
                accounts: Mutex::default(),
                server: Mutex::default(),
                changes: tokio::sync::Mutex::default(),
            }),
        })
    }

    /// The account that events are published in, if there is one.
    #[must_use]
    pub fn system_account(&self) -> Option<String> {
        self.inner.trust.system_account.map(|key| key.to_string())
    }

    /// Takes on the accounts that are there from the start and answers requests about accounts from now on. Call it once,
    /// before the first client comes.
    ///
    /// # Errors
    /// An account that is there from the start cannot be used, or the system account is nowhere to be found.
    pub async fn start(&self, server: &Server) -> Result<(), ConfigError> {
        let inner = &self.inner;
        let failed = |what: &str, error: &dyn std::fmt::Display| {
            ConfigError::Unusable(format!("{what}: {error}"))
        };
        let settled = inner.resolver.settle().await;
        settled.map_err(|error| failed("resolver_preload", &error))?;
        for key in inner.resolver.preloaded().collect::<Vec<_>>() {
            let loaded = inner.load(key).await;
            loaded.map_err(|error| failed(&format!("account {key}"), &error))?;
        }
        if let Some(system) = inner.trust.system_account {
            let loaded = inner.load(system).await;
            loaded.map_err(|error| failed("system_account", &error))?;
            requests::serve(inner, server, &system.to_string())
                .map_err(|error| failed("system_account", &error))?;
        }
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inner {
    fn loaded(&self, key: &PublicKey) -> Option<Arc<Account>> {
        lock(&self.accounts).get(key).cloned()
    }

    /// An account, from memory or from the resolver. What was found first is not looked for again: changes come as requests.
    async fn load(&self, key: PublicKey) -> Result<Arc<Account>, AuthError> {
        let is_good = |account: &Arc<Account>| account.is_current(SystemTime::now());
        if let Some(account) = self.loaded(&key).filter(is_good) {
            return Ok(account);
        }
        let _change = self.changes.lock().await;
        if let Some(account) = self.loaded(&key).filter(is_good) {
            return Ok(account);
        }
        let account = Arc::new(self.fetch(key).await?);
        self.take_on(account.clone()).await?;
        Ok(account)
    }

    async fn fetch(&self, key: PublicKey) -> Result<Account, AuthError> {
        let fetched = self.resolver.fetch(key).await.map_err(|error| {
            tracing::warn!(account = %key, %error, "the account resolver failed");
            AuthError::new("the account resolver failed")
        })?;
        let jwt = fetched.ok_or_else(|| AuthError::new("the account is not known"))?;
        let account = Account::decode(jwt.trim(), &self.trust)?;
        if account.key == key {
            Ok(account)
        } else {
            Err(AuthError::new(
                "the resolver has another account under this key",
            ))
        }
    }

    /// Remembers an account and those that it imports from, then lets the server know what all of them share. Hold
    /// `changes`.
    async fn take_on(&self, account: Arc<Account>) -> Result<(), AuthError> {
        let mut missing: VecDeque<_> = self.unknown_exporters(&account).into();
        let mut tried: HashSet<PublicKey> = HashSet::from_iter([account.key]);
        self.remember(account.clone())?;
        while let Some(key) = missing.pop_front() {
            if !tried.insert(key) {
                continue;
            }
            match self.fetch(key).await {
                Ok(exporter) => {
                    let exporter = Arc::new(exporter);
                    missing.extend(self.unknown_exporters(&exporter));
                    self.remember(exporter)?;
                }
                Err(error) => tracing::debug!(account = %key, reason = %error, "no exporter"),
            }
        }
        self.apply(Some(account.key)).await;
        Ok(())
    }

    fn remember(&self, account: Arc<Account>) -> Result<(), AuthError> {
        let mut accounts = lock(&self.accounts);
        if accounts.len() >= OPERATOR_ACCOUNTS_MAX && !accounts.contains_key(&account.key) {
            return Err(AuthError::new("too many accounts"));
        }
        accounts.insert(account.key, account);
        Ok(())
    }

    fn unknown_exporters(&self, account: &Account) -> Vec<PublicKey> {
        let accounts = lock(&self.accounts);
        let imports = account.claims.nats.imports.iter();
        imports
            .filter_map(|import| PublicKey::parse_as(&import.account, KeyKind::Account).ok())
            .filter(|key| !accounts.contains_key(key))
            .collect()
    }

    /// Gives the server the configuration of all accounts, which looks at every connection again. If it refuses, the newest
    /// account shares nothing.
    async fn apply(&self, newest: Option<PublicKey>) {
        let server = lock(&self.server).as_ref().and_then(WeakServer::upgrade);
        let Some(server) = server else {
            return;
        };
        let mut config = self.configuration();
        let mut applied = server.configure_accounts(&config).await;
        if let (Err(error), Some(newest)) = (&applied, newest) {
            tracing::error!(account = %newest, %error, "an account's exchange cannot be taken on");
            let name = newest.to_string();
            for account in config.accounts.iter_mut().filter(|one| one.name == name) {
                account.imports.clear();
                account.exports.clear();
                account.mappings.clear();
            }
            applied = server.configure_accounts(&config).await;
        }
        if let Err(error) = applied {
            tracing::error!(%error, "accounts cannot be taken on");
        }
    }

    fn configuration(&self) -> AccountsConfig {
        let accounts: Vec<_> = lock(&self.accounts).values().cloned().collect();
        let system = self.trust.system_account;
        AccountsConfig {
            accounts: build::configs(
                accounts.iter().map(|account| &**account),
                system,
                SystemTime::now(),
            ),
            system_account: system.map(|key| key.to_string()),
            ..AccountsConfig::default()
        }
    }

    /// A newer JWT of an account came in. False: it is not newer, or nobody has used the account yet.
    async fn update(&self, account: Account) -> Result<bool, AuthError> {
        let _change = self.changes.lock().await;
        let is_newer =
            |old: &Arc<Account>| old.jwt != account.jwt && old.claims.iat <= account.claims.iat;
        if !self.loaded(&account.key).as_ref().is_some_and(is_newer) {
            return Ok(false);
        }
        self.take_on(Arc::new(account)).await?;
        Ok(true)
    }

    /// An account was deleted: its connections are closed.
    async fn forget(&self, keys: &[PublicKey]) {
        let _change = self.changes.lock().await;
        {
            let mut accounts = lock(&self.accounts);
            accounts.retain(|key, _| !keys.contains(key));
        }
        self.apply(None).await;
    }
}

#[async_trait]
impl Authenticator for OperatorMode {
    async fn authenticate(&self, request: ConnectRequest) -> Result<Identity, AuthError> {
        let inner = &self.inner;
        let now = SystemTime::now();
        let jwt = request.jwt.as_deref().or(inner.sentinel.as_deref());
        let jwt = jwt.ok_or_else(|| AuthError::new("a user JWT is required"))?;
        let login = Login::read(jwt, now)?;
        let account = inner.load(login.account).await?;
        login
            .grant(&account, &request, now)?
            .admit(&request, SystemTime::now())
    }

    fn wants_nonce(&self) -> bool {
        true
    }

    fn review(&self, identity: &Identity) -> Review {
        let Some(origin) = &identity.origin else {
            return Review::Unchanged;
        };
        let parse = |text: &str| PublicKey::parse(text).ok();
        let (Some(account), Some(user), Some(issuer)) = (
            parse(&identity.account),
            parse(&origin.user),
            parse(&origin.issuer),
        ) else {
            return Review::Refused;
        };
        match self.inner.loaded(&account) {
            Some(account) if account.has_revoked(&user, origin.issued_at) => Review::Revoked,
            Some(account) if account.signer(&issuer).is_some() => Review::Unchanged,
            _ => Review::Refused,
        }
    }

    fn attach(&self, server: &WeakServer) {
        *lock(&self.inner.server) = Some(server.clone());
    }

    fn detach(&self) {
        *lock(&self.inner.server) = None;
    }
}

/// What account claims do to everybody else: taken on or left out, they never panic. The claims are those of an account with
/// this key, signed by an operator that is trusted.
#[cfg(any(test, fuzzing))]
pub(crate) fn exercise(claims: super::Claims<super::claims::AccountClaims>) {
    let operator = super::KeyPair::generate(KeyKind::Operator);
    let config = OperatorConfig {
        trusted_keys: vec![operator.public().to_string()],
        ..OperatorConfig::default()
    };
    let trust = Trust::new(&config).expect("one good key");
    let scopes: Vec<_> = claims.nats.signing_keys.clone();
    let Ok(account) = Account::decode(&claims.sign(&operator), &trust) else {
        return;
    };
    for config in build::configs([&account].into_iter(), None, SystemTime::now()) {
        assert_eq!(config.name, account.key.to_string());
    }
    let user = super::KeyPair::generate(KeyKind::User).public();
    let mut user = super::Claims::new(user, super::claims::UserClaims::default());
    user.nats.tags = vec!["a:b".to_owned(), "a:c.>".to_owned()];
    for key in &scopes {
        if let super::claims::SigningKey::Scoped(scope) = key
            && let Ok(limits) = template::fill(&scope.template, &user, &account)
        {
            assert!(
                limits.permissions.publish.allow.len() <= crate::limits::TEMPLATE_SUBJECTS_MAX * 2
            );
        }
    }
}
