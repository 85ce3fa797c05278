//! The part of a route that leads over links: decided once per subject, so that who has no links pays nothing.

use std::sync::Arc;

use super::link::Link;
use super::proto::op::Queues;
use crate::delivery::InFlight;
use crate::interest::cache::Target;
use crate::interest::queue_group::deliver_to_one;
use crate::interest::subscription::{Sink, Subscription};

/// Where the messages of one subject go over links, and to which groups.
#[derive(Debug, Default)]
pub(crate) struct LeafRoute {
    hops: Vec<Hop>,
    groups: Vec<Group>,
}

/// A link that gets the messages of a subject: one copy each, for everybody beyond it.
#[derive(Debug)]
pub(crate) struct Hop {
    pub(crate) link: Arc<Link>,
    /// The receiver in the publisher's list.
    pub(crate) slot: usize,
    /// `HMSG <subject> `; with an `L` in front it is that of a message without headers.
    pub(crate) head: Box<[u8]>,
    /// Plain subscriptions are beyond it, not only members of groups.
    is_plain: bool,
}

/// A queue group of the subject.
#[derive(Debug)]
struct Group {
    name: Box<[u8]>,
    /// Its members here, among the route's groups.
    local: Option<usize>,
    /// Hops that lead to members, with their number.
    beyond: Vec<(usize, u32)>,
}

/// Collects a route over links while the matches of a subject are looked through.
pub(crate) struct LeafRouteBuilder<'a> {
    subject: &'a [u8],
    /// The link that publishes, if one does.
    from: Option<&'a Link>,
    route: LeafRoute,
}

impl<'a> LeafRouteBuilder<'a> {
    pub(crate) fn new(subject: &'a [u8], from: Option<&'a Link>) -> Self {
        Self {
            subject,
            from,
            route: LeafRoute::default(),
        }
    }

    /// A plain subscription that matches; `slot` finds the place for a link's output.
    pub(crate) fn plain(
        &mut self,
        subscription: &Subscription,
        slot: &mut impl FnMut(&Link) -> usize,
    ) {
        if let Some(hop) = self.hop(subscription, slot) {
            self.route.hops[hop].is_plain = true;
        }
    }

    /// A group that matches, with where its local members are in the route.
    pub(crate) fn group(
        &mut self,
        members: &[Arc<Subscription>],
        local: Option<usize>,
        slot: &mut impl FnMut(&Link) -> usize,
    ) {
        let Some(name) = members.first().and_then(|member| member.queue.clone()) else {
            return;
        };
        let mut beyond: Vec<(usize, u32)> = Vec::new();
        for member in members {
            let Sink::Leaf(_, weight) = &member.sink else {
                continue;
            };
            let Some(hop) = self.hop(member, slot) else {
                continue;
            };
            match beyond.iter_mut().find(|(known, _)| *known == hop) {
                Some((_, sum)) => *sum = sum.saturating_add(*weight),
                None => beyond.push((hop, *weight)),
            }
        }
        self.route.groups.push(Group {
            name,
            local,
            beyond,
        });
    }

    /// The route, if links have to do with it.
    pub(crate) fn finish(self) -> Option<Box<LeafRoute>> {
        let is_needed = self.from.is_some() || !self.route.hops.is_empty();
        is_needed.then(|| Box::new(self.route))
    }

    fn hop(
        &mut self,
        subscription: &Subscription,
        slot: &mut impl FnMut(&Link) -> usize,
    ) -> Option<usize> {
        let Sink::Leaf(link, _) = &subscription.sink else {
            return None;
        };
        let passes = self.from.is_none_or(|from| from.passes_to(link));
        if !passes || !link.rules.sends(self.subject) {
            return None;
        }
        let known = self.route.hops.iter();
        if let Some(at) = known.into_iter().position(|hop| hop.link.id() == link.id()) {
            return Some(at);
        }
        self.route.hops.push(Hop {
            link: link.clone(),
            slot: slot(link),
            head: [b"HMSG ", self.subject, b" "].concat().into(),
            is_plain: false,
        });
        Some(self.route.hops.len() - 1)
    }
}

impl LeafRoute {
    /// The links that plain messages of the subject go over.
    pub(crate) fn hops(&self) -> impl Iterator<Item = &Hop> {
        self.hops.iter()
    }

    /// Members of a group beyond links are looked for where none here takes the message; then every link gets its one copy.
    /// `named` are the groups that a message from a link is for; it goes to no others.
    pub(crate) fn deliver(
        &self,
        flight: &mut InFlight<'_>,
        queues: &[Vec<Target>],
        named: Option<Queues<'_>>,
    ) -> bool {
        let mut is_delivered = false;
        let mut picked: Vec<(usize, &[u8])> = Vec::new();
        for group in &self.groups {
            if named.is_some_and(|named| !named.contains(&group.name)) {
                continue;
            }
            let local = group.local.and_then(|index| queues.get(index));
            if local.is_some_and(|members| to_one(flight, members)) {
                is_delivered = true;
            } else if let Some(hop) = group.pick() {
                picked.push((hop, &group.name));
            }
        }
        for (index, hop) in self.hops.iter().enumerate() {
            let mut groups = picked.iter().filter(|(picked, _)| *picked == index);
            if hop.is_plain || groups.clone().next().is_some() {
                let mut names = std::iter::from_fn(|| groups.next().map(|(_, name)| *name));
                is_delivered |= flight.over(hop, &mut names);
            }
        }
        is_delivered
    }
}

impl Group {
    /// One of the links, as often as it has members.
    fn pick(&self) -> Option<usize> {
        match self.beyond[..] {
            [] => None,
            [(only, _)] => Some(only),
            _ => {
                let weight = |(_, weight): &(usize, u32)| u64::from(*weight);
                let sum: u64 = self.beyond.iter().map(weight).sum();
                let mut left = rand::random_range(..sum.max(1));
                let found = self.beyond.iter().find(|member| {
                    let weight = weight(member);
                    let is_it = left < weight;
                    left = left.saturating_sub(weight);
                    is_it
                });
                found.or(self.beyond.first()).map(|(hop, _)| *hop)
            }
        }
    }
}

fn to_one(flight: &mut InFlight<'_>, members: &[Target]) -> bool {
    deliver_to_one(
        members,
        |len| rand::random_range(..len),
        |target| flight.to(target),
    )
}
