//! Settings of the workspace: single values by name.

use rusqlite::OptionalExtension;

use super::{ChatDb, Error};

impl ChatDb {
    /// The value stored under `key`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn setting(&self, key: &'static str) -> Result<Option<String>, Error> {
        const SQL: &str = "SELECT value FROM settings WHERE key = ?1";
        self.read(move |c| {
            c.prepare_cached(SQL)?
                .query_row([key], |row| row.get(0))
                .optional()
        })
        .await
    }

    /// Stores `value` under `key`, replacing what was there.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn set_setting(&self, key: &'static str, value: String) -> Result<(), Error> {
        const SQL: &str = "INSERT INTO settings (key, value) VALUES (?1, ?2)
            ON CONFLICT (key) DO UPDATE SET value = excluded.value";
        self.write(move |tx| tx.prepare_cached(SQL)?.execute((key, value)).map(drop))
            .await
    }
}
