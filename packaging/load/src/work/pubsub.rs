//! Publishing and subscribing: one to one, one to many, many to many, queue groups, or either side alone.

use std::sync::Barrier;

use super::publisher::Publisher;
use super::subscriber::{self, Goal};
use super::{join, new_inbox, share};
use crate::Error;
use crate::connection::Connection;
use crate::crowd;
use crate::histogram::Histogram;
use crate::meter::Meter;
use crate::outcome::{ClientOutcome, Outcome};
use crate::pool::{Pool, Subjects};
use crate::skim::END_SID;
use crate::target::Target;

/// From this many subscribers on, they share a few threads.
const CROWD_FROM: usize = 24;
/// Threads that read a crowd. More would take processors from the server.
const CROWD_THREADS: usize = 2;

/// Messages from publishers to subscribers.
///
/// With publishers, subscribers stop when everything is said: at the last message, or when a mark arrives that was sent behind
/// it. Without, each waits for `messages`.
#[derive(Clone, Debug)]
pub struct PubSub {
    /// Subject, or with several subjects what all of them begin with.
    pub subject: String,
    /// Subjects used: `<subject>.<n / 100>.<n % 100>` where there is more than one.
    pub subjects: usize,
    /// In any order instead of in turn.
    pub at_random: bool,
    /// Size of a payload, in bytes.
    pub payload_bytes: usize,
    /// Messages of all publishers together.
    pub messages: u64,
    /// Publishers.
    pub publishers: usize,
    /// Subscribers. With several subjects, each listens to all by a wildcard.
    pub subscribers: usize,
    /// Every subscriber takes a share of the subjects, by a wildcard in the last place or in the one before, in turn. Every message then has
    /// receivers of both kinds.
    pub split_wildcards: bool,
    /// Subscribers are members of this queue group.
    pub queue: Option<String>,
    /// Messages per second of all publishers together; `None` is as many as the server takes.
    pub rate: Option<u64>,
}

/// What the threads of a run give back.
type Part = Result<(Vec<ClientOutcome>, Histogram), Error>;

impl PubSub {
    /// One publisher, one subscriber, one subject.
    #[must_use]
    pub fn new(subject: &str, payload_bytes: usize, messages: u64) -> Self {
        Self {
            subject: subject.to_owned(),
            subjects: 1,
            at_random: false,
            payload_bytes,
            messages,
            publishers: 1,
            subscribers: 1,
            split_wildcards: false,
            queue: None,
            rate: None,
        }
    }

    /// Runs to the end. Publishers and subscribers may go different ways to the same server.
    ///
    /// # Errors
    /// A client is not let in, or loses its connection.
    pub fn run(
        &self,
        publish: &Target,
        subscribe: &Target,
        meter: &Meter,
    ) -> Result<Outcome, Error> {
        let end_inbox = new_inbox();
        let mut control = Connection::open(publish, "")?;
        let publishers = (0..self.publishers)
            .map(|index| self.publisher(publish, index))
            .collect::<Result<Vec<_>, Error>>()?;
        // What is encrypted is read by a thread each.
        let is_crowd = self.subscribers >= CROWD_FROM && subscribe.tls.is_none();
        let receiving = if is_crowd {
            CROWD_THREADS
        } else {
            self.subscribers
        };
        let listeners = (0..self.subscribers)
            .map(|index| Connection::open(subscribe, &self.interest(index, &end_inbox)))
            .collect::<Result<Vec<_>, Error>>()?;
        let goal = self.goal();
        // Receivers first, so that nobody publishes before they all wait.
        let ready = Barrier::new(receiving + 1);
        std::thread::scope(|scope| {
            let receivers = receivers(listeners, is_crowd).map(|connections| {
                let ready = &ready;
                scope.spawn(move || receive(connections, is_crowd, goal, ready, meter))
            });
            let receivers: Vec<_> = receivers.collect();
            ready.wait();
            let mut outcome = Outcome::new(meter.start(), self.payload_bytes);
            let sending: Vec<_> = publishers
                .into_iter()
                .map(|publisher| scope.spawn(move || publisher.run(meter)))
                .collect();
            let mut failure = None;
            for sender in sending {
                match join(sender) {
                    Ok(client) => outcome.clients.push(client),
                    Err(error) => failure = Some(error),
                }
            }
            if self.publishers > 0 && self.subscribers > 0 {
                control.send(format!("PUB {end_inbox} 0\r\n\r\n").as_bytes())?;
            }
            for receiver in receivers {
                match join(receiver) {
                    Ok((clients, latencies)) => {
                        outcome.clients.extend(clients);
                        outcome.latencies.merge(&latencies);
                    }
                    Err(error) => failure = failure.or(Some(error)),
                }
            }
            outcome.lost = self.lost(&outcome);
            failure.map_or(Ok(outcome), Err)
        })
    }

    fn publisher(&self, target: &Target, index: usize) -> Result<Publisher, Error> {
        let subjects = Subjects {
            prefix: &self.subject,
            count: self.subjects,
            at_random: self.at_random,
        };
        let rate = self.rate.map(|rate| share(rate, self.publishers, index));
        Ok(Publisher {
            connection: Connection::open(target, "")?,
            pool: Pool::new(&subjects, self.payload_bytes),
            messages: share(self.messages, self.publishers, index),
            rate: rate.map(|rate| rate.max(1)),
        })
    }

    /// The subscriptions of one subscriber.
    fn interest(&self, index: usize, end_inbox: &str) -> String {
        let group = self
            .queue
            .as_ref()
            .map_or_else(String::new, |queue| format!(" {queue}"));
        let mut lines = String::new();
        let prefix = &self.subject;
        if self.split_wildcards && self.subjects > 1 {
            let (kind, index) = (index % 2, index / 2);
            let of_kind = self.subscribers.div_ceil(2);
            for number in (index..100).step_by(of_kind.max(1)) {
                lines += &match kind {
                    0 => format!("SUB {prefix}.{number}.*{group} 1{number}\r\n"),
                    _ => format!("SUB {prefix}.*.{number}{group} 2{number}\r\n"),
                };
            }
        } else if self.subjects > 1 {
            lines = format!("SUB {prefix}.>{group} 1\r\n");
        } else {
            lines = format!("SUB {prefix}{group} 1\r\n");
        }
        let end = String::from_utf8_lossy(END_SID);
        format!("{lines}SUB {end_inbox} {end}\r\n")
    }

    fn goal(&self) -> Goal {
        let is_shared = self.split_wildcards || self.queue.is_some();
        Goal {
            messages: (!is_shared || self.publishers == 0).then_some(self.messages),
            is_impatient: self.publishers > 0,
        }
    }

    /// Deliveries that are missing at the end.
    fn lost(&self, outcome: &Outcome) -> u64 {
        if self.publishers == 0 || self.subscribers == 0 {
            return 0;
        }
        let sent = outcome.messages(crate::Role::Publisher);
        let each = match (&self.queue, self.split_wildcards) {
            (Some(_), false) => 1,
            (None, false) => self.subscribers as u64,
            // One of each kind, where a subject has both.
            (_, true) => 2.min(self.subscribers as u64),
        };
        (sent * each).saturating_sub(outcome.messages(crate::Role::Subscriber))
    }
}

/// The connections of each receiving thread.
fn receivers(listeners: Vec<Connection>, is_crowd: bool) -> impl Iterator<Item = Vec<Connection>> {
    let threads = if is_crowd {
        CROWD_THREADS
    } else {
        listeners.len()
    };
    let mut hands: Vec<Vec<Connection>> = (0..threads).map(|_| Vec::new()).collect();
    for (index, connection) in listeners.into_iter().enumerate() {
        hands[index % threads].push(connection);
    }
    hands.into_iter()
}

fn receive(
    mut connections: Vec<Connection>,
    is_crowd: bool,
    goal: Goal,
    ready: &Barrier,
    meter: &Meter,
) -> Part {
    if is_crowd {
        return crowd::receive(connections, goal, ready, meter);
    }
    let connection = connections.pop().ok_or(Error::CutOff);
    let (client, latencies) = subscriber::receive(connection, goal, ready, meter)?;
    Ok((vec![client], latencies))
}
