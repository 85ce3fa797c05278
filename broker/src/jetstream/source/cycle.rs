//! Whether messages of a stream could come back to it by way of other streams.
//!
//! What a stream holds is followed downstream, from copy to copy, as a set of subject patterns: filters narrow it,
//! transforms replace it. nats-server does the same for plain sources; it lets pass what goes through a mirror.

use std::collections::HashSet;
use std::sync::Arc;

use super::local;
use crate::jetstream::config::{StreamConfig, StreamSource, SubjectTransform};
use crate::subject;

/// Patterns of streams that are followed; who needs more is refused.
const STATES_MAX: usize = 4096;

/// Whether `config` would close a cycle among `others` (which may hold an older form of it).
pub(crate) fn closes_cycle(
    config: &StreamConfig,
    others: &[Arc<StreamConfig>],
    domain: Option<&str>,
) -> bool {
    if local_sources(config, domain).next().is_none() {
        return false;
    }
    let streams: Vec<&StreamConfig> = others
        .iter()
        .map(|other| &**other)
        .filter(|other| other.name != config.name)
        .chain([config])
        .collect();
    let mut seen: HashSet<(&str, String)> = HashSet::new();
    let mut waiting = vec![(config.name.as_str(), ">".to_owned())];
    while let Some((stream, pattern)) = waiting.pop() {
        for copy in &streams {
            let sources = local_sources(copy, domain).filter(|source| source.name == stream);
            for arrived in sources.flat_map(|source| copied(source, &pattern)) {
                if copy.name == config.name {
                    return true;
                }
                for stored in stored(copy, arrived) {
                    if seen.len() >= STATES_MAX {
                        return true;
                    }
                    let state = (copy.name.as_str(), stored);
                    if seen.insert(state.clone()) {
                        waiting.push(state);
                    }
                }
            }
        }
    }
    false
}

/// The origins of a stream that are in its own account.
fn local_sources<'a>(
    config: &'a StreamConfig,
    domain: Option<&'a str>,
) -> impl Iterator<Item = &'a StreamSource> {
    let all = config.mirror.iter().chain(&config.sources);
    all.filter(move |source| local(source, domain))
}

/// What a source makes of subjects that match `pattern`.
fn copied(source: &StreamSource, pattern: &str) -> Vec<String> {
    if source.subject_transforms.is_empty() {
        return intersection(pattern, any_if_empty(&source.filter_subject))
            .into_iter()
            .collect();
    }
    let transforms = source.subject_transforms.iter();
    transforms
        .filter_map(|transform| transformed(transform, pattern))
        .collect()
}

/// What a stream stores of subjects that match `pattern`: those it transforms, and those it leaves.
fn stored(config: &StreamConfig, pattern: String) -> Vec<String> {
    let transform = config.subject_transform.as_ref();
    let changed = transform.and_then(|transform| transformed(transform, &pattern));
    changed.into_iter().chain([pattern]).collect()
}

fn transformed(transform: &SubjectTransform, pattern: &str) -> Option<String> {
    let matching = intersection(pattern, any_if_empty(&transform.src))?;
    match transform.dest.as_str() {
        "" => Some(matching),
        dest => Some(possible(dest)),
    }
}

fn any_if_empty(filter: &str) -> &str {
    if filter.is_empty() { ">" } else { filter }
}

/// The pattern of all subjects that a destination can become.
fn possible(destination: &str) -> String {
    let mut tokens = Vec::new();
    for token in destination.split('.') {
        let function = token.to_ascii_lowercase();
        let is_function = function.starts_with("{{");
        if is_function && (function.contains("split") || function.contains("slice")) {
            // Makes several tokens of one.
            tokens.push(">");
            break;
        }
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let is_wildcard = is_function || token.strip_prefix('$').is_some_and(is_number);
        tokens.push(if is_wildcard { "*" } else { token });
    }
    tokens.join(".")
}

/// The pattern of the subjects that match both.
fn intersection(left: &str, right: &str) -> Option<String> {
    if !subject::overlap(left.as_bytes(), right.as_bytes()) {
        return None;
    }
    let (mut left, mut right) = (left.split('.'), right.split('.'));
    let mut tokens = Vec::new();
    loop {
        match (left.next(), right.next()) {
            (None, _) | (_, None) => break,
            (Some(">"), Some(token)) => {
                tokens.push(token);
                tokens.extend(right.by_ref());
                break;
            }
            (Some(token), Some(">")) => {
                tokens.push(token);
                tokens.extend(left.by_ref());
                break;
            }
            (Some("*"), Some(token)) | (Some(token), Some(_)) => tokens.push(token),
        }
    }
    Some(tokens.join("."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jetstream::config::External;

    fn source(name: &str, filter: &str, transforms: &[(&str, &str)]) -> StreamSource {
        let transform = |(src, dest): &(&str, &str)| SubjectTransform {
            src: (*src).to_owned(),
            dest: (*dest).to_owned(),
        };
        StreamSource {
            name: name.to_owned(),
            filter_subject: filter.to_owned(),
            subject_transforms: transforms.iter().map(transform).collect(),
            ..StreamSource::default()
        }
    }

    fn stream(name: &str, sources: Vec<StreamSource>) -> StreamConfig {
        StreamConfig {
            sources,
            ..StreamConfig::with_name(name)
        }
    }

    #[track_caller]
    fn check(config: &StreamConfig, others: &[StreamConfig], expected: bool) {
        let others: Vec<_> = others.iter().cloned().map(Arc::new).collect();
        assert_eq!(closes_cycle(config, &others, Some("here")), expected);
    }

    #[test]
    fn a_stream_cannot_be_its_own_origin() {
        check(&stream("A", vec![source("A", "", &[])]), &[], true);
        let mut mirror = stream("A", vec![]);
        mirror.mirror = Some(source("A", "", &[]));
        check(&mirror, &[], true);
        check(&stream("A", vec![source("B", "", &[])]), &[], false);
    }

    #[test]
    fn long_ways_round_are_found() {
        let others = [
            stream("B", vec![source("A", "", &[])]),
            stream("C", vec![source("B", "b.>", &[]), source("X", "", &[])]),
            stream("A", vec![]),
        ];
        check(&stream("A", vec![source("C", "", &[])]), &others, true);
        check(&stream("A", vec![source("C", "b.1", &[])]), &others, true);
        check(&stream("A", vec![source("C", "c.1", &[])]), &others, false);
        check(&stream("A", vec![source("X", "", &[])]), &others, false);
        let mut mirror = stream("M", vec![]);
        mirror.mirror = Some(source("B", "", &[]));
        let through_mirror = [others[0].clone(), mirror];
        check(
            &stream("A", vec![source("M", "", &[])]),
            &through_mirror,
            true,
        );
    }

    #[test]
    fn filters_that_nothing_passes_both_of_are_no_cycle() {
        let other = [stream("B", vec![source("A", "a.1", &[])])];
        check(&stream("A", vec![source("B", "b.1", &[])]), &other, false);
        check(&stream("A", vec![source("B", "a.*", &[])]), &other, true);
    }

    #[test]
    fn subjects_are_followed_through_transforms() {
        let to_b = [("kv.a.>", "kv.b.>")];
        let to_a = [("kv.b.>", "kv.a.>")];
        let b = [stream("B", vec![source("A", "", &to_b)])];
        check(&stream("A", vec![source("B", "", &to_a)]), &b, true);
        let apart = [("kv.b.own.*", "kv.a.{{wildcard(1)}}")];
        check(&stream("A", vec![source("B", "", &apart)]), &b, true);
        let parted = [stream(
            "B",
            vec![source("A", "", &[("kv.a.x.*", "kv.b.y.$1")])],
        )];
        check(&stream("A", vec![source("B", "", &apart)]), &parted, false);
        let mut moving = stream("B", vec![source("A", "", &[])]);
        moving.subject_transform = Some(SubjectTransform {
            src: "a".to_owned(),
            dest: "b".to_owned(),
        });
        check(&stream("A", vec![source("B", "b", &[])]), &[moving], true);
    }

    #[test]
    fn other_domains_are_not_looked_into() {
        let mut far = source("A", "", &[]);
        far.external = Some(External {
            api: "$JS.hub.API".to_owned(),
            deliver: String::new(),
        });
        check(&stream("A", vec![far.clone()]), &[], false);
        far.external = Some(External {
            api: "$JS.here.API".to_owned(),
            deliver: String::new(),
        });
        check(&stream("A", vec![far]), &[], true);
    }

    #[test]
    fn patterns_intersect_token_by_token() {
        for (left, right, both) in [
            (">", "a.*", Some("a.*")),
            ("a.>", "*.b", Some("a.b")),
            ("a.*.c", "*.b.*", Some("a.b.c")),
            ("*.>", "a.>", Some("a.>")),
            ("a.>", "a.b.>", Some("a.b.>")),
            ("a", "b", None),
            ("a.>", "a", None),
        ] {
            assert_eq!(intersection(left, right).as_deref(), both);
            assert_eq!(intersection(right, left).as_deref(), both);
        }
        assert_eq!(possible("a.$1.{{partition(3,1)}}.b"), "a.*.*.b");
        assert_eq!(possible("a.{{Split(1,-)}}.b"), "a.>");
        assert_eq!(possible("a.$x.>"), "a.$x.>");
    }
}
