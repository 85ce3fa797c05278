//! Consumers: pull, push, ordered; every kind of acknowledgement and limit.

use std::time::Duration;

use async_nats::jetstream::AckKind;
use async_nats::jetstream::consumer::{
    self, AckPolicy, DeliverPolicy, PriorityPolicy, PullConsumer, PushConsumer, ReplayPolicy, pull,
    push,
};
use async_nats::jetstream::stream::{self, RetentionPolicy};
use futures_util::{StreamExt, TryStreamExt};
use harness::eventually;
use time::OffsetDateTime;

use crate::{Fixture, seconds, take, text, texts};

fn durable(name: &str) -> pull::Config {
    pull::Config {
        durable_name: Some(name.to_owned()),
        ..pull::Config::default()
    }
}

#[tokio::test]
async fn every_member_of_a_configuration_comes_back() {
    let fixture = Fixture::start().await;
    let stream = fixture.stream(0).await;
    let config = pull::Config {
        name: Some("c".to_owned()),
        description: Some("about".to_owned()),
        deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: 3 },
        ack_policy: AckPolicy::Explicit,
        ack_wait: seconds(1),
        max_deliver: 5,
        filter_subjects: vec!["s.a".to_owned(), "s.b".to_owned()],
        replay_policy: ReplayPolicy::Original,
        sample_frequency: 50,
        max_waiting: 7,
        max_ack_pending: 9,
        headers_only: true,
        max_batch: 11,
        max_bytes: 1500,
        max_expires: seconds(13),
        inactive_threshold: seconds(17),
        num_replicas: 1,
        memory_storage: true,
        backoff: vec![seconds(1), seconds(2)],
        ..durable("c")
    };
    stream.create_consumer(config.clone()).await.unwrap();
    let stored = stream.consumer_info("c").await.unwrap().config;
    let expected = consumer::IntoConsumerConfig::into_consumer_config(config);
    let mut stored = serde_json::to_value(&stored).unwrap();
    stored.as_object_mut().unwrap().remove("metadata");
    let mut expected = serde_json::to_value(&expected).unwrap();
    expected.as_object_mut().unwrap().remove("metadata");
    assert_eq!(stored, expected);
}

#[tokio::test]
async fn consumers_are_created_updated_listed_and_deleted() {
    let fixture = Fixture::start().await;
    let stream = fixture.stream(1).await;
    stream.create_consumer_strict(durable("a")).await.unwrap();
    stream
        .create_consumer_strict(pull::Config {
            description: Some("other".to_owned()),
            ..durable("a")
        })
        .await
        .unwrap_err();
    stream
        .update_consumer(durable("nothing"))
        .await
        .unwrap_err();
    stream.create_consumer(durable("b")).await.unwrap();
    let mut names: Vec<String> = stream.consumer_names().try_collect().await.unwrap();
    names.sort();
    assert_eq!(names, ["a", "b"]);
    let infos: Vec<consumer::Info> = stream.consumers().try_collect().await.unwrap();
    assert!(infos.iter().all(|info| info.num_pending == 1));
    assert!(stream.delete_consumer("a").await.unwrap().success);
    stream.consumer_info("a").await.unwrap_err();
}

#[tokio::test]
async fn pulling_in_every_way() {
    let fixture = Fixture::start().await;
    let stream = fixture.stream(10).await;
    let consumer: PullConsumer = stream.create_consumer(durable("c")).await.unwrap();
    let mut fetched = consumer.fetch().max_messages(3).messages().await.unwrap();
    let first = take(&mut fetched, 3).await;
    assert_eq!(texts(&first), ["0", "1", "2"]);
    let info = first[2].info().unwrap();
    assert_eq!(
        (info.stream_sequence, info.delivered, info.pending),
        (3, 1, 7)
    );
    for message in &first {
        message.double_ack().await.unwrap();
    }
    let mut batch = consumer
        .batch()
        .max_messages(2)
        .expires(seconds(5))
        .messages()
        .await
        .unwrap();
    for message in take(&mut batch, 2).await {
        message.ack().await.unwrap();
    }
    let mut messages = consumer
        .stream()
        .max_messages_per_batch(2)
        .heartbeat(Duration::from_millis(500))
        .expires(seconds(5))
        .messages()
        .await
        .unwrap();
    let rest = take(&mut messages, 5).await;
    assert_eq!(texts(&rest), ["5", "6", "7", "8", "9"]);
    fixture.publish("s.0", "late").await;
    assert_eq!(texts(&take(&mut messages, 1).await), ["late"]);
    drop(messages);
    let mut empty = consumer.fetch().max_messages(3).messages().await.unwrap();
    assert!(empty.next().await.is_none());
    let bytes: PullConsumer = stream.create_consumer(durable("bytes")).await.unwrap();
    let mut some = bytes
        .fetch()
        .max_messages(10)
        .max_bytes(150)
        .messages()
        .await
        .unwrap();
    let mut count = 0;
    while let Some(Ok(_)) = some.next().await {
        count += 1;
    }
    assert!((1..10).contains(&count), "{count}");
}

#[tokio::test]
async fn every_kind_of_acknowledgement() {
    let fixture = Fixture::start().await;
    let stream = fixture.stream(5).await;
    let consumer: PullConsumer = stream.create_consumer(durable("c")).await.unwrap();
    let mut messages = consumer.messages().await.unwrap();
    let given = take(&mut messages, 5).await;
    given[0].ack().await.unwrap();
    given[3].ack_with(AckKind::Progress).await.unwrap();
    given[4].double_ack_with(AckKind::Term).await.unwrap();
    given[1].ack_with(AckKind::Nak(None)).await.unwrap();
    let again = take(&mut messages, 1).await.remove(0);
    assert_eq!(
        (text(&again), again.info().unwrap().delivered),
        ("1".to_owned(), 2)
    );
    again.double_ack().await.unwrap();
    given[2]
        .ack_with(AckKind::Nak(Some(Duration::from_millis(200))))
        .await
        .unwrap();
    let later = take(&mut messages, 1).await.remove(0);
    assert_eq!(text(&later), "2");
    later.double_ack().await.unwrap();
    given[3].double_ack().await.unwrap();
    let info = consumer.get_info().await.unwrap();
    assert_eq!(
        (info.num_ack_pending, info.ack_floor.stream_sequence),
        (0, 5)
    );
}

#[tokio::test]
async fn backoff_max_deliver_and_max_ack_pending() {
    let fixture = Fixture::start().await;
    let stream = fixture.stream(2).await;
    let consumer: PullConsumer = stream
        .create_consumer(pull::Config {
            backoff: vec![Duration::from_millis(200), Duration::from_millis(300)],
            max_deliver: 3,
            max_ack_pending: 1,
            ..durable("c")
        })
        .await
        .unwrap();
    let mut messages = consumer.messages().await.unwrap();
    let seen: Vec<(String, i64)> = take(&mut messages, 4)
        .await
        .iter()
        .map(|message| (text(message), message.info().unwrap().delivered))
        .collect();
    let expected = [("0", 1), ("0", 2), ("0", 3), ("1", 1)];
    assert_eq!(seen, expected.map(|(text, count)| (text.to_owned(), count)));
}

#[tokio::test]
async fn every_deliver_policy_and_filter() {
    let fixture = Fixture::start().await;
    let stream = fixture.stream(6).await;
    let policy = |deliver_policy| pull::Config {
        deliver_policy,
        filter_subject: "s.*".to_owned(),
        ..pull::Config::default()
    };
    let start_time = OffsetDateTime::UNIX_EPOCH;
    let cases = [
        (
            policy(DeliverPolicy::All),
            vec!["0", "1", "2", "3", "4", "5"],
        ),
        (policy(DeliverPolicy::Last), vec!["5"]),
        (policy(DeliverPolicy::LastPerSubject), vec!["4", "5"]),
        (
            policy(DeliverPolicy::ByStartSequence { start_sequence: 5 }),
            vec!["4", "5"],
        ),
        (
            policy(DeliverPolicy::ByStartTime { start_time }),
            vec!["0", "1", "2", "3", "4", "5"],
        ),
        (
            pull::Config {
                filter_subjects: vec!["s.1".to_owned(), "s.9".to_owned()],
                ..pull::Config::default()
            },
            vec!["1", "3", "5"],
        ),
    ];
    for (config, expected) in cases {
        let consumer = stream.create_consumer(config).await.unwrap();
        let mut messages = consumer
            .batch()
            .max_messages(expected.len())
            .messages()
            .await
            .unwrap();
        assert_eq!(texts(&take(&mut messages, expected.len()).await), expected);
    }
    let consumer = stream
        .create_consumer(policy(DeliverPolicy::New))
        .await
        .unwrap();
    fixture.publish("s.0", "new").await;
    let mut messages = consumer.messages().await.unwrap();
    assert_eq!(texts(&take(&mut messages, 1).await), ["new"]);
}

#[tokio::test]
async fn pushed_with_flow_control_and_heartbeats() {
    let fixture = Fixture::start().await;
    let stream = fixture.stream(0).await;
    let consumer: PushConsumer = stream
        .create_consumer(push::Config {
            deliver_subject: "deliver".to_owned(),
            flow_control: true,
            idle_heartbeat: Duration::from_millis(300),
            ack_policy: AckPolicy::None,
            ..push::Config::default()
        })
        .await
        .unwrap();
    let mut messages = consumer.messages().await.unwrap();
    let body = "x".repeat(10_000);
    for _ in 0..300 {
        fixture
            .context
            .publish("s.0", body.clone().into())
            .await
            .unwrap();
    }
    let sequences: Vec<u64> = take(&mut messages, 300)
        .await
        .iter()
        .map(|message| message.info().unwrap().stream_sequence)
        .collect();
    assert_eq!(sequences, (1..=300).collect::<Vec<u64>>());
}

#[tokio::test]
async fn queue_group_shares() {
    let fixture = Fixture::start().await;
    let stream = fixture.stream(100).await;
    let consumer: PushConsumer = stream
        .create_consumer(push::Config {
            deliver_subject: "deliver".to_owned(),
            deliver_group: Some("workers".to_owned()),
            durable_name: Some("c".to_owned()),
            ..push::Config::default()
        })
        .await
        .unwrap();
    let (one, two) = (
        consumer.messages().await.unwrap(),
        consumer.messages().await.unwrap(),
    );
    let mut both = futures_util::stream::select(one, two);
    let mut sequences: Vec<u64> = Vec::new();
    for message in take(&mut both, 100).await {
        message.ack().await.unwrap();
        sequences.push(message.info().unwrap().stream_sequence);
    }
    sequences.sort_unstable();
    assert_eq!(sequences, (1..=100).collect::<Vec<u64>>());
}

#[tokio::test]
async fn ordered_pull_and_push() {
    let fixture = Fixture::start().await;
    let stream = fixture.stream(30).await;
    let expected: Vec<String> = (0..30).map(|number| number.to_string()).collect();
    let pull = stream
        .create_consumer(pull::OrderedConfig::default())
        .await
        .unwrap();
    let mut messages = pull.messages().await.unwrap();
    assert_eq!(texts(&take(&mut messages, 30).await), expected);
    let push = stream
        .create_consumer(push::OrderedConfig {
            deliver_subject: fixture.context.client().new_inbox(),
            ..push::OrderedConfig::default()
        })
        .await
        .unwrap();
    let mut messages = push.messages().await.unwrap();
    assert_eq!(texts(&take(&mut messages, 30).await), expected);
    fixture.publish("s.0", "live").await;
    assert_eq!(texts(&take(&mut messages, 1).await), ["live"]);
}

#[tokio::test]
async fn ordered_consumer_goes_on_after_a_kill() {
    let mut fixture = Fixture::start().await;
    let stream = fixture.stream(5).await;
    let consumer = stream
        .create_consumer(pull::OrderedConfig::default())
        .await
        .unwrap();
    let mut messages = consumer.messages().await.unwrap();
    take(&mut messages, 5).await;
    fixture.broker.kill9().await;
    fixture.broker.restart().await;
    eventually("publishing works again", || async {
        let ack = fixture.context.publish("s.0", "after".into()).await.ok()?;
        ack.await.ok()
    })
    .await;
    // The client reports that heartbeats were missed and that it made the consumer again; then messages come.
    loop {
        match messages.next().await {
            Some(Ok(message)) => {
                assert_eq!(text(&message), "after");
                return;
            }
            Some(Err(_)) => {}
            None => panic!("the client gave up"),
        }
    }
}

#[tokio::test]
async fn pause_resume_and_reset() {
    let fixture = Fixture::start().await;
    let stream = fixture.stream(2).await;
    let consumer: PullConsumer = stream.create_consumer(durable("c")).await.unwrap();
    let until = OffsetDateTime::now_utc() + seconds(3600);
    assert!(stream.pause_consumer("c", until).await.unwrap().paused);
    let mut nothing = consumer
        .batch()
        .max_messages(1)
        .expires(Duration::from_millis(300))
        .messages()
        .await
        .unwrap();
    assert!(nothing.next().await.is_none());
    assert!(!stream.resume_consumer("c").await.unwrap().paused);
    let mut messages = consumer.batch().max_messages(2).messages().await.unwrap();
    for message in take(&mut messages, 2).await {
        message.double_ack().await.unwrap();
    }
    stream.reset_consumer("c", Some(2)).await.unwrap();
    let mut messages = consumer.batch().max_messages(1).messages().await.unwrap();
    assert_eq!(texts(&take(&mut messages, 1).await), ["1"]);
}

#[tokio::test]
async fn priority_groups() {
    let fixture = Fixture::start().await;
    let stream = fixture.stream(4).await;
    let group = |name: &str, priority_policy| pull::Config {
        priority_policy,
        priority_groups: vec!["g".to_owned()],
        ..durable(name)
    };
    let overflow = stream
        .create_consumer(group("o", PriorityPolicy::Overflow))
        .await
        .unwrap();
    let mut none = overflow
        .batch()
        .group("g")
        .min_pending(100)
        .max_messages(1)
        .expires(Duration::from_millis(300))
        .messages()
        .await
        .unwrap();
    assert!(none.next().await.is_none());
    let mut some = overflow
        .batch()
        .group("g")
        .min_pending(2)
        .max_messages(1)
        .messages()
        .await
        .unwrap();
    assert_eq!(texts(&take(&mut some, 1).await), ["0"]);
    let prioritized = stream
        .create_consumer(group("p", PriorityPolicy::Prioritized))
        .await
        .unwrap();
    let mut some = prioritized
        .fetch()
        .group("g")
        .priority(2)
        .max_messages(1)
        .messages()
        .await
        .unwrap();
    assert_eq!(texts(&take(&mut some, 1).await), ["0"]);
    let pinned = stream
        .create_consumer(group("pin", PriorityPolicy::PinnedClient))
        .await
        .unwrap();
    let mut messages = pinned.stream().group("g").messages().await.unwrap();
    assert_eq!(texts(&take(&mut messages, 2).await), ["0", "1"]);
    let state = pinned.get_info().await.unwrap().priority_groups;
    assert_eq!(state[0].group, "g");
    stream.unpin_consumer("pin", "g").await.unwrap();
    stream.unpin_consumer("pin", "other").await.unwrap_err();
}

#[tokio::test]
async fn work_queue_and_interest_retention() {
    let fixture = Fixture::start().await;
    for (name, retention, kept) in [
        ("W", RetentionPolicy::WorkQueue, 2),
        ("I", RetentionPolicy::Interest, 0),
    ] {
        let config = stream::Config {
            name: name.to_owned(),
            subjects: vec!["s.*".to_owned()],
            retention,
            ..stream::Config::default()
        };
        let stream = fixture.stream_of(config, 2).await;
        assert_eq!(stream.get_info().await.unwrap().state.messages, kept);
        let consumer: PullConsumer = stream.create_consumer(durable("c")).await.unwrap();
        fixture.publish("s.0", "wanted").await;
        let mut messages = consumer.messages().await.unwrap();
        for message in take(&mut messages, usize::try_from(kept).unwrap() + 1).await {
            message.double_ack().await.unwrap();
        }
        eventually("what is done is gone", || async {
            (stream.get_info().await.unwrap().state.messages == 0).then_some(())
        })
        .await;
        fixture.context.delete_stream(name).await.unwrap();
    }
}

#[tokio::test]
async fn headers_only_has_the_size() {
    let fixture = Fixture::start().await;
    let stream = fixture.stream(1).await;
    let consumer: PullConsumer = stream
        .create_consumer(pull::Config {
            headers_only: true,
            ..durable("c")
        })
        .await
        .unwrap();
    let mut messages = consumer.messages().await.unwrap();
    let message = take(&mut messages, 1).await.remove(0);
    assert!(message.payload.is_empty());
    let size = message
        .headers
        .as_ref()
        .unwrap()
        .get("Nats-Msg-Size")
        .unwrap();
    assert_eq!(size.as_str(), "1");
}
