//! Files of earlier formats are brought forward.

use std::path::Path;

use redb::TableDefinition;

use crate::fault::FaultDisk;
use crate::stream::disk::DiskOptions;
use crate::stream::files::{Files, WatchedFile};

use super::trouble::{DIR, path};
use super::*;

type Named = TableDefinition<'static, &'static str, &'static [u8]>;
type Numbered = TableDefinition<'static, &'static [u8; 8], &'static [u8]>;

fn head(count: u32, base: u64, entries: &[u8], inline: Option<&[u8]>) -> Vec<u8> {
    let mut row = vec![1, u8::from(inline.is_some())];
    row.extend_from_slice(&count.to_be_bytes());
    row.extend_from_slice(&base.to_be_bytes());
    row.extend_from_slice(&(entries.len() as u32).to_be_bytes());
    let rest = [entries, inline.unwrap_or_default()].concat();
    let crc = crc32fast::hash(&[&row[..], &rest].concat());
    row.extend_from_slice(&crc.to_be_bytes());
    [row, rest].concat()
}

fn checked(body: &[u8]) -> Vec<u8> {
    let crc = crc32fast::hash(body).to_be_bytes();
    [&[1], &crc[..], body].concat()
}

fn record(offset: u32, payload: &[u8]) -> Vec<u8> {
    let mut record = offset.to_be_bytes().to_vec();
    record.extend_from_slice(&0_u32.to_be_bytes());
    record.extend_from_slice(&(payload.len() as u32).to_be_bytes());
    record.extend_from_slice(payload);
    record
}

/// A stream as the first format had it: a lone message, and a block of three of which one is gone.
fn write_first_format(disk: &FaultDisk) {
    let file = WatchedFile::new(disk.open(&path()).unwrap()).0;
    let database = redb::Database::builder().create_with_backend(file).unwrap();
    let write = database.begin_write().unwrap();
    let put = |table: &str, key: &str, row: &[u8]| {
        let table = Named::new(match table {
            "meta" => "meta",
            "cursors" => "cursors",
            _ => "consumers",
        });
        write.open_table(table).unwrap().insert(key, row).unwrap();
    };
    let mut config = StreamConfig::with_name("A");
    config.messages_max = Some(100);
    put("meta", "format", &1_u32.to_be_bytes());
    put("meta", "config", &serde_json::to_vec(&config).unwrap());
    let last = (u128::from(9_u64) << 64 | 77).to_be_bytes();
    put("meta", "last", &last);
    let mut cursor = vec![1];
    for number in [3_u64, 1, 5, 2] {
        cursor.extend_from_slice(&number.to_be_bytes());
    }
    cursor.extend_from_slice(&[0; 8]);
    put("cursors", "worker", &cursor);
    put("consumers", "worker", &checked(b"owner"));
    let number = |table, key: u64, row: &[u8]| {
        let table = Numbered::new(table);
        let key = key.to_be_bytes();
        write.open_table(table).unwrap().insert(&key, row).unwrap();
    };
    let lone = record(0, b"one");
    number(
        "heads",
        1,
        &head(1, 50, &[0, 0, 0, 0, 1, b'a', 0, 3], Some(&lone)),
    );
    let entries = [
        0, 0, 0, 0, 1, b'b', 0, 3, 1, 2, 0, 0, 0, 5, 1, 0, 0, 0, 0, 4,
    ];
    number("heads", 2, &head(3, 60, &entries, None));
    let records = [record(0, b"two"), record(1, b"three"), record(2, b"four")].concat();
    number("blocks", 2, &checked(&records));
    number("live", 2, &[1, 0b101]);
    write.commit().unwrap();
}

async fn opened(disk: &FaultDisk) -> Stream {
    let options = StoreOptions {
        disk: DiskOptions {
            files: Arc::new(disk.clone()),
            ..DiskOptions::default()
        },
        ..options(&HandClock::new())
    };
    let store = StreamStore::open(Path::new(DIR), options).unwrap();
    store.open_all().await.unwrap().remove(0)
}

async fn check(stream: &Stream) {
    assert_eq!(texts(stream).await, ["1:one", "2:two", "4:four"]);
    let state = stream.state();
    assert_eq!((state.last, state.last_timestamp), (Sequence(9), 77));
    assert_eq!(stream.config().messages_max, Some(100));
    let consumer = stream.consumers().await.unwrap().remove(0);
    assert_eq!(
        (&consumer.name[..], &consumer.owner[..]),
        ("worker", &b"owner"[..])
    );
    let cursor = consumer.cursor.unwrap();
    assert_eq!(
        (cursor.ack_floor, cursor.delivered),
        (Sequence(3), Sequence(5))
    );
}

#[tokio::test]
async fn a_file_of_the_first_format_is_brought_forward() {
    let disk = FaultDisk::default();
    write_first_format(&disk);
    let stream = opened(&disk).await;
    check(&stream).await;
    stream.close().await.unwrap();
    let stream = opened(&disk).await;
    check(&stream).await;
    // What is rewritten gets the present form: most of a block goes.
    assert!(stream.delete(Sequence(2)).await.unwrap());
    assert_eq!(
        stream.append(text("a", "ten")).await.unwrap().sequence,
        Sequence(10)
    );
    stream.close().await.unwrap();
    let stream = opened(&disk).await;
    assert_eq!(texts(&stream).await, ["1:one", "4:four", "10:ten"]);
}

#[tokio::test]
async fn power_may_go_while_a_file_is_brought_forward() {
    let old = FaultDisk::default();
    write_first_format(&old);
    let old = old.after_power_cut(1);
    drop(opened(&old).await);
    let mut replay = old.replay();
    loop {
        for seed in 0..8 {
            let disk = replay.cut(seed);
            check(&opened(&disk).await).await;
        }
        if !replay.step() {
            return;
        }
    }
}
