//! Disks that lose power, fail to sync, fill up or rot.

use std::collections::BTreeMap;

use crate::Error;
use crate::fault::{FaultDisk, SyncFault};

use super::*;

/// A store whose only stream lies on `disk`. The directory holds a stand-in for its name.
fn store_on(disk: &FaultDisk, dir: &std::path::Path, clock: &Arc<HandClock>) -> StreamStore {
    let disk = disk.clone();
    let options = StoreOptions {
        opener: Arc::new(move |_| Ok(Box::new(disk.clone()))),
        retry_at_once: true,
        ..options(clock)
    };
    StreamStore::open(dir, options).unwrap()
}

async fn reopened(disk: &FaultDisk, clock: &Arc<HandClock>) -> Result<Stream, Error> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("A.redb"), "").unwrap();
    let store = store_on(disk, dir.path(), clock);
    Ok(store.open_all().await?.remove(0))
}

async fn created(disk: &FaultDisk, clock: &Arc<HandClock>, config: StreamConfig) -> Stream {
    let dir = tempfile::tempdir().unwrap();
    store_on(disk, dir.path(), clock)
        .create(config)
        .await
        .unwrap()
}

fn config() -> StreamConfig {
    let mut config = StreamConfig::with_name("A");
    config.messages_per_subject_max = Some(2);
    config
}

/// What the script was promised: messages by sequence, and sequences that must be gone.
#[derive(Debug, Default)]
struct Promised {
    kept: BTreeMap<u64, Vec<u8>>,
    /// A removal was asked for and not answered: either outcome is right.
    doubtful: Vec<u64>,
    cursor: u64,
    last: u64,
}

/// Appends, deletes, saves cursors and purges until the power goes.
async fn script(stream: &Stream) -> Promised {
    let mut promised = Promised::default();
    for step in 0..24_u64 {
        let subject = format!("s.{}", step % 5);
        let payload = vec![step as u8; if step % 7 == 0 { 5000 } else { 40 }];
        let older: Vec<u64> = promised.kept.keys().copied().collect();
        match stream.append(Append::new(subject, payload.clone())).await {
            Ok(appended) => {
                promised.last = appended.sequence.0;
                promised.kept.insert(appended.sequence.0, payload);
                let of_subject = |sequence: &&u64| (**sequence - 1) % 5 == step % 5;
                let mates: Vec<u64> = promised.kept.keys().filter(of_subject).copied().collect();
                for replaced in &mates[..mates.len().saturating_sub(2)] {
                    promised.kept.remove(replaced);
                }
            }
            Err(_) => {
                promised.doubtful.extend(older);
                return promised;
            }
        }
        if step % 6 == 5 {
            let doomed = promised.last - 1;
            match stream.delete(Sequence(doomed)).await {
                Ok(_) => drop(promised.kept.remove(&doomed)),
                Err(_) => {
                    promised.doubtful.push(doomed);
                    return promised;
                }
            }
            let cursor = Cursor {
                ack_floor: Sequence(step),
                ..Cursor::default()
            };
            match stream.save_cursor("c", cursor).await {
                Ok(()) => promised.cursor = step,
                Err(_) => return promised,
            }
        }
    }
    promised
}

async fn check_after_cut(disk: &FaultDisk, promised: &Promised, clock: &Arc<HandClock>) {
    let stream = reopened(disk, clock).await.unwrap();
    let state = stream.state();
    assert!(state.last.0 >= promised.last, "{state:?} {promised:?}");
    for (sequence, payload) in &promised.kept {
        let found = stream.message(Sequence(*sequence)).await.unwrap();
        match found {
            Some(found) => assert_eq!(found.payload, payload),
            // A later, unanswered append may have replaced it.
            None => assert!(
                promised.doubtful.contains(sequence),
                "{sequence} {promised:?}"
            ),
        }
    }
    let read = stream
        .read(Sequence(0), None, ReadLimit::messages(100))
        .await
        .unwrap();
    assert_eq!(read.len() as u64, state.messages);
    for message in read {
        let unanswered = message.sequence.0 > promised.last;
        let known = promised.kept.contains_key(&message.sequence.0);
        assert!(unanswered || known || promised.doubtful.contains(&message.sequence.0));
    }
    let cursor = stream
        .cursor("c")
        .await
        .unwrap()
        .map_or(0, |cursor| cursor.ack_floor.0);
    assert!(cursor >= promised.cursor);
    let next = stream.append(text("after", "cut")).await.unwrap();
    assert!(next.sequence.0 > promised.last);
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_whenever_power_goes() {
    let clock = HandClock::new();
    let disk = FaultDisk::default();
    let stream = created(&disk, &clock, config()).await;
    let created_at = disk.writes();
    script(&stream).await;
    let total = disk.writes();
    assert!(total > created_at + 50, "the script writes");
    for cut in created_at + 1..=total {
        let disk = FaultDisk::default();
        let stream = created(&disk, &clock, config()).await;
        disk.cut_after(cut);
        let promised = script(&stream).await;
        for seed in 0..2 {
            check_after_cut(&disk.after_power_cut(cut * 31 + seed), &promised, &clock).await;
        }
    }
}

#[tokio::test]
async fn after_a_failed_sync_nothing_is_acknowledged_and_reads_go_on() {
    for fault in [SyncFault::Once, SyncFault::Always] {
        let clock = HandClock::new();
        let disk = FaultDisk::default();
        let stream = created(&disk, &clock, StreamConfig::with_name("A")).await;
        stream.append(text("a", "one")).await.unwrap();
        disk.fail_sync(fault);
        let failed = stream.append(text("a", "two")).await.unwrap_err();
        assert!(matches!(failed, AppendError::Storage(_)), "{failed}");
        let writes = disk.writes();
        for _ in 0..3 {
            let refused = stream.append(text("a", "three")).await;
            assert!(matches!(refused, Err(AppendError::Storage(_))));
        }
        assert!(stream.delete(Sequence(1)).await.is_err());
        assert_eq!(disk.writes(), writes, "the disk is left alone");
        let one = stream.message(Sequence(1)).await.unwrap().unwrap();
        assert_eq!(&one.payload[..], b"one");
        let found = stream.last_for_subject(b"a").await.unwrap().unwrap();
        assert!(found.sequence <= Sequence(2));
    }
}

#[tokio::test]
async fn a_full_disk_refuses_and_goes_on_when_there_is_room() {
    let clock = HandClock::new();
    let disk = FaultDisk::default();
    let stream = created(&disk, &clock, StreamConfig::with_name("A")).await;
    stream.append(text("a", "one")).await.unwrap();
    disk.set_capacity(Some(disk.len() + 100_000));
    let big = || Append::new("a", vec![1; 300_000]);
    let mut stored = 1;
    let refused = loop {
        match stream.append(big()).await {
            Ok(_) => stored += 1,
            Err(refused) => break refused,
        }
        assert!(stored < 100, "the disk fills up");
    };
    assert!(matches!(refused, AppendError::DiskFull), "{refused}");
    assert!(matches!(
        stream.append(big()).await,
        Err(AppendError::DiskFull)
    ));
    assert_eq!(stream.state().messages, stored);
    assert_eq!(
        &stream.message(Sequence(1)).await.unwrap().unwrap().payload[..],
        b"one"
    );
    disk.set_capacity(None);
    let appended = stream.append(big()).await.unwrap();
    assert_eq!(appended.sequence.0, stored + 1);
    stream.close().await.unwrap();
    let stream = reopened(&disk, &clock).await.unwrap();
    assert_eq!(stream.state().messages, stored + 1);
}

#[tokio::test]
async fn a_flipped_bit_never_gives_wrong_data() {
    let clock = HandClock::new();
    let disk = FaultDisk::default();
    let stream = created(&disk, &clock, StreamConfig::with_name("A")).await;
    let payload = |n: u64| vec![n as u8; 300 + n as usize * 40];
    for n in 1..=40 {
        stream.append(Append::new("a", payload(n))).await.unwrap();
    }
    stream.close().await.unwrap();
    let bits = disk.len() as usize * 8;
    for step in 0..150 {
        let bit = (step * 7_919_333) % bits;
        let rotten = disk.after_power_cut(0);
        rotten.flip(bit);
        let Ok(stream) = reopened(&rotten, &clock).await else {
            continue;
        };
        for n in 1..=40 {
            if let Ok(Some(found)) = stream.message(Sequence(n)).await {
                assert_eq!(found.payload, payload(n), "bit {bit}");
            }
        }
    }
}

#[tokio::test]
async fn a_damaged_file_is_named_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("A.redb");
    std::fs::write(&path, vec![b'x'; 10_000]).unwrap();
    let store = StreamStore::open(dir.path(), StoreOptions::default()).unwrap();
    let error = store.open_all().await.unwrap_err().to_string();
    assert!(error.contains("A.redb"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), vec![b'x'; 10_000]);
}

#[tokio::test]
async fn a_file_of_a_newer_version_is_refused() {
    let clock = HandClock::new();
    let disk = FaultDisk::default();
    let stream = created(&disk, &clock, StreamConfig::with_name("A")).await;
    stream.close().await.unwrap();
    let meta = redb::TableDefinition::<&str, &[u8]>::new("meta");
    let database = redb::Database::builder()
        .create_with_backend(disk.clone())
        .unwrap();
    let write = database.begin_write().unwrap();
    write
        .open_table(meta)
        .unwrap()
        .insert("format", &99_u32.to_be_bytes()[..])
        .unwrap();
    write.commit().unwrap();
    drop(database);
    assert!(matches!(
        reopened(&disk, &clock).await,
        Err(Error::NewerFormat {
            found: 99,
            supported: 1,
            ..
        })
    ));
}
