//! The state of one session: turns operations into routing, answers and endings. No IO; the reader drives it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};

use super::connection::Connection;
use super::profile::Profile;
use crate::auth::Identity;
use crate::delivery::Outgoing;
use crate::interest::subscription::{Sink, Subscription};
use crate::limits::{PUBLISH_PAUSE_MAX, SHARE_FROM_BYTES, SHARE_WITH_ONE_FROM_BYTES};
use crate::monitor::CloseReason;
use crate::proto::encode::{self, ProtocolError};
use crate::proto::headers::strip_reserved;
use crate::proto::info::{ConnectOptions, Info};
use crate::proto::op::{Op, PublishOp};
use crate::proto::parse::{ParseError, ParseLimits, Progress, parse};
use crate::router::{Denied, Router};
use crate::server::Shared;
use crate::subject;
use crate::user_info::renewal;

/// What the reader does next.
pub(crate) enum Step {
    /// Read until the buffer holds this many bytes.
    More(usize),
    /// Hand over what is collected, then go on with the same buffer.
    Flush,
    /// Authenticate, then go on with the same buffer.
    Connect(Box<ConnectOptions>),
    /// Hand over what is collected and end.
    Close(CloseReason),
}

/// One connected client's session.
pub(crate) struct Session {
    pub(crate) server: Arc<Shared>,
    pub(crate) connection: Arc<Connection>,
    pub(crate) router: Router,
    /// `None` until it has authenticated.
    profile: Option<Arc<Profile>>,
    /// The client sent CONNECT, and so takes part in events.
    pub(crate) has_connected: bool,
    /// The second INFO is due with the next PONG.
    owes_info: bool,
    pub(crate) pings_out: u32,
    pub(crate) pong_seen: bool,
    limits: ParseLimits,
    /// When something was read last.
    pub(crate) read_at: Instant,
    /// It published or changed its subscriptions since the last flush.
    is_active: bool,
    /// See [`Session::take_pause`].
    pause: Duration,
    in_messages: u64,
    in_bytes: u64,
}

impl Session {
    pub(crate) fn new(server: Arc<Shared>, connection: Arc<Connection>) -> Self {
        let caps = server.limits();
        let limits = ParseLimits {
            control_line_bytes_max: caps.control_line_bytes_max,
            payload_bytes_max: caps.payload_bytes_max,
        };
        let router = Router::for_connection(connection.clone(), server.nowhere.clone());
        Self {
            server,
            connection,
            router,
            profile: None,
            has_connected: false,
            owes_info: false,
            pings_out: 0,
            pong_seen: false,
            limits,
            read_at: Instant::now(),
            is_active: false,
            pause: Duration::ZERO,
            in_messages: 0,
            in_bytes: 0,
        }
    }

    /// Time without traffic after which the client is pinged: the listener's own, or the server's.
    pub(crate) fn ping_interval(&self) -> Duration {
        let own = self.connection.listener.ping_interval;
        own.unwrap_or(self.server.config.ping_interval)
    }

    pub(crate) fn is_authenticated(&self) -> bool {
        self.profile.is_some()
    }

    /// Takes on an identity: the first one, or another one after a second CONNECT, which drops all subscriptions.
    pub(crate) fn bind(&mut self, identity: &Identity, options: &ConnectOptions) {
        for subscription in self.connection.take_subscriptions() {
            self.router.account().unsubscribe(&subscription);
        }
        if self.profile.is_some() {
            self.router.account().stats.leave();
            self.server.announce_connections(self.router.account());
        }
        let account = self.server.account(&identity.account);
        let profile = Profile::new(identity, &account.limits(), options, self.connection.id);
        self.connection.set_profile(profile.clone());
        self.limits.payload_bytes_max = self.payload_bytes_max(&profile);
        self.router.bind(account, profile.clone());
        self.router.account().stats.join();
        self.server.announce_connections(self.router.account());
        self.profile = Some(profile);
    }

    /// Goes on with another identity in the same account. What it may not subscribe any more ends, and the client is told.
    pub(crate) fn rebind(&mut self, identity: &Identity) {
        let Some(old) = self.profile.take() else {
            return;
        };
        let account = self.router.account().clone();
        let profile = old.renewed(identity, &account.limits());
        self.connection.set_profile(profile.clone());
        self.limits.payload_bytes_max = self.payload_bytes_max(&profile);
        self.router.bind(account.clone(), profile.clone());
        self.profile = Some(profile.clone());
        for subscription in self.connection.subscriptions() {
            let queue = subscription.queue.as_deref();
            if profile
                .permissions
                .can_subscribe(&subscription.filter, queue)
            {
                let renewed = subscription.with_profile(&self.connection, &profile);
                self.connection.remember_subscription(renewed.clone());
                account.renew(&subscription, &renewed);
            } else {
                self.connection.forget_subscription(&subscription.sid);
                account.unsubscribe(&subscription);
                self.error(ProtocolError::SubscriptionEnded {
                    subject: &subscription.filter,
                    sid: &subscription.sid,
                });
            }
        }
        if old.limits.payload_bytes_max != profile.limits.payload_bytes_max && profile.takes_info {
            let server = self.server.clone();
            let info = server.info(&self.connection);
            write_info(&info, self.router.own_output());
        }
        self.flush();
    }

    fn payload_bytes_max(&self, profile: &Profile) -> usize {
        let server = self.server.limits().payload_bytes_max;
        server.min(profile.limits.payload_bytes_max.unwrap_or(server))
    }

    /// Whether the account has room for this connection, which counts already.
    fn has_room(&self) -> bool {
        let account = self.router.account();
        let connections = account.stats.connections.load(Ordering::Relaxed);
        account
            .limits()
            .connections_max
            .is_none_or(|max| connections <= max)
    }

    /// Whether an identity is the same user's as the one the connection has.
    pub(crate) fn is_same_user(&self, identity: &Identity) -> bool {
        self.profile.as_ref().is_some_and(|profile| {
            profile.identity.user == identity.user && profile.identity.account == identity.account
        })
    }

    /// Says whether new credentials hold.
    pub(crate) fn answer_renewal(&self, reply: &[u8], error: Option<&'static str>) {
        if !reply.is_empty() {
            let account = self.router.account().clone();
            Router::new(account).publish(reply, b"", b"", &renewal(error).into());
        }
    }

    /// How long the client is not to be read, because its user publishes faster than it may.
    pub(crate) fn take_pause(&mut self) -> Duration {
        std::mem::take(&mut self.pause)
    }

    /// Checks what CONNECT asked for, once the client is known.
    pub(crate) fn accept(&mut self, options: &ConnectOptions) -> Result<(), CloseReason> {
        if !matches!(options.protocol, None | Some(0 | 1)) {
            self.error(ProtocolError::InvalidClientProtocol);
            return Err(CloseReason::BadClientProtocolVersion);
        }
        if options.no_responders == Some(true) && options.headers != Some(true) {
            self.error(ProtocolError::NoRespondersNeedsHeaders);
            return Err(CloseReason::NoRespondersRequiresHeaders);
        }
        if !self.has_room() {
            self.error(ProtocolError::AccountConnectionsExceeded);
            return Err(CloseReason::MaximumAccountConnectionsExceeded);
        }
        self.has_connected = true;
        self.owes_info = options.protocol == Some(1);
        self.ok();
        Ok(())
    }

    /// Works through what the buffer holds.
    pub(crate) fn process(&mut self, buffer: &mut BytesMut) -> Step {
        let mut at = 0;
        let step = loop {
            if self.router.is_full() {
                break Step::Flush;
            }
            let (op, len) = match parse(&buffer[at..], &self.limits) {
                Ok(Progress::Op(op, len)) => (op, len),
                Ok(Progress::More(needed)) => {
                    let needed = needed + at;
                    // A stranger's control line is waited for byte by byte; only a payload asks for more at once.
                    if self.profile.is_none() && needed > buffer.len() + 1 {
                        break self.unauthorized();
                    }
                    break Step::More(needed - at);
                }
                Err(error) => break self.refuse(error),
            };
            if let Op::Publish(publish) = &op
                && publish.body.len() >= SHARE_FROM_BYTES
                && (publish.body.len() >= SHARE_WITH_ONE_FROM_BYTES
                    || self.router.has_several_receivers(publish.subject))
            {
                buffer.advance(std::mem::take(&mut at));
                let whole = buffer.split_to(len).freeze();
                match self.publish_shared(&whole) {
                    Ok(()) => continue,
                    Err(step) => break step,
                }
            }
            at += len;
            if let Err(step) = self.perform(&op) {
                break step;
            }
        };
        buffer.advance(at);
        step
    }

    /// Hands over everything collected.
    pub(crate) fn flush(&mut self) {
        self.router.flush();
        if self.in_messages > 0 {
            let (messages, bytes) = (
                std::mem::take(&mut self.in_messages),
                std::mem::take(&mut self.in_bytes),
            );
            self.connection.own.count_in(messages, bytes);
            self.is_active = true;
            self.connection.counters.count_in(messages, bytes);
            if let Some(profile) = &self.profile
                && let Some(budget) = &profile.identity.publish_budget
            {
                let pause = budget.take(messages, bytes, Instant::now());
                self.pause = pause.min(PUBLISH_PAUSE_MAX);
            }
        }
        if std::mem::take(&mut self.is_active) {
            self.connection.touch(self.read_at);
        }
    }

    /// Queues a PING, or says that one too many is unanswered.
    pub(crate) fn ping(&mut self) -> Result<(), CloseReason> {
        if self.pings_out + 1 > self.server.config.ping_max {
            self.error(ProtocolError::StaleConnection);
            self.connection
                .counters
                .stale_connections
                .fetch_add(1, Ordering::Relaxed);
            return Err(CloseReason::StaleConnection);
        }
        self.pings_out += 1;
        self.router.own_output().extend_from_slice(b"PING\r\n");
        self.flush();
        Ok(())
    }

    /// Queues an `-ERR`.
    pub(crate) fn error(&mut self, error: ProtocolError<'_>) {
        encode::error(&error, self.router.own_output());
    }

    fn ok(&mut self) {
        if self.profile.as_ref().is_none_or(|profile| profile.verbose) {
            self.router.own_output().extend_from_slice(b"+OK\r\n");
        }
    }

    fn refuse(&mut self, error: ParseError) -> Step {
        let (text, reason) = match error {
            ParseError::Arguments => return Step::Close(CloseReason::ParseError),
            ParseError::UnknownOperation => (
                ProtocolError::UnknownOperation,
                CloseReason::ProtocolViolation,
            ),
            ParseError::PayloadTooLarge => (
                ProtocolError::PayloadViolation,
                CloseReason::MaximumPayloadExceeded,
            ),
            ParseError::ControlLineTooLong => (
                ProtocolError::ControlLineExceeded,
                CloseReason::MaximumControlLineExceeded,
            ),
        };
        if self.is_authenticated() || !matches!(error, ParseError::PayloadTooLarge) {
            self.error(text);
            return Step::Close(reason);
        }
        self.unauthorized()
    }

    fn unauthorized(&mut self) -> Step {
        self.error(ProtocolError::AuthorizationViolation);
        Step::Close(CloseReason::AuthenticationFailure)
    }

    #[inline]
    fn perform(&mut self, op: &Op<'_>) -> Result<(), Step> {
        if let Op::Connect(json) = op {
            return Err(Self::connect(json));
        }
        if self.profile.is_none() {
            return Err(self.unauthorized());
        }
        match op {
            Op::Publish(publish) => return self.publish(publish, None),
            Op::Ping => self.pong(),
            Op::Pong => {
                self.pings_out = 0;
                self.pong_seen = true;
            }
            Op::Subscribe {
                subject,
                queue,
                sid,
            } => self.subscribe(subject, *queue, sid),
            Op::Unsubscribe { sid, max } => self.unsubscribe(sid, *max),
            Op::PeerError => return Err(Step::Close(CloseReason::ClientClosed)),
            Op::Ignored | Op::Connect(_) => {}
        }
        Ok(())
    }

    fn connect(json: &[u8]) -> Step {
        match serde_json::from_slice::<ConnectOptions>(json) {
            Ok(options) => Step::Connect(Box::new(options)),
            Err(_) => Step::Close(CloseReason::ParseError),
        }
    }

    fn publish_shared(&mut self, whole: &Bytes) -> Result<(), Step> {
        let Ok(Progress::Op(Op::Publish(publish), _)) = parse(whole, &self.limits) else {
            // The same bytes were a publish a moment ago.
            return Err(Step::Close(CloseReason::ParseError));
        };
        if self.profile.is_none() {
            return Err(self.unauthorized());
        }
        let body = whole.slice(whole.len() - publish.body.len() - 2..);
        self.publish(&publish, Some(&body))
    }

    #[inline]
    fn publish(&mut self, op: &PublishOp<'_>, shared: Option<&Bytes>) -> Result<(), Step> {
        let Some(profile) = &self.profile else {
            return Err(self.unauthorized());
        };
        self.in_messages += 1;
        self.in_bytes += op.body.len() as u64;
        if op.with_headers && !profile.headers {
            return Err(Step::Close(CloseReason::MessageHeaderViolation));
        }
        let is_verbose = profile.verbose;
        if profile.pedantic && !subject::is_literal(op.subject) {
            self.error(ProtocolError::InvalidPublishSubject);
        }
        let admitted = self.router.admit(op.subject, op.reply);
        let mapped = self.router.take_mapped();
        let subject = mapped.as_deref().unwrap_or(op.subject);
        let route = match admitted {
            Ok(route) => route,
            Err(denied) => {
                self.error(match denied {
                    Denied::Subject => ProtocolError::PublishViolation(subject),
                    Denied::Reply => ProtocolError::ReplyViolation(op.reply),
                });
                return Ok(());
            }
        };
        if is_verbose {
            self.ok();
        }
        let mut message = Outgoing {
            subject,
            shown: None,
            reply: op.reply,
            header_len: op.header_len,
            body: op.body,
            verbatim: op.verbatim,
            shared,
            is_captured: true,
        };
        let stripped = match op.header_len {
            0 => None,
            len => strip_reserved(&op.body[..len])
                .map(|block| (block.len(), [&block, &op.body[len..]].concat())),
        };
        if let Some((header_len, body)) = &stripped {
            message.header_len = *header_len;
            message.body = body;
            message.verbatim = &[];
            message.shared = None;
        }
        if !self.router.deliver(route, &message) && !op.reply.is_empty() {
            self.router.report_no_responders(subject, op.reply);
        }
        Ok(())
    }

    fn pong(&mut self) {
        self.router.own_output().extend_from_slice(b"PONG\r\n");
        if std::mem::take(&mut self.owes_info) {
            let account = self.router.account().clone();
            let mut info = self.server.info(&self.connection);
            info.connect_info = true;
            info.remote_account = Some(&account.name);
            info.acc_is_sys = self.server.is_system(&account);
            write_info(&info, self.router.own_output());
        }
    }

    fn subscribe(&mut self, subject: &[u8], queue: Option<&[u8]>, sid: &[u8]) {
        self.is_active = true;
        let Some(profile) = self.profile.clone() else {
            return;
        };
        let limits = self.server.limits();
        let own_max = profile.limits.subscriptions_max.unwrap_or(usize::MAX);
        let tokens = 1 + memchr::memchr_iter(b'.', subject).count();
        let refusal = if !profile.permissions.can_subscribe(subject, queue) {
            Some(ProtocolError::SubscribeViolation { subject, queue })
        } else if tokens > limits.subscription_tokens_max {
            Some(ProtocolError::TooManyTokens(subject))
        } else if self.connection.subscriptions_len() >= limits.subscriptions_max.min(own_max) {
            Some(ProtocolError::SubscriptionsExceeded)
        } else if !subject::is_filter(subject) && self.connection.subscription(sid).is_none() {
            // With a live sid nothing is subscribed, so nobody looks at the subject.
            Some(ProtocolError::InvalidSubject)
        } else {
            None
        };
        if let Some(error) = refusal {
            return self.error(error);
        }
        if self.connection.subscription(sid).is_none() {
            let sink = Sink::Connection(self.connection.clone(), profile);
            let subscription = Subscription::new(subject, queue, sid, sink);
            self.connection.remember_subscription(subscription.clone());
            self.router.account().subscribe(subscription);
        }
        self.ok();
    }

    fn unsubscribe(&mut self, sid: &[u8], max: Option<u64>) {
        self.is_active = true;
        if let Some(subscription) = self.connection.subscription(sid)
            && max.is_none_or(|max| subscription.limit(max))
        {
            self.connection.forget_subscription(sid);
            self.router.account().unsubscribe(&subscription);
        }
        self.ok();
    }
}

/// Appends an INFO line.
pub(crate) fn write_info(info: &Info<'_>, out: &mut Vec<u8>) {
    let json = serde_json::to_string(info).expect("INFO is plain data");
    encode::info(&json, out);
}
