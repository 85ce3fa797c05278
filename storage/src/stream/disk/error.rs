//! What goes wrong in a stream file, sorted into the errors people can act on.

use std::path::Path;

use crate::Error;
use crate::data_dir::io_error;

use super::super::record::BadRecord;

/// A failure that does not know its file yet.
#[derive(Debug)]
pub(super) enum Fault {
    Database(redb::Error),
    /// Written by a newer version, in this format.
    Newer(u32),
    /// Damaged, and what was found.
    Damage(String),
    /// Sorted already.
    Known(Error),
}

impl Fault {
    pub(super) fn damage(reason: impl Into<String>) -> Self {
        Self::Damage(reason.into())
    }

    /// The error for a file.
    pub(super) fn at(self, path: &Path) -> Error {
        match self {
            Self::Database(error) => sort(path, error),
            Self::Newer(found) => Error::NewerFormat {
                path: path.to_path_buf(),
                found,
                supported: super::FORMAT_WITH_JOURNAL,
            },
            Self::Damage(reason) => corrupt(path, &reason),
            Self::Known(error) => error,
        }
    }
}

impl From<BadRecord> for Fault {
    fn from(error: BadRecord) -> Self {
        Self::Damage(error.0.to_owned())
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Known(error)
    }
}

macro_rules! from_redb {
    ($($error:ident),*) => {$(
        impl From<redb::$error> for Fault {
            fn from(error: redb::$error) -> Self {
                Self::Database(error.into())
            }
        }
    )*};
}

from_redb!(
    CommitError,
    DatabaseError,
    SetDurabilityError,
    StorageError,
    TableError,
    TransactionError
);

fn sort(path: &Path, error: redb::Error) -> Error {
    match error {
        redb::Error::Io(source) => io_error(path, source),
        redb::Error::Corrupted(reason) => corrupt(path, &reason),
        redb::Error::PreviousIo => Error::WritesStopped {
            path: path.to_path_buf(),
            reason: "an earlier input or output error".to_owned(),
        },
        redb::Error::UpgradeRequired(_) => corrupt(path, "it has a database format of the past"),
        redb::Error::DatabaseAlreadyOpen => Error::Locked {
            path: path.to_path_buf(),
            holder: "unknown".to_owned(),
        },
        other => Error::Io {
            path: path.to_path_buf(),
            source: std::io::Error::other(other),
        },
    }
}

pub(super) fn corrupt(path: &Path, reason: &str) -> Error {
    Error::Corrupt {
        path: path.to_path_buf(),
        reason: reason.to_owned(),
    }
}
