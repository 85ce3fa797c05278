//! A broker that is killed under load: every acknowledged message is there after it, at its sequence, once.
//!
//! Publishers are bare connections with many messages in flight, so that a kill always lands between a commit and its
//! answers. `KILLS` says how often the process is killed (20), `MESSAGES` how many messages are there before that (0);
//! the long form is `KILLS=1000 MESSAGES=1000000`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use async_nats::Event;
use async_nats::jetstream::{self, stream};
use harness::{Broker, Frame, PATIENCE, Raw, eventually};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Publishers at the same time, each with a connection of its own.
const PUBLISHERS: usize = 4;

/// Messages that one publisher has not been answered for.
const IN_FLIGHT: usize = 64;

/// Acknowledgements that must be seen before the next kill.
const ACKNOWLEDGED_PER_ROUND: usize = 200;

/// Longest time from the start of the process to an answer about the stream.
const READY: Duration = Duration::from_secs(2);

/// CONNECT of a client that wants everything and no +OK.
const HELLO: &str = "CONNECT {\"verbose\":false,\"headers\":true,\"no_responders\":true}\r\n";

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

async fn ask(raw: &mut Raw, subject: &str, body: &Value) -> Value {
    let mut headers_and_all = raw.request(subject, body.to_string().as_bytes()).await;
    if let Frame::Message { payload, .. } = &mut headers_and_all {
        return serde_json::from_slice(payload).expect("the API speaks JSON");
    }
    panic!("{subject}: {headers_and_all:?}")
}

async fn connect(broker: &Broker) -> Raw {
    let mut raw = Raw::connect(broker.nats).await;
    raw.log_in("").await;
    raw
}

/// Publishes numbered messages until the connection ends; tells of every acknowledgement as it comes.
async fn publish(
    broker: std::net::SocketAddr,
    name: String,
    acknowledged: mpsc::UnboundedSender<(u64, String)>,
) {
    let mut raw = Raw::connect(broker).await;
    let inbox = format!("ack.{name}.");
    raw.send(format!("{HELLO}SUB {inbox}* ack\r\n").as_bytes())
        .await;
    let (mut sent, mut waiting) = (0_u64, 0_usize);
    loop {
        let mut burst = String::new();
        while waiting < IN_FLIGHT {
            let text = format!("{name}-{sent}");
            burst += &format!(
                "PUB load.{} {inbox}{sent} {}\r\n{text}\r\n",
                sent % 10,
                text.len()
            );
            sent += 1;
            waiting += 1;
        }
        raw.send(burst.as_bytes()).await;
        match raw.next().await {
            Frame::Message {
                subject, payload, ..
            } => {
                waiting -= 1;
                let ack: Value = serde_json::from_slice(&payload).unwrap_or_default();
                let number = subject.trim_start_matches(&inbox);
                if let Some(sequence) = ack["seq"].as_u64().filter(|sequence| *sequence > 0) {
                    let _ = acknowledged.send((sequence, format!("{name}-{number}")));
                }
            }
            _ => return,
        }
    }
}

/// Reads the whole stream with a stock client; what is where.
async fn stored(broker: &Broker) -> BTreeMap<u64, String> {
    let mut raw = connect(broker).await;
    let info = ask(&mut raw, "$JS.API.STREAM.INFO.LOAD", &json!({})).await;
    let (first, last) = (&info["state"]["first_seq"], &info["state"]["last_seq"]);
    let (mut next, last) = (first.as_u64().unwrap(), last.as_u64().unwrap());
    let mut found = BTreeMap::new();
    while next <= last {
        let ask = format!("{{\"seq\":{next},\"batch\":500}}");
        let request = format!(
            "PUB $JS.API.DIRECT.GET.LOAD all.in {}\r\n{ask}\r\n",
            ask.len()
        );
        raw.send(format!("SUB all.in all\r\n{request}").as_bytes())
            .await;
        loop {
            let Frame::Message {
                headers, payload, ..
            } = raw.next().await
            else {
                panic!("the connection goes on");
            };
            let sequence = headers
                .lines()
                .find_map(|line| line.strip_prefix("Nats-Sequence: "));
            let Some(sequence) = sequence else { break };
            let sequence = sequence.parse().expect("sequences are numbers");
            found.insert(
                sequence,
                String::from_utf8(payload).expect("all messages are text"),
            );
            next = sequence + 1;
        }
        raw.send(b"UNSUB all\r\n").await;
    }
    found
}

/// Fills the stream before the first kill.
async fn fill(broker: &Broker, messages: usize) {
    let client = async_nats::connect(broker.nats.to_string()).await.unwrap();
    let context = jetstream::new(client);
    let body = "x".repeat(2048);
    let mut last = None;
    for number in 0..messages {
        last = Some(
            context
                .publish(format!("load.{}", number % 10), body.clone().into())
                .await
                .unwrap(),
        );
    }
    if let Some(ack) = last {
        ack.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_messages_survive_kills_under_load() {
    let (kills, messages) = (setting("KILLS", 20), setting("MESSAGES", 0));
    let mut broker = Broker::start().await;
    let config = json!({ "name": "LOAD", "subjects": ["load.*"], "allow_direct": true });
    ask(
        &mut connect(&broker).await,
        "$JS.API.STREAM.CREATE.LOAD",
        &config,
    )
    .await;
    fill(&broker, messages).await;
    let mut acknowledged = BTreeMap::new();
    let mut slowest = Duration::ZERO;
    for round in 0..kills {
        let (sender, mut acks) = mpsc::unbounded_channel();
        let mut publishers = JoinSet::new();
        for publisher in 0..PUBLISHERS {
            let name = format!("{round}-{publisher}");
            publishers.spawn(publish(broker.nats, name, sender.clone()));
        }
        drop(sender);
        // The kill lands at another place of the work each time.
        for _ in 0..ACKNOWLEDGED_PER_ROUND + round % 97 {
            let ack = tokio::time::timeout(PATIENCE, acks.recv()).await;
            let (sequence, text) = ack
                .expect("acknowledgements come")
                .expect("publishers live");
            let before = acknowledged.insert(sequence, text);
            assert_eq!(before, None, "sequence {sequence} was given out twice");
        }
        broker.kill9().await;
        while publishers.join_next().await.is_some() {}
        while let Some((sequence, text)) = acks.recv().await {
            acknowledged.insert(sequence, text);
        }
        let start = Instant::now();
        broker.restart().await;
        ask(
            &mut connect(&broker).await,
            "$JS.API.STREAM.INFO.LOAD",
            &json!({}),
        )
        .await;
        slowest = slowest.max(start.elapsed());
    }
    let found = stored(&broker).await;
    for (sequence, text) in &acknowledged {
        assert_eq!(
            found.get(sequence),
            Some(text),
            "sequence {sequence} of {}",
            found.len()
        );
    }
    assert!(slowest < READY, "ready again after {slowest:?}");
}

#[tokio::test]
async fn stock_client_with_default_options_never_gives_up() {
    let mut broker = Broker::start().await;
    let (events, mut seen) = mpsc::unbounded_channel();
    let client = async_nats::ConnectOptions::new()
        .event_callback(move |event| {
            let events = events.clone();
            async move { drop(events.send(event)) }
        })
        .connect(broker.nats.to_string())
        .await
        .unwrap();
    let context = jetstream::new(client);
    let config = stream::Config {
        name: "LOAD".to_owned(),
        subjects: vec!["load.*".to_owned()],
        ..stream::Config::default()
    };
    context.create_stream(config).await.unwrap();
    let mut acknowledged = Vec::new();
    for round in 0..5 {
        let ack = eventually("a message is acknowledged", || async {
            let ack = context
                .publish("load.a", format!("{round}").into())
                .await
                .ok()?;
            ack.await.ok()
        })
        .await;
        acknowledged.push(ack.sequence);
        broker.kill9().await;
        broker.restart().await;
    }
    let stream = eventually("the stream is there", || async {
        context.get_stream("LOAD").await.ok()
    })
    .await;
    for (round, sequence) in acknowledged.into_iter().enumerate() {
        let message = stream.get_raw_message(sequence).await.unwrap();
        assert_eq!(message.payload, round.to_string());
    }
    while let Ok(event) = seen.try_recv() {
        assert!(!matches!(event, Event::Closed), "the client gave up");
    }
}
