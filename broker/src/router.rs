//! From a publisher to everybody who wants the message.
//!
//! Each publisher (a connection's reader, an in-process client) has a router of its own. It matches, encodes and collects
//! the output for every receiver; [`Router::flush`] then hands it over: one lock and one wake-up per receiver per batch.

pub(crate) mod answers;
mod ways;

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use hashbrown::HashMap;

use crate::account::Account;
use crate::crossing::service::Way;
use crate::delivery::{InFlight, Outgoing, Receiver};
use crate::interest::cache::{Route, RouteCache, Target};
use crate::interest::queue_group::deliver_to_one;
use crate::interest::subscription::{Sink, Subscription};
use crate::jetstream::api::{self, Requests};
use crate::jetstream::capture::{Capture, CapturedBatch};
use crate::jetstream::consumer::{Consumer, Frame, Mail, Taken};
use crate::leaf::link::Link;
use crate::leaf::proto::op::Queues;
use crate::leaf::route::{LeafRoute, LeafRouteBuilder};
use crate::leaf::rules::Verdict;
use crate::limits::STALLS_MAX;
use crate::proto::encode::{delivery_prefix, no_responders};
use crate::session::connection::{Connection, HandOver};
use crate::session::permissions::{is_reserved_reply, is_reserved_subject};
use crate::session::profile::Profile;

use self::ways::leads_anywhere;

/// The publisher's own connection has the first slot.
const OWN_SLOT: usize = 0;
/// Receivers that are remembered before closed ones are looked for.
const RECEIVERS_MIN: usize = 64;

/// Why a publish was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Denied {
    Subject,
    Reply,
}

/// The routing state of one publisher.
#[derive(Debug)]
pub(crate) struct Router {
    account: Arc<Account>,
    own: Option<(Arc<Connection>, Option<Arc<Profile>>)>,
    /// The link whose messages are routed, if it is one's.
    link: Option<Arc<Link>>,
    cache: RouteCache,
    receivers: Vec<Receiver>,
    slots: HashMap<u64, usize>,
    receivers_max: usize,
    dirty: Vec<usize>,
    captured: Vec<(Arc<Capture>, CapturedBatch)>,
    requests: Requests,
    mail: Vec<(Arc<Consumer>, Vec<Mail>)>,
    /// Header block and payload of a message that comes out of a stream.
    joined: Vec<u8>,
    /// Notes receivers that have much waiting ([`Router::paced`]).
    is_paced: bool,
    /// What it publishes is subject to the account's mappings.
    is_mapped: bool,
    /// Where the message goes that was admitted last, if its subject is mapped.
    mapped: Option<Bytes>,
    /// Accounts that the message on its way has crossed into.
    crossed: usize,
    stalled: Option<Arc<Connection>>,
    is_full: bool,
}

impl Router {
    /// A router for in-process publishers.
    pub(crate) fn new(account: Arc<Account>) -> Self {
        Self {
            cache: RouteCache::new(account.counts.clone()),
            account,
            own: None,
            link: None,
            receivers: Vec::new(),
            slots: HashMap::new(),
            receivers_max: RECEIVERS_MIN,
            dirty: Vec::new(),
            captured: Vec::new(),
            requests: Vec::new(),
            mail: Vec::new(),
            joined: Vec::new(),
            is_paced: false,
            is_mapped: false,
            mapped: None,
            crossed: 0,
            stalled: None,
            is_full: false,
        }
    }

    /// A router for publishers whose subjects the account may map: clients.
    pub(crate) fn mapped(account: Arc<Account>) -> Self {
        let mut router = Self::new(account);
        router.is_mapped = true;
        router
    }

    /// A router for a connection that has not authenticated yet.
    pub(crate) fn for_connection(connection: Arc<Connection>, account: Arc<Account>) -> Self {
        let mut router = Self::mapped(account);
        router.own = Some((connection, None));
        router.forget();
        router
    }

    /// The connection has authenticated, perhaps once more.
    pub(crate) fn bind(&mut self, account: Arc<Account>, profile: Arc<Profile>) {
        self.flush();
        if let Some((_, own)) = &mut self.own {
            *own = Some(profile);
        }
        self.cache = RouteCache::new(account.counts.clone());
        self.account = account;
        self.forget();
    }

    /// The connection is a link that is up from now on.
    pub(crate) fn bind_link(&mut self, link: Arc<Link>, profile: Arc<Profile>) {
        let account = link.account.clone();
        self.link = Some(link);
        self.bind(account, profile);
    }

    pub(crate) fn account(&self) -> &Arc<Account> {
        &self.account
    }

    /// Output for the publisher's own connection.
    pub(crate) fn own_output(&mut self) -> &mut Vec<u8> {
        self.receiver(OWN_SLOT).queue.tail()
    }

    /// Whether it is time to flush: some receiver has enough waiting.
    pub(crate) fn is_full(&self) -> bool {
        self.is_full
    }

    /// A receiver that is nearly a slow consumer, taken out.
    pub(crate) fn take_stalled(&mut self) -> Option<Arc<Connection>> {
        self.stalled.take()
    }

    /// Finds the route of a subject and checks whether the publisher may use it. Where the subject is mapped,
    /// [`Router::take_mapped`] has the one that the message goes to, and that may be denied.
    #[inline]
    pub(crate) fn admit(&mut self, subject: &[u8], reply: &[u8]) -> Result<usize, Denied> {
        let mut index = match self.cache.find(subject, self.account.generation()) {
            Some(index) => index,
            None => self.make_route(subject),
        };
        if !self.cache.route(index).is_allowed {
            index = self.admit_by_exception(index, subject)?;
        }
        if matches!(reply.first(), Some(b'_' | b'$'))
            && self.own.is_some()
            && is_reserved_reply(reply)
        {
            return Err(Denied::Reply);
        }
        Ok(index)
    }

    /// Whether a message on this subject is known to go to more than one receiver.
    pub(crate) fn has_several_receivers(&mut self, subject: &[u8]) -> bool {
        let known = self.cache.find(subject, self.account.generation());
        known.is_some_and(|index| {
            let route = self.cache.route(index);
            let is_known_elsewhere = route.leaves.is_some() || route.ways.is_some();
            is_known_elsewhere || route.plain.len() + route.queues.len() > 1
        })
    }

    /// Delivers along an admitted route. False: nobody took the message.
    #[inline]
    pub(crate) fn deliver(&mut self, route: usize, message: &Outgoing<'_>) -> bool {
        let (route, mut delivery) = self.in_flight(route, message);
        let is_delivered = along(route, &mut delivery);
        match route.ways.clone() {
            None => is_delivered,
            Some(ways) => {
                let account = self.account.clone();
                self.go(&account, &ways, message) || is_delivered
            }
        }
    }

    /// Delivers a message that came over a link, to the queue groups it names and no others.
    pub(crate) fn deliver_named(
        &mut self,
        route: usize,
        message: &Outgoing<'_>,
        named: Queues<'_>,
    ) -> bool {
        let (route, mut delivery) = self.in_flight(route, message);
        let mut is_delivered = false;
        for target in &route.plain {
            is_delivered |= delivery.to(target);
        }
        if let Some(leaves) = &route.leaves {
            is_delivered |= leaves.deliver(&mut delivery, &route.queues, Some(named));
        }
        match route.ways.clone() {
            None => is_delivered,
            Some(ways) => {
                let account = self.account.clone();
                self.go(&account, &ways, message) || is_delivered
            }
        }
    }

    #[inline(always)]
    fn in_flight<'a>(
        &'a mut self,
        route: usize,
        message: &'a Outgoing<'a>,
    ) -> (&'a Route, InFlight<'a>) {
        let Self {
            account,
            own,
            cache,
            receivers,
            dirty,
            captured,
            requests,
            mail,
            is_full,
            ..
        } = self;
        let delivery = InFlight {
            account,
            publisher: own.as_ref().and_then(|(_, profile)| profile.as_ref()),
            connection: own.as_ref().map(|(connection, _)| connection),
            receivers,
            dirty,
            captured,
            requests,
            mail,
            is_full,
            message,
            local: None,
        };
        (cache.route(route), delivery)
    }

    /// Publishes from inside the process and hands over at once. False: nobody took the message.
    pub(crate) fn publish(
        &mut self,
        subject: &[u8],
        reply: &[u8],
        headers: &[u8],
        payload: &Bytes,
    ) -> bool {
        let is_delivered = self.route(subject, reply, headers, payload, true);
        self.flush();
        is_delivered
    }

    /// Publishes what a stream has stored already: to everybody but streams.
    pub(crate) fn publish_stored(&mut self, subject: &[u8], headers: &[u8], payload: &Bytes) {
        self.route(subject, b"", headers, payload, false);
        self.flush();
    }

    /// Publishes as one of a batch; flush at its end.
    pub(crate) fn collect(&mut self, subject: &[u8], headers: &[u8], payload: &Bytes) {
        self.route(subject, b"", headers, payload, true);
        if self.is_full {
            self.flush();
        }
    }

    /// A router for what comes out of streams: it does not fill one receiver to its limit.
    pub(crate) fn paced(account: Arc<Account>) -> Self {
        let mut router = Self::new(account);
        router.is_paced = true;
        router
    }

    /// Delivers a stored message to whoever listens on `interest`; they see the message's own subject. Flush at the end of
    /// the batch.
    pub(crate) fn deliver_as(&mut self, interest: &[u8], frame: &Frame<'_>) -> Taken {
        let Ok(index) = self.admit(interest, b"") else {
            return Taken::NoInterest;
        };
        if self.is_paced && (self.is_busy(index) || self.is_way_busy(index)) {
            return Taken::Busy;
        }
        let mut joined = std::mem::take(&mut self.joined);
        let body = if frame.headers.is_empty() {
            frame.payload
        } else {
            joined.clear();
            joined.extend_from_slice(frame.headers);
            joined.extend_from_slice(frame.payload);
            &joined
        };
        let message = Outgoing {
            subject: interest,
            shown: Some(frame.subject),
            reply: frame.reply,
            header_len: frame.headers.len(),
            body,
            verbatim: &[],
            shared: None,
            is_captured: true,
        };
        let is_taken = self.deliver(index, &message);
        self.joined = joined;
        if is_taken {
            Taken::Yes
        } else {
            Taken::NoInterest
        }
    }

    /// Whether a route ends at receivers that have enough waiting: any of the plain ones, all members of a group.
    fn is_busy(&mut self, route: usize) -> bool {
        let receivers = &mut self.receivers;
        let mut is_busy = |target: &Target| {
            let Sink::Connection(connection, _) = &target.subscription.sink else {
                return false;
            };
            let receiver = &mut receivers[target.slot];
            receiver.is_busy = receiver.is_busy && !connection.has_room();
            receiver.is_busy
        };
        let route = self.cache.route(route);
        let mut queues = route.queues.iter();
        if route.plain.iter().any(&mut is_busy)
            || queues.any(|members| members.iter().all(&mut is_busy))
        {
            return true;
        }
        let mut hops = route.leaves.iter().flat_map(|leaves| leaves.hops());
        hops.any(|hop| {
            let receiver = &mut receivers[hop.slot];
            receiver.is_busy = receiver.is_busy && !hop.link.connection.has_room();
            receiver.is_busy
        })
    }

    /// Whether a route leads into another account while any receiver has enough waiting: it may be the one there.
    fn is_way_busy(&mut self, route: usize) -> bool {
        if self.cache.route(route).ways.is_none() {
            return false;
        }
        for receiver in &mut self.receivers {
            receiver.is_busy = receiver.is_busy && !receiver.connection.has_room();
        }
        self.receivers.iter().any(|receiver| receiver.is_busy)
    }

    /// A receiver that has enough waiting.
    pub(crate) fn busy_receiver(&self) -> Option<Arc<Connection>> {
        let busy = self.receivers.iter().find(|receiver| receiver.is_busy);
        busy.map(|receiver| receiver.connection.clone())
    }

    /// Whether somebody listens.
    pub(crate) fn has_interest(&mut self, subject: &[u8]) -> bool {
        let Ok(index) = self.admit(subject, b"") else {
            return false;
        };
        let route = self.cache.route(index);
        !route.plain.is_empty()
            || !route.queues.is_empty()
            || route.leaves.is_some()
            || route.ways.clone().is_some_and(|ways| leads_anywhere(&ways))
    }

    /// Publishes a message as one of a batch, with a reply subject; flush at its end.
    pub(crate) fn collect_with_reply(
        &mut self,
        subject: &[u8],
        reply: &[u8],
        headers: &[u8],
        payload: &Bytes,
    ) {
        self.route(subject, reply, headers, payload, true);
    }

    fn route(
        &mut self,
        subject: &[u8],
        reply: &[u8],
        headers: &[u8],
        payload: &Bytes,
        is_captured: bool,
    ) -> bool {
        let admitted = self.admit(subject, reply);
        let mapped = self.take_mapped();
        let subject = mapped.as_deref().unwrap_or(subject);
        let Ok(route) = admitted else {
            return false;
        };
        let joined = (!headers.is_empty()).then(|| [headers, payload].concat());
        let message = Outgoing {
            subject,
            shown: None,
            reply,
            header_len: headers.len(),
            body: joined.as_deref().unwrap_or(payload),
            verbatim: &[],
            shared: None,
            is_captured,
        };
        self.deliver(route, &message)
    }

    /// Tells the publisher that nobody answers, if it listens for the answer itself.
    pub(crate) fn report_no_responders(&mut self, subject: &[u8], reply: &[u8]) {
        let Some((connection, Some(profile))) = &self.own else {
            return;
        };
        if !profile.no_responders {
            return;
        }
        let id = connection.id;
        let (_, matches) = self.account.matches(reply);
        // As nats-server: a member of a queue group is not told.
        let mut plain = matches.plain.into_iter();
        let is_own = |one: &Arc<Subscription>| {
            one.connection_id() == Some(id) && matches!(one.sink, Sink::Connection(..))
        };
        let Some(own) = plain.find(is_own) else {
            return;
        };
        // Not a delivery: it does not count for the subscription's maximum.
        no_responders(subject, reply, &own.sid, self.own_output());
    }

    /// Hands everything over; the publisher's own output comes last, so a PONG follows what it confirms.
    pub(crate) fn flush(&mut self) {
        self.is_full = false;
        for (capture, batch) in self.captured.drain(..) {
            capture.submit(batch);
        }
        // Before the requests, so that who acknowledges and then asks is told of it.
        for (consumer, batch) in self.mail.drain(..) {
            consumer.receive(batch);
        }
        api::dispatch(&mut self.requests);
        let mut own_is_dirty = false;
        let mut dirty = std::mem::take(&mut self.dirty);
        for slot in dirty.drain(..) {
            if slot == OWN_SLOT && self.own.is_some() {
                own_is_dirty = true;
            } else {
                self.hand_over(slot);
            }
        }
        self.dirty = dirty;
        if own_is_dirty {
            self.hand_over(OWN_SLOT);
        }
        if self.receivers.len() > self.receivers_max {
            self.forget();
            self.receivers_max = RECEIVERS_MIN.max(2 * self.receivers.len());
        }
    }

    /// Gives back memory that an idle publisher does not need. Flush first.
    pub(crate) fn forget(&mut self) {
        self.cache.clear();
        self.slots = HashMap::new();
        let own = self.own.as_ref().map(|(connection, _)| connection.clone());
        self.receivers
            .retain(|receiver| receiver.is_dirty && !receiver.connection.is_closed());
        if let Some(own) = own
            && self
                .receivers
                .first()
                .is_none_or(|first| first.connection.id != own.id)
        {
            self.receivers.insert(OWN_SLOT, Receiver::new(own));
        }
        self.receivers.shrink_to_fit();
        let slots = self.receivers.iter().enumerate();
        self.slots
            .extend(slots.map(|(slot, receiver)| (receiver.connection.id, slot)));
        debug_assert!(self.dirty.is_empty(), "forget follows flush");
        self.dirty = Vec::new();
    }

    fn hand_over(&mut self, slot: usize) {
        let own_id = self.own.as_ref().map(|(connection, _)| connection.id);
        let receiver = &mut self.receivers[slot];
        receiver.is_dirty = false;
        if self.is_paced {
            receiver.connection.hand_over(&mut receiver.queue);
            receiver.is_busy = !receiver.connection.has_room();
            return;
        }
        let HandOver::NearlyFull { written } = receiver.connection.hand_over(&mut receiver.queue)
        else {
            return;
        };
        if own_id.is_none_or(|id| id == receiver.connection.id) {
            return;
        }
        if receiver.stalled_at != written {
            receiver.stalled_at = written;
            receiver.stalls = 0;
        }
        // One that does not move at all is waited for no longer: its own limit will end it.
        if receiver.stalls < STALLS_MAX {
            receiver.stalls += 1;
            self.stalled = Some(receiver.connection.clone());
        }
    }

    fn receiver(&mut self, slot: usize) -> &mut Receiver {
        let receiver = &mut self.receivers[slot];
        if !receiver.is_dirty {
            receiver.is_dirty = true;
            self.dirty.push(slot);
        }
        receiver
    }

    fn take_grant(&self, subject: &[u8]) -> bool {
        match &self.own {
            Some((connection, Some(profile))) => {
                profile.permissions.responses.is_some()
                    && !is_reserved_subject(subject)
                    && connection.take_grant(subject, Instant::now())
            }
            _ => false,
        }
    }

    #[cold]
    fn make_route(&mut self, subject: &[u8]) -> usize {
        let account = self.account.clone();
        let mappings = account.mappings().filter(|_| self.is_mapped);
        let rule = mappings.and_then(|mappings| mappings.rule(subject).cloned());
        let route = match rule {
            Some(rule) => Route {
                generation: account.generation(),
                mapping: Some(rule),
                ..Route::default()
            },
            None => self.route_in(&account, subject),
        };
        self.cache.insert(subject, route)
    }

    /// The route of a subject as it is, in the publisher's account or, for a message that crosses, in another.
    fn route_in(&mut self, account: &Arc<Account>, subject: &[u8]) -> Route {
        let (generation, matches) = account.matches(subject);
        let is_allowed = match (&self.own, &self.link) {
            (_, Some(link)) => link.rules.takes(subject) == Verdict::Taken,
            (Some((_, Some(profile))), None) => {
                !is_reserved_subject(subject) && profile.permissions.can_publish(subject)
            }
            (Some((_, None)), None) => false,
            (None, None) => true,
        };
        let deaf_to = match &self.own {
            Some((own, Some(profile))) if !profile.echo => Some(own.id),
            _ => None,
        };
        let hears = |one: &&Arc<Subscription>| deaf_to.is_none() || one.connection_id() != deaf_to;
        let ways = ways::of(&matches.plain, subject);
        let imports_service = ways
            .iter()
            .flat_map(|ways| ways.iter())
            .any(|way| matches!(way, Way::Service(..)));
        // Who imports JetStream's API asks there and not here.
        let is_own =
            |one: &&Arc<Subscription>| !imports_service || !matches!(one.sink, Sink::Api(_));
        let plain = matches.plain.iter().filter(hears).filter(is_own);
        let plain: Vec<Target> = plain.filter_map(|one| self.target(one, subject)).collect();
        let groups = matches.queues.into_groups();
        let mut queues: Vec<Vec<Target>> = groups
            .iter()
            .map(|members| {
                let members = members.iter().filter(hears);
                members
                    .filter_map(|one| self.target(one, subject))
                    .collect()
            })
            .collect();
        let leaves = self.leaf_route(account, subject, &matches.plain, &groups, &queues);
        if leaves.is_none() {
            queues.retain(|members| !members.is_empty());
        }
        Route {
            generation,
            is_allowed,
            plain,
            queues,
            leaves,
            ways,
            mapping: None,
        }
    }

    /// The part of a route that leads over links; a link's own messages have one always, for it says which groups get them.
    fn leaf_route(
        &mut self,
        account: &Account,
        subject: &[u8],
        plain: &[Arc<Subscription>],
        groups: &[Vec<Arc<Subscription>>],
        queues: &[Vec<Target>],
    ) -> Option<Box<LeafRoute>> {
        // What crosses from another account comes over no link of this one.
        let from = self.link.clone();
        let from = from.filter(|link| std::ptr::eq(&*link.account, account));
        if from.is_none() && !account.links().is_active() {
            return None;
        }
        let mut builder = LeafRouteBuilder::new(subject, from.as_deref());
        let mut slot = |link: &Link| self.slot(&link.connection);
        for subscription in plain {
            builder.plain(subscription, &mut slot);
        }
        for (index, (members, local)) in groups.iter().zip(queues).enumerate() {
            let local = (!local.is_empty()).then_some(index);
            builder.group(members, local, &mut slot);
        }
        builder.finish()
    }

    /// A subscription as a target, unless its permissions keep this subject from it.
    fn target(&mut self, subscription: &Arc<Subscription>, subject: &[u8]) -> Option<Target> {
        match &subscription.sink {
            Sink::Shadow(shadow) => {
                let subject = shadow.subject(subject)?;
                let mut target = self.target(&shadow.original, &subject)?;
                if target.prefix.is_empty() {
                    target.prefix = subject.as_ref().into();
                }
                return Some(target);
            }
            Sink::Service(_) | Sink::Responses(_) | Sink::Leaf(..) => return None,
            _ => {}
        }
        let Sink::Connection(connection, profile) = &subscription.sink else {
            return Some(Target {
                subscription: subscription.clone(),
                slot: 0,
                prefix: Box::default(),
                with_headers: true,
                notes_reply: false,
            });
        };
        if !profile
            .permissions
            .can_receive(subject, subscription.queue.as_deref())
        {
            return None;
        }
        let slot = self.slot(connection);
        Some(Target {
            subscription: subscription.clone(),
            slot,
            prefix: delivery_prefix(subject, &subscription.sid),
            with_headers: profile.headers,
            notes_reply: profile.permissions.responses.is_some(),
        })
    }
}

/// Delivers along a route inside its account.
#[inline(always)]
fn along(route: &Route, delivery: &mut InFlight<'_>) -> bool {
    let mut is_delivered = false;
    for target in &route.plain {
        is_delivered |= delivery.to(target);
    }
    if let Some(leaves) = &route.leaves {
        return leaves.deliver(delivery, &route.queues, None) || is_delivered;
    }
    for members in &route.queues {
        is_delivered |= deliver_to_one(
            members,
            |len| rand::random_range(..len),
            |target| delivery.to(target),
        );
    }
    is_delivered
}
