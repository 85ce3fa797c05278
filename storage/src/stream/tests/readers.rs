//! What readers promise beyond what the model can show: who is woken, and what a failure changes.

use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use crate::fault::{FaultDisk, SyncFault};

use super::*;

/// Whether a reader is told of a change right now.
async fn is_told(reader: &mut Reader) -> bool {
    let told = tokio::time::timeout(Duration::ZERO, reader.changed());
    told.await.is_ok()
}

async fn numbers(reader: &mut Reader, messages: usize) -> Vec<u64> {
    let read = reader.next(ReadLimit::messages(messages)).await.unwrap();
    read.iter().map(|message| message.sequence.0).collect()
}

fn only(filter: &str) -> Vec<SubjectPattern> {
    vec![SubjectPattern::parse(filter).unwrap()]
}

async fn stream() -> (tempfile::TempDir, Stream) {
    let dir = tempfile::tempdir().unwrap();
    let store = StreamStore::open(dir.path(), options(&HandClock::new())).unwrap();
    let stream = store.create(StreamConfig::with_name("A")).await.unwrap();
    (dir, stream)
}

#[tokio::test]
async fn only_readers_that_match_are_woken() {
    let (_dir, stream) = stream().await;
    stream.append(text("met.before", "x")).await.unwrap();
    let start = ReaderStart::Sequence(Sequence(0));
    let mut all = stream.reader(Vec::new(), start);
    let mut a = stream.reader(only("a.*"), start);
    let mut b = stream.reader(only("b"), start);
    stream.append(text("a.1", "x")).await.unwrap();
    assert!(is_told(&mut all).await && is_told(&mut a).await);
    assert!(!is_told(&mut b).await && !is_told(&mut a).await);
    let mut late = stream.reader(only("*.1"), start);
    assert_eq!(late.pending(), 1);
    stream.append(text("a.1", "x")).await.unwrap();
    stream.append(text("c.1", "x")).await.unwrap();
    assert_eq!((a.pending(), late.pending()), (2, 3));
    assert!(is_told(&mut late).await);
    stream.delete(Sequence(2)).await.unwrap();
    assert!(is_told(&mut a).await, "what is ahead became less");
    assert_eq!(numbers(&mut a, 10).await, [3]);
    stream.delete(Sequence(3)).await.unwrap();
    assert!(!is_told(&mut a).await, "what was read does not matter");
    assert_eq!(numbers(&mut late, 1).await, [4]);
}

#[tokio::test]
async fn a_subject_that_takes_the_place_of_another_has_its_own_readers() {
    let (_dir, stream) = stream().await;
    let start = ReaderStart::Sequence(Sequence(0));
    let mut a = stream.reader(only("a"), start);
    let mut b = stream.reader(only("b"), start);
    stream.append(text("a", "x")).await.unwrap();
    stream.delete(Sequence(1)).await.unwrap();
    stream.append(text("b", "x")).await.unwrap();
    assert_eq!((a.pending(), b.pending()), (0, 1));
    assert_eq!(numbers(&mut a, 9).await, [0_u64; 0]);
    assert_eq!(numbers(&mut b, 9).await, [2]);
}

#[tokio::test]
async fn a_cancelled_read_loses_nothing() {
    let (_dir, stream) = stream().await;
    for _ in 0..3 {
        stream.append(text("a", "x")).await.unwrap();
    }
    let mut reader = loop {
        lock(&stream.inner.tail).clear();
        let mut reader = stream.reader(Vec::new(), ReaderStart::Sequence(Sequence(0)));
        let polled = {
            let mut context = Context::from_waker(Waker::noop());
            let next = pin!(reader.next(ReadLimit::messages(2)));
            next.poll(&mut context)
        };
        // The file has to be read, which the first poll seldom sees done.
        if polled.is_pending() {
            break reader;
        }
    };
    assert_eq!((reader.pending(), reader.position()), (3, Sequence(1)));
    stream.delete(Sequence(1)).await.unwrap();
    assert_eq!(numbers(&mut reader, 5).await, [2]);
    assert_eq!(numbers(&mut reader, 5).await, [3]);
}

#[tokio::test]
async fn the_end_of_the_stream_wakes_its_readers() {
    let (_dir, stream) = stream().await;
    let mut reader = stream.reader(only("a"), ReaderStart::LastPerSubject);
    assert!(!is_told(&mut reader).await);
    stream.close().await.unwrap();
    assert!(is_told(&mut reader).await);
    let ended = reader.next(ReadLimit::messages(1)).await;
    assert!(matches!(ended, Err(Error::Closed)));
}

#[tokio::test]
async fn readers_of_a_large_stream_see_everything_once() {
    let (_dir, stream) = stream().await;
    let total = 30_000_u64;
    for part in 0..total / 1000 {
        let batch = (0..1000).map(|n| {
            let subject = format!("s.{}", (part * 1000 + n) % 100);
            Append::new(subject, vec![1; 100])
        });
        stream.append_all(batch.collect()).await.unwrap();
    }
    for (filter, stride) in [(">", 1), ("s.7", 100), ("s.*", 1)] {
        // Half of it from the file.
        lock(&stream.inner.tail).clear();
        let mut reader = stream.reader(only(filter), ReaderStart::Sequence(Sequence(1)));
        assert_eq!(reader.pending(), total / stride);
        let mut next = if stride == 1 { 1 } else { 8 };
        while reader.pending() > 0 {
            for sequence in numbers(&mut reader, 999).await {
                assert_eq!(sequence, next);
                next += stride;
            }
        }
        assert!(next > total);
    }
}

#[tokio::test]
async fn a_failed_commit_is_not_counted() {
    let disk = FaultDisk::default();
    let mut config = StreamConfig::with_name("A");
    config.messages_per_subject_max = Some(1);
    let stream = super::trouble::created(&disk, &HandClock::new(), config).await;
    for subject in ["a", "b"] {
        stream.append(text(subject, "x")).await.unwrap();
    }
    let mut lasts = stream.reader(Vec::new(), ReaderStart::LastPerSubject);
    let mut a = stream.reader(only("a"), ReaderStart::Sequence(Sequence(0)));
    disk.fail_sync(SyncFault::Always);
    // Replaces message 1 in the index, and is taken back.
    stream.append(text("a", "y")).await.unwrap_err();
    let mut held = Vec::new();
    for sequence in 1..=3 {
        let message = stream.message(Sequence(sequence)).await.unwrap();
        held.extend(message.map(|message| message.sequence.0));
    }
    assert!(is_told(&mut a).await);
    assert_eq!(lasts.pending(), 2);
    assert_eq!(a.pending(), 1);
    assert_eq!(numbers(&mut lasts, 9).await.len(), 2);
    let a = numbers(&mut a, 9).await;
    assert!(held.contains(&a[0]), "{a:?} of {held:?}");
}
