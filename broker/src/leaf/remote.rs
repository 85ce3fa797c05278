//! Servers to be a leaf of: dialled until they answer, and again whenever the link is down.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use rand::seq::SliceRandom;

use super::accept::profile;
use super::config::{LeafConfig, LeafRemote};
use super::dial::{self, Dialled};
use super::drive::{self, Greeting, Handshake, Timers};
use super::link::{LinkParts, Peer};
use super::proto::info::{LeafConnect, LeafInfo, LeafPermission};
use super::rules::{self, Rules};
use super::session::{LONG_PAUSE, LeafSession, Step};
use super::url::LeafUrl;
use crate::auth::{ConnectionKind, Identity, SubjectPermissions};
use crate::listen::io::{StreamInput, StreamOutput};
use crate::monitor::CloseReason;
use crate::proto::info::COMPATIBLE_VERSION;
use crate::server::{GLOBAL_ACCOUNT, Shared};
use crate::session::writer;

/// Time the other side has for its second INFO, as in nats-server.
const SECOND_INFO_TIMEOUT: Duration = Duration::from_secs(2);
/// How far the pause between attempts grows.
const PAUSE_FACTOR_MAX: u32 = 8;
/// Servers that are remembered because another one named them.
const DISCOVERED_MAX: usize = 64;

/// A server to be a leaf of, or several that are one cluster.
pub(crate) struct Remote {
    config: LeafRemote,
    account: String,
    reconnect: Duration,
    isolates: bool,
    write_deadline: Duration,
    urls: Vec<LeafUrl>,
    next: usize,
    /// Attempts in a row that brought no link up.
    failures: u32,
}

impl Remote {
    pub(crate) fn new(server: &Shared, all: &LeafConfig, config: &LeafRemote) -> Self {
        let mut urls = config.urls.clone();
        if !config.no_randomize {
            urls.shuffle(&mut rand::rng());
        }
        let account = match config.account.as_str() {
            "" => GLOBAL_ACCOUNT,
            account => account,
        };
        Self {
            config: config.clone(),
            account: account.to_owned(),
            reconnect: all.reconnect,
            isolates: all.isolate_interest || config.isolate_interest,
            write_deadline: all.write_deadline.unwrap_or(server.config.write_deadline),
            urls,
            next: 0,
            failures: 0,
        }
    }

    /// Keeps the link up until the server stops.
    pub(crate) async fn keep(mut self, server: Arc<Shared>) {
        while !self.urls.is_empty() {
            let url = self.urls[self.next % self.urls.len()].clone();
            self.next = (self.next + 1) % self.urls.len();
            let pause = tokio::select! {
                biased;
                () = server.stop.cancelled() => return,
                dialled = dial::dial(&server, &self.config, &url) => match dialled {
                    Ok(dialled) => Ok(dialled),
                    Err(error) => {
                        self.complain(&url, &error);
                        Err(None)
                    }
                },
            };
            let pause = match pause {
                // Not part of the select: it ends by itself when the server stops, in order.
                Ok(dialled) => self.serve(&server, &url, dialled).await,
                Err(pause) => pause,
            };
            let pause = pause.unwrap_or_else(|| self.pause());
            tokio::select! {
                () = server.stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Longer after each failure, and never the same for two servers that lost the same hub.
    fn pause(&self) -> Duration {
        let factor = 1_u32
            .checked_shl(self.failures.saturating_sub(1))
            .unwrap_or(PAUSE_FACTOR_MAX)
            .clamp(1, PAUSE_FACTOR_MAX);
        let pause = (self.reconnect * factor).min(LONG_PAUSE.max(self.reconnect));
        pause + self.reconnect.mul_f64(rand::random::<f64>() / 2.0)
    }

    fn complain(&mut self, url: &LeafUrl, error: &dial::DialError) {
        self.failures = self.failures.saturating_add(1);
        let reason = chain(error);
        if self.failures == 1 {
            tracing::warn!(%url, reason, "leaf node remote cannot be reached; it is tried again");
        } else {
            tracing::debug!(%url, reason, attempt = self.failures, "leaf node remote cannot be reached");
        }
    }

    /// Serves a link until it is down and returns how long to stay away, if that is longer than usual.
    async fn serve(
        &mut self,
        server: &Arc<Shared>,
        url: &LeafUrl,
        dialled: Dialled,
    ) -> Option<Duration> {
        let kind = match url.scheme.is_websocket() {
            true => ConnectionKind::LeafnodeWebSocket,
            false => ConnectionKind::Leafnode,
        };
        let connection = server.stranger(kind, Arc::default(), dialled.peer);
        let (read, write) = tokio::io::split(dialled.stream);
        let (mut input, output) = (StreamInput(read), StreamOutput::new(write));
        let writing = writer::run(connection.clone(), output, self.write_deadline);
        server.tasks.spawn(writing);
        let mut session = LeafSession::solicited(server.clone(), connection.clone());
        let connect = match self.connect(server, url, &dialled.info).await {
            Ok(connect) => connect,
            Err(error) => {
                connection.close(CloseReason::AuthenticationFailure);
                self.complain(url, &error);
                return None;
            }
        };
        let json = serde_json::to_string(&connect).expect("CONNECT is plain data");
        connection.push(|out| {
            out.extend_from_slice(b"CONNECT ");
            out.extend_from_slice(json.as_bytes());
            out.extend_from_slice(b"\r\nPING\r\n");
        });
        let mut timers = Timers::new(Greeting::Info, SECOND_INFO_TIMEOUT);
        let mut handshake = Dialling {
            remote: self,
            url,
            connect,
            told: None,
            discovered: Vec::new(),
        };
        handshake.discover(&dialled.info);
        // An older hub says everything at once.
        if !dialled.info.info_on_connect {
            handshake.bring_up(&mut session, &dialled.info, &mut timers);
        }
        let buffer: BytesMut = dialled.read;
        let reason = drive::run(&mut session, &mut input, buffer, timers, &mut handshake).await;
        let was_up = handshake.told.is_some();
        let discovered = std::mem::take(&mut handshake.discovered);
        server.leaves.remove(connection.id);
        server.leaf_ended(&connection);
        tracing::info!(%url, reason = reason.as_str(), "leaf link is down");
        self.remember(discovered);
        self.failures = match was_up {
            true => 0,
            false => self.failures.saturating_add(1),
        };
        session.pause
    }

    /// Adds servers that the other side named.
    fn remember(&mut self, discovered: Vec<LeafUrl>) {
        for url in discovered {
            let is_known = |known: &LeafUrl| known.host == url.host && known.port == url.port;
            if self.urls.len() < DISCOVERED_MAX && !self.urls.iter().any(is_known) {
                self.urls.push(url);
            }
        }
    }

    async fn connect(
        &self,
        server: &Shared,
        url: &LeafUrl,
        info: &LeafInfo,
    ) -> Result<LeafConnect, dial::DialError> {
        let name = server.leaf_name();
        let mut connect = LeafConnect {
            version: Some(COMPATIBLE_VERSION.to_owned()),
            server_id: Some(server.server_id.clone()),
            name: Some(name.to_owned()),
            cluster: Some(name.to_owned()),
            is_hub: self.config.hub,
            isolate: self.config.request_isolation,
            headers: true,
            jetstream: server.streams.has_root(),
            domain: server.config.jetstream.domain.clone(),
            deny_pub: Some(self.config.deny_imports.clone()).filter(|deny| !deny.is_empty()),
            compress_mode: Some("not supported".to_owned()),
            remote_account: Some(self.account.clone()),
            protocol: Some(1),
            ..LeafConnect::default()
        };
        super::credentials::show(&self.config, url, info, &mut connect).await?;
        Ok(connect)
    }
}

/// Gets to know a hub that was dialled.
struct Dialling<'a> {
    remote: &'a Remote,
    url: &'a LeafUrl,
    connect: LeafConnect,
    /// The permissions that the link came up with.
    told: Option<(Option<LeafPermission>, Option<LeafPermission>)>,
    discovered: Vec<LeafUrl>,
}

impl Handshake for Dialling<'_> {
    async fn take(
        &mut self,
        session: &mut LeafSession,
        step: Step,
        timers: &mut Timers,
    ) -> Result<(), CloseReason> {
        let Step::Info(info) = step else {
            return Err(CloseReason::ProtocolViolation);
        };
        self.discover(&info);
        match &self.told {
            None if info.connect_info => self.bring_up(session, &info, timers),
            // Interest that was held back may pass now and the reverse: the link is made anew.
            Some((import, export))
                if info.connect_info && (*import != info.import || *export != info.export) =>
            {
                tracing::info!(url = %self.url, "the hub changed this leaf's permissions");
                return Err(CloseReason::ClientClosed);
            }
            _ => {}
        }
        Ok(())
    }
}

impl Dialling<'_> {
    fn discover(&mut self, info: &LeafInfo) {
        if self.remote.config.ignore_discovered_servers || self.url.scheme.is_websocket() {
            return;
        }
        let named = info.leafnode_urls.iter().flatten().take(DISCOVERED_MAX);
        self.discovered = named
            .filter_map(|text| LeafUrl::parse(text).ok())
            .map(|found| LeafUrl {
                host: found.host,
                port: found.port,
                ..self.url.clone()
            })
            .collect();
    }

    fn bring_up(&mut self, session: &mut LeafSession, info: &LeafInfo, timers: &mut Timers) {
        let remote = self.remote;
        let server = session.server.clone();
        let connection = session.connection.clone();
        let user = self.url.user.clone().unwrap_or_default();
        let identity = Identity::new(user, remote.account.clone());
        let profile = profile(&identity, &self.connect, connection.id);
        let lists = |told: &Option<LeafPermission>| match told {
            Some(told) => told.to_lists(),
            None => SubjectPermissions::default(),
        };
        let mut out = rules::kept_here(server.config.jetstream.domain.as_deref());
        out.extend(remote.config.deny_exports.iter().cloned());
        let mut into = rules::kept_there();
        into.extend(remote.config.deny_imports.iter().cloned());
        let announced = Rules::announced(&lists(&info.export), &lists(&info.import));
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        let parts = LinkParts {
            account: server.account(&remote.account),
            peer: Peer {
                name: info.server_name.clone(),
                server_id: info.server_id.clone(),
                cluster: info.cluster.clone().filter(|name| !name.is_empty()),
                account: text(&info.remote_account),
                headers: info.headers,
                payload_bytes_max: match info.max_payload {
                    0 => usize::MAX,
                    max => max,
                },
            },
            is_spoke: !remote.config.hub,
            is_solicited: true,
            is_isolated: remote.isolates,
            rules: announced.with_denials(&out, &into),
            connection,
        };
        timers.is_up(server.config.ping_interval, None);
        self.told = Some((info.import.clone(), info.export.clone()));
        session.bring_up(parts, profile);
        if let Some(link) = session.link() {
            server.leaves.insert(link);
            tracing::info!(
                url = %self.url,
                account = link.account.name,
                remote = link.peer.name,
                "leaf link is up"
            );
        }
        server.leaf_connected(&session.connection);
    }
}

/// An error with all it comes from, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
