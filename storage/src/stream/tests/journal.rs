//! Commits that are in the journal and not in the database yet.

use std::path::{Path, PathBuf};

use redb::ReadableDatabase;

use crate::Error;
use crate::fault::{FaultDisk, SyncFault, random};
use crate::stream::disk::DiskOptions;
use crate::stream::files::{Files, WatchedFile};

use super::trouble::{DIR, path};
use super::*;

/// Flips of single bits.
const FLIPS: u64 = 3000;
const AREAS: &[u64] = &[32 * 1024];

fn store_options(disk: &FaultDisk) -> StoreOptions {
    StoreOptions {
        disk: DiskOptions {
            files: Arc::new(disk.clone()),
            journal_from_commits: 1,
            journal_areas: AREAS,
            ..DiskOptions::default()
        },
        retry_at_once: true,
        ..options(&HandClock::new())
    }
}

fn store_on(disk: &FaultDisk) -> StreamStore {
    StreamStore::open(Path::new(DIR), store_options(disk)).unwrap()
}

async fn created(disk: &FaultDisk, sync: SyncPolicy) -> Stream {
    let mut config = StreamConfig::with_name("A");
    config.sync = sync;
    store_on(disk).create(config).await.unwrap()
}

async fn reopened(disk: &FaultDisk) -> Result<Stream, Error> {
    Ok(store_on(disk).open_all().await?.remove(0))
}

fn journal() -> PathBuf {
    Path::new(DIR).join("A.journal")
}

/// Format number in the file.
fn format(disk: &FaultDisk) -> u32 {
    let file = WatchedFile::new(disk.copy().open(&path()).unwrap()).0;
    let database = redb::Database::builder().create_with_backend(file).unwrap();
    let meta = redb::TableDefinition::<&str, &[u8]>::new("meta");
    let meta = database.begin_read().unwrap().open_table(meta).unwrap();
    let row = meta.get("format").unwrap().unwrap();
    u32::from_be_bytes(row.value().try_into().unwrap())
}

/// A stream with so many messages, as a crash leaves it.
async fn crashed_with(messages: u64) -> FaultDisk {
    let disk = FaultDisk::default();
    let stream = created(&disk, SyncPolicy::Always).await;
    for n in 1..=messages {
        stream
            .append(Append::new("a", n.to_string()))
            .await
            .unwrap();
    }
    disk.after_power_cut(0)
}

fn numbers(to: u64) -> Vec<String> {
    (1..=to).map(|n| format!("{n}:{n}")).collect()
}

#[tokio::test]
async fn what_was_acknowledged_without_a_sync_survives_the_process() {
    let disk = FaultDisk::default();
    let stream = created(&disk, SyncPolicy::Interval(Duration::from_secs(120))).await;
    for n in 1..=40 {
        stream
            .append(Append::new("a", n.to_string()))
            .await
            .unwrap();
    }
    stream
        .save_cursor("worker", Cursor::default())
        .await
        .unwrap();
    // The process is gone and what it wrote is not.
    let stream = reopened(&disk.copy()).await.unwrap();
    assert_eq!(texts(&stream).await, numbers(40));
    assert_eq!(stream.cursors().await.unwrap().len(), 1);
    // The power is gone too: a part of it is lost, and only from the end.
    let stream = reopened(&disk.after_power_cut(0)).await.unwrap();
    let left = texts(&stream).await;
    assert_eq!(left, numbers(left.len() as u64));
}

#[tokio::test]
async fn a_journal_is_there_only_while_it_is_needed() {
    let disk = FaultDisk::default();
    let stream = created(&disk, SyncPolicy::Always).await;
    stream.append(text("a", "1")).await.unwrap();
    assert!(disk.exists(&journal()));
    assert_eq!(format(&disk), 3, "an earlier version must refuse it");
    stream.inner.ask(Job::Rest).await.unwrap();
    assert!(!disk.exists(&journal()));
    assert_eq!(format(&disk), 2);
    stream.append(text("a", "2")).await.unwrap();
    assert!(disk.exists(&journal()));
    let crashed = disk.after_power_cut(0);
    stream.close().await.unwrap();
    assert_eq!(disk.list(Path::new(DIR)).unwrap(), [path()]);
    assert_eq!(format(&disk), 2);
    let stream = reopened(&crashed).await.unwrap();
    assert_eq!(crashed.list(Path::new(DIR)).unwrap(), [path()]);
    assert_eq!(texts(&stream).await, numbers(2));
}

#[tokio::test]
async fn a_stream_that_is_removed_leaves_no_journal() {
    let disk = FaultDisk::default();
    let store = store_on(&disk);
    let stream = store.create(StreamConfig::with_name("A")).await.unwrap();
    stream.append(text("a", "1")).await.unwrap();
    assert!(store.remove("A").await.unwrap());
    assert!(disk.list(Path::new(DIR)).unwrap().is_empty());
    // Power went between the two files.
    drop(disk.open(&journal()).unwrap());
    assert!(store_on(&disk).open_all().await.unwrap().is_empty());
    assert!(disk.list(Path::new(DIR)).unwrap().is_empty());
}

#[tokio::test]
async fn a_flipped_bit_in_a_journal_is_found_or_does_no_harm() {
    // All in one area.
    let disk = crashed_with(7).await;
    let bits = disk.file_len(&journal()).unwrap() as u64 * 8;
    let mut chance = SystemClock.now();
    let (mut found, mut harmless) = (0, 0);
    for flip in 0..FLIPS {
        // Every bit of what comes before the edits of the first record, and some of all others.
        let bit = if flip < 36 * 8 {
            flip
        } else {
            random(&mut chance) % bits
        };
        let rotten = disk.copy();
        rotten.flip(&journal(), bit as usize);
        match reopened(&rotten).await {
            Ok(stream) => {
                assert_eq!(texts(&stream).await, numbers(7), "bit {bit}");
                harmless += 1;
            }
            Err(Error::Corrupt { .. }) => found += 1,
            Err(other) => panic!("bit {bit}: {other}"),
        }
    }
    assert!(
        found > 36 * 8 - 1 && harmless > 0,
        "{found} found, {harmless} not"
    );
}

#[tokio::test]
async fn a_doctor_tells_of_a_damaged_journal_and_gives_it_up() {
    let whole = crashed_with(5).await;
    let damages: [&dyn Fn(&FaultDisk); 3] = [
        // In the third record.
        &|disk| disk.flip(&journal(), (2 * 4096 + 100) * 8),
        &|disk| disk.remove(&journal()).unwrap(),
        &|disk| disk.open(&journal()).unwrap().set_len(100).unwrap(),
    ];
    for (damage, kept) in damages.iter().zip([2, 0, 0]) {
        let disk = whole.copy();
        damage(&disk);
        let refused = reopened(&disk).await.unwrap_err();
        assert!(matches!(refused, Error::Corrupt { .. }), "{refused}");
        let before = disk.content(&path()).unwrap();
        let found = check_file(&path(), &store_options(&disk), false).unwrap();
        assert!(found.to_string().contains("its journal"), "{found}");
        assert!(!found.is_whole());
        assert!(
            disk.content(&path()).unwrap() == before,
            "nothing is written"
        );
        let found = check_file(&path(), &store_options(&disk), true).unwrap();
        assert!(found.is_whole(), "{found}");
        let stream = reopened(&disk).await.unwrap();
        assert_eq!(texts(&stream).await, numbers(kept));
    }
    // A whole one costs a doctor nothing.
    let found = check_file(&path(), &store_options(&whole), false).unwrap();
    assert_eq!((found.messages, found.problems.len()), (5, 1), "{found}");
}

#[tokio::test]
async fn after_a_failed_sync_of_the_journal_nothing_is_acknowledged() {
    for fault in [SyncFault::Once, SyncFault::Always] {
        let disk = FaultDisk::default();
        let stream = created(&disk, SyncPolicy::Always).await;
        stream.append(text("a", "1")).await.unwrap();
        disk.fail_sync(fault);
        let failed = stream.append(text("a", "2")).await.unwrap_err();
        assert!(matches!(failed, AppendError::Storage(_)), "{failed}");
        disk.fail_sync(SyncFault::None);
        let writes = disk.writes();
        assert!(stream.append(text("a", "3")).await.is_err());
        assert!(stream.delete(Sequence(1)).await.is_err());
        assert_eq!(disk.writes(), writes, "the disk is left alone");
        let one = stream.message(Sequence(1)).await.unwrap().unwrap();
        assert_eq!(&one.payload[..], b"1");
        drop(stream);
        let stream = reopened(&disk.after_power_cut(0)).await.unwrap();
        assert_eq!(texts(&stream).await, numbers(1));
    }
}

/// The journal has its room already: it is the database that finds none.
#[tokio::test]
async fn a_disk_that_is_full_for_the_database_is_survived_wherever_it_happens() {
    for beside in [false, true] {
        for room in (0..40).chain([60, 80, 100]) {
            let disk = FaultDisk::default();
            let mut options = store_options(&disk);
            options.disk.checkpoints_beside = beside;
            let store = StreamStore::open(Path::new(DIR), options).unwrap();
            let stream = store.create(StreamConfig::with_name("A")).await.unwrap();
            stream.append(text("a", "first")).await.unwrap();
            disk.set_room(Some(room));
            let big = || Append::new("a", vec![1; 7000]);
            let mut stored = 1;
            let refused = loop {
                match stream.append(big()).await {
                    Ok(_) => stored += 1,
                    Err(refused) => break refused,
                }
                assert!(stored < 500, "the disk fills up");
            };
            assert!(matches!(refused, AppendError::DiskFull), "{refused:?}");
            assert!(matches!(
                stream.append(big()).await,
                Err(AppendError::DiskFull)
            ));
            assert_eq!(stream.state().messages, stored, "{room}");
            let cut = disk.after_power_cut(room);
            disk.set_room(None);
            let appended = stream.append(big()).await.unwrap();
            assert_eq!(appended.sequence.0, stored + 1);
            for disk in [disk.after_power_cut(room), cut] {
                let stream = reopened(&disk).await.unwrap();
                assert!(stream.state().messages >= stored);
                for sequence in 2..=stored {
                    let found = stream.message(Sequence(sequence)).await.unwrap().unwrap();
                    assert_eq!(found.payload, vec![1; 7000]);
                }
            }
        }
    }
}

#[tokio::test]
async fn a_journal_that_can_not_be_read_is_no_lost_journal() {
    let disk = crashed_with(20).await;
    for reads in 0..200 {
        let failing = disk.copy();
        failing.fail_reads_after(Some(reads));
        if let Ok(stream) = reopened(&failing).await {
            assert_eq!(stream.state().last, Sequence(20));
        }
        failing.fail_reads_after(None);
        let stream = reopened(&failing.after_power_cut(reads)).await.unwrap();
        assert_eq!(texts(&stream).await, numbers(20), "after {reads} reads");
    }
}

#[tokio::test]
async fn what_waits_is_read_and_rewritten_like_what_is_stored() {
    let disk = FaultDisk::default();
    let mut options = store_options(&disk);
    options.disk.journal_areas = &[1024 * 1024];
    let store = StreamStore::open(Path::new(DIR), options).unwrap();
    let stream = store.create(StreamConfig::with_name("A")).await.unwrap();
    let batch = || {
        let appends = (0..10).map(|n| Append::new("a", vec![n; 300]));
        stream.append_all(appends.collect())
    };
    // A block that is stored, and one that waits; of both most goes.
    batch().await.unwrap();
    stream.inner.ask(Job::Rest).await.unwrap();
    batch().await.unwrap();
    for first in [1, 11] {
        for n in first..first + 8 {
            assert!(stream.delete(Sequence(n)).await.unwrap());
        }
    }
    lock(&stream.inner.tail).clear();
    for (sequence, byte) in [(9, 8), (10, 9), (19, 8), (20, 9)] {
        let found = stream.message(Sequence(sequence)).await.unwrap().unwrap();
        assert_eq!(found.payload, vec![byte; 300]);
    }
    assert_eq!(stream.message(Sequence(3)).await.unwrap(), None);
    stream
        .save_consumer("one", Bytes::from_static(b"1"))
        .await
        .unwrap();
    stream.inner.ask(Job::Rest).await.unwrap();
    assert!(stream.remove_consumer("one").await.unwrap());
    assert!(!stream.remove_consumer("one").await.unwrap());
    stream
        .save_consumer("two", Bytes::from_static(b"2"))
        .await
        .unwrap();
    let names = |stream: Stream| async move {
        let consumers = stream.consumers().await.unwrap();
        consumers.iter().map(|c| c.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(names(stream.clone()).await, ["two"]);
    let stream = reopened(&disk.after_power_cut(0)).await.unwrap();
    assert_eq!(names(stream.clone()).await, ["two"]);
    assert_eq!(stream.state().messages, 4);
}

/// The size of the journal follows that of commits.
#[tokio::test]
async fn commits_that_are_too_long_for_the_journal_make_it_larger() {
    let disk = FaultDisk::default();
    let mut options = store_options(&disk);
    options.disk.journal_areas = &[32 * 1024, 64 * 1024, 1024 * 1024];
    let store = StreamStore::open(Path::new(DIR), options).unwrap();
    let stream = store.create(StreamConfig::with_name("A")).await.unwrap();
    stream.append(text("a", "first")).await.unwrap();
    assert_eq!(disk.file_len(&journal()), Some(64 * 1024));
    for _ in 0..3 {
        let appended = stream.append(Append::new("a", vec![7; 50_000])).await;
        appended.unwrap();
    }
    let stored = stream.file_bytes();
    assert_eq!(
        disk.file_len(&journal()),
        Some((32 + 64 + 1024) * 1024 * 2),
        "for eight such commits"
    );
    for _ in 0..3 {
        let appended = stream.append(Append::new("a", vec![7; 50_000])).await;
        appended.unwrap();
    }
    assert_eq!(stream.file_bytes(), stored, "they wait in the journal");
    let stream = reopened(&disk.after_power_cut(0)).await.unwrap();
    assert_eq!(stream.state().messages, 7);
    let last = stream.message(Sequence(7)).await.unwrap().unwrap();
    assert_eq!(last.payload, vec![7; 50_000]);
}
