//! Generated conversations: several clients of one server subscribe, publish, answer and leave at random.
//!
//! After every step all clients wait for a PONG, so what each of them saw belongs to that step. The order of copies within a
//! step is free, and so is the member that a queue group picks; everything else must be the same on both servers.

use std::fmt::Write as _;

use harness::{Frame, Raw};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

/// What clients may be. All have headers, for HPUB without them ends a connection. Only the first kinds join queue groups:
/// who takes a message must not change what it looks like.
const CONNECTS: [&str; 5] = [
    r#"{"verbose":false,"pedantic":false,"headers":true,"no_responders":true}"#,
    r#"{"verbose":false,"pedantic":true,"headers":true}"#,
    r#"{"verbose":false,"headers":true,"no_responders":true,"echo":false}"#,
    r#"{"verbose":true,"pedantic":false,"headers":true}"#,
    r#"{"user":"limited","pass":"limited","verbose":false,"pedantic":false,"headers":true,"no_responders":true}"#,
];
/// Kinds before this one join queue groups.
const MEMBERS: usize = 2;
/// The kind that may answer what it was asked.
const LIMITED: usize = 4;
/// What that kind listens on, each with a sid of its own: with two subscriptions that match one request, nats-server takes the
/// second delivery for the answer.
const LIMITED_FILTERS: [&str; 8] = [
    "a.b",
    "a.b.c",
    "s.a",
    "s.no",
    ">",
    "requests",
    "_INBOX.x.*",
    "b",
];
const FILTERS: [&str; 22] = [
    "a",
    "a.b",
    "a.*",
    "a.>",
    "*.b",
    "*",
    ">",
    "a.b.c",
    "a.*.c",
    "s.a",
    "s.>",
    "s.no",
    "s.*",
    "a..b",
    "a*",
    "a.>.b",
    "requests",
    "in.*",
    "in.1",
    "_INBOX.x.*",
    "a.secret.b",
    "caf\u{e9}",
];
const SUBJECTS: [&str; 17] = [
    "a",
    "a.b",
    "a.b.c",
    "b.c",
    "s.a",
    "s.no",
    "s.no.way",
    "a.*",
    ">",
    "a..b",
    "a*",
    "a.secret.b",
    "requests",
    "in.1",
    "nobody",
    "caf\u{e9}",
    ".a",
];
const REPLIES: [&str; 6] = [
    "in.1",
    "in.2",
    "_INBOX.x.1",
    "answer.here",
    "$JS.ACK.x",
    "_R_.x",
];
/// What ends a connection; only said at the end, for others must not see when.
const LAST_WORDS: [&str; 10] = [
    "BOGUS\r\n",
    "PUB a 2\r\nhixx\r\n",
    "PUB a\r\n",
    "SUB a\r\n",
    "HPUB a 12 4\r\nhi\r\n",
    "PUB a 1048577\r\n",
    "-ERR 'x'\r\n",
    "CONNECT {bad\r\n",
    "UNSUB 1 2 3\r\n",
    "MSG a 1 1\r\nx\r\n",
];
const STEPS: usize = 40;

/// A conversation: the kinds of its clients, and who says what.
pub(crate) struct Conversation {
    seed: u64,
    clients: Vec<usize>,
    steps: Vec<(usize, String)>,
}

impl Conversation {
    /// The conversation of this seed, always the same.
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let clients: Vec<usize> = (0..random.random_range(1..=4))
            .map(|_| random.random_range(0..CONNECTS.len()))
            .collect();
        let mut steps = Vec::with_capacity(STEPS + 1);
        for _ in 0..random.random_range(5..=STEPS) {
            let client = random.random_range(0..clients.len());
            steps.push((client, step(&mut random, clients[client])));
        }
        if random.random_bool(0.5) {
            let client = random.random_range(0..clients.len());
            steps.push((
                client,
                LAST_WORDS.choose(&mut random).unwrap_or(&"").to_string(),
            ));
        }
        Self {
            seed,
            clients,
            steps,
        }
    }

    /// What every client saw after every step, in an order of its own.
    pub(crate) async fn play(&self, address: std::net::SocketAddr) -> Vec<Vec<String>> {
        let mut clients = Vec::new();
        for kind in &self.clients {
            let mut raw = Raw::connect(address).await;
            raw.send(format!("CONNECT {}\r\n", CONNECTS[*kind]).as_bytes())
                .await;
            raw.fence().await;
            clients.push(raw);
        }
        let mut transcript = Vec::new();
        for (speaker, text) in &self.steps {
            clients[*speaker].send(text.as_bytes()).await;
            let mut seen = Vec::new();
            let others = (0..clients.len()).filter(|client| client != speaker);
            for client in std::iter::once(*speaker).chain(others) {
                for frame in clients[client].fence().await {
                    seen.push(shown(client, &frame));
                }
            }
            seen.sort();
            transcript.push(seen);
        }
        transcript
    }

    /// The conversation up to a step, for whoever has to find out why.
    pub(crate) fn told_to(&self, step: usize) -> String {
        let mut text = format!("seed {}, clients {:?}\n", self.seed, self.clients);
        for (client, said) in self.steps.iter().take(step + 1) {
            let _ = writeln!(text, "  {client}: {said:?}");
        }
        text
    }
}

/// A delivery to a queue group is the group's, whoever took it. That nobody responds is told to one subscription of those that
/// match.
fn shown(client: usize, frame: &Frame) -> String {
    let Frame::Message {
        subject,
        sid,
        reply,
        headers,
        payload,
    } = frame
    else {
        return format!("{client}: {frame:?}");
    };
    let who = match sid
        .strip_prefix("group-")
        .and_then(|rest| rest.split_once('-'))
    {
        Some((group, _)) => group.to_owned(),
        None if headers.starts_with("NATS/1.0 503") => client.to_string(),
        None => format!("{client}/{sid}"),
    };
    format!("{who}: {subject} {reply:?} {headers:?} {payload:?}")
}

fn step(random: &mut StdRng, kind: usize) -> String {
    let filter = *FILTERS.choose(random).unwrap_or(&"a");
    let subject = *SUBJECTS.choose(random).unwrap_or(&"a");
    let reply = match random.random_range(0..4) {
        0 => format!(" {}", REPLIES.choose(random).unwrap_or(&"in.1")),
        _ => String::new(),
    };
    let sid = random.random_range(1..=8);
    let end = if random.random_bool(0.1) {
        "\n"
    } else {
        "\r\n"
    };
    match random.random_range(0..100) {
        0..25 if kind == LIMITED => {
            let sid = random.random_range(0..LIMITED_FILTERS.len());
            format!("SUB {} {sid}{end}", LIMITED_FILTERS[sid])
        }
        0..25 => format!("SUB {filter} {sid}{end}"),
        25..35 if kind < MEMBERS => {
            let group = *["red", "blue"].choose(random).unwrap_or(&"red");
            format!("SUB {filter} {group} group-{group}-{sid}{end}")
        }
        25..42 => format!("UNSUB {sid}{end}"),
        42..50 => format!("UNSUB {sid} {}{end}", random.random_range(0..4)),
        50..80 => format!("PUB {subject}{reply} 2{end}hi\r\n"),
        80..90 => format!("HPUB {subject}{reply} 20 22{end}NATS/1.0\r\nA: bcd\r\n\r\nhi\r\n"),
        90..92 => format!("HPUB {subject}{reply} 0 2{end}hi\r\n"),
        92..94 => format!("pub\t{subject}  {reply}  0{end}\r\n"),
        94..96 => format!("SUB {filter} _sys_ {sid}{end}"),
        // No PING: what is told apart by PONGs must not make one of its own.
        96..98 => "PONG\r\n".to_owned(),
        _ => format!("+OK\r\nINFO {{}}{end}"),
    }
}
