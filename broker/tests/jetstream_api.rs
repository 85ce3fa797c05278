//! The JetStream API over a real socket: what a stock client asks, and what it is told.

mod support;

use std::sync::Arc;

use broker::{AllowAll, Config, Identity, JetStreamConfig, JetStreamLimits, Server, StreamsRoot};
use serde_json::{Value, json};
use support::Raw;

/// A server with JetStream in a directory of its own, and one client.
struct Bench {
    raw: Raw,
    server: Server,
    directory: tempfile::TempDir,
}

impl Bench {
    async fn new() -> Self {
        Self::with(JetStreamConfig::default()).await
    }

    async fn with(jetstream: JetStreamConfig) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        Self::on(directory, jetstream).await
    }

    async fn on(directory: tempfile::TempDir, jetstream: JetStreamConfig) -> Self {
        let path = directory.path().to_owned();
        let root = StreamsRoot::new(move |account| path.join(account));
        let config = Config {
            jetstream,
            ..Config::default()
        };
        let server = Server::new(config, Arc::new(AllowAll::new("A")), Some(root));
        server.open_streams("A").await.expect("streams open");
        let addr = server
            .listen_tcp(([127, 0, 0, 1], 0).into())
            .await
            .expect("a free port");
        let mut raw = Raw::quiet(addr).await;
        raw.send("SUB r 1\r\n").await;
        Self {
            raw,
            server,
            directory,
        }
    }

    /// Closes everything and opens it again, as after a restart.
    async fn reopened(self) -> Self {
        self.server.shutdown().await;
        Self::on(self.directory, JetStreamConfig::default()).await
    }

    async fn send(&mut self, subject: &str, headers: &str, payload: &[u8]) {
        let (len, total) = (headers.len(), headers.len() + payload.len());
        let head = match len {
            0 => format!("PUB {subject} r {total}\r\n"),
            len => format!("HPUB {subject} r {len} {total}\r\n{headers}"),
        };
        self.raw
            .send([head.as_bytes(), payload, b"\r\n"].concat())
            .await;
    }

    /// The next message: its header block and its payload.
    async fn answer(&mut self) -> (String, Vec<u8>) {
        let line = self.raw.line().await;
        let sizes: Vec<usize> = line
            .split(' ')
            .skip(3)
            .filter_map(|size| size.parse().ok())
            .collect();
        let (headers, total) = match (line.starts_with("HMSG "), &sizes[..]) {
            (true, [headers, total]) => (*headers, *total),
            (false, [total]) => (0, *total),
            _ => panic!("{line}"),
        };
        let mut bytes = self.raw.bytes(total + 2).await;
        bytes.truncate(total);
        let payload = bytes.split_off(headers);
        (String::from_utf8(bytes).expect("text"), payload)
    }

    /// The answer to a call of the API, in JSON.
    async fn ask(&mut self, call: &str, body: &Value) -> Value {
        let body = match body {
            Value::Null => String::new(),
            body => body.to_string(),
        };
        self.ask_text(call, &body).await
    }

    async fn ask_text(&mut self, call: &str, body: &str) -> Value {
        self.send(&format!("$JS.API.{call}"), "", body.as_bytes())
            .await;
        let (_, payload) = self.answer().await;
        serde_json::from_slice(&payload).expect("JSON")
    }

    async fn create(&mut self, config: Value) -> Value {
        let name = config["name"].as_str().expect("a name").to_owned();
        self.ask(&format!("STREAM.CREATE.{name}"), &config).await
    }

    /// Stores a message and returns its sequence.
    async fn store(&mut self, subject: &str, headers: &str, payload: &str) -> u64 {
        self.send(subject, headers, payload.as_bytes()).await;
        let (_, ack) = self.answer().await;
        let ack: Value = serde_json::from_slice(&ack).expect("JSON");
        ack["seq"].as_u64().expect("a sequence")
    }

    /// The status and the headers of the answer to a direct get, and its payload.
    async fn direct(&mut self, call: &str, body: &str) -> (String, Vec<u8>) {
        self.send(&format!("$JS.API.DIRECT.GET.{call}"), "", body.as_bytes())
            .await;
        self.answer().await
    }

    /// There is no such call: nobody answers, and nobody says so.
    async fn check_silent(&mut self, subject: &str) {
        self.send(subject, "", b"").await;
        self.raw.expect_quiet().await;
        // Whoever was going to answer would have done so before this answer.
        self.ask("INFO", &Value::Null).await;
    }
}

#[track_caller]
fn check_error(answer: &Value, code: u16, err_code: u16, text: &str) {
    let expected = json!({"code": code, "err_code": err_code, "description": text});
    assert_eq!(answer["error"], expected, "{answer}");
}

#[tokio::test]
async fn item_70_the_same_stream_may_be_made_twice() {
    let mut bench = Bench::new().await;
    let made = bench
        .create(json!({"name": "S", "subjects": ["s.*"]}))
        .await;
    assert_eq!(
        made["type"],
        "io.nats.jetstream.api.v1.stream_create_response"
    );
    assert_eq!(made["did_create"], true);
    assert_eq!(made["state"]["first_ts"], "0001-01-01T00:00:00Z");
    let again = bench
        .create(json!({"name": "S", "subjects": ["s.*"], "max_msgs": -1}))
        .await;
    assert_eq!(again["created"], made["created"]);
    let other = bench
        .create(json!({"name": "S", "subjects": ["s.*"], "max_msgs": 5}))
        .await;
    check_error(
        &other,
        400,
        10058,
        "stream name already in use with a different configuration",
    );
}

#[tokio::test]
async fn item_72_unknown_members_are_refused() {
    let mut bench = Bench::new().await;
    let answer = bench.create(json!({"name": "S", "bogus": 1})).await;
    check_error(
        &answer,
        400,
        10025,
        r#"invalid JSON: json: unknown field "bogus""#,
    );
    let lenient = JetStreamConfig {
        strict: false,
        ..JetStreamConfig::default()
    };
    let mut bench = Bench::with(lenient).await;
    let answer = bench.create(json!({"name": "S", "bogus": 1})).await;
    assert_eq!(answer["did_create"], true);
}

#[tokio::test]
async fn item_73_what_is_no_call_is_not_answered() {
    let mut bench = Bench::new().await;
    for subject in [
        "$JS.API.BOGUS",
        "$JS.API.STREAM.INFO",
        "$JS.API.STREAM.INFO.a.b",
        "$JS.API.ACCOUNT.PURGE.A",
    ] {
        bench.check_silent(subject).await;
    }
}

#[tokio::test]
async fn item_74_lists_end_where_they_end() {
    let mut bench = Bench::new().await;
    let none = bench.ask("STREAM.NAMES", &Value::Null).await;
    assert_eq!(
        (&none["streams"], &none["total"]),
        (&Value::Null, &json!(0))
    );
    for name in ["B", "A", "C"] {
        bench
            .create(json!({"name": name, "subjects": [format!("{name}.*")]}))
            .await;
    }
    let all = bench.ask_text("STREAM.NAMES", "garbage").await;
    assert_eq!(all["streams"], json!(["A", "B", "C"]));
    let some = bench.ask("STREAM.NAMES", &json!({"subject": "B.x"})).await;
    assert_eq!(some["streams"], json!(["B"]));
    let beyond = bench.ask("STREAM.LIST", &json!({"offset": 9})).await;
    assert_eq!(beyond["streams"], json!([]));
    assert_eq!(
        (&beyond["offset"], &beyond["limit"]),
        (&json!(3), &json!(256))
    );
}

#[tokio::test]
async fn item_75_subjects_are_listed_when_asked_for() {
    let mut bench = Bench::new().await;
    bench
        .create(json!({"name": "S", "subjects": ["s.*"]}))
        .await;
    for subject in ["s.a", "s.b", "s.a"] {
        bench.store(subject, "", "x").await;
    }
    let plain = bench.ask("STREAM.INFO.S", &Value::Null).await;
    assert_eq!(plain["state"]["num_subjects"], 2);
    assert_eq!(plain["state"].get("subjects"), None);
    assert_eq!(plain["cluster"]["leader"], "natterjack");
    let filtered = bench
        .ask("STREAM.INFO.S", &json!({"subjects_filter": ">"}))
        .await;
    assert_eq!(filtered["state"]["subjects"], json!({"s.a": 2, "s.b": 1}));
    assert_eq!(
        (&filtered["total"], &filtered["limit"]),
        (&json!(2), &json!(100_000))
    );
    let second = json!({"subjects_filter": ">", "offset": 1});
    let second = bench.ask("STREAM.INFO.S", &second).await;
    assert_eq!(second["state"]["subjects"], json!({"s.b": 1}));
}

#[tokio::test]
async fn item_76_a_message_is_deleted_once() {
    let mut bench = Bench::new().await;
    bench.create(json!({"name": "S", "subjects": ["s"]})).await;
    for _ in 0..4 {
        bench.store("s", "", "x").await;
    }
    let first = json!({"seq": 1});
    let deleted = bench.ask("STREAM.MSG.DELETE.S", &first).await;
    assert_eq!(deleted["success"], true);
    let again = bench.ask("STREAM.MSG.DELETE.S", &first).await;
    check_error(&again, 500, 10057, "no message found");
    let gone = bench.ask("STREAM.MSG.GET.S", &first).await;
    check_error(&gone, 404, 10037, "no message found");
    bench.ask("STREAM.MSG.DELETE.S", &json!({"seq": 3})).await;
    let gap = bench.ask("STREAM.MSG.DELETE.S", &json!({"seq": 3})).await;
    check_error(&gap, 400, 10043, "sequence 3 not found");
    let info = bench
        .ask("STREAM.INFO.S", &json!({"deleted_details": true}))
        .await;
    assert_eq!(info["state"]["deleted"], json!([3]));
    assert_eq!(info["state"]["first_seq"], 2);
}

#[tokio::test]
async fn items_61_and_77_purging_keeps_the_sequence() {
    let mut bench = Bench::new().await;
    bench
        .create(json!({"name": "S", "subjects": ["s.*"]}))
        .await;
    for subject in ["s.a", "s.b", "s.a", "s.b"] {
        bench.store(subject, "", "x").await;
    }
    let purged = bench.ask("STREAM.PURGE.S", &json!({"filter": "s.b"})).await;
    assert_eq!(purged["purged"], 2);
    let info = bench.ask("STREAM.INFO.S", &Value::Null).await;
    assert_eq!(info["state"]["first_seq"], 1);
    let both = bench
        .ask("STREAM.PURGE.S", &json!({"seq": 2, "keep": 1}))
        .await;
    check_error(&both, 400, 10003, "bad request");
    assert_eq!(both["purged"], 0);
    bench.ask("STREAM.PURGE.S", &Value::Null).await;
    let info = bench.ask("STREAM.INFO.S", &Value::Null).await;
    assert_eq!(
        (&info["state"]["first_seq"], &info["state"]["last_seq"]),
        (&json!(5), &json!(4))
    );
}

#[tokio::test]
async fn item_78_a_sealed_stream_stays_as_it_is() {
    let mut bench = Bench::new().await;
    bench
        .create(json!({"name": "S", "subjects": ["s"], "allow_rollup_hdrs": true}))
        .await;
    bench.store("s", "", "x").await;
    let seal = json!({"name": "S", "subjects": ["s"], "sealed": true, "allow_rollup_hdrs": true});
    let sealed = bench.ask("STREAM.UPDATE.S", &seal).await;
    let config = &sealed["config"];
    assert_eq!(
        (
            &config["deny_purge"],
            &config["discard"],
            &config["allow_rollup_hdrs"]
        ),
        (&json!(true), &json!("new"), &json!(false))
    );
    let text = "invalid operation on sealed stream";
    for call in ["STREAM.PURGE.S", "STREAM.MSG.DELETE.S"] {
        check_error(&bench.ask(call, &json!({"seq": 1})).await, 400, 10109, text);
    }
}

#[tokio::test]
async fn items_129_and_130_metadata_and_bytes_are_nats_server_s() {
    let mut bench = Bench::new().await;
    let made = bench
        .create(
            json!({"name": "S", "subjects": ["s"], "metadata": {"k": "v", "_nats.level": "99"}}),
        )
        .await;
    assert_eq!(made["config"]["metadata"]["_nats.req.level"], "0");
    assert_ne!(made["config"]["metadata"]["_nats.level"], "99");
    let again = bench.create(made["config"].clone()).await;
    assert_eq!(again["did_create"], true);
    let other = bench
        .create(json!({"name": "S", "subjects": ["s"], "metadata": {"k": "w"}}))
        .await;
    assert_eq!(other["error"]["err_code"], 10058);
    bench.store("s", "", "hello").await;
    bench.store("s", "NATS/1.0\r\nA: b\r\n\r\n", "hello").await;
    let info = bench.ask("STREAM.INFO.S", &Value::Null).await;
    assert_eq!(info["state"]["bytes"], (30 + 1 + 5) + (34 + 1 + 18 + 5));
}

#[tokio::test]
async fn lowered_limits_apply_at_once_and_new_subjects_are_captured() {
    let mut bench = Bench::new().await;
    bench
        .create(json!({"name": "S", "subjects": ["s.*"]}))
        .await;
    for _ in 0..5 {
        bench.store("s.a", "", "x").await;
    }
    let update = json!({"name": "S", "subjects": ["t.*"], "max_msgs": 2});
    let updated = bench.ask("STREAM.UPDATE.S", &update).await;
    assert_eq!(updated["state"]["messages"], 2);
    assert_eq!(bench.store("t.a", "", "x").await, 6);
    bench.send("s.a", "", b"x").await;
    let (headers, _) = bench.answer().await;
    assert!(headers.starts_with("NATS/1.0 503"), "{headers}");
}

#[tokio::test]
async fn what_nobody_waits_for_goes_when_retention_becomes_interest() {
    let mut bench = Bench::new().await;
    bench
        .create(json!({"name": "S", "subjects": ["s.*"]}))
        .await;
    for subject in ["s.a", "s.b", "s.a"] {
        bench.store(subject, "", "x").await;
    }
    let consumer = json!({"stream_name": "S",
        "config": {"durable_name": "C", "ack_policy": "explicit", "filter_subject": "s.b"}});
    bench.ask("CONSUMER.DURABLE.CREATE.S.C", &consumer).await;
    let update = json!({"name": "S", "subjects": ["s.*"], "retention": "interest"});
    let updated = bench.ask("STREAM.UPDATE.S", &update).await;
    assert_eq!(updated["state"]["messages"], 1);
    assert_eq!(updated["state"]["first_seq"], 2);
}

#[tokio::test]
async fn item_62_an_interest_stream_keeps_what_somebody_wants() {
    let mut bench = Bench::new().await;
    bench
        .create(json!({"name": "S", "subjects": ["s.*"], "retention": "interest"}))
        .await;
    assert_eq!(bench.store("s.a", "", "x").await, 1);
    let info = bench.ask("STREAM.INFO.S", &Value::Null).await;
    assert_eq!(info["state"]["messages"], 0);
    assert_eq!(info["state"]["last_seq"], 1);
    let consumer = json!({"stream_name": "S",
        "config": {"durable_name": "C", "ack_policy": "explicit", "filter_subject": "s.b"}});
    bench.ask("CONSUMER.DURABLE.CREATE.S.C", &consumer).await;
    assert_eq!(bench.store("s.a", "", "x").await, 2);
    assert_eq!(bench.store("s.b", "", "x").await, 3);
    let info = bench.ask("STREAM.INFO.S", &Value::Null).await;
    assert_eq!(info["state"]["messages"], 1);
    assert_eq!(info["state"]["first_seq"], 3);
}

#[tokio::test]
async fn changed_caps_must_fit_the_consumers_that_are_there() {
    let mut bench = Bench::new().await;
    bench.create(json!({"name": "S", "subjects": ["s"]})).await;
    let consumer = json!({"stream_name": "S",
        "config": {"durable_name": "C", "ack_policy": "explicit", "max_ack_pending": 50}});
    bench.ask("CONSUMER.DURABLE.CREATE.S.C", &consumer).await;
    let update =
        json!({"name": "S", "subjects": ["s"], "consumer_limits": {"max_ack_pending": 10}});
    let refused = bench.ask("STREAM.UPDATE.S", &update).await;
    check_error(
        &refused,
        500,
        10069,
        "change to limits violates consumers: C",
    );
}

#[tokio::test]
async fn names_never_leave_the_directory() {
    let mut bench = Bench::new().await;
    let answer = bench.create(json!({"name": "a/b"})).await;
    check_error(
        &answer,
        400,
        10128,
        "Stream name can not contain path separators",
    );
    for name in ["é", "%2e%2e", "CON", "-"] {
        let made = bench.create(json!({"name": name})).await;
        assert_eq!(made["did_create"], true, "{made}");
    }
    let account = bench.directory.path().join("A");
    let mut names = std::fs::read_dir(bench.directory.path()).expect("readable");
    assert_eq!(names.next().expect("one").expect("entry").path(), account);
    assert!(names.next().is_none());
}

#[tokio::test]
async fn limits_of_the_account_are_kept_and_told() {
    let limits = JetStreamLimits {
        streams_max: Some(2),
        storage_bytes_max: Some(1000),
        storage_stream_bytes_max: Some(800),
        ..JetStreamLimits::default()
    };
    let mut bench = Bench::with(JetStreamConfig {
        limits,
        ..JetStreamConfig::default()
    })
    .await;
    let large = bench.create(json!({"name": "L", "max_bytes": 900})).await;
    check_error(
        &large,
        400,
        10122,
        "stream max bytes exceeds account limit max stream bytes",
    );
    bench.create(json!({"name": "S", "max_bytes": 600})).await;
    let second = bench.create(json!({"name": "T", "max_bytes": 600})).await;
    check_error(
        &second,
        500,
        10047,
        "insufficient storage resources available",
    );
    bench.create(json!({"name": "T", "max_bytes": 100})).await;
    let third = bench
        .create(json!({"name": "U", "storage": "memory"}))
        .await;
    check_error(&third, 400, 10027, "maximum number of streams reached");
    let info = bench.ask("INFO", &Value::Null).await;
    assert_eq!(
        (&info["streams"], &info["reserved_storage"]),
        (&json!(2), &json!(700))
    );
    assert_eq!(info["limits"]["max_streams"], 2);
    assert_eq!(info["limits"]["max_consumers"], -1);
}

#[tokio::test]
async fn a_required_level_that_is_not_there_is_refused() {
    let mut bench = Bench::new().await;
    let headers = "NATS/1.0\r\nNats-Required-Api-Level: 99\r\n\r\n";
    bench.send("$JS.API.INFO", headers, b"").await;
    let (_, payload) = bench.answer().await;
    let answer: Value = serde_json::from_slice(&payload).expect("JSON");
    check_error(&answer, 412, 10185, "JetStream minimum api level required");
    bench
        .create(json!({"name": "S", "allow_direct": true}))
        .await;
    bench
        .send("$JS.API.DIRECT.GET.S", headers, br#"{"seq":1}"#)
        .await;
    assert_eq!(
        bench.answer().await.0,
        "NATS/1.0 412 Required Api Level\r\n\r\n"
    );
}

#[tokio::test]
async fn the_api_answers_under_its_domain_too() {
    let domain = JetStreamConfig {
        domain: Some("edge".to_owned()),
        ..JetStreamConfig::default()
    };
    let mut bench = Bench::with(domain).await;
    bench.send("$JS.edge.API.INFO", "", b"").await;
    let (_, payload) = bench.answer().await;
    let info: Value = serde_json::from_slice(&payload).expect("JSON");
    assert_eq!(info["domain"], "edge");
    bench.send("$JS.hub.API.INFO", "", b"").await;
    let (headers, _) = bench.answer().await;
    assert!(headers.starts_with("NATS/1.0 503"), "{headers}");
}

#[tokio::test]
async fn who_has_no_jetstream_is_told_so() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().to_owned();
    for (root, is_there) in [
        (
            Some(StreamsRoot::new(move |account| path.join(account))),
            true,
        ),
        (None, false),
    ] {
        let server = Server::new(Config::default(), Arc::new(AllowAll::new("A")), root);
        let addr = server
            .listen_tcp(([127, 0, 0, 1], 0).into())
            .await
            .expect("a free port");
        let mut raw = Raw::quiet(addr).await;
        raw.send("SUB r 1\r\n").await;
        let mut bench = Bench {
            raw,
            server,
            directory: tempfile::tempdir().expect("a directory"),
        };
        bench.send("$JS.API.INFO", "", b"").await;
        let (headers, payload) = bench.answer().await;
        if is_there {
            let answer: Value = serde_json::from_slice(&payload).expect("JSON");
            check_error(&answer, 503, 10039, "JetStream not enabled for account");
        } else {
            assert!(headers.starts_with("NATS/1.0 503"), "{headers}");
        }
    }
}

#[tokio::test]
async fn direct_gets_are_answered_with_messages() {
    let mut bench = Bench::new().await;
    bench
        .create(json!({"name": "S", "subjects": ["s.*"], "allow_direct": true}))
        .await;
    bench
        .create(json!({"name": "T", "subjects": ["t.*"]}))
        .await;
    bench.store("s.a", "NATS/1.0\r\nX: y\r\n\r\n", "one").await;
    bench.store("s.b", "", "two").await;
    let (headers, payload) = bench.direct("S.s.a", "").await;
    assert_eq!(payload, b"one");
    let start = "NATS/1.0\r\nX: y\r\nNats-Stream: S\r\nNats-Subject: s.a\r\nNats-Sequence: 1\r\nNats-Time-Stamp: 20";
    assert!(headers.starts_with(start), "{headers}");
    let (headers, payload) = bench
        .direct("S", r#"{"last_by_subj":"s.*","no_hdr":true}"#)
        .await;
    assert_eq!((&*headers, &*payload), ("", &b"two"[..]));
    for (call, body, status) in [
        ("S", "", "408 Empty Request"),
        ("S", "garbage", "408 Malformed Request"),
        ("S", r#"{"seq":1,"last_by_subj":"s.a"}"#, "408 Bad Request"),
        ("S", r#"{"seq":9}"#, "404 Message Not Found"),
        ("S.s.c", "", "404 Message Not Found"),
        ("S", r#"{"multi_last":["x"]}"#, "404 No Results"),
    ] {
        let (headers, _) = bench.direct(call, body).await;
        assert_eq!(
            headers,
            format!("NATS/1.0 {status}\r\n\r\n"),
            "{call} {body}"
        );
    }
    for call in ["T", "NONE", "T.t.a"] {
        let (headers, _) = bench.direct(call, r#"{"seq":1}"#).await;
        assert!(headers.starts_with("NATS/1.0 503"), "{headers}");
    }
}

#[tokio::test]
async fn direct_gets_come_in_batches() {
    let mut bench = Bench::new().await;
    bench
        .create(json!({"name": "S", "subjects": ["s.*"], "allow_direct": true}))
        .await;
    for subject in ["s.a", "s.b", "s.a", "s.c"] {
        bench.store(subject, "", subject).await;
    }
    let (first, _) = bench.direct("S", r#"{"seq":2,"batch":2}"#).await;
    assert!(
        first.ends_with("Nats-Num-Pending: 2\r\nNats-Last-Sequence: 0\r\n\r\n"),
        "{first}"
    );
    bench.answer().await;
    assert_eq!(
        bench.answer().await.0,
        "NATS/1.0 204 EOB\r\nNats-Num-Pending: 1\r\nNats-Last-Sequence: 3\r\n\r\n"
    );
    let multi = r#"{"multi_last":["s.a","s.*"],"up_to_seq":3}"#;
    let (_, payload) = bench.direct("S", multi).await;
    assert_eq!(payload, b"s.b");
    assert_eq!(bench.answer().await.1, b"s.a");
    assert_eq!(
        bench.answer().await.0,
        "NATS/1.0 204 EOB\r\nNats-Num-Pending: 0\r\nNats-Last-Sequence: 3\r\nNats-UpTo-Sequence: 3\r\n\r\n"
    );
}

#[tokio::test]
async fn advisories_tell_what_happened() {
    let mut bench = Bench::new().await;
    let inside = bench.server.client("A", &Identity::new("watcher", "A"));
    let mut events = inside.subscribe("$JS.EVENT.ADVISORY.>").expect("a filter");
    bench.create(json!({"name": "S"})).await;
    bench.ask("STREAM.INFO.NONE", &Value::Null).await;
    let mut next = async || {
        let message = events.next().await.expect("an advisory");
        let body: Value = serde_json::from_slice(&message.payload).expect("JSON");
        (message.subject.to_string(), body)
    };
    let (subject, created) = next().await;
    assert_eq!(subject, "$JS.EVENT.ADVISORY.STREAM.CREATED.S");
    assert_eq!(
        created["type"],
        "io.nats.jetstream.advisory.v1.stream_action"
    );
    assert_eq!(
        (&created["stream"], &created["action"]),
        (&json!("S"), &json!("create"))
    );
    let (subject, audit) = next().await;
    assert_eq!(subject, "$JS.EVENT.ADVISORY.API");
    assert_eq!(audit["subject"], "$JS.API.STREAM.CREATE.S");
    assert_eq!(audit["request"], r#"{"name":"S"}"#);
    assert_eq!(audit["client"]["acc"], "A");
    let (_, refused) = next().await;
    assert!(
        refused["response"]
            .as_str()
            .expect("text")
            .contains("10059")
    );
}

#[tokio::test]
async fn streams_are_there_again_after_a_restart() {
    let mut bench = Bench::new().await;
    let config = json!({"name": "S", "subjects": ["s"], "description": "d", "max_age": 0,
        "consumer_limits": {"max_ack_pending": 7}, "metadata": {"k": "v"}});
    let made = bench.create(config.clone()).await;
    bench.store("s", "", "x").await;
    let mut bench = bench.reopened().await;
    let info = bench.ask("STREAM.INFO.S", &Value::Null).await;
    assert_eq!(
        (&info["config"], &info["created"]),
        (&made["config"], &made["created"])
    );
    assert_eq!(bench.store("s", "", "x").await, 2);
    let again = bench.create(config).await;
    assert_eq!(again["did_create"], true);
}

impl Bench {
    /// The chunks of a snapshot; each is acknowledged.
    async fn snapshot(&mut self, stream: &str) -> (Value, Vec<Vec<u8>>) {
        self.raw.send("SUB chunks 2\r\n").await;
        let request = json!({"deliver_subject": "chunks", "chunk_size": 1024});
        let begun = self
            .ask(&format!("STREAM.SNAPSHOT.{stream}"), &request)
            .await;
        let mut chunks = Vec::new();
        loop {
            let line = self.raw.line().await;
            let words: Vec<&str> = line.split(' ').collect();
            let total: usize = words.last().expect("a size").parse().expect("a number");
            let mut chunk = self.raw.bytes(total + 2).await;
            chunk.truncate(total);
            if line.starts_with("HMSG") || total == 0 {
                return (begun, chunks);
            }
            if let ["MSG", _, _, reply, _] = words[..] {
                self.raw.send(format!("PUB {reply} 0\r\n\r\n")).await;
            }
            chunks.push(chunk);
        }
    }

    /// The last answer to a restore.
    async fn restore(&mut self, begun: &Value, chunks: &[Vec<u8>]) -> Value {
        let name = begun["config"]["name"].as_str().expect("a name");
        let request = json!({"config": begun["config"], "state": begun["state"]});
        let ready = self.ask(&format!("STREAM.RESTORE.{name}"), &request).await;
        let subject = ready["deliver_subject"]
            .as_str()
            .expect("a subject")
            .to_owned();
        for chunk in chunks {
            self.send(&subject, "", chunk).await;
            assert_eq!(self.answer().await.1, b"");
        }
        self.send(&subject, "", b"").await;
        let (_, payload) = self.answer().await;
        serde_json::from_slice(&payload).expect("JSON")
    }
}

#[tokio::test]
async fn a_snapshot_makes_the_same_stream_again() {
    let mut bench = Bench::new().await;
    bench
        .create(json!({"name": "S", "subjects": ["s.*"]}))
        .await;
    for number in 0..20 {
        let headers = if number % 2 == 0 {
            ""
        } else {
            "NATS/1.0\r\nA: b\r\n\r\n"
        };
        bench
            .store(&format!("s.{number}"), headers, &"x".repeat(200))
            .await;
    }
    for sequence in [1, 7, 20] {
        bench
            .ask("STREAM.MSG.DELETE.S", &json!({"seq": sequence}))
            .await;
    }
    let consumer =
        json!({"stream_name": "S", "config": {"durable_name": "C", "ack_policy": "explicit"}});
    bench.ask("CONSUMER.DURABLE.CREATE.S.C", &consumer).await;
    let before = bench
        .ask("STREAM.INFO.S", &json!({"deleted_details": true}))
        .await;
    let message = bench.ask("STREAM.MSG.GET.S", &json!({"seq": 8})).await;
    let (begun, chunks) = bench.snapshot("S").await;
    assert!(chunks.len() > 3);
    let exists = bench
        .ask(
            "STREAM.RESTORE.S",
            &json!({"config": {"name": "S"}, "state": {}}),
        )
        .await;
    check_error(
        &exists,
        400,
        10130,
        "stream name already in use, cannot restore",
    );
    bench.ask("STREAM.DELETE.S", &Value::Null).await;

    let restored = bench.restore(&begun, &chunks).await;
    assert_eq!(
        restored["type"],
        "io.nats.jetstream.api.v1.stream_create_response"
    );
    let after = bench
        .ask("STREAM.INFO.S", &json!({"deleted_details": true}))
        .await;
    for member in ["config", "created", "state"] {
        assert_eq!(after[member], before[member]);
    }
    assert_eq!(
        bench.ask("STREAM.MSG.GET.S", &json!({"seq": 8})).await,
        message
    );
    assert_eq!(bench.store("s.new", "", "x").await, 21);
    let names = bench.ask("CONSUMER.NAMES.S", &Value::Null).await;
    assert_eq!(names["consumers"], json!(["C"]));
    let mut bench = bench.reopened().await;
    let reopened = bench.ask("STREAM.INFO.S", &Value::Null).await;
    assert_eq!(reopened["state"]["messages"], 18);
}

#[tokio::test]
async fn what_is_no_backup_leaves_no_stream() {
    let mut bench = Bench::new().await;
    bench.create(json!({"name": "S", "subjects": ["s"]})).await;
    bench.store("s", "", &"x".repeat(5000)).await;
    let (begun, mut chunks) = bench.snapshot("S").await;
    bench.ask("STREAM.DELETE.S", &Value::Null).await;
    let foreign = bench
        .restore(&begun, &[b"\xff\x06\x00\x00S2sTwO....".to_vec()])
        .await;
    assert_eq!(foreign["error"]["err_code"], 10062);
    let text = foreign["error"]["description"].as_str().expect("text");
    assert!(
        text.starts_with("restore failed: this is a backup of nats-server"),
        "{text}"
    );
    let cut = bench.restore(&begun, &chunks[..2]).await;
    check_error(
        &cut,
        500,
        10062,
        "restore failed: the backup ends too early",
    );
    chunks[2][5] ^= 1;
    let damaged = bench.restore(&begun, &chunks).await;
    check_error(
        &damaged,
        500,
        10062,
        "restore failed: the backup is damaged",
    );
    let names = bench.ask("STREAM.NAMES", &Value::Null).await;
    assert_eq!(names["streams"], Value::Null);
    bench.create(json!({"name": "S", "subjects": ["s"]})).await;
}
