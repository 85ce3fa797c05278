//! The streams of all accounts: opening them at the start, closing them at the end, and one account's in between.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use hashbrown::HashMap;
use storage::stream::{StorageKind, StoreOptions, Stream, StreamStore, SyncPolicy};
use tokio::sync::watch;

use super::advisory::StreamAction;
use super::api::Api;
use super::config::check::{Checks, invalid};
use super::config::{StreamConfig, Timestamp};
use super::consumer::End;
use super::context::{AccountContext, Context};
use super::error::StreamError;
use super::error_code::{self as code, ApiError};
use super::limits::JetStreamLimits;
use super::owner::Owner;
use super::source::closes_cycle;
use super::stream::StreamHandle;
use crate::account::Account;
use crate::error::Error;
use crate::server::SYSTEM_ACCOUNT;
use crate::subject;

/// Where the streams of an account are kept, and how.
pub struct StreamsRoot {
    directory: Box<dyn Fn(&str) -> PathBuf + Send + Sync>,
    options: StoreOptions,
}

impl StreamsRoot {
    /// `directory` names the directory of an account, such as `|account| data_dir.streams(account)`.
    pub fn new(directory: impl Fn(&str) -> PathBuf + Send + Sync + 'static) -> Self {
        Self {
            directory: Box::new(directory),
            options: StoreOptions::default(),
        }
    }

    /// Opens every account's streams with `options`.
    #[must_use]
    pub fn with_options(mut self, options: StoreOptions) -> Self {
        self.options = options;
        self
    }
}

impl std::fmt::Debug for StreamsRoot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StreamsRoot")
    }
}

/// JetStream of a server.
#[derive(Debug)]
pub(crate) struct Registry {
    root: Option<StreamsRoot>,
    context: Arc<Context>,
    accounts: Mutex<HashMap<String, Arc<Api>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// When what is written is on the disk for certain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SyncSettings {
    /// At the latest after this time; zero: before it is acknowledged.
    pub(crate) interval: Duration,
    /// Before it is acknowledged.
    pub(crate) always: bool,
}

impl Registry {
    pub(crate) fn new(root: Option<StreamsRoot>, context: Context) -> Self {
        Self {
            root,
            context: Arc::new(context),
            accounts: Mutex::default(),
        }
    }

    /// Gives a new account its API, which refuses until JetStream is enabled for it. The system account has none, and
    /// neither has a server without streams.
    pub(crate) fn attach(&self, account: &Arc<Account>) {
        if self.root.is_some() && account.name != SYSTEM_ACCOUNT {
            let api = Api::attach(account, &self.context);
            lock(&self.accounts).insert(account.name.clone(), api);
        }
    }

    /// Whether the server keeps streams at all.
    pub(crate) fn has_root(&self) -> bool {
        self.root.is_some()
    }

    /// When what is written is on the disk for certain.
    pub(crate) fn sync(&self) -> SyncSettings {
        let sync = self.root.as_ref().and_then(|root| root.options.sync);
        match sync {
            Some(SyncPolicy::Interval(interval)) => SyncSettings {
                interval,
                always: false,
            },
            _ => SyncSettings {
                interval: Duration::ZERO,
                always: true,
            },
        }
    }

    /// Requests to the API of all accounts, and those answered with an error.
    pub(crate) fn api_requests(&self) -> (u64, u64) {
        let accounts = lock(&self.accounts);
        accounts.values().fold((0, 0), |(total, errors), api| {
            let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
            (total + read(&api.total), errors + read(&api.errors))
        })
    }

    /// All accounts for which JetStream is enabled, by name.
    pub(crate) fn enabled_accounts(&self) -> Vec<(Arc<Api>, Arc<AccountStreams>)> {
        let accounts = lock(&self.accounts);
        let all = accounts.values();
        let mut all: Vec<_> = all
            .filter_map(|api| Some((api.clone(), api.streams()?.clone())))
            .collect();
        drop(accounts);
        all.sort_unstable_by(|(_, left), (_, right)| left.account_name().cmp(right.account_name()));
        all
    }

    /// The streams of an account for which JetStream is enabled.
    pub(crate) fn find(&self, account: &str) -> Option<Arc<AccountStreams>> {
        lock(&self.accounts).get(account)?.streams().cloned()
    }

    /// Enables JetStream for an account. Needs the runtime: requests are answered by a task.
    pub(crate) fn enable(
        &self,
        account: &Arc<Account>,
    ) -> Result<Arc<AccountStreams>, StreamError> {
        let root = self.root.as_ref().ok_or(StreamError::Disabled)?;
        let accounts = lock(&self.accounts);
        let api = accounts.get(&account.name).ok_or(StreamError::Disabled)?;
        if let Some(streams) = api.streams() {
            return Ok(streams.clone());
        }
        let store = StreamStore::open(&(root.directory)(&account.name), root.options.clone())?;
        let streams = Arc::new_cyclic(|this| AccountStreams {
            this: this.clone(),
            context: AccountContext::new(account, &self.context, this.clone()),
            store,
            open: Mutex::default(),
            arrivals: watch::Sender::default(),
            changes: tokio::sync::Mutex::new(()),
        });
        api.enable(streams.clone());
        Ok(streams)
    }

    /// Enables JetStream for an account, opens everything that is on disk for it and starts capturing.
    pub(crate) async fn open_all(&self, account: &Arc<Account>) -> Result<(), Error> {
        let streams = self.enable(account)?;
        streams.open_all().await.map_err(Error::from)
    }

    /// Ends deliveries: what clients wait for is answered, and what consumers know is saved.
    pub(crate) async fn stop_consumers(&self) {
        let accounts: Vec<_> = lock(&self.accounts).values().cloned().collect();
        for api in accounts {
            for stream in api
                .streams()
                .map(|streams| streams.all())
                .unwrap_or_default()
            {
                stream.consumers().stop(End::Shutdown).await;
            }
        }
    }

    /// Ends capturing, commits what was taken and closes all streams.
    pub(crate) async fn shutdown(&self) {
        let accounts: Vec<_> = lock(&self.accounts).drain().map(|(_, api)| api).collect();
        for api in accounts {
            api.detach();
            if let Some(streams) = api.streams() {
                streams.shutdown().await;
            }
        }
    }
}

/// The streams of one account.
pub(crate) struct AccountStreams {
    this: Weak<Self>,
    context: Arc<AccountContext>,
    store: StreamStore,
    open: Mutex<HashMap<String, StreamHandle>>,
    /// Counts streams that were made or removed: mirrors and sources wait for their origins.
    arrivals: watch::Sender<u64>,
    /// Held while a stream is made, changed or removed, so that two of them cannot take the same subjects.
    changes: tokio::sync::Mutex<()>,
}

impl std::fmt::Debug for AccountStreams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccountStreams")
            .field("account", &self.context.account.name)
            .finish_non_exhaustive()
    }
}

/// What an account uses.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    pub(crate) memory_bytes: u64,
    pub(crate) storage_bytes: u64,
    /// What memory streams may grow to, as far as they say.
    pub(crate) memory_reserved: u64,
    pub(crate) storage_reserved: u64,
    pub(crate) streams: usize,
    pub(crate) consumers: usize,
}

impl AccountStreams {
    /// What its streams share.
    pub(crate) fn context(&self) -> &Arc<AccountContext> {
        &self.context
    }

    /// Whose they are.
    pub(crate) fn account_name(&self) -> &str {
        &self.context.account.name
    }

    /// What the account may use.
    pub(crate) fn limits(&self) -> Arc<JetStreamLimits> {
        self.context.limits()
    }

    async fn open_all(&self) -> Result<(), StreamError> {
        let _changes = self.changes.lock().await;
        for stream in self.store.open_all().await? {
            let name = stream.config().name.clone();
            if Owner::read(&stream.config())?.is_partial {
                tracing::warn!(stream = name, "a half restored stream is removed");
                self.store.remove(&name).await?;
                continue;
            }
            if self.find(&name).is_none() {
                let handle = StreamHandle::open(stream, self.context.clone()).await?;
                handle.start_capture();
                lock(&self.open).insert(name, handle);
            }
        }
        for handle in self.all() {
            handle.origins().start(&handle, &self.this);
        }
        Ok(())
    }

    async fn shutdown(&self) {
        let open: Vec<_> = lock(&self.open).drain().map(|(_, handle)| handle).collect();
        for handle in &open {
            handle.origins().stop().await;
        }
        for handle in &open {
            handle.stop(End::Shutdown).await;
        }
        self.store.shutdown().await;
    }

    /// Changes whenever a stream was made or removed.
    pub(crate) fn arrivals(&self) -> watch::Receiver<u64> {
        self.arrivals.subscribe()
    }

    /// An open stream by name.
    pub(crate) fn find(&self, name: &str) -> Option<StreamHandle> {
        lock(&self.open).get(name).cloned()
    }

    /// All open streams, by name.
    pub(crate) fn all(&self) -> Vec<StreamHandle> {
        let mut all: Vec<_> = lock(&self.open)
            .iter()
            .map(|(name, handle)| (name.clone(), handle.clone()))
            .collect();
        all.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
        all.into_iter().map(|(_, handle)| handle).collect()
    }

    /// What the account uses now.
    pub(crate) fn usage(&self) -> Usage {
        let mut usage = Usage::default();
        for stream in lock(&self.open).values() {
            let config = stream.config();
            let (bytes, reserved) = match config.storage {
                StorageKind::Disk => (&mut usage.storage_bytes, &mut usage.storage_reserved),
                StorageKind::Memory => (&mut usage.memory_bytes, &mut usage.memory_reserved),
            };
            *bytes += stream.state().bytes;
            *reserved += u64::try_from(config.max_bytes).unwrap_or(0);
            usage.streams += 1;
            usage.consumers += stream.consumers().len();
        }
        usage
    }

    /// A mirror of a stream that is not here itself, and whose messages it gives away.
    pub(crate) fn direct_mirror(&self, origin: &str) -> Option<StreamHandle> {
        let is_mirror = |stream: &&StreamHandle| {
            let config = stream.config();
            let mirror = config.mirror.as_ref();
            config.mirror_direct && mirror.is_some_and(|mirror| mirror.name == origin)
        };
        lock(&self.open).values().find(is_mirror).cloned()
    }

    /// Checks a configuration and fills it in; `old` is what it is to replace.
    fn checked(
        &self,
        config: StreamConfig,
        old: Option<&StreamConfig>,
        pedantic: bool,
    ) -> Result<StreamConfig, ApiError> {
        let checks = Checks {
            limits: &self.limits(),
            pedantic,
            find: &|name| self.find(name).map(|stream| stream.config()),
        };
        let checked = match old {
            Some(old) => config.checked_update(old, &checks),
            None => config.checked(&checks),
        }?;
        self.check_cycles(&checked)?;
        Ok(checked.stamped())
    }

    /// A message must not come back to a stream that it has been in, whatever way it takes.
    fn check_cycles(&self, config: &StreamConfig) -> Result<(), ApiError> {
        if !config.has_origin() {
            return Ok(());
        }
        let others: Vec<_> = self.all().iter().map(StreamHandle::config).collect();
        let domain = self.context.server.config.domain.as_deref();
        if closes_cycle(config, &others, domain) {
            return Err(invalid("detected cycle"));
        }
        Ok(())
    }

    /// Makes a stream, or finds the one that exists with the same configuration. It captures its subjects from now on.
    pub(crate) async fn create(
        &self,
        config: StreamConfig,
        pedantic: bool,
    ) -> Result<StreamHandle, StreamError> {
        let _changes = self.changes.lock().await;
        self.create_held(config, pedantic).await
    }

    async fn create_held(
        &self,
        config: StreamConfig,
        pedantic: bool,
    ) -> Result<StreamHandle, StreamError> {
        let config = self.checked(config, None, pedantic)?;
        if config.num_replicas > 1 {
            return Err(ApiError::from(code::STREAM_REPLICAS_NOT_SUPPORTED).into());
        }
        if config.sealed {
            return Err(invalid("stream configuration for create can not be sealed").into());
        }
        if config.mirror_direct && config.mirror.is_none() {
            return Err(invalid("stream has no mirror but does have mirror direct").into());
        }
        let Some(handle) = self.find(&config.name) else {
            return self.make(config, Timestamp::now()).await;
        };
        if *handle.config() == config {
            Ok(handle)
        } else {
            Err(StreamError::NameInUse { name: config.name })
        }
    }

    /// Changes a stream.
    pub(crate) async fn update(
        &self,
        config: StreamConfig,
        pedantic: bool,
    ) -> Result<StreamHandle, StreamError> {
        let _changes = self.changes.lock().await;
        let Some(handle) = self.find(&config.name) else {
            return Err(StreamError::NotFound { name: config.name });
        };
        self.change(&handle, config, pedantic).await?;
        Ok(handle)
    }

    /// Makes a stream, or gives the one that exists this configuration.
    pub(crate) async fn create_or_update(
        &self,
        config: StreamConfig,
    ) -> Result<StreamHandle, StreamError> {
        let _changes = self.changes.lock().await;
        let Some(handle) = self.find(&config.name) else {
            return self.create_held(config, false).await;
        };
        self.change(&handle, config, false).await?;
        Ok(handle)
    }

    /// Removes a stream and everything in it; false if there was none.
    pub(crate) async fn remove(&self, name: &str) -> Result<bool, StreamError> {
        let _changes = self.changes.lock().await;
        let Some(handle) = lock(&self.open).remove(name) else {
            return Ok(false);
        };
        self.arrivals.send_modify(|count| *count += 1);
        handle.origins().end(name, self).await;
        handle.stop(End::Deleted).await;
        let is_removed = self.store.remove(name).await?;
        self.context.advisories.stream(name, StreamAction::Deleted);
        Ok(is_removed)
    }

    async fn make(
        &self,
        config: StreamConfig,
        created: Timestamp,
    ) -> Result<StreamHandle, StreamError> {
        if self
            .limits()
            .streams_max
            .is_some_and(|max| lock(&self.open).len() >= max)
        {
            return Err(ApiError::from(code::MAXIMUM_STREAMS_LIMIT).into());
        }
        self.check_room(&config, None)?;
        self.check_overlap(&config)?;
        let name = config.name.clone();
        let owner = Owner::new(config, created);
        let stream = self.store.create(owner.to_storage()).await?;
        self.begin(stream, &name).await
    }

    /// A stream that is all there begins to work.
    async fn begin(&self, stream: Stream, name: &str) -> Result<StreamHandle, StreamError> {
        let handle = StreamHandle::open(stream, self.context.clone()).await?;
        handle.start_capture();
        lock(&self.open).insert(name.to_owned(), handle.clone());
        self.arrivals.send_modify(|count| *count += 1);
        handle.origins().start(&handle, &self.this);
        self.context.advisories.stream(name, StreamAction::Created);
        Ok(handle)
    }

    /// The configuration that a restored stream gets.
    ///
    /// # Errors
    /// It breaks a rule, or there is no room for it.
    pub(crate) fn restorable(&self, config: StreamConfig) -> Result<StreamConfig, ApiError> {
        let config = self.checked(config, None, false)?;
        if config.num_replicas > 1 {
            return Err(code::STREAM_REPLICAS_NOT_SUPPORTED.into());
        }
        self.check_room(&config, None)?;
        self.check_overlap(&config)?;
        Ok(config)
    }

    /// Makes the file of a stream that is being restored. Should the server end before it is whole, it goes at the next
    /// start.
    pub(crate) async fn restore_begin(
        &self,
        config: StreamConfig,
        created: Timestamp,
    ) -> Result<Stream, StreamError> {
        let owner = Owner {
            is_partial: true,
            ..Owner::new(config, created)
        };
        Ok(self.store.create(owner.to_storage()).await?)
    }

    /// A restored stream is whole.
    pub(crate) async fn restore_finish(
        &self,
        stream: &Stream,
    ) -> Result<StreamHandle, StreamError> {
        let _changes = self.changes.lock().await;
        let stored = stream.config();
        let owner = Owner {
            is_partial: false,
            ..Owner::read(&stored)?
        };
        // Others may have been made meanwhile.
        self.check_overlap(&owner.config)?;
        stream.update(owner.to_storage()).await?;
        self.begin(stream.clone(), &owner.config.name).await
    }

    /// What there is of a stream that was being restored goes.
    pub(crate) async fn restore_abandon(&self, name: &str) -> Result<(), StreamError> {
        self.store.remove(name).await?;
        Ok(())
    }

    async fn change(
        &self,
        handle: &StreamHandle,
        config: StreamConfig,
        pedantic: bool,
    ) -> Result<(), StreamError> {
        let old = handle.config();
        let config = self.checked(config, Some(&old), pedantic)?;
        check_consumer_limits(handle, &config, &old)?;
        self.check_room(&config, Some(&old))?;
        self.check_overlap(&config)?;
        if *old != config {
            handle.origins().release(&config, self).await;
            let updated = handle.update(config).await;
            handle.origins().start(handle, &self.this);
            updated?;
        }
        self.context
            .advisories
            .stream(&old.name, StreamAction::Updated);
        Ok(())
    }

    /// What streams may grow to together must fit into what the account may use.
    fn check_room(
        &self,
        config: &StreamConfig,
        old: Option<&StreamConfig>,
    ) -> Result<(), ApiError> {
        let usage = self.usage();
        let (reserved, max, error) = match config.storage {
            StorageKind::Disk => (
                usage.storage_reserved,
                self.limits().storage_bytes_max,
                code::STORAGE_RESOURCES_EXCEEDED,
            ),
            StorageKind::Memory => (
                usage.memory_reserved,
                self.limits().memory_bytes_max,
                code::MEMORY_RESOURCES_EXCEEDED,
            ),
        };
        let bytes = |config: &StreamConfig| u64::try_from(config.max_bytes).unwrap_or(0);
        let before = old.map_or(0, bytes);
        // One that does not say how large it may get needs room for something at least.
        let added = match (bytes(config), old) {
            (0, None) => 1,
            (wanted, _) => wanted.saturating_sub(before),
        };
        match max {
            Some(max) if added > 0 && reserved.saturating_add(added) > max => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// A subject belongs to one stream at most.
    fn check_overlap(&self, config: &StreamConfig) -> Result<(), StreamError> {
        let overlaps = |theirs: &String| {
            let theirs = theirs.as_bytes();
            let mut mine = config.subjects.iter();
            mine.any(|mine| subject::overlap(mine.as_bytes(), theirs))
        };
        for (other, handle) in lock(&self.open).iter() {
            if *other != config.name && handle.config().subjects.iter().any(overlaps) {
                return Err(StreamError::SubjectsOverlap {
                    name: config.name.clone(),
                    other: other.clone(),
                });
            }
        }
        Ok(())
    }
}

/// Consumers that are there already must fit into changed caps.
fn check_consumer_limits(
    stream: &StreamHandle,
    config: &StreamConfig,
    old: &StreamConfig,
) -> Result<(), ApiError> {
    let (new, old) = (&config.consumer_limits, &old.consumer_limits);
    if new == old {
        return Ok(());
    }
    let mut violated = Vec::new();
    for consumer in stream.consumers().all() {
        let theirs = consumer.config();
        let is_too_long =
            new.inactive_threshold.0 > 0 && theirs.inactive_threshold > new.inactive_threshold;
        let is_too_large = new.max_ack_pending > 0 && theirs.max_ack_pending > new.max_ack_pending;
        if is_too_long || is_too_large {
            violated.push(consumer.name().to_owned());
        }
    }
    match violated.as_slice() {
        [] => Ok(()),
        names => Err(code::STREAM_UPDATE.with(format_args!(
            "change to limits violates consumers: {}",
            names.join(", ")
        ))),
    }
}
