//! A configuration with its meaning: every key that nats-server knows, as a typed value.
//!
//! A key that nobody knows is refused, and so is one that asks for what is not done here; nothing is silently ignored that
//! could make a difference. What is wrong is collected and said at once, each with its place.

mod accounts;
mod authorization;
mod jetstream;
mod keys;
mod leaf;
mod logging;
mod mappings;
mod operator;
mod permissions;
mod refused;
mod report;
mod shares;
mod tls;
mod top;
mod units;
mod websocket;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use jetstream::{JetStreamOptions, SyncOption};
pub use leaf::LeafOptions;
pub use logging::LogOptions;
pub use websocket::WebSocketOptions;

use super::surroundings::Surroundings;
use super::{ConfigError, ConfigErrors, Document};
use crate::accounts::AccountsConfig;
use crate::jwt::{CalloutConfig, OperatorConfig};
use crate::limits::Limits;
use crate::server::Config;
use crate::{Advertise, TlsConfig};
use report::{Report, each};
use top::Collected;

/// Every address of the machine.
pub(super) const ANY_HOST: &str = "0.0.0.0";
/// Where clients connect when nothing else is said.
pub(super) const NATS_PORT: u16 = 4222;

/// Everything that a configuration file can say. The default is nats-server's.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// The digest of the file that this was read from.
    pub digest: Option<String>,
    /// The address that clients connect to, or a name for it.
    pub host: String,
    /// Whether the file names that address.
    pub is_host_said: bool,
    /// The port for clients; 0 is any free one.
    pub port: u16,
    /// Where clients are told to connect instead.
    pub client_advertise: Option<Advertise>,
    /// The server's name; `None`: its id.
    pub server_name: Option<String>,
    /// Users and accounts.
    pub accounts: AccountsConfig,
    /// Time for CONNECT.
    pub auth_timeout: Duration,
    /// An auth service outside.
    pub callout: Option<CalloutConfig>,
    /// Users that come with a JWT.
    pub operator: Option<OperatorConfig>,
    /// Where the server can be looked at.
    pub monitoring: MonitoringOptions,
    /// Streams.
    pub jetstream: JetStreamOptions,
    /// TLS on the port for clients.
    pub tls: Option<TlsConfig>,
    /// Connections on the port for clients begin with a PROXY protocol header.
    pub proxy_protocol: bool,
    /// A port for browsers.
    pub websocket: Option<WebSocketOptions>,
    /// Links to other servers.
    pub leaf: Option<LeafOptions>,
    /// Caps of connections.
    pub limits: Limits,
    /// Time without traffic after which a client is pinged.
    pub ping_interval: Duration,
    /// Unanswered PINGs after which a client is stale.
    pub ping_max: u32,
    /// Time for a write to make progress.
    pub write_deadline: Duration,
    /// Connections that are remembered after their end, for monitoring.
    pub closed_clients_max: usize,
    /// How the server leaves without a stampede.
    pub lame_duck: LameDuckOptions,
    /// The log.
    pub log: LogOptions,
    /// A file with the process id.
    pub pid_file: Option<PathBuf>,
    /// A directory for a file that says which ports were taken.
    pub ports_file_dir: Option<PathBuf>,
    /// Tags of the server, told in monitoring.
    pub server_tags: Vec<String>,
    /// Metadata of the server, told in monitoring.
    pub server_metadata: BTreeMap<String, String>,
}

impl Default for Options {
    fn default() -> Self {
        let config = Config::default();
        Self {
            digest: None,
            host: ANY_HOST.to_owned(),
            is_host_said: false,
            port: NATS_PORT,
            client_advertise: None,
            server_name: None,
            accounts: AccountsConfig::default(),
            auth_timeout: config.auth_timeout,
            callout: None,
            operator: None,
            monitoring: MonitoringOptions::default(),
            jetstream: JetStreamOptions::default(),
            tls: None,
            proxy_protocol: false,
            websocket: None,
            leaf: None,
            limits: config.limits,
            ping_interval: config.ping_interval,
            ping_max: config.ping_max,
            write_deadline: config.write_deadline,
            closed_clients_max: 10_000,
            lame_duck: LameDuckOptions::default(),
            log: LogOptions::default(),
            pid_file: None,
            ports_file_dir: None,
            server_tags: Vec::new(),
            server_metadata: BTreeMap::new(),
        }
    }
}

/// Reads `host` or `host:port`, where clients are told to connect.
///
/// # Errors
/// It is neither, in nats-server's words.
pub fn advertise(text: &str, default_port: u16) -> Result<Advertise, String> {
    let (host, port) = units::advertised(text, default_port)?;
    Ok(Advertise { host, port })
}

/// Where the server can be looked at over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MonitoringOptions {
    /// Plain HTTP.
    pub http: Option<HostPort>,
    /// HTTP over the TLS of the port for clients.
    pub https: Option<HostPort>,
    /// What every path begins with.
    pub base_path: String,
}

impl Default for MonitoringOptions {
    fn default() -> Self {
        Self {
            http: None,
            https: None,
            base_path: "/".to_owned(),
        }
    }
}

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    /// The address, or a name for it; `None`: that of the port for clients.
    pub host: Option<String>,
    /// The port; `None` is no port at all, `Some(0)` any free one.
    pub port: Option<u16>,
}

/// How the server leaves: clients hear of it, then are closed one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LameDuckOptions {
    /// The time over which connections are closed. Default two minutes.
    pub duration: Duration,
    /// The time before the first one is closed. Default ten seconds.
    pub grace_period: Duration,
}

impl Default for LameDuckOptions {
    fn default() -> Self {
        Self {
            duration: Duration::from_secs(120),
            grace_period: Duration::from_secs(10),
        }
    }
}

/// A configuration, and what is not wrong but should be written otherwise.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The configuration.
    pub options: Options,
    /// Warnings. A check of the file fails on them.
    pub warnings: Vec<ConfigError>,
}

impl Options {
    /// Reads a file.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load(path: &Path, surroundings: &dyn Surroundings) -> Result<Loaded, ConfigErrors> {
        Self::read(&Document::load(path, surroundings)?, surroundings)
    }

    /// Finds out what a document means.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn read(
        document: &Document,
        surroundings: &dyn Surroundings,
    ) -> Result<Loaded, ConfigErrors> {
        let (mut options, mut report) = (Self::default(), Report::default());
        options.digest = Some(document.digest.clone());
        let mut collected = Collected::default();
        each(&document.root, &mut report, |name, pair, report| {
            top::take(
                &mut options,
                &mut collected,
                name,
                pair,
                surroundings,
                report,
            )
        });
        let advertised = collected.client_advertise.take();
        let advertised = advertised.map(|text| advertise(&text, options.port));
        options.settle(collected);
        let warnings = report.finish()?;
        if let Some(advertised) = advertised {
            options.client_advertise = Some(advertised.map_err(ConfigError::whole)?);
        }
        options.check()?;
        Ok(Loaded { options, warnings })
    }

    /// Puts together what several keys say.
    fn settle(&mut self, collected: Collected) {
        let authorization = collected.authorization;
        self.accounts.token = authorization.token;
        self.accounts.users = authorization.users;
        self.accounts.default_permissions = authorization.default_permissions;
        self.callout = authorization.callout;
        if let Some(timeout) = authorization.timeout.filter(|timeout| !timeout.is_zero()) {
            self.auth_timeout = timeout;
        }
        if collected.operator.is_used {
            self.operator = Some(collected.operator.config);
        }
        if let Some(tls) = &mut self.tls {
            tls.allow_non_tls = collected.allow_non_tls;
        }
    }

    /// What must hold over several keys. nats-server finds these at its start.
    ///
    /// # Errors
    /// The first contradiction.
    pub fn check(&self) -> Result<(), ConfigErrors> {
        let wrong = |reason: String| Err(ConfigErrors::from(ConfigError::whole(reason)));
        if self.limits.payload_bytes_max > self.limits.pending_bytes_max {
            return wrong(format!(
                "max_payload ({}) cannot be higher than max_pending ({})",
                self.limits.payload_bytes_max, self.limits.pending_bytes_max
            ));
        }
        if self.lame_duck.grace_period >= self.lame_duck.duration {
            let LameDuckOptions {
                duration,
                grace_period,
            } = self.lame_duck;
            return wrong(format!(
                "lame duck grace period ({grace_period:?}) should be strictly lower than lame duck duration ({duration:?})"
            ));
        }
        if let Some(websocket) = self
            .websocket
            .as_ref()
            .filter(|websocket| websocket.port.is_some())
        {
            let has_certificate = websocket
                .tls
                .as_ref()
                .is_some_and(|tls| !tls.certificates.is_empty());
            if !has_certificate && !websocket.no_tls {
                return wrong("websocket requires TLS configuration".to_owned());
            }
        }
        if self.operator.is_none() {
            self.accounts
                .check()
                .map_err(|error| ConfigError::whole(error.to_string()))?;
        } else if !self.accounts.accounts.is_empty() {
            return wrong("operators and accounts can not be configured together".to_owned());
        }
        Ok(())
    }

    /// What the broker takes.
    #[must_use]
    pub fn to_config(&self) -> Config {
        let mut config = Config {
            limits: self.limits.clone(),
            ping_interval: self.ping_interval,
            ping_max: self.ping_max,
            auth_timeout: self.auth_timeout,
            write_deadline: self.write_deadline,
            ..Config::default()
        };
        config.server_name = self.server_name.clone().unwrap_or_default();
        config.limits.closed_clients_max = self.closed_clients_max;
        let (from, to) = (&self.jetstream, &mut config.jetstream);
        to.domain.clone_from(&from.domain);
        to.strict = from.strict;
        let limits = &mut to.limits;
        limits.memory_bytes_max = from.memory_bytes_max;
        limits.storage_bytes_max = from.storage_bytes_max;
        limits.ack_pending_max = from.ack_pending_max;
        limits.duplicate_window_max = from.duplicate_window_max;
        limits.request_batch_max = from.request_batch_max;
        limits.requests_max = from.requests_max.unwrap_or(limits.requests_max);
        config
    }
}
