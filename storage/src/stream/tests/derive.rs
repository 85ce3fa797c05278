//! Messages that are made from the one before them.

use super::*;

/// Adds to the number that the subject's last message holds.
#[derive(Debug)]
struct Add(u64);

impl Derive for Add {
    fn derive(&self, previous: Option<&StoredMessage>) -> Result<Derived, String> {
        let text = previous.map_or(&b"0"[..], |message| &message.payload);
        let number: u64 = std::str::from_utf8(text)
            .ok()
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| "not a number".to_owned())?;
        Ok(Derived {
            headers: Bytes::from(format!("NATS/1.0\r\nAdded: {}\r\n\r\n", self.0)),
            payload: Bytes::from((number + self.0).to_string()),
        })
    }
}

fn add(subject: &'static str, number: u64) -> Append {
    Append {
        subject: subject.into(),
        derive: Some(Arc::new(Add(number))),
        ..Append::default()
    }
}

fn payload(appended: &Appended) -> &str {
    std::str::from_utf8(appended.payload.as_ref().unwrap()).unwrap()
}

#[tokio::test]
async fn a_message_is_made_from_the_one_before_wherever_that_is() {
    for storage in [StorageKind::Disk, StorageKind::Memory] {
        let dir = tempfile::tempdir().unwrap();
        let clock = HandClock::new();
        let store = StreamStore::open(dir.path(), options(&clock)).unwrap();
        let mut config = StreamConfig::with_name("A");
        config.storage = storage;
        config.messages_per_subject_max = Some(1);
        let mut stream = store.create(config).await.unwrap();
        let first = stream.append(add("a", 5)).await.unwrap();
        assert_eq!((payload(&first), first.previous), ("5", Sequence(0)));
        // In the block that is being built, and in one that is full and not yet committed.
        let (send, receive) = tokio::sync::oneshot::channel();
        let mut batch = vec![add("a", 1), add("b", 1), add("a", 1)];
        batch.push(Append::new("c", vec![0; 70_000]));
        batch.push(add("a", 1));
        stream
            .submit(batch, move |results| send.send(results).unwrap())
            .unwrap();
        let results = receive.await.unwrap();
        let last = results[4].as_ref().unwrap();
        assert_eq!((payload(last), last.previous), ("8", Sequence(4)));
        let batch = vec![add("a", 2), add("b", 2), add("a", 2)];
        let appended = stream.append_all(batch).await.unwrap();
        let made: Vec<&str> = appended.iter().map(payload).collect();
        assert_eq!(made, ["10", "3", "12"]);
        if storage == StorageKind::Disk {
            store.shutdown().await;
            let store = StreamStore::open(dir.path(), options(&clock)).unwrap();
            stream = store.open_all().await.unwrap().remove(0);
        }
        assert_eq!(payload(&stream.append(add("a", 1)).await.unwrap()), "13");
        let stored = stream.last_for_subject(b"a").await.unwrap().unwrap();
        assert_eq!(&stored.payload[..], b"13");
        assert_eq!(&stored.headers[..], b"NATS/1.0\r\nAdded: 1\r\n\r\n");
    }
}

#[tokio::test]
async fn what_can_not_be_made_is_not_stored() {
    let dir = tempfile::tempdir().unwrap();
    let store = StreamStore::open(dir.path(), options(&HandClock::new())).unwrap();
    let stream = store.create(StreamConfig::with_name("A")).await.unwrap();
    stream.append(text("a", "x")).await.unwrap();
    let refused = stream.append(add("a", 1)).await.unwrap_err();
    assert_eq!(refused.to_string(), "not a number");
    let (index, refused) = stream
        .append_all(vec![add("b", 1), add("a", 1)])
        .await
        .unwrap_err();
    assert_eq!((index, refused.to_string()), (1, "not a number".to_owned()));
    assert_eq!(stream.state().messages, 1);
}
