//! Leaves that come in: the port, who they are, and what they are told.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::BytesMut;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{timeout, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::config::{LeafAuthorization, LeafConfig, LeafListen};
use super::drive::{self, Greeting, Handshake, Timers};
use super::link::{LinkParts, Peer};
use super::proto::encode::LeafError;
use super::proto::info::{LeafConnect, LeafInfo, LeafPermission};
use super::registry::Place;
use super::rules::{self, Rules};
use super::session::{LeafSession, Step};
use crate::accounts::AccountLimits;
use crate::accounts::{AccountConfig, AccountsConfig, ConfiguredUsers, UserConfig};
use crate::auth::{AllowAll, Authenticator, ConnectRequest, ConnectionKind, Identity};
use crate::error::Error;
use crate::listen::io::{StreamInput, StreamOutput, TcpInput, TcpOutput};
use crate::listen::tls::config::HandshakeFirst;
use crate::listen::tls::peer::TlsSession;
use crate::listen::tls::{Loaded, Tls, handshake};
use crate::monitor::CloseReason;
use crate::proto::encode::ProtocolError;
use crate::proto::info::{API_LEVEL, COMPATIBLE_VERSION, ConnectOptions};
use crate::server::{GLOBAL_ACCOUNT, Shared};
use crate::session::connection::Connection;
use crate::session::profile::Profile;
use crate::session::reader::Input;
use crate::session::writer::{self, Output};

/// Pause after a failed accept: out of file descriptors does not get better at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The port of the leaves.
pub(crate) struct Port {
    config: LeafListen,
    /// Who decides about leaves, where that is not who decides about clients.
    authenticator: Option<Arc<dyn Authenticator>>,
    isolates: bool,
    auth_timeout: Duration,
    write_deadline: Duration,
    /// What leaves are told as its address.
    host: String,
    port: u16,
    urls: Vec<String>,
    tls: Option<Tls>,
}

impl std::fmt::Debug for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Port").finish_non_exhaustive()
    }
}

impl Port {
    /// Makes a port of its configuration; `addr` is the address taken.
    ///
    /// # Errors
    /// The users contradict each other.
    pub(crate) fn new(
        server: &Shared,
        all: &LeafConfig,
        config: &LeafListen,
        addr: SocketAddr,
    ) -> Result<Self, Error> {
        let advertised = config.advertise.clone();
        let url = advertised.unwrap_or_else(|| addr.to_string());
        let (host, port) = match url.rsplit_once(':') {
            Some((host, port)) => (
                host.trim_matches(['[', ']']).to_owned(),
                port.parse().unwrap_or(addr.port()),
            ),
            None => (url.clone(), addr.port()),
        };
        let timeout = config.authorization.as_ref().map(|own| own.timeout);
        let authenticator = match &config.authorization {
            Some(own) => Some(authenticator(own)?),
            None => None,
        };
        let tls = config.tls.as_ref().map(Tls::open).transpose()?;
        Ok(Self {
            tls,
            config: config.clone(),
            authenticator,
            isolates: all.isolate_interest,
            auth_timeout: timeout.unwrap_or(server.config.auth_timeout),
            write_deadline: all.write_deadline.unwrap_or(server.config.write_deadline),
            host,
            port,
            urls: if config.no_advertise {
                Vec::new()
            } else {
                vec![url]
            },
        })
    }

    fn authenticator<'a>(&'a self, server: &'a Shared) -> &'a Arc<dyn Authenticator> {
        self.authenticator.as_ref().unwrap_or(&server.authenticator)
    }

    fn info(&self, server: &Shared, connection: &Connection, nonce: Option<String>) -> LeafInfo {
        LeafInfo {
            server_id: server.server_id.clone(),
            server_name: server.config.server_name.clone(),
            version: COMPATIBLE_VERSION.to_owned(),
            natterjack: env!("CARGO_PKG_VERSION").to_owned(),
            proto: 1,
            go: "none".to_owned(),
            host: self.host.clone(),
            port: self.port,
            headers: true,
            auth_required: self.authenticator(server).anonymous().is_none(),
            tls_required: self.tls.is_some(),
            tls_verify: self.tls.as_ref().is_some_and(|tls| {
                let config = &tls.current().config;
                config.verify || config.verify_and_map
            }),
            max_payload: server.config.limits.payload_bytes_max,
            jetstream: server.streams.has_root(),
            ip: match self.config.no_advertise {
                true => String::new(),
                false => format!("nats-leaf://{}", self.urls.join("")),
            },
            client_id: connection.id,
            nonce,
            domain: server.config.jetstream.domain.clone(),
            api_lvl: API_LEVEL,
            info_on_connect: true,
            leafnode_urls: Some(self.urls.clone()),
            ..LeafInfo::default()
        }
    }
}

/// Who decides about leaves by users that only they have.
fn authenticator(own: &LeafAuthorization) -> Result<Arc<dyn Authenticator>, Error> {
    let account_of = |account: &Option<String>| {
        let account = account.clone().filter(|account| !account.is_empty());
        account.unwrap_or_else(|| GLOBAL_ACCOUNT.to_owned())
    };
    if let [only] = &own.users[..]
        && only.user.is_empty()
        && only.nkey.is_none()
    {
        return Ok(Arc::new(AllowAll::new(account_of(&only.account))));
    }
    let mut config = AccountsConfig::default();
    for user in &own.users {
        let entry = match &user.nkey {
            Some(nkey) => UserConfig::with_nkey(nkey.clone()),
            None => UserConfig::with_password(user.user.clone(), user.password.clone()),
        };
        let name = account_of(&user.account);
        if name == GLOBAL_ACCOUNT {
            config.users.push(entry);
        } else if let Some(account) = config.accounts.iter_mut().find(|one| one.name == name) {
            account.users.push(entry);
        } else {
            let mut account = AccountConfig::new(name);
            account.users.push(entry);
            config.accounts.push(account);
        }
    }
    Ok(ConfiguredUsers::new(&config)?)
}

/// Accepts until the server stops.
pub(crate) async fn accept(server: Arc<Shared>, port: Arc<Port>, listener: TcpListener) {
    loop {
        let accepted = tokio::select! {
            () = server.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((socket, peer)) => {
                let max = server.config.limits.leaf_connections_max;
                // One too many is closed without a word: it comes again by itself.
                if let Some(place) = server.leaves.place(max) {
                    let served = serve(server.clone(), port.clone(), socket, peer, place);
                    server.tasks.spawn(served);
                }
            }
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve(
    server: Arc<Shared>,
    port: Arc<Port>,
    socket: TcpStream,
    peer: SocketAddr,
    place: Place,
) {
    // Without it small messages wait for the acknowledgement of earlier ones; a socket that refuses is gone already.
    let _ = socket.set_nodelay(true);
    let connection = server.stranger(ConnectionKind::Leafnode, Arc::default(), peer);
    let Some(tls) = port.tls.as_ref().map(Tls::current) else {
        let (read, write) = socket.into_split();
        let (input, output) = (TcpInput::new(read), TcpOutput(write));
        let before = Before::silent(None);
        return welcome(server, port, connection, (input, output), before, place).await;
    };
    let nonce = nonce();
    let shaken = timeout(
        tls.config.timeout,
        secure(&server, &port, &connection, socket, &tls, &nonce),
    );
    let (stream, session) = tokio::select! {
        shaken = shaken => match shaken {
            Ok(Ok(shaken)) => shaken,
            Ok(Err(error)) => return tracing::debug!(%peer, %error, "TLS handshake of a leaf failed"),
            Err(_elapsed) => return tracing::debug!(%peer, "TLS handshake of a leaf took too long"),
        },
        () = server.stop.cancelled() => return,
    };
    let (read, write) = tokio::io::split(stream);
    let streams = (StreamInput(read), StreamOutput::new(write));
    let before = Before {
        nonce: Some(nonce),
        tls: Some(session),
    };
    welcome(server, port, connection, streams, before, place).await;
}

/// What happened on a stream before [`welcome`].
pub(crate) struct Before {
    /// INFO was said, with this nonce.
    nonce: Option<String>,
    /// Hands were shaken.
    tls: Option<Arc<TlsSession>>,
}

impl Before {
    /// Nothing was said yet, behind a TLS handshake or without one.
    pub(crate) fn silent(tls: Option<Arc<TlsSession>>) -> Self {
        Self { nonce: None, tls }
    }
}

/// Says INFO, unless the handshake comes first, and shakes hands.
async fn secure(
    server: &Shared,
    port: &Port,
    connection: &Connection,
    mut socket: TcpStream,
    tls: &Loaded,
    nonce: &str,
) -> io::Result<(TlsStream<TcpStream>, Arc<TlsSession>)> {
    let is_first = tls.config.handshake_first != HandshakeFirst::No;
    let mut line = Vec::new();
    write_info(
        &port.info(server, connection, Some(nonce.to_owned())),
        &mut line,
    );
    if !is_first {
        socket.write_all(&line).await?;
    }
    let acceptor = TlsAcceptor::from(tls.server.clone());
    let mut stream = acceptor.accept(socket).await?;
    let session = Arc::new(handshake::session(tls, stream.get_ref().1));
    if is_first {
        stream.write_all(&line).await?;
        stream.flush().await?;
    }
    Ok((stream, session))
}

/// Serves a leaf on a stream that is ready for it; `place` is given back at the end.
pub(crate) async fn welcome(
    server: Arc<Shared>,
    port: Arc<Port>,
    connection: Arc<Connection>,
    (mut input, output): (impl Input, impl Output),
    before: Before,
    place: impl Send,
) {
    input.attach(&connection);
    let tls = before.tls;
    let nonce = before.nonce.unwrap_or_else(|| {
        let nonce = nonce();
        let info = port.info(&server, &connection, Some(nonce.clone()));
        connection.push(|out| write_info(&info, out));
        nonce
    });
    let writing = writer::run(connection.clone(), output, port.write_deadline);
    server.tasks.spawn(writing);
    let mut session = LeafSession::accepted(server.clone(), connection.clone());
    let timers = Timers::new(Greeting::Connect, port.auth_timeout);
    let mut handshake = Accepting { port, nonce, tls };
    let buffer = BytesMut::new();
    let reason = drive::run(&mut session, &mut input, buffer, timers, &mut handshake).await;
    server.leaves.remove(connection.id);
    server.leaf_ended(&connection);
    drop(place);
    tracing::info!(
        link = connection.id,
        reason = reason.as_str(),
        "leaf connection closed"
    );
}

fn nonce() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 11]>())
}

/// Gets to know a leaf that comes in.
struct Accepting {
    port: Arc<Port>,
    nonce: String,
    tls: Option<Arc<TlsSession>>,
}

impl Handshake for Accepting {
    async fn take(
        &mut self,
        session: &mut LeafSession,
        step: Step,
        timers: &mut Timers,
    ) -> Result<(), CloseReason> {
        match step {
            Step::Connect(connect) if session.link().is_none() => {
                check(session, &self.port.config, &connect)?;
                let identity = self.authenticate(session, &connect, timers).await?;
                timers.is_up(session.server.config.ping_interval, identity.expires_at);
                timers.revoked = identity.revoked.clone();
                self.bring_up(session, &connect, &identity);
                Ok(())
            }
            // A leaf may say what it is before it says who it is, and again later; nothing depends on it.
            Step::Info(_) => Ok(()),
            _ => Err(CloseReason::ProtocolViolation),
        }
    }
}

/// What is wrong with a CONNECT whoever sends it.
fn check(
    session: &mut LeafSession,
    config: &LeafListen,
    connect: &LeafConnect,
) -> Result<(), CloseReason> {
    if connect.lang.as_ref().is_some_and(|lang| !lang.is_empty()) {
        session.leaf_error(LeafError::WrongPort);
        return Err(CloseReason::IncorrectPort);
    }
    if let Some(minimum) = &config.min_version
        && version(connect.version.as_deref().unwrap_or_default()) < version(minimum)
    {
        session.leaf_error(LeafError::MinimumVersion(minimum));
        return Err(CloseReason::MinimumVersionRequired);
    }
    if connect.server_id.as_ref() == Some(&session.server.server_id) {
        session.leaf_error(LeafError::SameCluster);
        return Err(CloseReason::ClusterNamesIdentical);
    }
    Ok(())
}

/// The numbers of `2.10.4-beta`.
fn version(text: &str) -> [u32; 3] {
    let mut parts = text.trim_start_matches('v').split(['.', '-', '+']);
    std::array::from_fn(|_| parts.next().and_then(|part| part.parse().ok()).unwrap_or(0))
}

impl Accepting {
    async fn authenticate(
        &self,
        session: &mut LeafSession,
        connect: &LeafConnect,
        timers: &Timers,
    ) -> Result<Identity, CloseReason> {
        let server = session.server.clone();
        let connection = session.connection.clone();
        let text = |field: &Option<String>| field.clone().filter(|text| !text.is_empty());
        let request = ConnectRequest {
            auth_token: text(&connect.auth_token),
            user: text(&connect.user),
            pass: text(&connect.pass),
            jwt: text(&connect.jwt),
            nkey: text(&connect.nkey),
            sig: text(&connect.sig),
            nonce: Some(self.nonce.clone()),
            name: text(&connect.name),
            version: text(&connect.version),
            tls: self.tls.clone(),
            ..ConnectRequest::new(connection.id, connection.peer(), connection.kind)
        };
        let authenticator = self.port.authenticator(&server).clone();
        let deadline = timers.greeting.unwrap_or_else(tokio::time::Instant::now);
        let answer = tokio::select! {
            answer = timeout_at(deadline, authenticator.authenticate(request)) => answer,
            () = server.stop.cancelled() => return Err(CloseReason::ServerShutdown),
        };
        match answer {
            Ok(Ok(identity)) => {
                let account = server.account(&identity.account);
                let links = account.stats.leafs.load(Ordering::Relaxed);
                let max = account.limits().leafnodes_max;
                if max.is_some_and(|max| links >= max) {
                    session.error(ProtocolError::AccountConnectionsExceeded);
                    return Err(CloseReason::MaximumAccountConnectionsExceeded);
                }
                Ok(identity)
            }
            Ok(Err(error)) => {
                tracing::debug!(link = connection.id, reason = %error.reason, "leaf refused");
                session.error(ProtocolError::AuthorizationViolation);
                Err(CloseReason::AuthenticationFailure)
            }
            Err(_elapsed) => {
                session.error(ProtocolError::AuthenticationTimeout);
                Err(CloseReason::AuthenticationTimeout)
            }
        }
    }

    fn bring_up(&self, session: &mut LeafSession, connect: &LeafConnect, identity: &Identity) {
        let server = session.server.clone();
        let connection = session.connection.clone();
        let profile = profile(identity, connect, connection.id);
        let mut info = self.port.info(&server, &connection, None);
        info.connect_info = true;
        info.remote_account = Some(identity.account.clone());
        info.import = LeafPermission::of(&identity.permissions.subscribe);
        info.export = LeafPermission::of(&identity.permissions.publish);
        write_info(&info, session.output());
        let domain = server.config.jetstream.domain.as_deref();
        let mut out = rules::kept_here(domain);
        out.extend(connect.deny_pub.iter().flatten().cloned());
        let into = rules::kept_there();
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        let parts = LinkParts {
            account: server.account(&identity.account),
            peer: Peer {
                name: text(&connect.name),
                server_id: text(&connect.server_id),
                cluster: connect.cluster.clone().filter(|name| !name.is_empty()),
                account: text(&connect.remote_account),
                headers: connect.headers,
                payload_bytes_max: usize::MAX,
            },
            is_spoke: connect.is_hub,
            is_solicited: false,
            is_isolated: self.port.isolates || connect.isolate,
            rules: Rules::enforcing(&identity.permissions).with_denials(&out, &into),
            connection,
        };
        session.bring_up(parts, profile);
        if let Some(link) = session.link() {
            if let Some(old) = server.leaves.insert(link) {
                let error = LeafError::Duplicate;
                old.connection
                    .push(|out| super::proto::encode::error(&error, out));
                old.connection.close(CloseReason::DuplicateRemoteLeafnode);
            }
            tracing::info!(
                link = link.id(),
                account = link.account.name,
                remote = link.peer.name,
                "leaf connection created"
            );
        }
        server.leaf_connected(&session.connection);
    }
}

/// What is fixed about a link as a publisher.
pub(crate) fn profile(identity: &Identity, connect: &LeafConnect, client_id: u64) -> Arc<Profile> {
    let options = ConnectOptions {
        verbose: Some(false),
        pedantic: Some(false),
        echo: Some(true),
        headers: Some(true),
        protocol: Some(1),
        name: connect.name.clone(),
        version: connect.version.clone(),
        ..ConnectOptions::default()
    };
    Profile::new(identity, &AccountLimits::default(), &options, client_id)
}

/// Appends an INFO line.
pub(crate) fn write_info(info: &LeafInfo, out: &mut Vec<u8>) {
    let json = serde_json::to_string(info).expect("INFO is plain data");
    crate::proto::encode::info(&json, out);
}
