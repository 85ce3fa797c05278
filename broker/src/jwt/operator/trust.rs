//! Which operators are trusted, and how strictly.

use hashbrown::HashMap;

use crate::jwt::ConfigError;
use crate::jwt::claims::OperatorClaims;
use crate::jwt::config::OperatorConfig;
use crate::jwt::envelope::Claims;
use crate::jwt::nkey::{KeyKind, PublicKey};

/// The keys that may sign accounts.
#[derive(Debug, Default)]
pub(super) struct Trust {
    /// Each with whether its operator wants signing keys to be used alone.
    keys: HashMap<PublicKey, bool>,
    pub(super) system_account: Option<PublicKey>,
}

impl Trust {
    pub(super) fn new(config: &OperatorConfig) -> Result<Self, ConfigError> {
        let mut trust = Self::default();
        let unusable = |text: &str| Err(ConfigError::Unusable(text.to_owned()));
        if !config.operators.is_empty() && !config.trusted_keys.is_empty() {
            return unusable("conflicting options for \"trusted_keys\" and \"operator\"");
        }
        for text in &config.operators {
            let operator = Claims::<OperatorClaims>::decode(text.trim()).map_err(|source| {
                ConfigError::Jwt {
                    what: "operator".to_owned(),
                    source,
                }
            })?;
            trust.add(&operator);
        }
        for text in &config.trusted_keys {
            let key = key("trusted_keys", text, KeyKind::Operator)?;
            trust.keys.insert(key, false);
        }
        if trust.keys.is_empty() {
            return unusable("operator mode needs an operator or trusted_keys");
        }
        if let Some(text) = &config.system_account {
            let configured = key("system_account", text, KeyKind::Account)?;
            if trust
                .system_account
                .is_some_and(|other| other != configured)
            {
                return unusable(
                    "system_account in config and operator JWT must be identical if both are set",
                );
            }
            trust.system_account = Some(configured);
        }
        Ok(trust)
    }

    fn add(&mut self, operator: &Claims<OperatorClaims>) {
        let is_strict = operator.nats.strict_signing_key_usage;
        let own = (!is_strict).then_some(operator.sub);
        for key in own.into_iter().chain(operator.nats.signing_keys.clone()) {
            self.keys.insert(key, is_strict);
        }
        if operator.nats.system_account.is_some() {
            self.system_account = operator.nats.system_account;
        }
    }

    /// Whether this key may sign accounts.
    pub(super) fn trusts(&self, key: &PublicKey) -> bool {
        self.keys.contains_key(key)
    }

    /// Whether accounts that this key signed must not sign users with their own key.
    pub(super) fn is_strict(&self, key: &PublicKey) -> bool {
        self.keys.get(key).copied().unwrap_or(false)
    }
}

/// Reads a key of the configuration.
pub(super) fn key(what: &'static str, text: &str, kind: KeyKind) -> Result<PublicKey, ConfigError> {
    PublicKey::parse_as(text, kind).map_err(|source| ConfigError::Key {
        what,
        text: text.to_owned(),
        source,
    })
}
