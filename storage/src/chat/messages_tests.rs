use super::super::read_receipts::Reached;
use super::*;

const STREAM: &str = "CHAT_MESSAGES";

async fn open() -> (tempfile::TempDir, ChatDb) {
    let dir = tempfile::tempdir().unwrap();
    let db = ChatDb::open(&dir.path().join("chat.sqlite3"))
        .await
        .unwrap();
    (dir, db)
}

fn event(seq: u64, change: Change) -> Event {
    Event {
        seq,
        subject: "chat.general".to_owned(),
        payload: b"{}".to_vec(),
        change,
    }
}

fn message(seq: u64, username: &str, text: &str) -> Event {
    let row = MessageRow {
        seq,
        id: format!("id-{seq}"),
        room: "general".to_owned(),
        username: username.to_owned(),
        text: text.to_owned(),
        timestamp: i64::try_from(seq).unwrap() * 10,
        ..MessageRow::default()
    };
    event(seq, Change::Insert(Box::new(row)))
}

fn target(seq: u64, username: &str) -> Target {
    Target {
        room: "general".to_owned(),
        timestamp: i64::try_from(seq).unwrap() * 10,
        username: username.to_owned(),
    }
}

fn react(seq: u64) -> Event {
    let change = Change::React {
        target: target(1, "ann"),
        username: "bob".to_owned(),
        emoji: "🐸".to_owned(),
    };
    event(seq, change)
}

async fn newest(db: &ChatDb) -> Vec<MessageRow> {
    db.messages("general", Page::Newest, 100).await.unwrap().0
}

#[tokio::test]
async fn a_redelivered_event_changes_nothing() {
    let (_dir, db) = open().await;
    let events = vec![message(1, "ann", "hello"), react(2)];
    db.apply(STREAM, events.clone(), 0).await.unwrap();
    db.apply(STREAM, events, 0).await.unwrap();
    let rows = newest(&db).await;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].reactions, [("🐸".to_owned(), "bob".to_owned())]);
    db.apply(STREAM, vec![react(3)], 0).await.unwrap();
    assert!(newest(&db).await[0].reactions.is_empty());
    assert_eq!(db.stream_position(STREAM).await.unwrap(), 3);
}

#[tokio::test]
async fn a_poison_message_is_buried_and_the_rest_goes_on() {
    let (_dir, db) = open().await;
    let mut twin = message(2, "ann", "same id");
    let Change::Insert(row) = &mut twin.change else {
        unreachable!()
    };
    row.id = "id-1".to_owned();
    let unreadable = event(
        3,
        Change::Refuse {
            error: "not JSON".to_owned(),
        },
    );
    let events = vec![
        message(1, "ann", "a"),
        twin,
        unreadable,
        message(4, "ann", "b"),
    ];
    assert_eq!(db.apply(STREAM, events, 7).await.unwrap(), 2);
    let texts: Vec<_> = newest(&db).await.into_iter().map(|row| row.text).collect();
    assert_eq!(texts, ["a", "b"]);
    let letters = db.dead_letters(10).await.unwrap();
    assert_eq!(
        letters.iter().map(|letter| letter.seq).collect::<Vec<_>>(),
        [2, 3]
    );
    assert!(letters[0].error.contains("UNIQUE"), "{}", letters[0].error);
}

#[tokio::test]
async fn only_the_author_edits_and_deletes() {
    let (_dir, db) = open().await;
    let edit = |seq, who: &str, text: &str| {
        let change = Change::Edit {
            target: target(1, who),
            text: text.to_owned(),
            edited_at: 9,
        };
        event(seq, change)
    };
    let events = vec![
        message(1, "ann", "first"),
        edit(2, "bob", "forged"),
        edit(3, "ann", "second"),
        event(4, Change::Delete(target(1, "bob"))),
    ];
    db.apply(STREAM, events, 0).await.unwrap();
    let row = newest(&db).await.remove(0);
    assert_eq!(
        (row.text.as_str(), row.edited_at, row.is_deleted),
        ("second", Some(9), false)
    );
    let delete = event(5, Change::Delete(target(1, "ann")));
    db.apply(STREAM, vec![delete, edit(6, "ann", "again")], 0)
        .await
        .unwrap();
    let row = newest(&db).await.remove(0);
    assert_eq!((row.text.as_str(), row.is_deleted), ("", true));
}

#[tokio::test]
async fn pages_are_in_order_and_say_whether_there_is_more() {
    let (_dir, db) = open().await;
    let events = (1..=7).map(|seq| message(seq, "ann", "x")).collect();
    db.apply(STREAM, events, 0).await.unwrap();
    for (page, expected, more) in [
        (Page::Newest, [5, 6, 7], true),
        (Page::BeforeTime(50), [2, 3, 4], true),
        (Page::BeforeSeq(4), [1, 2, 3], false),
        (Page::AfterSeq(4), [5, 6, 7], false),
        (Page::AfterSeq(1), [2, 3, 4], true),
    ] {
        let (rows, has_more) = db.messages("general", page, 3).await.unwrap();
        let sequences: Vec<_> = rows.iter().map(|row| row.seq).collect();
        assert_eq!(
            (sequences.as_slice(), has_more),
            (&expected[..], more),
            "{page:?}"
        );
    }
}

#[tokio::test]
async fn unread_follows_from_position_and_log() {
    let (_dir, db) = open().await;
    let mut mention = message(3, "bob", "@ann");
    let Change::Insert(row) = &mut mention.change else {
        unreachable!()
    };
    row.mentions = vec!["ann".to_owned()];
    let mut reply = message(4, "bob", "in a thread");
    let Change::Insert(row) = &mut reply.change else {
        unreachable!()
    };
    row.thread_id = Some("general-30".to_owned());
    let events = vec![
        message(1, "bob", "a"),
        message(2, "ann", "mine"),
        mention,
        reply,
    ];
    db.apply(STREAM, events, 0).await.unwrap();
    let figures = || async {
        let rooms = vec!["general".to_owned(), "empty".to_owned()];
        db.room_figures("ann", rooms).await.unwrap()
    };
    let all = figures().await;
    assert_eq!((all[0].unread, all[0].mentions, all[0].last_seq), (2, 1, 3));
    assert_eq!(
        (all[1].unread, all[1].last_seq, all[1].last_activity),
        (0, 0, None)
    );
    db.set_read_position("ann", "general", Reached::Time(10))
        .await
        .unwrap();
    assert_eq!(figures().await[0].unread, 1);
    let reached = db
        .set_read_position("ann", "general", Reached::Seq(u64::MAX))
        .await
        .unwrap();
    assert_eq!(reached.unwrap().seq, 4);
    assert_eq!(
        (figures().await[0].unread, figures().await[0].mentions),
        (0, 0)
    );
    let back = db
        .set_read_position("ann", "general", Reached::Seq(1))
        .await
        .unwrap();
    assert_eq!(back.unwrap().seq, 4);
    assert_eq!(newest(&db).await[2].reply_count, 1);
}
