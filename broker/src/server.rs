//! The server: listeners, sessions, accounts and streams, from start to stop.

mod accounts;
mod leaves;
mod leaving;
mod monitoring;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use hashbrown::HashMap;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::account::Account;
use crate::auth::{AuthError, Authenticator, ConnectionKind, Identity};
use crate::client::Client;
use crate::error::Error;
use crate::jetstream::context::{Context, JetStreamConfig};
use crate::jetstream::{StreamsRoot, registry::Registry};
use crate::jwt::{CurveKeyPair, KeyKind, KeyPair};
use crate::leaf::registry::Leaves;
use crate::limits::Limits;
use crate::listen::config::{TcpConfig, WebSocketConfig};
use crate::listen::listener::Listener;
use crate::listen::places::{Place, Places};
use crate::listen::tcp;
use crate::listen::websocket::{self, ConnectionInfo};
use crate::monitor::{CloseReason, ConnectionSnapshot, Counters, Monitor, Snapshot};
use crate::proto::info::{COMPATIBLE_VERSION, Info};
use crate::session::connection::Connection;
use crate::session::state::{Session, write_info};
use crate::system::System;

/// The account that events are published in.
pub const SYSTEM_ACCOUNT: &str = "$SYS";
/// The account of those who are put into no other; connections that never got one are reported under it too.
pub const GLOBAL_ACCOUNT: &str = "$G";
/// How long open connections get at shutdown to take what is queued for them.
const DRAIN: Duration = Duration::from_secs(2);

/// How a server behaves; the defaults are nats-server's.
#[derive(Debug, Clone)]
pub struct Config {
    /// `server_name` in INFO. Empty: the server's id.
    pub server_name: String,
    /// Every cap.
    pub limits: Limits,
    /// Time without traffic after which a client is pinged. Default two minutes.
    pub ping_interval: Duration,
    /// Unanswered PINGs after which a client is stale. Default 2.
    pub ping_max: u32,
    /// Time for CONNECT to arrive and to be answered. Default two seconds.
    pub auth_timeout: Duration,
    /// Time for the first byte of a client to arrive, also where nobody has to authenticate. Default 30 seconds
    /// (nats-server: for ever).
    pub first_byte_timeout: Duration,
    /// Time for a write to make progress. Default ten seconds.
    pub write_deadline: Duration,
    /// JetStream's own settings.
    pub jetstream: JetStreamConfig,
    /// Says why a login failed, behind the standard text, by which clients know it: `Authorization Violation: wrong
    /// password`. Default: no, because whoever guesses learns from it too.
    pub auth_error_reasons: bool,
    /// How often the server tells about itself in the system account. Default ten seconds.
    pub statsz_interval: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            server_name: "natterjack".to_owned(),
            limits: Limits::default(),
            ping_interval: Duration::from_secs(120),
            ping_max: 2,
            auth_timeout: Duration::from_secs(2),
            first_byte_timeout: Duration::from_secs(30),
            write_deadline: Duration::from_secs(10),
            jetstream: JetStreamConfig::default(),
            auth_error_reasons: false,
            statsz_interval: Duration::from_secs(10),
        }
    }
}

/// What all parts of a server share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    /// The caps that hold now: those of `config` until somebody changes them.
    limits: RwLock<Arc<Limits>>,
    pub(crate) authenticator: Arc<dyn Authenticator>,
    pub(crate) stop: CancellationToken,
    /// Ends before `stop` when the server leaves slowly: no more connections are accepted.
    pub(crate) listening: CancellationToken,
    pub(crate) tasks: TaskTracker,
    pub(crate) counters: Arc<Counters>,
    /// The account of those who have none yet.
    pub(crate) nowhere: Arc<Account>,
    pub(crate) streams: Registry,
    pub(crate) leaves: Arc<Leaves>,
    pub(crate) server_id: String,
    pub(crate) started: SystemTime,
    pub(crate) monitor: Monitor,
    /// The private half of `server_id`: signs requests of the auth callout.
    pub(crate) key: KeyPair,
    /// Opens answers of the auth callout.
    pub(crate) curve_key: CurveKeyPair,
    curve_key_text: String,
    /// First TCP address, for INFO of connections that somebody else listened for.
    listen: Mutex<Option<SocketAddr>>,
    /// What those connections have for a listener.
    pub(crate) foreign_listener: Arc<Listener>,
    pub(crate) places: Arc<Places>,
    /// TLS handshakes under way.
    pub(crate) handshakes: Arc<Semaphore>,
    accounts: Mutex<HashMap<String, Arc<Account>>>,
    connections: Mutex<HashMap<u64, Arc<Connection>>>,
    connections_len: AtomicUsize,
    nonces: Mutex<HashMap<u64, String>>,
    next_id: AtomicU64,
    is_lame_duck: AtomicBool,
    pub(crate) system: System,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A NATS server. Clones are handles on the same one; [`Server::shutdown`] ends it.
#[derive(Clone)]
pub struct Server {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("server_id", &self.shared.server_id)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// A server that listens nowhere yet. With `streams`, call [`Server::open_streams`] before the first client comes.
    #[must_use]
    pub fn new(
        config: Config,
        authenticator: Arc<dyn Authenticator>,
        streams: Option<StreamsRoot>,
    ) -> Self {
        let (key, curve_key) = (KeyPair::generate(KeyKind::Server), CurveKeyPair::generate());
        let mut config = config;
        if config.server_name.is_empty() {
            config.server_name = key.public().to_string();
        }
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let counters: Arc<Counters> = Arc::default();
        let context = Context {
            config: config.jetstream.clone(),
            server_name: config.server_name.clone(),
            tasks: tasks.clone(),
            stop: stop.clone(),
            counters: counters.clone(),
        };
        let monitor = Monitor::new(config.limits.closed_clients_max);
        let shared = Shared {
            monitor,
            foreign_listener: Arc::default(),
            places: Places::new(&config.limits),
            handshakes: Arc::new(Semaphore::new(config.limits.handshakes_max)),
            limits: RwLock::new(Arc::new(config.limits.clone())),
            config,
            authenticator,
            listening: stop.child_token(),
            stop,
            tasks,
            counters,
            nowhere: Account::new(""),
            streams: Registry::new(streams, context),
            server_id: key.public().to_string(),
            key,
            curve_key_text: curve_key.public().to_string(),
            curve_key,
            leaves: Arc::default(),
            started: SystemTime::now(),
            listen: Mutex::default(),
            accounts: Mutex::default(),
            connections: Mutex::default(),
            connections_len: AtomicUsize::new(0),
            nonces: Mutex::default(),
            next_id: AtomicU64::new(1),
            is_lame_duck: AtomicBool::new(false),
            system: System::new(),
        };
        let system = shared.account(SYSTEM_ACCOUNT);
        shared.system.settle(Some(system), &shared.server_id);
        let server = Self {
            shared: Arc::new(shared),
        };
        server.shared.authenticator.attach(&server.downgrade());
        server
    }

    /// A handle that does not keep the server alive.
    #[must_use]
    pub fn downgrade(&self) -> WeakServer {
        WeakServer {
            shared: Arc::downgrade(&self.shared),
        }
    }

    /// Enables JetStream for an account, opens all its streams and captures their subjects from now on.
    ///
    /// # Errors
    /// A stream's file cannot be read; the others stay open.
    pub async fn open_streams(&self, account: &str) -> Result<(), Error> {
        let account = self.shared.account(account);
        self.shared.streams.open_all(&account).await
    }

    /// Listens for NATS clients; port 0 takes a free one. Returns the address taken.
    ///
    /// # Errors
    /// [`Error::Listen`] when the address cannot be had, [`Error::Stopped`] after shutdown.
    pub async fn listen_tcp(&self, addr: SocketAddr) -> Result<SocketAddr, Error> {
        self.serve_tcp(bind(addr).await?)
    }

    /// Serves NATS clients on a listener that is open already. Returns its address.
    ///
    /// # Errors
    /// [`Error::Stopped`] after shutdown; [`Error::Listen`] when the listener has no address.
    pub fn serve_tcp(&self, listener: TcpListener) -> Result<SocketAddr, Error> {
        self.serve_tcp_with(listener, TcpConfig::default())
    }

    /// Listens for NATS clients as configured; port 0 takes a free one. Returns the address taken.
    ///
    /// # Errors
    /// As [`Server::listen_tcp`].
    pub async fn listen_tcp_with(
        &self,
        addr: SocketAddr,
        config: TcpConfig,
    ) -> Result<SocketAddr, Error> {
        self.serve_tcp_with(bind(addr).await?, config)
    }

    /// Serves NATS clients as configured on a listener that is open already. Returns its address.
    ///
    /// # Errors
    /// As [`Server::serve_tcp`].
    pub fn serve_tcp_with(
        &self,
        listener: TcpListener,
        config: TcpConfig,
    ) -> Result<SocketAddr, Error> {
        let addr = self.addr_of(&listener)?;
        lock(&self.shared.listen).get_or_insert(addr);
        self.shared.system.start(&self.shared);
        let facts = Listener::tcp(addr, config);
        let shared = &self.shared;
        shared
            .tasks
            .spawn(tcp::serve(shared.clone(), listener, facts));
        Ok(addr)
    }

    /// Listens for WebSocket clients on a port of their own; port 0 takes a free one. Returns the address taken.
    ///
    /// # Errors
    /// As [`Server::listen_tcp`], and [`Error::Listener`] for what cannot be honoured.
    pub async fn listen_websocket(
        &self,
        addr: SocketAddr,
        config: WebSocketConfig,
    ) -> Result<SocketAddr, Error> {
        self.serve_websocket(bind(addr).await?, config)
    }

    /// Serves WebSocket clients on a listener that is open already. Returns its address.
    ///
    /// # Errors
    /// As [`Server::serve_tcp`], and [`Error::Listener`] for what cannot be honoured.
    pub fn serve_websocket(
        &self,
        listener: TcpListener,
        config: WebSocketConfig,
    ) -> Result<SocketAddr, Error> {
        let addr = self.addr_of(&listener)?;
        let acceptor = websocket::Acceptor::new(addr, &config)?;
        let shared = &self.shared;
        shared.tasks.spawn(acceptor.serve(shared.clone(), listener));
        Ok(addr)
    }

    fn addr_of(&self, listener: &TcpListener) -> Result<SocketAddr, Error> {
        if self.shared.stop.is_cancelled() {
            return Err(Error::Stopped);
        }
        let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
        listener.local_addr().map_err(|source| Error::Listen {
            addr: unknown,
            source,
        })
    }

    /// Serves a client on a WebSocket whose HTTP upgrade is done. The session belongs to the server; this returns at once.
    ///
    /// Origin checks are the HTTP side's.
    pub fn accept_websocket<S>(&self, io: S, info: ConnectionInfo)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        if !self.shared.stop.is_cancelled() {
            self.shared.system.start(&self.shared);
            websocket::serve(&self.shared, io, info);
        }
    }

    /// The same for a bare TCP socket, which takes less memory and fewer copies. `received` is what was read of it already.
    pub fn accept_websocket_tcp(&self, socket: TcpStream, received: Bytes, info: ConnectionInfo) {
        if !self.shared.stop.is_cancelled() {
            self.shared.system.start(&self.shared);
            websocket::serve_tcp(&self.shared, socket, received.into(), info);
        }
    }

    /// A client inside this process. Messages from it carry no sender.
    #[must_use]
    pub fn client(&self, account: &str, identity: &Identity) -> Client {
        self.shared.system.start(&self.shared);
        Client::new(self.shared.clone(), self.shared.account(account), identity)
    }

    /// A client of the server itself: its answers come on subjects below `$SYS._INBOX`.
    pub(crate) fn internal_client(&self, account: &str, identity: &Identity) -> Client {
        let inbox = format!("$SYS._INBOX.{:032x}", rand::random::<u128>());
        let account = self.shared.account(account);
        Client::with_inbox(self.shared.clone(), account, identity, inbox)
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Counters and totals at this moment.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let shared = &self.shared;
        let counters = &shared.counters;
        let usage = shared.monitor.process.usage();
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Snapshot {
            server_id: shared.server_id.clone(),
            server_name: shared.config.server_name.clone(),
            version: COMPATIBLE_VERSION,
            started: shared.started,
            connections: shared.connections_len.load(Ordering::Relaxed),
            total_connections: read(&counters.total_connections),
            subscriptions: shared.subscriptions_len(),
            in_messages: read(&counters.in_messages),
            in_bytes: read(&counters.in_bytes),
            out_messages: read(&counters.out_messages),
            out_bytes: read(&counters.out_bytes),
            slow_consumers: read(&counters.slow_consumers),
            slow_consumers_late: read(&counters.slow_consumers_late),
            stale_connections: read(&counters.stale_connections),
            stalled_clients: read(&counters.stalls),
            refused_locally: read(&counters.refused_locally),
            memory_bytes: usage.memory_bytes,
            cpu_time: usage.cpu_time,
            leafs: shared.leafs_len(),
            api_requests: shared.streams.api_requests().0,
            api_errors: shared.streams.api_requests().1,
        }
    }

    /// All open connections, by number.
    #[must_use]
    pub fn connections(&self) -> Vec<ConnectionSnapshot> {
        let mut open: Vec<_> = lock(&self.shared.connections).values().cloned().collect();
        open.sort_unstable_by_key(|connection| connection.id);
        open.iter()
            .map(|connection| connection_snapshot(connection))
            .collect()
    }

    /// Closes every connection that the predicate picks, without an `-ERR`. Returns how many.
    pub fn disconnect(&self, mut predicate: impl FnMut(&ConnectionSnapshot) -> bool) -> usize {
        let open: Vec<_> = lock(&self.shared.connections).values().cloned().collect();
        let picked = open
            .iter()
            .filter(|connection| predicate(&connection_snapshot(connection)));
        picked
            .map(|connection| connection.close(CloseReason::Kicked))
            .count()
    }

    /// Stops listening, tells clients with INFO `ldm`, lets them take what is queued, closes them and the streams.
    ///
    /// Clients get no `-ERR`: they reconnect by themselves.
    pub async fn shutdown(&self) {
        let shared = &self.shared;
        shared.is_lame_duck.store(true, Ordering::Relaxed);
        shared.announce_end("SHUTDOWN");
        shared.stop.cancel();
        // While the connections are open, so that whoever waits for messages hears that none will come.
        shared.streams.stop_consumers().await;
        let open: Vec<_> = lock(&shared.connections).values().cloned().collect();
        for connection in &open {
            if connection
                .profile()
                .is_some_and(|profile| profile.takes_info)
            {
                connection.push(|out| write_info(&shared.info(connection), out));
            }
            connection.close(CloseReason::ServerShutdown);
        }
        shared.tasks.close();
        if tokio::time::timeout(DRAIN, shared.tasks.wait())
            .await
            .is_err()
        {
            for connection in &open {
                connection.cut_off(CloseReason::ServerShutdown);
            }
            // Every session ends at once now; what hangs is not ours to wait for.
            let _ = tokio::time::timeout(DRAIN, shared.tasks.wait()).await;
        }
        shared.streams.shutdown().await;
        for account in lock(&shared.accounts).values() {
            account.detach_server();
        }
        shared.authenticator.detach();
        shared.system.settle(None, &shared.server_id);
    }
}

/// A handle on a server that does not keep it alive: for what the server itself holds.
#[derive(Clone)]
pub struct WeakServer {
    shared: Weak<Shared>,
}

impl WeakServer {
    /// The server, unless it is gone.
    #[must_use]
    pub fn upgrade(&self) -> Option<Server> {
        self.shared.upgrade().map(|shared| Server { shared })
    }

    pub(crate) fn shared(&self) -> Option<Arc<Shared>> {
        self.shared.upgrade()
    }
}

impl std::fmt::Debug for WeakServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WeakServer").finish_non_exhaustive()
    }
}

async fn bind(addr: SocketAddr) -> Result<TcpListener, Error> {
    let failed = |source| Error::Listen { addr, source };
    TcpListener::bind(addr).await.map_err(failed)
}

fn connection_snapshot(connection: &Connection) -> ConnectionSnapshot {
    let profile = connection.profile();
    let text = |field: fn(&crate::session::profile::Profile) -> &String| {
        profile.as_deref().map(field).cloned().unwrap_or_default()
    };
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let rtt_ns = read(&connection.rtt_ns);
    ConnectionSnapshot {
        client_id: connection.id,
        kind: connection.kind.as_str(),
        peer: connection.peer(),
        started: connection.started,
        last_activity: connection.last_activity(),
        user: profile.as_ref().map(|profile| profile.sender.user.clone()),
        account: profile
            .as_ref()
            .map(|profile| profile.sender.account.clone()),
        name: text(|profile| &profile.name),
        lang: text(|profile| &profile.lang),
        version: text(|profile| &profile.version),
        rtt: (rtt_ns > 0).then(|| Duration::from_nanos(rtt_ns)),
        pending_bytes: connection.pending_bytes(),
        subscriptions: connection.subscriptions_len(),
        in_messages: read(&connection.own.in_messages),
        in_bytes: read(&connection.own.in_bytes),
        out_messages: read(&connection.own.out_messages),
        out_bytes: read(&connection.own.out_bytes),
    }
}

impl Shared {
    /// The caps that hold now.
    pub(crate) fn limits(&self) -> Arc<Limits> {
        let limits = self.limits.read();
        limits.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The account of that name, made when it is first asked for. Names come from the authenticator, not from clients.
    pub(crate) fn account(&self, name: &str) -> Arc<Account> {
        let mut accounts = lock(&self.accounts);
        accounts
            .entry_ref(name)
            .or_insert_with(|| {
                let account = Account::new(name);
                self.streams.attach(&account);
                self.attach_user_info(&account);
                self.system.attach(&account);
                account
            })
            .clone()
    }

    /// Registers a new connection that has its place already. `None` when the server is stopping.
    pub(crate) fn connect(
        &self,
        kind: ConnectionKind,
        listener: Arc<Listener>,
        peer: SocketAddr,
        place: Place,
    ) -> Option<Arc<Connection>> {
        let connection = self.register(kind, listener, peer)?;
        connection.hold(Some(place));
        Some(connection)
    }

    /// Registers a new connection whose place is held elsewhere for the moment. `None` when the server is stopping.
    pub(crate) fn register(
        &self,
        kind: ConnectionKind,
        listener: Arc<Listener>,
        peer: SocketAddr,
    ) -> Option<Arc<Connection>> {
        let mut connections = lock(&self.connections);
        if self.stop.is_cancelled() {
            return None;
        }
        let connection = self.stranger(kind, listener, peer);
        connections.insert(connection.id, connection.clone());
        self.connections_len
            .store(connections.len(), Ordering::Relaxed);
        drop(connections);
        self.counters
            .total_connections
            .fetch_add(1, Ordering::Relaxed);
        if self.authenticator.wants_nonce() {
            let nonce = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 11]>());
            lock(&self.nonces).insert(connection.id, nonce);
        }
        Some(connection)
    }

    /// A connection that is not registered: it will only be told why.
    pub(crate) fn stranger(
        &self,
        kind: ConnectionKind,
        listener: Arc<Listener>,
        peer: SocketAddr,
    ) -> Arc<Connection> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let pending_bytes_max = self.limits().pending_bytes_max;
        let counters = self.counters.clone();
        Connection::new(id, kind, listener, peer, counters, pending_bytes_max)
    }

    pub(crate) fn nonce(&self, connection: &Connection) -> Option<String> {
        lock(&self.nonces).get(&connection.id).cloned()
    }

    /// INFO for one connection.
    pub(crate) fn info(&self, connection: &Connection) -> Info<'_> {
        let mut info = Info::new(&self.server_id, &self.config.server_name);
        let listener = &connection.listener;
        let listen = listener.addr.or_else(|| *lock(&self.listen));
        if let Some(addr) = listen {
            info.host = addr.ip().to_string();
            info.port = addr.port();
        }
        if let Some(advertise) = &listener.advertise {
            info.host.clone_from(&advertise.host);
            info.port = advertise.port;
        }
        let offer = listener.offer();
        info.tls_required = offer.required;
        info.tls_available = offer.available;
        info.tls_verify = offer.verify;
        info.auth_required = self.authenticator.anonymous().is_none();
        info.max_payload = self.limits().payload_bytes_max;
        if let Some(profile) = connection.profile() {
            let own = profile.limits.payload_bytes_max.unwrap_or(usize::MAX);
            info.max_payload = info.max_payload.min(own);
        }
        info.client_id = connection.id;
        info.client_ip = connection.peer().ip().to_string();
        info.xkey = &self.curve_key_text;
        info.ldm = self.is_lame_duck.load(Ordering::Relaxed);
        info.jetstream = self.streams.has_root();
        if connection.profile().is_none() {
            info.nonce = self.nonce(connection);
        }
        info
    }

    /// A client completed CONNECT.
    pub(crate) fn session_connected(&self, session: &Session) {
        self.announce_connect(&session.connection);
    }

    /// A client's CONNECT was refused: the system account hears of it, and the account that the error names.
    pub(crate) fn session_refused(&self, connection: &Connection, error: &AuthError) {
        self.announce_refusal(connection, error);
    }

    /// Whether there is an account of that name.
    pub(crate) fn knows_account(&self, name: &str) -> bool {
        name == GLOBAL_ACCOUNT || lock(&self.accounts).contains_key(name)
    }

    /// The first address that is listened on.
    pub(crate) fn listens_on(&self) -> Option<SocketAddr> {
        *lock(&self.listen)
    }

    /// A session is over: its subscriptions go, and others hear of it.
    pub(crate) fn session_ended(&self, session: &Session) {
        let connection = &session.connection;
        let reason = connection
            .close_reason()
            .unwrap_or(CloseReason::ClientClosed);
        self.monitor.closed.keep(connection, reason);
        for subscription in connection.take_subscriptions() {
            session.router.account().unsubscribe(&subscription);
        }
        if session.is_authenticated() {
            let stats = &session.router.account().stats;
            stats.leave();
            stats.take_over(&connection.own);
            if reason.is_slow_consumer() {
                stats.slow_consumers.fetch_add(1, Ordering::Relaxed);
            }
        }
        let mut connections = lock(&self.connections);
        connections.remove(&connection.id);
        self.connections_len
            .store(connections.len(), Ordering::Relaxed);
        drop(connections);
        lock(&self.nonces).remove(&connection.id);
        connection.hold(None);
        if session.is_authenticated() {
            self.announce_connections(session.router.account());
        }
        let is_refused = reason == CloseReason::AuthenticationFailure;
        if session.has_connected || is_refused {
            self.announce_disconnect(connection, reason);
        }
    }
}
