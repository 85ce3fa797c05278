//! `/accountz` and `/accstatz`: accounts, what they are and what they do.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde::Serialize;

use super::shares::{Exported, Imported, Mapped};
use super::subsz::SublistStats;
use super::text::NotPossible;
use crate::account::Account;
use crate::jetstream::Timestamp;
use crate::jetstream::config::is_false;
use crate::server::Shared;

/// The answer of `/accountz`.
#[derive(Debug, Clone, Serialize)]
pub struct Accountz {
    server_id: String,
    now: Timestamp,
    system_account: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    accounts: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_detail: Option<AccountDetail>,
}

/// One account.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct AccountDetail {
    account_name: String,
    update_time: Timestamp,
    #[serde(skip_serializing_if = "is_false")]
    is_system: bool,
    expired: bool,
    complete: bool,
    jetstream_enabled: bool,
    leafnode_connections: usize,
    client_connections: usize,
    subscriptions: usize,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    mappings: BTreeMap<String, Vec<Mapped>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    exports: Vec<Exported>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    imports: Vec<Imported>,
    name_tag: String,
    sublist_stats: SublistStats,
}

impl Accountz {
    /// # Errors
    /// There is no account of that name.
    pub(crate) fn of(server: &Shared, account: Option<&str>) -> Result<Self, NotPossible> {
        let detail = account.map(|name| AccountDetail::named(server, name));
        let account_detail = detail.transpose()?;
        let names = || {
            server
                .accounts()
                .iter()
                .map(|one| one.name.clone())
                .collect()
        };
        Ok(Self {
            server_id: server.server_id.clone(),
            now: Timestamp::now(),
            system_account: server.system_account(),
            accounts: if account.is_none() {
                names()
            } else {
                Vec::new()
            },
            account_detail,
        })
    }
}

impl AccountDetail {
    /// # Errors
    /// There is no account of that name.
    pub(crate) fn named(server: &Shared, name: &str) -> Result<Self, NotPossible> {
        let found = server.known_account(name);
        let account = found.ok_or_else(|| NotPossible(format!("Account {name} does not exist")))?;
        let is_system = account.name == server.system_account();
        let shares = server.monitor.shares(&account.name);
        let mut imports = shares.imported();
        imports.extend(from_system(server, &account));
        Ok(Self {
            account_name: account.name.clone(),
            update_time: server.started.into(),
            is_system,
            expired: false,
            complete: true,
            jetstream_enabled: server.streams.find(&account.name).is_some(),
            leafnode_connections: account.stats.leafs.load(Ordering::Relaxed),
            client_connections: account.stats.connections.load(Ordering::Relaxed),
            subscriptions: account.subscriptions_len(),
            mappings: shares.mapped(),
            exports: shares.exported(),
            imports,
            name_tag: account.name.clone(),
            sublist_stats: SublistStats::of([&account], server.traffic(&account).received.0),
        })
    }
}

/// What every account may ask the system account, about itself.
fn from_system(server: &Shared, account: &Account) -> Vec<Imported> {
    let system = server.system_account();
    let name = &account.name;
    if system.is_empty() || *name == system {
        return Vec::new();
    }
    let connz = format!("$SYS.REQ.ACCOUNT.{name}.CONNZ");
    let statz = format!("$SYS.REQ.ACCOUNT.{name}.STATZ");
    let info = format!("$SYS.REQ.USER.{name}.INFO");
    vec![
        Imported::service(&system, statz, "$SYS.REQ.ACCOUNT.PING.STATZ", false),
        Imported::service(&system, info, "$SYS.REQ.USER.INFO", true),
        Imported::service(&system, connz.clone(), "$SYS.REQ.ACCOUNT.PING.CONNZ", false),
        Imported::service(&system, connz, "$SYS.REQ.SERVER.PING.CONNZ", false),
    ]
}

/// What may be asked of `/accstatz`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccStatzOptions {
    /// Only these; empty: all.
    pub accounts: Vec<String>,
    /// Lists accounts without connections too.
    pub include_unused: bool,
}

/// The answer of `/accstatz`.
#[derive(Debug, Clone, Serialize)]
pub struct AccStatz {
    server_id: String,
    now: Timestamp,
    account_statz: Vec<AccountConnections>,
}

/// What an account does.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct AccountConnections {
    acc: String,
    name: String,
    conns: usize,
    leafnodes: usize,
    pub(crate) total_conns: usize,
    num_subscriptions: usize,
    sent: Traffic,
    received: Traffic,
    slow_consumers: u64,
}

#[derive(Debug, Clone, Copy, Default, Serialize)]
struct Traffic {
    msgs: u64,
    bytes: u64,
    gateways: Amount,
    routes: Amount,
    leafs: Amount,
}

/// Messages and their bytes.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Amount {
    pub(crate) msgs: u64,
    pub(crate) bytes: u64,
}

impl AccountConnections {
    pub(crate) fn of(server: &Shared, account: &Account) -> Self {
        let conns = account.stats.connections.load(Ordering::Relaxed);
        let leafnodes = account.stats.leafs.load(Ordering::Relaxed);
        let traffic = server.traffic(account);
        let amount = |(msgs, bytes): (u64, u64)| Traffic {
            msgs,
            bytes,
            ..Traffic::default()
        };
        Self {
            acc: account.name.clone(),
            name: account.name.clone(),
            conns,
            leafnodes,
            total_conns: conns + leafnodes,
            num_subscriptions: account.subscriptions_len(),
            sent: amount(traffic.sent),
            received: amount(traffic.received),
            slow_consumers: account.stats.slow_consumers.load(Ordering::Relaxed),
        }
    }
}

impl AccStatz {
    pub(crate) fn of(server: &Shared, options: &AccStatzOptions) -> Self {
        let mut accounts: Vec<Arc<Account>> = server.accounts();
        if !options.accounts.is_empty() {
            accounts.retain(|account| options.accounts.contains(&account.name));
        }
        let all = accounts
            .iter()
            .map(|account| AccountConnections::of(server, account));
        Self {
            server_id: server.server_id.clone(),
            now: Timestamp::now(),
            account_statz: all
                .filter(|one| options.include_unused || one.total_conns > 0)
                .collect(),
        }
    }

    /// One account, used or not.
    pub(crate) fn of_one(server: &Shared, account: &Account) -> Self {
        Self {
            server_id: server.server_id.clone(),
            now: Timestamp::now(),
            account_statz: vec![AccountConnections::of(server, account)],
        }
    }
}
