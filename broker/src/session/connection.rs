//! What everybody may know and do about one connected client: queue output for it, close it, read its counters.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use hashbrown::HashMap;
use tokio::sync::Notify;

use super::grants::Grants;
use super::outbound::OutQueue;
use super::profile::{Profile, Said};
use crate::auth::{ConnectionKind, Identity, ResponsePermission};
use crate::interest::subscription::Subscription;
use crate::limits::{NOTICES_MAX, STALL_PERCENT, STREAM_PERCENT};
use crate::listen::listener::{Cookies, Listener};
use crate::listen::places::Place;
use crate::listen::tls::peer::TlsSession;
use crate::monitor::{CloseReason, Counters};
use crate::proto::info::ConnectOptions;

/// What the receiver's queue looked like after something was added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HandOver {
    Queued,
    /// So much is waiting that the producer had better pause; `written` says how far the receiver is.
    NearlyFull {
        written: u64,
    },
    /// The connection is closed or was cut off just now.
    Closed,
}

/// What a writer finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Take {
    Batch,
    /// Nothing; wait for a wake-up.
    Nothing,
    /// The connection has ended.
    Done,
}

/// What a session is told from outside.
pub(crate) enum Notice {
    /// It may do something else from now on.
    Identity(Box<Identity>),
    /// Its credentials do not hold any more.
    Refused,
    /// Its user has been revoked.
    Revoked,
    /// It shows new credentials, and wants to hear on a reply subject whether they hold.
    Credentials(Box<ConnectOptions>, Bytes),
}

impl std::fmt::Debug for Notice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Identity(_) => "Identity",
            Self::Refused => "Refused",
            Self::Revoked => "Revoked",
            Self::Credentials(..) => "Credentials",
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// What is queued is still written.
    Draining,
    /// Nothing is written any more.
    Dead,
}

#[derive(Debug)]
struct Outbound {
    queue: OutQueue,
    /// Bytes the writer has taken and not written yet.
    in_flight: usize,
    written: u64,
    writer_is_idle: bool,
    is_stalling: bool,
    /// Somebody waits for [`Connection::room`].
    is_awaited: bool,
    phase: Phase,
    reason: Option<CloseReason>,
}

/// A connected client, shared by its session, the subscriptions it holds and the publishers that know it.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) id: u64,
    pub(crate) kind: ConnectionKind,
    /// Where it came in.
    pub(crate) listener: Arc<Listener>,
    /// The other end of the socket.
    socket: SocketAddr,
    /// Where the client is, when a trusted proxy said so.
    behind_proxy: OnceLock<SocketAddr>,
    tls: OnceLock<Arc<TlsSession>>,
    cookies: OnceLock<Box<Cookies>>,
    /// What it takes up among the connections of its address, until it ends.
    place: Mutex<Option<Place>>,
    pub(crate) started: SystemTime,
    /// The same moment on the clock that never goes back.
    opened: Instant,
    /// Last message or subscription, in nanoseconds after it was opened.
    active_ns: AtomicU64,
    pub(crate) counters: Arc<Counters>,
    pub(crate) own: Counters,
    pending_bytes_max: usize,
    outbound: Mutex<Outbound>,
    is_closed: AtomicBool,
    /// Last round trip of a PING, in nanoseconds.
    pub(crate) rtt_ns: AtomicU64,
    pub(crate) writer_wake: Notify,
    pub(crate) reader_wake: Notify,
    drained: Notify,
    room: Notify,
    subscriptions: Mutex<HashMap<Box<[u8]>, Arc<Subscription>>>,
    grants: Mutex<Option<Box<Grants>>>,
    profile: Mutex<Option<Arc<Profile>>>,
    notices: Mutex<VecDeque<Notice>>,
    has_notice: AtomicBool,
    said: Mutex<Option<Arc<Said>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Connection {
    pub(crate) fn new(
        id: u64,
        kind: ConnectionKind,
        listener: Arc<Listener>,
        socket: SocketAddr,
        counters: Arc<Counters>,
        pending_bytes_max: usize,
    ) -> Arc<Self> {
        Arc::new(Self {
            id,
            kind,
            listener,
            socket,
            behind_proxy: OnceLock::new(),
            tls: OnceLock::new(),
            cookies: OnceLock::new(),
            place: Mutex::default(),
            started: SystemTime::now(),
            opened: Instant::now(),
            active_ns: AtomicU64::new(0),
            counters,
            own: Counters::default(),
            pending_bytes_max,
            outbound: Mutex::new(Outbound {
                queue: OutQueue::default(),
                in_flight: 0,
                written: 0,
                writer_is_idle: false,
                is_stalling: false,
                is_awaited: false,
                phase: Phase::Open,
                reason: None,
            }),
            is_closed: AtomicBool::new(false),
            rtt_ns: AtomicU64::new(0),
            writer_wake: Notify::new(),
            reader_wake: Notify::new(),
            drained: Notify::new(),
            room: Notify::new(),
            subscriptions: Mutex::default(),
            grants: Mutex::default(),
            profile: Mutex::default(),
            notices: Mutex::default(),
            has_notice: AtomicBool::new(false),
            said: Mutex::default(),
        })
    }

    /// Where the client is: the other end of the socket, or what a trusted proxy says about it.
    pub(crate) fn peer(&self) -> SocketAddr {
        self.behind_proxy.get().copied().unwrap_or(self.socket)
    }

    /// The proxy at the other end of the socket, where there is one.
    pub(crate) fn proxy(&self) -> Option<SocketAddr> {
        self.behind_proxy.get().map(|_| self.socket)
    }

    /// Notes what a trusted proxy said. Only the first word counts.
    pub(crate) fn is_behind_proxy(&self, client: SocketAddr) {
        let _ = self.behind_proxy.set(client);
    }

    /// The finished handshake; `None` without TLS.
    pub(crate) fn tls(&self) -> Option<&Arc<TlsSession>> {
        self.tls.get()
    }

    pub(crate) fn set_tls(&self, tls: Arc<TlsSession>) {
        let _ = self.tls.set(tls);
    }

    /// What came in cookies.
    pub(crate) fn cookies(&self) -> Option<&Cookies> {
        self.cookies.get().map(AsRef::as_ref)
    }

    pub(crate) fn set_cookies(&self, cookies: Cookies) {
        let _ = self.cookies.set(Box::new(cookies));
    }

    /// Holds the place until the connection ends, instead of the one it held.
    pub(crate) fn hold(&self, place: Option<Place>) {
        *lock(&self.place) = place;
    }

    /// Queues output. Full means: the connection is a slow consumer, is cut off and counted, and nobody waits for it.
    pub(crate) fn hand_over(&self, queue: &mut OutQueue) -> HandOver {
        let (messages, bytes) = (queue.messages, queue.message_bytes);
        let mut outbound = lock(&self.outbound);
        if outbound.phase != Phase::Open {
            queue.clear();
            return HandOver::Closed;
        }
        let pending = outbound.queue.len() + outbound.in_flight + queue.len();
        if pending > self.pending_bytes_max {
            queue.clear();
            drop(outbound);
            self.cut_off(CloseReason::SlowConsumerPendingBytes);
            return HandOver::Closed;
        }
        outbound.queue.append(queue);
        queue.messages = 0;
        queue.message_bytes = 0;
        let wakes = std::mem::take(&mut outbound.writer_is_idle);
        let is_nearly_full = pending > self.stall_bytes();
        outbound.is_stalling |= is_nearly_full;
        let written = outbound.written;
        drop(outbound);
        if wakes {
            self.writer_wake.notify_one();
        }
        if messages > 0 {
            self.own.count_out(messages, bytes);
            self.counters.count_out(messages, bytes);
        }
        if is_nearly_full {
            HandOver::NearlyFull { written }
        } else {
            HandOver::Queued
        }
    }

    /// Queues a few bytes of protocol.
    pub(crate) fn push(&self, fill: impl FnOnce(&mut Vec<u8>)) {
        let mut queue = OutQueue::default();
        fill(queue.tail());
        self.hand_over(&mut queue);
    }

    /// Moves everything queued into the writer's empty batch.
    pub(crate) fn take(&self, batch: &mut OutQueue) -> Take {
        let mut outbound = lock(&self.outbound);
        match outbound.phase {
            Phase::Dead => Take::Done,
            Phase::Draining if outbound.queue.is_empty() => Take::Done,
            _ if outbound.queue.is_empty() => {
                outbound.writer_is_idle = true;
                Take::Nothing
            }
            _ => {
                batch.append(&mut outbound.queue);
                outbound.queue.take_spares(batch);
                outbound.in_flight = batch.len();
                Take::Batch
            }
        }
    }

    /// The writer got so many bytes out. False: the connection was cut off meanwhile.
    pub(crate) fn wrote(&self, len: usize) -> bool {
        let mut outbound = lock(&self.outbound);
        outbound.in_flight = outbound.in_flight.saturating_sub(len);
        outbound.written += len as u64;
        let pending = outbound.queue.len() + outbound.in_flight;
        let is_dead = outbound.phase == Phase::Dead;
        if outbound.is_stalling && (is_dead || pending <= self.stall_bytes()) {
            outbound.is_stalling = false;
            self.drained.notify_waiters();
        }
        if outbound.is_awaited && (is_dead || pending <= self.room_bytes()) {
            outbound.is_awaited = false;
            self.room.notify_waiters();
        }
        !is_dead
    }

    /// Whether so little waits that streams may add to it.
    pub(crate) fn has_room(&self) -> bool {
        let outbound = lock(&self.outbound);
        outbound.phase != Phase::Open
            || outbound.queue.len() + outbound.in_flight <= self.room_bytes()
    }

    /// Resolves when [`Connection::has_room`] is true, or the connection has ended.
    pub(crate) async fn room(&self) {
        let room = self.room.notified();
        {
            let mut outbound = lock(&self.outbound);
            if outbound.phase != Phase::Open
                || outbound.queue.len() + outbound.in_flight <= self.room_bytes()
            {
                return;
            }
            outbound.is_awaited = true;
        }
        room.await;
    }

    fn room_bytes(&self) -> usize {
        self.pending_bytes_max / 100 * STREAM_PERCENT
    }

    /// Resolves when the queue is shorter again than what holds producers back. Cancel it after a moment.
    pub(crate) async fn drained(&self) {
        let drained = self.drained.notified();
        if !lock(&self.outbound).is_stalling {
            return;
        }
        drained.await;
    }

    fn stall_bytes(&self) -> usize {
        self.pending_bytes_max / 100 * STALL_PERCENT
    }

    /// Ends the connection after what is queued has been written. The first reason given stays.
    pub(crate) fn close(&self, reason: CloseReason) {
        self.end(reason, Phase::Draining);
    }

    /// Ends the connection and forgets what is queued.
    pub(crate) fn cut_off(&self, reason: CloseReason) {
        self.end(reason, Phase::Dead);
    }

    fn end(&self, reason: CloseReason, phase: Phase) {
        let mut outbound = lock(&self.outbound);
        if outbound.phase == Phase::Dead || outbound.phase == phase {
            return;
        }
        if outbound.reason.is_none() {
            outbound.reason = Some(reason);
            if reason.is_slow_consumer() {
                self.counters.slow_consumers.fetch_add(1, Ordering::Relaxed);
                if reason == CloseReason::SlowConsumerWriteDeadline {
                    let late = &self.counters.slow_consumers_late;
                    late.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        outbound.phase = phase;
        if phase == Phase::Dead {
            outbound.queue = OutQueue::default();
        }
        drop(outbound);
        self.is_closed.store(true, Ordering::Release);
        self.writer_wake.notify_one();
        self.reader_wake.notify_one();
        self.drained.notify_waiters();
        self.room.notify_waiters();
    }

    #[inline]
    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// Whether even queued output is given up.
    pub(crate) fn is_cut_off(&self) -> bool {
        lock(&self.outbound).phase == Phase::Dead
    }

    /// Why it ended; `None` while it is open.
    pub(crate) fn close_reason(&self) -> Option<CloseReason> {
        lock(&self.outbound).reason
    }

    /// Bytes that wait to be written.
    pub(crate) fn pending_bytes(&self) -> usize {
        let outbound = lock(&self.outbound);
        outbound.queue.len() + outbound.in_flight
    }

    /// Gives back buffers while there is nothing to write.
    pub(crate) fn release_buffers(&self) {
        lock(&self.outbound).queue.release();
        self.writer_wake.notify_one();
    }

    pub(crate) fn subscription(&self, sid: &[u8]) -> Option<Arc<Subscription>> {
        lock(&self.subscriptions).get(sid).cloned()
    }

    pub(crate) fn subscriptions_len(&self) -> usize {
        lock(&self.subscriptions).len()
    }

    pub(crate) fn remember_subscription(&self, subscription: Arc<Subscription>) {
        lock(&self.subscriptions).insert(subscription.sid.clone(), subscription);
    }

    pub(crate) fn forget_subscription(&self, sid: &[u8]) -> Option<Arc<Subscription>> {
        lock(&self.subscriptions).remove(sid)
    }

    pub(crate) fn take_subscriptions(&self) -> Vec<Arc<Subscription>> {
        std::mem::take(&mut *lock(&self.subscriptions))
            .into_values()
            .collect()
    }

    /// A request was delivered that may be answered.
    pub(crate) fn grant(&self, reply: &[u8], permission: &ResponsePermission, now: Instant) {
        lock(&self.grants)
            .get_or_insert_default()
            .grant(reply, permission, now);
    }

    /// Whether an answer may be published; counts it.
    pub(crate) fn take_grant(&self, reply: &[u8], now: Instant) -> bool {
        lock(&self.grants)
            .as_mut()
            .is_some_and(|grants| grants.take(reply, now))
    }

    /// All subscriptions, oldest first.
    pub(crate) fn subscriptions(&self) -> Vec<Arc<Subscription>> {
        let mut all: Vec<_> = lock(&self.subscriptions).values().cloned().collect();
        all.sort_unstable_by_key(|one| one.id);
        all
    }

    /// Something happened that shows life. Once per batch and not per message.
    pub(crate) fn touch(&self, now: Instant) {
        let since = now.saturating_duration_since(self.opened).as_nanos();
        let since = u64::try_from(since).unwrap_or(u64::MAX);
        self.active_ns.store(since, Ordering::Relaxed);
    }

    /// When it last showed life.
    pub(crate) fn last_activity(&self) -> SystemTime {
        self.started + Duration::from_nanos(self.active_ns.load(Ordering::Relaxed))
    }

    /// How long it has been open.
    pub(crate) fn age(&self) -> Duration {
        self.opened.elapsed()
    }

    /// What the client said about itself, whether or not it was believed.
    pub(crate) fn said(&self) -> Option<Arc<Said>> {
        lock(&self.said).clone()
    }

    pub(crate) fn set_said(&self, said: Said) {
        *lock(&self.said) = Some(Arc::new(said));
    }

    /// Tells the session something; what it is told waits until it has read what is there. At most [`NOTICES_MAX`] wait:
    /// false where there is no room.
    pub(crate) fn notify(&self, notice: Notice) -> bool {
        let mut notices = lock(&self.notices);
        if notices.len() >= NOTICES_MAX {
            return false;
        }
        notices.push_back(notice);
        self.has_notice.store(true, Ordering::Release);
        drop(notices);
        self.reader_wake.notify_one();
        true
    }

    pub(crate) fn has_notice(&self) -> bool {
        self.has_notice.load(Ordering::Acquire)
    }

    pub(crate) fn take_notices(&self) -> VecDeque<Notice> {
        let mut notices = lock(&self.notices);
        self.has_notice.store(false, Ordering::Release);
        std::mem::take(&mut *notices)
    }

    /// Resolves when the connection has ended. For the session alone.
    pub(crate) async fn closed(&self) {
        while !self.is_closed() {
            self.reader_wake.notified().await;
        }
    }

    pub(crate) fn profile(&self) -> Option<Arc<Profile>> {
        lock(&self.profile).clone()
    }

    pub(crate) fn set_profile(&self, profile: Arc<Profile>) {
        *lock(&self.profile) = Some(profile);
    }
}
