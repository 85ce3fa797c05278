//! What acknowledgements do to the machine.

use super::ack::{Ack, Kind};
use super::machine::{Event, Machine};
use super::rules::{AckPolicy, Nanos};

impl Machine {
    /// A client said something about a message. `last` is the stream's last sequence; `sampled` says whether this one is to
    /// be measured.
    pub(crate) fn acknowledge(&mut self, now: Nanos, ack: Ack, last: u64, sampled: bool) {
        self.last_used = now;
        let place = ack.place;
        if place.sequence > last || place.sequence == 0 {
            // Made up: no answer, as in nats-server.
            return;
        }
        match ack.kind {
            Kind::Ack => self.ack(now, place.sequence, sampled.then_some(place)),
            Kind::Nak(delay) => self.nak(now, &ack.place, delay),
            Kind::InProgress => {
                if let Some(entry) = self.pending.get(place.sequence) {
                    let wait = self.rules.ack_wait_of(entry.deliveries);
                    self.pending.postpone(place.sequence, now, wait);
                }
            }
            Kind::Term(reason) => {
                let reason = String::from_utf8_lossy(&reason).into_owned();
                self.effects
                    .events
                    .push(Event::Terminated { place, reason });
                self.done(now, place.sequence);
            }
            Kind::Next(body) => {
                self.ack(now, place.sequence, sampled.then_some(place));
                // The messages are the answer.
                self.request(now, ack.reply, &body);
                return;
            }
            Kind::Unknown => {}
        }
        if !ack.reply.is_empty() {
            self.effects.confirmations.push(ack.reply);
        }
    }

    fn ack(&mut self, now: Nanos, sequence: u64, sampled: Option<super::ack::Place>) {
        if let Some(place) = sampled
            && let Some(entry) = self.pending.get(sequence)
        {
            let ack_time = now.saturating_sub(entry.delivered_at);
            self.effects
                .events
                .push(Event::Acknowledged { place, ack_time });
        }
        match self.rules.ack {
            AckPolicy::None => {}
            AckPolicy::Explicit => self.done(now, sequence),
            AckPolicy::All | AckPolicy::FlowControl => self.acknowledge_up_to(now, sequence),
        }
    }

    /// One message is done with.
    fn done(&mut self, now: Nanos, sequence: u64) {
        let was_pending = self.pending.remove(sequence).is_some();
        let was_exhausted = self.exhausted.remove(&sequence).is_some();
        self.ack_floor.last_active = now;
        if was_pending {
            self.move_floor(now);
        }
        if was_pending || was_exhausted {
            self.effects.is_dirty = true;
            self.settle(sequence);
        }
    }

    /// Everything up to a sequence is done with.
    pub(super) fn acknowledge_up_to(&mut self, now: Nanos, sequence: u64) {
        let mut is_any = false;
        while let Some(entry) = self.pending.pop_up_to(sequence) {
            is_any = true;
            self.settle(entry.sequence);
        }
        while let Some((first, _)) = self.exhausted.first_key_value()
            && *first <= sequence
        {
            let first = *first;
            self.exhausted.remove(&first);
            is_any = true;
            self.settle(first);
        }
        if is_any {
            self.move_floor(now);
        }
    }

    /// Messages were copied to the stream that this consumer stands for, without a delivery: they are done with.
    pub(super) fn pass(&mut self, now: Nanos, sequences: &[u64]) {
        for sequence in sequences.iter().copied() {
            if sequence <= self.delivered.stream {
                // A client has pulled it in between.
                self.done(now, sequence);
                continue;
            }
            self.delivered.consumer += 1;
            self.delivered.stream = sequence;
            self.delivered.last_active = now;
            self.settle(sequence);
        }
        self.move_floor(now);
    }

    fn nak(&mut self, now: Nanos, place: &super::ack::Place, delay: Option<Nanos>) {
        let Some(entry) = self.pending.get(place.sequence).copied() else {
            return;
        };
        self.effects.events.push(Event::Naked(*place));
        match delay {
            Some(delay) => {
                self.pending.postpone(place.sequence, now, delay);
            }
            None if self.rules.is_exhausted(entry.deliveries) => {
                self.pending.remove(place.sequence);
                self.give_up(&entry);
            }
            None => {
                self.pending.requeue(place.sequence);
            }
        }
    }

    /// Everything before the first pending message is acknowledged; all that was delivered, if none is.
    pub(super) fn move_floor(&mut self, now: Nanos) {
        let (consumer, stream) = match self.pending.first() {
            Some(first) => (first.consumer_sequence - 1, first.sequence - 1),
            None => (self.delivered.consumer, self.delivered.stream),
        };
        self.ack_floor.consumer = self.ack_floor.consumer.max(consumer);
        self.ack_floor.stream = self.ack_floor.stream.max(stream);
        self.ack_floor.last_active = now;
        self.effects.is_dirty = true;
    }
}
