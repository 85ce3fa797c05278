//! Streams from outside: both stores against a naive model, reopening, limits of the queue.

mod checking;
mod cursors;
mod derive;
mod format;
mod journal;
mod model;
mod power;
mod readers;
mod rot;
mod trouble;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::*;

const SECOND: u64 = 1_000_000_000;

/// A clock that stands still until it is moved.
pub(super) struct HandClock(AtomicU64);

impl HandClock {
    pub(super) fn new() -> Arc<Self> {
        Self::at(1_000_000 * SECOND)
    }

    pub(super) fn at(nanos: u64) -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(nanos)))
    }

    pub(super) fn advance(&self, nanos: u64) {
        self.0.fetch_add(nanos, Ordering::Relaxed);
    }
}

impl Clock for HandClock {
    fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

pub(super) fn options(clock: &Arc<HandClock>) -> StoreOptions {
    StoreOptions {
        clock: clock.clone(),
        ..StoreOptions::default()
    }
}

async fn texts(stream: &Stream) -> Vec<String> {
    let limit = ReadLimit::messages(1000);
    let messages = stream.read(Sequence(0), None, limit).await.unwrap();
    let text = |m: StoredMessage| format!("{}:{}", m.sequence, String::from_utf8_lossy(&m.payload));
    messages.into_iter().map(text).collect()
}

fn text(subject: &'static str, payload: &'static str) -> Append {
    Append::new(subject, payload)
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let clock = HandClock::new();
    let store = StreamStore::open(dir.path(), options(&clock)).unwrap();
    let mut config = StreamConfig::with_name("CHAT");
    config.subjects = vec!["chat.>".into()];
    let stream = store.create(config).await.unwrap();
    let mut first = text("chat.a", "one");
    first.headers = Bytes::from_static(b"NATS/1.0\r\nA: b\r\n\r\n");
    first.message_id = Some(Bytes::from_static(b"id-1"));
    let one = stream.append(first.clone()).await.unwrap();
    assert_eq!((one.sequence, one.duplicate), (Sequence(1), false));
    stream.append(text("chat.b", "two")).await.unwrap();
    stream
        .append(Append::new("chat.a", vec![7; 100_000]))
        .await
        .unwrap();
    stream
        .save_cursor(
            "worker",
            Cursor {
                ack_floor: Sequence(2),
                ..Cursor::default()
            },
        )
        .await
        .unwrap();
    assert!(stream.delete(Sequence(2)).await.unwrap());
    assert!(!stream.delete(Sequence(2)).await.unwrap());
    let state = stream.state();
    store.shutdown().await;
    assert!(matches!(
        stream.append(text("chat.a", "x")).await,
        Err(AppendError::Closed)
    ));
    drop(stream);

    let store = StreamStore::open(dir.path(), options(&clock)).unwrap();
    let stream = store.open_all().await.unwrap().remove(0);
    assert_eq!(stream.state(), state);
    assert_eq!(stream.config().subjects, ["chat.>"]);
    let message = stream.message(Sequence(1)).await.unwrap().unwrap();
    assert_eq!(message.headers, first.headers);
    assert_eq!(&message.payload[..], b"one");
    assert_eq!(stream.message(Sequence(2)).await.unwrap(), None);
    let last = stream.last_for_subject(b"chat.a").await.unwrap().unwrap();
    assert_eq!((last.sequence, last.payload.len()), (Sequence(3), 100_000));
    assert_eq!(
        stream.cursor("worker").await.unwrap().unwrap().ack_floor,
        Sequence(2)
    );
    assert_eq!(stream.cursors().await.unwrap().len(), 1);
    assert!(stream.remove_cursor("worker").await.unwrap());
    assert!(!stream.remove_cursor("worker").await.unwrap());
    let again = stream.append(first).await.unwrap();
    assert_eq!((again.sequence, again.duplicate), (Sequence(1), true));
    assert_eq!(again.timestamp, one.timestamp);
    assert!(store.remove("CHAT").await.unwrap());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    store.create(StreamConfig::with_name("CHAT")).await.unwrap();
    assert!(matches!(
        store.create(StreamConfig::with_name("CHAT")).await,
        Err(Error::StreamExists { .. })
    ));
}

#[tokio::test]
async fn sequences_are_not_reused_after_a_purge_and_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let clock = HandClock::new();
    let store = StreamStore::open(dir.path(), options(&clock)).unwrap();
    let stream = store.create(StreamConfig::with_name("A")).await.unwrap();
    assert_eq!(stream.state(), StreamState::default());
    for _ in 0..5 {
        stream.append(text("a", "x")).await.unwrap();
    }
    assert_eq!(stream.purge(Purge::default()).await.unwrap(), 5);
    let emptied = stream.state();
    assert_eq!(
        (emptied.first, emptied.last, emptied.messages),
        (Sequence(6), Sequence(5), 0)
    );
    store.shutdown().await;
    drop(stream);
    let store = StreamStore::open(dir.path(), options(&clock)).unwrap();
    let stream = store.open_all().await.unwrap().remove(0);
    assert_eq!(stream.state(), emptied);
    assert_eq!(
        stream.append(text("a", "y")).await.unwrap().sequence,
        Sequence(6)
    );
}

#[tokio::test]
async fn messages_expire_by_age_and_by_their_own_life_time() {
    for storage in [StorageKind::Disk, StorageKind::Memory] {
        let dir = tempfile::tempdir().unwrap();
        let clock = HandClock::new();
        let store = StreamStore::open(dir.path(), options(&clock)).unwrap();
        let mut config = StreamConfig::with_name("A");
        config.storage = storage;
        config.age_max = Some(Duration::from_secs(10));
        config.duplicate_window = Duration::from_secs(5);
        config.allow_message_ttl = true;
        let stream = store.create(config).await.unwrap();
        let with_ttl = |payload, ttl| Append {
            ttl: Some(ttl),
            ..text("a", payload)
        };
        stream
            .append(with_ttl("never", Duration::MAX))
            .await
            .unwrap();
        stream
            .append(with_ttl("soon", Duration::from_secs(2)))
            .await
            .unwrap();
        stream.append(text("a", "old")).await.unwrap();
        clock.advance(3 * SECOND);
        stream.expire().await.unwrap();
        assert_eq!(texts(&stream).await, ["1:never", "3:old"]);
        stream.append(text("a", "young")).await.unwrap();
        clock.advance(8 * SECOND);
        stream.expire().await.unwrap();
        assert_eq!(texts(&stream).await, ["1:never", "4:young"]);
    }
}

#[tokio::test]
async fn expected_state_is_checked_before_the_duplicate() {
    let dir = tempfile::tempdir().unwrap();
    let store = StreamStore::open(dir.path(), options(&HandClock::new())).unwrap();
    let stream = store.create(StreamConfig::with_name("A")).await.unwrap();
    let expecting = |expected| Append {
        expected,
        ..text("a", "x")
    };
    let last = |n| Expected {
        last_sequence: Some(Sequence(n)),
        ..Expected::default()
    };
    let subject = |n| Expected {
        last_subject_sequence: Some(Sequence(n)),
        ..Expected::default()
    };
    stream.append(expecting(subject(0))).await.unwrap();
    assert!(matches!(
        stream.append(expecting(subject(0))).await,
        Err(AppendError::WrongLastSubjectSequence { last: Sequence(1) })
    ));
    stream.append(expecting(last(1))).await.unwrap();
    let wrong = stream.append(expecting(last(1))).await.unwrap_err();
    assert_eq!(wrong.to_string(), "wrong last sequence: 2");
    let id = |id: &'static str, expected| Append {
        message_id: Some(Bytes::from_static(id.as_bytes())),
        ..expecting(expected)
    };
    stream.append(id("one", Expected::default())).await.unwrap();
    assert!(stream.append(id("one", last(2))).await.is_err());
    assert!(
        stream
            .append(id("one", Expected::default()))
            .await
            .unwrap()
            .duplicate
    );
    let id_expected = |id: &'static str| Expected {
        last_message_id: Some(Bytes::from_static(id.as_bytes())),
        ..Expected::default()
    };
    assert!(stream.append(expecting(id_expected("two"))).await.is_err());
    stream.append(expecting(id_expected("one"))).await.unwrap();
    stream.append(expecting(id_expected(""))).await.unwrap();
    let filter = |filter: &str, n| Expected {
        last_subject_filter: SubjectPattern::parse(filter),
        ..subject(n)
    };
    stream.append(expecting(filter("*", 5))).await.unwrap();
    stream.append(expecting(filter("b.>", 0))).await.unwrap();
}

#[tokio::test]
async fn a_batch_is_one_commit_with_a_result_each() {
    let dir = tempfile::tempdir().unwrap();
    let store = StreamStore::open(dir.path(), options(&HandClock::new())).unwrap();
    let mut config = StreamConfig::with_name("A");
    config.message_bytes_max = Some(3);
    let stream = store.create(config).await.unwrap();
    let (send, receive) = tokio::sync::oneshot::channel();
    let batch = vec![text("a", "one"), text("a", "four"), text("b", "two")];
    stream
        .submit(batch, move |results| send.send(results).unwrap())
        .unwrap();
    let results = receive.await.unwrap();
    assert_eq!(results[0].as_ref().unwrap().sequence, Sequence(1));
    assert!(matches!(
        results[1],
        Err(AppendError::MessageTooLarge {
            len_bytes: 4,
            max_bytes: 3
        })
    ));
    assert_eq!(results[2].as_ref().unwrap().sequence, Sequence(2));
    assert_eq!(*stream.last_sequence().borrow(), Sequence(2));
    assert_eq!(texts(&stream).await, ["1:one", "2:two"]);
}

#[tokio::test]
async fn a_full_queue_gives_the_batch_back() {
    let mut queue = queue::Queue::default();
    let batch = |n| vec![text("a", "x"); n];
    let job = |n| Job::Append(batch(n), Box::new(|_| {}));
    assert!(
        queue.push(job(queue::QUEUE_APPENDS_MAX + 1)).is_ok(),
        "an empty queue takes any job"
    );
    assert!(!queue.has_room(&batch(1)));
    assert!(queue.push(job(1)).is_err());
    assert_eq!(queue.take().len(), 1);
    assert!(queue.has_room(&batch(1)));
}

#[tokio::test]
async fn interval_sync_is_kept_through_an_orderly_end() {
    let dir = tempfile::tempdir().unwrap();
    let clock = HandClock::new();
    let store = StreamStore::open(dir.path(), options(&clock)).unwrap();
    let mut config = StreamConfig::with_name("A");
    config.sync = SyncPolicy::Interval(Duration::from_secs(3600));
    let stream = store.create(config).await.unwrap();
    let sync_due = || stream.inner.sync_due.load(Ordering::Acquire);
    assert_eq!(sync_due(), u64::MAX);
    stream.append(text("a", "x")).await.unwrap();
    let due = clock.now() + 3600 * SECOND;
    clock.advance(SECOND);
    stream.append(text("a", "y")).await.unwrap();
    assert_eq!(sync_due(), due, "the first unsynced commit counts");
    assert!(stream.inner.rearm(true) <= due);
    stream.flush().await.unwrap();
    assert_eq!(sync_due(), u64::MAX);
    store.shutdown().await;
    drop(stream);
    let store = StreamStore::open(dir.path(), options(&clock)).unwrap();
    let stream = store.open_all().await.unwrap().remove(0);
    assert_eq!(texts(&stream).await, ["1:x", "2:y"]);
}

#[tokio::test]
async fn long_names_have_files_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let store = StreamStore::open(dir.path(), options(&HandClock::new())).unwrap();
    let names = ["\u{e9}".repeat(127), "\u{e9}".repeat(126) + "e"];
    for name in &names {
        let stream = store.create(StreamConfig::with_name(name)).await.unwrap();
        stream.append(text("a", "x")).await.unwrap();
    }
    store.shutdown().await;
    let store = StreamStore::open(dir.path(), options(&HandClock::new())).unwrap();
    let opened = store.open_all().await.unwrap();
    let mut found: Vec<String> = opened.iter().map(|s| s.config().name.clone()).collect();
    found.sort_unstable();
    let mut names = names.to_vec();
    names.sort_unstable();
    assert_eq!(found, names);
    assert!(store.remove(&names[0]).await.unwrap());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn sequences_do_not_run_out() {
    let dir = tempfile::tempdir().unwrap();
    let store = StreamStore::open(dir.path(), options(&HandClock::new())).unwrap();
    let stream = store.create(StreamConfig::with_name("A")).await.unwrap();
    let mut far = text("a", "x");
    far.place = Some(Place {
        sequence: Sequence(u64::MAX),
        timestamp: 1,
    });
    assert!(matches!(
        stream.append(far).await,
        Err(AppendError::WrongPlace { .. })
    ));
    let purge = Purge {
        before: Some(Sequence(u64::MAX)),
        ..Purge::default()
    };
    stream.purge(purge).await.unwrap();
    let appended = stream.append(text("a", "x")).await.unwrap();
    assert_eq!(appended.sequence, Sequence(1));
}

/// Where every client waits for its acknowledgement, a commit waits for all of them.
#[tokio::test(flavor = "multi_thread")]
async fn clients_with_one_message_in_flight_share_commits() {
    let dir = tempfile::tempdir().unwrap();
    let store = StreamStore::open(dir.path(), StoreOptions::default()).unwrap();
    let stream = store.create(StreamConfig::with_name("A")).await.unwrap();
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..8 {
        let stream = stream.clone();
        clients.spawn(async move {
            for _ in 0..20 {
                let subject = format!("s.{client}");
                stream.append(Append::new(subject, "x")).await.unwrap();
            }
        });
    }
    while let Some(ended) = clients.join_next().await {
        ended.unwrap();
    }
    assert_eq!(stream.state().messages, 160);
}
