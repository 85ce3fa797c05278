//! The machine's pull side: requests come, are checked, wait, are served and end.

use bytes::Bytes;

use super::machine::{Body, Machine, Offer, with_header};
use super::outlet::{Outlet, Taken};
use super::request::PullRequest;
use super::rules::{Mode, Nanos, PriorityPolicy, Pull};
use super::status::{Left, Status};
use super::waiting::{Served, Waiting};

/// Requests that may wait to be looked at, beyond those that wait for messages. More are dropped: a client that has sent
/// so many without a pause will ask again.
const ARRIVALS_MAX: usize = 64 << 10;

impl Machine {
    /// A request came; [`Machine::admit`] looks at it.
    pub(crate) fn request(&mut self, now: Nanos, reply: Bytes, body: &[u8]) {
        self.last_used = now;
        if !reply.is_empty() && self.arrivals.len() < ARRIVALS_MAX {
            self.arrivals.push((reply, PullRequest::parse(body)));
        }
    }

    /// A request came from a client that needs a higher level of the API.
    pub(crate) fn refuse_level(&mut self, reply: Bytes) {
        self.refused.push((reply, Status::RequiredApiLevel));
    }

    /// Lets the requests wait that came since the last time, or refuses them. `unread` messages match and were not
    /// delivered yet.
    pub(crate) fn admit(&mut self, now: Nanos, unread: u64, outlet: &mut impl Outlet) {
        for (reply, refusal) in std::mem::take(&mut self.refused) {
            outlet.status(&reply, b"", &refusal.to_block());
        }
        for (reply, request) in std::mem::take(&mut self.arrivals) {
            let admitted = request
                .map_err(|reason| Some(Status::BadRequest(reason)))
                .and_then(|request| self.admit_one(now, &reply, request, unread, outlet));
            if let Err(Some(refusal)) = admitted {
                outlet.status(&reply, b"", &refusal.to_block());
            }
        }
    }

    /// `Err(None)`: refused without a word.
    fn admit_one(
        &mut self,
        now: Nanos,
        reply: &Bytes,
        request: PullRequest,
        unread: u64,
        outlet: &mut impl Outlet,
    ) -> Result<(), Option<Status>> {
        let Mode::Pull(rules) = &self.rules.mode else {
            return Err(Some(Status::PushBased));
        };
        let waiting_max = rules.waiting_max;
        check_caps(rules, &request)?;
        check_priority(rules, &request)?;
        self.check_pin(now, &request)?;
        if self.waiting.len() >= waiting_max {
            self.drop_silent(outlet);
        }
        if request.no_wait {
            let available = unread + self.pending.queued_len() as u64;
            if available == 0 && request.expires.is_none() {
                return Err(Some(Status::NoMessages));
            }
            if available > 0 && available < self.waiting.messages_left() {
                return Err(Some(Status::RequestsPending));
            }
        }
        if self.waiting.len() >= waiting_max {
            // A client with a heartbeat notices by itself, and an answer would only make it ask again at once.
            let says = request.heartbeat.is_none();
            return Err(says.then_some(Status::WaitingExceeded));
        }
        self.waiting.push(Waiting::new(reply.clone(), request, now));
        Ok(())
    }

    /// Gives a message to the request whose turn it is.
    pub(super) fn serve(&mut self, now: Nanos, body: &Body<'_>, outlet: &mut impl Outlet) -> Offer {
        let is_pinning = self.is_pinning();
        let size = body.size(self.reply.as_bytes().len());
        let (mut index, mut result) = (0, Offer::Kept);
        while let Some(waiting) = self.waiting.get(index) {
            if waiting.is_expired(now) {
                self.end(index, Status::RequestTimeout, outlet);
                continue;
            }
            if is_pinning && !self.holds_pin(waiting) {
                if waiting.asked.pin_id.is_empty() {
                    index += 1;
                } else {
                    self.end(index, |_| Status::WrongPin, outlet);
                }
                continue;
            }
            if !self.is_wanted(waiting, body) {
                index += 1;
                continue;
            }
            if !waiting.has_room(size) {
                self.end(index, Status::SizeExceeded, outlet);
                continue;
            }
            let taken = if is_pinning {
                self.deliver_pinned(now, index, body, outlet)
            } else {
                outlet.deliver(&waiting.reply, &self.frame(body))
            };
            match taken {
                Taken::Yes => {
                    self.served(now, index, size, outlet);
                    return Offer::Taken;
                }
                Taken::NoInterest => {
                    self.waiting.remove(index);
                }
                Taken::Busy => {
                    result = Offer::Busy;
                    index += 1;
                }
            }
        }
        result
    }

    /// Delivers with the id of the client that has, or gets, the group for itself.
    fn deliver_pinned(
        &mut self,
        now: Nanos,
        index: usize,
        body: &Body<'_>,
        outlet: &mut impl Outlet,
    ) -> Taken {
        let fresh = self.pin.id().is_none().then(|| outlet.token(22));
        let Some(waiting) = self.waiting.get(index) else {
            return Taken::NoInterest;
        };
        let (to, group) = (waiting.reply.clone(), waiting.asked.group.clone());
        let id = fresh.as_deref().or(self.pin.id()).unwrap_or_default();
        let mut headers = Vec::new();
        with_header(&mut headers, body.headers, "Nats-Pin-Id", id);
        let pinned = Body {
            headers: &headers,
            ..*body
        };
        let taken = outlet.deliver(&to, &self.frame(&pinned));
        if taken == Taken::Yes
            && let Some(id) = fresh
        {
            if let Some(waiting) = self.waiting.get_mut(index) {
                waiting.asked.pin_id.clone_from(&id);
            }
            self.pin_to(now, group, id);
        }
        taken
    }

    fn served(&mut self, now: Nanos, index: usize, size: u64, outlet: &mut impl Outlet) {
        let Some(waiting) = self.waiting.get_mut(index) else {
            return;
        };
        match waiting.serve(size, now) {
            Served::More => self.waiting.rotate(index),
            Served::Done => {
                self.waiting.remove(index);
            }
            Served::DoneWithBytesLeft => self.end(index, Status::BatchCompleted, outlet),
        }
    }

    /// Overflow: whether there is enough to do for this client.
    fn is_wanted(&self, waiting: &Waiting, body: &Body<'_>) -> bool {
        let is_overflow = self
            .rules
            .pull()
            .is_some_and(|pull| pull.priority == PriorityPolicy::Overflow);
        let (pending_min, ack_pending_min) =
            (waiting.asked.pending_min, waiting.asked.ack_pending_min);
        if !is_overflow || (pending_min == 0 && ack_pending_min == 0) {
            return true;
        }
        (pending_min > 0 && body.to_come + 1 >= pending_min)
            || (ack_pending_min > 0 && self.pending.len() as u64 >= ack_pending_min)
    }

    /// Takes a request out and says why.
    fn end(&mut self, index: usize, status: impl FnOnce(Left) -> Status, outlet: &mut impl Outlet) {
        if let Some(waiting) = self.waiting.remove(index) {
            outlet.status(&waiting.reply, b"", &status(waiting.left()).to_block());
        }
    }

    /// Nothing more is there for now: requests that do not wait end, unless acknowledgements are what is missing.
    pub(crate) fn exhaust(&mut self, outlet: &mut impl Outlet) {
        if self.is_full() {
            return;
        }
        self.waiting.retain(|waiting| {
            let ends = waiting.is_over();
            if ends {
                outlet.status(&waiting.reply, b"", &Status::NoMessages.to_block());
            }
            !ends
        });
    }

    pub(super) fn tick_waiting(&mut self, now: Nanos, outlet: &mut impl Outlet) {
        if self.waiting.next_event().is_none_or(|at| now < at) {
            return;
        }
        let heartbeat = self.heartbeat().to_block();
        // Requests that do not wait stay while acknowledgements are missing; the first event after that ends them (as in
        // nats-server).
        let is_full = self.is_full();
        self.waiting.retain(|waiting| {
            if is_full && waiting.is_over() {
                outlet.status(&waiting.reply, b"", &Status::NoMessages.to_block());
                return false;
            }
            if waiting.is_expired(now) {
                let status = Status::RequestTimeout(waiting.left());
                outlet.status(&waiting.reply, b"", &status.to_block());
                return false;
            }
            if !outlet.has_interest(&waiting.reply) {
                return false;
            }
            if waiting.heartbeat_at.is_some_and(|at| at <= now) {
                outlet.status(&waiting.reply, b"", &heartbeat);
                let interval = waiting.asked.heartbeat;
                waiting.heartbeat_at = interval.map(|interval| now.saturating_add(interval));
            }
            true
        });
    }

    /// Takes out requests that nobody listens for any more.
    pub(crate) fn drop_silent(&mut self, outlet: &mut impl Outlet) {
        self.waiting
            .retain(|waiting| outlet.has_interest(&waiting.reply));
    }

    /// The consumer ends: so do all its requests.
    pub(crate) fn end_requests(&mut self, status: fn(Left) -> Status, outlet: &mut impl Outlet) {
        for waiting in self.waiting.drain() {
            outlet.status(&waiting.reply, b"", &status(waiting.left()).to_block());
        }
        for (reply, request) in std::mem::take(&mut self.arrivals) {
            let messages = request.map_or(1, |request| request.batch);
            let left = Left { messages, bytes: 0 };
            outlet.status(&reply, b"", &status(left).to_block());
        }
    }
}

fn check_caps(rules: &Pull, request: &PullRequest) -> Result<(), Option<Status>> {
    let exceeded = |value: u64, max: Option<u64>| max.filter(|max| value > *max);
    if let Some(max) = exceeded(request.batch, rules.batch_max) {
        return Err(Some(Status::BatchExceeded(max)));
    }
    if let Some(max) = exceeded(request.expires.unwrap_or(0), rules.expires_max) {
        return Err(Some(Status::ExpiresExceeded(max)));
    }
    if let Some(max) = exceeded(request.bytes_max, rules.bytes_max) {
        return Err(Some(Status::BytesExceeded(max)));
    }
    Ok(())
}

fn check_priority(rules: &Pull, request: &PullRequest) -> Result<(), Option<Status>> {
    let refuse = |reason: &str| Err(Some(Status::BadRequest(format!("Bad Request - {reason}"))));
    let asks_overflow = request.pending_min > 0 || request.ack_pending_min > 0;
    if asks_overflow && rules.priority != PriorityPolicy::Overflow {
        return refuse("Not a Overflow Priority consumer");
    }
    if !request.pin_id.is_empty() && rules.priority != PriorityPolicy::PinnedClient {
        return refuse("Not a Pinned Client Priority consumer");
    }
    if rules.priority == PriorityPolicy::None {
        return Ok(());
    }
    if request.group.is_empty() {
        return refuse("Priority Group missing");
    }
    if !rules.groups.contains(&request.group) {
        return refuse("Invalid Priority Group");
    }
    Ok(())
}
