//! The file operations beneath streams: the system's, or those of a disk that fails on cue.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use redb::backends::FileBackend;
use redb::{BackendError, StorageBackend};

use crate::data_dir::make_private_dir;
use crate::{Error, data_dir::io_error};

use super::lock;

/// What streams ask of a file system.
pub(crate) trait Files: Send + Sync {
    /// Makes a directory that only its owner may enter.
    fn make_dir(&self, dir: &Path) -> Result<(), Error>;
    /// Paths of all files in a directory, sorted.
    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>>;
    /// Opens a file for reading and writing, making it when it is missing.
    fn open(&self, path: &Path) -> Result<Box<dyn StorageBackend>, Error>;
    fn exists(&self, path: &Path) -> bool;
    /// Gives a file another name; what had that name is replaced. Durable after `sync_dir`.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Durable after `sync_dir`.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes changed names in a directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
}

/// The system's files, readable by their owner only.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SystemFiles;

impl Files for SystemFiles {
    fn make_dir(&self, dir: &Path) -> Result<(), Error> {
        make_private_dir(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let entries = fs::read_dir(dir)?.map(|entry| entry.map(|entry| entry.path()));
        let mut paths = entries.collect::<io::Result<Vec<_>>>()?;
        paths.sort();
        Ok(paths)
    }

    fn open(&self, path: &Path) -> Result<Box<dyn StorageBackend>, Error> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options
            .open(path)
            .map_err(|source| io_error(path, source))?;
        let backend = FileBackend::new(file)
            .map_err(|error| io_error(path, io::Error::other(error.to_string())))?;
        Ok(Box::new(backend))
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        // Other systems can not open a directory, and make names durable by themselves.
        #[cfg(unix)]
        fs::File::open(dir)?.sync_all()?;
        #[cfg(not(unix))]
        let _ = dir;
        Ok(())
    }
}

/// Removes a file that may be gone already.
pub(crate) fn remove_if_there(files: &dyn Files, path: &Path) -> Result<(), Error> {
    match files.remove(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error(path, error)),
        _ => Ok(()),
    }
}

/// Makes a new or removed name durable.
pub(crate) fn sync_name(files: &dyn Files, path: &Path) -> Result<(), Error> {
    let dir = path.parent().unwrap_or(path);
    files.sync_dir(dir).map_err(|source| io_error(dir, source))
}

/// What became of a file while redb had it.
#[derive(Debug, Default)]
pub(super) struct Watched {
    len: AtomicU64,
    /// The first failure. redb tells of it once and later only that there was one.
    failure: Mutex<Option<(io::ErrorKind, String)>>,
}

impl Watched {
    /// Present size of the file.
    pub(super) fn len(&self) -> u64 {
        self.len.load(Ordering::Relaxed)
    }

    /// The first failure of the file.
    pub(super) fn failure(&self) -> Option<io::Error> {
        let failure = lock(&self.failure).clone();
        failure.map(|(kind, text)| io::Error::new(kind, text))
    }
}

/// A file as redb gets it: says how long it is and how it failed first.
#[derive(Debug)]
pub(super) struct WatchedFile {
    file: Box<dyn StorageBackend>,
    watched: Arc<Watched>,
}

impl WatchedFile {
    pub(super) fn new(file: Box<dyn StorageBackend>) -> (Self, Arc<Watched>) {
        let watched = Arc::new(Watched::default());
        let len = file.len().unwrap_or(0);
        watched.len.store(len, Ordering::Relaxed);
        let this = Self {
            file,
            watched: watched.clone(),
        };
        (this, watched)
    }

    fn note<T>(&self, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result {
            lock(&self.watched.failure).get_or_insert_with(|| (error.kind(), error.to_string()));
        }
        result
    }
}

impl StorageBackend for WatchedFile {
    fn len(&self) -> io::Result<u64> {
        self.note(self.file.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.note(self.file.read(offset, out))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.note(self.file.set_len(len))?;
        self.watched.len.store(len, Ordering::Relaxed);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.note(self.file.sync_data())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.note(self.file.write(offset, data))
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }

    fn try_lock_range(
        &self,
        start: std::ops::Bound<u64>,
        end: std::ops::Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: std::ops::Bound<u64>,
        end: std::ops::Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.file.try_lock_shared_range(start, end)
    }

    fn lock_range(
        &self,
        start: std::ops::Bound<u64>,
        end: std::ops::Bound<u64>,
    ) -> Result<(), BackendError> {
        self.file.lock_range(start, end)
    }

    fn lock_shared_range(
        &self,
        start: std::ops::Bound<u64>,
        end: std::ops::Bound<u64>,
    ) -> Result<(), BackendError> {
        self.file.lock_shared_range(start, end)
    }

    fn unlock_range(
        &self,
        start: std::ops::Bound<u64>,
        end: std::ops::Bound<u64>,
    ) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }

    fn query_lock_range(
        &self,
        start: std::ops::Bound<u64>,
        end: std::ops::Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.file.query_lock_range(start, end)
    }
}
