//! Permissions, taken apart once per CONNECT and asked per subject.

use crate::auth::{Permissions, ResponsePermission, SubjectPermissions};
use crate::subject;

/// Shortest second token of a private inbox, in bytes: a nuid has 22.
const PRIVATE_INBOX_TOKEN_BYTES_MIN: usize = 16;
/// Queue group that no client may join.
const RESERVED_QUEUE: &[u8] = b"_sys_";
/// Prefixes no client may publish below.
const RESERVED_SUBJECTS: [&[u8]; 2] = [b"_GR_.", b"$NRG."];
/// Prefixes no client may ask to be answered on.
const RESERVED_REPLIES: [&[u8]; 3] = [b"_R_.", b"$JS.ACK.", b"_GR_."];

/// A pattern of a permission list, with the queue group it is bound to.
#[derive(Debug)]
struct Entry {
    pattern: Box<[u8]>,
    queue: Option<Box<[u8]>>,
}

impl Entry {
    fn parse(text: &str) -> Self {
        let mut words = text.split_ascii_whitespace();
        let mut next = || words.next().map(|word| word.as_bytes().into());
        Self {
            pattern: next().unwrap_or_default(),
            queue: next(),
        }
    }
}

#[derive(Debug)]
struct Lists {
    allow: Option<Vec<Entry>>,
    deny: Vec<Entry>,
}

impl Lists {
    fn new(permissions: &SubjectPermissions) -> Self {
        let entries = |list: &[String]| list.iter().map(|text| Entry::parse(text)).collect();
        Self {
            allow: permissions.allow.as_deref().map(entries),
            deny: entries(&permissions.deny),
        }
    }
}

/// What one connection may do.
#[derive(Debug)]
pub(crate) struct Compiled {
    publish: Lists,
    subscribe: Lists,
    private_inboxes: bool,
    pub(crate) responses: Option<ResponsePermission>,
}

impl Compiled {
    pub(crate) fn new(permissions: &Permissions) -> Self {
        let mut publish = Lists::new(&permissions.publish);
        if permissions.allow_responses.is_some() && publish.allow.is_none() {
            // Only answers may be published then, as in nats-server.
            publish.allow = Some(Vec::new());
        }
        Self {
            publish,
            subscribe: Lists::new(&permissions.subscribe),
            private_inboxes: permissions.private_inboxes,
            responses: permissions.allow_responses,
        }
    }

    /// Whether the lists allow publishing to a subject.
    pub(crate) fn can_publish(&self, subject: &[u8]) -> bool {
        let is_valid = has_no_empty_token(subject);
        let covers = |entry: &Entry| {
            is_valid && entry.queue.is_none() && subject::matches(&entry.pattern, subject)
        };
        self.publish
            .allow
            .as_ref()
            .is_none_or(|allow| allow.iter().any(covers))
            && !self.publish.deny.iter().any(covers)
    }

    /// Whether a pattern may be subscribed: it must be a subset of what is allowed, and of nothing that is denied.
    pub(crate) fn can_subscribe(&self, pattern: &[u8], queue: Option<&[u8]>) -> bool {
        if queue == Some(RESERVED_QUEUE) || (self.private_inboxes && !is_private(pattern)) {
            return false;
        }
        let allowed = self
            .subscribe
            .allow
            .as_ref()
            .is_none_or(|allow| allows(allow, pattern, queue));
        allowed && !denies(&self.subscribe.deny, pattern, queue)
    }

    /// Whether a subject may be delivered to a subscription that is allowed as such.
    pub(crate) fn can_receive(&self, subject: &[u8], queue: Option<&[u8]>) -> bool {
        !denies(&self.subscribe.deny, subject, queue)
    }
}

/// Entries without a queue allow every subscription; where entries name queues, a queue subscription must be one of them.
fn allows(entries: &[Entry], pattern: &[u8], queue: Option<&[u8]>) -> bool {
    let is_valid = has_no_empty_token(pattern);
    let covers = |entry: &&Entry| is_valid && subject::is_subset(pattern, &entry.pattern);
    let mut named = entries
        .iter()
        .filter(covers)
        .filter_map(|entry| entry.queue.as_deref())
        .peekable();
    if let Some(queue) = queue
        && named.peek().is_some()
    {
        return named.any(|allowed| queue_matches(queue, allowed));
    }
    entries
        .iter()
        .filter(covers)
        .any(|entry| entry.queue.is_none())
}

fn denies(entries: &[Entry], pattern: &[u8], queue: Option<&[u8]>) -> bool {
    entries.iter().any(|entry| {
        subject::is_subset(pattern, &entry.pattern)
            && match (&entry.queue, queue) {
                (None, _) => true,
                (Some(denied), Some(queue)) => queue_matches(queue, denied),
                (Some(_), None) => false,
            }
    })
}

/// No entry covers a subject with an empty token, as in nats-server.
fn has_no_empty_token(subject: &[u8]) -> bool {
    subject
        .split(|byte| *byte == b'.')
        .all(|token| !token.is_empty())
}

/// Queue parts of permissions are token patterns; `v*` is no glob.
fn queue_matches(queue: &[u8], pattern: &[u8]) -> bool {
    queue == pattern || (subject::has_wildcard(pattern) && subject::is_subset(queue, pattern))
}

/// Whether a pattern stays clear of other clients' inboxes.
fn is_private(pattern: &[u8]) -> bool {
    if !subject::overlap(pattern, b"_INBOX.>") {
        return true;
    }
    let mut tokens = pattern.split(|byte| *byte == b'.');
    tokens.next() == Some(b"_INBOX")
        && tokens
            .next()
            .is_some_and(|token| token.len() >= PRIVATE_INBOX_TOKEN_BYTES_MIN)
}

/// Whether a subject is kept for the server's own use.
pub(crate) fn is_reserved_subject(subject: &[u8]) -> bool {
    RESERVED_SUBJECTS
        .iter()
        .any(|prefix| subject.starts_with(prefix))
}

/// Whether a reply subject is kept for the server's own use.
pub(crate) fn is_reserved_reply(reply: &[u8]) -> bool {
    RESERVED_REPLIES
        .iter()
        .any(|prefix| reply.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscribe(allow: &[&str], deny: &[&str]) -> Compiled {
        let list = |entries: &[&str]| entries.iter().map(ToString::to_string).collect::<Vec<_>>();
        Compiled::new(&Permissions {
            subscribe: SubjectPermissions {
                allow: (!allow.is_empty()).then(|| list(allow)),
                deny: list(deny),
            },
            ..Permissions::default()
        })
    }

    #[track_caller]
    fn check(permissions: &Compiled, pattern: &str, queue: Option<&str>, expected: bool) {
        let queue = queue.map(str::as_bytes);
        assert_eq!(
            permissions.can_subscribe(pattern.as_bytes(), queue),
            expected,
            "{pattern} {queue:?}"
        );
    }

    #[test]
    fn item_46_a_subscription_must_be_a_subset_of_what_is_allowed() {
        let permissions = subscribe(&["s.>"], &[]);
        check(&permissions, ">", None, false);
        check(&permissions, "s.*", None, true);
        check(&permissions, "s", None, false);
    }

    #[test]
    fn item_47_a_denied_subject_inside_a_wildcard_is_filtered_at_delivery() {
        let permissions = subscribe(&["s.>"], &["s.no"]);
        check(&permissions, "s.*", None, true);
        check(&permissions, "s.no", None, false);
        assert!(!permissions.can_receive(b"s.no", None));
        assert!(permissions.can_receive(b"s.yes", None));
    }

    #[test]
    fn items_48_and_49_queue_permissions() {
        let permissions = subscribe(&["w.* q1", "x v1.*", "y v*"], &[]);
        check(&permissions, "w.1", None, false);
        check(&permissions, "w.1", Some("q1"), true);
        check(&permissions, "w.1", Some("q2"), false);
        check(&permissions, "x", Some("v1.a"), true);
        check(&permissions, "x", Some("v2.a"), false);
        check(&permissions, "y", Some("v1"), false);
        check(&permissions, "y", Some("v*"), true);
    }

    #[test]
    fn queue_groups_can_be_denied() {
        let permissions = subscribe(&[], &["a q1"]);
        check(&permissions, "a", None, true);
        check(&permissions, "a", Some("q1"), false);
        check(&permissions, "a", Some("q2"), true);
        check(&permissions, "a", Some("_sys_"), false);
    }

    #[test]
    fn inboxes_of_others_cannot_be_listened_to() {
        let permissions = Compiled::new(&Permissions {
            private_inboxes: true,
            ..Permissions::default()
        });
        for (pattern, allowed) in [
            ("_INBOX.>", false),
            ("_INBOX.*", false),
            ("_INBOX.*.a", false),
            ("_INBOX.short.*", false),
            (">", false),
            ("*.0123456789abcdef", false),
            ("_INBOX.0123456789abcdef.*", true),
            ("_INBOX.0123456789abcdef", true),
            ("room.>", true),
            ("_INBOX", true),
        ] {
            check(&permissions, pattern, None, allowed);
        }
    }

    #[test]
    fn answers_only_where_no_publish_list_is_given() {
        let permissions = Compiled::new(&Permissions {
            allow_responses: Some(ResponsePermission::default()),
            ..Permissions::default()
        });
        assert!(!permissions.can_publish(b"a"));
    }
}
