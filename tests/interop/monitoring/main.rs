//! The monitoring endpoints and the system account beside a real nats-server's: the same members of the same types, the same
//! values where both must agree, the same refusals word for word.
//!
//! nats-server comes from the virtual environment that `tests/run` makes.

mod pair;
mod shape;

use std::collections::BTreeMap;

use harness::{Frame, PATIENCE, Raw};
use pair::Peer;
use serde_json::Value;
use shape::{Known, differences};

const KNOWN: Known = Known {
    // The build of nats-server and its own switches; how JetStream of a cluster is placed. The system account of nats-server
    // shows what it exports, and how every account imports its JetStream API.
    theirs: &[
        "git_commit",
        "feature_flags",
        "exports",
        "default_max_consumers",
    ],
    // What natterjack is, why slow consumers were cut off, a limit that nats-server does not have by default, and that
    // acknowledgements wait for the disk.
    ours: &[
        "natterjack",
        "slow_consumer_reasons",
        "max_subscriptions",
        "sync_always",
    ],
    agree: &[
        "num_connections",
        "offset",
        "limit",
        "connections",
        "kind",
        "type",
        "name",
        "lang",
        "ip",
        "authorized_user",
        "account",
        "subscriptions_list",
        "subscriptions_list_detail",
        "subject",
        "qgroup",
        "msgs",
        "max",
        "reason",
        "status",
        "error",
        "acc",
        "conns",
        "leafnodes",
        "total_conns",
        "num_routes",
        "routes",
        "leafs",
        "messages",
        "streams",
        "consumers",
        "disabled",
        "first_seq",
        "last_seq",
        "max_payload",
        "max_pending",
        "ping_interval",
        "ping_max",
        "max_connections",
        "max_control_line",
        "auth_timeout",
        "tls_timeout",
        "write_deadline",
        "auth_required",
        "proto",
        "http_host",
        "http_base_path",
        "https_port",
        "slow_consumers",
        "stale_connections",
        "in_msgs",
        "out_msgs",
        "name_tag",
        "system_account",
        "jetstream_enabled",
        "client_connections",
        "leafnode_connections",
        "expired",
        "complete",
        "code",
        "description",
        "user",
        "acc",
        "stream_name",
        "num_pending",
        "num_ack_pending",
        "consumer_count",
        "leader",
        "strict",
        "level",
        "response_type",
        "weight",
        "mappings",
        "exports",
        "ha_assets",
        "total_connections",
        "server_name",
    ],
};

/// Answers that are JSON on both sides.
const DOCUMENTS: &[&str] = &[
    "/varz",
    "/connz",
    "/connz?auth=1&subs=detail",
    "/connz?subs=1&limit=2",
    "/connz?offset=2",
    "/connz?offset=100",
    "/connz?limit=-1",
    "/connz?acc=A",
    "/connz?user=b",
    "/connz?acc=NONE",
    "/connz?auth=true&user=a&acc=A&sort=start",
    "/connz?cid=99999",
    "/connz?mqtt_client=x",
    "/connz?state=closed&auth=1&subs=1",
    "/connz?state=closed&sort=stop",
    "/connz?state=closed&sort=reason",
    "/connz?state=any&limit=4",
    "/connz?sort=uptime",
    "/connz?sort=subs",
    "/connz?sort=start",
    "/subsz",
    "/subscriptionsz",
    "/subsz?subs=1&test=foo.1",
    "/subsz?acc=NONE",
    "/routez",
    "/routez?subs=1",
    "/gatewayz",
    "/leafz",
    "/leafz?subs=1",
    "/accountz",
    "/accountz?acc=A",
    "/accountz?acc=B",
    "/accstatz",
    "/accstatz?unused=0",
    "/jsz",
    "/jsz?accounts=1",
    "/jsz?streams=1",
    "/jsz?consumers=1&config=1",
    "/jsz?acc=A",
    "/jsz?acc=NONE",
    "/jsz?acc=A&streams=1",
    "/jsz?offset=5&accounts=1",
    "/jsz?raft=1&leader-only=1",
    "/healthz",
    "/healthz?details=1",
    "/healthz?account=A&stream=ORD&consumer=D",
    "/healthz?account=A&stream=NO",
    "/healthz?account=A&stream=ORD&consumer=NO",
    "/healthz?account=NO",
    "/healthz?stream=ORD",
    "/healthz?consumer=D",
    "/healthz?account=A&stream=NO&details=true",
    "/healthz?account=NO&details=true",
    "/healthz?stream=ORD&details=1",
    "/healthz?js-enabled-only=1",
    "/healthz?js-server-only=true",
];

/// Answers that are text on both sides, and the same.
const TEXTS: &[&str] = &[
    "/connz?sort=bad",
    "/connz?sort=stop",
    "/connz?sort=reason&state=any",
    "/connz?limit=x",
    "/connz?offset=1.5",
    "/connz?cid=-1",
    "/connz?auth=yes",
    "/connz?subs=x",
    "/connz?state=x",
    "/connz?limit=99999999999999999999",
    "/connz/",
    "/subsz?subs=x",
    "/subsz?test=a..b",
    "/subsz?limit=x",
    "/routez?subs=x",
    "/leafz?subs=x",
    "/gatewayz?accs=x",
    "/jsz?streams=x",
    "/jsz?limit=x",
    "/accstatz?unused=x",
    "/accountz?acc=NONE",
    "/healthz?js-enabled=x",
    "/healthz?details=x",
    "/raftz",
    "/nope",
    "/varz/",
];

#[tokio::test]
async fn endpoints_answer_as_nats_servers() {
    let (ours, theirs) = (Peer::ours().await, Peer::theirs().await);
    let _clients = (ours.populate().await, theirs.populate().await);
    let mut problems = Vec::new();
    for path in DOCUMENTS {
        let (our, their) = (ours.get(path).await, theirs.get(path).await);
        if (our.status, &our.content_type, &our.allow_origin)
            != (their.status, &their.content_type, &their.allow_origin)
        {
            problems.push(format!("{path}: {our:?}\n  and not {their:?}"));
            continue;
        }
        let is_pretty = |body: &str| body.contains('\n');
        if is_pretty(&our.body) != is_pretty(&their.body) {
            problems.push(format!("{path}: laid out differently"));
        }
        let parse = |body: &str| serde_json::from_str::<Value>(body).expect("JSON");
        let found = differences(&parse(&our.body), &parse(&their.body), &KNOWN);
        problems.extend(found.into_iter().map(|line| format!("{path}: {line}")));
    }
    for path in TEXTS {
        let (our, their) = (ours.get(path).await, theirs.get(path).await);
        if our != their {
            problems.push(format!("{path}: {our:?}\n  and not {their:?}"));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// Requests of the system account.
const REQUESTS: &[(&str, &str)] = &[
    ("$SYS.REQ.SERVER.PING", ""),
    ("$SYS.REQ.SERVER.PING.STATSZ", ""),
    ("$SYS.REQ.SERVER.PING.IDZ", ""),
    ("$SYS.REQ.SERVER.PING.VARZ", r#"{"server_name":"comp"}"#),
    (
        "$SYS.REQ.SERVER.PING.CONNZ",
        r#"{"auth":true,"subscriptions_detail":true,"acc":"A"}"#,
    ),
    ("$SYS.REQ.SERVER.PING.CONNZ", r#"{"sort":"bad"}"#),
    (
        "$SYS.REQ.SERVER.PING.CONNZ",
        r#"{"subscriptions":true,"state":1}"#,
    ),
    (
        "$SYS.REQ.SERVER.PING.SUBSZ",
        r#"{"subscriptions":true,"test":"foo.1"}"#,
    ),
    ("$SYS.REQ.SERVER.PING.SUBSZ", r#"{"test":"a..b"}"#),
    ("$SYS.REQ.SERVER.PING.ROUTEZ", ""),
    ("$SYS.REQ.SERVER.PING.LEAFZ", ""),
    ("$SYS.REQ.SERVER.PING.GATEWAYZ", ""),
    ("$SYS.REQ.SERVER.PING.RAFTZ", ""),
    ("$SYS.REQ.SERVER.PING.ACCOUNTZ", ""),
    ("$SYS.REQ.SERVER.PING.ACCOUNTZ", r#"{"account":"NONE"}"#),
    (
        "$SYS.REQ.SERVER.PING.JSZ",
        r#"{"streams":true,"config":true}"#,
    ),
    ("$SYS.REQ.SERVER.PING.HEALTHZ", ""),
    ("$SYS.REQ.SERVER.PING.HEALTHZ", r#"{"account":"NO"}"#),
    ("$SYS.REQ.SERVER.{id}.VARZ", ""),
    ("$SYS.REQ.SERVER.{id}.STATSZ", ""),
    ("$SYS.REQ.SERVER.{id}.KICK", r#"{"cid":99999}"#),
    ("$SYS.REQ.SERVER.{id}.LDM", r#"{"cid":99999}"#),
    ("$SYS.REQ.ACCOUNT.A.CONNZ", ""),
    ("$SYS.REQ.ACCOUNT.A.LEAFZ", ""),
    ("$SYS.REQ.ACCOUNT.A.JSZ", r#"{"streams":true}"#),
    ("$SYS.REQ.ACCOUNT.B.INFO", ""),
    ("$SYS.REQ.ACCOUNT.A.CONNS", ""),
    ("$SYS.REQ.ACCOUNT.A.STATZ", ""),
    ("$SYS.REQ.ACCOUNT.NONE.INFO", ""),
    ("$SYS.REQ.ACCOUNT.NONE.JSZ", ""),
    ("$SYS.REQ.ACCOUNT.B.JSZ", ""),
    ("$SYS.REQ.ACCOUNT.NONE.SUBSZ", ""),
    ("$SYS.REQ.ACCOUNT.NONE.LEAFZ", ""),
    (
        "$SYS.REQ.ACCOUNT.PING.STATZ",
        r#"{"accounts":["A"],"include_unused":true}"#,
    ),
];

#[tokio::test]
async fn the_system_account_is_answered_as_by_nats_server() {
    let (ours, theirs) = (Peer::ours().await, Peer::theirs().await);
    let _clients = (ours.populate().await, theirs.populate().await);
    let mut our = ours.asker("s", "system").await;
    let mut their = theirs.asker("s", "system").await;
    let id = |body: &str| {
        let body: Value = serde_json::from_str(body).expect("JSON");
        body["id"].as_str().expect("an id").to_owned()
    };
    let our_id = id(&our.ask("$SYS.REQ.SERVER.PING.IDZ", "").await);
    let their_id = id(&their.ask("$SYS.REQ.SERVER.PING.IDZ", "").await);
    let mut problems = Vec::new();
    for (subject, body) in REQUESTS {
        let ours = our.ask(&subject.replace("{id}", &our_id), body).await;
        let theirs = their.ask(&subject.replace("{id}", &their_id), body).await;
        let parse = |body: &str| serde_json::from_str::<Value>(body).expect("JSON");
        let found = differences(&parse(&ours), &parse(&theirs), &KNOWN);
        problems.extend(found.iter().map(|line| format!("{subject} {body}: {line}")));
    }
    for subject in [
        "$SYS.REQ.SERVER.PING.NOPE",
        "$SYS.REQ.SERVER.NOBODY.VARZ",
        "$SYS.REQ.ACCOUNT.A.NOPE",
    ] {
        for asker in [&mut our, &mut their] {
            assert_eq!(asker.try_ask(subject, "").await, None, "{subject}");
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[tokio::test]
async fn other_accounts_ask_about_themselves_alone() {
    let (ours, theirs) = (Peer::ours().await, Peer::theirs().await);
    let _clients = (ours.populate().await, theirs.populate().await);
    let mut our = ours.asker("a", "asker").await;
    let mut their = theirs.asker("a", "asker").await;
    for subject in [
        "$SYS.REQ.ACCOUNT.PING.CONNZ",
        "$SYS.REQ.ACCOUNT.PING.STATZ",
        "$SYS.REQ.SERVER.PING.CONNZ",
    ] {
        let (ours, theirs) = (our.ask(subject, "").await, their.ask(subject, "").await);
        assert!(!ours.contains("\"beta\""), "{ours}");
        let parse = |body: &str| serde_json::from_str::<Value>(body).expect("JSON");
        let found = differences(&parse(&ours), &parse(&theirs), &KNOWN);
        assert!(found.is_empty(), "{subject}: {}", found.join("\n"));
    }
    for subject in [
        "$SYS.REQ.SERVER.PING",
        "$SYS.REQ.SERVER.PING.VARZ",
        "$SYS.REQ.ACCOUNT.A.CONNZ",
        "$SYS.REQ.ACCOUNT.B.CONNZ",
    ] {
        for asker in [&mut our, &mut their] {
            assert_eq!(asker.try_ask(subject, "").await, None, "{subject}");
        }
    }
}

/// Reads events until all of these have come; the server's own id is taken out of their subjects.
async fn events(raw: &mut Raw, wanted: &[&str]) -> BTreeMap<String, Value> {
    let mut seen = BTreeMap::new();
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !wanted.iter().all(|subject| seen.contains_key(*subject)) {
        let left = deadline.duration_since(tokio::time::Instant::now());
        let frame = raw.next_within(left).await;
        let Some(Frame::Message {
            subject, payload, ..
        }) = frame
        else {
            panic!("only {:?} came: {frame:?}", seen.keys());
        };
        let tokens = subject.split('.');
        let subject: Vec<_> = tokens
            .map(|token| if token.len() == 56 { "{id}" } else { token })
            .collect();
        let body = serde_json::from_slice(&payload).expect("an event is JSON");
        seen.insert(subject.join("."), body);
    }
    seen.retain(|subject, _| wanted.contains(&subject.as_str()));
    seen
}

#[tokio::test]
async fn events_are_those_of_nats_server() {
    const COMING: &[&str] = &[
        "$SYS.ACCOUNT.B.CONNECT",
        "$SYS.ACCOUNT.B.SERVER.CONNS",
        "$SYS.SERVER.ACCOUNT.B.CONNS",
    ];
    const GOING: &[&str] = &[
        "$SYS.ACCOUNT.B.DISCONNECT",
        "$SYS.ACCOUNT.$G.DISCONNECT",
        "$SYS.SERVER.{id}.CLIENT.AUTH.ERR",
        "$SYS.SERVER.{id}.STATSZ",
    ];
    let mut all = Vec::new();
    for peer in [Peer::ours().await, Peer::theirs().await] {
        let mut watcher = peer.client("s", "watcher").await;
        watcher.subscribe("$SYS.SERVER.>", "1").await;
        watcher.subscribe("$SYS.ACCOUNT.>", "2").await;
        let client = peer.client("b", "seen").await;
        let coming = events(&mut watcher, COMING).await;
        drop(client);
        peer.stranger("b", "wrong", "refused").await.fence().await;
        let going = events(&mut watcher, GOING).await;
        all.push((coming, going));
    }
    let [(our_coming, our_going), (their_coming, their_going)] = &all[..] else {
        unreachable!("there are two servers");
    };
    let mut problems = Vec::new();
    for (ours, theirs) in [(our_coming, their_coming), (our_going, their_going)] {
        for (subject, theirs) in theirs {
            let found = differences(&ours[subject], theirs, &KNOWN);
            problems.extend(found.iter().map(|line| format!("{subject}: {line}")));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[tokio::test]
async fn a_client_is_sent_elsewhere_and_kicked() {
    for peer in [Peer::ours().await, Peer::theirs().await] {
        let mut system = peer.asker("s", "system").await;
        let mut client = peer.client("b", "unwanted").await;
        let idz: Value =
            serde_json::from_str(&system.ask("$SYS.REQ.SERVER.PING.IDZ", "").await).expect("JSON");
        let id = idz["id"].as_str().expect("an id");
        let connz = system.ask("$SYS.REQ.ACCOUNT.B.CONNZ", "").await;
        let connz: Value = serde_json::from_str(&connz).expect("JSON");
        let cid = &connz["data"]["connections"][0]["cid"];
        let body = format!("{{\"cid\":{cid}}}");
        let told = system
            .ask(&format!("$SYS.REQ.SERVER.{id}.LDM"), &body)
            .await;
        assert!(!told.contains("error"), "{}: {told}", peer.name);
        assert!(client.fence().await.is_empty());
        let kicked = system
            .ask(&format!("$SYS.REQ.SERVER.{id}.KICK"), &body)
            .await;
        assert!(!kicked.contains("error"), "{}: {kicked}", peer.name);
        assert_eq!(client.next().await, Frame::Closed, "{}", peer.name);
    }
}

/// What nats-top and the Prometheus exporter read by name. nats-top needs every one of these or shows nothing.
#[tokio::test]
async fn nats_top_and_the_prometheus_exporter_find_their_fields() {
    let server = Peer::ours().await;
    let _clients = server.populate().await;
    let get = async |path: &str| {
        let answer = server.get(path).await;
        serde_json::from_str::<Value>(&answer.body).expect("JSON")
    };
    let varz = get("/varz").await;
    for name in [
        "cpu",
        "mem",
        "slow_consumers",
        "in_msgs",
        "out_msgs",
        "in_bytes",
        "out_bytes",
        "connections",
        "max_connections",
        "subscriptions",
        "total_connections",
        "routes",
        "remotes",
        "max_payload",
        "max_pending",
        "ping_interval",
        "auth_timeout",
        "port",
        "leafnodes",
    ] {
        assert!(varz[name].is_number(), "{name}: {}", varz[name]);
    }
    for name in [
        "server_id",
        "server_name",
        "version",
        "uptime",
        "now",
        "start",
    ] {
        assert!(varz[name].is_string(), "{name}: {}", varz[name]);
    }
    for name in ["max_memory", "max_storage"] {
        assert!(varz["jetstream"]["config"][name].is_number(), "{name}");
    }
    let connz = get("/connz?limit=1024&sort=msgs_to&subs=1").await;
    let first = &connz["connections"][0];
    for name in [
        "cid",
        "port",
        "pending_bytes",
        "in_msgs",
        "out_msgs",
        "in_bytes",
        "out_bytes",
        "subscriptions",
    ] {
        assert!(first[name].is_number(), "{name}: {}", first[name]);
    }
    for name in [
        "ip",
        "uptime",
        "idle",
        "last_activity",
        "lang",
        "version",
        "name",
    ] {
        assert!(first[name].is_string(), "{name}: {}", first[name]);
    }
    let jsz = get("/jsz?accounts=1&consumers=1&config=1&raft=1").await;
    let stream = &jsz["account_details"][0]["stream_detail"][0];
    for name in [
        "messages",
        "bytes",
        "first_seq",
        "last_seq",
        "consumer_count",
    ] {
        assert!(stream["state"][name].is_number(), "{name}");
    }
    assert!(stream["cluster"]["leader"].is_string());
    let consumer = &stream["consumer_detail"][0];
    for name in [
        "num_ack_pending",
        "num_pending",
        "num_redelivered",
        "num_waiting",
    ] {
        assert!(consumer[name].is_number(), "{name}");
    }
    for name in ["delivered", "ack_floor"] {
        assert!(consumer[name]["consumer_seq"].is_number(), "{name}");
    }
    let accstatz = get("/accstatz").await;
    assert!(accstatz["account_statz"][0]["sent"]["msgs"].is_number());
    let metrics = server.get("/metrics").await;
    assert!(
        metrics
            .body
            .contains("\nnats_stream_messages{account=\"A\",stream=\"ORD\"} 1\n"),
        "{}",
        metrics.body
    );
}
