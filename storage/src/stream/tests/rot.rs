//! Bits that flip in a file at rest are found, or do no harm.

use std::path::Path;

use crate::fault::{FaultDisk, random};
use crate::key::MasterKey;
use crate::stream::disk::DiskOptions;

use super::trouble::{DIR, path};
use super::*;

/// Flips of one kind of file.
const FLIPS: u64 = 1500;

fn store_on(disk: &FaultDisk, key: Option<&Arc<MasterKey>>) -> StreamStore {
    let options = StoreOptions {
        cipher: key.cloned(),
        disk: DiskOptions {
            files: Arc::new(disk.clone()),
            ..DiskOptions::default()
        },
        ..options(&HandClock::new())
    };
    StreamStore::open(Path::new(DIR), options).unwrap()
}

fn payload(n: u64) -> Vec<u8> {
    vec![n as u8; 300 + n as usize * 40]
}

fn cursor() -> Cursor {
    Cursor {
        ack_floor: Sequence(7),
        pending: vec![Pending::default(); 9],
        ..Cursor::default()
    }
}

/// A stream with something in every table.
async fn fill(disk: &FaultDisk, key: Option<&Arc<MasterKey>>) -> (StreamState, StreamConfig) {
    let store = store_on(disk, key);
    let mut config = StreamConfig::with_name("A");
    config.compression = key.is_some();
    let stream = store.create(config).await.unwrap();
    for n in 1..=40 {
        stream.append(Append::new("a", payload(n))).await.unwrap();
        stream.append(Append::new("b", payload(n))).await.unwrap();
        // Blocks of several messages, of which some go.
        let batch = (0..3).map(|_| Append::new("c", vec![1; 700])).collect();
        stream.append_all(batch).await.unwrap();
        stream.delete(Sequence(n * 5 - 1)).await.unwrap();
    }
    for name in ["one", "two", "three"] {
        stream.save_cursor(name, cursor()).await.unwrap();
        stream
            .save_consumer(name, Bytes::from_static(b"{}"))
            .await
            .unwrap();
    }
    stream.close().await.unwrap();
    (stream.state(), (*stream.config()).clone())
}

/// What a sequence holds.
fn held(sequence: u64) -> Option<Vec<u8>> {
    match sequence % 5 {
        1 | 2 => Some(payload(sequence / 5 + 1)),
        3 | 0 => Some(vec![1; 700]),
        _ => None,
    }
}

/// Reads everything; whatever can be read must be right.
async fn read(
    disk: &FaultDisk,
    key: Option<&Arc<MasterKey>>,
    expected: &(StreamState, StreamConfig),
) -> bool {
    let Ok(mut streams) = store_on(disk, key).open_all().await else {
        return false;
    };
    let stream = streams.remove(0);
    assert_eq!((stream.state(), (*stream.config()).clone()), *expected);
    let mut whole = true;
    let all = stream.read(
        Sequence(0),
        None,
        ReadLimit {
            messages: 1000,
            bytes: usize::MAX,
        },
    );
    match all.await {
        Ok(found) => {
            assert_eq!(found.len(), 160);
            for message in found {
                assert_eq!(
                    Some(&message.payload[..]),
                    held(message.sequence.0).as_deref()
                );
            }
        }
        Err(_) => {
            whole = false;
            for sequence in 1..=200 {
                if let Ok(found) = stream.message(Sequence(sequence)).await {
                    let found = found.map(|found| found.payload.to_vec());
                    assert_eq!(found, held(sequence));
                }
            }
        }
    }
    match stream.consumers().await {
        Ok(found) => {
            for consumer in &found {
                assert_eq!(&consumer.owner[..], b"{}");
                assert_eq!(consumer.cursor, Some(cursor()));
            }
            assert_eq!(found.len(), 3);
        }
        Err(_) => whole = false,
    }
    whole
}

async fn rot(key: Option<&Arc<MasterKey>>) {
    let disk = FaultDisk::default();
    let expected = fill(&disk, key).await;
    assert!(read(&disk, key, &expected).await);
    let bits = disk.file_len(&path()).unwrap() as u64 * 8;
    let mut chance = SystemClock.now();
    let (mut unseen, mut unopened) = (0, 0);
    for _ in 0..FLIPS {
        let bit = (random(&mut chance) % bits) as usize;
        let rotten = disk.copy();
        rotten.flip(&path(), bit);
        // A flip that a reader can not see is in a page that nobody uses, or redb's to find.
        if read(&rotten, key, &expected).await {
            unseen += 1;
        } else {
            unopened += 1;
        }
    }
    assert!(
        unopened > 0 && unseen > 0,
        "{unopened} were seen, {unseen} not"
    );
}

#[tokio::test]
async fn a_flipped_bit_never_gives_wrong_data() {
    rot(None).await;
}

#[tokio::test]
async fn a_flipped_bit_never_gives_wrong_data_in_a_sealed_file() {
    rot(Some(&Arc::new(MasterKey::from_bytes([5; 32])))).await;
}

#[tokio::test]
async fn a_sealed_file_shows_nothing_and_asks_for_its_key() {
    let one = Arc::new(MasterKey::from_bytes([1; 32]));
    let two = Arc::new(MasterKey::from_bytes([2; 32]));
    let disk = FaultDisk::default();
    let store = store_on(&disk, Some(&one));
    let mut config = StreamConfig::with_name("A");
    config.owner = "owner-of-the-stream".to_owned();
    let stream = store.create(config).await.unwrap();
    stream
        .append(text("secret-subject", "secret-payload"))
        .await
        .unwrap();
    stream
        .append(Append::new("secret-subject", "secret-payload".repeat(200)))
        .await
        .unwrap();
    stream
        .save_consumer("secret-consumer", Bytes::from_static(b"secret-owner"))
        .await
        .unwrap();
    stream
        .save_cursor("secret-consumer", cursor())
        .await
        .unwrap();
    stream.close().await.unwrap();
    let content = disk.content(&path()).unwrap();
    for secret in [&b"secret"[..], b"owner-of-the-stream"] {
        assert!(!content.windows(secret.len()).any(|part| part == secret));
    }
    let missing = store_on(&disk, None).open_all().await.unwrap_err();
    assert!(matches!(missing, Error::KeyMissing { .. }), "{missing}");
    assert!(missing.to_string().contains("A.redb"), "{missing}");
    let differs = store_on(&disk, Some(&two)).open_all().await.unwrap_err();
    assert!(matches!(differs, Error::KeyDiffers { .. }), "{differs}");
    let stream = store_on(&disk, Some(&one))
        .open_all()
        .await
        .unwrap()
        .remove(0);
    assert_eq!(stream.state().messages, 2);
    let consumers = stream.consumers().await.unwrap();
    assert_eq!(consumers[0].name, "secret-consumer");
    assert_eq!(consumers[0].cursor, Some(cursor()));
    assert_eq!(
        stream.cursor("secret-consumer").await.unwrap(),
        Some(cursor())
    );
    assert!(stream.remove_consumer("secret-consumer").await.unwrap());
    assert_eq!(stream.cursors().await.unwrap(), []);
}

#[tokio::test]
async fn a_plain_file_stays_plain_when_a_key_comes() {
    let disk = FaultDisk::default();
    let store = store_on(&disk, None);
    let stream = store.create(StreamConfig::with_name("A")).await.unwrap();
    stream.append(text("a", "readable")).await.unwrap();
    stream.close().await.unwrap();
    let key = Arc::new(MasterKey::from_bytes([1; 32]));
    let stream = store_on(&disk, Some(&key))
        .open_all()
        .await
        .unwrap()
        .remove(0);
    stream.append(text("a", "readable too")).await.unwrap();
    stream.close().await.unwrap();
    let stream = store_on(&disk, None).open_all().await.unwrap().remove(0);
    assert_eq!(stream.state().messages, 2);
}

#[tokio::test]
async fn a_compressed_stream_takes_less_room() {
    let mut sizes = Vec::new();
    for compression in [false, true] {
        let disk = FaultDisk::default();
        let store = store_on(&disk, None);
        let mut config = StreamConfig::with_name("A");
        config.compression = compression;
        let stream = store.create(config).await.unwrap();
        for n in 0..40_u64 {
            let payload = format!("the same words again and again {n} ").repeat(1000);
            stream.append(Append::new("a", payload)).await.unwrap();
        }
        let mut other = (*stream.config()).clone();
        other.compression = !compression;
        stream.inner.ask(Job::Rest).await.unwrap();
        sizes.push(stream.file_bytes());
        stream.update(other).await.unwrap();
        stream.append(text("a", "after")).await.unwrap();
        stream.close().await.unwrap();
        let stream = store_on(&disk, None).open_all().await.unwrap().remove(0);
        let found = stream.message(Sequence(40)).await.unwrap().unwrap();
        assert!(
            found
                .payload
                .starts_with(b"the same words again and again 39 ")
        );
        assert!(stream.message(Sequence(41)).await.unwrap().is_some());
    }
    assert!(sizes[1] * 2 < sizes[0], "{sizes:?}");
}
