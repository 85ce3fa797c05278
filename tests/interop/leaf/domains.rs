//! Streams of one side, used from the other side by the name of their domain.

use async_nats::jetstream::{self, consumer, stream};
use futures_util::StreamExt;
use harness::eventually;

use crate::links::answer_beyond;
use crate::site::{Kind, PAIRS, Plan, Site};

/// Makes a stream in `domain` from beyond the link, fills it from both sides and reads it back.
async fn use_stream(near: &Site, far: &Site, domain: &str, name: &str) {
    let (client, beyond) = (near.client().await, far.client().await);
    let remote = jetstream::with_domain(client.clone(), domain);
    let config = stream::Config {
        name: name.to_owned(),
        subjects: vec![format!("{name}.>")],
        ..stream::Config::default()
    };
    let stream = eventually("the API answers beyond the link", || async {
        remote.get_or_create_stream(config.clone()).await.ok()
    })
    .await;
    let local = jetstream::new(beyond);
    for number in 0..5 {
        let ack = local.publish(format!("{name}.{number}"), "near".into());
        ack.await.unwrap().await.unwrap();
    }
    let published = eventually("what is published beyond is stored", || async {
        let ack = remote.publish(format!("{name}.beyond"), "far".into()).await;
        ack.ok()?.await.ok()
    })
    .await;
    assert_eq!(published.domain, domain);
    let config = consumer::pull::Config {
        durable_name: Some("reader".to_owned()),
        ..consumer::pull::Config::default()
    };
    let consumer = stream.create_consumer(config).await.unwrap();
    let mut messages = consumer.messages().await.unwrap();
    for number in 0..5 {
        let message = messages.next().await.unwrap().unwrap();
        assert_eq!(message.subject.as_str(), format!("{name}.{number}"));
        message.double_ack().await.unwrap();
    }
    let direct = stream.get_raw_message(1).await.unwrap();
    assert_eq!(direct.subject.as_str(), format!("{name}.0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_are_used_across_domains() {
    for (hub_kind, edge_kind) in PAIRS {
        let plan = Plan {
            domain: Some("hub"),
            ..Plan::hub("HUB")
        };
        let hub = Site::start(hub_kind, plan).await;
        let plan = Plan {
            domain: Some("edge"),
            ..Plan::edge("EDGE", hub.leaves())
        };
        let edge = Site::start(edge_kind, plan).await;
        answer_beyond(&edge.client().await, &hub.client().await, "hub.echo").await;
        use_stream(&hub, &edge, "edge", "E").await;
        use_stream(&edge, &hub, "hub", "H").await;
        // What is asked without a domain stays at home.
        let names = jetstream::new(hub.client().await).stream_names();
        let names: Vec<_> = names.map(Result::unwrap).collect().await;
        assert_eq!(names, ["H"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn buckets_are_used_across_domains() {
    for (hub_kind, edge_kind) in PAIRS {
        let plan = Plan {
            domain: Some("hub"),
            ..Plan::hub("HUB")
        };
        let hub = Site::start(hub_kind, plan).await;
        let plan = Plan {
            domain: Some("edge"),
            ..Plan::edge("EDGE", hub.leaves())
        };
        let edge = Site::start(edge_kind, plan).await;
        answer_beyond(&edge.client().await, &hub.client().await, "hub.echo").await;
        let remote = jetstream::with_domain(edge.client().await, "hub");
        let config = jetstream::kv::Config {
            bucket: "settings".to_owned(),
            ..jetstream::kv::Config::default()
        };
        let bucket = eventually("the API answers beyond the link", || async {
            remote.create_key_value(config.clone()).await.ok()
        })
        .await;
        bucket.put("colour", "green".into()).await.unwrap();
        let found = bucket.get("colour").await.unwrap().expect("it is there");
        assert_eq!(&found[..], b"green");
        let home = jetstream::new(hub.client().await);
        let bucket = home.get_key_value("settings").await.unwrap();
        let found = bucket.get("colour").await.unwrap().expect("it is there");
        assert_eq!(&found[..], b"green");
        let _ = Kind::Ours;
    }
}
