//! Users and accounts of a running server: taking on what is configured, now and later.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::{GLOBAL_ACCOUNT, SYSTEM_ACCOUNT, Server, Shared, lock};
use crate::account::Account;
use crate::accounts::{AccountConfig, AccountLimits, AccountsConfig, AccountsError, Export};
use crate::auth::{ConnectionKind, Review};
use crate::crossing::setup::{Checked, Plan};
use crate::error::Error;
use crate::interest::subscription::{Sink, Subscription};
use crate::jetstream::outbox::Outbox;
use crate::monitor::{CloseReason, Shares};
use crate::session::connection::{Connection, Notice};
use crate::user_info::{self, UserInfo};

impl Server {
    /// Takes on users and accounts: at the start, before the first client comes, and again whenever they change.
    ///
    /// The authenticator is given the configuration too. JetStream is enabled for every account that asks for it; with no
    /// accounts configured, `$G` has it if the server was made with streams.
    ///
    /// # Errors
    /// The configuration contradicts itself, and everything stays as it was; or an account's streams cannot be opened.
    pub async fn configure_accounts(&self, config: &AccountsConfig) -> Result<(), Error> {
        config.check()?;
        self.shared.authenticator.configure(config)?;
        let changed = self.shared.link_accounts(config)?;
        self.review(&changed);
        if !self.shared.streams.has_root() {
            return Ok(());
        }
        if config.accounts.is_empty() {
            self.open_streams(GLOBAL_ACCOUNT).await?;
        }
        for account in &config.accounts {
            if let Some(limits) = &account.jetstream {
                self.open_streams(&account.name).await?;
                if let Some(streams) = self.shared.streams.find(&account.name) {
                    streams.context().set_limits(limits);
                }
            }
        }
        Ok(())
    }

    /// Asks the authenticator again about every open connection: those it refuses are closed with `Authorization
    /// Violation`, others go on with what they may do now. A subscription that is not allowed any more ends, and its
    /// client is told so. Returns how many connections are concerned.
    pub fn review_connections(&self) -> usize {
        self.review(&[])
    }

    /// As [`Server::review_connections`]; connections of `changed` accounts take on what the account allows now.
    fn review(&self, changed: &[Arc<Account>]) -> usize {
        let open: Vec<_> = lock(&self.shared.connections).values().cloned().collect();
        let is_told = |connection: &&Arc<Connection>| {
            let Some(profile) = connection.profile() else {
                return false;
            };
            let identity = &profile.identity;
            let is_client = matches!(
                connection.kind,
                ConnectionKind::Tcp | ConnectionKind::WebSocket
            );
            match self.shared.authenticator.review(identity) {
                Review::Refused if is_client => connection.notify(Notice::Refused),
                Review::Revoked if is_client => connection.notify(Notice::Revoked),
                Review::Refused => {
                    connection.close(CloseReason::AuthenticationFailure);
                    true
                }
                Review::Revoked => {
                    connection.close(CloseReason::CredentialsRevoked);
                    true
                }
                // What a link may carry was agreed when it was made.
                _ if !is_client => false,
                Review::Changed(identity) => connection.notify(Notice::Identity(identity)),
                Review::Unchanged => {
                    changed
                        .iter()
                        .any(|account| account.name == identity.account)
                        && connection.notify(Notice::Identity(Box::new(identity.clone())))
                }
            }
        };
        open.iter().filter(is_told).count()
    }
}

impl Shared {
    /// Whether an account is the one that events are published in.
    pub(crate) fn is_system(&self, account: &Account) -> bool {
        self.system.account_name() == account.name
    }

    /// Makes accounts share with each other what a checked configuration says, and nothing else. Returns those whose limits
    /// have changed.
    fn link_accounts(&self, config: &AccountsConfig) -> Result<Vec<Arc<Account>>, AccountsError> {
        let global = AccountConfig::new(GLOBAL_ACCOUNT);
        let is_named = config.account(GLOBAL_ACCOUNT).is_some();
        let all = config.accounts.iter();
        let all: Vec<_> = all.chain((!is_named).then_some(&global)).collect();
        let plan = Plan::new(all.iter().copied());
        let mut checked = Vec::new();
        for account in &all {
            let top: &[_] = match account.name.as_str() {
                GLOBAL_ACCOUNT => &config.mappings,
                _ => &[],
            };
            checked.push((*account, plan.checked(account, top)?));
            for export in &account.exports {
                if let Export::Service(export) = export
                    && export.latency.is_some()
                {
                    let subject = &export.subject;
                    tracing::warn!(subject, "latency of an exported service is not measured");
                }
            }
        }
        let name = config.system_account.as_deref().unwrap_or(SYSTEM_ACCOUNT);
        let system = (!config.no_system_account).then(|| self.account(name));
        self.system.settle(system, &self.server_id);
        let server_name: Arc<str> = self.config.server_name.as_str().into();
        let shares = all.iter().map(|account| {
            let mut mappings = account.mappings.clone();
            if account.name == GLOBAL_ACCOUNT {
                mappings.extend_from_slice(&config.mappings);
            }
            let shares = Shares {
                mappings,
                exports: account.exports.clone(),
                imports: account.imports.clone(),
            };
            (account.name.clone(), shares)
        });
        self.monitor.set_shares(shares.collect());
        let mut changed = Vec::new();
        for account in self.accounts() {
            if all.iter().all(|other| other.name != account.name) {
                Checked::default().apply(&account, &server_name, |name| self.account(name));
                account.set_limits(AccountLimits::default());
            }
        }
        for (own, checked) in checked {
            let account = self.account(&own.name);
            if account.limits() != own.limits {
                account.set_limits(own.limits.clone());
                changed.push(account.clone());
            }
            checked.apply(&account, &server_name, |name| self.account(name));
        }
        Ok(changed)
    }

    /// Lets clients of an account ask who they are.
    pub(super) fn attach_user_info(&self, account: &Arc<Account>) {
        let info = UserInfo {
            server_id: self.server_id.clone(),
            server_name: self.config.server_name.clone(),
            outbox: Outbox::new(account.clone()),
            answered: AtomicU64::new(0),
        };
        let info = Arc::new(info);
        for subject in user_info::SUBJECTS {
            let sink = Sink::UserInfo(info.clone());
            account.subscribe(Subscription::new(subject.as_bytes(), None, b"", sink));
        }
    }
}
