//! The data directory: what lies where, who holds it, and which format it has.
//!
//! ```text
//! {data}/            0700
//!   lock             locked while a process uses the directory; holds its process id
//!   format           format number of the layout, decimal
//!   keys/            0700; secrets, each file 0600
//!   streams/{account}/{stream}.redb
//!   streams/{account}/{stream}.journal    what is not in that file yet, if anything
//!   chat.sqlite3
//! ```

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use crate::Error;

/// Newest layout this version knows.
const FORMAT: u32 = 1;

/// An opened data directory. It stays locked until this is dropped.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    /// Held for its lock only.
    _lock: File,
}

impl DataDir {
    /// Makes what is missing, takes the lock and checks the format.
    ///
    /// # Errors
    /// [`Error::Locked`] with the holder's process id, [`Error::NotWritable`],
    /// [`Error::NewerFormat`], [`Error::Corrupt`] for an unreadable format file, [`Error::Io`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref().to_path_buf();
        make_private_dir(&path)?;
        let lock = take_lock(&path)?;
        check_format(&path.join("format"))?;
        make_private_dir(&path.join("keys"))?;
        make_private_dir(&path.join("streams"))?;
        Ok(Self { path, _lock: lock })
    }

    /// The directory itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Directory of an account's streams. The name is escaped, so it can not leave the directory.
    #[must_use]
    pub fn streams(&self, account: &str) -> PathBuf {
        Self::streams_in(&self.path, account)
    }

    /// The same for a path, where the directory itself can not be borrowed for long.
    #[must_use]
    pub fn streams_in(data_dir: &Path, account: &str) -> PathBuf {
        data_dir.join("streams").join(escape_file_name(account))
    }

    /// The directories of all accounts that have streams, sorted.
    ///
    /// # Errors
    /// [`Error`] when the directory can not be read.
    pub fn stream_dirs(&self) -> Result<Vec<PathBuf>, Error> {
        let streams = self.path.join("streams");
        let failed = |source| io_error(&streams, source);
        let mut dirs = Vec::new();
        for entry in std::fs::read_dir(&streams).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.is_dir() {
                dirs.push(path);
            }
        }
        dirs.sort();
        Ok(dirs)
    }

    /// The chat database.
    #[must_use]
    pub fn chat_db(&self) -> PathBuf {
        Self::chat_db_in(&self.path)
    }

    /// The chat database of a data directory that another process may hold: SQLite allows both.
    #[must_use]
    pub fn chat_db_in(data_dir: &Path) -> PathBuf {
        data_dir.join("chat.sqlite3")
    }

    /// Directory of signing keys and other secrets, mode 0700.
    #[must_use]
    pub fn keys(&self) -> PathBuf {
        Self::keys_in(&self.path)
    }

    /// The keys of a data directory that another process may hold.
    #[must_use]
    pub fn keys_in(data_dir: &Path) -> PathBuf {
        data_dir.join("keys")
    }
}

/// Letters, digits, `-` and `_` stay; every other byte becomes `%XX`, so that no name can be a
/// path, a hidden file or differ from another by encoding only.
pub(crate) fn escape_file_name(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => escaped.push(byte.into()),
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

/// Makes a directory that only its owner may enter; an existing one is left as it is.
pub(crate) fn make_private_dir(path: &Path) -> Result<(), Error> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
        .create(path)
        .map_err(|source| io_error(path, source))
}

/// Sorts an error of the system into the ones people can act on.
pub(crate) fn io_error(path: &Path, source: io::Error) -> Error {
    let path = path.to_path_buf();
    match source.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            Error::NotWritable { path, source }
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::DiskFull { path },
        _ => Error::Io { path, source },
    }
}

fn take_lock(dir: &Path) -> Result<File, Error> {
    let path = dir.join("lock");
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let mut file = options.open(&path).map_err(|e| io_error(&path, e))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(Error::Locked {
                path: dir.to_path_buf(),
                holder: read_holder(&mut file),
            });
        }
        Err(TryLockError::Error(source)) => return Err(io_error(&path, source)),
    }
    let written = file
        .set_len(0)
        .and_then(|()| write!(file, "{}", std::process::id()));
    written.map_err(|source| io_error(&path, source))?;
    Ok(file)
}

/// The process id in the lock file, or `unknown` when it holds anything else.
fn read_holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file
        .rewind()
        .and_then(|()| file.take(20).read_to_string(&mut text));
    match (read, text.trim().parse::<u32>()) {
        (Ok(_), Ok(pid)) => pid.to_string(),
        _ => "unknown".to_owned(),
    }
}

fn check_format(path: &Path) -> Result<(), Error> {
    match fs::read_to_string(path) {
        Ok(text) => match text.trim().parse::<u32>() {
            Ok(found) if found > FORMAT => Err(Error::NewerFormat {
                path: path.to_path_buf(),
                found,
                supported: FORMAT,
            }),
            Ok(_) => Ok(()),
            Err(_) => Err(Error::Corrupt {
                path: path.to_path_buf(),
                reason: "it should hold the format number".to_owned(),
            }),
        },
        Err(e) if e.kind() == io::ErrorKind::NotFound => write_format(path),
        Err(source) => Err(io_error(path, source)),
    }
}

/// Written aside and renamed, so that a crash leaves either no file or a whole one.
fn write_format(path: &Path) -> Result<(), Error> {
    let aside = path.with_extension("new");
    let written = File::create(&aside)
        .and_then(|mut file| writeln!(file, "{FORMAT}").and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&aside, path));
    written.map_err(|source| io_error(path, source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directory_has_one_holder_and_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let held = DataDir::open(dir.path()).unwrap();
        let second = DataDir::open(dir.path()).unwrap_err();
        let pid = std::process::id().to_string();
        assert!(
            matches!(&second, Error::Locked { holder, .. } if *holder == pid),
            "{second}"
        );
        drop(held);
        DataDir::open(dir.path()).unwrap();
    }

    #[test]
    fn newer_or_unreadable_format_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        drop(DataDir::open(dir.path()).unwrap());
        let format = dir.path().join("format");
        fs::write(&format, "99\n").unwrap();
        assert!(matches!(
            DataDir::open(dir.path()),
            Err(Error::NewerFormat { found: 99, .. })
        ));
        fs::write(&format, "rubbish").unwrap();
        assert!(matches!(
            DataDir::open(dir.path()),
            Err(Error::Corrupt { .. })
        ));
        assert_eq!(fs::read_to_string(&format).unwrap(), "rubbish");
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_may_enter() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(dir.path().join("data")).unwrap();
        for path in [data.path().to_path_buf(), data.keys()] {
            assert_eq!(
                fs::metadata(path).unwrap().permissions().mode() & 0o777,
                0o700
            );
        }
    }

    #[test]
    fn names_can_not_leave_their_directory() {
        for name in ["..", "../x", "a/b", ".hidden", "a\\b", "", "a\0b"] {
            let escaped = escape_file_name(name);
            assert!(!escaped.contains(['/', '\\', '.', '\0']), "{escaped}");
        }
        assert_ne!(escape_file_name("a%2E"), escape_file_name("a."));
    }
}
