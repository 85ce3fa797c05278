//! The keys of the top level.

use std::time::Duration;

use super::accounts::accounts;
use super::authorization::{Authorization, Names, authorization};
use super::jetstream::{jetstream, store_dir};
use super::leaf::leafnodes;
use super::mappings::mappings;
use super::operator::Operator;
use super::refused;
use super::report::{Pair, Report, set};
use super::tls::{Side, tls};
use super::websocket::websocket;
use super::{HostPort, Options};
use crate::config_file::surroundings::Surroundings;
use crate::config_file::value::Value;

/// Shortest `lame_duck_duration`.
const LAME_DUCK_MIN: Duration = Duration::from_secs(30);

/// What is put together from several keys.
#[derive(Default)]
pub(super) struct Collected {
    pub(super) names: Names,
    pub(super) authorization: Authorization,
    pub(super) operator: Operator,
    pub(super) allow_non_tls: bool,
    pub(super) client_advertise: Option<String>,
}

/// Takes one key. `false`: nobody knows it.
pub(super) fn take(
    options: &mut Options,
    collected: &mut Collected,
    name: &str,
    pair: Pair<'_>,
    surroundings: &dyn Surroundings,
    report: &mut Report,
) -> bool {
    if collected.operator.take(name, pair, surroundings, report)
        || options.log.take(name, pair, report)
        || limit(options, name, pair, report)
        || without_effect(name, pair, report)
        || refused::take(name, pair, report)
    {
        return true;
    }
    match name {
        "listen" => {
            if let Some(address) = pair.address(report) {
                set(&mut options.host, address.host);
                options.port = address.port.unwrap_or(super::NATS_PORT);
                options.is_host_said = true;
            }
            true
        }
        "host" | "net" => {
            options.is_host_said = true;
            set(&mut options.host, pair.text(report))
        }
        "port" => set(
            &mut options.port,
            pair.port(report)
                .map(|port| port.unwrap_or(super::NATS_PORT)),
        ),
        "client_advertise" => {
            collected.client_advertise = pair.text(report);
            true
        }
        "server_name" => server_name(options, pair, report),
        "authorization" => {
            collected.authorization = authorization(pair, &mut collected.names, report);
            true
        }
        "accounts" => {
            options.accounts.accounts = accounts(pair, &mut collected.names, report);
            true
        }
        "mappings" | "maps" => {
            options.accounts.mappings = mappings(pair, report);
            true
        }
        "no_auth_user" => {
            options.accounts.no_auth_user = pair.text(report);
            true
        }
        "system_account" | "system" => {
            let account = pair.text(report);
            collected
                .operator
                .config
                .system_account
                .clone_from(&account);
            options.accounts.system_account = account;
            true
        }
        "no_system_account" | "no_system" | "no_sys_acc" => set(
            &mut options.accounts.no_system_account,
            pair.boolean(report),
        ),
        "http" => monitor(&mut options.monitoring.http, pair, report),
        "http_port" | "monitor_port" => {
            options.monitoring.http = monitor_port(options.monitoring.http.take(), pair, report);
            true
        }
        "https" => monitor(&mut options.monitoring.https, pair, report),
        "https_port" => {
            options.monitoring.https = monitor_port(options.monitoring.https.take(), pair, report);
            true
        }
        "http_base_path" => set(&mut options.monitoring.base_path, pair.text(report)),
        "jetstream" => {
            jetstream(pair, &mut options.jetstream, report);
            true
        }
        "store_dir" | "storedir" => store_dir(pair, &mut options.jetstream, report),
        "tls" => {
            options.tls =
                tls(pair, Side::Server, report).filter(|tls| !tls.certificates.is_empty());
            true
        }
        "allow_non_tls" => set(&mut collected.allow_non_tls, pair.boolean(report)),
        "websocket" | "ws" => {
            options.websocket = websocket(pair, report);
            true
        }
        "leafnodes" | "leaf" => {
            options.leaf = leafnodes(pair, report);
            true
        }
        "lame_duck_duration" => {
            let duration = pair.duration(report);
            if let Some(duration) = duration.filter(|duration| *duration < LAME_DUCK_MIN) {
                let reason =
                    format!("invalid lame_duck_duration of {duration:?}, minimum is 30 seconds");
                pair.error(report, reason);
            }
            set(&mut options.lame_duck.duration, duration)
        }
        "lame_duck_grace_period" => set(&mut options.lame_duck.grace_period, pair.duration(report)),
        "pid_file" | "pidfile" => {
            options.pid_file = pair.path(report);
            true
        }
        "ports_file_dir" => {
            options.ports_file_dir = pair.path(report);
            true
        }
        "server_tags" => set(&mut options.server_tags, pair.texts(report)),
        "server_metadata" => metadata(options, pair, report),
        "proxy_protocol" => set(&mut options.proxy_protocol, pair.boolean(report)),
        _ => false,
    }
}

fn server_name(options: &mut Options, pair: Pair<'_>, report: &mut Report) -> bool {
    options.server_name = pair.text(report);
    if options
        .server_name
        .as_ref()
        .is_some_and(|name| name.contains(' '))
    {
        pair.error(report, "server name cannot contain spaces");
    }
    true
}

fn monitor(target: &mut Option<HostPort>, pair: Pair<'_>, report: &mut Report) -> bool {
    if let Some(address) = pair.address(report) {
        *target = Some(HostPort {
            host: address.host,
            port: address.port,
        });
    }
    true
}

fn monitor_port(before: Option<HostPort>, pair: Pair<'_>, report: &mut Report) -> Option<HostPort> {
    let port = pair.port(report)?;
    Some(HostPort {
        host: before.and_then(|before| before.host),
        port,
    })
}

fn metadata(options: &mut Options, pair: Pair<'_>, report: &mut Report) -> bool {
    let Value::Map(map) = &pair.node.value else {
        let kind = pair.node.value.kind();
        pair.error(
            report,
            format!("error parsing metadata: unsupported type {kind}"),
        );
        return true;
    };
    for (key, node) in map.iter() {
        if let Some(value) = (Pair { key, node }).text(report) {
            options.server_metadata.insert(key.to_owned(), value);
        }
    }
    true
}

/// Caps and times of connections.
fn limit(options: &mut Options, name: &str, pair: Pair<'_>, report: &mut Report) -> bool {
    /// What nats-server counts in 32 bits.
    const BYTES_MAX: i64 = i32::MAX as i64;
    let small = |report: &mut Report| {
        let bytes = pair.integer(report)?;
        if bytes > BYTES_MAX {
            pair.error(report, format!("{name} value is too big"));
            return None;
        }
        let bytes = usize::try_from(bytes).ok().filter(|bytes| *bytes > 0);
        if bytes.is_none() {
            pair.error(report, format!("{name} must be larger than 0"));
        }
        bytes
    };
    let limits = &mut options.limits;
    // 0 and negative numbers are no limit, where nats-server has none either.
    let unlimited = |report: &mut Report| {
        let count = pair.integer(report)?;
        Some(
            usize::try_from(count)
                .ok()
                .filter(|count| *count > 0)
                .unwrap_or(usize::MAX),
        )
    };
    match name {
        "max_payload" => set(&mut limits.payload_bytes_max, small(report)),
        "max_control_line" => set(&mut limits.control_line_bytes_max, small(report)),
        "max_pending" => set(&mut limits.pending_bytes_max, pending(pair, report)),
        "max_connections" | "max_conn" => set(&mut limits.connections_max, unlimited(report)),
        "max_subscriptions" | "max_subs" => set(&mut limits.subscriptions_max, unlimited(report)),
        "max_subscription_tokens" | "max_sub_tokens" => {
            set(&mut limits.subscription_tokens_max, unlimited(report))
        }
        "max_closed_clients" => set(&mut options.closed_clients_max, unlimited(report)),
        "ping_interval" => set(&mut options.ping_interval, some_time(pair, report)),
        "ping_max" => {
            let count = pair.integer(report);
            let count = count.and_then(|count| u32::try_from(count).ok());
            set(&mut options.ping_max, count.filter(|count| *count > 0))
        }
        "write_deadline" => set(&mut options.write_deadline, some_time(pair, report)),
        "write_timeout" => write_timeout(pair, report),
        _ => false,
    }
}

fn pending(pair: Pair<'_>, report: &mut Report) -> Option<usize> {
    let bytes = pair.integer(report)?;
    let bytes = usize::try_from(bytes).ok().filter(|bytes| *bytes > 0);
    if bytes.is_none() {
        pair.error(report, "max_pending must be larger than 0");
    }
    bytes
}

/// A timer that never rests would take a whole processor; nats-server takes 0 for its default.
fn some_time(pair: Pair<'_>, report: &mut Report) -> Option<Duration> {
    pair.duration(report).filter(|duration| !duration.is_zero())
}

/// What happens to a client whose write takes too long: it is closed, which is nats-server's default.
pub(super) fn write_timeout(pair: Pair<'_>, report: &mut Report) -> bool {
    match pair.text(report).as_deref() {
        Some("default" | "close") | None => {}
        Some("retry") => {
            let reason = "write_timeout 'retry' is not supported: a client that takes nothing in time is closed";
            pair.error(report, reason);
        }
        Some(_) => pair.error(
            report,
            "write_timeout must be 'default', 'close' or 'retry'",
        ),
    }
    true
}

/// Links are not compressed, so only modes that allow that are taken.
pub(super) fn no_compression(pair: Pair<'_>, report: &mut Report) -> bool {
    let mode = match &pair.node.value {
        Value::Bool(truth) => (if *truth { "on" } else { "off" }).to_owned(),
        Value::Map(map) => match map.get("mode").map(|node| &node.value) {
            Some(Value::String(mode)) => mode.to_lowercase(),
            Some(Value::Bool(false)) => "off".to_owned(),
            _ => "on".to_owned(),
        },
        _ => pair.text(report).unwrap_or_default().to_lowercase(),
    };
    // With these the other side decides whether there is any.
    let may_be_off = matches!(
        mode.as_str(),
        "" | "off" | "disabled" | "not supported" | "accept" | "s2_auto" | "auto"
    );
    if !may_be_off {
        pair.error(
            report,
            format!("compression {mode:?} is not supported: leaf links are not compressed"),
        );
    }
    true
}

/// Keys of parts that work differently here, so that there is nothing to set.
fn without_effect(name: &str, pair: Pair<'_>, report: &mut Report) -> bool {
    match name {
        "no_fast_producer_stall" | "disable_sublist_cache" => {
            pair.boolean(report);
        }
        "connect_error_reports" | "reconnect_error_reports" => {
            pair.integer(report);
        }
        "feature_flags" => {
            let Value::Map(map) = &pair.node.value else {
                let kind = pair.node.value.kind();
                pair.error(
                    report,
                    format!("error parsing feature flags: unsupported type {kind}"),
                );
                return true;
            };
            for (flag, node) in map.iter() {
                if !matches!(node.value, Value::Bool(_)) {
                    let kind = node.value.kind();
                    let reason =
                        format!("error parsing feature flag {flag:?}: expected bool, got {kind}");
                    report.error(&node.position, reason);
                }
            }
        }
        _ => return false,
    }
    true
}
