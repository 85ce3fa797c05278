//! What may cross a link: in which direction, and whether trying is an offence.

use crate::auth::{Permissions, SubjectPermissions};
use crate::subject;

/// Subjects of the streams that never cross by themselves: each side has its own. `$JS.<domain>.API.>` crosses.
const JETSTREAM: [&str; 3] = ["$JS.API.>", "$KV.>", "$OBJ.>"];
/// Prefixes that no permission concerns: loop detection, and what servers tell each other.
const EXEMPT: [&[u8]; 3] = [b"$LDS.", b"_GR_.", b"$GR."];

/// What never leaves over a link: requests for the streams here, under the domain's name too.
pub(crate) fn kept_here(domain: Option<&str>) -> Vec<String> {
    let mut kept = kept_there();
    kept.extend(domain.map(|domain| format!("$JS.{domain}.API.>")));
    kept
}

/// What is never taken from a link.
pub(crate) fn kept_there() -> Vec<String> {
    JETSTREAM.iter().map(ToString::to_string).collect()
}

/// One list of patterns, each with the queue group it is bound to, if it is.
#[derive(Debug, Default)]
struct Patterns(Vec<Entry>);

#[derive(Debug)]
struct Entry {
    pattern: Box<[u8]>,
    queue: Option<Box<[u8]>>,
}

impl Patterns {
    fn new<'a>(texts: impl IntoIterator<Item = &'a String>) -> Self {
        let entries = texts.into_iter().map(|text| {
            let mut words = text.split_ascii_whitespace();
            let mut next = || words.next().map(|word| word.as_bytes().into());
            Entry {
                pattern: next().unwrap_or_default(),
                queue: next(),
            }
        });
        Self(entries.collect())
    }

    /// Those that hold for a queue group, or without one.
    fn holding<'a>(&'a self, queue: Option<&'a [u8]>) -> impl Iterator<Item = &'a [u8]> {
        self.0.iter().filter_map(move |entry| {
            let holds = entry.queue.is_none() || entry.queue.as_deref() == queue;
            holds.then_some(&*entry.pattern)
        })
    }
}

/// Allow and deny lists of one direction.
#[derive(Debug, Default)]
struct Rule {
    allow: Option<Patterns>,
    deny: Patterns,
}

impl Rule {
    fn new(lists: &SubjectPermissions) -> Self {
        Self {
            allow: lists.allow.as_ref().map(Patterns::new),
            deny: Patterns::new(&lists.deny),
        }
    }

    fn allows(&self, subject: &[u8], queue: Option<&[u8]>) -> bool {
        let matches = |pattern: &[u8]| subject::matches(pattern, subject);
        let is_allowed = self
            .allow
            .as_ref()
            .is_none_or(|allow| allow.holding(queue).any(matches));
        is_allowed && !self.deny.holding(queue).any(matches)
    }

    /// Whether some subject of a pattern is allowed.
    fn overlaps(&self, filter: &[u8], queue: Option<&[u8]>) -> bool {
        let is_allowed = self.allow.as_ref().is_none_or(|allow| {
            let mut patterns = allow.holding(queue);
            patterns.any(|pattern| subject::overlap(pattern, filter))
        });
        let mut denied = self.deny.holding(queue);
        is_allowed && !denied.any(|pattern| subject::is_subset(filter, pattern))
    }
}

/// What a message or an interest of the other side comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Taken,
    /// It does not cross, and nobody is told.
    Ignored,
    /// It breaks the permissions of the leaf's user: the link ends.
    Violation,
}

/// What may cross one link.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    /// What the leaf's user may publish and receive, where this side enforces it.
    enforced: Option<(Rule, Rule)>,
    /// What the other side said it lets through, where it enforces that.
    announced_out: Rule,
    announced_in: Rule,
    deny_out: Patterns,
    deny_in: Patterns,
}

impl Rules {
    /// The rules of a link whose other side is a user here.
    pub(crate) fn enforcing(permissions: &Permissions) -> Self {
        let (publish, subscribe) = (&permissions.publish, &permissions.subscribe);
        Self {
            enforced: Some((Rule::new(publish), Rule::new(subscribe))),
            ..Self::default()
        }
    }

    /// The rules of a link that is a user of the other side.
    pub(crate) fn announced(publish: &SubjectPermissions, receive: &SubjectPermissions) -> Self {
        Self {
            announced_out: Rule::new(publish),
            announced_in: Rule::new(receive),
            ..Self::default()
        }
    }

    /// Keeps subjects on this side, and those of the other side there.
    #[must_use]
    pub(crate) fn with_denials(mut self, out: &[String], into: &[String]) -> Self {
        self.deny_out = Patterns::new(out);
        self.deny_in = Patterns::new(into);
        self
    }

    /// Whether a message may leave over the link.
    pub(crate) fn sends(&self, subject: &[u8]) -> bool {
        if is_exempt(subject) {
            return true;
        }
        let is_received = match &self.enforced {
            Some((_, receive)) => receive.allows(subject, None),
            None => self.announced_out.allows(subject, None),
        };
        is_received && !self.denied_out(subject)
    }

    /// Whether the other side is asked for a pattern.
    pub(crate) fn asks_for(&self, filter: &[u8], queue: Option<&[u8]>) -> bool {
        if is_exempt(filter) {
            return true;
        }
        let is_given = match &self.enforced {
            Some((publish, _)) => publish.overlaps(filter, None),
            None => self.announced_in.overlaps(filter, queue),
        };
        let mut denied = self.deny_in.holding(None);
        is_given && !denied.any(|pattern| subject::is_subset(filter, pattern))
    }

    /// What a message of the other side comes to.
    pub(crate) fn takes(&self, subject: &[u8]) -> Verdict {
        if is_exempt(subject) {
            return Verdict::Taken;
        }
        let mut denied = self.deny_in.holding(None);
        let is_denied = denied.any(|pattern| subject::matches(pattern, subject));
        match &self.enforced {
            _ if is_denied => Verdict::Ignored,
            Some((publish, _)) if !publish.allows(subject, None) => Verdict::Violation,
            _ => Verdict::Taken,
        }
    }

    /// What an interest of the other side comes to. A pattern with wildcards is taken and filtered message by message.
    pub(crate) fn gives(&self, filter: &[u8], queue: Option<&[u8]>) -> Verdict {
        if is_exempt(filter) {
            return Verdict::Taken;
        }
        let mut denied = self.deny_out.holding(None);
        let is_denied = denied.any(|pattern| subject::is_subset(filter, pattern));
        match &self.enforced {
            _ if is_denied => Verdict::Ignored,
            Some((_, receive))
                if !subject::has_wildcard(filter) && !receive.allows(filter, queue) =>
            {
                Verdict::Violation
            }
            _ => Verdict::Taken,
        }
    }

    fn denied_out(&self, subject: &[u8]) -> bool {
        let mut denied = self.deny_out.holding(None);
        denied.any(|pattern| subject::matches(pattern, subject))
    }
}

fn is_exempt(subject: &[u8]) -> bool {
    EXEMPT.iter().any(|prefix| subject.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lists(allow: &[&str], deny: &[&str]) -> SubjectPermissions {
        let list = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
        SubjectPermissions {
            allow: (!allow.is_empty()).then(|| list(allow)),
            deny: list(deny),
        }
    }

    fn hub() -> Rules {
        Rules::enforcing(&Permissions {
            publish: lists(&["p.>"], &["p.no"]),
            subscribe: lists(&["s.>"], &["s.no"]),
            ..Permissions::default()
        })
    }

    #[test]
    fn item_110_what_a_leaf_may_not_do_is_a_violation() {
        let rules = hub();
        assert_eq!(rules.takes(b"p.a"), Verdict::Taken);
        assert_eq!(rules.takes(b"p.no"), Verdict::Violation);
        assert_eq!(rules.takes(b"s.a"), Verdict::Violation);
        assert_eq!(rules.gives(b"s.a", None), Verdict::Taken);
        assert_eq!(rules.gives(b"s.no", None), Verdict::Violation);
        assert_eq!(rules.gives(b">", None), Verdict::Taken);
        assert!(rules.sends(b"s.a") && !rules.sends(b"s.no") && !rules.sends(b"x"));
        assert_eq!(rules.gives(b"$LDS.x", None), Verdict::Taken);
    }

    #[test]
    fn a_leaf_holds_back_what_its_hub_would_not_take() {
        let rules = Rules::announced(&lists(&["p.>"], &[]), &lists(&["s.>"], &["s.no"]));
        assert!(rules.sends(b"p.a") && !rules.sends(b"x"));
        assert!(rules.asks_for(b"s.a", None) && rules.asks_for(b">", None));
        assert!(!rules.asks_for(b"s.no", None) && !rules.asks_for(b"x", None));
        assert_eq!(rules.takes(b"x"), Verdict::Taken);
    }

    #[test]
    fn denials_are_silent() {
        let deny = kept_there();
        let rules = hub().with_denials(&deny, &deny);
        assert_eq!(rules.takes(b"$JS.API.INFO"), Verdict::Ignored);
        assert_eq!(rules.gives(b"$JS.API.>", None), Verdict::Ignored);
        assert!(!rules.sends(b"$KV.b.k") && !rules.asks_for(b"$JS.API.>", None));
        let open = Rules::default().with_denials(&deny, &deny);
        assert!(open.sends(b"$JS.hub.API.INFO") && open.asks_for(b"$JS.hub.API.>", None));
    }
}
