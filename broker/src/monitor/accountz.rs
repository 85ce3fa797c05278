//! `/accountz` and `/accstatz`: accounts, what they are and what they do.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde::Serialize;

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

/// Where a mapping leads, and how often.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Mapped {
    subject: String,
    weight: u8,
}

/// What others may import.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Exported {
    subject: String,
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_type: Option<&'static str>,
}

/// What is imported from another account.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Imported {
    subject: String,
    account: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    local_subject: String,
    r#type: &'static str,
    invalid: bool,
    share: bool,
    tracking: bool,
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
            mappings: BTreeMap::new(),
            exports: Vec::new(),
            imports: Imported::from_system(server, &account),
            name_tag: account.name.clone(),
            sublist_stats: SublistStats::of([&account], server.traffic(&account).received.0),
        })
    }
}

impl Imported {
    /// What every account may ask the system account, about itself.
    fn from_system(server: &Shared, account: &Account) -> Vec<Self> {
        let system = server.system_account();
        let import = |local: &str, remote: String| Self {
            subject: remote,
            account: system.clone(),
            to: Some(local.to_owned()),
            local_subject: local.to_owned(),
            r#type: "service",
            invalid: false,
            share: false,
            tracking: false,
        };
        let name = &account.name;
        let connz = format!("$SYS.REQ.ACCOUNT.{name}.CONNZ");
        let statz = format!("$SYS.REQ.ACCOUNT.{name}.STATZ");
        match *name == system {
            true => Vec::new(),
            false => vec![
                import("$SYS.REQ.ACCOUNT.PING.CONNZ", connz.clone()),
                import("$SYS.REQ.SERVER.PING.CONNZ", connz),
                import("$SYS.REQ.ACCOUNT.PING.STATZ", statz),
            ],
        }
    }
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
