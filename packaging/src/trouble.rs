//! What a person at the terminal is told when something goes wrong.
//!
//! A `Trouble` is one sentence about what happened, one about what to do, and an exit code that scripts can rely on.
//! It never holds a secret, and it is printed without a backtrace: a backtrace helps nobody who mistyped a port.

use std::fmt;
use std::io;
use std::path::Path;
use std::process::ExitCode;

/// Exit codes, those of BSD's `sysexits.h`. They are documented in README.md and do not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// The command line is wrong, or names somebody who does not exist.
    Usage = 64,
    /// A data file is damaged or was written by a newer natterjack.
    Data = 65,
    /// A file named on the command line is not there.
    NoInput = 66,
    /// An address can not be listened on.
    Unavailable = 69,
    /// A bug in natterjack.
    Software = 70,
    /// The disk is full, or reading or writing failed.
    Io = 74,
    /// Another process holds the data directory. Trying again later may work.
    Busy = 75,
    /// A file or directory is not ours to use, or is open to others.
    Permission = 77,
    /// The configuration is wrong.
    Config = 78,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why natterjack stops, in words for the person who started it.
#[derive(Clone, Debug)]
pub(crate) struct Trouble {
    pub(crate) exit: Exit,
    /// What happened, as a full sentence.
    pub(crate) what: String,
    /// What to do about it, as a full sentence.
    pub(crate) remedy: String,
}

impl Trouble {
    pub(crate) fn new(exit: Exit, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            exit,
            what: what.into(),
            remedy: remedy.into(),
        }
    }

    /// A wrong command line.
    pub(crate) fn usage(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(Exit::Usage, what, remedy)
    }

    /// A wrong configuration.
    pub(crate) fn config(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(Exit::Config, what, remedy)
    }

    /// A failed read or write of `path` while doing `doing`.
    pub(crate) fn io(doing: &str, path: &Path, error: &io::Error) -> Self {
        let path = path.display();
        match error.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Self::new(
                Exit::Permission,
                format!("Could not {doing} {path}: {error}."),
                "Start natterjack as the user who owns it, or change its owner or mode.",
            ),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::new(
                Exit::Io,
                format!("Could not {doing} {path}: the disk is full."),
                "Free some space and start again; nothing that was confirmed is lost.",
            ),
            io::ErrorKind::NotFound => Self::new(
                Exit::NoInput,
                format!("Could not {doing} {path}: it is not there."),
                "Check the path.",
            ),
            _ => Self::new(
                Exit::Io,
                format!("Could not {doing} {path}: {error}."),
                "Check the disk and the file system.",
            ),
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "natterjack: {}\n            {}", self.what, self.remedy)
    }
}

impl std::error::Error for Trouble {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_disk_has_its_own_words() {
        let error = io::Error::from(io::ErrorKind::StorageFull);
        let trouble = Trouble::io("write", Path::new("/data/lock"), &error);
        assert_eq!(trouble.exit, Exit::Io);
        assert!(trouble.to_string().contains("the disk is full"));
    }
}
