//! Key-value buckets.

use async_nats::jetstream::kv::{
    Config, CreateErrorKind, Entry, Operation, Store, UpdateErrorKind, Watch,
};
use async_nats::jetstream::stream::{Source, StorageType};
use futures_util::TryStreamExt;
use harness::eventually;

use crate::{Fixture, seconds, take};

async fn bucket(fixture: &Fixture, config: Config) -> Store {
    fixture
        .context
        .create_key_value(Config {
            bucket: "bucket".to_owned(),
            ..config
        })
        .await
        .unwrap()
}

fn seen(entry: &Entry) -> (String, String, Operation) {
    let value = String::from_utf8_lossy(&entry.value).into_owned();
    (entry.key.clone(), value, entry.operation)
}

/// Key, value and operation, to compare with [`seen`].
fn is(key: &str, value: &str, operation: Operation) -> (String, String, Operation) {
    (key.to_owned(), value.to_owned(), operation)
}

async fn first(mut watch: Watch, count: usize) -> Vec<(String, String, Operation)> {
    take(&mut watch, count).await.iter().map(seen).collect()
}

#[tokio::test]
async fn bucket_and_its_status() {
    let fixture = Fixture::start().await;
    let store = bucket(
        &fixture,
        Config {
            description: "about".to_owned(),
            history: 5,
            max_age: seconds(3600),
            max_value_size: 100,
            max_bytes: 10_000,
            storage: StorageType::Memory,
            compression: true,
            ..Config::default()
        },
    )
    .await;
    store.put("a", "1".into()).await.unwrap();
    // The client keeps what it learned of the stream when it made the bucket.
    let again = fixture.context.get_key_value("bucket").await.unwrap();
    let status = again.status().await.unwrap();
    assert_eq!(
        (status.bucket(), status.values(), status.history()),
        ("bucket", 1, 5)
    );
    assert_eq!(status.max_age(), seconds(3600));
    store.put("big", "x".repeat(200).into()).await.unwrap_err();
    assert_eq!(again.get("a").await.unwrap().unwrap(), "1");
    let updated = Config {
        bucket: "bucket".to_owned(),
        description: "changed".to_owned(),
        history: 6,
        storage: StorageType::Memory,
        ..Config::default()
    };
    fixture.context.update_key_value(updated).await.unwrap();
    fixture.context.delete_key_value("bucket").await.unwrap();
    fixture.context.get_key_value("bucket").await.unwrap_err();
}

#[tokio::test]
async fn put_get_update_delete_purge() {
    let fixture = Fixture::start().await;
    let store = bucket(
        &fixture,
        Config {
            history: 10,
            ..Config::default()
        },
    )
    .await;
    assert!(store.get("a").await.unwrap().is_none());
    assert_eq!(store.put("a", "1".into()).await.unwrap(), 1);
    assert_eq!(store.update("a", "2".into(), 1).await.unwrap(), 2);
    let refused = store.update("a", "3".into(), 1).await.unwrap_err();
    assert_eq!(refused.kind(), UpdateErrorKind::WrongLastRevision);
    assert_eq!(
        store
            .entry_for_revision("a", 1)
            .await
            .unwrap()
            .unwrap()
            .value,
        "1"
    );
    store
        .delete_expect_revision("a", Some(1))
        .await
        .unwrap_err();
    store.delete("a").await.unwrap();
    assert!(store.get("a").await.unwrap().is_none());
    let history: Vec<Entry> = store
        .history("a")
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    let history: Vec<_> = history.iter().map(seen).collect();
    let expected = [
        is("a", "1", Operation::Put),
        is("a", "2", Operation::Put),
        is("a", "", Operation::Delete),
    ];
    assert_eq!(history, expected);
    store.purge("a").await.unwrap();
    let history: Vec<Entry> = store
        .history("a")
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    assert_eq!(
        history.iter().map(seen).collect::<Vec<_>>(),
        [is("a", "", Operation::Purge)]
    );
    store.purge_expect_revision("a", Some(1)).await.unwrap_err();
}

#[tokio::test]
async fn created_only_when_not_there() {
    let fixture = Fixture::start().await;
    let store = bucket(
        &fixture,
        Config {
            history: 5,
            ..Config::default()
        },
    )
    .await;
    assert_eq!(store.create("a", "1".into()).await.unwrap(), 1);
    let refused = store.create("a", "2".into()).await.unwrap_err();
    assert_eq!(refused.kind(), CreateErrorKind::AlreadyExists);
    store.delete("a").await.unwrap();
    assert_eq!(store.create("a", "3".into()).await.unwrap(), 3);
    store.purge("a").await.unwrap();
    assert_eq!(store.create("a", "4".into()).await.unwrap(), 5);
}

#[tokio::test]
async fn keys_without_the_deleted() {
    let fixture = Fixture::start().await;
    let store = bucket(&fixture, Config::default()).await;
    for key in ["a", "b.c", "gone"] {
        store.put(key, "x".into()).await.unwrap();
    }
    store.delete("gone").await.unwrap();
    let mut keys: Vec<String> = store.keys().await.unwrap().try_collect().await.unwrap();
    keys.sort();
    assert_eq!(keys, ["a", "b.c"]);
}

#[tokio::test]
async fn watching_in_every_way() {
    let fixture = Fixture::start().await;
    let store = bucket(
        &fixture,
        Config {
            history: 5,
            ..Config::default()
        },
    )
    .await;
    for (key, value) in [("a.x", "1"), ("a.x", "2"), ("a.y", "3")] {
        store.put(key, value.into()).await.unwrap();
    }
    store.delete("a.y").await.unwrap();
    store.put("b", "4".into()).await.unwrap();
    let (put, delete) = (Operation::Put, Operation::Delete);
    assert_eq!(
        first(store.watch_with_history("a.*").await.unwrap(), 2).await,
        [is("a.x", "2", put), is("a.y", "", delete)]
    );
    assert_eq!(
        first(
            store.watch_many_with_history(["a.x", "b"]).await.unwrap(),
            2
        )
        .await,
        [is("a.x", "2", put), is("b", "4", put)]
    );
    assert_eq!(
        first(store.watch_from_revision("a.*", 2).await.unwrap(), 3).await,
        [
            is("a.x", "2", put),
            is("a.y", "3", put),
            is("a.y", "", delete)
        ]
    );
    assert_eq!(
        first(store.watch_all_from_revision(5).await.unwrap(), 1).await,
        [is("b", "4", put)]
    );
    let (one, all) = (
        store.watch("new").await.unwrap(),
        store.watch_all().await.unwrap(),
    );
    let many = store.watch_many(["new", "other"]).await.unwrap();
    store.put("new", "5".into()).await.unwrap();
    for watch in [one, all, many] {
        assert_eq!(first(watch, 1).await, [is("new", "5", put)]);
    }
}

#[tokio::test]
async fn keys_age_and_leave_a_marker() {
    let fixture = Fixture::start().await;
    let store = bucket(
        &fixture,
        Config {
            limit_markers: Some(seconds(60)),
            ..Config::default()
        },
    )
    .await;
    let watch = store.watch_all().await.unwrap();
    store
        .create_with_ttl("a", "x".into(), seconds(1))
        .await
        .unwrap();
    assert_eq!(
        first(watch, 2).await,
        [is("a", "x", Operation::Put), is("a", "", Operation::Purge)]
    );
    assert!(store.get("a").await.unwrap().is_none());
    store.create("a", "again".into()).await.unwrap();
    store.purge_with_ttl("a", seconds(1)).await.unwrap();
    eventually("the tombstone is gone", || async {
        store.entry("a").await.unwrap().is_none().then_some(())
    })
    .await;
}

#[tokio::test]
async fn mirrored_bucket() {
    let fixture = Fixture::start().await;
    let origin = bucket(&fixture, Config::default()).await;
    origin.put("a", "1".into()).await.unwrap();
    let mirror = fixture
        .context
        .create_key_value(Config {
            bucket: "mirror".to_owned(),
            mirror: Some(Source {
                name: "bucket".to_owned(),
                ..Source::default()
            }),
            mirror_direct: true,
            ..Config::default()
        })
        .await
        .unwrap();
    // This client looks for the keys of a mirror under the mirror's own name unless it is in another domain.
    let message = eventually("the mirror has it", || async {
        mirror
            .stream
            .get_last_raw_message_by_subject("$KV.bucket.a")
            .await
            .ok()
    })
    .await;
    assert_eq!(message.payload, "1");
}
