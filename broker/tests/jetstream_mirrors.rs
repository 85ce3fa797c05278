//! Mirrors and sources over a real socket.

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use broker::{AllowAll, Config, Server, StreamsRoot};
use serde_json::{Value, json};
use support::Raw;

/// Nothing that the tests wait for takes longer.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server with streams in a directory of its own, and one client.
struct Bench {
    raw: Raw,
    server: Server,
    directory: tempfile::TempDir,
}

/// A stored message: sequence, subject, headers without their frame, payload.
type Stored = (u64, String, String, String);

fn stored(sequence: u64, subject: &str, headers: &str, payload: &str) -> Stored {
    let [subject, headers, payload] = [subject, headers, payload].map(str::to_owned);
    (sequence, subject, headers, payload)
}

impl Bench {
    async fn new() -> Self {
        Self::on(tempfile::tempdir().expect("a directory")).await
    }

    async fn on(directory: tempfile::TempDir) -> Self {
        let path = directory.path().to_owned();
        let root = StreamsRoot::new(move |account| path.join(account));
        let authenticator = Arc::new(AllowAll::new("A"));
        let mut config = Config::default();
        config.jetstream.domain = Some("here".to_owned());
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
            server,
            directory,
        }
    }

    /// Closes everything and opens it again, as after a restart.
    async fn reopened(self) -> Self {
        self.server.shutdown().await;
        Self::on(self.directory).await
    }

    /// The first line of the answer's payload; header lines for an answer that is none of JSON.
    async fn request(&mut self, subject: &str, lines: &[&str], payload: &str) -> String {
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
        let mut line = self.raw.line().await;
        while line == "PING" {
            self.raw.send("PONG\r\n").await;
            line = self.raw.line().await;
        }
        if line.starts_with("MSG ") {
            return self.raw.line().await;
        }
        assert!(line.starts_with("HMSG "), "{line}");
        let mut lines = Vec::new();
        loop {
            let line = self.raw.line().await;
            if line.is_empty() {
                break;
            }
            lines.push(line);
        }
        lines.push(self.raw.line().await);
        lines.join("\n")
    }

    async fn api(&mut self, call: &str, body: &Value) -> Value {
        let body = match body {
            Value::Null => String::new(),
            some => some.to_string(),
        };
        let answer = self.request(&format!("$JS.API.{call}"), &[], &body).await;
        serde_json::from_str(&answer).expect("JSON")
    }

    /// Makes or changes a stream.
    async fn set(&mut self, call: &str, name: &str, mut config: Value) -> Value {
        config["name"] = json!(name);
        self.api(&format!("STREAM.{call}.{name}"), &config).await
    }

    #[track_caller]
    fn check_ok(answer: &Value) {
        assert_eq!(answer["error"], Value::Null, "{answer}");
    }

    async fn create(&mut self, name: &str, config: Value) {
        let answer = self.set("CREATE", name, config).await;
        Self::check_ok(&answer);
    }

    async fn update(&mut self, name: &str, config: Value) {
        let answer = self.set("UPDATE", name, config).await;
        Self::check_ok(&answer);
    }

    async fn delete(&mut self, name: &str) {
        let answer = self
            .api(&format!("STREAM.DELETE.{name}"), &Value::Null)
            .await;
        Self::check_ok(&answer);
    }

    async fn purge(&mut self, name: &str) {
        let answer = self
            .api(&format!("STREAM.PURGE.{name}"), &Value::Null)
            .await;
        Self::check_ok(&answer);
    }

    async fn info(&mut self, name: &str) -> Value {
        self.api(&format!("STREAM.INFO.{name}"), &Value::Null).await
    }

    /// Publishes and returns the sequence.
    async fn publish(&mut self, subject: &str, lines: &[&str], payload: &str) -> u64 {
        let answer = self.request(subject, lines, payload).await;
        let ack: Value = serde_json::from_str(&answer).expect("JSON");
        ack["seq"]
            .as_u64()
            .filter(|seq| *seq > 0)
            .unwrap_or_else(|| panic!("{ack}"))
    }

    /// Waits until a member of the info is this.
    async fn wait(&mut self, name: &str, pointer: &str, expected: Value) {
        let since = Instant::now();
        loop {
            let info = self.info(name).await;
            if info.pointer(pointer) == Some(&expected) {
                return;
            }
            assert!(since.elapsed() < PATIENCE, "{name}{pointer}: {info}");
            tokio::task::yield_now().await;
        }
    }

    /// Waits until the last sequence is this.
    async fn wait_last(&mut self, name: &str, last: u64) {
        self.wait(name, "/state/last_seq", json!(last)).await;
    }

    /// Everything a stream holds.
    async fn messages(&mut self, name: &str) -> Vec<Stored> {
        let mut messages = Vec::new();
        let mut next = 1;
        loop {
            let body = json!({"seq": next, "next_by_subj": ">"});
            let answer = self.api(&format!("STREAM.MSG.GET.{name}"), &body).await;
            let message = &answer["message"];
            let Some(sequence) = message["seq"].as_u64() else {
                return messages;
            };
            let text = |member: &str| {
                let encoded = message[member].as_str().unwrap_or_default();
                let bytes = STANDARD.decode(encoded).expect("base64");
                String::from_utf8(bytes).expect("text")
            };
            let headers = text("hdrs").replace("NATS/1.0\r\n", "");
            let subject = message["subject"].as_str().expect("a subject").to_owned();
            messages.push((
                sequence,
                subject,
                headers.trim_end().to_owned(),
                text("data"),
            ));
            next = sequence + 1;
        }
    }

    /// What a stream holds, without headers.
    async fn texts(&mut self, name: &str) -> Vec<String> {
        let messages = self.messages(name).await;
        let text =
            |(sequence, subject, _, payload): Stored| format!("{sequence} {subject} {payload}");
        messages.into_iter().map(text).collect()
    }

    /// Times of the first and last message.
    async fn times(&mut self, name: &str) -> (Value, Value) {
        let info = self.info(name).await;
        (
            info["state"]["first_ts"].clone(),
            info["state"]["last_ts"].clone(),
        )
    }
}

#[tokio::test]
async fn a_mirror_has_the_sequences_and_times_of_its_origin() {
    let mut bench = Bench::new().await;
    bench.create("A", json!({"subjects": ["a.>"]})).await;
    for number in 1..=5 {
        bench
            .publish(
                &format!("a.{}", number % 2),
                &["K: v"],
                &format!("m{number}"),
            )
            .await;
    }
    let body = json!({"seq": 2});
    Bench::check_ok(&bench.api("STREAM.MSG.DELETE.A", &body).await);
    bench.create("M", json!({"mirror": {"name": "A"}})).await;
    bench.wait_last("M", 5).await;
    assert_eq!(bench.messages("M").await, bench.messages("A").await);
    assert_eq!(bench.times("M").await, bench.times("A").await);
    let info = bench.info("M").await;
    assert_eq!(info["state"]["num_deleted"], json!(1));
    assert_eq!(info["mirror"], json!({"name": "A", "lag": 0, "active": 0}));
    bench.publish("a.9", &[], "later").await;
    bench.wait_last("M", 6).await;
    bench.purge("A").await;
    bench.publish("a.9", &[], "after the purge").await;
    bench.wait_last("M", 7).await;
    assert_eq!(bench.messages("M").await.len(), 6);
}

#[tokio::test]
async fn a_mirror_waits_for_its_origin_and_goes_on_with_the_next_of_that_name() {
    let mut bench = Bench::new().await;
    bench.create("M", json!({"mirror": {"name": "A"}})).await;
    let missing = json!({"code": 404, "err_code": 10059, "description": "stream not found"});
    bench.wait("M", "/mirror/error", missing.clone()).await;
    assert_eq!(bench.info("M").await["mirror"]["active"], json!(-1));
    bench.create("A", json!({"subjects": ["a.>"]})).await;
    bench.publish("a.1", &[], "one").await;
    bench.publish("a.1", &[], "two").await;
    bench.wait_last("M", 2).await;
    bench.delete("A").await;
    bench.wait("M", "/mirror/error", missing).await;
    bench.create("A", json!({"subjects": ["a.>"]})).await;
    for text in ["anew one", "anew two", "anew three"] {
        bench.publish("a.1", &[], text).await;
    }
    bench.wait_last("M", 3).await;
    assert_eq!(
        bench.texts("M").await,
        ["1 a.1 one", "2 a.1 two", "3 a.1 anew three"]
    );
    assert_eq!(bench.info("M").await["mirror"]["error"], Value::Null);
}

#[tokio::test]
async fn a_mirror_begins_where_it_is_told_and_selects() {
    let mut bench = Bench::new().await;
    bench.create("A", json!({"subjects": ["a.>"]})).await;
    for number in 1..=6 {
        bench
            .publish(&format!("a.{}", number % 2), &[], &format!("m{number}"))
            .await;
    }
    let fourth = bench.api("STREAM.MSG.GET.A", &json!({"seq": 4})).await["message"]["time"].clone();
    for (name, mirror, expected) in [
        (
            "SEQ",
            json!({"opt_start_seq": 5}),
            vec!["5 a.1 m5", "6 a.0 m6"],
        ),
        (
            "TIME",
            json!({"opt_start_time": fourth}),
            vec!["4 a.0 m4", "5 a.1 m5", "6 a.0 m6"],
        ),
        (
            "FILTER",
            json!({"filter_subject": "a.1"}),
            vec!["1 a.1 m1", "3 a.1 m3", "5 a.1 m5"],
        ),
        (
            "MOVED",
            json!({"subject_transforms": [{"src": "a.0", "dest": "x.zero"}]}),
            vec!["2 x.zero m2", "4 x.zero m4", "6 x.zero m6"],
        ),
    ] {
        let mut mirror = mirror;
        mirror["name"] = json!("A");
        bench.create(name, json!({"mirror": mirror})).await;
        bench
            .wait(name, "/state/messages", json!(expected.len()))
            .await;
        assert_eq!(bench.texts(name).await, expected);
        assert_eq!(bench.info(name).await["mirror"]["lag"], json!(0));
    }
    bench
        .create(
            "LATER",
            json!({"mirror": {"name": "A", "opt_start_seq": 10}}),
        )
        .await;
    bench.wait_last("LATER", 9).await;
    assert_eq!(bench.info("LATER").await["state"]["first_seq"], json!(10));
}

#[tokio::test]
async fn publishers_do_not_reach_a_mirror_until_it_is_a_stream_of_its_own() {
    let mut bench = Bench::new().await;
    bench.create("A", json!({"subjects": ["a.>"]})).await;
    bench.create("M", json!({"mirror": {"name": "A"}})).await;
    bench.publish("a.1", &[], "one").await;
    bench.wait_last("M", 1).await;
    assert!(
        bench
            .request("M", &[], "x")
            .await
            .starts_with("NATS/1.0 503")
    );
    let other = bench
        .set("UPDATE", "M", json!({"mirror": {"name": "B"}}))
        .await;
    assert_eq!(other["error"]["err_code"], json!(10055));
    bench.delete("A").await;
    bench.update("M", json!({"subjects": ["a.>"]})).await;
    assert_eq!(bench.publish("a.2", &[], "two").await, 2);
    assert_eq!(bench.texts("M").await, ["1 a.1 one", "2 a.2 two"]);
    assert_eq!(bench.info("M").await["mirror"], Value::Null);
}

#[tokio::test]
async fn a_mirror_goes_on_after_a_restart() {
    let mut bench = Bench::new().await;
    bench.create("A", json!({"subjects": ["a.>"]})).await;
    bench
        .create("M", json!({"mirror": {"name": "A"}, "max_msgs": 2}))
        .await;
    for number in 1..=4 {
        bench.publish("a.1", &[], &format!("m{number}")).await;
    }
    bench.wait_last("M", 4).await;
    let mut bench = bench.reopened().await;
    bench.publish("a.1", &[], "m5").await;
    bench.wait_last("M", 5).await;
    assert_eq!(bench.texts("M").await, ["4 a.1 m4", "5 a.1 m5"]);
}

#[tokio::test]
async fn a_message_that_does_not_fit_waits_for_room() {
    let mut bench = Bench::new().await;
    bench.create("A", json!({"subjects": ["a.>"]})).await;
    for text in ["one", "two", "a longer text", "four"] {
        bench.publish("a.1", &[], text).await;
    }
    let full = json!({"mirror": {"name": "A"}, "max_msgs": 2, "discard": "new"});
    bench.create("M", full).await;
    bench
        .create("S", json!({"sources": [{"name": "A"}], "max_msg_size": 80}))
        .await;
    bench
        .create("T", json!({"mirror": {"name": "A"}, "max_msg_size": 5}))
        .await;
    bench
        .wait(
            "M",
            "/mirror/error/description",
            json!("maximum messages exceeded"),
        )
        .await;
    assert_eq!(bench.info("M").await["mirror"]["lag"], json!(2));
    Bench::check_ok(&bench.api("STREAM.MSG.DELETE.M", &json!({"seq": 1})).await);
    bench.wait_last("M", 3).await;
    bench.purge("M").await;
    bench.wait_last("M", 4).await;
    assert_eq!(bench.texts("M").await, ["4 a.1 four"]);
    bench
        .wait("T", "/mirror/error/err_code", json!(10054))
        .await;
    assert_eq!(bench.info("T").await["state"]["last_seq"], json!(2));
    bench
        .update("T", json!({"mirror": {"name": "A"}, "max_msg_size": 50}))
        .await;
    bench.wait_last("T", 4).await;
    assert_eq!(bench.messages("T").await, bench.messages("A").await);
}

#[tokio::test]
async fn sources_say_where_a_message_comes_from() {
    let mut bench = Bench::new().await;
    bench.create("A", json!({"subjects": ["a.>"]})).await;
    bench.create("B", json!({"subjects": ["b.>"]})).await;
    bench
        .publish("a.1", &["Nats-Expected-Last-Sequence: 0", "K: v"], "one")
        .await;
    bench
        .create(
            "S",
            json!({"subjects": ["own"], "sources": [
                {"name": "A", "filter_subject": "a.*"},
                {"name": "B", "subject_transforms": [{"src": "b.*", "dest": "x.$1"}, {"src": "b.c.d", "dest": ""}]},
            ]}),
        )
        .await;
    bench.wait_last("S", 1).await;
    bench.publish("b.1", &[], "two").await;
    bench.wait_last("S", 2).await;
    bench.publish("own", &[], "three").await;
    bench.publish("b.c.d", &[], "four").await;
    bench.publish("b.c.e", &[], "not copied").await;
    bench.wait_last("S", 4).await;
    let messages: Vec<Stored> = bench.messages("S").await;
    let life = |message: &Stored| message.2.rsplit_once(' ').expect("an id").1.to_owned();
    let (a, b) = (life(&messages[0]), life(&messages[1]));
    assert_eq!(a.len(), 8);
    assert_eq!(
        messages,
        [
            stored(
                1,
                "a.1",
                &format!("K: v\r\nNats-Stream-Source: A 1 a.* > a.1 {a}"),
                "one"
            ),
            stored(
                2,
                "x.1",
                &format!("Nats-Stream-Source: B 1 b.*\u{c}b.c.d x.$1\u{c}> b.1 {b}"),
                "two"
            ),
            stored(3, "own", "", "three"),
            stored(
                4,
                "b.c.d",
                &format!("Nats-Stream-Source: B 2 b.*\u{c}b.c.d x.$1\u{c}> b.c.d {b}"),
                "four"
            ),
        ]
    );
    let info = bench.info("S").await;
    assert_eq!(
        info["sources"][0],
        json!({"name": "A", "lag": 0, "seq": 1, "active": 0, "filter_subject": "a.*"})
    );
}

#[tokio::test]
async fn a_source_goes_on_exactly_where_it_was() {
    let mut bench = Bench::new().await;
    bench.create("A", json!({"subjects": ["a.>"]})).await;
    bench.create("B", json!({"subjects": ["b.>"]})).await;
    let sources = json!({"sources": [{"name": "A"}, {"name": "B"}], "max_msgs": 1});
    bench.create("S", sources).await;
    for _ in 0..3 {
        bench.publish("a.1", &[], "a").await;
    }
    bench.wait_last("S", 3).await;
    bench.publish("b.1", &[], "b").await;
    bench.wait_last("S", 4).await;
    // Nothing of A is left in S: no header tells how far it had come.
    bench.purge("S").await;
    let mut bench = bench.reopened().await;
    bench.publish("a.1", &[], "next").await;
    bench.wait_last("S", 5).await;
    assert_eq!(bench.texts("S").await, ["5 a.1 next"]);
    assert_eq!(bench.info("S").await["sources"][0]["seq"], json!(4));
}

#[tokio::test]
async fn an_origin_that_is_made_anew_is_copied_from_its_beginning() {
    let mut bench = Bench::new().await;
    bench.create("A", json!({"subjects": ["a.>"]})).await;
    bench.create("S", json!({"sources": [{"name": "A"}]})).await;
    bench.publish("a.1", &[], "one").await;
    bench.publish("a.1", &[], "two").await;
    bench.wait_last("S", 2).await;
    bench.delete("A").await;
    bench.create("A", json!({"subjects": ["a.>"]})).await;
    bench.publish("a.1", &[], "anew").await;
    bench.wait_last("S", 3).await;
    assert_eq!(
        bench.texts("S").await,
        ["1 a.1 one", "2 a.1 two", "3 a.1 anew"]
    );
}

#[tokio::test]
async fn sources_come_and_go() {
    let mut bench = Bench::new().await;
    bench.create("A", json!({"subjects": ["a.>"]})).await;
    bench.create("B", json!({"subjects": ["b.>"]})).await;
    bench.create("S", json!({"subjects": ["own"]})).await;
    bench.publish("a.1", &[], "a1").await;
    let with_a = json!({"subjects": ["own"], "sources": [{"name": "A"}]});
    bench.update("S", with_a.clone()).await;
    bench.wait_last("S", 1).await;
    bench
        .update(
            "S",
            json!({"subjects": ["own"], "sources": [{"name": "B"}]}),
        )
        .await;
    bench.publish("a.1", &[], "a2").await;
    bench.publish("b.1", &[], "b1").await;
    bench.wait_last("S", 2).await;
    bench.update("S", with_a).await;
    bench.wait_last("S", 3).await;
    assert_eq!(bench.texts("S").await, ["1 a.1 a1", "2 b.1 b1", "3 a.1 a2"]);
}

#[tokio::test]
async fn rollups_and_life_times_count_where_they_are_allowed() {
    let mut bench = Bench::new().await;
    let origin = json!({"subjects": ["a.>"], "allow_rollup_hdrs": true, "allow_msg_ttl": true});
    bench.create("A", origin).await;
    for (name, config) in [
        ("M", json!({"mirror": {"name": "A"}})),
        (
            "MR",
            json!({"mirror": {"name": "A"}, "allow_rollup_hdrs": true, "allow_msg_ttl": true}),
        ),
        ("S", json!({"sources": [{"name": "A"}]})),
        (
            "SR",
            json!({"sources": [{"name": "A"}], "allow_rollup_hdrs": true}),
        ),
    ] {
        bench.create(name, config).await;
    }
    bench.publish("a.1", &[], "one").await;
    bench.publish("a.2", &[], "two").await;
    bench
        .publish("a.1", &["Nats-Rollup: sub", "Nats-TTL: 1h"], "three")
        .await;
    for (name, left) in [("M", 3), ("MR", 2), ("S", 3), ("SR", 2)] {
        bench.wait_last(name, 3).await;
        assert_eq!(bench.messages(name).await.len(), left, "{name}");
    }
    assert_eq!(bench.messages("MR").await, bench.messages("A").await);
}

#[tokio::test]
async fn sources_may_form_chains_but_no_circles() {
    let mut bench = Bench::new().await;
    bench.create("A", json!({"subjects": ["a.>"]})).await;
    bench
        .create(
            "B",
            json!({"subjects": ["b.>"], "sources": [{"name": "A"}]}),
        )
        .await;
    bench.create("C", json!({"sources": [{"name": "B"}]})).await;
    bench.publish("a.1", &[], "x").await;
    bench.wait_last("C", 1).await;
    let headers = bench.messages("C").await.remove(0).2;
    assert!(
        headers.starts_with("Nats-Stream-Source: B 1 > > a.1 "),
        "{headers}"
    );
    let circle = json!({"subjects": ["a.>"], "sources": [{"name": "C"}]});
    let refused = bench.set("UPDATE", "A", circle).await;
    assert_eq!(refused["error"]["description"], json!("detected cycle"));
    bench.create("M", json!({"mirror": {"name": "C"}})).await;
    let through_mirror =
        json!({"subjects": ["a.>"], "sources": [{"name": "M", "filter_subject": "a.1"}]});
    let refused = bench.set("UPDATE", "A", through_mirror).await;
    assert_eq!(refused["error"]["description"], json!("detected cycle"));
}

#[tokio::test]
async fn only_its_own_domain_can_be_reached() {
    let mut bench = Bench::new().await;
    bench.create("A", json!({"subjects": ["a.>"]})).await;
    bench.publish("a.1", &[], "x").await;
    let external = |api: &str| json!({"name": "A", "external": {"api": api, "deliver": ""}});
    bench
        .create("NEAR", json!({"mirror": external("$JS.here.API")}))
        .await;
    bench
        .create("FAR", json!({"mirror": external("$JS.hub.API")}))
        .await;
    bench.wait_last("NEAR", 1).await;
    let info = bench.info("FAR").await;
    assert_eq!(
        info["mirror"],
        json!({"name": "A", "external": {"api": "$JS.hub.API", "deliver": ""}, "lag": 0, "active": -1})
    );
}

#[tokio::test]
async fn a_bucket_s_mirror_answers_for_it() {
    let mut bench = Bench::new().await;
    let bucket = json!({"subjects": ["$KV.B.>"], "allow_direct": true, "max_msgs_per_subject": 1,
        "allow_rollup_hdrs": true, "deny_delete": true, "discard": "new"});
    bench.create("KV_B", bucket).await;
    let mirror = json!({"mirror": {"name": "KV_B"}, "allow_direct": true, "mirror_direct": true,
        "max_msgs_per_subject": 1, "allow_rollup_hdrs": true, "deny_delete": true, "discard": "new"});
    bench.create("KV_M", mirror).await;
    bench.publish("$KV.B.k", &[], "v1").await;
    bench.publish("$KV.B.k", &[], "v2").await;
    bench.publish("$KV.B.l", &[], "w").await;
    bench.wait_last("KV_M", 3).await;
    assert_eq!(bench.messages("KV_M").await, bench.messages("KV_B").await);
    let got = bench
        .request("$JS.API.DIRECT.GET.KV_M.$KV.B.k", &[], "")
        .await;
    assert!(
        got.contains("Nats-Stream: KV_M\nNats-Subject: $KV.B.k\n"),
        "{got}"
    );
    assert!(got.ends_with("\nv2"), "{got}");
    bench.delete("KV_B").await;
    let got = bench
        .request("$JS.API.DIRECT.GET.KV_B.$KV.B.l", &[], "")
        .await;
    assert!(
        got.contains("Nats-Stream: KV_M\n") && got.ends_with("\nw"),
        "{got}"
    );
}

#[tokio::test]
async fn counters_of_several_streams_add_up() {
    let mut bench = Bench::new().await;
    for (name, subject) in [("C1", "c1.>"), ("C2", "c2.>")] {
        let config = json!({"subjects": [subject], "allow_msg_counter": true});
        bench.create(name, config).await;
    }
    bench
        .create(
            "SUM",
            json!({"subjects": ["sum.>"], "allow_msg_counter": true, "sources": [
                {"name": "C1", "subject_transforms": [{"src": "c1.>", "dest": "sum.>"}]},
                {"name": "C2", "subject_transforms": [{"src": "c2.>", "dest": "sum.>"}]},
            ]}),
        )
        .await;
    bench
        .create("PLAIN", json!({"sources": [{"name": "C1"}]}))
        .await;
    for (subject, increment, last) in [
        ("c1.x", "+5", 1),
        ("c2.x", "+7", 2),
        ("c1.x", "-2", 3),
        ("sum.x", "+100", 4),
        ("c2.x", "+1", 5),
    ] {
        let line = format!("Nats-Incr: {increment}");
        bench.publish(subject, &[&line], "").await;
        bench.wait_last("SUM", last).await;
    }
    let messages = bench.messages("SUM").await;
    let values: Vec<&str> = messages.iter().map(|message| &*message.3).collect();
    let expected = ["5", "12", "10", "110", "111"].map(|sum| format!("{{\"val\":\"{sum}\"}}"));
    assert_eq!(values, expected);
    let last = &messages[4].2;
    assert!(
        last.starts_with("Nats-Incr: 1\r\nNats-Stream-Source: C2 2 c2.> sum.> c2.x "),
        "{last}"
    );
    assert!(
        last.ends_with(r#"Nats-Counter-Sources: {"C1":{"c1.x":"3"},"C2":{"c2.x":"8"}}"#),
        "{last}"
    );
    bench.wait_last("PLAIN", 2).await;
    let plain = bench.messages("PLAIN").await;
    assert_eq!(plain[1].3, r#"{"val":"3"}"#);
    assert!(
        plain[1]
            .2
            .starts_with("Nats-Incr: -2\r\nNats-Stream-Source: ")
    );
}

#[tokio::test]
async fn what_an_origin_brings_is_republished_and_moved() {
    let mut bench = Bench::new().await;
    bench.create("A", json!({"subjects": ["a.>"]})).await;
    let config = json!({"mirror": {"name": "A"}, "republish": {"src": ">", "dest": "re.>"},
        "subject_transform": {"src": "a.*", "dest": "q.$1"}});
    bench.create("M", config).await;
    bench.raw.send("SUB re.> 2\r\nSUB q.> 3\r\nPING\r\n").await;
    bench.raw.expect("PONG\r\n").await;
    bench.publish("a.1", &[], "x").await;
    let line = bench.raw.line().await;
    assert!(line.starts_with("HMSG re.q.1 2 "), "{line}");
    let mut headers = Vec::new();
    loop {
        match bench.raw.line().await {
            line if line.is_empty() => break,
            line => headers.push(line),
        }
    }
    assert!(
        headers.contains(&"Nats-Stream: M".to_owned()),
        "{headers:?}"
    );
    assert!(
        headers.contains(&"Nats-Subject: q.1".to_owned()),
        "{headers:?}"
    );
    assert_eq!(bench.raw.line().await, "x");
    bench.wait_last("M", 1).await;
    assert_eq!(bench.texts("M").await, ["1 q.1 x"]);
}

#[tokio::test]
async fn a_work_queue_hands_its_messages_to_the_stream_that_copies_it() {
    let mut bench = Bench::new().await;
    let queue = json!({"subjects": ["q.>"], "retention": "workqueue"});
    bench.create("Q", queue).await;
    for number in 0..3 {
        bench.publish(&format!("q.{number}"), &[], "early").await;
    }
    bench
        .create(
            "S",
            json!({"sources": [{"name": "Q", "filter_subject": "q.1"}]}),
        )
        .await;
    bench.wait("Q", "/state/messages", json!(2)).await;
    assert_eq!(bench.texts("S").await, ["1 q.1 early"]);
    assert_eq!(bench.info("Q").await["state"]["consumer_count"], json!(1));
    let mut bench = bench.reopened().await;
    bench.publish("q.1", &[], "late").await;
    bench.wait("Q", "/state/messages", json!(2)).await;
    assert_eq!(bench.texts("S").await, ["1 q.1 early", "2 q.1 late"]);
    bench.delete("S").await;
    assert_eq!(bench.info("Q").await["state"]["consumer_count"], json!(0));
    bench.publish("q.1", &[], "kept").await;
    assert_eq!(bench.info("Q").await["state"]["messages"], json!(3));
}

#[tokio::test]
async fn an_interest_stream_keeps_what_all_its_copies_want() {
    let mut bench = Bench::new().await;
    let interest = json!({"subjects": ["i.>"], "retention": "interest"});
    bench.create("I", interest).await;
    bench
        .create(
            "S",
            json!({"sources": [{"name": "I"}], "max_msgs": 2, "discard": "new"}),
        )
        .await;
    bench.create("M", json!({"mirror": {"name": "I"}})).await;
    bench.wait("I", "/state/consumer_count", json!(2)).await;
    for number in 1..=4 {
        bench.publish("i.x", &[], &format!("m{number}")).await;
    }
    bench.wait_last("M", 4).await;
    bench.wait("S", "/sources/0/lag", json!(2)).await;
    // S is full: the origin keeps what it has not taken.
    bench.wait("I", "/state/messages", json!(2)).await;
    bench.purge("S").await;
    bench.wait("I", "/state/messages", json!(0)).await;
    bench.wait_last("S", 4).await;
    assert_eq!(bench.texts("M").await.len(), 4);
}
