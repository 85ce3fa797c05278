//! Drives a session: reads, lets the state work, waits for what comes next.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use bytes::BytesMut;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::connection::{Connection, Notice};
use super::profile::Said;
use super::state::{Session, Step};
use crate::auth::{AuthError, ConnectRequest, Identity};
use crate::limits::{READ_BUFFER_BYTES_MAX, READ_BUFFER_BYTES_MIN, STALL_MAX};
use crate::listen::listener::Cookies;
use crate::monitor::CloseReason;
use crate::proto::encode::ProtocolError;
use crate::proto::info::ConnectOptions;

/// First PING after CONNECT, as in nats-server.
const FIRST_PING: Duration = Duration::from_secs(2);
/// Small reads in a row after which the read buffer shrinks.
const SMALL_READS: u32 = 16;

/// Where a session's bytes come from.
pub(crate) trait Input: Send {
    /// Appends what is there to `buffer`, at most about `capacity` bytes; 0 at the end. Makes room only once there is
    /// something, so that a waiting connection needs no buffer.
    fn poll_fill(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut BytesMut,
        capacity: usize,
    ) -> Poll<io::Result<usize>>;

    /// Names the connection: its writer sends what the transport itself has to say.
    fn attach(&mut self, connection: &Arc<Connection>) {
        let _ = connection;
    }

    /// The client is known now: limits for strangers end.
    fn trust(&mut self) {}

    /// Gives back buffers: nothing has come for long.
    fn release(&mut self) {}
}

/// When a session does something by itself.
struct Timers {
    next_ping: Option<Instant>,
    /// Until then something has to come.
    first_byte: Option<Instant>,
    authentication: Option<Instant>,
    expiry: Option<Instant>,
    last_activity: Instant,
    ping_sent: Option<Instant>,
    /// A PING has measured the round trip.
    is_measured: bool,
}

impl Timers {
    fn next(&self) -> Instant {
        let all = [
            self.next_ping,
            self.first_byte,
            self.authentication,
            self.expiry,
        ];
        let far = || Instant::now() + Duration::from_secs(24 * 3600);
        all.into_iter().flatten().min().unwrap_or_else(far)
    }
}

enum Event {
    Read(io::Result<usize>),
    Tick,
    Closed,
    Notice,
    Revoked,
}

/// How much the next read asks for.
struct ReadSize {
    bytes: usize,
    small_reads: u32,
}

impl ReadSize {
    fn adapt(&mut self, len: usize) {
        if len >= self.bytes {
            self.bytes = (self.bytes * 4).min(READ_BUFFER_BYTES_MAX);
            self.small_reads = 0;
        } else if len < self.bytes / 4 && self.bytes > READ_BUFFER_BYTES_MIN {
            self.small_reads += 1;
            if self.small_reads >= SMALL_READS {
                self.bytes = (self.bytes / 4).max(READ_BUFFER_BYTES_MIN);
                self.small_reads = 0;
            }
        } else {
            self.small_reads = 0;
        }
    }
}

/// Serves one client until it is gone; everything the session holds is given back then. `received` is what was read of it
/// already.
pub(crate) async fn run<I: Input>(mut session: Session, mut input: I, received: BytesMut) {
    let reason = serve(&mut session, &mut input, received).await;
    session.flush();
    session.connection.close(reason);
    session.server.session_ended(&session);
}

async fn serve<I: Input>(session: &mut Session, input: &mut I, received: BytesMut) -> CloseReason {
    let config = &session.server.clone().config;
    let now = Instant::now();
    let mut timers = Timers {
        next_ping: None,
        first_byte: received.is_empty().then(|| now + config.first_byte_timeout),
        authentication: None,
        expiry: None,
        last_activity: now,
        ping_sent: None,
        is_measured: false,
    };
    let mut revoked: Option<CancellationToken> = None;
    if let Some(identity) = session.server.authenticator.anonymous() {
        session.bind(&identity, &ConnectOptions::default());
        timers.next_ping = Some(now + session.ping_interval());
        input.trust();
    } else {
        timers.authentication = Some(now + auth_timeout(session));
    }
    let mut sleep = pin!(sleep_until(timers.next()));
    let mut buffer = received;
    let mut size = ReadSize {
        bytes: READ_BUFFER_BYTES_MIN,
        small_reads: 0,
    };
    loop {
        let step = session.process(&mut buffer);
        session.flush();
        if let Some(receiver) = session.router.take_stalled() {
            session
                .connection
                .counters
                .stalls
                .fetch_add(1, Ordering::Relaxed);
            // Elapsing is normal: the receiver is given up on by its own limits, not by us.
            let _ = timeout(STALL_MAX, receiver.drained()).await;
        }
        let pause = session.take_pause();
        if !pause.is_zero() {
            // Elapsing is normal: then the client is read again.
            let _ = timeout(pause, session.connection.closed()).await;
        }
        let needed = match step {
            Step::More(needed) => needed - buffer.len(),
            Step::Flush => {
                tokio::task::coop::consume_budget().await;
                continue;
            }
            Step::Close(reason) => return reason,
            Step::Connect(options) => {
                match Box::pin(authenticate(session, &options, timers.authentication)).await {
                    Ok(identity) => {
                        timers.authentication = None;
                        timers.expiry = identity.expires_at.map(instant);
                        timers.next_ping =
                            Some(Instant::now() + first_ping().min(session.ping_interval()));
                        revoked = identity.revoked;
                        sleep.as_mut().reset(timers.next());
                        input.trust();
                    }
                    Err(reason) => return reason,
                }
                continue;
            }
        };
        let capacity = if session.is_authenticated() {
            size.bytes.max(needed)
        } else {
            READ_BUFFER_BYTES_MIN
        };
        match wait(
            session,
            input,
            &mut buffer,
            capacity,
            &mut sleep,
            revoked.as_ref(),
        )
        .await
        {
            Event::Read(Ok(0)) => return CloseReason::ClientClosed,
            Event::Read(Ok(len)) => {
                size.adapt(len);
                timers.last_activity = Instant::now();
                session.read_at = timers.last_activity.into_std();
                timers.first_byte = None;
                if std::mem::take(&mut session.pong_seen)
                    && let Some(sent) = timers.ping_sent.take()
                {
                    let rtt = sent.elapsed().as_nanos().try_into().unwrap_or(u64::MAX);
                    session.connection.rtt_ns.store(rtt, Ordering::Relaxed);
                    timers.is_measured = true;
                }
            }
            Event::Read(Err(_)) => return CloseReason::ReadError,
            Event::Closed => {
                return session
                    .connection
                    .close_reason()
                    .unwrap_or(CloseReason::ServerShutdown);
            }
            Event::Notice => {
                for notice in session.connection.take_notices() {
                    match Box::pin(heed(session, notice)).await {
                        Ok(Some(identity)) => {
                            timers.expiry = identity.expires_at.map(instant);
                            revoked = identity.revoked;
                            sleep.as_mut().reset(timers.next());
                        }
                        Ok(None) => {}
                        Err(reason) => return reason,
                    }
                }
            }
            Event::Revoked => {
                session.error(ProtocolError::AuthenticationRevoked);
                return CloseReason::CredentialsRevoked;
            }
            Event::Tick => {
                if let Err(reason) = tick(session, input, &mut timers, &mut buffer, &mut size) {
                    return reason;
                }
                sleep.as_mut().reset(timers.next());
            }
        }
    }
}

/// Waits for bytes first: under load nothing else is even looked at.
async fn wait<I: Input>(
    session: &Session,
    input: &mut I,
    buffer: &mut BytesMut,
    capacity: usize,
    sleep: &mut std::pin::Pin<&mut tokio::time::Sleep>,
    revoked: Option<&CancellationToken>,
) -> Event {
    if buffer.is_empty() && buffer.capacity() <= READ_BUFFER_BYTES_MIN {
        *buffer = BytesMut::new();
    }
    let connection = &session.connection;
    let told = || match connection.is_closed() {
        true => Event::Closed,
        false => Event::Notice,
    };
    if connection.is_closed() || connection.has_notice() {
        return told();
    }
    let read = poll_fn(|context| input.poll_fill(context, buffer, capacity));
    let revocation = async {
        match revoked {
            Some(token) => token.cancelled().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        read = read => Event::Read(read),
        () = connection.reader_wake.notified() => told(),
        () = revocation => Event::Revoked,
        () = sleep.as_mut() => Event::Tick,
    }
}

fn tick<I: Input>(
    session: &mut Session,
    input: &mut I,
    timers: &mut Timers,
    buffer: &mut BytesMut,
    size: &mut ReadSize,
) -> Result<(), CloseReason> {
    let now = Instant::now();
    let due = [timers.authentication, timers.first_byte];
    if due.into_iter().flatten().any(|at| at <= now) {
        session.error(ProtocolError::AuthenticationTimeout);
        return Err(CloseReason::AuthenticationTimeout);
    }
    if timers.expiry.is_some_and(|at| at <= now) {
        session.error(ProtocolError::AuthenticationExpired);
        return Err(CloseReason::AuthenticationExpired);
    }
    if timers.next_ping.is_some_and(|at| at <= now) {
        let interval = session.ping_interval();
        let is_idle = now.duration_since(timers.last_activity) >= interval;
        // The first one goes out even to a busy client: it measures the round trip.
        let measures = session.has_connected && !timers.is_measured;
        if measures || is_idle {
            session.ping()?;
            timers.ping_sent = Some(now);
            session.router.forget();
            session.connection.release_buffers();
            input.release();
            *size = ReadSize {
                bytes: READ_BUFFER_BYTES_MIN,
                small_reads: 0,
            };
            if buffer.is_empty() {
                *buffer = BytesMut::new();
            }
        }
        timers.next_ping = Some(now + interval);
    }
    Ok(())
}

/// First PING after two seconds and up to a fifth more, so that many clients do not answer at once.
fn first_ping() -> Duration {
    FIRST_PING + FIRST_PING.mul_f64(rand::random::<f64>() / 5.0)
}

/// Time for CONNECT: the listener's own, or the server's.
fn auth_timeout(session: &Session) -> Duration {
    let listener = &session.connection.listener;
    let own = listener.authorization.as_ref().and_then(|own| own.timeout);
    own.unwrap_or(session.server.config.auth_timeout)
}

fn instant(time: SystemTime) -> Instant {
    let left = time.duration_since(SystemTime::now()).unwrap_or_default();
    // A hundred years are for ever; more could overflow the clock.
    Instant::now() + left.min(Duration::from_secs(100 * 365 * 24 * 3600))
}

/// Does what the session is told from outside. Returns the identity that it goes on with, if that is another one.
async fn heed(session: &mut Session, notice: Notice) -> Result<Option<Identity>, CloseReason> {
    match notice {
        Notice::Identity(identity) => {
            session.rebind(&identity);
            Ok(Some(*identity))
        }
        Notice::Refused => {
            session.error(ProtocolError::AuthorizationViolation);
            Err(CloseReason::AuthenticationFailure)
        }
        Notice::Revoked => {
            session.error(ProtocolError::AuthenticationRevoked);
            Err(CloseReason::CredentialsRevoked)
        }
        Notice::Credentials(options, reply) => {
            let deadline = Instant::now() + session.server.config.auth_timeout;
            let answer = ask(session, &options, deadline).await?;
            let renewed = match answer {
                Ok(Ok(identity)) if session.is_same_user(&identity) => {
                    session.rebind(&identity);
                    Ok(identity)
                }
                Ok(Ok(_)) => Err("the credentials are another user's"),
                Ok(Err(_)) => Err("the credentials do not hold"),
                Err(_elapsed) => Err("the credentials could not be checked in time"),
            };
            session.answer_renewal(&reply, renewed.as_ref().err().copied());
            Ok(renewed.ok())
        }
    }
}

/// Asks the authenticator; nothing is read meanwhile, so what is pipelined behind CONNECT waits.
async fn authenticate(
    session: &mut Session,
    options: &ConnectOptions,
    deadline: Option<Instant>,
) -> Result<Identity, CloseReason> {
    let server = session.server.clone();
    let patience = server.authenticator.patience();
    let deadline = match (patience, deadline) {
        (Some(patience), _) => Instant::now() + patience,
        (None, Some(deadline)) => deadline,
        (None, None) => Instant::now() + auth_timeout(session),
    };
    session.connection.set_said(Said::new(options));
    let connection = &session.connection;
    if connection.rtt_ns.load(Ordering::Relaxed) == 0 {
        // Until a PING has measured it: the answer to INFO came after so long.
        let age = u64::try_from(connection.age().as_nanos()).unwrap_or(u64::MAX);
        connection.rtt_ns.store(age, Ordering::Relaxed);
    }
    let answer = ask(session, options, deadline).await?;
    let names_account = options
        .account
        .as_ref()
        .is_some_and(|name| !name.is_empty());
    let wants_other_account = names_account || options.new_account == Some(true);
    match answer {
        Ok(Ok(identity)) if !wants_other_account => {
            session.bind(&identity, options);
            let accepted = session.accept(options);
            session.flush();
            accepted?;
            server.session_connected(session);
            Ok(identity)
        }
        Ok(refused) => {
            let error = refused
                .err()
                .unwrap_or_else(|| AuthError::new("another account is asked for"));
            Err(refuse(session, &error))
        }
        Err(_elapsed) if patience.is_some() => {
            Err(refuse(session, &AuthError::new("no decision in time")))
        }
        Err(_elapsed) => {
            session.error(ProtocolError::AuthenticationTimeout);
            Err(CloseReason::AuthenticationTimeout)
        }
    }
}

/// Says no, and tells those who watch.
fn refuse(session: &mut Session, error: &AuthError) -> CloseReason {
    let connection = &session.connection;
    tracing::debug!(
        client_id = connection.id,
        reason = &*error.reason,
        "connect refused"
    );
    session.server.session_refused(connection, error);
    session.error(if session.server.config.auth_error_reasons {
        ProtocolError::AuthorizationViolationBecause(&error.reason)
    } else {
        ProtocolError::AuthorizationViolation
    });
    CloseReason::AuthenticationFailure
}

/// What the authenticator says. `Err`: the connection was closed meanwhile.
async fn ask(
    session: &Session,
    options: &ConnectOptions,
    deadline: Instant,
) -> Result<Result<Result<Identity, AuthError>, Elapsed>, CloseReason> {
    let server = &session.server;
    let connection = &session.connection;
    let text = |field: &Option<String>| field.clone().filter(|text| !text.is_empty());
    let cookies = connection.cookies();
    // What the client says wins over cookies.
    let or_cookie = |field: &Option<String>, cookie: fn(&Cookies) -> &Option<String>| {
        text(field).or_else(|| cookies.and_then(|cookies| cookie(cookies).clone()))
    };
    let request = ConnectRequest {
        auth_token: or_cookie(&options.auth_token, |cookies| &cookies.token),
        user: or_cookie(&options.user, |cookies| &cookies.user),
        pass: or_cookie(&options.pass, |cookies| &cookies.pass),
        jwt: or_cookie(&options.jwt, |cookies| &cookies.jwt),
        nkey: text(&options.nkey),
        sig: text(&options.sig),
        nonce: server.nonce(connection),
        name: text(&options.name),
        lang: text(&options.lang),
        version: text(&options.version),
        protocol: options.protocol.unwrap_or(0),
        proxy: connection.proxy(),
        tls: connection.tls().cloned(),
        no_auth_user: connection.listener.no_auth_user.clone(),
        authorization: connection.listener.authorization.clone(),
        ..ConnectRequest::new(connection.id, connection.peer(), connection.kind)
    };
    tokio::select! {
        answer = timeout_at(deadline, server.authenticator.authenticate(request)) => Ok(answer),
        () = connection.closed() => {
            Err(connection.close_reason().unwrap_or(CloseReason::ServerShutdown))
        }
    }
}
