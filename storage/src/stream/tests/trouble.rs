//! Disks that lose power, fail to sync, fill up or rot.

use std::path::{Path, PathBuf};

use crate::Error;
use crate::fault::{FaultDisk, SyncFault};
use crate::stream::disk::DiskOptions;
use crate::stream::files::{Files, WatchedFile};

use super::*;

/// The directory of the streams on a simulated disk.
pub(super) const DIR: &str = "streams";

fn store_on(disk: &FaultDisk, clock: &Arc<HandClock>) -> StreamStore {
    let options = StoreOptions {
        disk: DiskOptions {
            files: Arc::new(disk.clone()),
            ..DiskOptions::default()
        },
        retry_at_once: true,
        ..options(clock)
    };
    StreamStore::open(Path::new(DIR), options).unwrap()
}

async fn reopened(disk: &FaultDisk, clock: &Arc<HandClock>) -> Result<Stream, Error> {
    Ok(store_on(disk, clock).open_all().await?.remove(0))
}

pub(super) async fn created(
    disk: &FaultDisk,
    clock: &Arc<HandClock>,
    config: StreamConfig,
) -> Stream {
    store_on(disk, clock).create(config).await.unwrap()
}

/// The file of stream A.
pub(super) fn path() -> PathBuf {
    Path::new(DIR).join("A.redb")
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

/// On a sparse file it is the writes that find no room, in the middle of a commit.
#[tokio::test]
async fn a_disk_that_fills_up_within_a_commit_is_survived_wherever_it_happens() {
    for room in 0..40 {
        let clock = HandClock::new();
        let disk = FaultDisk::default();
        let stream = created(&disk, &clock, StreamConfig::with_name("A")).await;
        stream.append(text("a", "one")).await.unwrap();
        disk.set_room(Some(room));
        let big = || Append::new("a", vec![1; 100_000]);
        let mut stored = 1;
        let refused = loop {
            match stream.append(big()).await {
                Ok(_) => stored += 1,
                Err(refused) => break refused,
            }
            assert!(stored < 100, "the disk fills up");
        };
        assert!(
            matches!(refused, AppendError::DiskFull),
            "{room}: {refused:?}"
        );
        assert_eq!(stream.state().messages, stored);
        let one = stream.message(Sequence(1)).await.unwrap().unwrap();
        assert_eq!(&one.payload[..], b"one");
        disk.set_room(None);
        let appended = stream.append(big()).await.unwrap();
        assert_eq!(appended.sequence.0, stored + 1);
        let stream = reopened(&disk.after_power_cut(0), &clock).await.unwrap();
        assert_eq!(stream.state().messages, stored + 1);
    }
}

#[tokio::test]
async fn reads_that_fail_are_reported_and_give_no_wrong_data() {
    let clock = HandClock::new();
    let disk = FaultDisk::default();
    let stream = created(&disk, &clock, StreamConfig::with_name("A")).await;
    let payload = |n: u64| vec![n as u8; 3000];
    for n in 1..=60 {
        stream.append(Append::new("a", payload(n))).await.unwrap();
    }
    stream.close().await.unwrap();
    for reads in 0..120 {
        let failing = disk.copy();
        failing.fail_reads_after(Some(reads));
        if let Ok(stream) = reopened(&failing, &clock).await {
            for n in 1..=60 {
                if let Ok(found) = stream.message(Sequence(n)).await {
                    assert_eq!(found.unwrap().payload, payload(n), "after {reads} reads");
                }
            }
            if let Ok(appended) = stream.append(text("a", "on")).await {
                assert_eq!(appended.sequence, Sequence(61));
            }
        }
        failing.fail_reads_after(None);
        let stream = reopened(&failing.after_power_cut(reads), &clock)
            .await
            .unwrap();
        assert!(stream.state().last >= Sequence(60), "after {reads} reads");
        for n in 1..=60 {
            let found = stream.message(Sequence(n)).await.unwrap().unwrap();
            assert_eq!(found.payload, payload(n));
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
        .create_with_backend(WatchedFile::new(disk.open(&path()).unwrap()).0)
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
            supported: 3,
            ..
        })
    ));
}

/// A stream of 4 MB of which nearly everything is deleted, on a store that compacts.
async fn sparse(disk: &FaultDisk, direct_from_bytes: usize) -> Stream {
    let options = StoreOptions {
        disk: DiskOptions {
            files: Arc::new(disk.clone()),
            compact_from_bytes: 1024 * 1024,
            direct_from_bytes,
            ..DiskOptions::default()
        },
        ..options(&HandClock::new())
    };
    let store = StreamStore::open(Path::new(DIR), options).unwrap();
    let stream = store.create(StreamConfig::with_name("A")).await.unwrap();
    for n in 0..80_u8 {
        let payload = vec![n; 50_000];
        stream.append(Append::new("a", payload)).await.unwrap();
    }
    stream.append(text("kept", "kept")).await.unwrap();
    let worker = Bytes::from_static(b"worker");
    stream.save_consumer("worker", worker).await.unwrap();
    stream.inner.ask(Job::Rest).await.unwrap();
    let purge = Purge {
        filter: SubjectPattern::parse("a"),
        keep: Some(3),
        ..Purge::default()
    };
    assert_eq!(stream.purge(purge).await.unwrap(), 77);
    stream
}

#[tokio::test]
async fn a_file_of_which_most_is_deleted_shrinks_while_appends_go_on() {
    for direct_from_bytes in [0, usize::MAX] {
        shrinks(direct_from_bytes).await;
    }
}

async fn shrinks(direct_from_bytes: usize) {
    let disk = FaultDisk::default();
    let stream = sparse(&disk, direct_from_bytes).await;
    let before = stream.file_bytes();
    assert!(before > 4_000_000, "{before}");
    let mut appended = 0_u64;
    while stream.file_bytes() > before / 4 {
        assert!(appended < 100_000, "the file does not shrink");
        stream.append(text("b", "more")).await.unwrap();
        appended += 1;
    }
    stream
        .save_cursor("worker", Cursor::default())
        .await
        .unwrap();
    let state = stream.state();
    assert_eq!(state.messages, 4 + appended);
    stream.close().await.unwrap();
    assert_eq!(disk.list(Path::new(DIR)).unwrap(), [path()]);
    let stream = reopened(&disk.after_power_cut(0), &HandClock::new())
        .await
        .unwrap();
    assert_eq!(stream.state(), state);
    let kept = stream.last_for_subject(b"kept").await.unwrap().unwrap();
    assert_eq!(&kept.payload[..], b"kept");
    let big = stream.message(Sequence(79)).await.unwrap().unwrap();
    assert_eq!(big.payload, vec![78; 50_000]);
    assert_eq!(stream.consumers().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_compaction_that_finds_no_room_or_is_cut_short_leaves_the_file_as_it_is() {
    for room in [0, 20, 40, 100] {
        let disk = FaultDisk::default();
        let stream = sparse(&disk, 0).await;
        disk.set_room(Some(room));
        // Pages that the file has already are no new room.
        for _ in 0..20 {
            let appended = stream.append(text("b", "more")).await;
            assert!(appended.is_ok() || matches!(appended, Err(AppendError::DiskFull)));
        }
        disk.set_room(None);
        let last = stream.append(text("b", "last")).await.unwrap();
        stream.close().await.unwrap();
        assert_eq!(disk.list(Path::new(DIR)).unwrap(), [path()], "{room}");
        let stream = reopened(&disk, &HandClock::new()).await.unwrap();
        assert_eq!(stream.state().last, last.sequence);
    }
}
