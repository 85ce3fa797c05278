//! The machine against a naive model of a consumer: random commands, and after each of them everything the machine promises.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use proptest::prelude::*;
use storage::stream::{Sequence, StoredMessage};

use super::ack::{Ack, Kind, Place, parse_subject};
use super::machine::{Event, Machine, Offer};
use super::outlet::{Frame, Outlet, Taken};
use super::rules::{AckPolicy, Mode, Nanos, Pull, Rules};

const ACK_WAIT: Nanos = 100;
const WAITING_MAX: usize = 3;

#[derive(Debug, Clone)]
enum Command {
    Publish,
    /// A message is deleted from the stream.
    Remove(usize),
    Request {
        batch: u64,
        bytes_max: u64,
        expires: Option<Nanos>,
        no_wait: bool,
    },
    /// The client behind one of the requests goes.
    Leave(usize),
    Ack(usize),
    Nak(usize, Option<Nanos>),
    Term(usize),
    InProgress(usize),
    Wait(Nanos),
}

fn command() -> impl Strategy<Value = Command> {
    let delay = prop_oneof![Just(None), (1..300_u64).prop_map(Some)];
    prop_oneof![
        4 => Just(Command::Publish),
        1 => any::<usize>().prop_map(Command::Remove),
        4 => (1..6_u64, prop_oneof![Just(0), 60..400_u64], prop_oneof![Just(None), (1..400_u64).prop_map(Some)], any::<bool>())
            .prop_map(|(batch, bytes_max, expires, no_wait)| Command::Request { batch, bytes_max, expires, no_wait }),
        1 => any::<usize>().prop_map(Command::Leave),
        4 => any::<usize>().prop_map(Command::Ack),
        2 => (any::<usize>(), delay).prop_map(|(which, delay)| Command::Nak(which, delay)),
        1 => any::<usize>().prop_map(Command::Term),
        1 => any::<usize>().prop_map(Command::InProgress),
        3 => (1..250_u64).prop_map(Command::Wait),
    ]
}

fn rules() -> impl Strategy<Value = Rules> {
    let ack = prop_oneof![
        1 => Just(AckPolicy::None),
        1 => Just(AckPolicy::All),
        4 => Just(AckPolicy::Explicit),
    ];
    let deliveries_max = prop_oneof![Just(None), (1..4_u32).prop_map(Some)];
    let ack_pending_max = prop_oneof![Just(None), (1..6_usize).prop_map(Some)];
    (ack, deliveries_max, ack_pending_max).prop_map(|(ack, deliveries_max, ack_pending_max)| {
        Rules {
            mode: Mode::Pull(Pull {
                waiting_max: WAITING_MAX,
                ..Pull::default()
            }),
            ack,
            ack_wait: ACK_WAIT,
            deliveries_max,
            ack_pending_max,
            ..Rules::default()
        }
    })
}

/// What the model knows of a message that was delivered.
#[derive(Debug, Clone, Copy)]
struct Known {
    deliveries: u32,
    first_consumer_sequence: u64,
    /// It must not come again before.
    due: Nanos,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Pending,
    /// Acknowledged or terminated, or gone from the stream.
    Done,
    /// Delivered too often.
    GivenUp,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    messages_left: u64,
    bytes_left: Option<u64>,
    ended: bool,
}

/// The world around the machine: the stream, the clients, and what they have seen.
#[derive(Debug, Default)]
struct World {
    now: Nanos,
    stream: BTreeMap<u64, StoredMessage>,
    last: u64,
    known: BTreeMap<u64, Known>,
    delivered: u64,
    consumer_sequence: u64,
    requests: Vec<Open>,
    gone: BTreeSet<usize>,
    rules: Rules,
}

impl World {
    fn unread(&self) -> u64 {
        self.stream.range(self.delivered + 1..).count() as u64
    }

    fn pending(&self) -> usize {
        let pending = self
            .known
            .values()
            .filter(|one| one.state == State::Pending);
        pending.count()
    }

    fn request(&mut self, to: &[u8]) -> (usize, &mut Open) {
        let index: usize = std::str::from_utf8(to)
            .expect("text")
            .parse()
            .expect("a number");
        (index, &mut self.requests[index])
    }

    /// Everything that must hold whenever a message is delivered.
    fn note(&mut self, to: &[u8], frame: &Frame<'_>) {
        let place = parse_subject(frame.reply).expect("a reply subject");
        let size = (frame.subject.len() + frame.reply.len() + frame.payload.len()) as u64;
        let (_, request) = self.request(to);
        assert!(!request.ended, "a request that has ended gets nothing");
        assert!(request.messages_left > 0, "no more than the batch");
        request.messages_left -= 1;
        if let Some(left) = &mut request.bytes_left {
            assert!(size <= *left, "no more than max_bytes");
            *left -= size;
        }
        request.ended = request.messages_left == 0 && request.bytes_left.is_none()
            || request.bytes_left == Some(0);
        self.consumer_sequence += 1;
        assert_eq!(place.consumer_sequence, self.consumer_sequence);
        let pending = self.pending();
        match self.known.get_mut(&place.sequence) {
            None => {
                assert!(
                    place.sequence > self.delivered,
                    "in the order of the stream"
                );
                let skipped = self.stream.range(self.delivered + 1..place.sequence).next();
                assert!(skipped.is_none(), "nothing is left out");
                assert_eq!(place.deliveries, 1);
                if self.rules.ack != AckPolicy::None
                    && let Some(max) = self.rules.ack_pending_max
                {
                    assert!(pending < max, "no more than may be pending");
                }
                self.delivered = place.sequence;
                let is_done = self.rules.ack == AckPolicy::None;
                let known = Known {
                    deliveries: 1,
                    first_consumer_sequence: place.consumer_sequence,
                    due: self.now + ACK_WAIT,
                    state: if is_done { State::Done } else { State::Pending },
                };
                self.known.insert(place.sequence, known);
            }
            Some(known) => {
                assert_eq!(known.state, State::Pending, "never after it is done");
                assert!(self.now >= known.due, "not before its time");
                known.deliveries += 1;
                assert_eq!(place.deliveries, known.deliveries);
                if let Some(max) = self.rules.deliveries_max {
                    assert!(known.deliveries <= max, "not too often");
                }
                known.due = self.now + ACK_WAIT;
            }
        }
        let to_come = self.unread();
        let told = std::str::from_utf8(frame.reply).expect("text");
        assert!(
            told.ends_with(&format!(".{to_come}")),
            "{told}, {to_come} to come"
        );
    }
}

impl Outlet for World {
    fn deliver(&mut self, to: &[u8], frame: &Frame<'_>) -> Taken {
        let (index, _) = self.request(to);
        if self.gone.contains(&index) {
            return Taken::NoInterest;
        }
        self.note(to, frame);
        Taken::Yes
    }

    fn status(&mut self, to: &[u8], _reply: &[u8], headers: &[u8]) {
        let text = String::from_utf8_lossy(headers).into_owned();
        let (_, request) = self.request(to);
        assert!(!request.ended, "a request ends once: {text}");
        request.ended = true;
    }

    fn has_interest(&mut self, subject: &[u8]) -> bool {
        let (index, _) = self.request(subject);
        !self.gone.contains(&index)
    }

    fn token(&mut self, len: usize) -> String {
        "x".repeat(len)
    }
}

struct Bench {
    world: World,
    machine: Machine,
}

impl Bench {
    fn new(rules: Rules) -> Self {
        let mut machine = Machine::new("S", "C", rules.clone(), 1, 0);
        machine.track_settled();
        let world = World {
            rules,
            ..World::default()
        };
        Self { world, machine }
    }

    /// Does what the driver does in its turns until nothing is left to do.
    fn drive(&mut self) {
        loop {
            let Self { world, machine } = self;
            let now = world.now;
            machine.admit(now, world.unread(), world);
            machine.tick(now, world);
            self.look_at_effects();
            let Self { world, machine } = self;
            let demand = machine.demand(now);
            let mut is_idle = true;
            if demand.redeliveries {
                for sequence in machine.redeliveries(2) {
                    let Some(message) = world.stream.get(&sequence).cloned() else {
                        machine.vanished(now, sequence);
                        is_idle = false;
                        continue;
                    };
                    let to_come = world.unread();
                    match machine.redeliver(now, &message, to_come, world) {
                        Offer::Taken | Offer::Dropped => is_idle = false,
                        Offer::Kept | Offer::Busy => break,
                    }
                }
            }
            for _ in 0..demand.new {
                let next = world.stream.range(world.delivered + 1..).next();
                let Some(message) = next.map(|(_, message)| message.clone()) else {
                    break;
                };
                let to_come = world.unread() - 1;
                if machine.offer(now, &message, to_come, world) != Offer::Taken {
                    break;
                }
                is_idle = false;
            }
            self.look_at_effects();
            if is_idle {
                let Self { world, machine } = self;
                machine.exhaust(world);
                return;
            }
        }
    }

    fn look_at_effects(&mut self) {
        let effects = self.machine.take_effects();
        for event in effects.events {
            if let Event::MaxDeliveries { sequence, .. } = event {
                let known = self
                    .world
                    .known
                    .get_mut(&sequence)
                    .expect("it was delivered");
                assert_eq!(Some(known.deliveries), self.world.rules.deliveries_max);
                known.state = State::GivenUp;
            }
        }
        for sequence in effects.settled {
            let known = self.world.known[&sequence];
            assert_eq!(known.state, State::Done, "{sequence} is still needed");
        }
    }

    /// One of the messages that were delivered.
    fn pick(&self, which: usize) -> Option<u64> {
        let len = self.world.known.len();
        self.world
            .known
            .keys()
            .nth(which.checked_rem(len)?)
            .copied()
    }

    fn say(&mut self, which: usize, kind: Kind) {
        let Some(sequence) = self.pick(which) else {
            return;
        };
        let place = Place {
            deliveries: 1,
            sequence,
            consumer_sequence: 1,
        };
        let (now, policy) = (self.world.now, self.world.rules.ack);
        let exhausted = self.world.rules.deliveries_max;
        let set = |known: &mut Known, kind: &Kind| match kind {
            Kind::Nak(Some(delay)) => known.due = now + delay,
            Kind::Nak(None) if exhausted.is_some_and(|max| known.deliveries >= max) => {}
            Kind::Nak(None) => known.due = now,
            Kind::InProgress => known.due = now + ACK_WAIT,
            _ => known.state = State::Done,
        };
        let is_ack = kind == Kind::Ack;
        if is_ack && policy == AckPolicy::All {
            for known in self.world.known.range_mut(..=sequence) {
                known.1.state = State::Done;
            }
        } else if let Some(known) = self.world.known.get_mut(&sequence) {
            let ends = matches!(kind, Kind::Ack | Kind::Term(_));
            if known.state == State::Pending || (ends && known.state == State::GivenUp) {
                set(known, &kind);
            }
        }
        let ack = Ack {
            place,
            kind,
            reply: Bytes::new(),
        };
        self.machine.acknowledge(now, ack, self.world.last, false);
    }

    fn apply(&mut self, command: Command) {
        let now = self.world.now;
        match command {
            Command::Publish => {
                self.world.last += 1;
                let sequence = self.world.last;
                let message = StoredMessage {
                    sequence: Sequence(sequence),
                    subject: Bytes::from_static(b"s.a"),
                    headers: Bytes::new(),
                    payload: Bytes::from(vec![b'x'; (sequence % 50) as usize]),
                    timestamp: now,
                };
                self.world.stream.insert(sequence, message);
            }
            Command::Remove(which) => {
                let len = self.world.stream.len();
                let Some(nth) = which.checked_rem(len) else {
                    return;
                };
                let sequence = *self.world.stream.keys().nth(nth).expect("it is there");
                self.world.stream.remove(&sequence);
                if let Some(known) = self.world.known.get_mut(&sequence) {
                    known.state = State::Done;
                }
                let stream = &self.world.stream;
                self.machine
                    .forget_vanished(now, |sequence| stream.contains_key(&sequence));
            }
            Command::Request {
                batch,
                bytes_max,
                expires,
                no_wait,
            } => {
                let reply = Bytes::from(self.world.requests.len().to_string());
                self.world.requests.push(Open {
                    messages_left: batch,
                    bytes_left: (bytes_max > 0).then_some(bytes_max),
                    ended: false,
                });
                let expires = expires.unwrap_or(0);
                let body = format!(
                    r#"{{"batch":{batch},"max_bytes":{bytes_max},"expires":{expires},"no_wait":{no_wait}}}"#
                );
                self.machine.request(now, reply, body.as_bytes());
            }
            Command::Leave(which) => {
                if let Some(index) = which.checked_rem(self.world.requests.len()) {
                    self.world.gone.insert(index);
                }
            }
            Command::Ack(which) => self.say(which, Kind::Ack),
            Command::Nak(which, delay) => self.say(which, Kind::Nak(delay)),
            Command::Term(which) => self.say(which, Kind::Term(Bytes::new())),
            Command::InProgress(which) => self.say(which, Kind::InProgress),
            Command::Wait(span) => self.world.now += span,
        }
    }

    /// What must hold whenever the machine is at rest.
    fn check(&mut self) {
        let (world, machine) = (&self.world, &self.machine);
        assert_eq!(machine.pending().len(), world.pending());
        let open = world.requests.iter().filter(|one| !one.ended).count();
        assert!(machine.waiting_len() <= open.min(WAITING_MAX));
        if let Some(max) = world.rules.ack_pending_max {
            assert!(machine.pending().len() <= max);
        }
        let redelivered = |one: &&Known| one.deliveries > 1 && one.state != State::Done;
        assert_eq!(
            machine.redelivered_len(),
            world.known.values().filter(redelivered).count()
        );
        assert_eq!(machine.delivered().stream, world.delivered);
        assert_eq!(machine.delivered().consumer, world.consumer_sequence);
        let floor = machine.ack_floor();
        assert!(floor.stream <= world.delivered && floor.consumer <= world.consumer_sequence);
        let mut below = world.known.range(..=floor.stream);
        assert!(below.all(|(_, one)| one.state != State::Pending));
        let first = world.known.values().find(|one| one.state == State::Pending);
        if let Some(first) = first {
            assert!(floor.consumer < first.first_consumer_sequence);
        }
        for sequence in world.stream.keys() {
            let is_done = world
                .known
                .get(sequence)
                .is_some_and(|one| one.state == State::Done);
            assert_eq!(machine.needs(*sequence), !is_done, "{sequence}");
        }
    }

    /// A patient client: asks for everything and acknowledges it, whatever time it takes.
    fn finish(&mut self) {
        // Every round acknowledges at least one message, so there are never more rounds than messages.
        let rounds = 2 + self.world.stream.len() + self.world.pending();
        for _ in 0..rounds {
            self.world.now += 1000;
            self.apply(Command::Request {
                batch: 1000,
                bytes_max: 0,
                expires: Some(500),
                no_wait: false,
            });
            self.drive();
            self.check();
            for which in 0..self.world.known.len() {
                self.say(which, Kind::Ack);
            }
            self.drive();
            self.check();
        }
        for sequence in self.world.stream.keys() {
            let known = self.world.known.get(sequence);
            assert!(known.is_some(), "{sequence} was delivered at least once");
        }
        assert_eq!(self.world.pending(), 0);
    }
}

/// Saves the state and goes on from there, as after a restart; requests are gone then.
fn restart(bench: &mut Bench) {
    let cursor = bench.machine.to_cursor();
    let mut machine = Machine::new("S", "C", bench.world.rules.clone(), 1, bench.world.now);
    machine.track_settled();
    machine.restore(&cursor);
    bench.machine = machine;
    for request in &mut bench.world.requests {
        request.ended = true;
    }
    // A postponed redelivery is not remembered: it comes when the time after its last delivery is over.
    for known in bench.world.known.values_mut() {
        known.due = 0;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_machine_is_as_the_model(rules in rules(), commands in prop::collection::vec(command(), 1..120)) {
        let mut bench = Bench::new(rules);
        for command in commands {
            bench.apply(command);
            bench.drive();
            bench.check();
        }
        bench.finish();
    }

    #[test]
    fn the_machine_goes_on_after_a_restart(
        rules in rules(),
        before in prop::collection::vec(command(), 1..60),
        after in prop::collection::vec(command(), 1..60),
    ) {
        let mut bench = Bench::new(rules);
        for command in before {
            bench.apply(command);
            bench.drive();
        }
        restart(&mut bench);
        for command in after {
            bench.apply(command);
            bench.drive();
            bench.check();
        }
        bench.finish();
    }
}
