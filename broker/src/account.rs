//! One account: a subject space of its own.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, Weak};

use crate::accounts::AccountLimits;
use crate::crossing::Crossings;
use crate::crossing::mapping::Mappings;
use crate::crossing::responses::Responses;
use crate::crossing::stream::StreamCrossing;
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
    this: Weak<Self>,
    interest: RwLock<Trie>,
    /// Changes with every change of `interest`: what was matched in an older generation must be matched again.
    generation: AtomicU64,
    watches: Arc<Watches>,
    pub(crate) counts: Arc<Counts>,
    pub(crate) stats: AccountStats,
    /// What its links to other servers are told of `interest`.
    links: Propagation,
    /// What it has to do with other accounts.
    crossings: Crossings,
    limits: RwLock<AccountLimits>,
    /// Subscriptions that are the server's own.
    own_len: AtomicUsize,
}

impl Account {
    pub(crate) fn new(name: impl Into<String>) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            name: name.into(),
            this: this.clone(),
            interest: RwLock::default(),
            generation: AtomicU64::new(1),
            watches: Arc::default(),
            counts: Arc::default(),
            stats: AccountStats::default(),
            links: Propagation::default(),
            crossings: Crossings::default(),
            limits: RwLock::default(),
            own_len: AtomicUsize::new(0),
        })
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    pub(crate) fn subscribe(&self, subscription: Arc<Subscription>) {
        self.insert(&subscription);
        self.cast_shadows(&subscription);
    }

    /// Ends a subscription; what is on its way already may still arrive.
    pub(crate) fn unsubscribe(&self, subscription: &Subscription) {
        subscription.close();
        self.remove(subscription);
        end_all(subscription.set_shadows(Vec::new()));
    }

    /// Puts a subscription in the place of one with the same filter and queue group; no message is lost or doubled.
    pub(crate) fn renew(&self, old: &Subscription, new: &Arc<Subscription>) {
        new.settle(&self.this);
        let mut interest = self
            .interest
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if interest.remove(old) {
            interest.insert(new.clone());
        }
        self.generation.fetch_add(1, Ordering::AcqRel);
        drop(interest);
        end_all(old.set_shadows(Vec::new()));
        self.cast_shadows(new);
    }

    fn insert(&self, subscription: &Arc<Subscription>) {
        subscription.settle(&self.this);
        let mut interest = self
            .interest
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        self.links.added(subscription);
        interest.insert(subscription.clone());
        if subscription.is_server() {
            self.own_len.fetch_add(1, Ordering::Relaxed);
        }
        self.counts.inserted();
        self.generation.fetch_add(1, Ordering::AcqRel);
        drop(interest);
        self.watches.changed(&subscription.filter);
    }

    fn remove(&self, subscription: &Subscription) {
        let mut interest = self
            .interest
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if interest.remove(subscription) {
            if subscription.is_server() {
                self.own_len.fetch_sub(1, Ordering::Relaxed);
            }
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
        new.settle(&self.this);
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

    /// Makes what stands for a subscription in the accounts that messages are imported from.
    fn cast_shadows(&self, subscription: &Arc<Subscription>) {
        let imports = self.crossings.imports();
        if imports.is_empty() {
            return;
        }
        let cast = imports.iter().filter_map(|import| {
            let shadow = import.shadow(subscription)?;
            import.exporter.upgrade()?.insert(&shadow);
            Some(shadow)
        });
        end_all(subscription.set_shadows(cast.collect()));
        if subscription.is_closed() {
            // It ended while its shadows were made.
            end_all(subscription.set_shadows(Vec::new()));
        }
    }

    /// Imports these streams instead of those before.
    pub(crate) fn set_imports(&self, imports: Vec<Arc<StreamCrossing>>) {
        if imports.is_empty() && self.crossings.imports().is_empty() {
            return;
        }
        self.crossings.set_imports(imports);
        for subscription in self.subscriptions() {
            end_all(subscription.set_shadows(Vec::new()));
            self.cast_shadows(&subscription);
        }
    }

    /// Imports these services instead of those before.
    pub(crate) fn set_services(&self, services: Vec<Arc<Subscription>>) {
        for service in &services {
            self.insert(service);
        }
        end_all(self.crossings.set_services(services));
    }

    /// Maps subjects by these rules from now on.
    pub(crate) fn set_mappings(&self, mappings: Option<Arc<Mappings>>) {
        self.crossings.set_mappings(mappings);
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn mappings(&self) -> Option<Arc<Mappings>> {
        self.crossings.mappings()
    }

    /// Requests from other accounts that wait for answers here.
    pub(crate) fn responses(&self) -> &Arc<Responses> {
        self.crossings.responses(|| {
            let responses = Arc::new(Responses::new());
            let sink = Sink::Responses(responses.clone());
            let filter = responses.filter();
            self.insert(&Subscription::new(filter.as_bytes(), None, b"", sink));
            responses
        })
    }

    pub(crate) fn limits(&self) -> AccountLimits {
        let limits = self.limits.read().unwrap_or_else(PoisonError::into_inner);
        limits.clone()
    }

    pub(crate) fn set_limits(&self, new: AccountLimits) {
        *self.limits.write().unwrap_or_else(PoisonError::into_inner) = new;
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
        let listens = |one: &Arc<Subscription>| match &one.sink {
            Sink::Api(_) | Sink::Consumer(..) | Sink::System(_) => false,
            Sink::Service(service) => service.has_interest(subject),
            _ => true,
        };
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

    /// Number of subscriptions, without those that the server itself has for its account.
    pub(crate) fn subscriptions_len(&self) -> usize {
        let all = self.interest().len();
        all.saturating_sub(self.own_len.load(Ordering::Relaxed))
    }

    /// Ends what the server itself has subscribed: it would keep the account alive.
    pub(crate) fn detach_server(&self) {
        let all = self.subscriptions().into_iter();
        end_all(all.filter(|one| one.is_server()).collect());
    }
}

/// Ends subscriptions wherever they stand.
fn end_all(subscriptions: Vec<Arc<Subscription>>) {
    for subscription in subscriptions {
        if let Some(account) = subscription.account() {
            account.unsubscribe(&subscription);
        }
    }
}
