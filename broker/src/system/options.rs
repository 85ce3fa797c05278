//! Bodies of requests: the options of the endpoints in JSON, and which servers are asked. Unknown members are ignored.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::block::host;
use crate::monitor::{
    AccStatzOptions, ConnState, ConnzOptions, ConnzSort, HealthzOptions, JszOptions, NotPossible,
    Subscriptions, SubszOptions,
};
use crate::server::Shared;

/// Reads a body; an empty one says nothing.
///
/// # Errors
/// It is no JSON, or a member has another type.
pub(super) fn read<T: DeserializeOwned + Default>(body: &[u8]) -> Result<T, serde_json::Error> {
    match body.trim_ascii() {
        b"" => Ok(T::default()),
        body => serde_json::from_slice(body),
    }
}

/// Which servers are asked. Empty members fit all.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Filter {
    server_name: String,
    cluster: String,
    host: String,
    domain: String,
    tags: Vec<String>,
    exact_match: bool,
}

impl Filter {
    /// Whether this server is meant.
    pub(super) fn fits(&self, server: &Shared) -> bool {
        let fits = |wanted: &str, actual: &str| match self.exact_match {
            _ if wanted.is_empty() => true,
            true => wanted == actual,
            false => actual.contains(wanted),
        };
        let domain = server.config.jetstream.domain.as_deref();
        let tags = server.monitor.facts().tags;
        // There is no cluster, so whoever asks for one does not mean this server.
        fits(&self.server_name, &server.config.server_name)
            && fits(&self.cluster, "")
            && fits(&self.host, &host(server))
            && fits(&self.domain, domain.unwrap_or_default())
            && self.tags.iter().all(|tag| tags.contains(tag))
    }
}

fn some(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Connz {
    sort: String,
    auth: bool,
    subscriptions: bool,
    subscriptions_detail: bool,
    offset: i64,
    limit: i64,
    cid: u64,
    mqtt_client: String,
    state: i64,
    user: String,
    acc: String,
}

impl TryFrom<Connz> for ConnzOptions {
    type Error = NotPossible;

    fn try_from(read: Connz) -> Result<Self, NotPossible> {
        Ok(Self {
            sort: ConnzSort::parse(&read.sort)?,
            auth: read.auth,
            subscriptions: match (read.subscriptions, read.subscriptions_detail) {
                (_, true) => Subscriptions::Details,
                (true, false) => Subscriptions::Subjects,
                (false, false) => Subscriptions::No,
            },
            offset: read.offset,
            limit: read.limit,
            cid: Some(read.cid).filter(|cid| *cid > 0),
            state: match read.state {
                1 => ConnState::Closed,
                2 => ConnState::All,
                _ => ConnState::Open,
            },
            user: some(read.user),
            account: some(read.acc),
            mqtt_client: some(read.mqtt_client),
        })
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Subsz {
    offset: i64,
    limit: i64,
    subscriptions: bool,
    account: String,
    test: String,
}

impl From<Subsz> for SubszOptions {
    fn from(read: Subsz) -> Self {
        Self {
            offset: read.offset,
            limit: read.limit,
            subscriptions: read.subscriptions,
            account: some(read.account),
            test: some(read.test),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Jsz {
    account: String,
    accounts: bool,
    streams: bool,
    #[serde(alias = "consumers")]
    consumer: bool,
    config: bool,
    raft: bool,
    offset: i64,
    limit: i64,
}

impl From<Jsz> for JszOptions {
    fn from(read: Jsz) -> Self {
        Self {
            account: some(read.account),
            accounts: read.accounts,
            streams: read.streams,
            consumers: read.consumer,
            config: read.config,
            raft: read.raft,
            offset: read.offset,
            limit: read.limit,
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Healthz {
    #[serde(rename = "js-enabled")]
    js_enabled: bool,
    #[serde(rename = "js-enabled-only")]
    js_enabled_only: bool,
    #[serde(rename = "js-server-only")]
    js_server_only: bool,
    account: String,
    stream: String,
    consumer: String,
    details: bool,
}

impl From<Healthz> for HealthzOptions {
    fn from(read: Healthz) -> Self {
        Self {
            js_enabled_only: read.js_enabled || read.js_enabled_only,
            js_server_only: read.js_server_only,
            account: read.account,
            stream: read.stream,
            consumer: read.consumer,
            details: read.details,
        }
    }
}

/// Of `ACCOUNTZ` and `LEAFZ`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct OfAccount {
    pub(super) account: String,
    pub(super) subscriptions: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct AccStatz {
    accounts: Vec<String>,
    include_unused: bool,
}

impl From<AccStatz> for AccStatzOptions {
    fn from(read: AccStatz) -> Self {
        Self {
            accounts: read.accounts,
            include_unused: read.include_unused,
        }
    }
}

/// Of `KICK` and `LDM`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct OfConnection {
    #[serde(alias = "id")]
    pub(super) cid: u64,
}
