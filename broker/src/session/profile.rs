//! What is fixed about a connection from one CONNECT to the next.

use std::sync::Arc;

use super::permissions::Compiled;
use crate::auth::{ConnectionLimits, Identity, Sender};
use crate::proto::info::ConnectOptions;

/// Identity, permissions and options of a connection.
#[derive(Debug)]
pub(crate) struct Profile {
    /// The stamp on what it publishes.
    pub(crate) sender: Arc<Sender>,
    pub(crate) permissions: Compiled,
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
    pub(crate) fn new(identity: &Identity, options: &ConnectOptions, client_id: u64) -> Arc<Self> {
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        Arc::new(Self {
            sender: Arc::new(Sender {
                user: identity.user.clone(),
                account: identity.account.clone(),
                tags: identity.tags.clone().into(),
                client_id,
            }),
            permissions: Compiled::new(&identity.permissions),
            limits: identity.limits,
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
}
