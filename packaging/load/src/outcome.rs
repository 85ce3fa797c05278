//! What a work measured.

use std::time::{Duration, Instant};

use crate::histogram::Histogram;

/// What a client was there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Publishes.
    Publisher,
    /// Receives.
    Subscriber,
    /// Asks and waits for the answer.
    Requester,
    /// Reads a stream.
    Consumer,
}

/// What one client did.
#[derive(Clone, Copy, Debug)]
pub struct ClientOutcome {
    /// As what.
    pub role: Role,
    /// Messages it sent, or those that it received.
    pub messages: u64,
    /// When it was done.
    pub end: Instant,
}

/// What a work measured.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// When everybody was connected and the first one began.
    pub start: Instant,
    /// Size of a payload, in bytes.
    pub payload_bytes: usize,
    /// Every client, in no particular order.
    pub clients: Vec<ClientOutcome>,
    /// Round trips, or the way from a publisher to a subscriber of every message that carried its time.
    pub latencies: Histogram,
    /// Messages that should have arrived and did not.
    pub lost: u64,
}

impl Outcome {
    pub(crate) fn new(start: Instant, payload_bytes: usize) -> Self {
        Self {
            start,
            payload_bytes,
            clients: Vec::new(),
            latencies: Histogram::default(),
            lost: 0,
        }
    }

    /// Messages of all clients of a role.
    #[must_use]
    pub fn messages(&self, role: Role) -> u64 {
        self.of(role).map(|client| client.messages).sum()
    }

    /// From the start until the last client of a role was done.
    #[must_use]
    pub fn took(&self, role: Role) -> Duration {
        let ends = self.of(role).map(|client| client.end);
        ends.max().map_or(Duration::ZERO, |end| end - self.start)
    }

    /// Messages per second of all clients of a role together.
    #[must_use]
    pub fn rate(&self, role: Role) -> f64 {
        self.messages(role) as f64 / self.took(role).as_secs_f64().max(1e-9)
    }

    /// Clients of a role.
    pub fn of(&self, role: Role) -> impl Iterator<Item = &ClientOutcome> {
        self.clients
            .iter()
            .filter(move |client| client.role == role)
    }
}
