//! The state of one link: turns what the other side sends into routing, interest and endings. No IO; `drive` drives it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};

use super::interest::{LOOP_PREFIX, key_of};
use super::link::{Link, LinkParts};
use super::proto::encode::{self, LeafError};
use super::proto::info::{LeafConnect, LeafInfo};
use super::proto::op::{LeafMessage, LeafOp};
use super::proto::parse::{LeafProgress, parse};
use super::proto::reply;
use super::rules::Verdict;
use crate::delivery::Outgoing;
use crate::interest::subscription::{Sink, Subscription};
use crate::limits::{LEAF_CONTROL_LINE_FACTOR, SHARE_FROM_BYTES, UNAUTHENTICATED_BYTES_MAX};
use crate::monitor::CloseReason;
use crate::proto::encode::ProtocolError;
use crate::proto::parse::{ParseError, ParseLimits};
use crate::router::Router;
use crate::server::Shared;
use crate::session::connection::Connection;
use crate::session::profile::Profile;
use crate::subject;

/// Pause before the next attempt after something that only a change of configuration ends.
pub(crate) const LONG_PAUSE: Duration = Duration::from_secs(30);
/// Pause before the next attempt at a server of another version.
const VERSION_PAUSE: Duration = Duration::from_secs(5);

/// Subjects of loop detection that wait at most.
const LOOPS_MAX: usize = 1024;

/// What the driver does next.
pub(crate) enum Step {
    /// Read until the buffer holds this many bytes.
    More(usize),
    /// Hand over what is collected, then go on with the same buffer.
    Flush,
    /// The other side says who it is; then go on with the same buffer.
    Connect(Box<LeafConnect>),
    /// The other side says what it is; then go on with the same buffer.
    Info(Box<LeafInfo>),
    /// Hand over what is collected and end.
    Close(CloseReason),
}

/// One link, from the first byte to the last.
pub(crate) struct LeafSession {
    pub(crate) server: Arc<Shared>,
    pub(crate) connection: Arc<Connection>,
    router: Router,
    /// `None` until both sides know each other.
    link: Option<Arc<Link>>,
    /// The other side was dialled: it need not say who it is.
    is_solicited: bool,
    limits: ParseLimits,
    pub(crate) pings_out: u32,
    pub(crate) pong_seen: bool,
    /// Subjects of loop detection that are passed on once everything read has been looked at: the own one may be behind them,
    /// and then only this link is to go and not those that they would be passed on over.
    loops: Vec<Box<[u8]>>,
    /// How long to stay away after this link, where that is longer than usual.
    pub(crate) pause: Option<Duration>,
    in_messages: u64,
    in_bytes: u64,
}

impl LeafSession {
    /// The session of a leaf that comes in.
    pub(crate) fn accepted(server: Arc<Shared>, connection: Arc<Connection>) -> Self {
        let mut session = Self::solicited(server, connection);
        session.is_solicited = false;
        let full = session.limits.control_line_bytes_max;
        session.limits.control_line_bytes_max = full.min(UNAUTHENTICATED_BYTES_MAX);
        session
    }

    /// The session of a server that was dialled.
    pub(crate) fn solicited(server: Arc<Shared>, connection: Arc<Connection>) -> Self {
        let limits = ParseLimits {
            control_line_bytes_max: control_line_bytes_max(&server),
            payload_bytes_max: server.config.limits.payload_bytes_max,
        };
        let router = Router::for_connection(connection.clone(), server.nowhere.clone());
        Self {
            server,
            connection,
            router,
            link: None,
            is_solicited: true,
            limits,
            pings_out: 0,
            pong_seen: false,
            loops: Vec::new(),
            pause: None,
            in_messages: 0,
            in_bytes: 0,
        }
    }

    pub(crate) fn link(&self) -> Option<&Arc<Link>> {
        self.link.as_ref()
    }

    /// Both sides know each other: from now on messages and interest pass.
    pub(crate) fn bring_up(&mut self, parts: LinkParts, profile: Arc<Profile>) {
        let link = Link::new(parts);
        self.connection.set_profile(profile.clone());
        self.router.bind_link(link.clone(), profile);
        self.flush();
        self.link = Some(link.clone());
        self.limits.control_line_bytes_max = control_line_bytes_max(&self.server);
        link.account.attach(&link);
    }

    /// The link is down: what was wanted beyond it is wanted no more.
    pub(crate) fn take_down(&mut self) {
        if let Some(link) = self.link.take() {
            link.account.detach(&link);
        }
    }

    /// Works through what the buffer holds.
    pub(crate) fn process(&mut self, buffer: &mut BytesMut) -> Step {
        let mut at = 0;
        let step = loop {
            if self.router.is_full() {
                break Step::Flush;
            }
            let (op, len) = match parse(&buffer[at..], &self.limits) {
                Ok(LeafProgress::Op(op, len)) => (op, len),
                Ok(LeafProgress::More(needed)) => {
                    // A stranger's line is waited for byte by byte; only a payload asks for more at once.
                    if self.is_stranger() && needed + at > buffer.len() + 1 {
                        break self.unauthorized();
                    }
                    self.pass_on_loops();
                    break Step::More(needed);
                }
                Err(error) => break self.refuse(error),
            };
            if let LeafOp::Message(message) = &op
                && message.body.len() >= SHARE_FROM_BYTES
            {
                buffer.advance(std::mem::take(&mut at));
                let whole = buffer.split_to(len).freeze();
                match self.shared_message(&whole) {
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
            let messages = std::mem::take(&mut self.in_messages);
            let bytes = std::mem::take(&mut self.in_bytes);
            self.connection.own.count_in(messages, bytes);
            self.connection.counters.count_in(messages, bytes);
        }
    }

    /// Output for the other side.
    pub(crate) fn output(&mut self) -> &mut Vec<u8> {
        self.router.own_output()
    }

    /// A receiver that is nearly a slow consumer, taken out.
    pub(crate) fn take_stalled(&mut self) -> Option<Arc<Connection>> {
        self.router.take_stalled()
    }

    /// Gives back what an idle link does not need. Flush first.
    pub(crate) fn forget(&mut self) {
        self.router.forget();
        self.connection.release_buffers();
    }

    /// Queues a PING, or says that one too many is unanswered.
    pub(crate) fn ping(&mut self) -> Result<(), CloseReason> {
        if self.pings_out + 1 > self.server.config.ping_max {
            self.error(ProtocolError::StaleConnection);
            let counters = &self.connection.counters;
            counters.stale_connections.fetch_add(1, Ordering::Relaxed);
            return Err(CloseReason::StaleConnection);
        }
        self.pings_out += 1;
        self.output().extend_from_slice(b"PING\r\n");
        self.flush();
        Ok(())
    }

    /// Queues an `-ERR` that clients know too.
    pub(crate) fn error(&mut self, error: ProtocolError<'_>) {
        crate::proto::encode::error(&error, self.router.own_output());
    }

    /// Queues an `-ERR` of leaf nodes.
    pub(crate) fn leaf_error(&mut self, error: LeafError<'_>) {
        encode::error(&error, self.router.own_output());
    }

    fn is_stranger(&self) -> bool {
        self.link.is_none() && !self.is_solicited
    }

    fn unauthorized(&mut self) -> Step {
        self.error(ProtocolError::AuthorizationViolation);
        Step::Close(CloseReason::AuthenticationFailure)
    }

    fn refuse(&mut self, error: ParseError) -> Step {
        let (text, reason) = match error {
            _ if self.is_stranger() => return self.unauthorized(),
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
        self.error(text);
        Step::Close(reason)
    }

    fn perform(&mut self, op: &LeafOp<'_>) -> Result<(), Step> {
        match op {
            LeafOp::Message(message) => return self.message(message, None),
            LeafOp::Subscribe { subject, queue } => return self.subscribe(subject, *queue),
            LeafOp::Unsubscribe { subject, queue } => return self.unsubscribe(subject, *queue),
            LeafOp::Ping if !self.is_stranger() => {
                self.output().extend_from_slice(b"PONG\r\n");
            }
            LeafOp::Ping => return Err(self.unauthorized()),
            LeafOp::Pong => {
                self.pings_out = 0;
                self.pong_seen = true;
            }
            LeafOp::Info(json) => return Err(read_json(json, Step::Info)),
            LeafOp::Connect(json) => return Err(read_json(json, Step::Connect)),
            LeafOp::Error(text) => self.hear(text),
            LeafOp::Ignored => {}
        }
        Ok(())
    }

    /// The other side complains; it closes the link by itself where that is meant.
    fn hear(&mut self, text: &[u8]) {
        let text = String::from_utf8_lossy(text);
        tracing::warn!(link = self.connection.id, error = %text, "the other side of a leaf link complains");
        let lower = text.to_ascii_lowercase();
        let is_lasting = [
            "loop detected",
            "permissions violation",
            "same cluster name",
        ]
        .iter()
        .any(|lasting| lower.contains(lasting));
        if is_lasting {
            self.pause = Some(LONG_PAUSE);
        } else if lower.contains("minimum version") {
            self.pause = Some(VERSION_PAUSE);
        }
    }

    fn shared_message(&mut self, whole: &Bytes) -> Result<(), Step> {
        let Ok(LeafProgress::Op(LeafOp::Message(message), _)) = parse(whole, &self.limits) else {
            // The same bytes were a message a moment ago.
            return Err(Step::Close(CloseReason::ParseError));
        };
        let body = whole.slice(whole.len() - message.body.len() - 2..);
        self.message(&message, Some(&body))
    }

    fn message(&mut self, op: &LeafMessage<'_>, shared: Option<&Bytes>) -> Result<(), Step> {
        let Some(link) = self.link.clone() else {
            return Err(self.unauthorized());
        };
        self.in_messages += 1;
        self.in_bytes += op.body.len() as u64;
        // A reply subject of the broker's own may come from beyond: it was checked where it was published.
        let admitted = self.router.admit(op.subject, b"");
        let mapped = self.router.take_mapped();
        let subject = mapped.as_deref().unwrap_or(op.subject);
        let Ok(route) = admitted else {
            return match link.rules.takes(op.subject) {
                Verdict::Violation => {
                    self.error(ProtocolError::PublishViolation(op.subject));
                    self.pause = Some(LONG_PAUSE);
                    Err(Step::Close(CloseReason::ProtocolViolation))
                }
                _ => Ok(()),
            };
        };
        let (reply, shown) = reply::split(op.reply);
        let message = Outgoing {
            subject,
            shown,
            reply,
            header_len: op.header_len,
            body: op.body,
            verbatim: &[],
            shared,
            is_captured: true,
        };
        // Whoever asks is told by its own server that nobody answers.
        self.router.deliver_named(route, &message, op.queues);
        Ok(())
    }

    fn subscribe(&mut self, filter: &[u8], queue: Option<(&[u8], u32)>) -> Result<(), Step> {
        let Some(link) = self.link.clone() else {
            return Err(self.unauthorized());
        };
        if filter == link.account.links().loop_subject() {
            return Err(self.close_circle(&link));
        }
        if filter.starts_with(LOOP_PREFIX) && queue.is_none() && self.loops.len() < LOOPS_MAX {
            self.loops.push(filter.into());
            return Ok(());
        }
        self.want(&link, filter, queue)
    }

    /// Passes on what [`LeafSession::loops`] holds.
    fn pass_on_loops(&mut self) {
        let Some(link) = self.link.clone() else {
            return;
        };
        for filter in std::mem::take(&mut self.loops) {
            // These subjects cannot violate anything; one that is none is left out.
            let _ = self.want(&link, &filter, None);
        }
    }

    /// The other side wants a subject.
    fn want(
        &mut self,
        link: &Arc<Link>,
        filter: &[u8],
        queue: Option<(&[u8], u32)>,
    ) -> Result<(), Step> {
        let limits = &self.server.config.limits;
        let (group, weight) = (queue.map(|(group, _)| group), queue.map_or(1, |(_, w)| w));
        if !subject::is_filter(filter) {
            self.error(ProtocolError::InvalidSubject);
            return Err(Step::Close(CloseReason::ParseError));
        }
        // It lives on the stack of whoever looks it up.
        if 1 + memchr::memchr_iter(b'.', filter).count() > limits.subscription_tokens_max {
            self.error(ProtocolError::TooManyTokens(filter));
            return Ok(());
        }
        match link.rules.gives(filter, group) {
            Verdict::Taken => {}
            Verdict::Ignored => return Ok(()),
            Verdict::Violation => {
                self.error(ProtocolError::SubscribeViolation {
                    subject: filter,
                    queue: group,
                });
                self.pause = Some(LONG_PAUSE);
                return Err(Step::Close(CloseReason::ProtocolViolation));
            }
        }
        let key = key_of(filter, group);
        let old = link.interest(&key);
        let is_known =
            |old: &Arc<Subscription>| matches!(&old.sink, Sink::Leaf(_, known) if *known == weight);
        if old.as_ref().is_some_and(is_known) {
            return Ok(());
        }
        if old.is_none() && link.interests_len() >= limits.leaf_interests_max {
            self.error(ProtocolError::SubscriptionsExceeded);
            self.pause = Some(LONG_PAUSE);
            return Err(Step::Close(CloseReason::MaximumSubscriptionsExceeded));
        }
        let interest = Subscription::new(filter, group, b"", Sink::Leaf(link.clone(), weight));
        link.remember(&key, interest.clone());
        match old {
            Some(old) => link.account.replace(&old, interest),
            None => link.account.subscribe(interest),
        }
        Ok(())
    }

    fn unsubscribe(&mut self, filter: &[u8], queue: Option<&[u8]>) -> Result<(), Step> {
        let Some(link) = self.link.clone() else {
            return Err(self.unauthorized());
        };
        self.loops.retain(|waiting| &**waiting != filter);
        if let Some(interest) = link.forget(&key_of(filter, queue)) {
            link.account.unsubscribe(&interest);
        }
        Ok(())
    }

    /// The account's own subject came back to it.
    fn close_circle(&mut self, link: &Link) -> Step {
        let account = link.account.name.clone();
        tracing::error!(
            account,
            "leaf links form a circle; this one is closed for 30 s"
        );
        self.leaf_error(LeafError::Loop { account: &account });
        self.pause = Some(LONG_PAUSE);
        Step::Close(CloseReason::ProtocolViolation)
    }
}

/// Links carry lines with several queue groups.
fn control_line_bytes_max(server: &Shared) -> usize {
    server.config.limits.control_line_bytes_max * LEAF_CONTROL_LINE_FACTOR
}

fn read_json<T: serde::de::DeserializeOwned>(json: &[u8], step: fn(Box<T>) -> Step) -> Step {
    match serde_json::from_slice(json) {
        Ok(value) => step(Box::new(value)),
        Err(_) => Step::Close(CloseReason::ParseError),
    }
}
