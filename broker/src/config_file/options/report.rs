//! Collects what is wrong, and takes values out of pairs as what they should be.

use std::path::PathBuf;
use std::time::Duration;

use super::units::{self, Address};
use crate::config_file::error::{ConfigError, ConfigErrors};
use crate::config_file::value::{Map, Node, Position, Value};

/// Everything that is wrong so far.
#[derive(Debug, Default)]
pub(super) struct Report {
    errors: Vec<ConfigError>,
    warnings: Vec<ConfigError>,
}

impl Report {
    pub(super) fn error(&mut self, at: &Position, reason: impl Into<String>) {
        self.errors.push(ConfigError::at(at, reason));
    }

    /// Something that works, but should be written in another way.
    pub(super) fn warning(&mut self, at: &Position, reason: impl Into<String>) {
        self.warnings.push(ConfigError::at(at, reason));
    }

    /// The warnings, if nothing is wrong.
    pub(super) fn finish(mut self) -> Result<Vec<ConfigError>, ConfigErrors> {
        if self.errors.is_empty() {
            return Ok(self.warnings);
        }
        self.errors
            .sort_by(|one, other| one.position.cmp(&other.position));
        self.errors.dedup();
        Err(ConfigErrors(self.errors))
    }
}

/// A key with its value. Keys are read in lower case, except where they are names.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pair<'a> {
    /// As it is written.
    pub(super) key: &'a str,
    pub(super) node: &'a Node,
}

/// Hands every pair of a map to `take`, with its key in lower case and by place; a key that it does not take is unknown.
pub(super) fn each(
    map: &Map,
    report: &mut Report,
    take: impl FnMut(&str, Pair<'_>, &mut Report) -> bool,
) {
    each_or(map, report, |key| format!("unknown field \"{key}\""), take);
}

/// The same, where nats-server has words of its own for unknown keys.
pub(super) fn each_or(
    map: &Map,
    report: &mut Report,
    unknown: impl Fn(&str) -> String,
    mut take: impl FnMut(&str, Pair<'_>, &mut Report) -> bool,
) {
    let mut pairs: Vec<Pair<'_>> = map.iter().map(|(key, node)| Pair { key, node }).collect();
    pairs.sort_by(|one, other| one.node.position.cmp(&other.node.position));
    for pair in pairs {
        let name = pair.key.to_lowercase();
        if !take(&name, pair, report) && !pair.node.is_variable {
            report.error(&pair.node.position, unknown(pair.key));
        }
    }
}

impl<'a> Pair<'a> {
    pub(super) fn position(&self) -> &'a Position {
        &self.node.position
    }

    pub(super) fn error(&self, report: &mut Report, reason: impl Into<String>) {
        report.error(self.position(), reason);
    }

    fn mistaken<T>(&self, report: &mut Report, expected: &str) -> Option<T> {
        let (key, kind) = (self.key, self.node.value.kind());
        self.error(
            report,
            format!("field \"{key}\" must be {expected}, not {kind}"),
        );
        None
    }

    pub(super) fn boolean(&self, report: &mut Report) -> Option<bool> {
        match &self.node.value {
            Value::Bool(truth) => Some(*truth),
            _ => self.mistaken(report, "true or false"),
        }
    }

    pub(super) fn integer(&self, report: &mut Report) -> Option<i64> {
        match &self.node.value {
            Value::Integer(number) => Some(*number),
            _ => self.mistaken(report, "a whole number"),
        }
    }

    /// A number of things, where a negative number stands for no limit.
    pub(super) fn count(&self, report: &mut Report) -> Option<Option<usize>> {
        let number = self.integer(report)?;
        Some(usize::try_from(number).ok())
    }

    /// A number of bytes: a whole number, or a string such as `1G`. Negative is no limit.
    pub(super) fn bytes(&self, report: &mut Report) -> Option<Option<u64>> {
        match &self.node.value {
            Value::Integer(number) => Some(u64::try_from(*number).ok()),
            Value::String(text) => match units::size(text) {
                Ok(size) => Some(u64::try_from(size).ok()),
                Err(reason) => {
                    self.error(report, format!("{} {reason}", self.key));
                    None
                }
            },
            _ => self.mistaken(report, "a size"),
        }
    }

    pub(super) fn text(&self, report: &mut Report) -> Option<String> {
        match &self.node.value {
            Value::String(text) => Some(text.clone()),
            _ => self.mistaken(report, "a string"),
        }
    }

    pub(super) fn path(&self, report: &mut Report) -> Option<PathBuf> {
        self.text(report).map(PathBuf::from)
    }

    /// One string, or an array of them.
    pub(super) fn texts(&self, report: &mut Report) -> Option<Vec<String>> {
        match &self.node.value {
            Value::String(text) => Some(vec![text.clone()]),
            Value::Array(items) => {
                let texts = items.iter().map(|item| match &item.value {
                    Value::String(text) => Some(text.clone()),
                    other => {
                        let kind = other.kind();
                        let reason = format!("\"{}\" takes strings, not {kind}", self.key);
                        report.error(&item.position, reason);
                        None
                    }
                });
                Some(texts.collect::<Vec<_>>().into_iter().flatten().collect())
            }
            _ => self.mistaken(report, "a string or an array of strings"),
        }
    }

    pub(super) fn map(&self, report: &mut Report) -> Option<&'a Map> {
        match &self.node.value {
            Value::Map(map) => Some(map),
            _ => self.mistaken(report, "a map"),
        }
    }

    pub(super) fn array(&self, report: &mut Report) -> Option<&'a [Node]> {
        match &self.node.value {
            Value::Array(items) => Some(items),
            _ => self.mistaken(report, "an array"),
        }
    }

    /// A duration as Go writes them. A number is taken for seconds, with a warning.
    pub(super) fn duration(&self, report: &mut Report) -> Option<Duration> {
        let key = self.key;
        match &self.node.value {
            Value::String(text) => match units::duration(text) {
                Ok(duration) => Some(duration),
                Err(reason) => {
                    self.error(report, format!("error parsing {key}: {reason}"));
                    None
                }
            },
            Value::Integer(seconds) => {
                let reason = format!(
                    "invalid use of field \"{key}\": {key} should be converted to a duration"
                );
                report.warning(self.position(), reason);
                let seconds = u64::try_from(*seconds).ok();
                seconds.map(Duration::from_secs).or_else(|| {
                    self.error(report, format!("{key} can not be negative"));
                    None
                })
            }
            _ => self.mistaken(report, "a duration such as \"2m\""),
        }
    }

    /// A time that may be written as seconds or as a duration: `timeout` of `authorization` and `tls`.
    pub(super) fn timeout(&self, report: &mut Report, block: &str) -> Option<Duration> {
        let seconds = match &self.node.value {
            Value::Integer(seconds) => u64::try_from(*seconds).ok().map(Duration::from_secs),
            Value::Float(seconds) => Duration::try_from_secs_f64(*seconds).ok(),
            Value::String(text) => match units::duration(text) {
                Ok(duration) => Some(duration),
                Err(reason) => {
                    self.error(report, format!("error parsing {block}, 'timeout' {reason}"));
                    return None;
                }
            },
            _ => {
                self.error(
                    report,
                    format!("error parsing {block}, 'timeout' wrong type"),
                );
                return None;
            }
        };
        if seconds.is_none() {
            self.error(
                report,
                format!("error parsing {block}, 'timeout' out of range"),
            );
        }
        seconds
    }

    /// A port: `None` for 0, which is "not at all" or the default; `Some(0)`, "any free one", for -1.
    pub(super) fn port(&self, report: &mut Report) -> Option<Option<u16>> {
        let port = units::port(self.integer(report)?);
        if port.is_none() {
            self.error(
                report,
                format!("{} must be a port from 1 to 65535, or -1 for any", self.key),
            );
        }
        port
    }

    /// `listen`: a port, or `host:port`.
    pub(super) fn address(&self, report: &mut Report) -> Option<Address> {
        let address = match &self.node.value {
            Value::Integer(port) => {
                let port = units::port(*port);
                port.map(|port| Address { host: None, port })
                    .ok_or_else(|| {
                        format!("{} must be a port from 1 to 65535, or -1 for any", self.key)
                    })
            }
            Value::String(text) => units::address(text),
            _ => return self.mistaken(report, "a port or \"host:port\""),
        };
        address.map_err(|reason| self.error(report, reason)).ok()
    }
}

/// Sets `target` if there is a value.
pub(super) fn set<T>(target: &mut T, value: Option<T>) -> bool {
    if let Some(value) = value {
        *target = value;
    }
    true
}
