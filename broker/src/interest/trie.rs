//! The subject trie of one account: one level per token, with `*` and `>` beside the literal tokens.

use std::sync::Arc;

use hashbrown::HashMap;

use super::queue_group::QueueGroups;
use super::subscription::Subscription;

/// What matched a subject.
#[derive(Debug, Default)]
pub(crate) struct Matches {
    pub(crate) plain: Vec<Arc<Subscription>>,
    pub(crate) queues: QueueGroups,
}

impl Matches {
    /// Subscriptions that match.
    pub(crate) fn len(&self) -> usize {
        self.plain.len() + self.queues.len()
    }
}

/// All subscriptions of an account.
#[derive(Debug, Default)]
pub(crate) struct Trie {
    root: Node,
    len: usize,
}

#[derive(Debug, Default)]
struct Node {
    /// Subscriptions that end here.
    here: Level,
    /// Subscriptions that end with `>` here.
    tail: Level,
    star: Option<Box<Self>>,
    literal: HashMap<Box<[u8]>, Self>,
}

/// Subscriptions of one pattern, ascending by id, so that removal is a binary search.
#[derive(Debug, Default)]
struct Level {
    plain: Vec<Arc<Subscription>>,
    queues: HashMap<Box<[u8]>, Vec<Arc<Subscription>>>,
}

impl Trie {
    /// Adds a subscription whose filter was checked.
    pub(crate) fn insert(&mut self, subscription: Arc<Subscription>) {
        let filter = subscription.filter.clone();
        let mut node = &mut self.root;
        let mut ends_open = false;
        for token in filter.split(|byte| *byte == b'.') {
            match token {
                b">" => ends_open = true,
                b"*" => node = node.star.get_or_insert_default(),
                _ => node = node.literal.entry_ref(token).or_default(),
            }
        }
        let level = if ends_open {
            &mut node.tail
        } else {
            &mut node.here
        };
        level.insert(subscription);
        self.len += 1;
    }

    /// Removes a subscription; false where it is not there (any more).
    pub(crate) fn remove(&mut self, subscription: &Subscription) -> bool {
        let mut tokens = subscription.filter.split(|byte| *byte == b'.');
        let removed = self.root.remove(&mut tokens, subscription);
        self.len -= usize::from(removed);
        removed
    }

    /// Everything that matches a subject, whose tokens are taken literally; an empty token matches nothing.
    pub(crate) fn matches(&self, subject: &[u8]) -> Matches {
        let mut found = Matches::default();
        if subject
            .split(|byte| *byte == b'.')
            .all(|token| !token.is_empty())
        {
            self.root.collect(Some(subject), &mut found);
        }
        found
    }

    /// Puts the plain subscriptions of a subject into `found` and says how many there are. `None`: more than fit, or a
    /// queue group among them. Allocates nothing: for subjects that are used once. Not for subjects with an empty token,
    /// which `*` matches here.
    pub(crate) fn few<'a>(
        &'a self,
        subject: &[u8],
        found: &mut [Option<&'a Arc<Subscription>>],
    ) -> Option<usize> {
        let mut len = 0;
        self.root.collect_few(Some(subject), found, &mut len)?;
        Some(len)
    }

    /// Shows every subscription, in no order.
    pub(crate) fn for_each(&self, see: &mut impl FnMut(&Arc<Subscription>)) {
        self.root.for_each(see);
    }

    /// Number of subscriptions.
    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

impl Node {
    /// `rest` is what is left of the subject; `None` at its end.
    fn collect(&self, rest: Option<&[u8]>, found: &mut Matches) {
        let Some(rest) = rest else {
            return self.here.collect(found);
        };
        self.tail.collect(found);
        let (token, rest) = match memchr::memchr(b'.', rest) {
            Some(dot) => (&rest[..dot], Some(&rest[dot + 1..])),
            None => (rest, None),
        };
        if let Some(star) = &self.star {
            star.collect(rest, found);
        }
        if let Some(node) = self.literal.get(token) {
            node.collect(rest, found);
        }
    }

    /// As [`Node::collect`], while there is room.
    fn collect_few<'a>(
        &'a self,
        rest: Option<&[u8]>,
        found: &mut [Option<&'a Arc<Subscription>>],
        len: &mut usize,
    ) -> Option<()> {
        let Some(rest) = rest else {
            return self.here.collect_few(found, len);
        };
        self.tail.collect_few(found, len)?;
        let (token, rest) = match memchr::memchr(b'.', rest) {
            Some(dot) => (&rest[..dot], Some(&rest[dot + 1..])),
            None => (rest, None),
        };
        if let Some(star) = &self.star {
            star.collect_few(rest, found, len)?;
        }
        match self.literal.get(token) {
            Some(node) => node.collect_few(rest, found, len),
            None => Some(()),
        }
    }

    fn for_each(&self, see: &mut impl FnMut(&Arc<Subscription>)) {
        for level in [&self.here, &self.tail] {
            let queues = level.queues.values().flatten();
            level.plain.iter().chain(queues).for_each(&mut *see);
        }
        let literal = self.literal.values();
        for node in literal.chain(self.star.as_deref()) {
            node.for_each(see);
        }
    }

    fn remove<'a>(
        &mut self,
        tokens: &mut impl Iterator<Item = &'a [u8]>,
        subscription: &Subscription,
    ) -> bool {
        match tokens.next() {
            None => self.here.remove(subscription),
            Some(b">") => self.tail.remove(subscription),
            Some(b"*") => {
                let Some(node) = &mut self.star else {
                    return false;
                };
                let removed = node.remove(tokens, subscription);
                if node.is_empty() {
                    self.star = None;
                }
                removed
            }
            Some(token) => {
                let Some(node) = self.literal.get_mut(token) else {
                    return false;
                };
                let removed = node.remove(tokens, subscription);
                if node.is_empty() {
                    self.literal.remove(token);
                    if self.literal.is_empty() {
                        self.literal = HashMap::new();
                    }
                }
                removed
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.here.is_empty()
            && self.tail.is_empty()
            && self.star.is_none()
            && self.literal.is_empty()
    }
}

impl Level {
    fn insert(&mut self, subscription: Arc<Subscription>) {
        let members = match &subscription.queue {
            Some(queue) => self.queues.entry_ref(&**queue).or_default(),
            None => &mut self.plain,
        };
        let at = members.partition_point(|other| other.id < subscription.id);
        members.insert(at, subscription);
    }

    fn remove(&mut self, subscription: &Subscription) -> bool {
        let take = |members: &mut Vec<Arc<Subscription>>| {
            let found = members.binary_search_by_key(&subscription.id, |other| other.id);
            found.map(|index| members.remove(index)).is_ok()
        };
        let Some(queue) = &subscription.queue else {
            return take(&mut self.plain);
        };
        let Some(members) = self.queues.get_mut(queue) else {
            return false;
        };
        let removed = take(members);
        if members.is_empty() {
            self.queues.remove(queue);
        }
        removed
    }

    fn collect(&self, found: &mut Matches) {
        found.plain.extend_from_slice(&self.plain);
        for (name, members) in &self.queues {
            found.queues.extend(name, members);
        }
    }

    fn collect_few<'a>(
        &'a self,
        found: &mut [Option<&'a Arc<Subscription>>],
        len: &mut usize,
    ) -> Option<()> {
        if !self.queues.is_empty() {
            return None;
        }
        for subscription in &self.plain {
            *found.get_mut(*len)? = Some(subscription);
            *len += 1;
        }
        Some(())
    }

    fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.queues.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::client::request::Replies;
    use crate::interest::subscription::Sink;
    use crate::subject;

    fn subscription(filter: &str, queue: Option<&str>) -> Arc<Subscription> {
        let sink = Sink::Replies(Arc::new(Replies::default()));
        Subscription::new(filter.as_bytes(), queue.map(str::as_bytes), b"1", sink)
    }

    fn plain_ids(trie: &Trie, subject: &str) -> Vec<u64> {
        let mut ids: Vec<u64> = trie
            .matches(subject.as_bytes())
            .plain
            .iter()
            .map(|s| s.id)
            .collect();
        ids.sort_unstable();
        ids
    }

    #[test]
    fn item_27_one_name_on_different_patterns_is_one_group() {
        let mut trie = Trie::default();
        trie.insert(subscription("q.a", Some("g")));
        trie.insert(subscription("q.*", Some("g")));
        trie.insert(subscription("q.>", Some("h")));
        let mut sizes: Vec<usize> = trie
            .matches(b"q.a")
            .queues
            .into_groups()
            .iter()
            .map(Vec::len)
            .collect();
        sizes.sort_unstable();
        assert_eq!(sizes, [1, 2]);
    }

    #[test]
    fn malformed_subjects_match_nothing() {
        let mut trie = Trie::default();
        trie.insert(subscription(">", None));
        for subject in ["", ".a", "a.", "a..b"] {
            assert!(plain_ids(&trie, subject).is_empty(), "{subject:?}");
        }
        assert_eq!(plain_ids(&trie, "a.*").len(), 1);
    }

    #[test]
    fn a_few_are_found_without_a_list() {
        let mut trie = Trie::default();
        for filter in ["a.*", "a.b", "a.>", "b.c"] {
            trie.insert(subscription(filter, None));
        }
        trie.insert(subscription("q.*", Some("g")));
        let mut found = [None; 3];
        assert_eq!(trie.few(b"a.b", &mut found), Some(3));
        let ids: Vec<u64> = found.iter().flatten().map(|one| one.id).collect();
        assert_eq!(ids.len(), plain_ids(&trie, "a.b").len());
        assert_eq!(trie.few(b"c", &mut [None; 3]), Some(0));
        assert_eq!(trie.few(b"a.b", &mut [None; 2]), None);
        assert_eq!(trie.few(b"q.a", &mut [None; 3]), None);
    }

    #[test]
    fn an_emptied_trie_keeps_no_nodes() {
        let mut trie = Trie::default();
        let all = ["a.b.c", "a.*.>", ">", "*"].map(|filter| subscription(filter, None));
        for one in &all {
            trie.insert(one.clone());
        }
        for one in &all {
            assert!(trie.remove(one));
            assert!(!trie.remove(one));
        }
        assert!(trie.root.is_empty() && trie.len() == 0);
    }

    fn token() -> impl Strategy<Value = &'static str> {
        prop_oneof![Just("a"), Just("b"), Just("*"), Just("a*"), Just(">x")]
    }

    fn filter() -> impl Strategy<Value = String> {
        (prop::collection::vec(token(), 1..4), any::<bool>()).prop_map(|(mut tokens, open)| {
            if open {
                tokens.push(">");
            }
            tokens.join(".")
        })
    }

    proptest! {
        #[test]
        fn the_trie_agrees_with_a_filter_loop(
            filters in prop::collection::vec(filter(), 0..20),
            removed in prop::collection::vec(any::<bool>(), 20),
            subjects in prop::collection::vec(prop::collection::vec(token(), 1..5), 1..10),
        ) {
            let mut trie = Trie::default();
            let all: Vec<_> = filters.iter().map(|filter| subscription(filter, None)).collect();
            for one in &all {
                trie.insert(one.clone());
            }
            let mut kept = Vec::new();
            for (one, removed) in all.iter().zip(removed) {
                if removed {
                    prop_assert!(trie.remove(one));
                } else {
                    kept.push(one);
                }
            }
            prop_assert_eq!(trie.len(), kept.len());
            for subject in subjects {
                let subject = subject.join(".");
                let expected: Vec<u64> = kept
                    .iter()
                    .filter(|one| subject::matches(&one.filter, subject.as_bytes()))
                    .map(|one| one.id)
                    .collect();
                prop_assert_eq!(plain_ids(&trie, &subject), expected);
            }
        }
    }
}
