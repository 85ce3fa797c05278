//! Consumers over a real socket: what a stock client sends, and what it gets. Names of tests give the item of the
//! behaviour of nats-server that they hold.

mod support;

use std::sync::Arc;
use std::time::Duration;

use broker::{AllowAll, Config, Server, StreamsRoot};
use serde_json::{Value, json};
use support::Raw;

const SECOND: u64 = 1_000_000_000;

/// A message as it arrived.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Got {
    subject: String,
    reply: String,
    /// First line of the headers, without the version.
    status: String,
    headers: String,
    body: String,
}

impl Got {
    /// The numbers of the reply subject: deliveries, stream and consumer sequence, messages that follow.
    fn numbers(&self) -> (u64, u64, u64, u64) {
        let tokens: Vec<&str> = self.reply.split('.').collect();
        let number = |at: usize| tokens[at].parse().expect("a number");
        assert_eq!(tokens.len(), 9, "{}", self.reply);
        (number(4), number(5), number(6), number(8))
    }
}

/// A server with JetStream in a directory of its own, and one client that hears everything on `r.>`.
struct Bench {
    raw: Raw,
    server: Server,
    directory: tempfile::TempDir,
    asked: u32,
}

impl Bench {
    async fn new() -> Self {
        Self::on(tempfile::tempdir().expect("a directory")).await
    }

    async fn on(directory: tempfile::TempDir) -> Self {
        let path = directory.path().to_owned();
        let root = StreamsRoot::new(move |account| path.join(account));
        let config = Config {
            // No PING of the server's own gets between the messages.
            ping_interval: Duration::from_secs(3600),
            ..Config::default()
        };
        let server = Server::new(config, Arc::new(AllowAll::new("A")), Some(root));
        server.open_streams("A").await.expect("streams open");
        let addr = server
            .listen_tcp(([127, 0, 0, 1], 0).into())
            .await
            .expect("a free port");
        let mut raw = Raw::quiet(addr).await;
        raw.send("SUB r.> 1\r\n").await;
        Self {
            raw,
            server,
            directory,
            asked: 0,
        }
    }

    /// A server with one stream `S` of the subjects `s.*` and so many messages.
    async fn with_messages(count: usize) -> Self {
        let mut bench = Self::new().await;
        bench
            .call(
                "STREAM.CREATE.S",
                &json!({"name": "S", "subjects": ["s.*"]}),
            )
            .await;
        for number in 1..=count {
            bench.store("s.a", &format!("m{number}")).await;
        }
        bench
    }

    /// Closes everything and opens it again, as after a restart.
    async fn reopened(self) -> Self {
        self.server.shutdown().await;
        Self::on(self.directory).await
    }

    async fn publish(&mut self, subject: &str, reply: &str, body: &str) {
        let len = body.len();
        self.raw
            .send(format!("PUB {subject} {reply} {len}\r\n{body}\r\n"))
            .await;
    }

    /// The next message.
    async fn next(&mut self) -> Got {
        let line = self.raw.line().await;
        let parts: Vec<&str> = line.split(' ').collect();
        let sizes = match parts[0] {
            "HMSG" => 2,
            "MSG" => 1,
            _ => panic!("{line}"),
        };
        let (names, sizes) = parts.split_at(parts.len() - sizes);
        let size = |at: usize| sizes[at].parse::<usize>().expect("a size");
        let total = size(sizes.len() - 1);
        let header_len = if sizes.len() == 2 { size(0) } else { 0 };
        let bytes = self.raw.bytes(total + 2).await;
        let headers = String::from_utf8(bytes[..header_len].to_vec()).expect("text");
        let first = headers.lines().next().unwrap_or_default();
        Got {
            subject: names[1].to_owned(),
            reply: names.get(3).copied().unwrap_or_default().to_owned(),
            status: first.trim_start_matches("NATS/1.0").trim().to_owned(),
            body: String::from_utf8(bytes[header_len..total].to_vec()).expect("text"),
            headers,
        }
    }

    /// Publishes with a reply subject of its own.
    async fn ask(&mut self, subject: &str, body: &str) {
        self.asked += 1;
        let reply = format!("r.{}", self.asked);
        self.publish(subject, &reply, body).await;
    }

    async fn call(&mut self, call: &str, body: &Value) -> Value {
        let body = match body {
            Value::Null => String::new(),
            body => body.to_string(),
        };
        self.ask(&format!("$JS.API.{call}"), &body).await;
        let got = self.next().await;
        serde_json::from_str(&got.body).unwrap_or_else(|_| panic!("{got:?}"))
    }

    async fn store(&mut self, subject: &str, body: &str) {
        self.ask(subject, body).await;
        let ack = self.next().await;
        assert!(ack.body.contains(r#""seq":"#), "{ack:?}");
    }

    /// Makes a durable consumer of `S`.
    async fn consumer(&mut self, name: &str, mut config: Value) -> Value {
        config["durable_name"] = name.into();
        let body = json!({"stream_name": "S", "config": config});
        let made = self.call(&format!("CONSUMER.CREATE.S.{name}"), &body).await;
        assert!(made["error"].is_null(), "{made}");
        made
    }

    async fn info(&mut self, name: &str) -> Value {
        self.call(&format!("CONSUMER.INFO.S.{name}"), &Value::Null)
            .await
    }

    async fn pull(&mut self, name: &str, body: &str) {
        self.ask(&format!("$JS.API.CONSUMER.MSG.NEXT.S.{name}"), body)
            .await;
    }

    /// Pulls without waiting and returns the messages up to the final status.
    async fn fetch(&mut self, name: &str, batch: u32) -> Vec<Got> {
        self.pull(name, &format!(r#"{{"batch":{batch},"no_wait":true}}"#))
            .await;
        let mut all = Vec::new();
        while all.len() < batch as usize {
            let got = self.next().await;
            if !got.status.is_empty() {
                assert_eq!(got.status, "404 No Messages");
                break;
            }
            all.push(got);
        }
        all
    }

    /// Answers a message and waits until that is confirmed.
    async fn say(&mut self, got: &Got, what: &str) {
        self.ask(&got.reply.clone(), what).await;
        let confirmation = self.next().await;
        assert_eq!(
            (confirmation.body.as_str(), confirmation.status.as_str()),
            ("", "")
        );
    }

    async fn messages(&mut self, stream: &str) -> u64 {
        let info = self
            .call(&format!("STREAM.INFO.{stream}"), &Value::Null)
            .await;
        info["state"]["messages"].as_u64().expect("a number")
    }
}

fn bodies(all: &[Got]) -> Vec<&str> {
    all.iter().map(|got| got.body.as_str()).collect()
}

#[tokio::test]
async fn item_79_the_name_in_the_subject_counts() {
    let mut bench = Bench::with_messages(0).await;
    let body = json!({"stream_name": "S", "config": {"name": "other"}});
    let made = bench.call("CONSUMER.CREATE.S.own", &body).await;
    assert_eq!(made["name"], "own");
    assert_eq!(made["config"]["name"], "own");
}

#[tokio::test]
async fn item_80_creating_again_updates() {
    let mut bench = Bench::with_messages(0).await;
    let first = bench.consumer("c", json!({"ack_policy": "explicit"})).await;
    let same = bench.consumer("c", json!({"ack_policy": "explicit"})).await;
    assert_eq!(first["created"], same["created"]);
    let wait = 5 * SECOND;
    let changed = bench
        .consumer("c", json!({"ack_policy": "explicit", "ack_wait": wait}))
        .await;
    assert_eq!(changed["config"]["ack_wait"], wait);
    let body = json!({"stream_name": "S", "config": {"durable_name": "c"}, "action": "create"});
    let refused = bench.call("CONSUMER.CREATE.S.c", &body).await;
    assert_eq!(refused["error"]["err_code"], 10148);
    let body = json!({"stream_name": "S", "config": {"durable_name": "d"}, "action": "update"});
    let refused = bench.call("CONSUMER.CREATE.S.d", &body).await;
    assert_eq!(refused["error"]["err_code"], 10149);
}

#[tokio::test]
async fn item_82_what_is_not_there_has_its_code() {
    let mut bench = Bench::with_messages(0).await;
    assert_eq!(bench.info("none").await["error"]["err_code"], 10014);
    let answer = bench.call("CONSUMER.INFO.T.none", &Value::Null).await;
    assert_eq!(answer["error"]["err_code"], 10059);
    bench.pull("none", "").await;
    assert_eq!(bench.next().await.status, "503");
}

#[tokio::test]
async fn item_83_pending_counts_what_matches_from_the_start() {
    let mut bench = Bench::with_messages(3).await;
    for subject in ["s.b", "s.a", "s.b"] {
        bench.store(subject, "x").await;
    }
    for (name, config, pending) in [
        ("all", json!({}), 6),
        ("filtered", json!({"filter_subject": "s.b"}), 2),
        ("two", json!({"filter_subjects": ["s.a", "s.b"]}), 6),
        ("none", json!({"filter_subject": "elsewhere"}), 0),
        ("new", json!({"deliver_policy": "new"}), 0),
        ("last", json!({"deliver_policy": "last"}), 1),
        (
            "last_b",
            json!({"deliver_policy": "last", "filter_subject": "s.a"}),
            1,
        ),
        (
            "at",
            json!({"deliver_policy": "by_start_sequence", "opt_start_seq": 4}),
            3,
        ),
        (
            "time",
            json!({"deliver_policy": "by_start_time", "opt_start_time": "2020-01-01T00:00:00Z"}),
            6,
        ),
        (
            "each",
            json!({"deliver_policy": "last_per_subject", "filter_subject": "s.*"}),
            2,
        ),
    ] {
        let made = bench.consumer(name, config).await;
        assert_eq!(made["num_pending"], pending, "{name}");
    }
}

#[tokio::test]
async fn items_84_85_a_delivery_shows_its_subject_and_its_place() {
    let mut bench = Bench::with_messages(2).await;
    bench.consumer("c", json!({"ack_policy": "explicit"})).await;
    let all = bench.fetch("c", 5).await;
    assert_eq!(bodies(&all), ["m1", "m2"]);
    assert_eq!(all[0].subject, "s.a");
    assert_eq!(all[0].numbers(), (1, 1, 1, 1));
    assert_eq!(all[1].numbers(), (1, 2, 2, 0));
    let info = bench.info("c").await;
    assert_eq!(info["num_ack_pending"], 2);
    assert_eq!(info["delivered"]["consumer_seq"], 2);
}

#[tokio::test]
async fn item_86_redelivered_messages_come_first() {
    let mut bench = Bench::with_messages(3).await;
    bench.consumer("c", json!({"ack_policy": "explicit"})).await;
    let all = bench.fetch("c", 2).await;
    bench.say(&all[1], "-NAK").await;
    bench.say(&all[0], "-NAK").await;
    let again = bench.fetch("c", 5).await;
    assert_eq!(bodies(&again), ["m2", "m1", "m3"]);
    assert_eq!(again[0].numbers(), (2, 2, 3, 1));
    assert_eq!(again[2].numbers(), (1, 3, 5, 0));
    assert_eq!(bench.info("c").await["num_redelivered"], 2);
}

#[tokio::test]
async fn item_87_a_delayed_message_comes_after_its_delay() {
    let mut bench = Bench::with_messages(1).await;
    bench.consumer("c", json!({"ack_policy": "explicit"})).await;
    let all = bench.fetch("c", 1).await;
    bench.say(&all[0], r#"-NAK {"delay": 100000000}"#).await;
    assert!(bench.fetch("c", 1).await.is_empty());
    bench
        .pull("c", &format!(r#"{{"batch":1,"expires":{}}}"#, 5 * SECOND))
        .await;
    assert_eq!(bench.next().await.numbers().0, 2);
}

#[tokio::test]
async fn item_88_every_kind_is_confirmed_but_nothing_made_up() {
    let mut bench = Bench::with_messages(5).await;
    bench.consumer("c", json!({"ack_policy": "explicit"})).await;
    let all = bench.fetch("c", 5).await;
    for (got, what) in all
        .iter()
        .zip(["+ACK", "-NAK", "+WPI", "+TERM no use", "what?"])
    {
        bench.say(got, what).await;
    }
    // Of a message that was never there.
    bench.ask("$JS.ACK.S.c.1.99.1.1.0", "+ACK").await;
    bench.raw.expect_quiet().await;
    let info = bench.info("c").await;
    assert_eq!(info["num_ack_pending"], 3);
    bench.call("CONSUMER.DELETE.S.c", &Value::Null).await;
    bench.ask(&all[0].reply, "+ACK").await;
    assert_eq!(bench.next().await.status, "503");
}

#[tokio::test]
async fn item_89_next_answers_with_messages() {
    let mut bench = Bench::with_messages(2).await;
    bench.consumer("c", json!({"ack_policy": "explicit"})).await;
    let all = bench.fetch("c", 1).await;
    bench.ask(&all[0].reply, r#"+NXT {"batch":1}"#).await;
    assert_eq!(bench.next().await.body, "m2");
    assert_eq!(bench.info("c").await["num_ack_pending"], 1);
}

#[tokio::test]
async fn items_90_91_requests_that_do_not_wait_end() {
    let mut bench = Bench::with_messages(0).await;
    bench.consumer("c", json!({})).await;
    assert!(bench.fetch("c", 5).await.is_empty());
    bench.store("s.a", "x").await;
    assert_eq!(bench.fetch("c", 5).await.len(), 1);
    // With a time they wait for the first, and no longer.
    let body = format!(r#"{{"batch":5,"no_wait":true,"expires":{}}}"#, 10 * SECOND);
    bench.pull("c", &body).await;
    bench.raw.expect_quiet().await;
    bench.publish("s.a", "", "y").await;
    assert_eq!(bench.next().await.body, "y");
    assert_eq!(bench.next().await.status, "404 No Messages");
}

#[tokio::test]
async fn items_93_94_131_bytes_end_a_request() {
    let mut bench = Bench::with_messages(3).await;
    bench.consumer("c", json!({})).await;
    bench.pull("c", r#"{"batch":1,"max_bytes":1000}"#).await;
    let first = bench.next().await;
    let left = 1000 - first.subject.len() - first.reply.len() - first.body.len();
    let end = bench.next().await;
    assert_eq!(end.status, "409 Batch Completed");
    assert!(
        end.headers.contains("Nats-Pending-Messages: 0\r\n"),
        "{end:?}"
    );
    assert!(
        end.headers
            .contains(&format!("Nats-Pending-Bytes: {left}\r\n")),
        "{end:?}"
    );
    bench.pull("c", r#"{"batch":7,"max_bytes":10}"#).await;
    let end = bench.next().await;
    assert_eq!(end.status, "409 Message Size Exceeds MaxBytes");
    assert!(
        end.headers.contains("Nats-Pending-Messages: 7\r\n"),
        "{end:?}"
    );
    assert_eq!(bodies(&bench.fetch("c", 5).await), ["m2", "m3"]);
}

#[tokio::test]
async fn item_95_too_many_waiting_requests() {
    let mut bench = Bench::with_messages(0).await;
    bench.consumer("c", json!({"max_waiting": 1})).await;
    bench.pull("c", r#"{"batch":1}"#).await;
    let silent = format!(
        r#"{{"batch":1,"expires":{},"idle_heartbeat":{}}}"#,
        30 * SECOND,
        10 * SECOND
    );
    bench.pull("c", &silent).await;
    bench.raw.expect_quiet().await;
    bench.pull("c", r#"{"batch":1}"#).await;
    assert_eq!(bench.next().await.status, "409 Exceeded MaxWaiting");
}

#[tokio::test]
async fn item_96_deleting_answers_everybody_who_waits() {
    let mut bench = Bench::with_messages(0).await;
    bench.consumer("c", json!({})).await;
    bench.pull("c", r#"{"batch":1}"#).await;
    bench.pull("c", r#"{"batch":7}"#).await;
    bench.ask("$JS.API.CONSUMER.DELETE.S.c", "").await;
    let mut statuses: Vec<String> = Vec::new();
    for _ in 0..3 {
        statuses.push(bench.next().await.status);
    }
    statuses.sort();
    assert_eq!(
        statuses,
        ["", "409 Consumer Deleted", "409 Consumer Deleted"]
    );
}

#[tokio::test]
async fn items_97_135_too_many_unacknowledged_messages_hold_new_ones_back() {
    let mut bench = Bench::with_messages(3).await;
    let config = json!({"ack_policy": "explicit", "max_ack_pending": 1});
    bench.consumer("c", config).await;
    bench.pull("c", r#"{"batch":5,"no_wait":true}"#).await;
    let first = bench.next().await;
    bench.raw.expect_quiet().await;
    let acked = bench.info("c").await;
    assert_eq!(acked["num_waiting"], 1);
    bench.publish(&first.reply, "", "+ACK").await;
    assert_eq!(bench.next().await.body, "m2");
}

#[tokio::test]
async fn item_98_what_was_delivered_too_often_stays_in_a_work_queue() {
    let mut bench = Bench::new().await;
    let queue = json!({"name": "S", "subjects": ["s.*"], "retention": "workqueue"});
    bench.call("STREAM.CREATE.S", &queue).await;
    bench.store("s.a", "x").await;
    let config = json!({"ack_policy": "explicit", "max_deliver": 1, "ack_wait": 50_000_000});
    bench.consumer("c", config).await;
    bench
        .raw
        .send("SUB $JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.> 7\r\n")
        .await;
    bench.pull("c", "1").await;
    assert_eq!(bench.next().await.body, "x");
    let advisory: Value = serde_json::from_str(&bench.next().await.body).expect("JSON");
    assert_eq!(
        advisory["type"],
        "io.nats.jetstream.advisory.v1.max_deliver"
    );
    assert_eq!(
        (&advisory["stream_seq"], &advisory["deliveries"]),
        (&json!(1), &json!(1))
    );
    assert!(bench.fetch("c", 1).await.is_empty());
    assert_eq!(bench.info("c").await["num_ack_pending"], 0);
    assert_eq!(bench.messages("S").await, 1);
}

#[tokio::test]
async fn item_99_the_last_of_every_subject_in_the_order_of_the_stream() {
    let mut bench = Bench::with_messages(1).await;
    for (subject, body) in [("s.b", "b1"), ("s.c", "c1"), ("s.a", "a2"), ("s.b", "")] {
        bench.store(subject, body).await;
    }
    let config = json!({"deliver_policy": "last_per_subject", "filter_subject": "s.*"});
    bench.consumer("c", config).await;
    let all = bench.fetch("c", 9).await;
    let places: Vec<u64> = all.iter().map(|got| got.numbers().1).collect();
    assert_eq!(
        (bodies(&all), places),
        (vec!["c1", "a2", ""], vec![3, 4, 5])
    );
    assert_eq!(all[2].numbers().3, 0);
}

#[tokio::test]
async fn items_100_138_delivery_begins_when_somebody_listens() {
    let mut bench = Bench::with_messages(2).await;
    let config = json!({"deliver_subject": "d", "inactive_threshold": SECOND});
    let body = json!({"stream_name": "S", "config": config});
    let made = bench.call("CONSUMER.CREATE.S.c", &body).await;
    assert_eq!(
        (&made["num_pending"], &made["push_bound"]),
        (&json!(2), &Value::Null)
    );
    bench.raw.expect_quiet().await;
    bench.raw.send("SUB d 5\r\n").await;
    assert_eq!(bench.next().await.body, "m1");
    let second = bench.next().await;
    assert_eq!((second.subject.as_str(), second.numbers().3), ("s.a", 0));
    assert_eq!(bench.info("c").await["push_bound"], true);
    bench
        .raw
        .send("SUB $JS.EVENT.ADVISORY.CONSUMER.DELETED.> 7\r\nUNSUB 5\r\n")
        .await;
    let advisory: Value = serde_json::from_str(&bench.next().await.body).expect("JSON");
    assert_eq!(advisory["action"], "delete");
    assert_eq!(bench.info("c").await["error"]["err_code"], 10014);
}

#[tokio::test]
async fn item_101_an_answer_gets_a_stalled_consumer_going() {
    let mut bench = Bench::with_messages(0).await;
    // The first window is 2 MiB: three messages of 900 KiB fill it.
    let large = "x".repeat(900 << 10);
    for _ in 0..4 {
        bench.store("s.a", &large).await;
    }
    bench.raw.send("SUB d 5\r\n").await;
    let config = json!({
        "deliver_subject": "d", "flow_control": true, "idle_heartbeat": 200_000_000,
    });
    let body = json!({"stream_name": "S", "config": config});
    bench
        .ask("$JS.API.CONSUMER.CREATE.S.c", &body.to_string())
        .await;
    let (mut messages, mut asked, mut stalled) = (0, String::new(), String::new());
    while stalled.is_empty() {
        let got = bench.next().await;
        match got.status.as_str() {
            "100 FlowControl Request" => asked = got.reply,
            "100 Idle Heartbeat" => {
                let mut lines = got.headers.lines();
                let line = lines.find_map(|line| line.strip_prefix("Nats-Consumer-Stalled: "));
                stalled = line.unwrap_or_default().to_owned();
            }
            _ if got.subject == "s.a" => messages += 1,
            _ => {}
        }
    }
    assert_eq!((messages, &stalled), (3, &asked));
    assert!(asked.starts_with("$JS.FC.S.c."), "{asked}");
    bench.publish(&stalled, "", "").await;
    while messages < 4 {
        messages += usize::from(bench.next().await.subject == "s.a");
    }
}

#[tokio::test]
async fn item_102_heartbeats_say_what_was_delivered_last() {
    let mut bench = Bench::with_messages(1).await;
    bench.store("s.b", "x").await;
    bench.raw.send("SUB d 5\r\n").await;
    let config = json!({
        "deliver_subject": "d", "idle_heartbeat": 100_000_000, "filter_subject": "s.a",
    });
    let body = json!({"stream_name": "S", "config": config});
    bench
        .ask("$JS.API.CONSUMER.CREATE.S.c", &body.to_string())
        .await;
    loop {
        let got = bench.next().await;
        if got.status == "100 Idle Heartbeat" {
            assert_eq!(got.subject, "d");
            assert!(
                got.headers
                    .contains("Nats-Last-Consumer: 1\r\nNats-Last-Stream: 1\r\n")
            );
            return;
        }
    }
}

#[tokio::test]
async fn item_103_headers_only_tells_the_size() {
    let mut bench = Bench::with_messages(1).await;
    bench
        .raw
        .send("HPUB s.a r.h 18 19\r\nNATS/1.0\r\nA: b\r\n\r\nx\r\n")
        .await;
    assert!(bench.next().await.body.contains("seq"));
    bench.consumer("c", json!({"headers_only": true})).await;
    let all = bench.fetch("c", 2).await;
    assert_eq!(all[0].headers, "NATS/1.0\r\nNats-Msg-Size: 2\r\n\r\n");
    assert_eq!(
        all[1].headers,
        "NATS/1.0\r\nA: b\r\nNats-Msg-Size: 1\r\n\r\n"
    );
    assert_eq!(bodies(&all), ["", ""]);
}

#[tokio::test]
async fn item_104_acknowledging_all() {
    let mut bench = Bench::with_messages(3).await;
    bench.consumer("c", json!({"ack_policy": "all"})).await;
    let all = bench.fetch("c", 3).await;
    bench.say(&all[1], "+ACK").await;
    let info = bench.info("c").await;
    assert_eq!(
        (&info["num_ack_pending"], &info["ack_floor"]["stream_seq"]),
        (&json!(1), &json!(2))
    );
}

#[tokio::test]
async fn item_105_terminated_messages_leave_a_work_queue() {
    let mut bench = Bench::new().await;
    let queue = json!({"name": "S", "subjects": ["s.*"], "retention": "workqueue"});
    bench.call("STREAM.CREATE.S", &queue).await;
    for _ in 0..3 {
        bench.store("s.a", "x").await;
    }
    bench.consumer("c", json!({"ack_policy": "explicit"})).await;
    let all = bench.fetch("c", 3).await;
    bench.say(&all[0], "+TERM").await;
    bench.say(&all[1], "+ACK").await;
    assert_eq!(bench.messages("S").await, 1);
}

#[tokio::test]
async fn interest_lasts_until_everybody_has_acknowledged() {
    let mut bench = Bench::new().await;
    let stream = json!({"name": "S", "subjects": ["s.*"], "retention": "interest"});
    bench.call("STREAM.CREATE.S", &stream).await;
    bench
        .consumer("all", json!({"ack_policy": "explicit"}))
        .await;
    bench
        .consumer(
            "b",
            json!({"ack_policy": "explicit", "filter_subject": "s.b"}),
        )
        .await;
    for subject in ["s.a", "s.b", "s.b"] {
        bench.store(subject, "x").await;
    }
    for got in bench.fetch("all", 3).await {
        bench.say(&got, "+ACK").await;
    }
    assert_eq!(bench.messages("S").await, 2);
    let one = bench.fetch("b", 1).await;
    bench.say(&one[0], "+ACK").await;
    assert_eq!(bench.messages("S").await, 1);
    bench.call("CONSUMER.DELETE.S.b", &Value::Null).await;
    assert_eq!(bench.messages("S").await, 0);
}

#[tokio::test]
async fn interest_without_acknowledgements_lasts_until_the_delivery() {
    let mut bench = Bench::new().await;
    let stream = json!({"name": "S", "subjects": ["s.*"], "retention": "interest"});
    bench.call("STREAM.CREATE.S", &stream).await;
    bench.consumer("c", json!({"ack_policy": "none"})).await;
    for _ in 0..3 {
        bench.store("s.a", "x").await;
    }
    assert_eq!(bench.fetch("c", 2).await.len(), 2);
    // They go with the next commit, which nothing waits for.
    while bench.messages("S").await > 1 {}
}

#[tokio::test]
async fn a_restart_forgets_nothing_that_was_confirmed() {
    let mut bench = Bench::with_messages(6).await;
    let config = json!({"ack_policy": "explicit", "ack_wait": SECOND, "metadata": {"k": "v"}});
    bench.consumer("c", config).await;
    let all = bench.fetch("c", 4).await;
    bench.say(&all[0], "+ACK").await;
    bench.say(&all[2], "+ACK").await;
    let body = json!({"stream_name": "S", "config": {"mem_storage": true}});
    bench.call("CONSUMER.CREATE.S.gone", &body).await;
    let before = bench.info("c").await;
    let mut bench = bench.reopened().await;
    let after = bench.info("c").await;
    for member in [
        "created",
        "config",
        "delivered",
        "ack_floor",
        "num_ack_pending",
        "num_pending",
    ] {
        assert_eq!(before[member], after[member], "{member}");
    }
    assert_eq!(bench.info("gone").await["error"]["err_code"], 10014);
    bench
        .pull("c", &format!(r#"{{"batch":4,"expires":{}}}"#, 10 * SECOND))
        .await;
    let mut bodies = Vec::new();
    for _ in 0..4 {
        bodies.push(bench.next().await.body);
    }
    bodies.sort();
    assert_eq!(bodies, ["m2", "m4", "m5", "m6"]);
}

#[tokio::test]
async fn who_waits_hears_of_the_end_of_the_server() {
    let mut bench = Bench::with_messages(0).await;
    bench.consumer("c", json!({})).await;
    bench.pull("c", r#"{"batch":3}"#).await;
    bench.raw.expect_quiet().await;
    bench.server.shutdown().await;
    let end = bench.next().await;
    assert_eq!(end.status, "409 Server Shutdown");
    assert!(
        end.headers.contains("Nats-Pending-Messages: 3\r\n"),
        "{end:?}"
    );
}

#[tokio::test]
async fn a_paused_consumer_waits() {
    let mut bench = Bench::with_messages(1).await;
    bench.consumer("c", json!({})).await;
    let body = json!({"pause_until": "2100-01-01T00:00:00Z"});
    let paused = bench.call("CONSUMER.PAUSE.S.c", &body).await;
    assert_eq!(paused["paused"], true);
    bench.pull("c", "1").await;
    bench.raw.expect_quiet().await;
    assert_eq!(bench.info("c").await["paused"], true);
    bench.ask("$JS.API.CONSUMER.PAUSE.S.c", "").await;
    let mut bodies = [bench.next().await.body, bench.next().await.body];
    bodies.sort();
    assert_eq!(bodies[0], "m1");
}

#[tokio::test]
async fn a_reset_consumer_begins_anew() {
    let mut bench = Bench::with_messages(3).await;
    bench.consumer("c", json!({"ack_policy": "explicit"})).await;
    assert_eq!(bench.fetch("c", 3).await.len(), 3);
    let reset = bench.call("CONSUMER.RESET.S.c", &json!({"seq": 2})).await;
    assert_eq!(
        (&reset["reset_seq"], &reset["num_pending"]),
        (&json!(2), &json!(2))
    );
    let all = bench.fetch("c", 9).await;
    assert_eq!(bodies(&all), ["m2", "m3"]);
    assert_eq!(all[0].numbers(), (1, 2, 1, 1));
}

#[tokio::test]
async fn one_client_has_a_group_for_itself() {
    let mut bench = Bench::with_messages(2).await;
    let config = json!({
        "ack_policy": "explicit", "priority_groups": ["g"], "priority_policy": "pinned_client",
    });
    bench.consumer("c", config).await;
    bench.pull("c", r#"{"batch":1,"group":"g"}"#).await;
    let first = bench.next().await;
    let mut lines = first.headers.lines();
    let pin = lines
        .find_map(|line| line.strip_prefix("Nats-Pin-Id: "))
        .expect("a pin")
        .to_owned();
    // Another client waits.
    bench.pull("c", r#"{"batch":1,"group":"g"}"#).await;
    bench.raw.expect_quiet().await;
    bench
        .pull("c", r#"{"batch":1,"group":"g","id":"wrong"}"#)
        .await;
    assert_eq!(bench.next().await.status, "423 Nats-Pin-Id mismatch");
    bench
        .pull("c", &format!(r#"{{"batch":1,"group":"g","id":"{pin}"}}"#))
        .await;
    assert_eq!(bench.next().await.body, "m2");
    bench
        .call("CONSUMER.UNPIN.S.c", &json!({"group": "g"}))
        .await;
    bench.publish("s.a", "", "m3").await;
    let next = bench.next().await;
    assert_eq!(next.body, "m3");
    assert!(!next.headers.contains(&pin), "{next:?}");
}

#[tokio::test]
async fn a_queue_group_shares_what_is_pushed() {
    let mut bench = Bench::with_messages(0).await;
    let config = json!({"deliver_subject": "d", "deliver_group": "g"});
    bench.consumer("c", config).await;
    bench.raw.send("SUB d 4\r\n").await;
    bench.store("s.a", "x").await;
    // Somebody outside of the group is not enough.
    bench.raw.expect_quiet().await;
    bench
        .raw
        .send("UNSUB 4\r\nSUB d g 5\r\nSUB d g 6\r\n")
        .await;
    assert_eq!(bench.next().await.body, "x");
    bench.raw.expect_quiet().await;
}
