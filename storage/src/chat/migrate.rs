//! The shape of the database file, version by version.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::Error;

/// Every step from an empty file to today's shape, oldest first.
///
/// A file's `user_version` says how many of them it has. Append only: a released step is never edited.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/1_identity.sql"),
    include_str!("migrations/2_chat.sql"),
];

/// Brings the file to the newest version known here, each step in a transaction of its own.
///
/// # Errors
/// [`Error::NewerFormat`] when the file was written by a newer natterjack; it is left untouched.
pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), Error> {
    let found = user_version(connection)?;
    let known = u32::try_from(MIGRATIONS.len()).expect("a handful of migrations");
    if found > known {
        return Err(Error::NewerFormat {
            path: path.to_owned(),
            found,
            known,
        });
    }
    for (step, sql) in (0..).zip(MIGRATIONS).skip(found as usize) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Another process may have migrated while this one waited for the lock.
        if user_version(&transaction)? == step {
            transaction.execute_batch(sql)?;
            transaction.pragma_update(None, "user_version", step + 1)?;
            transaction.commit()?;
        }
    }
    Ok(())
}

fn user_version(connection: &Connection) -> Result<u32, rusqlite::Error> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}
