//! The state of one consumer and every rule of delivery: pure, without IO and with `now` passed in.
//!
//! The driver asks what is wanted ([`Machine::demand`]), reads that from the stream and offers it, redeliveries first
//! ([`Machine::redeliver`], [`Machine::offer`]). What a client sends goes in by [`Machine::request`] and
//! [`Machine::acknowledge`]; time by [`Machine::tick`]. What must happen outside (events, sequences nobody needs any more,
//! confirmations) collects in [`Effects`] until the driver takes it.
//!
//! Invariants:
//! - a message is pending from its delivery until it is acknowledged, terminated, given up or gone from the stream;
//! - new messages are held back while `ack_pending_max` are pending; redeliveries are not;
//! - a pull request ends exactly once: with its last message, a status, or silently when nobody listens any more.

use bytes::Bytes;
use storage::stream::StoredMessage;

use super::ack::{Place, ReplySubject};
use super::outlet::{Frame, Outlet};
use super::pending::{Entry, Pending};
use super::priority::Pin;
use super::push::PushState;
use super::request::PullRequest;
use super::rules::{AckPolicy, Mode, Nanos, PriorityPolicy, Rules};
use super::status::Status;
use super::waiting::WaitQueue;

/// Most messages that one round of reading asks for.
pub(crate) const BATCH_MAX: u64 = 1024;

/// A consumer sequence and the stream sequence that belongs to it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) consumer: u64,
    pub(crate) stream: u64,
    /// When it was reached; 0: never.
    pub(crate) last_active: Nanos,
}

/// What others are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// A message was given up.
    MaxDeliveries { sequence: u64, deliveries: u32 },
    /// A client could not handle a message now.
    Naked(Place),
    /// A client cannot handle a message at all.
    Terminated { place: Place, reason: String },
    /// An acknowledgement that is measured.
    Acknowledged { place: Place, ack_time: Nanos },
    /// A client has a group for itself.
    Pinned { group: String, pin_id: String },
    /// It has it no longer.
    Unpinned { group: String, reason: &'static str },
}

/// What the driver has to do.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    pub(crate) events: Vec<Event>,
    /// Stream sequences that this consumer does not need any more; collected only if somebody wants to know.
    pub(crate) settled: Vec<u64>,
    /// Where to confirm acknowledgements once they are saved.
    pub(crate) confirmations: Vec<Bytes>,
    /// There is something to save.
    pub(crate) is_dirty: bool,
}

/// What became of an offered message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offer {
    /// It was delivered.
    Taken,
    /// Not now; offer it again when something has changed.
    Kept,
    /// Not now: a receiver has enough waiting.
    Busy,
    /// It is not to be delivered (any more).
    Dropped,
}

/// What the machine could deliver now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Demand {
    /// Messages are to be delivered again.
    pub(crate) redeliveries: bool,
    /// So many new ones.
    pub(crate) new: u64,
}

/// One consumer.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(super) rules: Rules,
    /// Stream and name, for subjects.
    pub(super) stream: String,
    pub(super) name: String,
    pub(super) reply: ReplySubject,
    pub(super) delivered: Position,
    pub(super) ack_floor: Position,
    pub(super) pending: Pending,
    /// Messages that were given up and stay in the stream, and how often they were delivered.
    pub(super) exhausted: std::collections::BTreeMap<u64, u32>,
    /// Requests as they came, to be looked at by the driver.
    pub(super) arrivals: Vec<(Bytes, Result<PullRequest, String>)>,
    /// Refusals that only have to be sent.
    pub(super) refused: Vec<(Bytes, Status)>,
    pub(super) waiting: WaitQueue,
    pub(super) pin: Pin,
    pub(super) push: PushState,
    /// Last sign of life of a client.
    pub(super) last_used: Nanos,
    /// Nothing new before: rate limit or original pace.
    pub(super) held_until: Nanos,
    /// Original pace: time and timestamp of the last delivery, up to this sequence.
    replay: Option<Replay>,
    /// Whether `Effects::settled` is wanted.
    pub(super) tracks_settled: bool,
    pub(super) effects: Effects,
    scratch: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct Replay {
    until: u64,
    last: Option<(Nanos, Nanos)>,
}

impl Machine {
    /// A consumer that has delivered everything before `start` and nothing else.
    pub(crate) fn new(stream: &str, name: &str, rules: Rules, start: u64, now: Nanos) -> Self {
        let before = Position {
            stream: start.saturating_sub(1),
            ..Position::default()
        };
        Self {
            reply: ReplySubject::new(stream, name),
            stream: stream.to_owned(),
            name: name.to_owned(),
            delivered: before,
            ack_floor: before,
            pending: Pending::default(),
            exhausted: std::collections::BTreeMap::new(),
            arrivals: Vec::new(),
            refused: Vec::new(),
            waiting: WaitQueue::new(is_prioritized(&rules)),
            pin: Pin::default(),
            push: PushState::new(now),
            last_used: now,
            held_until: 0,
            replay: None,
            tracks_settled: false,
            effects: Effects::default(),
            scratch: Vec::new(),
            rules,
        }
    }

    /// Settled sequences are wanted: the stream removes what is acknowledged.
    pub(crate) fn track_settled(&mut self) {
        self.tracks_settled = true;
    }

    /// Messages up to this sequence keep their original pace.
    pub(crate) fn replay_until(&mut self, last: u64) {
        if self.rules.replays_original && last > self.delivered.stream {
            self.replay = Some(Replay {
                until: last,
                last: None,
            });
        }
    }

    /// Another configuration of the same kind.
    pub(crate) fn update(&mut self, rules: Rules) {
        self.rules = rules;
        self.effects.is_dirty = true;
    }

    pub(crate) fn rules(&self) -> &Rules {
        &self.rules
    }

    pub(crate) fn delivered(&self) -> Position {
        self.delivered
    }

    pub(crate) fn ack_floor(&self) -> Position {
        self.ack_floor
    }

    pub(crate) fn pending(&self) -> &Pending {
        &self.pending
    }

    /// Messages that were delivered more than once and are not acknowledged, given up or not.
    pub(crate) fn redelivered_len(&self) -> usize {
        let given_up = self
            .exhausted
            .values()
            .filter(|deliveries| **deliveries > 1);
        self.pending.redelivered() + given_up.count()
    }

    /// Requests that wait.
    pub(crate) fn waiting_len(&self) -> usize {
        self.waiting.len() + self.arrivals.len()
    }

    /// What is to be done outside, taken out.
    pub(crate) fn take_effects(&mut self) -> Effects {
        std::mem::take(&mut self.effects)
    }

    pub(crate) fn is_paused(&self, now: Nanos) -> bool {
        self.rules.paused_until > now
    }

    /// Whether new messages wait for acknowledgements.
    pub(crate) fn is_full(&self) -> bool {
        self.room() == 0
    }

    fn room(&self) -> u64 {
        match self.rules.ack_pending_max {
            Some(max) if self.rules.ack != AckPolicy::None => {
                max.saturating_sub(self.pending.len()) as u64
            }
            _ => u64::MAX,
        }
    }

    /// What could be delivered now.
    pub(crate) fn demand(&mut self, now: Nanos) -> Demand {
        if self.is_paused(now) {
            return Demand::default();
        }
        let wanted = match &self.rules.mode {
            Mode::Push(rules) if self.push.is_open(rules) => BATCH_MAX,
            Mode::Push(_) => 0,
            Mode::Pull(_) => self.waiting.messages_left(),
        };
        if wanted == 0 {
            return Demand::default();
        }
        let new = if self.held_until > now {
            0
        } else {
            wanted.min(self.room()).min(BATCH_MAX)
        };
        Demand {
            redeliveries: self.pending.next_redelivery().is_some(),
            new,
        }
    }

    /// The sequences that are to be delivered again first.
    pub(crate) fn redeliveries(&mut self, max: usize) -> Vec<u64> {
        self.pending.redeliveries(max)
    }

    /// Whether this consumer still has a use for a message of a subject that its filters match.
    pub(crate) fn needs(&self, sequence: u64) -> bool {
        sequence > self.delivered.stream
            || self.exhausted.contains_key(&sequence)
            || self.pending.get(sequence).is_some()
    }

    /// Offers the next new message; `to_come` match behind it.
    pub(crate) fn offer(
        &mut self,
        now: Nanos,
        message: &StoredMessage,
        to_come: u64,
        outlet: &mut impl Outlet,
    ) -> Offer {
        if message.sequence.0 <= self.delivered.stream {
            return Offer::Dropped;
        }
        if self.is_full() || self.is_paused(now) || self.is_early(now, message) {
            return Offer::Kept;
        }
        let place = Place {
            deliveries: 1,
            sequence: message.sequence.0,
            consumer_sequence: self.delivered.consumer + 1,
        };
        let offer = self.deliver(now, message, place, to_come, outlet);
        if offer == Offer::Taken {
            self.note_new(now, place);
        }
        offer
    }

    /// Offers a message that is to be delivered again.
    pub(crate) fn redeliver(
        &mut self,
        now: Nanos,
        message: &StoredMessage,
        to_come: u64,
        outlet: &mut impl Outlet,
    ) -> Offer {
        let sequence = message.sequence.0;
        if !self.pending.is_queued(sequence) {
            return Offer::Dropped;
        }
        let Some(entry) = self.pending.get(sequence).copied() else {
            return Offer::Dropped;
        };
        if self.rules.is_exhausted(entry.deliveries) {
            self.pending.remove(sequence);
            self.give_up(&entry);
            return Offer::Dropped;
        }
        if self.is_paused(now) {
            return Offer::Kept;
        }
        let place = Place {
            deliveries: entry.deliveries.saturating_add(1),
            sequence,
            consumer_sequence: self.delivered.consumer + 1,
        };
        let offer = self.deliver(now, message, place, to_come, outlet);
        if offer == Offer::Taken {
            self.delivered.consumer += 1;
            self.delivered.last_active = now;
            let wait = self.rules.ack_wait_of(place.deliveries);
            self.pending.delivered_again(sequence, now, wait);
            self.effects.is_dirty = true;
        }
        offer
    }

    /// A message that was to be delivered again is gone from the stream.
    pub(crate) fn vanished(&mut self, now: Nanos, sequence: u64) {
        if self.pending.remove(sequence).is_some() {
            self.move_floor(now);
        }
        if self.exhausted.remove(&sequence).is_some() {
            self.effects.is_dirty = true;
        }
    }

    /// Messages were removed from the stream: forgets those it does not hold any more.
    pub(crate) fn forget_vanished(&mut self, now: Nanos, mut holds: impl FnMut(u64) -> bool) {
        let gone = self.pending.retain(|entry| holds(entry.sequence));
        let before = self.exhausted.len();
        self.exhausted.retain(|sequence, _| holds(*sequence));
        if !gone.is_empty() {
            self.move_floor(now);
        }
        self.effects.is_dirty |= before != self.exhausted.len();
    }

    fn note_new(&mut self, now: Nanos, place: Place) {
        self.delivered = Position {
            consumer: place.consumer_sequence,
            stream: place.sequence,
            last_active: now,
        };
        if self.rules.ack == AckPolicy::None {
            self.ack_floor.consumer = place.consumer_sequence;
            self.ack_floor.stream = place.sequence;
            self.settle(place.sequence);
        } else {
            let wait = self.rules.ack_wait_of(1);
            let entry = Entry::new(place.sequence, place.consumer_sequence, now, wait);
            self.pending.insert(entry);
        }
        self.effects.is_dirty = true;
    }

    pub(super) fn settle(&mut self, sequence: u64) {
        if self.tracks_settled {
            self.effects.settled.push(sequence);
        }
    }

    /// Original pace: whether it is too early for this message; then `held_until` says when.
    fn is_early(&mut self, now: Nanos, message: &StoredMessage) -> bool {
        if self.held_until > now {
            return true;
        }
        let Some(replay) = &mut self.replay else {
            return false;
        };
        if message.sequence.0 > replay.until {
            self.replay = None;
            return false;
        }
        let Some((at, timestamp)) = replay.last else {
            return false;
        };
        let due = at.saturating_add(message.timestamp.saturating_sub(timestamp));
        self.held_until = due;
        due > now
    }

    /// Sends one message to the receiver whose turn it is.
    fn deliver(
        &mut self,
        now: Nanos,
        message: &StoredMessage,
        place: Place,
        to_come: u64,
        outlet: &mut impl Outlet,
    ) -> Offer {
        self.reply.write(place, message.timestamp, to_come);
        let mut scratch = std::mem::take(&mut self.scratch);
        let (headers, payload): (&[u8], &[u8]) = if self.rules.headers_only {
            let size = message.payload.len().to_string();
            with_header(&mut scratch, &message.headers, "Nats-Msg-Size", &size);
            (&scratch, &[])
        } else {
            (&message.headers, &message.payload)
        };
        let body = Body {
            message,
            headers,
            payload,
            to_come,
        };
        let offer = match self.rules.mode {
            Mode::Push(_) => self.push_to(now, &body, outlet),
            Mode::Pull(_) => self.serve(now, &body, outlet),
        };
        self.scratch = scratch;
        if offer == Offer::Taken
            && let Some(replay) = &mut self.replay
        {
            replay.last = Some((now, message.timestamp));
        }
        offer
    }

    /// The message in the form it is sent; its size is what `max_bytes` and flow control count.
    pub(super) fn frame<'a>(&'a self, body: &Body<'a>) -> Frame<'a> {
        Frame {
            subject: &body.message.subject,
            reply: self.reply.as_bytes(),
            headers: body.headers,
            payload: body.payload,
        }
    }

    /// Lets time pass: what is due is to be delivered again, requests expire, heartbeats go out.
    pub(crate) fn tick(&mut self, now: Nanos, outlet: &mut impl Outlet) {
        let rules = &self.rules;
        let given_up = self
            .pending
            .expire(now, |entry| rules.is_exhausted(entry.deliveries));
        for entry in given_up {
            self.give_up(&entry);
        }
        self.tick_pin(now);
        self.tick_waiting(now, outlet);
        self.tick_push(now, outlet);
    }

    pub(super) fn give_up(&mut self, entry: &Entry) {
        self.exhausted.insert(entry.sequence, entry.deliveries);
        self.effects.events.push(Event::MaxDeliveries {
            sequence: entry.sequence,
            deliveries: entry.deliveries,
        });
        self.effects.is_dirty = true;
    }

    /// When [`Machine::tick`] is to be called next, at the latest.
    pub(crate) fn next_event(&self, now: Nanos) -> Option<Nanos> {
        let held = (self.held_until > now).then_some(self.held_until);
        let paused = self.is_paused(now).then_some(self.rules.paused_until);
        [
            self.pending.next_due(),
            self.waiting.next_event(),
            self.next_pin_event(),
            self.next_push_event(),
            self.inactive_at(),
            held,
            paused,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// When the consumer goes, if nobody shows up before.
    fn inactive_at(&self) -> Option<Nanos> {
        let threshold = self.rules.inactive_threshold?;
        let since = match self.rules.mode {
            Mode::Push(_) => self.push.inactive_since()?,
            Mode::Pull(_) => self.last_used,
        };
        Some(since.saturating_add(threshold))
    }

    /// Whether nobody has used the consumer for so long that it is to go. Asks once more who is there.
    pub(crate) fn is_abandoned(&mut self, now: Nanos, outlet: &mut impl Outlet) -> bool {
        if self.inactive_at().is_none_or(|at| now < at) {
            return false;
        }
        self.drop_silent(outlet);
        if !self.waiting.is_empty() {
            self.last_used = now;
            return false;
        }
        true
    }
}

/// A message as it is sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Body<'a> {
    pub(super) message: &'a StoredMessage,
    pub(super) headers: &'a [u8],
    pub(super) payload: &'a [u8],
    /// Messages that match and follow.
    pub(super) to_come: u64,
}

impl Body<'_> {
    /// Bytes, with a reply subject of that length.
    pub(super) fn size(&self, reply_len: usize) -> u64 {
        (self.message.subject.len() + reply_len + self.headers.len() + self.payload.len()) as u64
    }
}

fn is_prioritized(rules: &Rules) -> bool {
    rules
        .pull()
        .is_some_and(|pull| pull.priority == PriorityPolicy::Prioritized)
}

/// Writes a header block with one more header at its end.
pub(super) fn with_header(out: &mut Vec<u8>, block: &[u8], name: &str, value: &str) {
    out.clear();
    match block.strip_suffix(b"\r\n") {
        Some(open) => out.extend_from_slice(open),
        None => out.extend_from_slice(b"NATS/1.0\r\n"),
    }
    for part in [name, ": ", value, "\r\n\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}
