//! `/jsz`: JetStream, its accounts, streams and consumers.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde::Serialize;

use super::text::NotPossible;
use super::{page, page_bounds};
use crate::jetstream::Timestamp;
use crate::jetstream::api::Api;
use crate::jetstream::api::stream_info::{Cluster, State, StreamInfo};
use crate::jetstream::config::{StreamConfig, is_default, is_false};
use crate::jetstream::consumer::ConsumerInfo;
use crate::jetstream::limits::JetStreamLimits;
use crate::jetstream::registry::AccountStreams;
use crate::jetstream::source::SourceInfo;
use crate::jetstream::{StreamHandle, registry::SyncSettings};
use crate::proto::info::API_LEVEL;
use crate::server::Shared;

/// What may be asked of `/jsz`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JszOptions {
    /// Only this account.
    pub account: Option<String>,
    /// Lists accounts.
    pub accounts: bool,
    /// Lists streams, and so accounts.
    pub streams: bool,
    /// Lists consumers, and so streams.
    pub consumers: bool,
    /// Shows the configuration of streams.
    pub config: bool,
    /// Says how many streams and consumers this server leads: a server alone leads all of them.
    pub raft: bool,
    /// First account of the page; less than 0 is 0.
    pub offset: i64,
    /// Accounts of the page; 0 and less is 1024.
    pub limit: i64,
}

/// Use of JetStream, by the server or an account.
#[derive(Debug, Clone, Copy, Serialize)]
struct Stats {
    memory: u64,
    storage: u64,
    reserved_memory: u64,
    reserved_storage: u64,
    accounts: usize,
    ha_assets: usize,
    api: ApiStats,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct ApiStats {
    level: u32,
    total: u64,
    errors: u64,
}

/// How JetStream is configured. -1 is no limit.
#[derive(Debug, Clone, Serialize)]
struct ConfigPart {
    max_memory: i64,
    max_storage: i64,
    #[serde(skip_serializing_if = "String::is_empty")]
    store_dir: String,
    sync_interval: u64,
    #[serde(skip_serializing_if = "is_false")]
    sync_always: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<String>,
    strict: bool,
}

/// Caps that are set.
#[derive(Debug, Clone, Copy, Serialize)]
struct LimitsPart {
    #[serde(skip_serializing_if = "Option::is_none")]
    max_request_batch: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_ack_pending: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duplicate_window: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    default_max_consumers: Option<usize>,
}

/// The member `jetstream` of `/varz`.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct JetStreamVarz {
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<ConfigPart>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stats: Option<Stats>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limits: Option<LimitsPart>,
}

/// The answer of `/jsz`.
#[derive(Debug, Clone, Serialize)]
pub struct Jsz {
    #[serde(flatten)]
    stats: Stats,
    server_id: String,
    now: Timestamp,
    #[serde(skip_serializing_if = "is_false")]
    disabled: bool,
    config: ConfigOrNone,
    limits: LimitsOrNone,
    streams: usize,
    consumers: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    streams_leader: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    consumers_leader: Option<usize>,
    messages: u64,
    bytes: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    account_details: Vec<JszAccount>,
    #[serde(skip_serializing_if = "is_default")]
    total: usize,
}

type ConfigOrNone = OrEmpty<ConfigPart>;
type LimitsOrNone = OrEmpty<LimitsPart>;

/// A part, or an object without members where JetStream is off.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
enum OrEmpty<T> {
    Part(T),
    Empty {},
}

/// One account of `/jsz`.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct JszAccount {
    name: String,
    id: String,
    #[serde(flatten)]
    stats: Stats,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stream_detail: Vec<JszStream>,
}

#[derive(Debug, Clone, Serialize)]
struct JszStream {
    name: String,
    created: Timestamp,
    cluster: Cluster,
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<StreamConfig>,
    state: State,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    consumer_detail: Vec<ConsumerInfo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mirror: Option<SourceInfo>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sources: Vec<SourceInfo>,
}

/// All accounts that JetStream is enabled for.
pub(crate) struct ServerStreams<'a> {
    server: &'a Shared,
    /// By name.
    accounts: Vec<(Arc<Api>, Arc<AccountStreams>)>,
}

impl<'a> ServerStreams<'a> {
    pub(crate) fn of(server: &'a Shared) -> Self {
        Self {
            server,
            accounts: server.streams.enabled_accounts(),
        }
    }

    /// The member of `/varz`, empty where JetStream is off.
    pub(crate) fn varz(&self, store_dir: &str) -> JetStreamVarz {
        if !self.server.streams.has_root() {
            return JetStreamVarz::default();
        }
        JetStreamVarz {
            config: Some(self.config(store_dir)),
            stats: Some(self.stats()),
            limits: Some(self.limits()),
        }
    }

    fn config(&self, store_dir: &str) -> ConfigPart {
        let config = &self.server.config.jetstream;
        let SyncSettings { interval, always } = self.server.streams.sync();
        ConfigPart {
            max_memory: or_none(config.limits.memory_bytes_max),
            max_storage: or_none(config.limits.storage_bytes_max),
            store_dir: store_dir.to_owned(),
            sync_interval: u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX),
            sync_always: always,
            domain: config.domain.clone(),
            strict: config.strict,
        }
    }

    fn limits(&self) -> LimitsPart {
        let limits = &self.server.config.jetstream.limits;
        let window = limits.duplicate_window_max;
        LimitsPart {
            max_request_batch: limits.request_batch_max,
            max_ack_pending: limits.ack_pending_max,
            duplicate_window: window.and_then(|window| u64::try_from(window.as_nanos()).ok()),
            default_max_consumers: limits.consumers_max,
        }
    }

    fn stats(&self) -> Stats {
        let mut sum = Stats {
            memory: 0,
            storage: 0,
            reserved_memory: 0,
            reserved_storage: 0,
            accounts: self.accounts.len(),
            ha_assets: 0,
            api: ApiStats {
                level: API_LEVEL,
                total: 0,
                errors: 0,
            },
        };
        for (api, streams) in &self.accounts {
            let usage = streams.usage();
            sum.memory += usage.memory_bytes;
            sum.storage += usage.storage_bytes;
            sum.reserved_memory += usage.memory_reserved;
            sum.reserved_storage += usage.storage_reserved;
            sum.api.total += api.total.load(Ordering::Relaxed);
            sum.api.errors += api.errors.load(Ordering::Relaxed);
        }
        sum
    }
}

/// A limit as nats-server shows it: -1 is none.
fn or_none(limit: Option<u64>) -> i64 {
    limit.map_or(-1, |limit| i64::try_from(limit).unwrap_or(i64::MAX))
}

impl Jsz {
    pub(crate) async fn of(server: &Shared, options: &JszOptions) -> Self {
        let all = ServerStreams::of(server);
        let is_enabled = server.streams.has_root();
        let facts = server.monitor.facts();
        let mut jsz = Self {
            stats: all.stats(),
            server_id: server.server_id.clone(),
            now: Timestamp::now(),
            disabled: !is_enabled,
            config: OrEmpty::Empty {},
            limits: OrEmpty::Empty {},
            streams: 0,
            consumers: 0,
            streams_leader: None,
            consumers_leader: None,
            messages: 0,
            bytes: 0,
            account_details: Vec::new(),
            total: all.accounts.len(),
        };
        if !is_enabled {
            jsz.stats.api.level = 0;
            return jsz;
        }
        jsz.config = OrEmpty::Part(all.config(&facts.store_dir));
        jsz.limits = OrEmpty::Part(all.limits());
        for (_, streams) in &all.accounts {
            for stream in streams.all() {
                let state = stream.state();
                jsz.streams += 1;
                jsz.consumers += stream.consumers().len();
                jsz.messages += state.messages;
                jsz.bytes += state.bytes;
            }
        }
        if options.raft {
            jsz.streams_leader = Some(jsz.streams);
            jsz.consumers_leader = Some(jsz.consumers);
        }
        let mut shown = all.accounts.iter().collect::<Vec<_>>();
        match &options.account {
            Some(name) => shown.retain(|(_, streams)| streams.account_name() == name),
            None if options.accounts || options.streams || options.consumers => {
                let (offset, limit) = page_bounds(options.offset, options.limit);
                shown = page(&shown, offset, limit).to_vec();
            }
            None => shown.clear(),
        }
        for (api, streams) in shown {
            let account = JszAccount::of(server, api, streams, options).await;
            jsz.account_details.push(account);
        }
        jsz
    }
}

impl JszAccount {
    /// # Errors
    /// There is no such account, or JetStream is not enabled for it.
    pub(crate) async fn named(
        server: &Shared,
        name: &str,
        options: &JszOptions,
    ) -> Result<Self, NotPossible> {
        if server.known_account(name).is_none() {
            return Err(NotPossible(format!("account {name:?} not found")));
        }
        let all = server.streams.enabled_accounts();
        let mut all = all.into_iter();
        let Some((api, streams)) = all.find(|(_, streams)| streams.account_name() == name) else {
            return Err(NotPossible(format!(
                "account {name:?} not jetstream enabled"
            )));
        };
        Ok(Self::of(server, &api, &streams, options).await)
    }

    async fn of(
        server: &Shared,
        api: &Api,
        streams: &AccountStreams,
        options: &JszOptions,
    ) -> Self {
        let usage = streams.usage();
        let limits: &JetStreamLimits = &streams.limits();
        let name = streams.account_name().to_owned();
        let mut account = Self {
            id: name.clone(),
            name,
            stats: Stats {
                memory: usage.memory_bytes,
                storage: usage.storage_bytes,
                // What the account may use, which is how nats-server fills these members; without a limit, all there is.
                reserved_memory: limits.memory_bytes_max.unwrap_or(u64::MAX),
                reserved_storage: limits.storage_bytes_max.unwrap_or(u64::MAX),
                accounts: 0,
                ha_assets: 0,
                api: ApiStats {
                    level: 0,
                    total: api.total.load(Ordering::Relaxed),
                    errors: api.errors.load(Ordering::Relaxed),
                },
            },
            stream_detail: Vec::new(),
        };
        if options.streams || options.consumers {
            for stream in streams.all() {
                let detail = JszStream::of(server, &stream, options).await;
                account.stream_detail.push(detail);
            }
        }
        account
    }
}

impl JszStream {
    async fn of(server: &Shared, stream: &StreamHandle, options: &JszOptions) -> Self {
        let mut consumer_detail = Vec::new();
        if options.consumers {
            for consumer in stream.consumers().all() {
                consumer_detail.push(consumer.info().await);
            }
        }
        let info = StreamInfo::in_list(&stream.context().server, stream);
        Self {
            name: info.config.name.clone(),
            created: info.created,
            cluster: Cluster {
                leader: server.config.server_name.clone(),
            },
            config: options.config.then_some(info.config),
            state: info.state,
            consumer_detail,
            mirror: info.mirror,
            sources: info.sources,
        }
    }
}
