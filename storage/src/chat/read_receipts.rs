//! How far each user has read each room, and what is unread because of it.

use rusqlite::{Connection, OptionalExtension};

use super::{ChatDb, Error};

/// Where a user stands in a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadPosition {
    /// Who.
    pub username: String,
    /// The last message read.
    pub seq: u64,
    /// Its time in unix milliseconds.
    pub timestamp: i64,
}

/// What a room's entry in the sidebar says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoomFigures {
    /// The room.
    pub room: String,
    /// Messages of others after the read position; counting stops at [`UNREAD_MAX`].
    pub unread: u64,
    /// How many of them mention the user.
    pub mentions: u64,
    /// The read position; zero when there is none.
    pub last_read: u64,
    /// The newest message of the timeline; zero when there is none.
    pub last_seq: u64,
    /// Its time.
    pub last_activity: Option<i64>,
}

/// Counting unread messages stops here: nobody reads a larger number.
pub const UNREAD_MAX: u64 = 1_000;

fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

impl ChatDb {
    /// Moves a read position forward; a position never goes back. Returns where it stands.
    ///
    /// A position beyond the room's last message means that message, so that a wrong clock or a forged number cannot
    /// hide what comes later.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn set_read_position(
        &self,
        username: &str,
        room: &str,
        reached: Reached,
    ) -> Result<Option<ReadPosition>, Error> {
        const BY_SEQ: &str = "SELECT seq, timestamp FROM messages
            WHERE room = ?1 AND seq <= ?2 ORDER BY seq DESC LIMIT 1";
        const BY_TIME: &str = "SELECT seq, timestamp FROM messages
            WHERE room = ?1 AND timestamp <= ?2 ORDER BY timestamp DESC, seq DESC LIMIT 1";
        const UPSERT: &str = "INSERT INTO read_positions (username, room, seq, timestamp)
            VALUES (?1, ?2, ?3, ?4) ON CONFLICT (username, room)
            DO UPDATE SET seq = excluded.seq, timestamp = excluded.timestamp WHERE excluded.seq > seq";
        let (username, room) = (username.to_owned(), room.to_owned());
        self.write(move |tx| {
            let (sql, bound) = match reached {
                Reached::Seq(seq) => (BY_SEQ, number(seq)),
                Reached::Time(timestamp) => (BY_TIME, timestamp),
            };
            let found: Option<(i64, i64)> = tx
                .prepare_cached(sql)?
                .query_row((&room, bound), |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            if let Some((seq, timestamp)) = found {
                tx.prepare_cached(UPSERT)?
                    .execute((&username, &room, seq, timestamp))?;
            }
            position(tx, &username, &room)
        })
        .await
    }

    /// Starts a user at the end of a room, unless there is a position already: a newcomer has read nothing and yet has
    /// nothing to catch up with.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn start_read_position(&self, username: &str, room: &str) -> Result<(), Error> {
        const SQL: &str = "INSERT INTO read_positions (username, room, seq, timestamp)
            SELECT ?1, ?2, coalesce(max(seq), 0), coalesce(max(timestamp), 0) FROM messages WHERE room = ?2
            ON CONFLICT (username, room) DO NOTHING";
        let (username, room) = (username.to_owned(), room.to_owned());
        self.write(move |tx| tx.prepare_cached(SQL)?.execute((username, room)).map(drop))
            .await
    }

    /// Read positions in a room, at most `count_max`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn read_positions(
        &self,
        room: &str,
        count_max: usize,
    ) -> Result<Vec<ReadPosition>, Error> {
        const SQL: &str = "SELECT username, seq, timestamp FROM read_positions
            WHERE room = ?1 AND timestamp > 0 ORDER BY username LIMIT ?2";
        let room = room.to_owned();
        let count_max = i64::try_from(count_max).unwrap_or(i64::MAX);
        self.read(move |c| {
            let mut statement = c.prepare_cached(SQL)?;
            let rows = statement.query_map((room, count_max), position_row)?;
            rows.collect()
        })
        .await
    }

    /// What the sidebar says of each of `rooms`, for one user. Rooms without messages are included.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn room_figures(
        &self,
        username: &str,
        rooms: Vec<String>,
    ) -> Result<Vec<RoomFigures>, Error> {
        // One statement for all rooms; each inner look-up is a range of an index.
        const SQL: &str = "
            WITH asked AS (
                SELECT value AS room,
                    coalesce((SELECT p.seq FROM read_positions p WHERE p.username = ?1 AND p.room = value), 0) AS reached
                FROM json_each(?2))
            SELECT a.room, a.reached,
                (SELECT count(*) FROM (SELECT 1 FROM messages m
                    WHERE m.room = a.room AND m.seq > a.reached AND (m.thread_id IS NULL OR m.broadcast = 1)
                        AND m.username NOT IN (?1, '__system__') AND m.is_deleted = 0 LIMIT ?3)),
                (SELECT count(*) FROM message_mentions t JOIN messages m ON m.seq = t.seq
                    WHERE t.username = ?1 AND t.room = a.room AND t.seq > a.reached
                        AND m.username <> ?1 AND m.is_deleted = 0),
                l.seq, l.timestamp
            FROM asked a LEFT JOIN messages l ON l.seq = (SELECT max(m.seq) FROM messages m
                WHERE m.room = a.room AND (m.thread_id IS NULL OR m.broadcast = 1))";
        let username = username.to_owned();
        let rooms = serde_json::to_string(&rooms).expect("a list of strings is always JSON");
        self.read(move |c| {
            let mut statement = c.prepare_cached(SQL)?;
            let rows = statement.query_map((username, rooms, number(UNREAD_MAX)), |row| {
                Ok(RoomFigures {
                    room: row.get(0)?,
                    last_read: row.get::<_, i64>(1)?.unsigned_abs(),
                    unread: row.get::<_, i64>(2)?.unsigned_abs(),
                    mentions: row.get::<_, i64>(3)?.unsigned_abs(),
                    last_seq: row.get::<_, Option<i64>>(4)?.unwrap_or(0).unsigned_abs(),
                    last_activity: row.get(5)?,
                })
            })?;
            rows.collect()
        })
        .await
    }
}

/// How a client says how far it read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached {
    /// By sequence.
    Seq(u64),
    /// By the message's time in unix milliseconds, as older clients do.
    Time(i64),
}

fn position(
    c: &Connection,
    username: &str,
    room: &str,
) -> Result<Option<ReadPosition>, rusqlite::Error> {
    const SQL: &str = "SELECT username, seq, timestamp FROM read_positions
        WHERE username = ?1 AND room = ?2";
    c.prepare_cached(SQL)?
        .query_row((username, room), position_row)
        .optional()
}

fn position_row(row: &rusqlite::Row<'_>) -> Result<ReadPosition, rusqlite::Error> {
    Ok(ReadPosition {
        username: row.get(0)?,
        seq: row.get::<_, i64>(1)?.unsigned_abs(),
        timestamp: row.get(2)?,
    })
}
