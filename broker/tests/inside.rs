//! The in-process client, streams and key-value buckets.

mod support;

use std::sync::Arc;
use std::time::Duration;

use broker::{
    AllowAll, Bucket, Client, Config, Headers, Identity, KvError, Limits, Operation,
    PublishOptions, RequestError, Sequence, Server, StorageKind, StreamConfig, StreamError,
    StreamsRoot,
};
use support::Raw;

const SECOND: Duration = Duration::from_secs(1);

fn server(config: Config) -> (Server, Client) {
    let server = Server::new(config, Arc::new(AllowAll::new("A")), None);
    let client = server.client("A", &Identity::new("service", "A"));
    (server, client)
}

fn with_streams() -> (tempfile::TempDir, Server, Client) {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().to_owned();
    let root = StreamsRoot::new(move |account| path.join(account));
    let server = Server::new(Config::default(), Arc::new(AllowAll::new("A")), Some(root));
    let client = server.client("A", &Identity::new("service", "A"));
    (dir, server, client)
}

fn memory(name: &str, subjects: &[&str]) -> StreamConfig {
    let mut config = StreamConfig::with_name(name);
    config.storage = StorageKind::Memory;
    config.subjects = subjects.iter().map(ToString::to_string).collect();
    config
}

#[tokio::test]
async fn requests_are_answered_or_refused_at_once() {
    let (_server, client) = server(Config::default());
    let nobody = client.request("ask", "x", SECOND).await;
    assert!(
        matches!(nobody, Err(RequestError::NoResponders { .. })),
        "{nobody:?}"
    );
    let mut asked = client.subscribe("ask").expect("a filter");
    let answering = client.clone();
    let responder = tokio::spawn(async move {
        let message = asked.next().await.expect("a request");
        answering
            .respond(&message, message.payload.clone())
            .expect("answered");
        asked
    });
    let answer = client
        .request("ask", "hello", SECOND)
        .await
        .expect("answered");
    assert_eq!(&answer.payload[..], b"hello");
    let _asked = responder.await.expect("no panic");
    let silent = client.request("ask", "x", Duration::from_millis(20)).await;
    assert!(
        matches!(silent, Err(RequestError::TimedOut { .. })),
        "{silent:?}"
    );
}

#[tokio::test]
async fn a_full_subscription_refuses_and_counts() {
    let limits = Limits {
        local_pending_messages_max: 2,
        ..Limits::default()
    };
    let (server, client) = server(Config {
        limits,
        ..Config::default()
    });
    let mut slow = client.subscribe("a").expect("a filter");
    for number in ["1", "2", "3"] {
        client.publish("a", number).expect("published");
    }
    assert_eq!(server.snapshot().refused_locally, 1);
    let refused = client.request("a", "4", SECOND).await;
    assert!(
        matches!(refused, Err(RequestError::NoResponders { .. })),
        "{refused:?}"
    );
    slow.drain();
    assert_eq!(&slow.next().await.expect("queued").payload[..], b"1");
    assert_eq!(&slow.next().await.expect("queued").payload[..], b"2");
    assert!(slow.next().await.is_none());
    assert!(!client.has_interest("a"));
}

#[tokio::test]
async fn dropping_and_draining_end_interest() {
    let (_server, client) = server(Config::default());
    let subscription = client.subscribe("a").expect("a filter");
    assert!(client.has_interest("a"));
    drop(subscription);
    assert!(!client.has_interest("a"));
    let mut subscription = client.subscribe("a").expect("a filter");
    client.drain();
    assert!(!client.has_interest("a"));
    assert!(subscription.next().await.is_none());
    assert!(matches!(
        client.request("a", "", SECOND).await,
        Err(RequestError::Closed)
    ));
}

#[tokio::test]
async fn malformed_subjects_are_refused() {
    let (_server, client) = server(Config::default());
    assert!(client.publish("a..b", "").is_err());
    assert!(client.publish("a.*", "").is_err());
    assert!(client.subscribe("a.>.b").is_err());
    assert!(client.publish("a", vec![0; (1 << 20) + 1]).is_err());
}

#[tokio::test]
async fn sockets_and_inside_talk_to_each_other() {
    let (server, client) = server(Config::default());
    let addr = server
        .listen_tcp(([127, 0, 0, 1], 0).into())
        .await
        .expect("a free port");
    let mut raw = Raw::quiet(addr).await;
    raw.send("SUB out.> 1\r\nSUB _r.* 2\r\n").await;
    raw.expect_quiet().await;
    client.publish("out.a", "hi").expect("published");
    raw.expect("MSG out.a 1 2\r\nhi\r\n").await;
    let message = broker::Publish::new("out.b", "hi").with_headers(Headers::new().with("A", "b"));
    client.publish_message(message).expect("published");
    raw.expect("HMSG out.b 1 18 20\r\nNATS/1.0\r\nA: b\r\n\r\nhi\r\n")
        .await;
    let mut asked = client.subscribe("ask").expect("a filter");
    raw.send("PUB ask _r.1 1\r\n?\r\n").await;
    let request = asked.next().await.expect("a request");
    client.respond(&request, "!").expect("answered");
    raw.expect("MSG _r.1 2 1\r\n!\r\n").await;
}

#[tokio::test]
async fn items_17_and_64_captured_messages_are_acknowledged() {
    let (_dir, server, client) = with_streams();
    client
        .streams()
        .create(memory("S", &["s.>"]))
        .await
        .expect("made");
    let addr = server
        .listen_tcp(([127, 0, 0, 1], 0).into())
        .await
        .expect("a free port");
    let mut raw = Raw::quiet(addr).await;
    raw.send("SUB r.* 1\r\nPUB s.a r.1 2\r\nhi\r\n").await;
    raw.expect("MSG r.1 1 22\r\n{\"stream\":\"S\",\"seq\":1}\r\n")
        .await;
    // On a connection of its own: the copy and the acknowledgement have no order between them.
    let mut listener = Raw::quiet(addr).await;
    listener.send("SUB s.a 2\r\n").await;
    listener.expect_quiet().await;
    raw.send("PUB s.a r.2 2\r\nhi\r\n").await;
    raw.expect("MSG r.2 1 22\r\n{\"stream\":\"S\",\"seq\":2}\r\n")
        .await;
    listener.expect("MSG s.a 2 r.2 2\r\nhi\r\n").await;
    let block = "NATS/1.0\r\nNats-Expected-Last-Sequence: 9\r\n\r\n";
    raw.send(format!("HPUB s.b r.3 {0} {0}\r\n{block}\r\n", block.len()))
        .await;
    let body = r#"{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 2"},"stream":"S","seq":0}"#;
    raw.expect(&format!("MSG r.3 1 {}\r\n{body}\r\n", body.len()))
        .await;
}

#[tokio::test]
async fn streams_know_their_subjects_and_names() {
    let (_dir, _server, client) = with_streams();
    let streams = client.streams();
    let stream = streams.create(memory("S", &["s.*"])).await.expect("made");
    streams
        .create(memory("S", &["s.*"]))
        .await
        .expect("the same again");
    let other = streams.create(memory("S", &["t.*"])).await;
    assert!(
        matches!(other, Err(StreamError::NameInUse { .. })),
        "{other:?}"
    );
    let overlapping = streams.create(memory("T", &["s.a"])).await;
    assert!(
        matches!(overlapping, Err(StreamError::SubjectsOverlap { .. })),
        "{overlapping:?}"
    );
    let foreign = stream
        .publish("t.a", Headers::new(), "", PublishOptions::default())
        .await;
    assert!(
        matches!(foreign, Err(StreamError::NotCaptured { .. })),
        "{foreign:?}"
    );
    assert_eq!(streams.names(), ["S"]);
    assert!(streams.remove("S").await.expect("removed"));
    assert!(streams.stream("S").is_none() && !client.has_interest("s.a"));
}

#[tokio::test]
async fn a_publish_inside_is_stored_once_and_seen_by_subscribers() {
    let (_dir, _server, client) = with_streams();
    let stream = client
        .streams()
        .create(memory("S", &["s.*"]))
        .await
        .expect("made");
    let mut plain = client.subscribe("s.*").expect("a filter");
    let options = || PublishOptions {
        message_id: Some("id".to_owned()),
        ..PublishOptions::default()
    };
    let first = stream
        .publish("s.a", Headers::new(), "x", options())
        .await
        .expect("stored");
    let again = stream
        .publish("s.a", Headers::new(), "x", options())
        .await
        .expect("known");
    assert_eq!((first.sequence, first.duplicate), (Sequence(1), false));
    assert_eq!((again.sequence, again.duplicate), (Sequence(1), true));
    assert_eq!(&plain.next().await.expect("delivered").payload[..], b"x");
    client.publish("s.b", "y").expect("published");
    assert_eq!(&plain.next().await.expect("delivered").payload[..], b"y");
    let batch = stream
        .consumer("c", None)
        .await
        .expect("opened")
        .next_batch(10, SECOND)
        .await
        .expect("read");
    assert!(!batch.is_empty());
}

#[tokio::test]
async fn a_consumer_goes_on_where_it_was_acknowledged() {
    let dir = tempfile::tempdir().expect("a directory");
    let start = async || {
        let path = dir.path().to_owned();
        let root = StreamsRoot::new(move |account| path.join(account));
        let server = Server::new(Config::default(), Arc::new(AllowAll::new("A")), Some(root));
        server.open_streams("A").await.expect("opened");
        let client = server.client("A", &Identity::new("service", "A"));
        (server, client)
    };
    let (server, client) = start().await;
    let mut config = StreamConfig::with_name("S");
    config.subjects = vec!["s.>".to_owned()];
    let stream = client.streams().create(config).await.expect("made");
    for number in 1..=5 {
        let subject = if number % 2 == 0 { "s.even" } else { "s.odd" };
        stream
            .publish(
                subject,
                Headers::new(),
                number.to_string(),
                PublishOptions::default(),
            )
            .await
            .expect("stored");
    }
    let mut consumer = stream.consumer("odd", Some("s.odd")).await.expect("opened");
    let numbers = |batch: broker::Batch| {
        batch
            .iter()
            .map(|message| message.sequence.0)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        numbers(consumer.next_batch(2, SECOND).await.expect("read")),
        [1, 3]
    );
    consumer.ack_to(Sequence(1)).await.expect("saved");
    consumer.nak();
    assert_eq!(
        numbers(consumer.next_batch(9, SECOND).await.expect("read")),
        [3, 5]
    );
    assert!(
        consumer
            .next_batch(9, Duration::from_millis(10))
            .await
            .expect("read")
            .is_empty()
    );
    server.shutdown().await;

    let (server, client) = start().await;
    let stream = client.streams().stream("S").expect("still there");
    let mut consumer = stream.consumer("odd", Some("s.odd")).await.expect("opened");
    assert_eq!(consumer.ack_floor(), Sequence(1));
    assert_eq!(
        numbers(consumer.next_batch(9, SECOND).await.expect("read")),
        [3, 5]
    );
    client.publish("s.odd", "7").expect("published");
    assert_eq!(
        numbers(consumer.next_batch(9, SECOND).await.expect("read")),
        [6]
    );
    server.shutdown().await;
}

#[tokio::test]
async fn buckets_compare_and_set_and_keep_tombstones() {
    let (_dir, _server, client) = with_streams();
    let bucket = Bucket {
        history: 5,
        storage: StorageKind::Memory,
        ..Bucket::new("B")
    };
    let kv = client.streams().kv(bucket).await.expect("made");
    assert_eq!(kv.create("a", "1").await.expect("new"), 1);
    assert!(matches!(
        kv.create("a", "2").await,
        Err(KvError::WrongRevision { last: 1 })
    ));
    assert_eq!(kv.update("a", "2", 1).await.expect("current"), 2);
    assert!(matches!(
        kv.update("a", "3", 1).await,
        Err(KvError::WrongRevision { last: 2 })
    ));
    assert_eq!(
        &kv.get("a").await.expect("read").expect("a value").value[..],
        b"2"
    );
    kv.delete("a").await.expect("deleted");
    assert_eq!(kv.get("a").await.expect("read"), None);
    assert_eq!(
        kv.entry("a")
            .await
            .expect("read")
            .expect("a tombstone")
            .operation,
        Operation::Delete
    );
    assert_eq!(kv.history("a").await.expect("read").len(), 3);
    assert_eq!(kv.create("a", "4").await.expect("over the tombstone"), 4);
    kv.purge("a").await.expect("purged");
    assert_eq!(kv.history("a").await.expect("read").len(), 1);
    kv.put("b.c", "5").await.expect("stored");
    assert_eq!(kv.keys(">").await.expect("read"), ["b.c"]);
    for key in ["", ".a", "a.", "a b", "a*", "a..b"] {
        assert!(
            matches!(kv.put(key, "").await, Err(KvError::InvalidKey { .. })),
            "{key:?}"
        );
    }
}

#[tokio::test]
async fn a_watch_starts_with_what_is_there() {
    let (_dir, _server, client) = with_streams();
    let bucket = Bucket {
        storage: StorageKind::Memory,
        ..Bucket::new("B")
    };
    let kv = client.streams().kv(bucket).await.expect("made");
    kv.put("x.1", "a").await.expect("stored");
    kv.put("y.1", "b").await.expect("stored");
    let mut watch = kv.watch("x.*").await.expect("watched");
    let mut updates = kv.watch_updates(">").await.expect("watched");
    assert!(!watch.is_caught_up() && updates.is_caught_up());
    assert_eq!(watch.next().await.expect("read").expect("open").key, "x.1");
    assert!(watch.is_caught_up());
    kv.put("y.2", "c").await.expect("stored");
    kv.delete("x.1").await.expect("deleted");
    assert_eq!(
        watch.next().await.expect("read").expect("open").operation,
        Operation::Delete
    );
    assert_eq!(
        updates.next().await.expect("read").expect("open").key,
        "y.2"
    );
}
