//! `jetstream`: whether there are streams, where they lie and how many there may be.

use std::path::PathBuf;
use std::time::Duration;

use super::report::{Pair, Report, each, set};
use super::units;
use crate::accounts::Secret;
use crate::config_file::value::Value;

/// Streams of a server. `None` is no limit, or the default of the broker.
#[derive(Debug, Clone, PartialEq)]
pub struct JetStreamOptions {
    /// Whether there are any.
    pub enabled: bool,
    /// The data lies in `jetstream` below it. `None`: `nats` in the directory of temporary files.
    pub store_dir: Option<PathBuf>,
    /// Bytes of all memory streams of an account.
    pub memory_bytes_max: Option<u64>,
    /// Bytes of all disk streams of an account.
    pub storage_bytes_max: Option<u64>,
    /// Name of this server's part of a larger system.
    pub domain: Option<String>,
    /// Whether requests with unknown members are refused.
    pub strict: bool,
    /// When acknowledged messages are on the disk.
    pub sync: SyncOption,
    /// What the key of the streams on the disk is made of.
    pub encryption_key: Option<Secret>,
    /// `max_ack_pending` of one consumer.
    pub ack_pending_max: Option<u64>,
    /// Messages of one pull request.
    pub request_batch_max: Option<usize>,
    /// Longest duplicate window.
    pub duplicate_window_max: Option<Duration>,
    /// API requests that wait.
    pub requests_max: Option<usize>,
}

/// When what was acknowledged is on the disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SyncOption {
    /// Nothing is said: before the acknowledgement.
    #[default]
    Unsaid,
    /// Before the acknowledgement.
    Always,
    /// At most so long after it, as nats-server does.
    Interval(Duration),
}

impl Default for JetStreamOptions {
    fn default() -> Self {
        Self {
            enabled: false,
            store_dir: None,
            memory_bytes_max: None,
            storage_bytes_max: None,
            domain: None,
            strict: true,
            sync: SyncOption::Unsaid,
            encryption_key: None,
            ack_pending_max: None,
            request_batch_max: None,
            duplicate_window_max: None,
            requests_max: None,
        }
    }
}

/// A boolean, `enabled`, `disabled` or a map.
pub(super) fn jetstream(pair: Pair<'_>, options: &mut JetStreamOptions, report: &mut Report) {
    match &pair.node.value {
        Value::Bool(enabled) => options.enabled = *enabled,
        Value::String(text) => match text.to_lowercase().as_str() {
            "enabled" | "enable" => options.enabled = true,
            "disabled" | "disable" => options.enabled = false,
            _ => {
                let reason =
                    format!("Expected 'enabled' or 'disabled' for string value, got '{text}'");
                pair.error(report, reason);
            }
        },
        Value::Map(_) => block(pair, options, report),
        other => {
            let kind = other.kind();
            let reason = format!("Expected map, bool or string to define JetStream, got {kind}");
            pair.error(report, reason);
        }
    }
}

fn block(pair: Pair<'_>, options: &mut JetStreamOptions, report: &mut Report) {
    let Some(map) = pair.map(report) else {
        return;
    };
    options.enabled = true;
    each(map, report, |name, pair, report| {
        match name {
            "enabled" | "enable" => set(&mut options.enabled, pair.boolean(report)),
            "strict" => set(&mut options.strict, pair.boolean(report)),
            "store_dir" | "storedir" | "store" => store_dir(pair, options, report),
            "domain" => domain(pair, options, report),
            "max_memory_store" | "max_mem_store" | "max_mem" => {
                set(&mut options.memory_bytes_max, pair.bytes(report))
            }
            "max_file_store" | "max_file" => {
                set(&mut options.storage_bytes_max, pair.bytes(report))
            }
            "sync" | "sync_interval" => set(&mut options.sync, sync(pair, report)),
            "encryption_key" | "ek" | "key" => {
                options.encryption_key = super::authorization::secret(pair, report);
                true
            }
            "cipher" => cipher(pair, report),
            "limits" => limits(pair, options, report),
            "request_queue_limit" => set(&mut options.requests_max, pair.count(report)),
            "prev_key" | "prev_ek" | "prev_encryption_key" | "tpm" => {
                let reason = format!(
                    "{} is not supported: streams are encrypted under one key, given as key",
                    pair.key
                );
                pair.error(report, reason);
                true
            }
            // Between servers of a cluster, or inside of nats-server: there is nothing to set here.
            "unique_tag" | "extension_hint" => {
                pair.text(report);
                true
            }
            "max_outstanding_catchup"
            | "max_buffered_size"
            | "max_buffered_msgs"
            | "info_queue_limit"
            | "meta_compact"
            | "meta_compact_size" => {
                pair.bytes(report);
                true
            }
            _ => false,
        }
    });
}

/// `store_dir`, at the top level or in the block, but only once.
pub(super) fn store_dir(
    pair: Pair<'_>,
    options: &mut JetStreamOptions,
    report: &mut Report,
) -> bool {
    if options.store_dir.is_some() {
        pair.error(report, "Duplicate 'store_dir' configuration");
        return true;
    }
    options.store_dir = pair.path(report);
    true
}

fn domain(pair: Pair<'_>, options: &mut JetStreamOptions, report: &mut Report) -> bool {
    options.domain = pair.text(report);
    let is_token = |text: &str| !text.is_empty() && !text.contains([' ', '.', '*', '>', '\t']);
    if let Some(domain) = options.domain.as_deref().filter(|domain| !is_token(domain)) {
        pair.error(
            report,
            format!("invalid domain name: {domain:?} must be one token of a subject"),
        );
    }
    true
}

fn sync(pair: Pair<'_>, report: &mut Report) -> Option<SyncOption> {
    if let Value::String(text) = &pair.node.value
        && text.eq_ignore_ascii_case("always")
    {
        return Some(SyncOption::Always);
    }
    let interval = pair.duration(report)?;
    if interval.is_zero() {
        return Some(SyncOption::Always);
    }
    Some(SyncOption::Interval(interval))
}

/// Which of nats-server's ciphers is named does not matter: here it is always the same one.
fn cipher(pair: Pair<'_>, report: &mut Report) -> bool {
    let cipher = pair.text(report);
    if let Some(cipher) = cipher.filter(|name| {
        !matches!(
            name.to_lowercase().as_str(),
            "chacha" | "chachapoly" | "aes"
        )
    }) {
        pair.error(report, format!("Unknown cipher type: {cipher:?}"));
    }
    true
}

fn limits(pair: Pair<'_>, options: &mut JetStreamOptions, report: &mut Report) -> bool {
    let Some(map) = pair.map(report) else {
        return true;
    };
    each(map, report, |name, pair, report| match name {
        "max_ack_pending" => set(&mut options.ack_pending_max, pair.bytes(report)),
        // Assets of a cluster.
        "max_ha_assets" => {
            pair.integer(report);
            true
        }
        "max_request_batch" => set(&mut options.request_batch_max, pair.count(report)),
        "duplicate_window" => {
            options.duplicate_window_max = strict_duration(pair, report);
            true
        }
        "batch" => batch(pair, report),
        _ => false,
    });
    true
}

fn strict_duration(pair: Pair<'_>, report: &mut Report) -> Option<Duration> {
    let text = pair.text(report)?;
    units::duration(&text)
        .map_err(|reason| pair.error(report, reason))
        .ok()
}

/// Atomic batches have nats-server's defaults here, which no key changes.
fn batch(pair: Pair<'_>, report: &mut Report) -> bool {
    let Some(map) = pair.map(report) else {
        return true;
    };
    each(map, report, |name, pair, report| {
        let default = match name {
            "max_inflight_per_stream" => pair.integer(report).map(|number| number == 50),
            "max_inflight_total" | "max_msgs" => pair.integer(report).map(|number| number == 1000),
            "timeout" => {
                strict_duration(pair, report).map(|timeout| timeout == Duration::from_secs(10))
            }
            _ => return false,
        };
        if default == Some(false) {
            let reason = format!(
                "{} of atomic batches can not be changed: 50 in a stream, 1000 in all, 1000 messages, 10s",
                pair.key
            );
            pair.error(report, reason);
        }
        true
    });
    true
}
