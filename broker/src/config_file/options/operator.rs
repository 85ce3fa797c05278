//! `operator`, `resolver` and what belongs to them: users that come with a JWT.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::report::{Pair, Report, each, set};
use crate::config_file::surroundings::Surroundings;
use crate::config_file::value::{Map, Value};
use crate::jwt::{OperatorConfig, ResolverConfig};

/// The keys of operator mode; `None` when none of them is there.
#[derive(Debug, Default)]
pub(super) struct Operator {
    pub(super) config: OperatorConfig,
    pub(super) is_used: bool,
}

impl Operator {
    /// Takes one key of the top level, if it is one of these.
    pub(super) fn take(
        &mut self,
        name: &str,
        pair: Pair<'_>,
        surroundings: &dyn Surroundings,
        report: &mut Report,
    ) -> bool {
        match name {
            "operator" | "operators" | "roots" | "root" | "root_operators" | "root_operator" => {
                self.is_used = true;
                for text in pair.texts(report).unwrap_or_default() {
                    self.config
                        .operators
                        .extend(operator_jwt(pair, &text, surroundings, report));
                }
            }
            "trusted" | "trusted_keys" => {
                self.is_used = true;
                for key in pair.texts(report).unwrap_or_default() {
                    if !super::keys::is_operator(&key) {
                        let reason = format!(
                            "trust key {key:?} required to be a valid public operator nkey"
                        );
                        pair.error(report, reason);
                    }
                    self.config.trusted_keys.push(key);
                }
            }
            "resolver" | "account_resolver" | "accounts_resolver" => {
                set(&mut self.config.resolver, resolver(pair, report));
            }
            "resolver_preload" => {
                let Value::Map(map) = &pair.node.value else {
                    pair.error(
                        report,
                        "preload should be a map of account_public_key:account_jwt",
                    );
                    return true;
                };
                for (key, node) in map.iter() {
                    if !super::keys::is_account(key) {
                        let reason = format!("{key:?} is not a valid public account nkey");
                        report.error(&node.position, reason);
                    }
                    if let Some(jwt) = (Pair { key, node }).text(report) {
                        self.config.resolver_preload.insert(key.to_owned(), jwt);
                    }
                }
            }
            "resolver_pinned_accounts" => {
                set(
                    &mut self.config.resolver_pinned_accounts,
                    pair.texts(report),
                );
            }
            "default_sentinel" => self.config.default_sentinel = pair.text(report),
            // TLS towards the URL resolver: its own roots and certificates.
            "resolver_tls" => {
                if pair.map(report).is_some_and(|map| !map.is_empty()) {
                    let reason = "resolver_tls is not supported: a URL resolver is checked against the system's authorities";
                    pair.error(report, reason);
                }
            }
            _ => return false,
        }
        true
    }
}

/// A JWT, or a file with one in it, alone or between two decorated lines.
fn operator_jwt(
    pair: Pair<'_>,
    text: &str,
    surroundings: &dyn Surroundings,
    report: &mut Report,
) -> Option<String> {
    if is_jwt(text) {
        return Some(text.to_owned());
    }
    let content = match surroundings.read(Path::new(text)) {
        Ok(content) => content,
        Err(error) => {
            let reason = match error.kind() {
                std::io::ErrorKind::NotFound => "no such file or directory".to_owned(),
                _ => error.to_string(),
            };
            pair.error(
                report,
                format!("error parsing operator JWT: open {text}: {reason}"),
            );
            return None;
        }
    };
    let jwt = content.lines().map(str::trim).find(|line| is_jwt(line));
    if jwt.is_none() {
        pair.error(
            report,
            format!("error parsing operator JWT: {text} holds none"),
        );
    }
    jwt.map(str::to_owned)
}

fn is_jwt(text: &str) -> bool {
    text.starts_with("ey") && text.matches('.').count() == 2
}

/// `MEMORY`, `URL(…)` or a map with `type` and `dir`.
fn resolver(pair: Pair<'_>, report: &mut Report) -> Option<ResolverConfig> {
    const WRONG: &str = "error parsing account resolver, should be MEM or  URL(\"url\") or a map containing dir and type \
                         state=[FULL|CACHE])";
    match &pair.node.value {
        Value::String(text)
            if ["MEM", "MEMORY"]
                .iter()
                .any(|name| text.eq_ignore_ascii_case(name)) =>
        {
            Some(ResolverConfig::Memory)
        }
        Value::String(text) => {
            let inside = text
                .strip_prefix("URL(")
                .or_else(|| text.strip_prefix("url("))
                .and_then(|rest| rest.strip_suffix(')'));
            let Some(url) = inside else {
                pair.error(report, WRONG);
                return None;
            };
            let url = url.trim_matches(['"', '\'']);
            let slash = if url.ends_with('/') { "" } else { "/" };
            Some(ResolverConfig::Url {
                url: format!("{url}{slash}"),
            })
        }
        Value::Map(map) => match directory(map, pair, report) {
            Some(resolver) => Some(resolver),
            None => {
                pair.error(report, WRONG);
                None
            }
        },
        _ => {
            pair.error(report, WRONG);
            None
        }
    }
}

/// Keys that the kinds of directories share.
fn directory(map: &Map, pair: Pair<'_>, report: &mut Report) -> Option<ResolverConfig> {
    let (mut kind, mut dir) = (String::new(), None::<PathBuf>);
    let (mut allow_delete, mut interval, mut ttl, mut limit) = (None, None, None, None);
    each(map, report, |name, pair, report| match name {
        "type" => set(&mut kind, pair.text(report).map(|kind| kind.to_lowercase())),
        "dir" => {
            dir = pair.path(report);
            true
        }
        "allow_delete" => {
            allow_delete = pair.boolean(report);
            true
        }
        // How files are deleted: they are always renamed first.
        "hard_delete" => {
            pair.boolean(report);
            true
        }
        "interval" => {
            interval = pair.duration(report);
            true
        }
        // How long a cluster is asked.
        "timeout" => {
            pair.duration(report);
            true
        }
        "ttl" => {
            ttl = pair.duration(report);
            true
        }
        "limit" => {
            limit = pair.count(report);
            true
        }
        _ => false,
    });
    let dir = dir?;
    let limit = limit.flatten().filter(|limit| *limit > 0);
    match kind.as_str() {
        "full" => {
            if ttl.is_some() {
                pair.error(report, "FULL does not accept ttl");
            }
            Some(ResolverConfig::Full {
                dir,
                allow_delete: allow_delete.unwrap_or_default(),
                interval: interval.unwrap_or(Duration::from_secs(60)),
                limit,
            })
        }
        "cache" => {
            if interval.is_some() || allow_delete == Some(true) {
                pair.error(report, "CACHE does not accept allow_delete and interval");
            }
            let ttl = ttl.unwrap_or(Duration::from_secs(3600));
            Some(ResolverConfig::Cache { dir, limit, ttl })
        }
        _ => None,
    }
}
