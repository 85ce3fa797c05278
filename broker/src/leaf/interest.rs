//! What the links of an account are told: each subject once, however many want it, and queue groups with their weight.
//!
//! The table is there only while the account has links. It changes under the lock of the account's trie, so what a new
//! link is told at first and what it is told later fit together without a gap.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use hashbrown::HashMap;

use super::link::Link;
use super::proto::encode;
use crate::interest::subscription::{Sink, Subscription};
use crate::interest::trie::Trie;

/// Subjects of loop detection begin with this.
pub(crate) const LOOP_PREFIX: &[u8] = b"$LDS.";
/// Letters of the account's own token behind the prefix, as many as a nuid has.
const LOOP_TOKEN_LEN: usize = 22;

/// The links of one account and what they have been told.
#[derive(Debug, Default)]
pub(crate) struct Propagation {
    is_active: AtomicBool,
    table: Mutex<Table>,
    loop_subject: OnceLock<Box<[u8]>>,
}

#[derive(Debug, Default)]
struct Table {
    /// By text: the subject, and for a group a blank and its name.
    wanted: HashMap<Box<[u8]>, Wanted>,
    links: Vec<Arc<Link>>,
}

/// Who wants one subject.
#[derive(Debug, Default)]
struct Wanted {
    /// Subscriptions here.
    local: u32,
    /// Links that want it, with the weight of the group on their side.
    beyond: Vec<(Arc<Link>, u32)>,
}

impl Wanted {
    /// What a link is told: how many want it that the link may know of.
    fn weight_for(&self, link: &Link, is_loop: bool) -> u32 {
        let tells = |from: &Link| match is_loop {
            // Every circle must be seen, also one that nothing else would pass through.
            true => from.id() != link.id(),
            false => from.is_told_to(link),
        };
        let beyond = self.beyond.iter().filter(|(from, _)| tells(from));
        let beyond = beyond.fold(0_u32, |sum, (_, weight)| sum.saturating_add(*weight));
        self.local.saturating_add(beyond)
    }

    fn is_empty(&self) -> bool {
        self.local == 0 && self.beyond.is_empty()
    }
}

impl Propagation {
    /// The subject that only this account has: who gets it back sits on a circle. The same for the account's life.
    pub(crate) fn loop_subject(&self) -> &[u8] {
        self.loop_subject.get_or_init(|| {
            let mut subject = LOOP_PREFIX.to_vec();
            subject.extend(
                std::iter::repeat_with(|| rand::random_range(0..62_u8))
                    .take(LOOP_TOKEN_LEN)
                    .map(|digit| match digit {
                        0..10 => b'0' + digit,
                        10..36 => b'A' + digit - 10,
                        _ => b'a' + digit - 36,
                    }),
            );
            subject.into()
        })
    }

    /// Whether the account has links. Costs a load.
    pub(crate) fn is_active(&self) -> bool {
        self.is_active.load(Ordering::Acquire)
    }

    /// Tells a new link everything, and from now on every change. `interest` is locked.
    pub(crate) fn attach(&self, interest: &Trie, link: &Arc<Link>) {
        let mut table = self.lock();
        if table.links.is_empty() {
            interest.for_each(&mut |subscription| table.add(subscription, 1));
            self.is_active.store(true, Ordering::Release);
        }
        table.links.push(link.clone());
        let loop_subject = self.loop_subject();
        link.connection.push(|out| {
            encode::subscribe(loop_subject, None, out);
            // Circles first: the other side sees one before it passes anything on.
            let (loops, rest): (Vec<_>, Vec<_>) =
                table.wanted.iter().partition(|(key, _)| is_loop(key));
            for (key, wanted) in loops.into_iter().chain(rest) {
                tell(link, key, 0, wanted.weight_for(link, is_loop(key)), out);
            }
        });
    }

    /// A link is down; its own interests have gone already.
    pub(crate) fn detach(&self, link: &Link) {
        let mut table = self.lock();
        table.links.retain(|other| other.id() != link.id());
        if table.links.is_empty() {
            self.is_active.store(false, Ordering::Release);
            *table = Table::default();
        }
    }

    /// A subscription came. The trie is locked.
    pub(crate) fn added(&self, subscription: &Subscription) {
        if self.is_active() {
            self.lock().change(None, Some(subscription));
        }
    }

    /// A subscription went. The trie is locked.
    pub(crate) fn removed(&self, subscription: &Subscription) {
        if self.is_active() {
            self.lock().change(Some(subscription), None);
        }
    }

    /// A subscription took the place of another one with the same text. The trie is locked.
    pub(crate) fn replaced(&self, old: &Subscription, new: &Subscription) {
        if self.is_active() {
            self.lock().change(Some(old), Some(new));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Takes one subscription out and puts another one in, and tells the links what that comes to.
    fn change(&mut self, old: Option<&Subscription>, new: Option<&Subscription>) {
        let Some(either) = old.or(new) else { return };
        let key = key(either);
        let is_loop = is_loop(&key);
        let weights = |table: &Self| -> Vec<u32> {
            let wanted = table.wanted.get(&*key);
            let weight =
                |link: &Arc<Link>| wanted.map_or(0, |wanted| wanted.weight_for(link, is_loop));
            table.links.iter().map(weight).collect()
        };
        let before = weights(self);
        if let Some(old) = old {
            self.add(old, -1);
        }
        if let Some(new) = new {
            self.add(new, 1);
        }
        let after = weights(self);
        for ((link, before), after) in self.links.iter().zip(before).zip(after) {
            if before != after {
                let mut line = Vec::new();
                tell(link, &key, before, after, &mut line);
                if !line.is_empty() {
                    link.connection.push(|out| out.extend_from_slice(&line));
                }
            }
        }
    }

    fn add(&mut self, subscription: &Subscription, sign: i32) {
        if matches!(subscription.sink, Sink::UserInfo(_) | Sink::System(_)) {
            // Each server answers its own clients.
            return;
        }
        let key = key(subscription);
        let wanted = self.wanted.entry_ref(&*key).or_default();
        match &subscription.sink {
            Sink::Leaf(link, weight) => {
                if sign > 0 {
                    wanted.beyond.push((link.clone(), *weight));
                } else if let Some(at) = wanted.beyond.iter().position(|(other, other_weight)| {
                    other.id() == link.id() && other_weight == weight
                }) {
                    wanted.beyond.swap_remove(at);
                }
            }
            _ => wanted.local = wanted.local.saturating_add_signed(sign),
        }
        if wanted.is_empty() {
            self.wanted.remove(&*key);
        }
    }
}

/// The text of an interest, as it stands on the line.
pub(crate) fn key_of(filter: &[u8], queue: Option<&[u8]>) -> Vec<u8> {
    match queue {
        None => filter.to_vec(),
        Some(queue) => [filter, b" ", queue].concat(),
    }
}

fn key(subscription: &Subscription) -> Vec<u8> {
    key_of(&subscription.filter, subscription.queue.as_deref())
}

fn is_loop(key: &[u8]) -> bool {
    key.starts_with(LOOP_PREFIX)
}

/// Appends what a link has to hear of a change from one weight to another.
fn tell(link: &Link, key: &[u8], before: u32, after: u32, out: &mut Vec<u8>) {
    let mut parts = key.splitn(2, |byte| *byte == b' ');
    let (filter, queue) = (parts.next().unwrap_or_default(), parts.next());
    if !link.rules.asks_for(filter, queue) {
        return;
    }
    match (before, after, queue) {
        (0, 0, _) => {}
        (_, 0, _) => encode::unsubscribe(key, out),
        (_, weight, Some(_)) => encode::subscribe(key, Some(weight), out),
        (0, _, None) => encode::subscribe(key, None, out),
        (_, _, None) => {}
    }
}
