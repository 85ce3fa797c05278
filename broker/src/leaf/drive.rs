//! Drives a link: reads, lets the session work, and pings.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::session::{LeafSession, Step};
use crate::limits::{READ_BUFFER_BYTES_MAX, READ_BUFFER_BYTES_MIN, STALL_MAX};
use crate::monitor::CloseReason;
use crate::proto::encode::ProtocolError;
use crate::session::reader::Input;

/// A byte stream to another server, whatever it runs over.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// First PING of a link that is up.
const FIRST_PING: Duration = Duration::from_secs(1);

/// When a link ends or does something by itself.
pub(crate) struct Timers {
    /// The other side must have said who it is by then.
    pub(crate) greeting: Option<Instant>,
    /// What it hears if it has not.
    pub(crate) greeting_error: Greeting,
    next_ping: Option<Instant>,
    expiry: Option<Instant>,
    last_activity: Instant,
    ping_sent: Option<Instant>,
    pub(crate) revoked: Option<CancellationToken>,
}

/// What a link waits for before it is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Greeting {
    /// The leaf's CONNECT.
    Connect,
    /// The hub's second INFO.
    Info,
}

impl Timers {
    pub(crate) fn new(greeting: Greeting, within: Duration) -> Self {
        let now = Instant::now();
        Self {
            greeting: Some(now + within),
            greeting_error: greeting,
            next_ping: None,
            expiry: None,
            last_activity: now,
            ping_sent: None,
            revoked: None,
        }
    }

    /// The link is up.
    pub(crate) fn is_up(&mut self, ping_interval: Duration, expires_at: Option<SystemTime>) {
        let now = Instant::now();
        self.greeting = None;
        self.next_ping = Some(now + FIRST_PING.min(ping_interval));
        self.expiry = expires_at.map(|at| {
            let left = at.duration_since(SystemTime::now()).unwrap_or_default();
            // A hundred years are for ever; more could overflow the clock.
            now + left.min(Duration::from_secs(100 * 365 * 24 * 3600))
        });
    }

    fn next(&self) -> Instant {
        let all = [self.next_ping, self.greeting, self.expiry];
        let far = || Instant::now() + Duration::from_secs(24 * 3600);
        all.into_iter().flatten().min().unwrap_or_else(far)
    }
}

/// What a link's two sides do differently: getting to know each other.
pub(crate) trait Handshake: Send {
    /// Takes a step that the session cannot take by itself, CONNECT or INFO.
    fn take(
        &mut self,
        session: &mut LeafSession,
        step: Step,
        timers: &mut Timers,
    ) -> impl Future<Output = Result<(), CloseReason>> + Send;
}

/// Serves one link until it is down. The caller has started its writer.
pub(crate) async fn run(
    session: &mut LeafSession,
    input: &mut impl Input,
    mut buffer: BytesMut,
    mut timers: Timers,
    handshake: &mut impl Handshake,
) -> CloseReason {
    let reason = serve(session, input, &mut buffer, &mut timers, handshake).await;
    session.flush();
    session.connection.close(reason);
    session.take_down();
    session.connection.close_reason().unwrap_or(reason)
}

async fn serve(
    session: &mut LeafSession,
    input: &mut impl Input,
    buffer: &mut BytesMut,
    timers: &mut Timers,
    handshake: &mut impl Handshake,
) -> CloseReason {
    let mut sleep = pin!(sleep_until(timers.next()));
    let mut size = READ_BUFFER_BYTES_MIN;
    let stop = session.server.stop.clone();
    loop {
        let step = session.process(buffer);
        session.flush();
        if let Some(receiver) = session.take_stalled() {
            let stalls = &session.connection.counters.stalls;
            stalls.fetch_add(1, Ordering::Relaxed);
            // Elapsing is normal: the receiver is given up on by its own limits, not by us.
            let _ = timeout(STALL_MAX, receiver.drained()).await;
        }
        let needed = match step {
            Step::More(needed) => needed.saturating_sub(buffer.len()),
            Step::Flush => {
                tokio::task::coop::consume_budget().await;
                continue;
            }
            Step::Close(reason) => return reason,
            step @ (Step::Connect(_) | Step::Info(_)) => {
                if let Err(reason) = handshake.take(session, step, timers).await {
                    return reason;
                }
                if session.link().is_some() {
                    input.trust();
                }
                sleep.as_mut().reset(timers.next());
                continue;
            }
        };
        let is_up = session.link().is_some();
        let capacity = if is_up {
            size.max(needed)
        } else {
            READ_BUFFER_BYTES_MIN
        };
        let revocation = async {
            match &timers.revoked {
                Some(token) => token.cancelled().await,
                None => std::future::pending().await,
            }
        };
        let connection = session.connection.clone();
        if connection.is_closed() {
            return connection
                .close_reason()
                .unwrap_or(CloseReason::ServerShutdown);
        }
        tokio::select! {
            biased;
            read = poll_fn(|context| input.poll_fill(context, buffer, capacity)) => match read {
                Ok(0) => return CloseReason::ClientClosed,
                Ok(len) => {
                    size = next_size(size, len);
                    timers.last_activity = Instant::now();
                    note_round_trip(session, timers);
                }
                Err(_) => return CloseReason::ReadError,
            },
            () = connection.reader_wake.notified() => {}
            () = stop.cancelled() => return CloseReason::ServerShutdown,
            () = revocation => {
                session.error(ProtocolError::AuthenticationRevoked);
                return CloseReason::CredentialsRevoked;
            }
            () = sleep.as_mut() => {
                if let Err(reason) = tick(session, timers) {
                    return reason;
                }
                sleep.as_mut().reset(timers.next());
            }
        }
    }
}

fn next_size(size: usize, len: usize) -> usize {
    if len >= size {
        (size * 4).min(READ_BUFFER_BYTES_MAX)
    } else if len < size / 8 {
        (size / 2).max(READ_BUFFER_BYTES_MIN)
    } else {
        size
    }
}

fn note_round_trip(session: &mut LeafSession, timers: &mut Timers) {
    if std::mem::take(&mut session.pong_seen)
        && let Some(sent) = timers.ping_sent.take()
    {
        let rtt = sent.elapsed().as_nanos().try_into().unwrap_or(u64::MAX);
        session.connection.rtt_ns.store(rtt, Ordering::Relaxed);
    }
}

fn tick(session: &mut LeafSession, timers: &mut Timers) -> Result<(), CloseReason> {
    let now = Instant::now();
    if timers.greeting.is_some_and(|at| at <= now) {
        match timers.greeting_error {
            Greeting::Connect => session.error(ProtocolError::AuthenticationTimeout),
            Greeting::Info => session.leaf_error(super::proto::encode::LeafError::Stale),
        }
        return Err(CloseReason::AuthenticationTimeout);
    }
    if timers.expiry.is_some_and(|at| at <= now) {
        session.error(ProtocolError::AuthenticationExpired);
        return Err(CloseReason::AuthenticationExpired);
    }
    if timers.next_ping.is_some_and(|at| at <= now) {
        let interval = session.server.config.ping_interval;
        let measures = session.connection.rtt_ns.load(Ordering::Relaxed) == 0;
        if measures || now.duration_since(timers.last_activity) >= interval {
            session.ping()?;
            timers.ping_sent = Some(now);
            session.forget();
        }
        timers.next_ping = Some(now + interval);
    }
    Ok(())
}
