//! The streams of all accounts: making, opening, finding, removing.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::HashMap;
use storage::stream::{StoreOptions, StreamConfig, StreamStore};

use super::error::StreamError;
use super::kv::{Bucket, KeyValue, KvError};
use super::stream::StreamHandle;
use crate::account::Account;
use crate::error::Error;
use crate::server::Shared;
use crate::subject;

/// Where the streams of an account are kept.
pub struct StreamsRoot(Box<dyn Fn(&str) -> PathBuf + Send + Sync>);

impl StreamsRoot {
    /// `directory` names the directory of an account, such as `|account| data_dir.streams(account)`.
    pub fn new(directory: impl Fn(&str) -> PathBuf + Send + Sync + 'static) -> Self {
        Self(Box::new(directory))
    }
}

impl std::fmt::Debug for StreamsRoot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StreamsRoot")
    }
}

/// All streams of a server.
#[derive(Debug)]
pub(crate) struct Registry {
    root: Option<StreamsRoot>,
    accounts: Mutex<HashMap<String, Arc<AccountStreams>>>,
}

/// The streams of one account.
#[derive(Debug)]
struct AccountStreams {
    store: StreamStore,
    open: Mutex<HashMap<String, StreamHandle>>,
    /// Held while a stream is made, changed or removed, so that two of them cannot take the same subjects.
    changes: tokio::sync::Mutex<()>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Registry {
    pub(crate) fn new(root: Option<StreamsRoot>) -> Self {
        Self {
            root,
            accounts: Mutex::default(),
        }
    }

    fn account(&self, name: &str) -> Result<Arc<AccountStreams>, StreamError> {
        let root = self.root.as_ref().ok_or(StreamError::Disabled)?;
        let mut accounts = lock(&self.accounts);
        if let Some(account) = accounts.get(name) {
            return Ok(account.clone());
        }
        let store = StreamStore::open(&(root.0)(name), StoreOptions::default())?;
        let account = Arc::new(AccountStreams {
            store,
            open: Mutex::default(),
            changes: tokio::sync::Mutex::new(()),
        });
        accounts.insert(name.to_owned(), account.clone());
        Ok(account)
    }

    /// Opens everything that is on disk for an account and starts capturing.
    pub(crate) async fn open_all(&self, account: &Arc<Account>) -> Result<(), Error> {
        let streams = self.account(&account.name)?;
        let _changes = streams.changes.lock().await;
        for stream in streams.store.open_all().await.map_err(StreamError::from)? {
            let name = stream.config().name.clone();
            if !lock(&streams.open).contains_key(&name) {
                let handle = StreamHandle::new(stream, account.clone());
                handle.start_capture();
                lock(&streams.open).insert(name, handle);
            }
        }
        Ok(())
    }

    /// Ends capturing, commits what was taken and closes all streams.
    pub(crate) async fn shutdown(&self) {
        let accounts: Vec<_> = lock(&self.accounts)
            .drain()
            .map(|(_, account)| account)
            .collect();
        for account in accounts {
            let open: Vec<_> = lock(&account.open)
                .drain()
                .map(|(_, handle)| handle)
                .collect();
            for handle in &open {
                handle.stop_capture();
            }
            account.store.shutdown().await;
        }
    }
}

/// The streams of one account, for code inside the process.
#[derive(Clone)]
pub struct Streams {
    server: Arc<Shared>,
    account: Arc<Account>,
}

impl std::fmt::Debug for Streams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Streams")
            .field("account", &self.account.name)
            .finish_non_exhaustive()
    }
}

impl Streams {
    pub(crate) fn new(server: Arc<Shared>, account: Arc<Account>) -> Self {
        Self { server, account }
    }

    /// Makes a stream, or finds the one that exists with the same configuration. It captures its subjects from now on.
    ///
    /// # Errors
    /// [`StreamError::NameInUse`] where one exists with another configuration, [`StreamError::SubjectsOverlap`] where
    /// another stream takes a subject, and what storage says about the configuration.
    pub async fn create(&self, config: StreamConfig) -> Result<StreamHandle, StreamError> {
        let streams = self.server.streams.account(&self.account.name)?;
        let _changes = streams.changes.lock().await;
        if let Some(handle) = find(&streams, &config.name) {
            return if *handle.config() == config {
                Ok(handle)
            } else {
                Err(StreamError::NameInUse { name: config.name })
            };
        }
        self.make(&streams, config).await
    }

    /// Makes a stream, or gives the one that exists this configuration.
    ///
    /// # Errors
    /// As [`Streams::create`], and where the change is not allowed.
    pub async fn create_or_update(
        &self,
        config: StreamConfig,
    ) -> Result<StreamHandle, StreamError> {
        let streams = self.server.streams.account(&self.account.name)?;
        let _changes = streams.changes.lock().await;
        let Some(handle) = find(&streams, &config.name) else {
            return self.make(&streams, config).await;
        };
        if *handle.config() != config {
            check_overlap(&streams, &config)?;
            handle.update(config).await?;
        }
        Ok(handle)
    }

    /// An open stream by name.
    #[must_use]
    pub fn stream(&self, name: &str) -> Option<StreamHandle> {
        let streams = self.server.streams.account(&self.account.name).ok()?;
        find(&streams, name)
    }

    /// The names of all open streams, sorted.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let Ok(streams) = self.server.streams.account(&self.account.name) else {
            return Vec::new();
        };
        let mut names: Vec<String> = lock(&streams.open).keys().cloned().collect();
        names.sort_unstable();
        names
    }

    /// Removes a stream and everything in it; false if there was none.
    ///
    /// # Errors
    /// The file cannot be removed.
    pub async fn remove(&self, name: &str) -> Result<bool, StreamError> {
        let streams = self.server.streams.account(&self.account.name)?;
        let _changes = streams.changes.lock().await;
        let Some(handle) = lock(&streams.open).remove(name) else {
            return Ok(false);
        };
        handle.stop_capture();
        Ok(streams.store.remove(name).await?)
    }

    /// Makes or opens a key-value bucket; an existing one gets this configuration.
    ///
    /// # Errors
    /// The bucket's name is malformed, or the stream cannot be made.
    pub async fn kv(&self, bucket: Bucket) -> Result<KeyValue, KvError> {
        let name = bucket.name.clone();
        let handle = self.create_or_update(bucket.into_stream_config()?).await?;
        Ok(KeyValue::new(name, handle))
    }

    async fn make(
        &self,
        streams: &AccountStreams,
        config: StreamConfig,
    ) -> Result<StreamHandle, StreamError> {
        check_overlap(streams, &config)?;
        let name = config.name.clone();
        let stream = streams.store.create(config).await?;
        let handle = StreamHandle::new(stream, self.account.clone());
        handle.start_capture();
        lock(&streams.open).insert(name, handle.clone());
        Ok(handle)
    }
}

fn find(streams: &AccountStreams, name: &str) -> Option<StreamHandle> {
    lock(&streams.open).get(name).cloned()
}

/// A subject belongs to one stream at most, and once.
fn check_overlap(streams: &AccountStreams, config: &StreamConfig) -> Result<(), StreamError> {
    let error = |other: &str| StreamError::SubjectsOverlap {
        name: config.name.clone(),
        other: other.to_owned(),
    };
    let overlap =
        |left: &String, right: &String| subject::overlap(left.as_bytes(), right.as_bytes());
    for (index, mine) in config.subjects.iter().enumerate() {
        if config.subjects[..index]
            .iter()
            .any(|earlier| overlap(mine, earlier))
        {
            return Err(error(&config.name));
        }
        for (name, handle) in lock(&streams.open).iter() {
            if *name != config.name
                && handle
                    .config()
                    .subjects
                    .iter()
                    .any(|theirs| overlap(mine, theirs))
            {
                return Err(error(name));
            }
        }
    }
    Ok(())
}
