//! `leafnodes`: servers that come in as leaves, and servers to be a leaf of.

use super::authorization::{refuse_proxy_required, secret};
use super::report::{Pair, Report, each, set};
use super::tls::{Side, tls};
use crate::config_file::value::{Node, Value};
use crate::server::GLOBAL_ACCOUNT;
use crate::{LeafAuthorization, LeafConfig, LeafRemote, LeafUrl, LeafUser, TlsConfig};

/// The block: where leaves come in, and everything that needs no name to be looked up.
#[derive(Debug, Clone)]
pub struct LeafOptions {
    /// The address that leaves come in on, or a name for it.
    pub host: String,
    /// The port; `None` is no port at all, `Some(0)` any free one.
    pub port: Option<u16>,
    /// TLS on that port.
    pub tls: Option<TlsConfig>,
    /// `host:port` that leaves are told.
    pub advertise: Option<String>,
    /// Leaves are told no address.
    pub no_advertise: bool,
    /// Users that only leaves have.
    pub authorization: Option<LeafAuthorization>,
    /// Oldest version that may come in.
    pub min_version: Option<String>,
    /// Everything else; its `listen` is set when the address is known.
    pub config: LeafConfig,
}

impl Default for LeafOptions {
    fn default() -> Self {
        Self {
            host: super::ANY_HOST.to_owned(),
            port: None,
            tls: None,
            advertise: None,
            no_advertise: false,
            authorization: None,
            min_version: None,
            config: LeafConfig::default(),
        }
    }
}

/// The block.
pub(super) fn leafnodes(pair: Pair<'_>, report: &mut Report) -> Option<LeafOptions> {
    let Value::Map(map) = &pair.node.value else {
        let kind = pair.node.value.kind();
        pair.error(
            report,
            format!("Expected map to define a leafnode, got {kind}"),
        );
        return None;
    };
    let mut options = LeafOptions::default();
    each(map, report, |name, pair, report| match name {
        "listen" => {
            if let Some(address) = pair.address(report) {
                options.host = address.host.unwrap_or_else(|| super::ANY_HOST.to_owned());
                options.port = address.port;
            }
            true
        }
        "host" | "net" => set(&mut options.host, pair.text(report)),
        "port" => set(&mut options.port, pair.port(report)),
        "authorization" => {
            options.authorization = authorization(pair, report);
            true
        }
        "remotes" => set(&mut options.config.remotes, remotes(pair, report)),
        "reconnect" | "reconnect_delay" | "reconnect_interval" => {
            set(&mut options.config.reconnect, pair.duration(report))
        }
        "tls" => {
            options.tls = tls(pair, Side::Server, report);
            true
        }
        "no_advertise" => set(&mut options.no_advertise, pair.boolean(report)),
        "advertise" => {
            options.advertise = pair.text(report);
            true
        }
        "min_version" => {
            options.min_version = min_version(pair, report);
            true
        }
        "isolate_leafnode_interest" | "isolate" => {
            set(&mut options.config.isolate_interest, pair.boolean(report))
        }
        "write_deadline" => {
            options.config.write_deadline = pair.duration(report);
            true
        }
        "write_timeout" => super::top::write_timeout(pair, report),
        "compression" => super::top::no_compression(pair, report),
        _ => false,
    });
    Some(options)
}

fn min_version(pair: Pair<'_>, report: &mut Report) -> Option<String> {
    let text = pair.text(report)?;
    let parts: Option<Vec<u32>> = text
        .trim_start_matches('v')
        .split('-')
        .next()?
        .split('.')
        .map(|part| part.parse().ok())
        .collect();
    match parts.as_deref() {
        Some(parts @ [_, _, _]) if *parts < [2, 8, 0][..] => {
            pair.error(report, "the minimum version should be at least 2.8.0");
        }
        Some([_, _, _]) => {}
        _ => pair.error(report, "invalid leafnode's minimum version: invalid semver"),
    }
    Some(text)
}

/// A user, an nkey, an account alone, or users.
fn authorization(pair: Pair<'_>, report: &mut Report) -> Option<LeafAuthorization> {
    let map = pair.map(report)?;
    let mut block = LeafAuthorization::default();
    let mut single = LeafUser::default();
    let mut has_users = false;
    each(map, report, |name, pair, report| match name {
        "user" | "username" => set(&mut single.user, pair.text(report)),
        "pass" | "password" => password(&mut single, pair, report),
        "nkey" => {
            single.nkey = pair.text(report);
            if single
                .nkey
                .as_ref()
                .is_some_and(|key| !super::keys::is_user(key))
            {
                pair.error(report, "Not a valid public nkey for leafnode authorization");
            }
            true
        }
        "account" => {
            single.account = pair.text(report);
            true
        }
        "users" => {
            has_users = true;
            set(&mut block.users, users(pair, report))
        }
        "timeout" => {
            let timeout = pair.timeout(report, "leafnode authorization config");
            set(&mut block.timeout, timeout)
        }
        "proxy_required" => {
            refuse_proxy_required(pair, report);
            true
        }
        _ => false,
    });
    let has_single = !single.user.is_empty() || single.nkey.is_some();
    if has_single && has_users {
        pair.error(report, "can not have a single user/pass and a users array");
    } else if has_single || (single.account.is_some() && !has_users) {
        block.users.push(single);
    }
    Some(block)
}

fn password(user: &mut LeafUser, pair: Pair<'_>, report: &mut Report) -> bool {
    let secret = secret(pair, report);
    set(
        &mut user.password,
        secret.map(|secret| secret.expose().to_owned()),
    )
}

fn users(pair: Pair<'_>, report: &mut Report) -> Option<Vec<LeafUser>> {
    let Value::Array(items) = &pair.node.value else {
        let kind = pair.node.value.kind();
        pair.error(
            report,
            format!("Expected users field to be an array, got {kind}"),
        );
        return None;
    };
    let mut users = Vec::with_capacity(items.len());
    for item in items {
        let Value::Map(map) = &item.value else {
            let kind = item.value.kind();
            report.error(
                &item.position,
                format!("Expected user entry to be a map/struct, got {kind}"),
            );
            continue;
        };
        let mut user = LeafUser::default();
        each(map, report, |name, pair, report| match name {
            "user" | "username" => set(&mut user.user, pair.text(report)),
            "pass" | "password" => password(&mut user, pair, report),
            "account" => {
                user.account = pair.text(report);
                true
            }
            "proxy_required" => {
                refuse_proxy_required(pair, report);
                true
            }
            _ => false,
        });
        users.push(user);
    }
    Some(users)
}

fn remotes(pair: Pair<'_>, report: &mut Report) -> Option<Vec<LeafRemote>> {
    let Value::Array(items) = &pair.node.value else {
        let kind = pair.node.value.kind();
        pair.error(
            report,
            format!("Expected remotes field to be an array, got {kind}"),
        );
        return None;
    };
    Some(
        items
            .iter()
            .filter_map(|item| remote(item, report))
            .collect(),
    )
}

fn remote(item: &Node, report: &mut Report) -> Option<LeafRemote> {
    let Value::Map(map) = &item.value else {
        let kind = item.value.kind();
        let reason = format!("Expected remote leafnode entry to be a map/struct, got {kind}");
        report.error(&item.position, reason);
        return None;
    };
    let mut remote = LeafRemote::default();
    each(map, report, |name, pair, report| match name {
        "no_randomize" | "dont_randomize" => set(&mut remote.no_randomize, pair.boolean(report)),
        "url" | "urls" => {
            remote.urls.extend(urls(pair, report));
            true
        }
        "account" | "local" => set(&mut remote.account, pair.text(report)),
        "creds" | "credentials" => {
            remote.credentials = pair.path(report);
            true
        }
        "nkey" | "seed" => {
            remote.nkey_seed = seed(pair, report);
            true
        }
        "tls" => {
            remote.tls = tls(pair, Side::Remote, report);
            if remote
                .tls
                .as_ref()
                .is_some_and(|tls| tls.certificates.len() > 1)
            {
                pair.error(report, "a remote leafnode takes one certificate");
            }
            true
        }
        "hub" => set(&mut remote.hub, pair.boolean(report)),
        "deny_imports" | "deny_import" => set(&mut remote.deny_imports, pair.texts(report)),
        "deny_exports" | "deny_export" => set(&mut remote.deny_exports, pair.texts(report)),
        "ws_no_masking" | "ws_no_mask" | "websocket_no_masking" => {
            set(&mut remote.websocket_no_masking, pair.boolean(report))
        }
        // Only offered to the other side; frames go uncompressed.
        "ws_compress" | "ws_compression" | "websocket_compress" | "websocket_compression" => {
            pair.boolean(report);
            true
        }
        // Between servers of a cluster.
        "jetstream_cluster_migrate" | "js_cluster_migrate" => {
            if !matches!(pair.node.value, Value::Bool(_) | Value::Map(_)) {
                let kind = pair.node.value.kind();
                pair.error(
                    report,
                    format!("Expected boolean or map for jetstream_cluster_migrate, got {kind}"),
                );
            }
            true
        }
        "first_info_timeout" => set(&mut remote.first_info_timeout, pair.duration(report)),
        "disabled" => set(&mut remote.disabled, pair.boolean(report)),
        "isolate_leafnode_interest" | "isolate" => {
            set(&mut remote.isolate_interest, pair.boolean(report))
        }
        "request_isolation" => set(&mut remote.request_isolation, pair.boolean(report)),
        "ignore_discovered_servers" => {
            set(&mut remote.ignore_discovered_servers, pair.boolean(report))
        }
        "compression" => super::top::no_compression(pair, report),
        "proxy" => {
            let is_empty = matches!(&pair.node.value, Value::Map(map) if map.is_empty());
            if !is_empty {
                pair.error(
                    report,
                    "proxy is not supported: remotes are dialled directly",
                );
            }
            true
        }
        _ => false,
    });
    if remote.urls.is_empty() {
        report.error(&item.position, "a remote leafnode needs a url");
    }
    if remote.account.is_empty() {
        remote.account = GLOBAL_ACCOUNT.to_owned();
    }
    Some(remote)
}

fn urls(pair: Pair<'_>, report: &mut Report) -> Vec<LeafUrl> {
    let mut urls = Vec::new();
    for text in pair.texts(report).unwrap_or_default() {
        match LeafUrl::parse(&text) {
            Ok(url) => urls.push(url),
            Err(error) => pair.error(report, format!("error parsing leafnode url: {error}")),
        }
    }
    urls
}

fn seed(pair: Pair<'_>, report: &mut Report) -> Option<String> {
    let seed = pair.text(report)?;
    if crate::jwt::KeyPair::from_seed(&seed).is_err() {
        // Not repeated: it may be a seed with a typing error.
        pair.error(report, "Remote leafnode nkey is not a valid seed");
    }
    Some(seed)
}
