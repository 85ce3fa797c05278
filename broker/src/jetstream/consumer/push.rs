//! The machine's push side: delivery as long as somebody listens, heartbeats, and flow control.
//!
//! The window starts small and doubles with every answer up to its maximum. At half a window the receiver is asked to
//! confirm; delivery goes on until the window is full. The numbers are nats-server's.

use super::machine::{Body, Machine, Offer};
use super::outlet::{Outlet, Taken};
use super::rules::{AckPolicy, Mode, Nanos, Push};
use super::status::Status;

/// Largest window, in bytes.
const WINDOW_BYTES_MAX: u64 = 32 << 20;
/// First window, in bytes.
const WINDOW_BYTES_MIN: u64 = WINDOW_BYTES_MAX / 16;

/// The pattern of the flow control answers of one consumer.
pub(crate) fn flow_control_filter(stream: &str, consumer: &str) -> String {
    format!("$JS.FC.{stream}.{consumer}.*")
}

/// State that a push consumer has beyond the others.
#[derive(Debug)]
pub(crate) struct PushState {
    /// Somebody listens.
    is_active: bool,
    /// Since when nobody listens.
    inactive_since: Nanos,
    heartbeat_at: Option<Nanos>,
    window: u64,
    /// Bytes sent that no answer covers yet.
    in_flight: u64,
    /// The request that waits for an answer.
    asked: Option<FlowRequest>,
}

#[derive(Debug, Clone)]
struct FlowRequest {
    subject: String,
    /// Bytes that the answer covers.
    bytes: u64,
    /// Last stream sequence sent before it.
    sequence: u64,
}

impl PushState {
    pub(super) fn new(now: Nanos) -> Self {
        Self {
            is_active: false,
            inactive_since: now,
            heartbeat_at: None,
            window: WINDOW_BYTES_MIN,
            in_flight: 0,
            asked: None,
        }
    }

    /// Whether messages may be sent.
    pub(super) fn is_open(&self, rules: &Push) -> bool {
        self.is_active && (!rules.flow_control || self.in_flight <= self.window)
    }

    pub(super) fn inactive_since(&self) -> Option<Nanos> {
        (!self.is_active).then_some(self.inactive_since)
    }
}

impl Machine {
    /// Whether somebody listens on the deliver subject.
    pub(crate) fn is_push_bound(&self) -> bool {
        self.push.is_active
    }

    /// Somebody listens, or nobody any more.
    pub(crate) fn set_interest(&mut self, now: Nanos, is_active: bool) {
        let Mode::Push(rules) = &self.rules.mode else {
            return;
        };
        if self.push.is_active == is_active {
            return;
        }
        let heartbeat = rules.heartbeat;
        self.push = PushState::new(now);
        self.push.is_active = is_active;
        if is_active {
            self.push.heartbeat_at = heartbeat.map(|interval| now.saturating_add(interval));
        }
    }

    pub(super) fn push_to(
        &mut self,
        now: Nanos,
        body: &Body<'_>,
        outlet: &mut impl Outlet,
    ) -> Offer {
        let Mode::Push(rules) = &self.rules.mode else {
            return Offer::Kept;
        };
        if !self.push.is_open(rules) {
            return Offer::Kept;
        }
        match outlet.deliver(&rules.deliver_subject, &self.frame(body)) {
            Taken::NoInterest => Offer::Kept,
            Taken::Busy => Offer::Busy,
            Taken::Yes => {
                let size = body.size(self.reply.as_bytes().len());
                self.pushed(now, body.message.sequence.0, size, outlet);
                Offer::Taken
            }
        }
    }

    fn pushed(&mut self, now: Nanos, sequence: u64, size: u64, outlet: &mut impl Outlet) {
        let Mode::Push(rules) = &self.rules.mode else {
            return;
        };
        let push = &mut self.push;
        push.heartbeat_at = rules.heartbeat.map(|interval| now.saturating_add(interval));
        if let Some(rate) = rules.bytes_per_second {
            let time = u128::from(size) * 1_000_000_000 / u128::from(rate.max(1));
            let time = Nanos::try_from(time).unwrap_or(Nanos::MAX);
            self.held_until = self.held_until.max(now).saturating_add(time);
        }
        if !rules.flow_control {
            return;
        }
        push.in_flight += size;
        match &mut push.asked {
            None if push.in_flight > push.window / 2 => {
                let subject = format!("$JS.FC.{}.{}.{}", self.stream, self.name, outlet.token(4));
                let block = Status::FlowControl.to_block();
                outlet.status(&rules.deliver_subject, subject.as_bytes(), &block);
                push.asked = Some(FlowRequest {
                    subject,
                    bytes: push.in_flight,
                    sequence: self.delivered.stream.max(sequence),
                });
            }
            Some(asked) if push.in_flight - asked.bytes.min(push.in_flight) >= push.window => {
                asked.bytes += size;
            }
            _ => {}
        }
    }

    /// The receiver answered a flow control request. An old one means nothing any more.
    pub(crate) fn flow_control(&mut self, now: Nanos, subject: &[u8]) {
        let push = &mut self.push;
        let is_asked = |asked: &mut FlowRequest| asked.subject.as_bytes() == subject;
        let Some(asked) = push.asked.take_if(is_asked) else {
            return;
        };
        push.window = (push.window * 2).min(WINDOW_BYTES_MAX);
        push.in_flight = push.in_flight.saturating_sub(asked.bytes);
        if self.rules.ack == AckPolicy::FlowControl {
            self.acknowledge_up_to(now, asked.sequence);
        }
    }

    /// A heartbeat with what was delivered last.
    pub(super) fn heartbeat(&self) -> Status {
        Status::IdleHeartbeat {
            consumer_sequence: self.delivered.consumer,
            sequence: self.delivered.stream,
            stalled: self.push.asked.as_ref().map(|asked| asked.subject.clone()),
        }
    }

    pub(super) fn next_push_event(&self) -> Option<Nanos> {
        self.push.heartbeat_at
    }

    pub(super) fn tick_push(&mut self, now: Nanos, outlet: &mut impl Outlet) {
        if self.push.heartbeat_at.is_none_or(|at| now < at) {
            return;
        }
        let Mode::Push(rules) = &self.rules.mode else {
            return;
        };
        let block = self.heartbeat().to_block();
        outlet.status(&rules.deliver_subject, b"", &block);
        self.push.heartbeat_at = rules.heartbeat.map(|interval| now.saturating_add(interval));
    }
}
