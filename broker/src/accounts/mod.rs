//! Users and accounts as an operator configures them.
//!
//! Plain data: whoever reads a configuration file fills in an [`AccountsConfig`] and gives it to
//! [`ConfiguredUsers`](crate::accounts::ConfiguredUsers), who then decides who a client is, and to
//! [`Server::configure_accounts`](crate::Server::configure_accounts), which sets up what the accounts share with each
//! other. Both take a new configuration while the server runs.
//!
//! - `config` users, credentials and limits; `shares` exports, imports and mappings.
//! - `check` what must hold over all accounts together.
//! - `users` and `passwords` who a client is.

mod check;
mod config;
mod error;
mod passwords;
mod shares;
mod users;

pub use config::{
    AccountConfig, AccountJetStream, AccountLimits, AccountsConfig, ConnectionType, Credential,
    PublishRate, Secret, UserConfig,
};
pub use error::AccountsError;
pub use shares::{
    Export, Import, Latency, MappedDestination, Mapping, ResponseType, ServiceExport,
    ServiceImport, StreamExport, StreamImport,
};
pub use users::ConfiguredUsers;
