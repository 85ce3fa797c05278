//! `permissions`: what a user may publish and subscribe.

use super::report::{Pair, Report, each_or};
use crate::auth::{Permissions, ResponsePermission, SubjectPermissions};
use crate::config_file::value::{Node, Value};
use crate::subject::SubjectFilter;

/// A `permissions` map.
pub(super) fn permissions(pair: Pair<'_>, report: &mut Report) -> Option<Permissions> {
    let Value::Map(map) = &pair.node.value else {
        let kind = pair.node.value.kind();
        pair.error(
            report,
            format!("Expected permissions to be a map/struct, got {kind}"),
        );
        return None;
    };
    let mut permissions = Permissions::default();
    let unknown = |key: &str| format!("Unknown field \"{key}\" parsing permissions");
    each_or(map, report, unknown, |name, pair, report| {
        match name {
            "pub" | "publish" | "import" => {
                permissions.publish = subjects(pair, Direction::Publish, report);
            }
            "sub" | "subscribe" | "export" => {
                permissions.subscribe = subjects(pair, Direction::Subscribe, report);
            }
            "publish_allow_responses" | "allow_responses" => {
                permissions.allow_responses = responses(pair, report);
            }
            _ => return false,
        }
        true
    });
    Some(permissions)
}

/// Only subscriptions may name a queue group.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Publish,
    Subscribe,
}

/// `"a"`, `[a, b]` or `{allow: …, deny: …}`.
fn subjects(pair: Pair<'_>, direction: Direction, report: &mut Report) -> SubjectPermissions {
    let mut subjects = SubjectPermissions::default();
    let Value::Map(map) = &pair.node.value else {
        subjects.allow = list(pair.node, direction, report);
        return subjects;
    };
    let unknown = |key: &str| {
        format!(
            "Unknown field name \"{key}\" parsing subject permissions, only 'allow' or 'deny' are permitted"
        )
    };
    each_or(map, report, unknown, |name, pair, report| {
        match name {
            "allow" => subjects.allow = list(pair.node, direction, report),
            "deny" => subjects.deny = list(pair.node, direction, report).unwrap_or_default(),
            _ => return false,
        }
        true
    });
    subjects
}

fn list(node: &Node, direction: Direction, report: &mut Report) -> Option<Vec<String>> {
    let one = std::slice::from_ref(node);
    let items = match &node.value {
        Value::Array(items) => items.as_slice(),
        _ => one,
    };
    let mut subjects = Vec::with_capacity(items.len());
    for item in items {
        let Value::String(text) = &item.value else {
            let kind = item.value.kind();
            let reason = format!(
                "Expected subject permissions to be a subject, or array of subjects, got {kind}"
            );
            report.error(&item.position, reason);
            return None;
        };
        let subject = match direction {
            Direction::Subscribe => {
                text.split_once(' ')
                    .map_or(text.as_str(), |(subject, queue)| {
                        // What stands behind a blank is a queue group, and a group is one word.
                        if queue.trim().contains(' ') {
                            text
                        } else {
                            subject
                        }
                    })
            }
            Direction::Publish => text,
        };
        if SubjectFilter::parse(subject).is_err() {
            let reason = format!("subject \"{text}\" is not a valid subject");
            report.error(&item.position, reason);
        }
        subjects.push(text.clone());
    }
    Some(subjects)
}

/// `true`, or how often and for how long.
fn responses(pair: Pair<'_>, report: &mut Report) -> Option<ResponsePermission> {
    let map = match &pair.node.value {
        Value::Bool(true) => return Some(ResponsePermission::default()),
        Value::Bool(false) => return None,
        Value::Map(map) => map,
        _ => {
            pair.error(
                report,
                "error parsing response permissions, expected a boolean or a map",
            );
            return None;
        }
    };
    let mut responses = ResponsePermission::default();
    let unknown = |key: &str| format!("Unknown field \"{key}\" parsing permissions");
    each_or(map, report, unknown, |name, pair, report| {
        match name {
            "max" | "max_msgs" | "max_messages" | "max_responses" => {
                let max = pair.integer(report).map(i32::try_from);
                if let Some(Ok(max)) = max
                    && max != 0
                {
                    responses.max = max;
                }
            }
            "expires" | "expiration" | "ttl" => {
                let expires = pair.duration(report).filter(|expires| !expires.is_zero());
                responses.expires = expires.unwrap_or(responses.expires);
            }
            _ => return false,
        }
        true
    });
    Some(responses)
}
