//! The last connections that were closed, for those who want to know why.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use super::CloseReason;
use super::connz::{Details, Figures};
use crate::jetstream::Timestamp;
use crate::limits::{CLOSED_CLIENT_SUBSCRIPTIONS_MAX, CLOSED_CLIENTS_BYTES_MAX};
use crate::session::connection::Connection;

/// What is kept of one.
#[derive(Debug)]
pub(crate) struct Closed {
    pub(crate) figures: Figures,
    pub(crate) details: Details,
    bytes: usize,
}

/// Bounded in entries and in bytes; the oldest are forgotten first.
#[derive(Debug)]
pub(crate) struct ClosedRing {
    max: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    entries: VecDeque<Arc<Closed>>,
    bytes: usize,
}

impl ClosedRing {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            max,
            inner: Mutex::default(),
        }
    }

    /// Keeps a connection that has ended; call it while its subscriptions are still there.
    pub(crate) fn keep(&self, connection: &Connection, reason: CloseReason) {
        if self.max > 0 {
            self.push(Closed::new(connection, reason));
        }
    }

    /// Oldest first.
    pub(crate) fn all(&self) -> Vec<Arc<Closed>> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.entries.iter().cloned().collect()
    }

    fn push(&self, closed: Closed) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.bytes += closed.bytes;
        inner.entries.push_back(Arc::new(closed));
        while inner.entries.len() > self.max || inner.bytes > CLOSED_CLIENTS_BYTES_MAX {
            let Some(oldest) = inner.entries.pop_front() else {
                break;
            };
            inner.bytes -= oldest.bytes;
        }
    }
}

impl Closed {
    fn new(connection: &Connection, reason: CloseReason) -> Self {
        let figures = Figures {
            stop: Some(Timestamp::now()),
            reason: Some(reason),
            ..Figures::of(connection)
        };
        let has_few = figures.subscriptions <= CLOSED_CLIENT_SUBSCRIPTIONS_MAX;
        let details = Details::of(connection, has_few);
        let subscriptions = details.subscriptions.iter();
        let strings = [&details.name, &details.lang, &details.version];
        let strings: usize = strings.iter().map(|text| text.len()).sum();
        let named = [&details.user, &details.account].into_iter().flatten();
        let bytes = size_of::<Self>()
            + strings
            + named.map(String::len).sum::<usize>()
            + subscriptions
                .map(|one| size_of_val(one) + one.subject.len() + one.qgroup.len() + one.sid.len())
                .sum::<usize>();
        Self {
            figures,
            details,
            bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::auth::ConnectionKind;

    fn connection(id: u64) -> Arc<Connection> {
        let peer = SocketAddr::from(([127, 0, 0, 1], 1));
        Connection::new(
            id,
            ConnectionKind::Tcp,
            Arc::default(),
            peer,
            Arc::default(),
            1024,
        )
    }

    #[test]
    fn the_oldest_are_forgotten_first() {
        let ring = ClosedRing::new(3);
        for id in 1..=5 {
            ring.keep(&connection(id), CloseReason::ClientClosed);
        }
        let ids: Vec<u64> = ring.all().iter().map(|one| one.figures.cid).collect();
        assert_eq!(ids, [3, 4, 5]);
        assert_eq!(
            ring.all()[0].figures.reason,
            Some(CloseReason::ClientClosed)
        );
    }

    #[test]
    fn long_names_do_not_fill_the_memory() {
        let ring = ClosedRing::new(usize::MAX);
        for id in 0..100 {
            let mut closed = Closed::new(&connection(id), CloseReason::Kicked);
            closed.bytes += CLOSED_CLIENTS_BYTES_MAX / 10;
            ring.push(closed);
        }
        assert!(ring.all().len() < 10);
    }

    #[test]
    fn none_are_kept_where_none_are_wanted() {
        let ring = ClosedRing::new(0);
        ring.keep(&connection(1), CloseReason::ClientClosed);
        assert!(ring.all().is_empty());
    }
}
