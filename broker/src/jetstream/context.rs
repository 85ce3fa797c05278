//! What the JetStream parts of one server share: who the server is, its limits, and where tasks belong.

use std::sync::{Arc, PoisonError, RwLock, Weak};

use storage::stream::StorageKind;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::advisory::Advisories;
use super::backup::BACKUPS_MAX;
use super::limits::JetStreamLimits;
use super::outbox::Outbox;
use super::registry::AccountStreams;
use crate::account::Account;
use crate::accounts::AccountJetStream;
use crate::monitor::Counters;

/// How JetStream behaves; the defaults are nats-server's.
#[derive(Debug, Clone)]
pub struct JetStreamConfig {
    /// Name of this server's part of a larger system: its API then answers under `$JS.<domain>.API.` too.
    pub domain: Option<String>,
    /// Every cap.
    pub limits: JetStreamLimits,
    /// Requests with members that nobody knows are refused. Default: they are.
    pub strict: bool,
}

impl Default for JetStreamConfig {
    fn default() -> Self {
        Self {
            domain: None,
            limits: JetStreamLimits::default(),
            strict: true,
        }
    }
}

/// Shared by all accounts of a server.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) config: JetStreamConfig,
    pub(crate) server_name: String,
    /// Every task of JetStream belongs to the server.
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
    pub(crate) counters: Arc<Counters>,
}

/// Shared by all streams of an account.
#[derive(Debug)]
pub(crate) struct AccountContext {
    pub(crate) account: Arc<Account>,
    pub(crate) server: Arc<Context>,
    pub(crate) advisories: Advisories,
    /// For answers that are not a stream's acknowledgements.
    pub(crate) outbox: Outbox,
    /// Room for direct gets that wait for the disk.
    pub(crate) direct_gets: Arc<Semaphore>,
    /// Room for snapshots and restores.
    pub(crate) backups: Arc<Semaphore>,
    /// Where tasks run that are started by a publisher outside of it.
    pub(crate) runtime: Handle,
    streams: Weak<AccountStreams>,
    /// The smaller of the server's and the account's.
    limits: RwLock<Arc<JetStreamLimits>>,
}

impl AccountContext {
    /// Needs the runtime.
    pub(crate) fn new(
        account: &Arc<Account>,
        server: &Arc<Context>,
        streams: Weak<AccountStreams>,
    ) -> Arc<Self> {
        Arc::new(Self {
            account: account.clone(),
            server: server.clone(),
            advisories: Advisories::new(account.clone(), server.config.domain.clone()),
            outbox: Outbox::new(account.clone()),
            direct_gets: Arc::new(Semaphore::new(server.config.limits.direct_gets_max)),
            backups: Arc::new(Semaphore::new(BACKUPS_MAX)),
            runtime: Handle::current(),
            streams,
            limits: RwLock::new(Arc::new(server.config.limits.clone())),
        })
    }

    /// What the account may use.
    pub(crate) fn limits(&self) -> Arc<JetStreamLimits> {
        let limits = self.limits.read().unwrap_or_else(PoisonError::into_inner);
        limits.clone()
    }

    /// What the account may use from now on, within the server's limits.
    pub(crate) fn set_limits(&self, own: &AccountJetStream) {
        let limits = self.server.config.limits.within(own);
        *self.limits.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(limits);
    }

    /// Whether the streams of the account may take more on this kind of storage. Costs nothing where there is no limit.
    pub(crate) fn has_room(&self, storage: StorageKind) -> bool {
        let limits = self.limits();
        let max = match storage {
            StorageKind::Disk => limits.storage_bytes_max,
            StorageKind::Memory => limits.memory_bytes_max,
        };
        let (Some(max), Some(streams)) = (max, self.streams.upgrade()) else {
            return true;
        };
        let usage = streams.usage();
        let used = match storage {
            StorageKind::Disk => usage.storage_bytes,
            StorageKind::Memory => usage.memory_bytes,
        };
        used < max
    }
}
