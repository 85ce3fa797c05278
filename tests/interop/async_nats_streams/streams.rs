//! Streams: configuration, messages, limits, publishing.

use async_nats::header::HeaderMap;
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{CreateStreamErrorKind, GetStreamErrorKind, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{
    self, Compression, ConsumerLimits, DirectGetErrorKind, DiscardPolicy, Republish,
    RetentionPolicy, Source, StorageType, SubjectTransform,
};
use futures_util::{StreamExt, TryStreamExt};
use harness::eventually;

use crate::{Fixture, seconds};

#[tokio::test]
async fn every_member_of_a_configuration_comes_back() {
    let fixture = Fixture::start().await;
    let config = stream::Config {
        name: "S".to_owned(),
        description: Some("about".to_owned()),
        subjects: vec!["s.>".to_owned()],
        retention: RetentionPolicy::Limits,
        max_consumers: 3,
        max_messages: 100,
        max_bytes: 100_000,
        max_age: seconds(60),
        max_messages_per_subject: 5,
        max_message_size: 1000,
        discard: DiscardPolicy::New,
        discard_new_per_subject: true,
        storage: StorageType::Memory,
        num_replicas: 1,
        duplicate_window: seconds(30),
        allow_rollup: true,
        deny_delete: true,
        allow_direct: true,
        first_sequence: Some(10),
        compression: Some(Compression::S2),
        subject_transform: Some(SubjectTransform {
            source: "s.*".to_owned(),
            destination: "s.x.{{wildcard(1)}}".to_owned(),
        }),
        republish: Some(Republish {
            source: "s.>".to_owned(),
            destination: "again.>".to_owned(),
            headers_only: true,
        }),
        consumer_limits: Some(ConsumerLimits {
            inactive_threshold: seconds(10),
            max_ack_pending: 7,
        }),
        allow_message_ttl: true,
        allow_atomic_publish: true,
        subject_delete_marker_ttl: Some(seconds(2)),
        metadata: [("owner".to_owned(), "tests".to_owned())].into(),
        ..stream::Config::default()
    };
    fixture.context.create_stream(config.clone()).await.unwrap();
    let mut stored = fixture
        .context
        .get_stream("S")
        .await
        .unwrap()
        .cached_info()
        .config
        .clone();
    assert_eq!(
        stored.metadata.get("owner").map(String::as_str),
        Some("tests")
    );
    stored
        .metadata
        .retain(|name, _| !name.starts_with("_nats."));
    assert_eq!(stored, config);
}

#[tokio::test]
async fn streams_are_created_updated_listed_and_deleted() {
    let fixture = Fixture::start().await;
    let context = &fixture.context;
    let config = stream::Config {
        name: "S".to_owned(),
        subjects: vec!["s.*".to_owned()],
        ..stream::Config::default()
    };
    context.create_stream(&config).await.unwrap();
    context.create_stream(&config).await.unwrap();
    context.get_or_create_stream(&config).await.unwrap();
    let other = stream::Config {
        subjects: vec!["t.*".to_owned()],
        ..config.clone()
    };
    let refused = context.create_stream(&other).await.unwrap_err();
    let CreateStreamErrorKind::JetStream(refused) = refused.kind() else {
        panic!("{refused}");
    };
    assert_eq!(refused.error_code(), ErrorCode::STREAM_NAME_EXIST);
    let updated = context
        .update_stream(&stream::Config {
            max_messages: 2,
            ..config.clone()
        })
        .await
        .unwrap();
    assert_eq!(updated.config.max_messages, 2);
    for number in 0..3 {
        fixture.publish("s.a", &number.to_string()).await;
    }
    assert_eq!(context.stream_by_subject("s.a").await.unwrap(), "S");
    let names: Vec<String> = context.stream_names().try_collect().await.unwrap();
    assert_eq!(names, ["S"]);
    let infos: Vec<stream::Info> = context.streams().try_collect().await.unwrap();
    assert_eq!(
        (infos[0].state.messages, infos[0].state.first_sequence),
        (2, 2)
    );
    let stream = context.get_stream("S").await.unwrap();
    let mut subjects = stream.info_with_subjects(">").await.unwrap();
    assert_eq!(
        subjects.next().await.unwrap().unwrap(),
        ("s.a".to_owned(), 2)
    );
    assert!(context.delete_stream("S").await.unwrap().success);
    let gone = context.get_stream("S").await.unwrap_err();
    let GetStreamErrorKind::JetStream(gone) = gone.kind() else {
        panic!("{gone}");
    };
    assert_eq!(gone.error_code(), ErrorCode::STREAM_NOT_FOUND);
    assert_eq!(context.query_account().await.unwrap().streams, 0);
}

#[tokio::test]
async fn messages_are_got_and_deleted() {
    let fixture = Fixture::start().await;
    let stream = fixture.stream(4).await;
    assert_eq!(stream.get_raw_message(1).await.unwrap().payload, "0");
    assert_eq!(
        stream
            .get_last_raw_message_by_subject("s.0")
            .await
            .unwrap()
            .sequence,
        3
    );
    assert_eq!(
        stream
            .get_first_raw_message_by_subject("s.1", 3)
            .await
            .unwrap()
            .sequence,
        4
    );
    assert_eq!(
        stream
            .get_next_raw_message_by_subject("s.1")
            .await
            .unwrap()
            .sequence,
        2
    );
    assert_eq!(stream.direct_get(2).await.unwrap().payload, "1");
    assert_eq!(
        stream
            .direct_get_last_for_subject("s.0")
            .await
            .unwrap()
            .sequence,
        3
    );
    assert_eq!(
        stream
            .direct_get_first_for_subject("s.1")
            .await
            .unwrap()
            .sequence,
        2
    );
    assert_eq!(
        stream
            .direct_get_next_for_subject("s.1", Some(3))
            .await
            .unwrap()
            .sequence,
        4
    );
    let absent = stream.direct_get(99).await.unwrap_err();
    assert_eq!(absent.kind(), DirectGetErrorKind::NotFound);
    assert!(stream.delete_message(2).await.unwrap());
    stream.delete_message(2).await.unwrap_err();
    stream.get_raw_message(2).await.unwrap_err();
}

#[tokio::test]
async fn purges_by_subject_sequence_and_number() {
    let fixture = Fixture::start().await;
    let stream = fixture.stream(9).await;
    assert_eq!(stream.purge().filter("s.0").await.unwrap().purged, 5);
    assert_eq!(stream.purge().sequence(4).await.unwrap().purged, 1);
    assert_eq!(stream.purge().keep(1).await.unwrap().purged, 2);
    assert_eq!(
        stream.purge().filter("s.1").keep(1).await.unwrap().purged,
        0
    );
    assert_eq!(stream.purge().await.unwrap().purged, 1);
    let state = stream.get_info().await.unwrap().state;
    assert_eq!(
        (state.messages, state.first_sequence, state.last_sequence),
        (0, 10, 9)
    );
}

#[tokio::test]
async fn publishing_with_every_option() {
    let fixture = Fixture::start().await;
    fixture
        .stream_of(
            stream::Config {
                name: "S".to_owned(),
                subjects: vec!["s.*".to_owned()],
                allow_message_ttl: true,
                ..stream::Config::default()
            },
            0,
        )
        .await;
    let send = async |message: PublishMessage| {
        let message = message.payload("x".into());
        fixture
            .context
            .send_publish("s.a", message)
            .await
            .unwrap()
            .await
    };
    let first = send(PublishMessage::build().message_id("one"))
        .await
        .unwrap();
    assert_eq!((first.sequence, first.duplicate), (1, false));
    let again = send(PublishMessage::build().message_id("one"))
        .await
        .unwrap();
    assert_eq!((again.sequence, again.duplicate), (1, true));
    let refused = send(PublishMessage::build().expected_last_sequence(7))
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), PublishErrorKind::WrongLastSequence);
    let refused = send(PublishMessage::build().expected_last_subject_sequence(7))
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), PublishErrorKind::WrongLastSequence);
    let refused = send(PublishMessage::build().expected_last_message_id("two"))
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), PublishErrorKind::WrongLastMessageId);
    send(PublishMessage::build().expected_stream("T"))
        .await
        .unwrap_err();
    send(
        PublishMessage::build()
            .expected_stream("S")
            .expected_last_message_id("one"),
    )
    .await
    .unwrap();
    send(PublishMessage::build().ttl(seconds(1))).await.unwrap();
    let stream = fixture.context.get_stream("S").await.unwrap();
    eventually("the one with a time to live is gone", || async {
        (stream.get_info().await.unwrap().state.messages == 2).then_some(())
    })
    .await;
    let nobody = fixture
        .context
        .publish("nobody", "x".into())
        .await
        .unwrap()
        .await
        .unwrap_err();
    assert_eq!(nobody.kind(), PublishErrorKind::StreamNotFound);
}

#[tokio::test]
async fn thousand_in_flight() {
    let fixture = Fixture::start().await;
    let stream = fixture.stream(0).await;
    let mut acks = Vec::new();
    for number in 0..1000 {
        let subject = format!("s.{}", number % 7);
        acks.push(fixture.context.publish(subject, "x".into()).await.unwrap());
    }
    let mut sequences = Vec::new();
    for ack in acks {
        sequences.push(ack.await.unwrap().sequence);
    }
    assert_eq!(sequences, (1..=1000).collect::<Vec<u64>>());
    assert_eq!(stream.get_info().await.unwrap().state.messages, 1000);
}

#[tokio::test]
async fn rollup_counters_and_atomic_batches_by_their_headers() {
    let fixture = Fixture::start().await;
    let config = stream::Config {
        name: "S".to_owned(),
        subjects: vec!["s.*".to_owned()],
        allow_rollup: true,
        allow_atomic_publish: true,
        ..stream::Config::default()
    };
    let stream = fixture.stream_of(config, 4).await;
    let mut rollup = HeaderMap::new();
    rollup.insert("Nats-Rollup", "sub");
    fixture
        .context
        .publish_with_headers("s.0", rollup, "rolled".into())
        .await
        .unwrap()
        .await
        .unwrap();
    assert_eq!(stream.get_info().await.unwrap().state.messages, 3);
    let counters = stream::Config {
        name: "C".to_owned(),
        subjects: vec!["c.*".to_owned()],
        allow_message_counter: true,
        ..stream::Config::default()
    };
    fixture.context.create_stream(counters).await.unwrap();
    let mut increment = HeaderMap::new();
    increment.insert("Nats-Incr", "5");
    for expected in ["5", "10"] {
        let ack = fixture
            .context
            .publish_with_headers("c.a", increment.clone(), "".into())
            .await
            .unwrap()
            .await
            .unwrap();
        assert_eq!(ack.value.as_deref(), Some(expected));
    }
}

#[tokio::test]
async fn mirrors_sources_and_republished_copies() {
    let fixture = Fixture::start().await;
    let mut copies = fixture.context.client().subscribe("copy.>").await.unwrap();
    let origin = stream::Config {
        name: "S".to_owned(),
        subjects: vec!["s.*".to_owned()],
        republish: Some(Republish {
            source: "s.*".to_owned(),
            destination: "copy.{{wildcard(1)}}".to_owned(),
            headers_only: false,
        }),
        ..stream::Config::default()
    };
    fixture.stream_of(origin, 3).await;
    let copy = copies.next().await.unwrap();
    assert_eq!(copy.subject.as_str(), "copy.0");
    assert_eq!(
        copy.headers.unwrap().get("Nats-Sequence").unwrap().as_str(),
        "1"
    );
    let source = Source {
        name: "S".to_owned(),
        ..Source::default()
    };
    let mirror = stream::Config {
        name: "M".to_owned(),
        mirror: Some(source.clone()),
        ..stream::Config::default()
    };
    let sourced = stream::Config {
        name: "A".to_owned(),
        sources: Some(vec![Source {
            filter_subject: Some("s.1".to_owned()),
            ..source
        }]),
        ..stream::Config::default()
    };
    for (config, count) in [(mirror, 3), (sourced, 1)] {
        let stream = fixture.context.create_stream(config).await.unwrap();
        eventually("everything is copied", || async {
            (stream.get_info().await.unwrap().state.messages == count).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn everything_is_there_after_a_kill() {
    let mut fixture = Fixture::start().await;
    let stream = fixture.stream(10).await;
    fixture.broker.kill9().await;
    fixture.broker.restart().await;
    let state = eventually("the stream is there", || async {
        stream.get_info().await.ok().map(|info| info.state)
    })
    .await;
    assert_eq!((state.messages, state.last_sequence), (10, 10));
    let sequence = eventually("publishing works again", || async {
        let ack = fixture.context.publish("s.0", "new".into()).await.ok()?;
        Some(ack.await.ok()?.sequence)
    })
    .await;
    assert!(sequence >= 11);
}
