//! The streams of one directory.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tokio::task::JoinSet;

use crate::Error;
use crate::data_dir::{escape_file_name, io_error};
use crate::key::MasterKey;

use super::clock::{Clock, SystemClock};
use super::disk::{Disk, DiskOptions, database_of, remove_journal, remove_leftover};
use super::files::{remove_if_there, sync_name};
use super::inner::{Inner, Store};
use super::log::Log;
use super::memory::Memory;
use super::{StorageKind, Stream, StreamConfig, SyncPolicy, lock};

/// Longest file name of a stream without its ending; file systems take 255 bytes.
const FILE_NAME_BYTES_MAX: usize = 240;
pub(super) const ENDING: &str = "redb";

/// How a store opens its streams.
#[derive(Clone)]
#[non_exhaustive]
pub struct StoreOptions {
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// When bytes are forced to the disk, for all streams whatever their configuration says.
    /// `None`: as each stream says.
    pub sync: Option<SyncPolicy>,
    /// New files are encrypted under this key; those that were are read with it. `None`: new files
    /// are plain.
    pub cipher: Option<Arc<MasterKey>>,
    pub(crate) disk: DiskOptions,
    /// Tries a full disk again with the next append instead of after a pause.
    pub(crate) retry_at_once: bool,
}

impl StoreOptions {
    pub(super) fn disk_options(&self) -> DiskOptions {
        DiskOptions {
            key: self.cipher.clone(),
            ..self.disk.clone()
        }
    }
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            sync: None,
            cipher: None,
            disk: DiskOptions::default(),
            retry_at_once: false,
        }
    }
}

impl std::fmt::Debug for StoreOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StoreOptions")
    }
}

/// All streams of one account, kept in one directory.
#[derive(Debug)]
pub struct StreamStore {
    dir: PathBuf,
    options: StoreOptions,
    streams: Mutex<HashMap<String, Stream>>,
    /// One create or remove at a time, so that two of the same name can not meet.
    changing: tokio::sync::Mutex<()>,
}

impl StreamStore {
    /// Opens the directory, making it when it is missing. Streams are opened by `open_all`.
    ///
    /// # Errors
    /// [`Error`] when the directory can not be made.
    pub fn open(dir: &Path, options: StoreOptions) -> Result<Self, Error> {
        options.disk.files.make_dir(dir)?;
        Ok(Self {
            dir: dir.to_path_buf(),
            options,
            streams: Mutex::default(),
            changing: tokio::sync::Mutex::default(),
        })
    }

    /// Makes a new stream.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`], [`Error::StreamExists`], or why its file can not be made.
    pub async fn create(&self, config: StreamConfig) -> Result<Stream, Error> {
        config.validate()?;
        let path = self.path_of(&config.name);
        let _changing = self.changing.lock().await;
        let name = config.name.clone();
        if lock(&self.streams).contains_key(&name) || self.options.disk.files.exists(&path) {
            return Err(Error::StreamExists { name });
        }
        let config = Arc::new(config);
        let log = Log::new(config.clone());
        let store = match config.storage {
            StorageKind::Memory => Store::Memory(Memory::default()),
            StorageKind::Disk => {
                let options = self.options.disk_options();
                let made = blocking(move || create_file(&path, options, &config)).await?;
                Store::Disk(Box::new(made))
            }
        };
        let stream = self.start(store, log);
        lock(&self.streams).insert(name, stream.clone());
        Ok(stream)
    }

    /// Opens every stream found in the directory, several at a time. Those that are open already
    /// are returned as they are.
    ///
    /// # Errors
    /// The first file that can not be opened, by name; nothing is changed or deleted.
    pub async fn open_all(&self) -> Result<Vec<Stream>, Error> {
        let _changing = self.changing.lock().await;
        self.remove_lone_journals()?;
        let mut opening = JoinSet::new();
        for path in self.files()? {
            let options = self.options.clone();
            let known = lock(&self.streams)
                .keys()
                .any(|name| self.path_of(name) == path);
            if !known {
                opening.spawn_blocking(move || open_stream(&path, &options));
            }
        }
        while let Some(opened) = opening.join_next().await {
            let (disk, log) = opened.unwrap_or(Err(Error::Closed))?;
            let name = log.config.name.clone();
            let stream = self.start(Store::Disk(Box::new(disk)), log);
            lock(&self.streams).insert(name, stream);
        }
        Ok(lock(&self.streams).values().cloned().collect())
    }

    /// Removes a stream and its file; false when there was none.
    ///
    /// # Errors
    /// [`Error`] when the file can not be removed.
    pub async fn remove(&self, name: &str) -> Result<bool, Error> {
        let _changing = self.changing.lock().await;
        let Some(stream) = lock(&self.streams).remove(name) else {
            return Ok(false);
        };
        // A failed last commit is no reason to keep what is to be removed.
        let _ = stream.close().await;
        if let Store::Disk(disk) = &stream.inner.store {
            let path = disk.path();
            let files = self.options.disk.files.clone();
            blocking(move || {
                // The journal means nothing without its file.
                remove_if_there(&*files, &path)?;
                remove_journal(&*files, &path)?;
                sync_name(&*files, &path)
            })
            .await?;
        }
        Ok(true)
    }

    /// Closes all streams; appends that were taken are committed first.
    pub async fn shutdown(&self) {
        let streams: Vec<Stream> = lock(&self.streams)
            .drain()
            .map(|(_, stream)| stream)
            .collect();
        let mut closing = JoinSet::new();
        for stream in streams {
            closing.spawn(async move {
                if let Err(error) = stream.close().await {
                    tracing::error!(?stream, %error, "stream did not close cleanly");
                }
            });
        }
        while closing.join_next().await.is_some() {}
    }

    fn start(&self, store: Store, log: Log) -> Stream {
        Stream::start(Inner::new(store, log, &self.options))
    }

    fn path_of(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{}.{ENDING}", file_name(name)))
    }

    /// Removes what a crash left of a stream that was being removed.
    fn remove_lone_journals(&self) -> Result<(), Error> {
        let files = &*self.options.disk.files;
        let found = files.list(&self.dir);
        for path in found.map_err(|source| io_error(&self.dir, source))? {
            let database = database_of(&path, ENDING).filter(|database| !files.exists(database));
            if let Some(database) = database {
                remove_journal(files, &database)?;
            }
        }
        Ok(())
    }

    fn files(&self) -> Result<Vec<PathBuf>, Error> {
        let failed = |source| io_error(&self.dir, source);
        let mut files = self.options.disk.files.list(&self.dir).map_err(failed)?;
        files.retain(|path| path.extension().is_some_and(|ending| ending == ENDING));
        Ok(files)
    }
}

/// The name of a stream's file without its ending. The file holds the true name.
fn file_name(name: &str) -> String {
    let escaped = escape_file_name(name);
    if escaped.len() <= FILE_NAME_BYTES_MAX {
        return escaped;
    }
    // FNV-1a. Two long names that agree in the beginning and in it can not exist side by side.
    let sum = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let kept = &escaped[..FILE_NAME_BYTES_MAX - 17];
    format!("{kept}~{sum:016x}")
}

fn open_stream(path: &Path, options: &StoreOptions) -> Result<(Disk, Log), Error> {
    remove_leftover(path, &options.disk)?;
    let disk = Disk::open(path, options.disk_options())?;
    let log = disk.load(options.clock.now())?;
    Ok((disk, log))
}

/// Made aside and renamed: a crash leaves either no stream or a whole one.
fn create_file(
    path: &Path,
    options: DiskOptions,
    config: &Arc<StreamConfig>,
) -> Result<Disk, Error> {
    let files = options.files.clone();
    let aside = path.with_extension("new");
    // What a crash left of an earlier try was never acknowledged.
    remove_if_there(&*files, &aside)?;
    let disk = Disk::create(&aside, options, config)?;
    files
        .rename(&aside, path)
        .map_err(|source| io_error(path, source))?;
    sync_name(&*files, path)?;
    disk.moved(path);
    Ok(disk)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or(Err(Error::Closed))
}
