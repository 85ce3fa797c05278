//! The configuration of operator mode and of the auth callout, as plain data.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// `authorization { auth_callout { ... } }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CalloutConfig {
    /// The account key, `A...`, that signs answers and user JWTs.
    pub issuer: String,
    /// The account in which requests are published. Default `$G`.
    pub account: String,
    /// Users, by name or nkey, that the service itself logs in as: they are never asked about.
    pub auth_users: Vec<String>,
    /// Seals requests for this curve key, `X...`.
    pub xkey: Option<String>,
    /// Configured users of these accounts are asked about although they could log in by themselves. Empty, the default,
    /// leaves all configured users alone (nats-server asks about all of them).
    pub allowed_accounts: Vec<String>,
}

impl Default for CalloutConfig {
    fn default() -> Self {
        Self {
            issuer: String::new(),
            account: "$G".to_owned(),
            auth_users: Vec::new(),
            xkey: None,
            allowed_accounts: Vec::new(),
        }
    }
}

/// `operator`, `trusted_keys`, `resolver` and what belongs to them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OperatorConfig {
    /// Operator JWTs.
    pub operators: Vec<String>,
    /// Operator keys, `O...`, that are trusted without a JWT.
    pub trusted_keys: Vec<String>,
    /// The account of the server itself, `A...`; the operator's JWT may name it too.
    pub system_account: Option<String>,
    /// Where account JWTs come from.
    pub resolver: ResolverConfig,
    /// Account JWTs by account key, there from the start.
    pub resolver_preload: BTreeMap<String, String>,
    /// Only these accounts come from the resolver; empty is all.
    pub resolver_pinned_accounts: Vec<String>,
    /// A bearer JWT for clients that offer nothing.
    pub default_sentinel: Option<String>,
}

/// `resolver`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResolverConfig {
    /// `MEMORY`: only `resolver_preload`.
    #[default]
    Memory,
    /// `{type: full}`: a directory of all accounts, changed by requests of the system account.
    Full {
        /// The directory; it is made if it is not there.
        dir: PathBuf,
        /// Deleting accounts is allowed: their files are renamed to `.delete`.
        allow_delete: bool,
        /// How often a cluster compares its accounts. Kept for nats-server's sake; one node has nobody to compare with.
        interval: Duration,
        /// Accounts in the directory; `None` is any number.
        limit: Option<usize>,
    },
    /// `{type: cache}`: a directory of accounts that were used lately. One node has nobody to fetch the others from.
    Cache {
        /// The directory.
        dir: PathBuf,
        /// Accounts in it.
        limit: Option<usize>,
        /// How long one stays.
        ttl: Duration,
    },
    /// `URL(...)`: HTTP GET of the URL with the account key behind it.
    Url {
        /// Begins with `http://` or `https://` and ends with `/`.
        url: String,
    },
}

impl ResolverConfig {
    /// A full resolver with nats-server's defaults.
    #[must_use]
    pub fn full(dir: impl Into<PathBuf>) -> Self {
        Self::Full {
            dir: dir.into(),
            allow_delete: false,
            interval: Duration::from_secs(60),
            limit: None,
        }
    }
}
