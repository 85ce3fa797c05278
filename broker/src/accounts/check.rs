//! What must hold over all users and accounts together.

use hashbrown::HashSet;

use super::config::{AccountsConfig, Credential, Secret, UserConfig};
use super::error::AccountsError;
use crate::crossing::mapping::Mappings;
use crate::crossing::setup::Plan;
use crate::jwt::{KeyKind, PublicKey};
use crate::server::SYSTEM_ACCOUNT;

/// Length of every bcrypt hash.
const BCRYPT_BYTES: usize = 60;

impl AccountsConfig {
    /// Whether everything fits together. Whoever takes a configuration on calls it; call it to only look at one.
    ///
    /// # Errors
    /// The first contradiction.
    pub fn check(&self) -> Result<(), AccountsError> {
        self.check_users()?;
        self.check_accounts()?;
        Mappings::new(&self.mappings)?;
        Plan::new(&self.accounts).check()
    }

    fn check_users(&self) -> Result<(), AccountsError> {
        if let Some(token) = &self.token {
            if !self.users.is_empty() {
                return Err(AccountsError::TokenAndUsers);
            }
            check_hash("token", token)?;
        }
        let mut names = HashSet::new();
        for (_, user) in self.all_users() {
            check_user(user)?;
            if !names.insert(user.name.as_str()) {
                return Err(AccountsError::DuplicateUser {
                    user: user.name.clone(),
                });
            }
        }
        match &self.no_auth_user {
            Some(user) if !names.contains(user.as_str()) => {
                Err(AccountsError::NoAuthUser { user: user.clone() })
            }
            _ => Ok(()),
        }
    }

    fn check_accounts(&self) -> Result<(), AccountsError> {
        if let (true, Some(account)) = (self.no_system_account, &self.system_account) {
            return Err(AccountsError::SystemAccount {
                account: account.clone(),
            });
        }
        let system = self.system_account.as_deref().unwrap_or(SYSTEM_ACCOUNT);
        let mut names = HashSet::new();
        for account in &self.accounts {
            let name = account.name.as_str();
            if !is_account_name(name) {
                return Err(AccountsError::AccountName {
                    account: name.to_owned(),
                });
            }
            if !names.insert(name) {
                return Err(AccountsError::DuplicateAccount {
                    account: name.to_owned(),
                });
            }
            if name == system && account.jetstream.is_some() {
                return Err(AccountsError::JetStreamInSystemAccount {
                    account: name.to_owned(),
                });
            }
        }
        Ok(())
    }
}

fn check_user(user: &UserConfig) -> Result<(), AccountsError> {
    if user.name.is_empty() {
        return Err(AccountsError::NamelessUser);
    }
    match &user.credential {
        Credential::Password(password) => check_hash(&user.name, password),
        Credential::Nkey => match PublicKey::parse_as(&user.name, KeyKind::User) {
            Ok(_) => Ok(()),
            Err(_) => Err(AccountsError::Nkey {
                key: user.name.clone(),
            }),
        },
        Credential::Certificate => Ok(()),
    }
}

fn check_hash(user: &str, secret: &Secret) -> Result<(), AccountsError> {
    if secret.is_bcrypt() && secret.expose().len() != BCRYPT_BYTES {
        return Err(AccountsError::PasswordHash {
            user: user.to_owned(),
        });
    }
    Ok(())
}

/// Whether a name can be told apart from others in logs and on the wire. Dots and blanks are allowed, as in nats-server.
fn is_account_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(char::is_control)
}
