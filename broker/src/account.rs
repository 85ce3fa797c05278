//! One account: a subject space of its own.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use crate::interest::counts::Counts;
use crate::interest::subscription::{Sink, Subscription};
use crate::interest::trie::{Matches, Trie};
use crate::interest::watch::{Watch, Watches};
use crate::leaf::interest::Propagation;
use crate::leaf::link::Link;
use crate::monitor::AccountStats;

/// Subjects of different accounts never meet.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) name: String,
    interest: RwLock<Trie>,
    /// Changes with every change of `interest`: what was matched in an older generation must be matched again.
    generation: AtomicU64,
    watches: Arc<Watches>,
    pub(crate) counts: Arc<Counts>,
    pub(crate) stats: AccountStats,
    /// What its links to other servers are told of `interest`.
    links: Propagation,
}

impl Account {
    pub(crate) fn new(name: impl Into<String>) -> Arc<Self> {
        Arc::new(Self {
            name: name.into(),
            interest: RwLock::default(),
            generation: AtomicU64::new(1),
            watches: Arc::default(),
            counts: Arc::default(),
            stats: AccountStats::default(),
            links: Propagation::default(),
        })
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    pub(crate) fn subscribe(&self, subscription: Arc<Subscription>) {
        let filter = subscription.filter.clone();
        let mut interest = self
            .interest
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        self.links.added(&subscription);
        interest.insert(subscription);
        self.counts.inserted();
        self.generation.fetch_add(1, Ordering::AcqRel);
        drop(interest);
        self.watches.changed(&filter);
    }

    /// Ends a subscription; what is on its way already may still arrive.
    pub(crate) fn unsubscribe(&self, subscription: &Subscription) {
        subscription.close();
        let mut interest = self
            .interest
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if interest.remove(subscription) {
            self.counts.removed();
            self.generation.fetch_add(1, Ordering::AcqRel);
            self.links.removed(subscription);
        }
        drop(interest);
        self.watches.changed(&subscription.filter);
    }

    /// Puts a subscription in the place of one with the same filter and queue group.
    pub(crate) fn replace(&self, old: &Subscription, new: Arc<Subscription>) {
        old.close();
        let mut interest = self
            .interest
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if interest.remove(old) {
            self.links.replaced(old, &new);
        } else {
            self.links.added(&new);
        }
        interest.insert(new);
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// Tells a new link what the account wants, now and from now on.
    pub(crate) fn attach(&self, link: &Arc<Link>) {
        let interest = self
            .interest
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        self.links.attach(&interest, link);
    }

    /// Ends a link with everything that was wanted beyond it.
    pub(crate) fn detach(&self, link: &Link) {
        for interest in link.take_interests() {
            self.unsubscribe(&interest);
        }
        let interest = self
            .interest
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        self.links.detach(link);
        drop(interest);
    }

    /// The account's links.
    pub(crate) fn links(&self) -> &Propagation {
        &self.links
    }

    /// Tells of changes of the interest in a subject.
    pub(crate) fn watch(&self, subject: &[u8]) -> Watch {
        self.watches.watch(subject)
    }

    /// Whether somebody listens to a subject: anybody, or members of a queue group. JetStream itself does not count.
    pub(crate) fn has_interest(&self, subject: &[u8], group: Option<&[u8]>) -> bool {
        let (_, matches) = self.matches(subject);
        let groups = matches.queues.into_groups();
        let mut members = groups.iter().flatten();
        let listens =
            |one: &Arc<Subscription>| !matches!(one.sink, Sink::Api(_) | Sink::Consumer(..));
        match group {
            None => matches.plain.iter().any(listens) || members.next().is_some(),
            Some(_) => members.any(|member| member.queue.as_deref() == group),
        }
    }

    /// What matches a subject now, with the generation that is true for.
    pub(crate) fn matches(&self, subject: &[u8]) -> (u64, Matches) {
        let interest = self.interest.read().unwrap_or_else(PoisonError::into_inner);
        let matches = interest.matches(subject);
        self.counts.matched(matches.len());
        (self.generation(), matches)
    }

    /// The trie itself, for many look-ups at once. Hold it shortly, and neither subscribe nor match meanwhile.
    pub(crate) fn interest(&self) -> RwLockReadGuard<'_, Trie> {
        self.interest.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// All subscriptions, oldest first.
    pub(crate) fn subscriptions(&self) -> Vec<Arc<Subscription>> {
        let mut all = Vec::new();
        self.interest()
            .for_each(&mut |subscription| all.push(subscription.clone()));
        all.sort_unstable_by_key(|one| one.id);
        all
    }

    /// Number of subscriptions.
    pub(crate) fn subscriptions_len(&self) -> usize {
        self.interest
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }
}
