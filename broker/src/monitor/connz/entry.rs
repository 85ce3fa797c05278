//! One connection for `/connz`: what it is sorted by, and what is told about it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;

use super::super::CloseReason;
use super::super::closed::Closed;
use crate::auth::ConnectionKind;
use crate::interest::subscription::Subscription;
use crate::jetstream::Timestamp;
use crate::listen::tls::peer::TlsSession;
use crate::session::connection::Connection;

/// An open connection, or what is kept of a closed one.
#[derive(Debug)]
pub(crate) enum Entry {
    Open(Arc<Connection>, Figures),
    Closed(Arc<Closed>),
}

/// What connections are sorted by: numbers only, because all connections are looked at for one page.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figures {
    pub(crate) cid: u64,
    pub(crate) start: Timestamp,
    pub(crate) last_activity: Timestamp,
    pub(crate) stop: Option<Timestamp>,
    pub(crate) reason: Option<CloseReason>,
    pub(crate) rtt: Duration,
    pub(crate) pending_bytes: usize,
    pub(crate) in_msgs: u64,
    pub(crate) out_msgs: u64,
    pub(crate) in_bytes: u64,
    pub(crate) out_bytes: u64,
    pub(crate) stalls: u64,
    pub(crate) subscriptions: usize,
}

/// What is told about a connection beside its figures.
#[derive(Debug, Clone)]
pub(crate) struct Details {
    pub(crate) kind: ConnectionKind,
    pub(crate) peer: SocketAddr,
    pub(crate) name: String,
    pub(crate) lang: String,
    pub(crate) version: String,
    /// Who it is, or, where that was refused, who it said it was.
    pub(crate) user: Option<String>,
    /// Once it is known who it is.
    pub(crate) account: Option<String>,
    pub(crate) tags: Vec<String>,
    pub(crate) tls: Option<Arc<TlsSession>>,
    pub(crate) subscriptions: Vec<SubDetail>,
}

/// One subscription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct SubDetail {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) account: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) account_tag: String,
    pub(crate) subject: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) qgroup: String,
    pub(crate) sid: String,
    pub(crate) msgs: u64,
    #[serde(skip_serializing_if = "super::is_zero")]
    pub(crate) max: u64,
    pub(crate) cid: u64,
}

impl SubDetail {
    /// As a connection's own, which goes without saying the account.
    pub(crate) fn of(subscription: &Subscription) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            account: String::new(),
            account_tag: String::new(),
            subject: text(&subscription.filter),
            qgroup: subscription.queue.as_deref().map(text).unwrap_or_default(),
            sid: text(&subscription.sid),
            msgs: subscription.delivered(),
            max: subscription.delivered_max(),
            cid: subscription.connection_id().unwrap_or(0),
        }
    }

    /// As one of many accounts'.
    pub(crate) fn with_account(mut self, account: &str) -> Self {
        account.clone_into(&mut self.account);
        account.clone_into(&mut self.account_tag);
        self
    }
}

impl Figures {
    pub(crate) fn of(connection: &Connection) -> Self {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let own = &connection.own;
        Self {
            cid: connection.id,
            start: connection.started.into(),
            last_activity: connection.last_activity().into(),
            stop: None,
            reason: None,
            rtt: Duration::from_nanos(read(&connection.rtt_ns)),
            pending_bytes: connection.pending_bytes(),
            in_msgs: read(&own.in_messages),
            out_msgs: read(&own.out_messages),
            in_bytes: read(&own.in_bytes),
            out_bytes: read(&own.out_bytes),
            stalls: read(&own.stalls),
            subscriptions: connection.subscriptions_len(),
        }
    }
}

impl Details {
    pub(crate) fn of(connection: &Connection, with_subscriptions: bool) -> Self {
        let profile = connection.profile();
        let said = connection.said();
        let said = said.as_deref();
        let subscriptions = if with_subscriptions {
            connection.subscriptions()
        } else {
            Vec::new()
        };
        let sender = profile.as_deref().map(|profile| &profile.sender);
        let user = sender.map(|sender| sender.user.clone());
        Self {
            kind: connection.kind,
            peer: connection.peer(),
            name: said.map(|said| said.name.clone()).unwrap_or_default(),
            lang: said.map(|said| said.lang.clone()).unwrap_or_default(),
            version: said.map(|said| said.version.clone()).unwrap_or_default(),
            user: user.or_else(|| said.map(|said| said.user.clone())),
            account: sender.map(|sender| sender.account.clone()),
            tags: sender
                .map(|sender| sender.tags.to_vec())
                .unwrap_or_default(),
            tls: connection.tls().cloned(),
            subscriptions: subscriptions.iter().map(|one| SubDetail::of(one)).collect(),
        }
    }
}

impl Entry {
    pub(super) fn open(connection: Arc<Connection>) -> Self {
        let figures = Figures::of(&connection);
        Self::Open(connection, figures)
    }

    pub(super) fn figures(&self) -> &Figures {
        match self {
            Self::Open(_, figures) => figures,
            Self::Closed(closed) => &closed.figures,
        }
    }

    pub(super) fn account(&self) -> Option<String> {
        match self {
            Self::Open(connection, _) => {
                let profile = connection.profile();
                profile.map(|profile| profile.sender.account.clone())
            }
            Self::Closed(closed) => closed.details.account.clone(),
        }
    }

    pub(super) fn user(&self) -> Option<String> {
        match self {
            Self::Open(connection, _) => Details::of(connection, false).user,
            Self::Closed(closed) => closed.details.user.clone(),
        }
    }

    pub(super) fn details(&self, with_subscriptions: bool) -> Details {
        match self {
            Self::Open(connection, _) => Details::of(connection, with_subscriptions),
            Self::Closed(closed) => closed.details.clone(),
        }
    }
}
