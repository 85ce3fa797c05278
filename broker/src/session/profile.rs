//! What is fixed about a connection from one CONNECT to the next.

use std::sync::Arc;

use super::permissions::Compiled;
use crate::accounts::AccountLimits;
use crate::auth::{ConnectionLimits, Identity, Sender};
use crate::proto::info::ConnectOptions;

/// Identity, permissions and options of a connection.
#[derive(Debug)]
pub(crate) struct Profile {
    /// The stamp on what it publishes.
    pub(crate) sender: Arc<Sender>,
    pub(crate) permissions: Compiled,
    /// What all this comes from.
    pub(crate) identity: Identity,
    /// The smaller of what its user and its account allow.
    pub(crate) limits: ConnectionLimits,
    pub(crate) verbose: bool,
    pub(crate) pedantic: bool,
    pub(crate) echo: bool,
    pub(crate) headers: bool,
    pub(crate) no_responders: bool,
    pub(crate) takes_info: bool,
    pub(crate) name: String,
    pub(crate) lang: String,
    pub(crate) version: String,
}

/// What a client said about itself in CONNECT, without anything secret.
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) user: String,
    pub(crate) name: String,
    pub(crate) lang: String,
    pub(crate) version: String,
}

impl Said {
    pub(crate) fn new(options: &ConnectOptions) -> Self {
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        Self {
            // Whoever signs a nonce is known by the key.
            user: text(&options.user.clone().or_else(|| options.nkey.clone())),
            name: text(&options.name),
            lang: text(&options.lang),
            version: text(&options.version),
        }
    }
}

impl Profile {
    pub(crate) fn new(
        identity: &Identity,
        account: &AccountLimits,
        options: &ConnectOptions,
        client_id: u64,
    ) -> Arc<Self> {
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        Arc::new(Self {
            sender: Arc::new(Sender {
                user: identity.user.clone(),
                account: identity.account.clone(),
                tags: identity.tags.clone().into(),
                client_id,
            }),
            permissions: Compiled::new(&identity.permissions),
            identity: identity.clone(),
            limits: limits(identity, account),
            verbose: options.verbose.unwrap_or(true),
            pedantic: options.pedantic.unwrap_or(true),
            echo: options.echo.unwrap_or(true),
            headers: options.headers.unwrap_or(false),
            no_responders: options.no_responders.unwrap_or(false),
            takes_info: options.protocol.unwrap_or(0) >= 1,
            name: text(&options.name),
            lang: text(&options.lang),
            version: text(&options.version),
        })
    }

    /// The same connection with another identity.
    pub(crate) fn renewed(&self, identity: &Identity, account: &AccountLimits) -> Arc<Self> {
        Arc::new(Self {
            sender: Arc::new(Sender {
                user: identity.user.clone(),
                account: identity.account.clone(),
                tags: identity.tags.clone().into(),
                client_id: self.sender.client_id,
            }),
            permissions: Compiled::new(&identity.permissions),
            identity: identity.clone(),
            limits: limits(identity, account),
            name: self.name.clone(),
            lang: self.lang.clone(),
            version: self.version.clone(),
            ..*self
        })
    }
}

/// What a user may use in an account.
fn limits(identity: &Identity, account: &AccountLimits) -> ConnectionLimits {
    let least = |one: Option<usize>, other: Option<usize>| match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    };
    let own = identity.limits;
    ConnectionLimits {
        payload_bytes_max: least(own.payload_bytes_max, account.payload_bytes_max),
        subscriptions_max: least(own.subscriptions_max, account.subscriptions_max),
    }
}
