//! Object stores.

use async_nats::jetstream::object_store::{
    Config, GetErrorKind, InfoErrorKind, ObjectMetadata, ObjectStore, UpdateMetadata,
};
use futures_util::TryStreamExt;
use tokio::io::AsyncReadExt;

use crate::{Fixture, seconds, take};

async fn store(fixture: &Fixture, bucket: &str) -> ObjectStore {
    let config = Config {
        bucket: bucket.to_owned(),
        max_age: seconds(3600),
        ..Config::default()
    };
    fixture.context.create_object_store(config).await.unwrap()
}

async fn put(store: &ObjectStore, name: &str, mut body: &[u8]) {
    store.put(name, &mut body).await.unwrap();
}

async fn get(store: &ObjectStore, name: &str) -> Vec<u8> {
    let mut body = Vec::new();
    let mut object = store.get(name).await.unwrap();
    object.read_to_end(&mut body).await.unwrap();
    body
}

#[tokio::test]
async fn put_get_replace_delete() {
    let fixture = Fixture::start().await;
    let store = store(&fixture, "bucket").await;
    let absent = store.get("a file").await.err().unwrap();
    assert_eq!(absent.kind(), GetErrorKind::NotFound);
    put(&store, "a file", b"hello").await;
    assert_eq!(get(&store, "a file").await, b"hello");
    put(&store, "a file", b"hello again").await;
    assert_eq!(get(&store, "a file").await, b"hello again");
    let stream = fixture.context.get_stream("OBJ_bucket").await.unwrap();
    assert_eq!(stream.cached_info().state.messages, 2);
    store.delete("a file").await.unwrap();
    assert!(store.info("a file").await.unwrap().deleted);
    fixture.context.delete_object_store("bucket").await.unwrap();
    fixture
        .context
        .get_object_store("bucket")
        .await
        .err()
        .unwrap();
}

#[tokio::test]
async fn large_object_in_chunks() {
    let fixture = Fixture::start().await;
    let store = store(&fixture, "bucket").await;
    let body: Vec<u8> = (0..5 * 1024 * 1024 + 17_u32)
        .map(|n| (n % 251) as u8)
        .collect();
    put(&store, "large", &body).await;
    assert_eq!(store.info("large").await.unwrap().chunks, 41);
    assert!(
        get(&store, "large").await == body,
        "what comes back is what was put"
    );
    let small = ObjectMetadata {
        name: "small chunks".to_owned(),
        chunk_size: Some(100),
        ..ObjectMetadata::default()
    };
    let info = store.put(small, &mut &body[..1000]).await.unwrap();
    assert_eq!((info.chunks, info.size), (10, 1000));
    assert!(get(&store, "small chunks").await == body[..1000]);
    put(&store, "empty", b"").await;
    assert_eq!(get(&store, "empty").await, b"");
}

#[tokio::test]
async fn metadata_is_kept_and_updated() {
    let fixture = Fixture::start().await;
    let store = store(&fixture, "bucket").await;
    let described = ObjectMetadata {
        name: "a".to_owned(),
        description: Some("first".to_owned()),
        metadata: [("k".to_owned(), "v".to_owned())].into(),
        ..ObjectMetadata::default()
    };
    store.put(described, &mut &b"x"[..]).await.unwrap();
    let info = store.info("a").await.unwrap();
    assert_eq!(info.description.as_deref(), Some("first"));
    assert_eq!(info.metadata.get("k").map(String::as_str), Some("v"));
    let renamed = UpdateMetadata {
        name: "b".to_owned(),
        description: Some("second".to_owned()),
        ..UpdateMetadata::default()
    };
    store.update_metadata("a", renamed).await.unwrap();
    assert_eq!(
        store.info("a").await.unwrap_err().kind(),
        InfoErrorKind::NotFound
    );
    assert_eq!(
        store.info("b").await.unwrap().description.as_deref(),
        Some("second")
    );
    assert_eq!(get(&store, "b").await, b"x");
}

#[tokio::test]
async fn links_to_objects_and_stores() {
    let fixture = Fixture::start().await;
    let (one, other) = (store(&fixture, "one").await, store(&fixture, "other").await);
    put(&one, "target", b"linked").await;
    let target = one.get("target").await.unwrap();
    other.add_link("link", &target).await.unwrap();
    assert_eq!(get(&other, "link").await, b"linked");
    let link = other.add_bucket_link("store", "one").await.unwrap();
    assert!(link.options.unwrap().link.is_some());
}

#[tokio::test]
async fn list_and_watch() {
    let fixture = Fixture::start().await;
    let store = store(&fixture, "bucket").await;
    for name in ["a", "b", "c"] {
        put(&store, name, b"x").await;
    }
    store.delete("b").await.unwrap();
    let listed: Vec<_> = store.list().await.unwrap().try_collect().await.unwrap();
    let mut names: Vec<String> = listed.into_iter().map(|info| info.name).collect();
    names.sort();
    assert_eq!(names, ["a", "c"]);
    let mut everything = store.watch_with_history().await.unwrap();
    assert_eq!(take(&mut everything, 3).await.len(), 3);
    let mut news = store.watch().await.unwrap();
    put(&store, "d", b"x").await;
    assert_eq!(take(&mut news, 1).await[0].name, "d");
}

#[tokio::test]
async fn sealed_for_ever() {
    let fixture = Fixture::start().await;
    let mut store = store(&fixture, "bucket").await;
    put(&store, "a", b"for ever").await;
    store.seal().await.unwrap();
    assert_eq!(get(&store, "a").await, b"for ever");
    store.put("b", &mut &b"x"[..]).await.unwrap_err();
    store.delete("a").await.unwrap_err();
}
