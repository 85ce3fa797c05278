//! Messages as people see them: what the stream said, applied.
//!
//! [`ChatDb::apply`] is the only way in. It takes a run of stream events and the position after them in one
//! transaction, so that an event that is delivered twice changes nothing the second time.

use rusqlite::{Connection, OptionalExtension, Row, Transaction};

use super::dead_letters::DeadLetterRow;
use super::{ChatDb, Error};

/// Versions of an edited message that are kept, the newest.
const VERSIONS_MAX: i64 = 5;

/// One message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MessageRow {
    /// Its sequence in the stream: the order within its room.
    pub seq: u64,
    /// UUIDv7.
    pub id: String,
    /// The room.
    pub room: String,
    /// The author.
    pub username: String,
    /// Empty when deleted.
    pub text: String,
    /// Unix milliseconds.
    pub timestamp: i64,
    /// What the author's client called it.
    pub client_id: Option<String>,
    /// The thread it answers in.
    pub thread_id: Option<String>,
    /// The time of the thread's first message.
    pub parent_timestamp: Option<i64>,
    /// A reply that is shown in the room as well.
    pub broadcast: bool,
    /// Deleted by its author.
    pub is_deleted: bool,
    /// Last edit, unix milliseconds.
    pub edited_at: Option<i64>,
    /// A picture in place of text.
    pub sticker_url: Option<String>,
    /// Attachments.
    pub file_ids: Vec<String>,
    /// Set where it arrived encrypted.
    pub e2ee_epoch: Option<i64>,
    /// Users it names; only of use when it is stored.
    pub mentions: Vec<String>,
    /// Replies in its thread; only in answers.
    pub reply_count: u64,
    /// (emoji, user) in the order they were given; only in answers.
    pub reactions: Vec<(String, String)>,
}

/// Which message an event means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The room.
    pub room: String,
    /// The message's time.
    pub timestamp: i64,
    /// Its author.
    pub username: String,
}

/// What a stream message does to the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A new message.
    Insert(Box<MessageRow>),
    /// New text for a message.
    Edit {
        /// Which.
        target: Target,
        /// The new text.
        text: String,
        /// Unix milliseconds.
        edited_at: i64,
    },
    /// A message goes; its text is not kept.
    Delete(Target),
    /// A reaction is put, or taken back where it was put before.
    React {
        /// Which message.
        target: Target,
        /// Who reacts.
        username: String,
        /// With what.
        emoji: String,
    },
    /// Nothing to store.
    Skip,
    /// It cannot be understood; kept for the administrator.
    Refuse {
        /// Why.
        error: String,
    },
}

/// One stream message and what it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its sequence.
    pub seq: u64,
    /// Its subject.
    pub subject: String,
    /// Its body.
    pub payload: Vec<u8>,
    /// What it does.
    pub change: Change,
}

/// Which messages of a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    /// The newest.
    Newest,
    /// Those before a time, the newest of them.
    BeforeTime(i64),
    /// Those before a sequence, the newest of them.
    BeforeSeq(u64),
    /// Those after a sequence, the oldest of them.
    AfterSeq(u64),
}

fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

const COLUMNS: &str = "m.seq, m.id, m.room, m.username, m.text, m.timestamp, m.client_id, m.thread_id,
    m.parent_timestamp, m.broadcast, m.is_deleted, m.edited_at, m.sticker_url, m.file_ids, m.e2ee_epoch";

impl ChatDb {
    /// Applies events in order and moves the stream's position behind them, in one transaction.
    ///
    /// Events at or before the position have been applied and are skipped. An event the database refuses becomes a dead
    /// letter and the rest goes on. Returns how many did.
    ///
    /// # Errors
    /// When the database fails as a whole; nothing is applied then.
    pub async fn apply(
        &self,
        stream: &'static str,
        events: Vec<Event>,
        now: i64,
    ) -> Result<usize, Error> {
        const SAVE: &str = "INSERT INTO stream_positions (stream, seq) VALUES (?1, ?2)
            ON CONFLICT (stream) DO UPDATE SET seq = max(seq, excluded.seq)";
        self.write(move |tx| {
            let position = stream_position(tx, stream)?;
            let mut refused = 0;
            for event in events.iter().filter(|event| event.seq > position) {
                refused += usize::from(!apply_one(tx, event, now)?);
            }
            if let Some(last) = events.last() {
                tx.prepare_cached(SAVE)?
                    .execute((stream, number(last.seq)))?;
            }
            Ok(refused)
        })
        .await
    }

    /// The sequence of the last applied event of a stream; zero when there is none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn stream_position(&self, stream: &'static str) -> Result<u64, Error> {
        self.read(move |c| stream_position(c, stream)).await
    }

    /// Messages of a room's timeline, oldest first, and whether there are more in that direction.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn messages(
        &self,
        room: &str,
        page: Page,
        count_max: usize,
    ) -> Result<(Vec<MessageRow>, bool), Error> {
        let room = room.to_owned();
        self.read(move |c| {
            let (condition, order, bound) = match page {
                Page::Newest => ("m.seq < ?2", "DESC", i64::MAX),
                Page::BeforeTime(time) => ("m.timestamp < ?2", "DESC", time),
                Page::BeforeSeq(seq) => ("m.seq < ?2", "DESC", number(seq)),
                Page::AfterSeq(seq) => ("m.seq > ?2", "ASC", number(seq)),
            };
            let sql = format!(
                "SELECT {COLUMNS} FROM messages m
                WHERE m.room = ?1 AND (m.thread_id IS NULL OR m.broadcast = 1) AND {condition}
                ORDER BY m.seq {order} LIMIT ?3"
            );
            let limit = number(count_max as u64 + 1);
            let mut rows = query(c, &sql, (&room, bound, limit))?;
            let more = rows.len() > count_max;
            rows.truncate(count_max);
            if order == "DESC" {
                rows.reverse();
            }
            add_reply_counts(c, &room, &mut rows)?;
            add_reactions(c, &mut rows)?;
            Ok((rows, more))
        })
        .await
    }

    /// The newest replies of a thread, oldest first, and whether there are older ones.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn thread_messages(
        &self,
        room: &str,
        thread_id: &str,
        count_max: usize,
    ) -> Result<(Vec<MessageRow>, bool), Error> {
        let (room, thread_id) = (room.to_owned(), thread_id.to_owned());
        self.read(move |c| {
            let sql = format!(
                "SELECT {COLUMNS} FROM messages m WHERE m.room = ?1 AND m.thread_id = ?2
                ORDER BY m.seq DESC LIMIT ?3"
            );
            let limit = number(count_max as u64 + 1);
            let mut rows = query(c, &sql, (&room, &thread_id, limit))?;
            let more = rows.len() > count_max;
            rows.truncate(count_max);
            rows.reverse();
            add_reactions(c, &mut rows)?;
            Ok((rows, more))
        })
        .await
    }

    /// The time of the newest message of each room.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn last_timestamps(&self) -> Result<Vec<(String, i64)>, Error> {
        const SQL: &str = "SELECT room, max(timestamp) FROM messages GROUP BY room";
        self.read(|c| {
            let mut statement = c.prepare_cached(SQL)?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect()
        })
        .await
    }
}

/// `false` when the event became a dead letter.
fn apply_one(tx: &Transaction<'_>, event: &Event, now: i64) -> Result<bool, rusqlite::Error> {
    let error = match &event.change {
        Change::Refuse { error } => error.clone(),
        change => {
            tx.execute_batch("SAVEPOINT event")?;
            match apply_change(tx, event.seq, change, now) {
                Ok(()) => {
                    tx.execute_batch("RELEASE event")?;
                    return Ok(true);
                }
                Err(error) if is_refusal(&error) => {
                    tx.execute_batch("ROLLBACK TO event; RELEASE event")?;
                    error.to_string()
                }
                // The disk, not the message: the whole batch is tried again.
                Err(error) => return Err(error),
            }
        }
    };
    let letter = DeadLetterRow {
        seq: event.seq,
        subject: event.subject.clone(),
        payload: event.payload.clone(),
        error,
        failed_at: now,
    };
    bury(tx, &letter)?;
    Ok(false)
}

/// Whether the database refused what the message says, and would again.
fn is_refusal(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{ConstraintViolation, TooBig, TypeMismatch};
    match error.sqlite_error_code() {
        Some(code) => matches!(code, ConstraintViolation | TooBig | TypeMismatch),
        None => true,
    }
}

fn bury(tx: &Transaction<'_>, letter: &DeadLetterRow) -> Result<(), rusqlite::Error> {
    const INSERT: &str = "INSERT INTO dead_letters (seq, subject, payload, error, failed_at)
        VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (seq) DO NOTHING";
    let values = (
        number(letter.seq),
        &letter.subject,
        &letter.payload,
        &letter.error,
        letter.failed_at,
    );
    tx.prepare_cached(INSERT)?.execute(values).map(drop)
}

fn apply_change(
    tx: &Transaction<'_>,
    seq: u64,
    change: &Change,
    now: i64,
) -> Result<(), rusqlite::Error> {
    match change {
        Change::Insert(message) => insert(tx, message),
        Change::Edit {
            target,
            text,
            edited_at,
        } => edit(tx, seq, target, text, *edited_at, now),
        Change::Delete(target) => delete(tx, target),
        Change::React {
            target,
            username,
            emoji,
        } => react(tx, seq, target, username, emoji),
        Change::Skip | Change::Refuse { .. } => Ok(()),
    }
}

fn insert(tx: &Transaction<'_>, message: &MessageRow) -> Result<(), rusqlite::Error> {
    const INSERT: &str =
        "INSERT INTO messages (seq, id, room, username, text, timestamp, client_id, thread_id,
            parent_timestamp, broadcast, sticker_url, file_ids, e2ee_epoch)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";
    const MENTION: &str = "INSERT INTO message_mentions (username, room, seq) VALUES (?1, ?2, ?3)
        ON CONFLICT DO NOTHING";
    let files = (!message.file_ids.is_empty()).then(|| {
        serde_json::to_string(&message.file_ids).expect("a list of strings is always JSON")
    });
    tx.prepare_cached(INSERT)?.execute(rusqlite::params![
        number(message.seq),
        message.id,
        message.room,
        message.username,
        message.text,
        message.timestamp,
        message.client_id,
        message.thread_id,
        message.parent_timestamp,
        message.broadcast,
        message.sticker_url,
        files,
        message.e2ee_epoch,
    ])?;
    for username in &message.mentions {
        tx.prepare_cached(MENTION)?
            .execute((username, &message.room, number(message.seq)))?;
    }
    Ok(())
}

fn find(tx: &Transaction<'_>, target: &Target) -> Result<Option<i64>, rusqlite::Error> {
    const SQL: &str = "SELECT seq FROM messages
        WHERE room = ?1 AND timestamp = ?2 AND username = ?3 AND is_deleted = 0 ORDER BY seq LIMIT 1";
    tx.prepare_cached(SQL)?
        .query_row((&target.room, target.timestamp, &target.username), |row| {
            row.get(0)
        })
        .optional()
}

fn edit(
    tx: &Transaction<'_>,
    seq: u64,
    target: &Target,
    text: &str,
    edited_at: i64,
    now: i64,
) -> Result<(), rusqlite::Error> {
    const KEEP: &str = "INSERT INTO message_versions (seq, message_seq, text, edited_at)
        SELECT ?1, seq, text, ?3 FROM messages WHERE seq = ?2";
    const SET: &str = "UPDATE messages SET text = ?2, edited_at = ?3 WHERE seq = ?1";
    const TRIM: &str = "DELETE FROM message_versions WHERE message_seq = ?1 AND seq NOT IN
        (SELECT seq FROM message_versions WHERE message_seq = ?1 ORDER BY seq DESC LIMIT ?2)";
    let Some(message) = find(tx, target)? else {
        return Ok(());
    };
    tx.prepare_cached(KEEP)?
        .execute((number(seq), message, now))?;
    tx.prepare_cached(SET)?
        .execute((message, text, edited_at))?;
    tx.prepare_cached(TRIM)?
        .execute((message, VERSIONS_MAX))
        .map(drop)
}

fn delete(tx: &Transaction<'_>, target: &Target) -> Result<(), rusqlite::Error> {
    const CLEAR: &str =
        "UPDATE messages SET is_deleted = 1, text = '', sticker_url = NULL, file_ids = NULL
        WHERE seq = ?1";
    const VERSIONS: &str = "DELETE FROM message_versions WHERE message_seq = ?1";
    const REACTIONS: &str = "DELETE FROM message_reactions WHERE message_seq = ?1";
    let Some(message) = find(tx, target)? else {
        return Ok(());
    };
    for sql in [CLEAR, VERSIONS, REACTIONS] {
        tx.prepare_cached(sql)?.execute([message])?;
    }
    Ok(())
}

fn react(
    tx: &Transaction<'_>,
    seq: u64,
    target: &Target,
    username: &str,
    emoji: &str,
) -> Result<(), rusqlite::Error> {
    const TAKE: &str =
        "DELETE FROM message_reactions WHERE message_seq = ?1 AND username = ?2 AND emoji = ?3";
    const PUT: &str = "INSERT INTO message_reactions (message_seq, username, emoji, seq)
        VALUES (?1, ?2, ?3, ?4)";
    let Some(message) = find(tx, target)? else {
        return Ok(());
    };
    if tx
        .prepare_cached(TAKE)?
        .execute((message, username, emoji))?
        == 0
    {
        tx.prepare_cached(PUT)?
            .execute((message, username, emoji, number(seq)))?;
    }
    Ok(())
}

fn stream_position(c: &Connection, stream: &str) -> Result<u64, rusqlite::Error> {
    const SQL: &str = "SELECT seq FROM stream_positions WHERE stream = ?1";
    let found: Option<i64> = c
        .prepare_cached(SQL)?
        .query_row([stream], |row| row.get(0))
        .optional()?;
    Ok(found.unwrap_or(0).unsigned_abs())
}

fn query(
    c: &Connection,
    sql: &str,
    values: impl rusqlite::Params,
) -> Result<Vec<MessageRow>, rusqlite::Error> {
    let mut statement = c.prepare_cached(sql)?;
    let rows = statement.query_map(values, message_row)?;
    rows.collect()
}

fn message_row(row: &Row<'_>) -> Result<MessageRow, rusqlite::Error> {
    let files: Option<String> = row.get(13)?;
    let files = files.and_then(|files| serde_json::from_str(&files).ok());
    Ok(MessageRow {
        seq: row.get::<_, i64>(0)?.unsigned_abs(),
        id: row.get(1)?,
        room: row.get(2)?,
        username: row.get(3)?,
        text: row.get(4)?,
        timestamp: row.get(5)?,
        client_id: row.get(6)?,
        thread_id: row.get(7)?,
        parent_timestamp: row.get(8)?,
        broadcast: row.get(9)?,
        is_deleted: row.get(10)?,
        edited_at: row.get(11)?,
        sticker_url: row.get(12)?,
        file_ids: files.unwrap_or_default(),
        e2ee_epoch: row.get(14)?,
        ..MessageRow::default()
    })
}

fn add_reply_counts(
    c: &Connection,
    room: &str,
    rows: &mut [MessageRow],
) -> Result<(), rusqlite::Error> {
    const SQL: &str = "SELECT thread_id, count(*) FROM messages
        WHERE room = ?1 AND thread_id IN (SELECT value FROM json_each(?2)) AND is_deleted = 0 GROUP BY thread_id";
    let thread = |row: &MessageRow| format!("{room}-{}", row.timestamp);
    let threads: Vec<String> = rows.iter().map(thread).collect();
    let threads = serde_json::to_string(&threads).expect("a list of strings is always JSON");
    let mut statement = c.prepare_cached(SQL)?;
    let counts = statement.query_map((room, threads), |row| Ok((row.get(0)?, row.get(1)?)))?;
    let counts: std::collections::HashMap<String, i64> = counts.collect::<Result<_, _>>()?;
    for row in rows {
        row.reply_count = counts
            .get(&thread(row))
            .map_or(0, |count| count.unsigned_abs());
    }
    Ok(())
}

fn add_reactions(c: &Connection, rows: &mut [MessageRow]) -> Result<(), rusqlite::Error> {
    const SQL: &str = "SELECT message_seq, emoji, username FROM message_reactions
        WHERE message_seq IN (SELECT value FROM json_each(?1)) ORDER BY seq";
    let sequences: Vec<u64> = rows.iter().map(|row| row.seq).collect();
    let sequences = serde_json::to_string(&sequences).expect("a list of numbers is always JSON");
    let mut statement = c.prepare_cached(SQL)?;
    let mut found = statement.query([sequences])?;
    while let Some(reaction) = found.next()? {
        let seq = reaction.get::<_, i64>(0)?.unsigned_abs();
        if let Some(row) = rows.iter_mut().find(|row| row.seq == seq) {
            row.reactions.push((reaction.get(1)?, reaction.get(2)?));
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "messages_tests.rs"]
mod tests;
