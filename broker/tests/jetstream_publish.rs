//! Publishing into streams over a real socket: what a stock client puts on the wire, and what it gets.

mod support;

use std::net::SocketAddr;
use std::sync::Arc;

use broker::{AllowAll, Config, Identity, Sequence, Server, StreamsRoot};
use support::Raw;

/// A server with streams in a directory of its own, and one client.
struct Bench {
    raw: Raw,
    addr: SocketAddr,
    server: Server,
    directory: tempfile::TempDir,
}

impl Bench {
    async fn new() -> Self {
        Self::on(tempfile::tempdir().expect("a directory")).await
    }

    async fn on(directory: tempfile::TempDir) -> Self {
        Self::with(directory, Config::default()).await
    }

    async fn with(directory: tempfile::TempDir, config: Config) -> Self {
        let path = directory.path().to_owned();
        let root = StreamsRoot::new(move |account| path.join(account));
        let authenticator = Arc::new(AllowAll::new("A"));
        let server = Server::new(config, authenticator, Some(root));
        server.open_streams("A").await.expect("streams open");
        let addr = server
            .listen_tcp(([127, 0, 0, 1], 0).into())
            .await
            .expect("a free port");
        let mut raw = Raw::quiet(addr).await;
        raw.send("SUB r.* 1\r\n").await;
        Self {
            raw,
            addr,
            server,
            directory,
        }
    }

    /// Closes everything and opens it again, as after a restart.
    async fn reopened(self) -> Self {
        self.server.shutdown().await;
        Self::on(self.directory).await
    }

    /// Another client of the same server.
    async fn other(&self) -> Raw {
        Raw::quiet(self.addr).await
    }

    /// The body of the answer to a request.
    async fn request(&mut self, subject: &str, lines: &[&str], payload: &str) -> String {
        self.publish(subject, lines, payload).await;
        self.answer().await
    }

    async fn publish(&mut self, subject: &str, lines: &[&str], payload: &str) {
        let mut block = String::new();
        if !lines.is_empty() {
            block = format!("NATS/1.0\r\n{}\r\n\r\n", lines.join("\r\n"));
        }
        let (headers, total) = (block.len(), block.len() + payload.len());
        let command = match lines {
            [] => format!("PUB {subject} r.1 {total}\r\n{payload}\r\n"),
            _ => format!("HPUB {subject} r.1 {headers} {total}\r\n{block}{payload}\r\n"),
        };
        self.raw.send(command).await;
    }

    async fn answer(&mut self) -> String {
        let line = self.raw.line().await;
        assert!(
            line.starts_with("MSG r.1 1 ") || line.starts_with("HMSG r.1 1 "),
            "{line}"
        );
        self.raw.line().await
    }

    /// Makes a stream; `config` are the members behind the name.
    async fn create(&mut self, name: &str, config: &str) {
        let body = format!("{{\"name\":\"{name}\",\"storage\":\"memory\",{config}}}");
        let answer = self
            .request(&format!("$JS.API.STREAM.CREATE.{name}"), &[], &body)
            .await;
        assert!(answer.contains("\"did_create\":true"), "{answer}");
    }

    #[track_caller]
    fn check(answer: &str, expected: &str) {
        assert_eq!(answer, expected);
    }

    /// A publish and its answer.
    async fn expect(&mut self, subject: &str, lines: &[&str], payload: &str, expected: &str) {
        let answer = self.request(subject, lines, payload).await;
        Self::check(&answer, expected);
    }

    /// A publish that is refused with this code.
    async fn expect_refused(&mut self, subject: &str, lines: &[&str], payload: &str, code: u32) {
        let answer = self.request(subject, lines, payload).await;
        let err_code = format!("\"err_code\":{code},");
        assert!(answer.contains(&err_code), "{lines:?}: {answer}");
        assert!(answer.ends_with("\"seq\":0}"), "{answer}");
    }

    /// A stored message, in text.
    async fn stored(&self, stream: &str, sequence: u64) -> Stored {
        let client = self.server.client("A", &Identity::new("test", "A"));
        let stream = client.streams().stream(stream).expect("a stream");
        let message = stream.message(Sequence(sequence)).await.expect("read");
        let message = message.expect("a message");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Stored {
            subject: text(&message.subject),
            headers: text(&message.headers),
            payload: text(&message.payload),
        }
    }
}

struct Stored {
    subject: String,
    headers: String,
    payload: String,
}

#[tokio::test]
async fn item_54_a_duplicate_is_answered_with_the_first_sequence() {
    let mut bench = Bench::new().await;
    bench.create("S", r#""subjects":["a.>"]"#).await;
    let id = ["Nats-Msg-Id: x"];
    bench
        .expect("a.b", &id, "1", r#"{"stream":"S","seq":1}"#)
        .await;
    bench
        .expect("a.b", &[], "2", r#"{"stream":"S","seq":2}"#)
        .await;
    bench
        .expect(
            "a.b",
            &id,
            "3",
            r#"{"stream":"S","seq":1,"duplicate": true}"#,
        )
        .await;
    let lower = ["nats-msg-id: x"];
    bench
        .expect("a.b", &lower, "4", r#"{"stream":"S","seq":3}"#)
        .await;
}

#[tokio::test]
async fn items_56_to_58_expectations_beat_duplicates_and_carry_the_sequence() {
    let mut bench = Bench::new().await;
    bench.create("S", r#""subjects":["a.>"]"#).await;
    let first = ["Nats-Msg-Id: x", "Nats-Expected-Last-Sequence: 0"];
    bench
        .expect("a.b", &first, "1", r#"{"stream":"S","seq":1}"#)
        .await;
    let wrong = r#"{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 1"},"stream":"S","seq":0}"#;
    bench.expect("a.b", &first, "1", wrong).await;
    let unknown = ["Nats-Expected-Last-Subject-Sequence: 0"];
    bench.expect("a.b", &unknown, "2", wrong).await;
    bench
        .expect("a.c", &unknown, "2", r#"{"stream":"S","seq":2}"#)
        .await;
}

#[tokio::test]
async fn item_63_a_stream_without_acknowledgement_never_answers() {
    let mut bench = Bench::new().await;
    bench
        .create("S", r#""subjects":["a.>"],"no_ack":true"#)
        .await;
    bench.publish("a.b", &[], "1").await;
    bench.publish("a.b", &["Nats-Rollup: x"], "1").await;
    let info = bench.request("$JS.API.STREAM.INFO.S", &[], "").await;
    assert!(info.contains("\"last_seq\":1,"), "{info}");
}

#[tokio::test]
async fn item_64_plain_subscribers_see_the_message_with_its_reply() {
    let mut bench = Bench::new().await;
    bench.create("S", r#""subjects":["a.>"]"#).await;
    let mut other = bench.other().await;
    other.send("SUB a.* 7\r\nPING\r\n").await;
    other.expect("PONG\r\n").await;
    bench
        .expect("a.b", &[], "1", r#"{"stream":"S","seq":1}"#)
        .await;
    other.expect("MSG a.b 7 r.1 1\r\n1\r\n").await;
}

#[tokio::test]
async fn item_65_life_times_are_checked() {
    let mut bench = Bench::new().await;
    bench
        .create("S", r#""subjects":["a.>"],"allow_msg_ttl":true"#)
        .await;
    bench.create("T", r#""subjects":["b.>"]"#).await;
    for invalid in ["0", "500ms", "x"] {
        let line = format!("Nats-TTL: {invalid}");
        bench.expect_refused("a.b", &[&line], "", 10165).await;
    }
    bench
        .expect_refused("b.b", &["Nats-TTL: 5"], "", 10166)
        .await;
    bench
        .expect("a.b", &["Nats-TTL: never"], "", r#"{"stream":"S","seq":1}"#)
        .await;
}

#[tokio::test]
async fn item_67_republished_copies_come_before_the_answer() {
    let mut bench = Bench::new().await;
    let config = r#""subjects":["a.>"],"republish":{"src":"a.*","dest":"out.$1"}"#;
    bench.create("S", config).await;
    bench.raw.send("SUB out.> 2\r\n").await;
    for (sequence, last) in [(1, 0), (2, 1)] {
        bench.publish("a.b", &["X: y"], "hello").await;
        let line = bench.raw.line().await;
        assert!(line.starts_with("HMSG out.b 2 "), "{line}");
        let mut seen = Vec::new();
        loop {
            match bench.raw.line().await.as_str() {
                "" => break,
                line => seen.push(line.to_owned()),
            }
        }
        assert!(seen.remove(5).starts_with("Nats-Time-Stamp: 2"), "{seen:?}");
        let sequence = format!("Nats-Sequence: {sequence}");
        let last = format!("Nats-Last-Sequence: {last}");
        let expected = [
            "NATS/1.0",
            "X: y",
            "Nats-Stream: S",
            "Nats-Subject: a.b",
            &sequence,
            &last,
        ];
        assert_eq!(seen, expected);
        assert_eq!(bench.raw.line().await, "hello");
        bench.answer().await;
    }
    bench
        .expect("a.b.c", &[], "", r#"{"stream":"S","seq":3}"#)
        .await;
}

#[tokio::test]
async fn item_68_a_literal_star_is_stored() {
    let mut bench = Bench::new().await;
    bench.create("S", r#""subjects":["a.*"]"#).await;
    bench
        .expect("a.*", &[], "1", r#"{"stream":"S","seq":1}"#)
        .await;
}

#[tokio::test]
async fn item_69_a_status_is_not_stored() {
    let mut bench = Bench::new().await;
    bench.create("S", r#""subjects":["a.*"]"#).await;
    bench
        .raw
        .send("HPUB a.b r.1 27 27\r\nNATS/1.0 503 Busy\r\nA: b\r\n\r\n\r\n")
        .await;
    bench.answer().await;
    let Stored { headers, .. } = bench.stored("S", 1).await;
    assert_eq!(headers, "NATS/1.0\r\nA: b\r\n\r\n");
}

#[tokio::test]
async fn what_a_stream_does_not_allow_is_refused() {
    let mut bench = Bench::new().await;
    bench
        .create("S", r#""subjects":["a.>"],"max_msg_size":100"#)
        .await;
    bench
        .expect_refused("a.b", &[], &"x".repeat(101), 10054)
        .await;
    bench
        .expect_refused("a.b", &["Nats-Rollup: sub"], "", 10111)
        .await;
    bench
        .expect_refused("a.b", &["Nats-Incr: 1"], "", 10168)
        .await;
    bench
        .expect_refused("a.b", &["Nats-Batch-Id: x"], "", 10174)
        .await;
    bench
        .expect_refused("a.b", &["Nats-Stream-Source: x"], "", 10227)
        .await;
    bench
        .expect_refused("a.b", &["Nats-Expected-Stream: T"], "", 10060)
        .await;
    bench
        .expect_refused("a.b", &["Nats-Expected-Last-Msg-Id: x"], "", 10070)
        .await;
}

#[tokio::test]
async fn subjects_are_transformed_before_they_are_stored() {
    let mut bench = Bench::new().await;
    let config =
        r#""subjects":["a.*"],"subject_transform":{"src":"a.*","dest":"b.$1.{{partition(3,1)}}"}"#;
    bench.create("S", config).await;
    bench
        .expect("a.x", &[], "1", r#"{"stream":"S","seq":1}"#)
        .await;
    let subject = bench.stored("S", 1).await.subject;
    assert!(subject.starts_with("b.x."), "{subject}");
}

#[tokio::test]
async fn counters_add_up_and_say_their_value() {
    let mut bench = Bench::new().await;
    bench
        .create("C", r#""subjects":["c.>"],"allow_msg_counter":true"#)
        .await;
    for (increment, sequence, value) in [
        ("+1", 1, "1"),
        ("-5", 2, "-4"),
        ("10000000000000000000000", 3, "9999999999999999999996"),
    ] {
        let line = format!("Nats-Incr: {increment}");
        let expected = format!(r#"{{"stream":"C","seq":{sequence},"val":"{value}"}}"#);
        bench.expect("c.a", &[&line], "", &expected).await;
    }
    bench
        .expect(
            "c.b",
            &["Nats-Incr: 3"],
            "",
            r#"{"stream":"C","seq":4,"val":"3"}"#,
        )
        .await;
    bench.expect_refused("c.a", &[], "", 10169).await;
    bench
        .expect_refused("c.a", &["Nats-Incr: x"], "", 10171)
        .await;
    bench
        .expect_refused("c.a", &["Nats-Incr: 1"], "x", 10170)
        .await;
    let stored = bench.stored("C", 2).await;
    assert_eq!(stored.headers, "NATS/1.0\r\nNats-Incr: -5\r\n\r\n");
    assert_eq!(stored.payload, r#"{"val":"-4"}"#);
}

#[tokio::test]
async fn a_batch_is_stored_as_a_whole() {
    let mut bench = Bench::new().await;
    bench
        .create("B", r#""subjects":["b.>"],"allow_atomic":true"#)
        .await;
    let member = |sequence: u32| {
        [
            "Nats-Batch-Id: A".to_owned(),
            format!("Nats-Batch-Sequence: {sequence}"),
        ]
    };
    for sequence in 1..=2 {
        let lines = member(sequence);
        bench.expect("b.a", &[&lines[0], &lines[1]], "x", "").await;
    }
    let info = bench.request("$JS.API.STREAM.INFO.B", &[], "").await;
    assert!(info.contains("\"messages\":0,"), "{info}");
    let lines = member(3);
    bench
        .expect(
            "b.a",
            &[&lines[0], &lines[1], "Nats-Batch-Commit: 1"],
            "x",
            r#"{"stream":"B","seq":3,"batch":"A","count":3}"#,
        )
        .await;
    let Stored { headers, .. } = bench.stored("B", 2).await;
    assert_eq!(
        headers,
        "NATS/1.0\r\nNats-Batch-Id: A\r\nNats-Batch-Sequence: 2\r\n\r\n"
    );
}

#[tokio::test]
async fn one_bad_member_refuses_the_batch() {
    let mut bench = Bench::new().await;
    bench
        .create("B", r#""subjects":["b.>"],"allow_atomic":true"#)
        .await;
    for (line, code) in [
        ("Nats-Expected-Last-Sequence: 7", 10071),
        ("Nats-Expected-Last-Msg-Id: x", 10177),
        ("Nats-Expected-Stream: X", 10060),
        ("Nats-TTL: x", 10165),
    ] {
        let first = ["Nats-Batch-Id: A", "Nats-Batch-Sequence: 1", line];
        bench.expect("b.a", &first, "x", "").await;
        let last = [
            "Nats-Batch-Id: A",
            "Nats-Batch-Sequence: 2",
            "Nats-Batch-Commit: 1",
        ];
        bench.expect_refused("b.a", &last, "x", code).await;
    }
    let id = [
        "Nats-Batch-Id: A",
        "Nats-Batch-Sequence: 1",
        "Nats-Batch-Commit: 1",
        "Nats-Msg-Id: m",
    ];
    bench
        .expect(
            "b.a",
            &id,
            "x",
            r#"{"stream":"B","seq":1,"batch":"A","count":1}"#,
        )
        .await;
    bench.expect_refused("b.a", &id, "x", 10201).await;
    bench
        .expect("b.a", &[], "x", r#"{"stream":"B","seq":2}"#)
        .await;
}

impl Bench {
    /// Waits until a stream holds a message of that sequence and gives its text.
    async fn eventually_stored(&self, stream: &str, sequence: u64) -> Stored {
        let client = self.server.client("A", &Identity::new("test", "A"));
        let handle = client.streams().stream(stream).expect("a stream");
        support::eventually(|| handle.state().last >= Sequence(sequence)).await;
        self.stored(stream, sequence).await
    }
}

#[tokio::test]
async fn a_message_is_sent_later_and_its_schedule_goes() {
    let mut bench = Bench::new().await;
    let config = r#""subjects":["s.>","t.>"],"allow_msg_schedules":true,"allow_msg_ttl":true"#;
    bench.create("S", config).await;
    let lines = [
        "Nats-Schedule: @at 2020-01-01T00:00:00Z",
        "Nats-Schedule-Target: t.x",
        "Nats-Schedule-TTL: 5m",
        "A: b",
    ];
    bench
        .expect("s.a", &lines, "hello", r#"{"stream":"S","seq":1}"#)
        .await;
    let made = bench.eventually_stored("S", 2).await;
    assert_eq!(made.subject, "t.x");
    assert_eq!(
        made.headers,
        "NATS/1.0\r\nA: b\r\nNats-Scheduler: s.a\r\nNats-Schedule-Next: purge\r\nNats-TTL: 5m\r\n\r\n"
    );
    assert_eq!(made.payload, "hello");
    let client = bench.server.client("A", &Identity::new("test", "A"));
    let stream = client.streams().stream("S").expect("a stream");
    support::eventually(|| stream.state().messages == 1).await;
}

#[tokio::test]
async fn schedules_survive_a_restart() {
    let mut bench = Bench::new().await;
    let config = r#""subjects":["s.>","t.>"],"allow_msg_schedules":true"#;
    let body = format!("{{\"name\":\"S\",{config}}}");
    bench.request("$JS.API.STREAM.CREATE.S", &[], &body).await;
    let lines = ["Nats-Schedule: @every 1s", "Nats-Schedule-Target: t.x"];
    bench
        .expect("s.a", &lines, "tick", r#"{"stream":"S","seq":1}"#)
        .await;
    let bench = bench.reopened().await;
    let made = bench.eventually_stored("S", 2).await;
    assert_eq!((&*made.subject, &*made.payload), ("t.x", "tick"));
    assert!(
        made.headers.contains("Nats-Schedule-Next: 2"),
        "{}",
        made.headers
    );
}

#[tokio::test]
async fn a_newer_message_of_the_subject_ends_its_schedule() {
    let mut bench = Bench::new().await;
    let config = r#""subjects":["s.>","t.>"],"allow_msg_schedules":true"#;
    bench.create("S", config).await;
    let daily = ["Nats-Schedule: @daily", "Nats-Schedule-Target: t.x"];
    bench.request("s.a", &daily, "1").await;
    bench.request("s.a", &daily, "2").await;
    let info = bench.request("$JS.API.STREAM.INFO.S", &[], "").await;
    assert!(info.contains("\"messages\":1,"), "{info}");
    let ended = ["Nats-Scheduler: s.a", "Nats-Schedule-Next: purge"];
    bench
        .expect("t.x", &ended, "", r#"{"stream":"S","seq":3}"#)
        .await;
    let client = bench.server.client("A", &Identity::new("test", "A"));
    let stream = client.streams().stream("S").expect("a stream");
    support::eventually(|| stream.state().messages == 1).await;
    bench
        .expect_refused("s.a", &["Nats-Schedule: x"], "", 10189)
        .await;
}

#[tokio::test]
async fn an_account_that_has_used_its_storage_up_is_refused() {
    let mut config = Config::default();
    config.jetstream.limits.memory_bytes_max = Some(1000);
    let directory = tempfile::tempdir().expect("a directory");
    let mut bench = Bench::with(directory, config).await;
    bench.create("S", r#""subjects":["a.>"]"#).await;
    let payload = "x".repeat(1000);
    bench
        .expect("a.b", &[], &payload, r#"{"stream":"S","seq":1}"#)
        .await;
    bench.expect_refused("a.b", &[], "x", 10002).await;
}

#[tokio::test]
async fn a_thousand_answers_reach_a_thousand_inboxes() {
    let mut bench = Bench::new().await;
    bench.create("S", r#""subjects":["a.>"]"#).await;
    let mut other = bench.other().await;
    other.send("SUB in.* 3\r\n").await;
    let batch: String = (1..=1000)
        .map(|number| format!("PUB a.b in.{number} 1\r\nx\r\n"))
        .collect();
    other.send(batch).await;
    for number in 1..=1000 {
        let body = format!(r#"{{"stream":"S","seq":{number}}}"#);
        let line = format!("MSG in.{number} 3 {}\r\n{body}\r\n", body.len());
        other.expect(&line).await;
    }
}
