//! What is measured beside nats-server, and what is to be reached.

use load::{PubSub, Requests};

use crate::server::Server;
use crate::turn::Turn;

/// A line of the table.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// What `--rows` calls it.
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    work: Work,
    pub(crate) goals: Goals,
}

/// Bars, as ratios to nats-server. Latencies and processor time are to be lower, throughput higher.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Goals {
    pub(crate) rate: Option<f64>,
    pub(crate) cpu: Option<f64>,
    pub(crate) median: Option<f64>,
    pub(crate) p99: Option<f64>,
}

#[derive(Clone, Debug)]
enum Work {
    PubSub(PubSub),
    /// Subscribers come by WebSocket, the publisher by TCP.
    Fanout(PubSub),
    /// Everybody speaks TLS.
    Tls(PubSub),
    Requests(Requests),
}

/// All of them, with message counts for about a second each of the slower server on two cores.
pub(crate) fn all() -> Vec<Row> {
    let goal = |rate, cpu| Goals {
        rate: Some(rate),
        cpu: Some(cpu),
        ..Goals::default()
    };
    let one = |bytes, messages| PubSub::new("bench.room.general", bytes, messages);
    let to = |subscribers, messages| PubSub {
        subscribers,
        ..one(128, messages)
    };
    let requests = |clients, requests| {
        Work::Requests(Requests {
            subject: "bench.service".to_owned(),
            payload_bytes: 16,
            requests,
            clients,
            responders: 1,
        })
    };
    let silent = |bytes, messages| PubSub {
        subscribers: 0,
        ..one(bytes, messages)
    };
    let row = |name, what, work, goals| Row {
        name,
        what,
        work,
        goals,
    };
    vec![
        row(
            "1-1-16",
            "1 to 1, 16 B",
            Work::PubSub(one(16, 4_000_000)),
            goal(4.0, 0.25),
        ),
        row(
            "1-1-128",
            "1 to 1, 128 B",
            Work::PubSub(one(128, 3_000_000)),
            goal(3.0, 0.35),
        ),
        row(
            "1-1-4k",
            "1 to 1, 4 KiB",
            Work::PubSub(one(4096, 500_000)),
            goal(1.2, 0.8),
        ),
        row(
            "1-1-64k",
            "1 to 1, 64 KiB",
            Work::PubSub(one(64 << 10, 40_000)),
            goal(1.6, 0.5),
        ),
        row(
            "1-10-128",
            "1 to 10, 128 B",
            Work::PubSub(to(10, 600_000)),
            goal(4.0, 0.25),
        ),
        row(
            "queue-4-4",
            "4 publishers, queue group of 4, 128 B",
            Work::PubSub(PubSub {
                publishers: 4,
                queue: Some("workers".to_owned()),
                ..to(4, 1_500_000)
            }),
            goal(2.5, 0.35),
        ),
        row(
            "no-interest-16",
            "no interest, 16 B",
            Work::PubSub(silent(16, 8_000_000)),
            Goals {
                rate: Some(4.0),
                ..Goals::default()
            },
        ),
        row(
            "no-interest-128",
            "no interest, 128 B",
            Work::PubSub(silent(128, 6_000_000)),
            Goals::default(),
        ),
        row(
            "request-1",
            "request-reply, 1 client",
            requests(1, 15_000),
            Goals {
                median: Some(0.65),
                ..goal(1.3, 0.6)
            },
        ),
        row(
            "request-16",
            "request-reply, 16 clients",
            requests(16, 60_000),
            Goals {
                p99: Some(1.0),
                ..goal(1.3, 0.7)
            },
        ),
        row(
            "ws-100",
            "WebSocket, 1 to 100, 128 B",
            Work::Fanout(to(100, 20_000)),
            goal(2.0, 0.5),
        ),
        row(
            "ws-1000",
            "WebSocket, 1 to 1,000, 128 B",
            Work::Fanout(to(1000, 2_000)),
            goal(2.0, 0.5),
        ),
        row(
            "tls-128",
            "TLS, 1 to 1, 128 B",
            Work::Tls(one(128, 1_500_000)),
            goal(1.5, 0.7),
        ),
        row(
            "subjects-10k",
            "10,000 subjects at random, 100 connections, wildcards",
            Work::PubSub(PubSub {
                subject: "bench.many".to_owned(),
                subjects: 10_000,
                at_random: true,
                publishers: 50,
                split_wildcards: true,
                ..to(50, 500_000)
            }),
            goal(1.5, 0.7),
        ),
    ]
}

impl Row {
    /// One turn with `percent` of the messages.
    pub(crate) fn turn(&self, server: &Server, percent: u64) -> Result<Turn, String> {
        let part = |count: u64| (count * percent / 100).max(100);
        let turn = match &self.work {
            Work::PubSub(work) => {
                let work = PubSub {
                    messages: part(work.messages),
                    ..work.clone()
                };
                Turn::measure(server, |target, meter| work.run(target, target, meter))
            }
            Work::Fanout(work) => {
                let listeners = server.websocket_target()?;
                let work = PubSub {
                    messages: part(work.messages),
                    ..work.clone()
                };
                Turn::measure(server, |target, meter| work.run(target, &listeners, meter))
            }
            Work::Tls(work) => {
                let target = server.tls_target()?;
                let work = PubSub {
                    messages: part(work.messages),
                    ..work.clone()
                };
                Turn::measure(server, |_, meter| work.run(&target, &target, meter))
            }
            Work::Requests(work) => {
                let work = Requests {
                    requests: part(work.requests),
                    ..work.clone()
                };
                Turn::measure(server, |target, meter| work.run(target, meter))
            }
        };
        turn.map_err(|error| format!("{}: {}: {error}", server.name, self.name))
    }
}
