//! Cursors that become durable with a message.

use super::*;

fn at(sequence: u64) -> Option<Box<(String, Cursor)>> {
    let cursor = Cursor {
        ack_floor: Sequence(sequence),
        ..Cursor::default()
    };
    Some(Box::new(("copy of O".to_owned(), cursor)))
}

async fn floor(stream: &Stream) -> Option<u64> {
    let cursor = stream.cursor("copy of O").await.unwrap();
    cursor.map(|cursor| cursor.ack_floor.0)
}

#[tokio::test]
async fn a_cursor_is_saved_with_its_message_and_not_without() {
    let dir = tempfile::tempdir().unwrap();
    let clock = HandClock::new();
    let store = StreamStore::open(dir.path(), options(&clock)).unwrap();
    let mut config = StreamConfig::with_name("A");
    config.duplicate_window = Duration::from_secs(60);
    let stream = store.create(config).await.unwrap();
    let message = |sequence, id: &str, expected: Option<u64>| Append {
        message_id: Some(Bytes::copy_from_slice(id.as_bytes())),
        expected: Expected {
            last_sequence: expected.map(Sequence),
            ..Expected::default()
        },
        cursor: at(sequence),
        ..text("a", "x")
    };
    stream.append(message(1, "one", None)).await.unwrap();
    assert_eq!(floor(&stream).await, Some(1));
    stream.append(message(2, "two", Some(9))).await.unwrap_err();
    assert_eq!(floor(&stream).await, Some(1));
    assert!(
        stream
            .append(message(3, "one", None))
            .await
            .unwrap()
            .duplicate
    );
    assert_eq!(floor(&stream).await, Some(3));
    let refused = vec![message(4, "four", None), message(5, "five", Some(1))];
    assert_eq!(stream.append_all(refused).await.unwrap_err().0, 1);
    assert_eq!(floor(&stream).await, Some(3));
    let taken = vec![message(6, "six", None), message(7, "seven", None)];
    stream.append_all(taken).await.unwrap();
    store.shutdown().await;

    let store = StreamStore::open(dir.path(), options(&clock)).unwrap();
    let stream = store.open_all().await.unwrap().remove(0);
    assert_eq!(floor(&stream).await, Some(7));
    assert_eq!(stream.state().last, Sequence(3));
}
