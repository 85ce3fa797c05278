//! Keys of nats-server that cannot be honoured here: refused with a sentence, unless they ask for nothing.

use super::report::{Pair, Report};
use crate::config_file::value::{Map, Value};

/// Takes one key of the top level, if it is one of these.
pub(super) fn take(name: &str, pair: Pair<'_>, report: &mut Report) -> bool {
    let refusal = match name {
        "cluster" => is_listening(pair, &["name", "cluster_name"]).then_some(
            "cluster is not supported: natterjack is one server. Leave the block out, or link servers as leaf nodes",
        ),
        "gateway" => is_listening(pair, &["name"])
            .then_some("gateway is not supported: natterjack is one server. Link servers as leaf nodes"),
        "mqtt" => is_listening(pair, &[]).then_some("mqtt is not supported: only the NATS protocol is spoken"),
        "ocsp" => asks(pair).then_some("ocsp is not supported: certificates are not stapled"),
        "ocsp_cache" => asks(pair).then_some("ocsp_cache is not supported: there is no OCSP"),
        "proxies" => asks(pair).then_some(
            "proxies is not supported: proxies that sign are not known here; proxy_protocol carries client addresses",
        ),
        "prof_port" => asks(pair).then_some("prof_port is not supported: there is no profiling port"),
        "prof_block_rate" => None,
        "no_header_support" => {
            asks(pair).then_some("no_header_support is not supported: every client may use headers")
        }
        "default_js_domain" => asks(pair).then_some(
            "default_js_domain is not supported: set jetstream { domain } here and name the domain in clients",
        ),
        _ => return false,
    };
    if let Some(reason) = refusal {
        pair.error(report, reason);
    }
    true
}

/// Whether a value asks for something: not false, zero or empty.
fn asks(pair: Pair<'_>) -> bool {
    match &pair.node.value {
        Value::Bool(truth) => *truth,
        Value::Integer(number) => *number != 0,
        Value::String(text) => {
            !matches!(text.to_lowercase().as_str(), "" | "never" | "off" | "none")
        }
        Value::Map(map) => match map.get("mode").map(|node| &node.value) {
            Some(Value::String(mode)) => !mode.eq_ignore_ascii_case("never"),
            _ => !map.is_empty(),
        },
        Value::Array(items) => !items.is_empty(),
        Value::Float(_) | Value::Date(_) => true,
    }
}

/// Whether a block asks for a port or for other servers: more than these keys, or an empty list of routes.
fn is_listening(pair: Pair<'_>, harmless: &[&str]) -> bool {
    let Value::Map(map) = &pair.node.value else {
        return asks(pair);
    };
    let is_harmless = |map: &Map| {
        map.iter().all(|(key, node)| {
            let key = key.to_lowercase();
            harmless.contains(&key.as_str())
                || matches!(&node.value, Value::Array(items) if items.is_empty())
        })
    };
    !is_harmless(map)
}
