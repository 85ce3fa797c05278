//! `/connz`: connections, open and closed, sorted, filtered and by the page.

mod entry;
mod options;

use serde::Serialize;

pub(crate) use self::entry::{Details, Entry, Figures, SubDetail};
pub use self::options::{ConnState, ConnzOptions, ConnzSort, Subscriptions};
use super::text::{self, NotPossible};
use super::{page, page_bounds};
use crate::jetstream::Timestamp;
use crate::listen::tls::peer::TlsSession;
use crate::server::Shared;

/// The answer of `/connz`.
#[derive(Debug, Clone, Serialize)]
pub struct Connz {
    server_id: String,
    now: Timestamp,
    num_connections: usize,
    total: usize,
    offset: usize,
    limit: usize,
    /// `None` for an account that is not there.
    connections: Option<Vec<ConnInfo>>,
}

/// One connection in the answer.
#[derive(Debug, Clone, Serialize)]
struct ConnInfo {
    cid: u64,
    kind: &'static str,
    r#type: &'static str,
    ip: String,
    port: u16,
    start: Timestamp,
    last_activity: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    rtt: String,
    uptime: String,
    idle: String,
    pending_bytes: usize,
    in_msgs: u64,
    out_msgs: u64,
    in_bytes: u64,
    out_bytes: u64,
    #[serde(skip_serializing_if = "is_zero")]
    stalls: u64,
    subscriptions: usize,
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    lang: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_version: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_cipher_suite: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tls_peer_certs: Vec<PeerCert>,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorized_user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    subscriptions_list: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    subscriptions_list_detail: Vec<SubDetail>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name_tag: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
}

/// A certificate that a client showed.
#[derive(Debug, Clone, Serialize)]
struct PeerCert {
    subject: String,
    spki_sha256: String,
    cert_sha256: String,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for a reference"
)]
fn is_zero(value: &u64) -> bool {
    *value == 0
}

impl Connz {
    /// An answer with nothing in it, as nats-server gives it for an account that is not there.
    fn none() -> Self {
        Self {
            server_id: String::new(),
            now: Timestamp::now(),
            num_connections: 0,
            total: 0,
            offset: 0,
            limit: super::PAGE,
            connections: None,
        }
    }

    /// Looks at all connections and describes one page of them.
    ///
    /// # Errors
    /// Closed connections are to be sorted by what only they have, and open ones are among them.
    pub(crate) fn of(server: &Shared, options: &ConnzOptions) -> Result<Self, NotPossible> {
        options.check()?;
        let account = options.account.as_deref();
        if account.is_some_and(|account| server.known_account(account).is_none()) {
            return Ok(Self::none());
        }
        let now = Timestamp::now();
        let mut all = Vec::new();
        if options.state != ConnState::Closed {
            all.extend(server.open_connections().into_iter().map(Entry::open));
        }
        if options.state != ConnState::Open {
            all.extend(server.monitor.closed.all().into_iter().map(Entry::Closed));
        }
        if let Some(account) = &options.account {
            all.retain(|entry| entry.account().as_deref() == Some(account));
        }
        let total = all.len();
        if let Some(cid) = options.cid {
            all.retain(|entry| entry.figures().cid == cid);
        }
        if let Some(user) = &options.user {
            all.retain(|entry| entry.user().as_deref() == Some(user));
        }
        if options.mqtt_client.is_some() {
            // Nobody speaks MQTT here.
            all.clear();
        }
        options.sort.apply(&mut all, now);
        let (offset, mut limit) = page_bounds(options.offset, options.limit);
        if options.cid.is_some() {
            limit = 1;
        }
        let connections: Vec<_> = page(&all, offset, limit)
            .iter()
            .map(|entry| ConnInfo::of(entry, options, now))
            .collect();
        Ok(Self {
            server_id: server.server_id.clone(),
            now,
            num_connections: connections.len(),
            total,
            offset,
            limit,
            connections: Some(connections),
        })
    }
}

impl PeerCert {
    fn of(tls: &TlsSession) -> Vec<Self> {
        let certificates = tls.certificates.iter();
        let shown = certificates.map(|one| Self {
            subject: one.subject.clone(),
            spki_sha256: one.spki_sha256.clone(),
            cert_sha256: one.sha256.clone(),
        });
        shown.collect()
    }
}

impl ConnInfo {
    fn of(entry: &Entry, options: &ConnzOptions, now: Timestamp) -> Self {
        let figures = *entry.figures();
        let details = entry.details(options.subscriptions != Subscriptions::No);
        let tls = details.tls.as_deref();
        let end = figures.stop.unwrap_or(now);
        let mut info = Self {
            cid: figures.cid,
            kind: "Client",
            r#type: details.kind.as_str(),
            ip: details.peer.ip().to_canonical().to_string(),
            port: details.peer.port(),
            start: figures.start,
            last_activity: figures.last_activity,
            stop: figures.stop,
            reason: figures.reason.map(super::CloseReason::as_str),
            rtt: text::rtt(figures.rtt),
            uptime: text::uptime(figures.start.until(end)),
            idle: text::uptime(figures.last_activity.until(end)),
            pending_bytes: figures.pending_bytes,
            in_msgs: figures.in_msgs,
            out_msgs: figures.out_msgs,
            in_bytes: figures.in_bytes,
            out_bytes: figures.out_bytes,
            stalls: figures.stalls,
            subscriptions: figures.subscriptions,
            name: details.name,
            lang: details.lang,
            version: details.version,
            tls_version: tls.map(|tls| tls.version),
            tls_cipher_suite: tls.map(|tls| tls.cipher.clone()),
            tls_peer_certs: tls.map(PeerCert::of).unwrap_or_default(),
            authorized_user: None,
            account: None,
            subscriptions_list: Vec::new(),
            subscriptions_list_detail: Vec::new(),
            name_tag: None,
            tags: Vec::new(),
        };
        if options.auth {
            info.authorized_user = details.user.filter(|user| !user.is_empty());
            info.name_tag.clone_from(&details.account);
            info.account = details.account;
            info.tags = details.tags;
        }
        match options.subscriptions {
            Subscriptions::No => {}
            Subscriptions::Subjects => {
                let subjects = details.subscriptions.into_iter().map(|one| one.subject);
                info.subscriptions_list = subjects.collect();
            }
            Subscriptions::Details => info.subscriptions_list_detail = details.subscriptions,
        }
        info
    }
}
