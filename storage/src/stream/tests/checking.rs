//! Looking a file through: a whole one, a damaged one, and what can be put right.

use std::path::Path;

use redb::TableDefinition;

use crate::fault::{FaultDisk, random};
use crate::stream::disk::DiskOptions;
use crate::stream::files::{Files, WatchedFile};

use super::trouble::{DIR, path};
use super::*;

type Numbered = TableDefinition<'static, &'static [u8; 8], &'static [u8]>;

const HEADS: Numbered = Numbered::new("heads");
const BLOCKS: Numbered = Numbered::new("blocks");
const LIVE: Numbered = Numbered::new("live");

fn options_on(disk: &FaultDisk) -> StoreOptions {
    StoreOptions {
        disk: DiskOptions {
            files: Arc::new(disk.clone()),
            ..DiskOptions::default()
        },
        ..options(&HandClock::new())
    }
}

/// Sixty messages of three sizes and two subjects, some deleted, and a consumer.
async fn filled() -> FaultDisk {
    let disk = FaultDisk::default();
    let store = StreamStore::open(Path::new(DIR), options_on(&disk)).unwrap();
    let stream = store.create(StreamConfig::with_name("A")).await.unwrap();
    for n in 0..20 {
        let batch = [10, 900, 2000].map(|len| Append::new(format!("s.{}", n % 2), vec![n; len]));
        stream.append_all(batch.to_vec()).await.unwrap();
    }
    for sequence in [5, 6, 60] {
        stream.delete(Sequence(sequence)).await.unwrap();
    }
    let cursor = Cursor {
        ack_floor: Sequence(3),
        delivered: Sequence(9),
        ..Cursor::default()
    };
    stream.save_cursor("worker", cursor).await.unwrap();
    stream.close().await.unwrap();
    disk
}

fn change(disk: &FaultDisk, change: impl FnOnce(&redb::WriteTransaction)) {
    let file = WatchedFile::new(disk.open(&path()).unwrap()).0;
    let database = redb::Database::builder().create_with_backend(file).unwrap();
    let write = database.begin_write().unwrap();
    change(&write);
    write.commit().unwrap();
}

fn checked(disk: &FaultDisk, repair: bool) -> Checked {
    check_file(&path(), &options_on(disk), repair).unwrap()
}

#[track_caller]
fn finds(disk: &FaultDisk, expected: &str, repairable: bool) {
    let before = disk.content(&path()).unwrap();
    let found = checked(disk, false);
    assert!(found.to_string().contains(expected), "{found}");
    assert!(!found.is_whole(), "{found}");
    assert!(
        disk.content(&path()).unwrap() == before,
        "nothing is written"
    );
    let found = checked(disk, true);
    assert!(found.to_string().contains(expected), "{found}");
    assert_eq!(found.is_whole(), repairable, "{found}");
    if repairable {
        assert_eq!(checked(disk, false).problems, []);
    }
}

#[tokio::test]
async fn a_whole_file_has_no_problem() {
    let disk = filled().await;
    let found = checked(&disk, false);
    assert_eq!(found.problems, [], "{found}");
    assert_eq!(
        (found.name.as_str(), found.messages, found.consumers),
        ("A", 57, 1)
    );
    assert_eq!((found.first, found.last), (Sequence(1), Sequence(60)));
    assert_eq!(found.deleted, 3);
    assert_eq!(found.to_string().lines().count(), 1);
}

#[tokio::test]
async fn a_file_that_was_not_closed_is_made_whole() {
    let disk = filled().await;
    let store = StreamStore::open(Path::new(DIR), options_on(&disk)).unwrap();
    let stream = store.open_all().await.unwrap().remove(0);
    stream.append(text("s.1", "last")).await.unwrap();
    let cut = disk.after_power_cut(0);
    finds(&cut, "it was not closed", true);
    assert_eq!(checked(&cut, false).last, Sequence(61));
}

#[tokio::test]
async fn rows_that_belong_to_nothing_are_removed() {
    let disk = filled().await;
    change(&disk, |write| {
        let key = &999_u64.to_be_bytes();
        write
            .open_table(LIVE)
            .unwrap()
            .insert(key, &[1_u8][..])
            .unwrap();
    });
    finds(&disk, "belongs to no block (sequence 999)", true);
}

#[tokio::test]
async fn messages_that_are_gone_are_reported_and_never_made_up() {
    let disk = filled().await;
    change(&disk, |write| {
        let key = &13_u64.to_be_bytes();
        assert!(
            write
                .open_table(BLOCKS)
                .unwrap()
                .remove(key)
                .unwrap()
                .is_some()
        );
    });
    finds(&disk, "missing (sequences 13 to 15)", false);

    let disk = filled().await;
    change(&disk, |write| {
        let key = &13_u64.to_be_bytes();
        write.open_table(HEADS).unwrap().remove(key).unwrap();
        write.open_table(BLOCKS).unwrap().remove(key).unwrap();
    });
    let store = StreamStore::open(Path::new(DIR), options_on(&disk)).unwrap();
    let error = store.open_all().await.unwrap_err().to_string();
    assert!(error.contains("should hold 57"), "{error}");
    finds(&disk, "it should hold 57 messages", true);
    let stream = store.open_all().await.unwrap().remove(0);
    assert_eq!(stream.state().messages, 54);
}

#[tokio::test]
async fn a_damaged_row_is_named_and_its_neighbours_are_read() {
    let disk = filled().await;
    change(&disk, |write| {
        let key = &13_u64.to_be_bytes();
        write
            .open_table(HEADS)
            .unwrap()
            .insert(key, &[2_u8; 40][..])
            .unwrap();
    });
    finds(&disk, "a block is unreadable", false);
    assert_eq!(checked(&disk, false).messages, 54);
}

#[tokio::test]
async fn a_consumer_beyond_the_stream_is_reported() {
    let disk = filled().await;
    let store = StreamStore::open(Path::new(DIR), options_on(&disk)).unwrap();
    let stream = store.open_all().await.unwrap().remove(0);
    let cursor = Cursor {
        delivered: Sequence(70),
        ..Cursor::default()
    };
    stream.save_cursor("worker", cursor).await.unwrap();
    stream.close().await.unwrap();
    finds(&disk, "consumer worker: delivered up to 70", false);
}

#[tokio::test]
async fn any_flipped_bit_is_survived() {
    let disk = filled().await;
    let bits = disk.file_len(&path()).unwrap() as u64 * 8;
    let mut chance = SystemClock.now();
    for _ in 0..400 {
        let rotten = disk.copy();
        let bit = (random(&mut chance) % bits) as usize;
        rotten.flip(&path(), bit);
        for repair in [false, true] {
            if let Ok(found) = check_file(&path(), &options_on(&rotten), repair) {
                // Where the newest root of the database is hit, the one before it is read: what a later commit deleted is
                // there again, and that is told.
                let is_told = !found.problems.is_empty();
                assert!(found.messages <= 57 || is_told, "bit {bit}: {found}");
            }
        }
    }
}
