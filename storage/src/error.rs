//! The one error type of this crate.

use std::path::PathBuf;

/// What can go wrong in storage. Every variant names the file or thing it is about.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The data directory is in use by another process.
    #[error("data directory {} is in use by process {holder}; stop that process or choose another directory", path.display())]
    Locked {
        /// The data directory.
        path: PathBuf,
        /// Process id of the holder as it wrote it down, or `unknown`.
        holder: String,
    },
    /// The directory or file can not be written by this user.
    #[error("{} is not writable; check its owner and permissions", path.display())]
    NotWritable {
        /// What could not be written.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The file was written by a newer version of natterjack.
    #[error("{} has format {found}, this version reads up to {supported}; start a newer natterjack (nothing was changed)", path.display())]
    NewerFormat {
        /// The file or directory.
        path: PathBuf,
        /// Format number found in it.
        found: u32,
        /// Newest format number this version knows.
        supported: u32,
    },
    /// The file is damaged. It is left as it is.
    #[error("{} is damaged ({reason}); restore it from a backup or move it away (nothing was deleted)", path.display())]
    Corrupt {
        /// The damaged file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// The file is encrypted and no key was given.
    #[error("{} is encrypted; name the key file that it was made with (nothing was changed)", path.display())]
    KeyMissing {
        /// The encrypted file.
        path: PathBuf,
    },
    /// The file is encrypted under another key.
    #[error("{} is encrypted under another key than the one given; name the key file that it was made with (nothing was changed)", path.display())]
    KeyDiffers {
        /// The encrypted file.
        path: PathBuf,
    },
    /// The key file can not be used.
    #[error("key file {} can not be used: {reason}", path.display())]
    KeyFile {
        /// The key file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// No room left on the disk.
    #[error("no room left on the disk for {}; free some space, writing goes on by itself", path.display())]
    DiskFull {
        /// The file that could not grow.
        path: PathBuf,
    },
    /// A commit failed earlier, so nothing more is written through this handle.
    #[error("writing to {} stopped after a failed commit ({reason}); check the disk and restart", path.display())]
    WritesStopped {
        /// The file.
        path: PathBuf,
        /// What failed first.
        reason: String,
    },
    /// Any other failure of the operating system.
    #[error("input or output failed on {}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The stream configuration can not be used.
    #[error("invalid stream configuration: {reason}")]
    InvalidConfig {
        /// Which rule it breaks.
        reason: String,
    },
    /// A stream of this name is open already.
    #[error("stream {name} exists already")]
    StreamExists {
        /// Its name.
        name: String,
    },
    /// The stream forbids this operation by its configuration.
    #[error("{operation} is not permitted on stream {name}")]
    NotPermitted {
        /// Stream name.
        name: String,
        /// What was tried.
        operation: &'static str,
    },
    /// More subjects match than the caller wants to see.
    #[error("more than {max} subjects match")]
    TooManySubjects {
        /// What the caller allowed.
        max: usize,
    },
    /// The stream or store is closed.
    #[error("closed")]
    Closed,
}
