use super::*;

async fn open() -> (tempfile::TempDir, ChatDb) {
    let dir = tempfile::tempdir().unwrap();
    let db = ChatDb::open(&dir.path().join("chat.sqlite3"))
        .await
        .unwrap();
    (dir, db)
}

async fn put(db: &ChatDb, key: &'static str) -> Result<(), Error> {
    db.write(move |tx| {
        tx.execute("INSERT INTO settings (key, value) VALUES (?1, 'x')", [key])?;
        Ok(())
    })
    .await
}

async fn count(db: &ChatDb) -> i64 {
    db.read(|c| c.query_row("SELECT count(*) FROM settings", [], |row| row.get(0)))
        .await
        .unwrap()
}

#[tokio::test]
async fn a_failing_job_does_not_spoil_its_batch() {
    let (_dir, db) = open().await;
    put(&db, "a").await.unwrap();
    let (b, again, c) = tokio::join!(put(&db, "b"), put(&db, "a"), put(&db, "c"));
    assert!(b.is_ok() && c.is_ok());
    assert!(matches!(again, Err(Error::Database(_))));
    assert_eq!(count(&db).await, 3);
}

#[tokio::test]
async fn a_panicking_job_leaves_the_writer_alive() {
    let (_dir, db) = open().await;
    let panicked: Result<(), Error> = db.write(|_| panic!("a bug")).await;
    assert!(matches!(panicked, Err(Error::Closed)));
    put(&db, "a").await.unwrap();
}

#[tokio::test]
async fn what_was_written_is_there_after_reopening() {
    let (dir, db) = open().await;
    put(&db, "a").await.unwrap();
    db.clone().close().await;
    assert!(matches!(put(&db, "b").await, Err(Error::Closed)));
    let db = ChatDb::open(&dir.path().join("chat.sqlite3"))
        .await
        .unwrap();
    assert_eq!(count(&db).await, 1);
}

#[tokio::test]
async fn data_version_tells_other_writers_only() {
    let (dir, db) = open().await;
    let before = db.data_version().await.unwrap();
    put(&db, "a").await.unwrap();
    assert_eq!(db.data_version().await.unwrap(), before);
    let other = ChatDb::open(&dir.path().join("chat.sqlite3"))
        .await
        .unwrap();
    put(&other, "b").await.unwrap();
    assert_ne!(db.data_version().await.unwrap(), before);
}

#[tokio::test]
async fn a_newer_file_is_refused_untouched() {
    let (dir, db) = open().await;
    db.write(|tx| tx.pragma_update(None, "user_version", 999))
        .await
        .unwrap();
    db.close().await;
    let refused = ChatDb::open(&dir.path().join("chat.sqlite3"))
        .await
        .unwrap_err();
    assert!(
        matches!(refused, Error::NewerFormat { found: 999, .. }),
        "{refused}"
    );
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("chat.sqlite3");
    std::fs::write(
        &path,
        "not a database, but long enough to look at it ".repeat(200),
    )
    .unwrap();
    let refused = ChatDb::open(&path).await.unwrap_err();
    assert!(matches!(refused, Error::Corrupt(_)), "{refused}");
}

#[cfg(unix)]
#[tokio::test]
async fn the_file_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let (dir, _db) = open().await;
    let mode = std::fs::metadata(dir.path().join("chat.sqlite3"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}
