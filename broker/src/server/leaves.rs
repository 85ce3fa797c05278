//! Links to other servers, as the server sees them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::net::TcpListener;

use super::{Config, Server, Shared};
use crate::error::Error;
use crate::leaf::accept::{self, Port};
use crate::leaf::remote::Remote;
use crate::leaf::{LeafConfig, LeafSnapshot};
use crate::monitor::CloseReason;
use crate::session::connection::Connection;

impl Server {
    /// Lets leaf nodes in and dials those that this server is to be a leaf of. Returns the address taken, if there is one.
    /// Configure accounts first, and enable JetStream.
    ///
    /// # Errors
    /// [`Error::Listen`] when the address cannot be had, [`Error::Stopped`] after shutdown; users or TLS as configured cannot
    /// be used. Nothing is dialled then.
    pub async fn start_leaves(&self, config: &LeafConfig) -> Result<Option<SocketAddr>, Error> {
        let shared = &self.shared;
        if shared.stop.is_cancelled() {
            return Err(Error::Stopped);
        }
        let mut listening = None;
        if let Some(listen) = &config.listen {
            let failed = |source| Error::Listen {
                addr: listen.addr,
                source,
            };
            let listener = TcpListener::bind(listen.addr).await.map_err(failed)?;
            let addr = listener.local_addr().map_err(failed)?;
            let port = Arc::new(Port::new(shared, config, listen, addr)?);
            shared.leaves.open(&port);
            let accepting = accept::accept(shared.clone(), port, listener);
            shared.tasks.spawn(accepting);
            listening = Some(addr);
        }
        let remotes = config.remotes.iter().filter(|remote| !remote.disabled);
        for remote in remotes {
            let remote = Remote::new(shared, config, remote);
            shared.tasks.spawn(remote.keep(shared.clone()));
        }
        Ok(listening)
    }

    /// All links that are up, by number; with what the other sides want, if that is asked for.
    #[must_use]
    pub fn leaves(&self, with_subscriptions: bool) -> Vec<LeafSnapshot> {
        let all = self.shared.leaves.all();
        let snapshot = |link| LeafSnapshot::of(link, with_subscriptions);
        all.iter().map(|link| snapshot(link)).collect()
    }

    /// Closes every link that the predicate picks. Returns how many; those that were dialled are dialled again.
    pub fn disconnect_leaves(&self, mut predicate: impl FnMut(&LeafSnapshot) -> bool) -> usize {
        let picks = |link: &_| predicate(&LeafSnapshot::of(link, false));
        self.shared.leaves.close(CloseReason::Kicked, picks)
    }
}

impl Shared {
    /// The name of this server on links. Servers of the same name are taken for one, so one that was given none has its key.
    pub(crate) fn leaf_name(&self) -> &str {
        match self.config.server_name == Config::default().server_name {
            true => &self.server_id,
            false => &self.config.server_name,
        }
    }

    /// A link is up.
    pub(crate) fn leaf_connected(&self, connection: &Connection) {
        self.with_leaf_account(connection, |stats| {
            stats.leafs.fetch_add(1, Ordering::Relaxed);
        });
        self.announce_leaf(connection);
    }

    /// A link is down, or never came up.
    pub(crate) fn leaf_ended(&self, connection: &Connection) {
        let reason = connection
            .close_reason()
            .unwrap_or(CloseReason::ClientClosed);
        self.with_leaf_account(connection, |stats| {
            stats.leafs.fetch_sub(1, Ordering::Relaxed);
            if reason.is_slow_consumer() {
                stats.slow_consumers.fetch_add(1, Ordering::Relaxed);
            }
        });
        let was_refused = reason == CloseReason::AuthenticationFailure;
        if connection.profile().is_some() || was_refused {
            self.announce_disconnect(connection, reason);
        }
    }

    fn with_leaf_account(
        &self,
        connection: &Connection,
        change: impl FnOnce(&crate::monitor::AccountStats),
    ) {
        if let Some(profile) = connection.profile() {
            change(&self.account(&profile.sender.account).stats);
        }
    }
}
