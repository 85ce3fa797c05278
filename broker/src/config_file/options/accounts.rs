//! `accounts`: users and streams that are kept apart, and what is shared between them.

use super::authorization::{Names, users};
use super::mappings::mappings;
use super::permissions::permissions;
use super::report::{Pair, Report, each, each_or, set};
use super::shares::{exports, imports};
use crate::accounts::{AccountConfig, AccountJetStream, AccountLimits, Export, Import};
use crate::config_file::value::{Node, Value};
use crate::server::GLOBAL_ACCOUNT;

/// `accounts { NAME { … } }`, or an array of names.
pub(super) fn accounts(
    pair: Pair<'_>,
    names: &mut Names,
    report: &mut Report,
) -> Vec<AccountConfig> {
    let mut accounts = match &pair.node.value {
        Value::Array(_) => {
            let names = pair.texts(report).unwrap_or_default();
            names.into_iter().map(AccountConfig::new).collect()
        }
        Value::Map(map) => {
            let mut entries: Vec<(&str, &Node)> = map.iter().collect();
            entries.sort_by(|one, other| one.1.position.cmp(&other.1.position));
            let accounts = entries
                .into_iter()
                .filter(|(_, node)| !node.is_variable)
                .filter_map(|(name, node)| account(name, node, names, report));
            accounts.collect()
        }
        _ => {
            let kind = pair.node.value.kind();
            pair.error(
                report,
                format!("accounts must be a map or an array of names, not {kind}"),
            );
            Vec::new()
        }
    };
    check_shares(pair, &mut accounts, report);
    accounts
}

fn account(
    name: &str,
    node: &Node,
    names: &mut Names,
    report: &mut Report,
) -> Option<AccountConfig> {
    let Value::Map(map) = &node.value else {
        report.error(&node.position, "Expected map entries for accounts");
        return None;
    };
    if name == GLOBAL_ACCOUNT {
        report.error(&node.position, format!("{name:?} is a Reserved Account"));
        return None;
    }
    let mut account = AccountConfig::new(name);
    each(map, report, |key, pair, report| {
        match key {
            "nkey" => {
                if let Some(nkey) = pair.text(report)
                    && !super::keys::is_account(&nkey)
                {
                    pair.error(
                        report,
                        format!("Not a valid public nkey for an account: {nkey:?}"),
                    );
                }
            }
            "users" => account.users = users(pair, names, report),
            "default_permissions" => account.default_permissions = permissions(pair, report),
            "exports" => account.exports = exports(pair, report),
            "imports" => account.imports = imports(pair, report),
            "mappings" | "maps" => account.mappings = mappings(pair, report),
            "jetstream" => account.jetstream = jetstream(pair, report),
            "limits" => account.limits = limits(pair, report),
            "trace_dest" | "msg_trace" => refuse_trace(pair, report),
            _ => return false,
        }
        true
    });
    Some(account)
}

/// Traces that a whole account asks for would be made per message, for everybody in it.
fn refuse_trace(pair: Pair<'_>, report: &mut Report) {
    let key = pair.key;
    let reason = format!(
        "{key} is not supported: messages are traced where their headers ask for it, not for a whole account"
    );
    pair.error(report, reason);
}

/// Names of other accounts are checked when all are known.
fn check_shares(pair: Pair<'_>, accounts: &mut [AccountConfig], report: &mut Report) {
    let names: std::collections::HashSet<String> = accounts
        .iter()
        .map(|account| account.name.clone())
        .collect();
    let is_known = |name: &str| names.contains(name) || name == GLOBAL_ACCOUNT;
    for account in accounts {
        for export in &account.exports {
            let (kind, importers) = match export {
                Export::Stream(stream) => ("stream", &stream.accounts),
                Export::Service(service) => ("service", &service.accounts),
            };
            for name in importers.iter().flatten().filter(|name| !is_known(name)) {
                pair.error(
                    report,
                    format!("{name:?} account not defined for {kind} export"),
                );
            }
        }
        for import in &account.imports {
            let (kind, exporter) = match import {
                Import::Stream(stream) => ("stream", &stream.account),
                Import::Service(service) => ("service", &service.account),
            };
            if !is_known(exporter) {
                pair.error(
                    report,
                    format!("{exporter:?} account not defined for {kind} import"),
                );
            }
        }
    }
}

fn limits(pair: Pair<'_>, report: &mut Report) -> AccountLimits {
    let mut limits = AccountLimits::default();
    let Value::Map(map) = &pair.node.value else {
        let kind = pair.node.value.kind();
        pair.error(
            report,
            format!("Expected account limits to be a map/struct, got {kind}"),
        );
        return limits;
    };
    let unknown = |key: &str| format!("Unknown field \"{key}\" parsing account limits");
    each_or(map, report, unknown, |name, pair, report| match name {
        "max_connections" | "max_conn" => set(&mut limits.connections_max, pair.count(report)),
        "max_subscriptions" | "max_subs" => set(&mut limits.subscriptions_max, pair.count(report)),
        "max_payload" | "max_pay" => set(&mut limits.payload_bytes_max, pair.count(report)),
        "max_leafnodes" | "max_leafs" => set(&mut limits.leafnodes_max, pair.count(report)),
        _ => false,
    });
    limits
}

/// `enabled`, `disabled`, a boolean, or limits.
fn jetstream(pair: Pair<'_>, report: &mut Report) -> Option<AccountJetStream> {
    let map = match &pair.node.value {
        Value::Bool(enabled) => return enabled.then(AccountJetStream::default),
        Value::String(text) => match text.to_lowercase().as_str() {
            "enabled" | "enable" => return Some(AccountJetStream::default()),
            "disabled" | "disable" => return None,
            _ => {
                let reason =
                    format!("Expected 'enabled' or 'disabled' for string value, got '{text}'");
                pair.error(report, reason);
                return None;
            }
        },
        Value::Map(map) => map,
        other => {
            let kind = other.kind();
            let reason = format!("Expected map, bool or string to define JetStream, got {kind}");
            pair.error(report, reason);
            return None;
        }
    };
    let mut limits = AccountJetStream::default();
    each(map, report, |name, pair, report| match name {
        "max_memory" | "max_mem" | "mem" | "memory" => {
            set(&mut limits.memory_bytes_max, size(pair, report))
        }
        "max_store" | "max_file" | "max_disk" | "store" | "disk" => {
            set(&mut limits.storage_bytes_max, size(pair, report))
        }
        "max_streams" | "streams" => set(&mut limits.streams_max, pair.count(report)),
        "max_consumers" | "consumers" => set(&mut limits.consumers_max, pair.count(report)),
        "max_ack_pending" => set(&mut limits.ack_pending_max, size(pair, report)),
        "max_bytes_required" | "max_stream_bytes" | "max_bytes" => {
            set(&mut limits.bytes_max_required, pair.boolean(report))
        }
        "mem_max_stream_bytes" | "memory_max_stream_bytes" => {
            set(&mut limits.memory_stream_bytes_max, size(pair, report))
        }
        "disk_max_stream_bytes" | "store_max_stream_bytes" => {
            set(&mut limits.storage_stream_bytes_max, size(pair, report))
        }
        // Who pays for traffic between servers of a cluster; there is none here.
        "cluster_traffic" => {
            let traffic = pair.text(report);
            if let Some(text) =
                traffic.filter(|text| !matches!(text.as_str(), "system" | "owner" | ""))
            {
                let reason = format!(
                    "Expected 'system' or 'owner' string value for \"cluster_traffic\", got {text}"
                );
                pair.error(report, reason);
            }
            true
        }
        _ => false,
    });
    Some(limits)
}

fn size(pair: Pair<'_>, report: &mut Report) -> Option<Option<u64>> {
    match &pair.node.value {
        Value::Integer(number) => Some(u64::try_from(*number).ok()),
        other => {
            let kind = other.kind();
            let reason = format!("Expected a parseable size for \"{}\", got {kind}", pair.key);
            pair.error(report, reason);
            None
        }
    }
}
