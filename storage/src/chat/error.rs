//! What can go wrong with the chat database.

use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::ErrorCode;

/// Why the chat database could not do what was asked.
///
/// `Clone`, because every job of a batch hears of the one commit that failed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file could not be opened or created.
    #[error(
        "cannot open the chat database {path}; check that the directory exists and is writable"
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: Arc<rusqlite::Error>,
    },
    /// The file could not be created, or is not writable.
    #[error(
        "cannot write the chat database {path}; check the rights of the file and its directory"
    )]
    CannotCreate {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: Arc<std::io::Error>,
    },
    /// The file was written by a newer natterjack.
    #[error(
        "the chat database {path} has format {found}, this natterjack knows up to {known}; \
         start the newer natterjack again, or restore a backup made before it ran"
    )]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The newest version known here.
        known: u32,
    },
    /// The file is not a database, or its content is damaged.
    #[error("the chat database is damaged; keep a copy of the file and restore the latest backup")]
    Corrupt(#[source] Arc<rusqlite::Error>),
    /// No space was left; nothing of the change was kept.
    #[error("the disk that holds the chat database is full; free some space and try again")]
    DiskFull,
    /// Another process held the write lock for too long.
    #[error("the chat database is busy with another process; try again")]
    Busy,
    /// The database was closed.
    #[error("the chat database is closed")]
    Closed,
    /// A statement failed.
    #[error("the chat database failed")]
    Database(#[source] Arc<rusqlite::Error>),
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Corrupt(Arc::new(error))
            }
            Some(ErrorCode::DiskFull) => Self::DiskFull,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy,
            _ => Self::Database(Arc::new(error)),
        }
    }
}
