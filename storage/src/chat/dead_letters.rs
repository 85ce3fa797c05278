//! Messages that could not be stored.

use super::{ChatDb, Error};

/// One message the database refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetterRow {
    /// Its sequence in the stream.
    pub seq: u64,
    /// The subject it was published to.
    pub subject: String,
    /// Its body.
    pub payload: Vec<u8>,
    /// Why it was refused.
    pub error: String,
    /// Unix milliseconds.
    pub failed_at: i64,
}

impl ChatDb {
    /// The oldest dead letters.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn dead_letters(&self, count_max: usize) -> Result<Vec<DeadLetterRow>, Error> {
        const SQL: &str = "SELECT seq, subject, payload, error, failed_at
            FROM dead_letters ORDER BY seq LIMIT ?1";
        let count_max = i64::try_from(count_max).unwrap_or(i64::MAX);
        self.read(move |c| {
            let mut statement = c.prepare_cached(SQL)?;
            let rows = statement.query_map([count_max], |row| {
                Ok(DeadLetterRow {
                    seq: row.get::<_, i64>(0)?.unsigned_abs(),
                    subject: row.get(1)?,
                    payload: row.get(2)?,
                    error: row.get(3)?,
                    failed_at: row.get(4)?,
                })
            })?;
            rows.collect()
        })
        .await
    }
}
