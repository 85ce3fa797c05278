//! One message going to its targets: the innermost loop of the broker.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use crate::account::Account;
use crate::interest::cache::Target;
use crate::interest::subscription::{Admission, Sink};
use crate::jetstream::api::{Api, Request, Requests};
use crate::jetstream::capture::{Capture, CapturedBatch};
use crate::jetstream::consumer::{Consumer, Door, Mail};
use crate::leaf::proto::reply;
use crate::leaf::route::Hop;
use crate::limits::{CAPTURED_BYTES_MAX, SCRATCH_BYTES_MAX, SYSTEM_REQUEST_BYTES_MAX};
use crate::message::Message;
use crate::proto::encode::Delivery;
use crate::proto::headers::Headers;
use crate::session::connection::Connection;
use crate::session::outbound::OutQueue;
use crate::session::profile::Profile;
use crate::subject::Subject;
use crate::system;

/// A message on its way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outgoing<'a> {
    pub(crate) subject: &'a [u8],
    /// The subject that receivers see, where it is not the one they are matched by.
    pub(crate) shown: Option<&'a [u8]>,
    /// Empty where there is none.
    pub(crate) reply: &'a [u8],
    pub(crate) header_len: usize,
    /// Header block and payload.
    pub(crate) body: &'a [u8],
    /// See [`crate::proto::op::PublishOp::verbatim`].
    pub(crate) verbatim: &'a [u8],
    /// `body` and a CR LF, where they may be shared instead of copied.
    pub(crate) shared: Option<&'a Bytes>,
    /// Streams take it; false for what a stream has stored already.
    pub(crate) is_captured: bool,
}

/// What a publisher has collected for one connection.
#[derive(Debug)]
pub(crate) struct Receiver {
    pub(crate) connection: Arc<Connection>,
    pub(crate) queue: OutQueue,
    pub(crate) is_dirty: bool,
    /// It has so much waiting that what comes out of streams had better wait too.
    pub(crate) is_busy: bool,
    /// How far the receiver was when the publisher last waited for it, and how often it has waited since it moved.
    pub(crate) stalled_at: u64,
    pub(crate) stalls: u32,
}

impl Receiver {
    pub(crate) fn new(connection: Arc<Connection>) -> Self {
        Self {
            connection,
            queue: OutQueue::default(),
            is_dirty: false,
            is_busy: false,
            stalled_at: 0,
            stalls: 0,
        }
    }
}

/// A message and the publisher's state that its delivery touches.
pub(crate) struct InFlight<'a> {
    pub(crate) account: &'a Account,
    /// Who publishes; `None` in process.
    pub(crate) publisher: Option<&'a Arc<Profile>>,
    pub(crate) connection: Option<&'a Arc<Connection>>,
    pub(crate) receivers: &'a mut Vec<Receiver>,
    pub(crate) dirty: &'a mut Vec<usize>,
    pub(crate) captured: &'a mut Vec<(Arc<Capture>, CapturedBatch)>,
    pub(crate) requests: &'a mut Requests,
    pub(crate) mail: &'a mut Vec<(Arc<Consumer>, Vec<Mail>)>,
    pub(crate) is_full: &'a mut bool,
    pub(crate) message: &'a Outgoing<'a>,
    /// The in-process form, made for the first in-process receiver. `Err` if it cannot be made.
    pub(crate) local: Option<Result<Message, ()>>,
}

impl InFlight<'_> {
    /// Delivers to one target; false if it did not take the message.
    #[inline]
    pub(crate) fn to(&mut self, target: &Target) -> bool {
        let subscription = &target.subscription;
        let admission = subscription.admit();
        if admission == Admission::No {
            return false;
        }
        let is_taken = match &subscription.sink {
            Sink::Connection(connection, profile) => {
                !connection.is_closed() && self.queue_for(target, connection, profile)
            }
            sink if target.prefix.is_empty() => self.deliver_inside(sink),
            sink => self.deliver_inside_as(sink, &target.prefix),
        };
        if admission == Admission::Last {
            // Not always the account of the message: it may be imported.
            if let Some(account) = subscription.account() {
                account.unsubscribe(subscription);
            }
            if let Sink::Connection(connection, _) = &subscription.sink {
                connection.forget_subscription(&subscription.sid);
            }
        }
        is_taken
    }

    /// Delivers to what is no connection.
    fn deliver_inside(&mut self, sink: &Sink) -> bool {
        match sink {
            Sink::Local(queue) => match self.local_message() {
                Some(message) => queue.push(message.clone()),
                None => false,
            },
            Sink::Replies(replies) => match self.local_message() {
                Some(message) => replies.complete(message.clone()),
                None => false,
            },
            Sink::Stream(capture) => self.message.is_captured && self.capture(capture),
            Sink::Api(api) => self.call(api),
            Sink::System(door) => self.ask(door),
            Sink::Consumer(consumer, door) => self.send_mail(consumer, *door),
            Sink::UserInfo(info) => match (self.connection, self.publisher) {
                (Some(connection), Some(profile)) => {
                    info.take(connection, profile, self.message);
                    true
                }
                _ => false,
            },
            // Links are part of a route as a whole: each gets one copy for everybody beyond it. Of the others routes have
            // what stands behind them.
            Sink::Leaf(..)
            | Sink::Connection(..)
            | Sink::Shadow(_)
            | Sink::Service(_)
            | Sink::Responses(_) => false,
        }
    }

    /// Delivers an imported message under the subject that it has here.
    #[cold]
    fn deliver_inside_as(&mut self, sink: &Sink, subject: &[u8]) -> bool {
        let message = Outgoing {
            subject,
            verbatim: &[],
            ..*self.message
        };
        let mut delivery = InFlight {
            account: self.account,
            publisher: self.publisher,
            connection: self.connection,
            receivers: self.receivers,
            dirty: self.dirty,
            captured: self.captured,
            requests: self.requests,
            mail: self.mail,
            is_full: self.is_full,
            message: &message,
            local: None,
        };
        delivery.deliver_inside(sink)
    }

    #[inline]
    fn queue_for(&mut self, target: &Target, connection: &Connection, profile: &Profile) -> bool {
        let message = self.message;
        let receiver = &mut self.receivers[target.slot];
        if !receiver.is_dirty {
            receiver.is_dirty = true;
            self.dirty.push(target.slot);
        }
        let queue = &mut receiver.queue;
        let with_headers = message.header_len > 0 && target.with_headers;
        let prefix = &target.prefix[usize::from(!with_headers)..];
        let is_verbatim = with_headers || message.header_len == 0;
        if !message.verbatim.is_empty() && is_verbatim && message.shared.is_none() {
            let tail = queue.tail();
            tail.reserve(prefix.len() + message.verbatim.len());
            tail.extend_from_slice(prefix);
            tail.extend_from_slice(message.verbatim);
        } else {
            let skipped = if with_headers { 0 } else { message.header_len };
            let prefix = match message.shown {
                None => prefix,
                Some(shown) => {
                    shown_prefix(queue.tail(), with_headers, shown, &target.subscription.sid);
                    &[]
                }
            };
            let delivery = Delivery {
                prefix,
                reply: message.reply,
                header_len: if with_headers { message.header_len } else { 0 },
                total_len: message.body.len() - skipped,
            };
            delivery.write(queue.tail());
            match message.shared {
                Some(shared) => queue.push_shared(shared.slice(skipped..)),
                None => {
                    queue.tail().extend_from_slice(&message.body[skipped..]);
                    queue.tail().extend_from_slice(b"\r\n");
                }
            }
        }
        queue.messages += 1;
        queue.message_bytes += message.body.len() as u64;
        if queue.len() >= SCRATCH_BYTES_MAX {
            *self.is_full = true;
        }
        if target.notes_reply
            && !message.reply.is_empty()
            && let Some(responses) = &profile.permissions.responses
            && !profile.permissions.can_publish(message.reply)
        {
            connection.grant(message.reply, responses, Instant::now());
        }
        true
    }

    /// Queues one copy for a link: for the plain subscriptions beyond it, and for a member of each group that is named.
    pub(crate) fn over(&mut self, hop: &Hop, groups: &mut dyn Iterator<Item = &[u8]>) -> bool {
        let message = self.message;
        let link = &hop.link;
        if link.connection.is_closed() || message.body.len() > link.peer.payload_bytes_max {
            return false;
        }
        let receiver = &mut self.receivers[hop.slot];
        if !receiver.is_dirty {
            receiver.is_dirty = true;
            self.dirty.push(hop.slot);
        }
        let queue = &mut receiver.queue;
        write_hop(queue, hop, message, groups);
        queue.messages += 1;
        queue.message_bytes += message.body.len() as u64;
        if queue.len() >= SCRATCH_BYTES_MAX {
            *self.is_full = true;
        }
        true
    }

    fn capture(&mut self, capture: &Arc<Capture>) -> bool {
        let message = self.message;
        let mut known = self.captured.iter();
        let index = match known.position(|(other, _)| Arc::ptr_eq(other, capture)) {
            Some(index) => index,
            None => {
                self.captured
                    .push((capture.clone(), CapturedBatch::default()));
                self.captured.len() - 1
            }
        };
        let batch = &mut self.captured[index].1;
        batch.push(message);
        if batch.len_bytes() >= CAPTURED_BYTES_MAX {
            *self.is_full = true;
        }
        true
    }

    /// A request of the JetStream API; false where nobody is there to answer it.
    fn call(&mut self, api: &Arc<Api>) -> bool {
        let message = self.message;
        let Some(target) = api.target(message.subject) else {
            return false;
        };
        let request = Request {
            subject: Bytes::copy_from_slice(message.subject),
            reply: Bytes::copy_from_slice(message.reply),
            headers: self.owned(0, message.header_len),
            payload: self.owned(message.header_len, message.body.len()),
            connection: self.connection.cloned(),
        };
        self.requests.push((target, request));
        true
    }

    /// A question to the server; false where too many wait already.
    fn ask(&self, door: &system::Door) -> bool {
        let message = self.message;
        let payload_len = message.body.len() - message.header_len;
        payload_len <= SYSTEM_REQUEST_BYTES_MAX && {
            let payload = self.owned(message.header_len, message.body.len());
            door.take(message.subject, message.reply, payload)
        }
    }

    /// What a client says to a consumer. What means nothing is taken and forgotten.
    fn send_mail(&mut self, consumer: &Arc<Consumer>, door: Door) -> bool {
        let message = self.message;
        let (headers, payload) = message.body.split_at(message.header_len);
        let Some(mail) = Mail::read(door, message.subject, message.reply, headers, payload) else {
            return true;
        };
        let mut known = self.mail.iter_mut();
        match known.find(|(other, _)| Arc::ptr_eq(other, consumer)) {
            Some((_, batch)) => batch.push(mail),
            None => self.mail.push((consumer.clone(), vec![mail])),
        }
        true
    }

    fn local_message(&mut self) -> Option<&Message> {
        if self.local.is_none() {
            self.local = Some(self.make_local().ok_or(()));
        }
        self.local.as_ref().and_then(|made| made.as_ref().ok())
    }

    /// In-process code sees well-formed subjects only; a message that has none is not taken there.
    fn make_local(&self) -> Option<Message> {
        let message = self.message;
        let reply = match message.reply {
            [] => None,
            reply => Some(Subject::from_bytes(reply).ok()?),
        };
        Some(Message {
            subject: Subject::from_bytes(message.shown.unwrap_or(message.subject)).ok()?,
            reply,
            headers: Headers::parse(&message.body[..message.header_len]),
            payload: self.owned(message.header_len, message.body.len()),
            sender: self.publisher.map(|profile| profile.sender.clone()),
        })
    }

    /// A part of the body that outlives the read buffer. It is copied even where the body is shared: what is kept for long
    /// must not keep a whole read buffer alive.
    fn owned(&self, from: usize, to: usize) -> Bytes {
        Bytes::copy_from_slice(&self.message.body[from..to])
    }
}

/// Writes a message in the form of links.
fn write_hop(
    queue: &mut OutQueue,
    hop: &Hop,
    message: &Outgoing<'_>,
    groups: &mut dyn Iterator<Item = &[u8]>,
) {
    let with_headers = message.header_len > 0 && hop.link.peer.headers;
    let skipped = if with_headers { 0 } else { message.header_len };
    let shown = message.shown.filter(|shown| *shown != message.subject);
    let out = queue.tail();
    out.push(if with_headers { b'H' } else { b'L' });
    out.extend_from_slice(&hop.head[1..]);
    let first_group = groups.next();
    let is_plain = first_group.is_none() && shown.is_none() && skipped == 0;
    if is_plain && !message.verbatim.is_empty() && message.shared.is_none() {
        out.extend_from_slice(message.verbatim);
        return;
    }
    if first_group.is_some() {
        out.extend_from_slice(if message.reply.is_empty() {
            b"| "
        } else {
            b"+ "
        });
    }
    if !message.reply.is_empty() {
        out.extend_from_slice(message.reply);
        if let Some(shown) = shown.filter(|_| reply::takes_subject(message.reply)) {
            out.push(b'@');
            out.extend_from_slice(shown);
        }
        out.push(b' ');
    }
    for group in first_group.into_iter().chain(groups) {
        out.extend_from_slice(group);
        out.push(b' ');
    }
    let delivery = Delivery {
        prefix: b"",
        reply: b"",
        header_len: if with_headers { message.header_len } else { 0 },
        total_len: message.body.len() - skipped,
    };
    delivery.write(out);
    match message.shared {
        Some(shared) => queue.push_shared(shared.slice(skipped..)),
        None => {
            out.extend_from_slice(&message.body[skipped..]);
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// Writes the beginning of a delivery whose subject is not the one its receivers are matched by.
fn shown_prefix(out: &mut Vec<u8>, with_headers: bool, subject: &[u8], sid: &[u8]) {
    out.extend_from_slice(if with_headers { b"HMSG " } else { b"MSG " });
    out.extend_from_slice(subject);
    out.push(b' ');
    out.extend_from_slice(sid);
    out.push(b' ');
}
