//! What the server writes: messages, and the texts of `-ERR` in one place.

use std::fmt;

/// A delivery that is not a verbatim copy of what was published.
pub(crate) struct Delivery<'a> {
    /// `MSG <subject> <sid> ` or, with `with_headers`, the same behind an `H`.
    pub(crate) prefix: &'a [u8],
    pub(crate) reply: &'a [u8],
    /// Size of the header block, 0 for a plain MSG.
    pub(crate) header_len: usize,
    /// Size of header block and payload.
    pub(crate) total_len: usize,
}

impl Delivery<'_> {
    /// Appends the control line; the body and a CR LF follow it.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let mut number = itoa::Buffer::new();
        out.extend_from_slice(self.prefix);
        if !self.reply.is_empty() {
            out.extend_from_slice(self.reply);
            out.push(b' ');
        }
        if self.header_len > 0 {
            out.extend_from_slice(number.format(self.header_len).as_bytes());
            out.push(b' ');
        }
        out.extend_from_slice(number.format(self.total_len).as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

/// `HMSG <subject> <sid> `: without its first byte it is the prefix of a plain MSG.
pub(crate) fn delivery_prefix(subject: &[u8], sid: &[u8]) -> Box<[u8]> {
    [b"HMSG ", subject, b" ", sid, b" "].concat().into()
}

/// Appends the answer "nobody answers" to a request on `subject`, for the subscription that listens on its reply.
pub(crate) fn no_responders(subject: &[u8], reply: &[u8], sid: &[u8], out: &mut Vec<u8>) {
    let block = [b"NATS/1.0 503\r\nNats-Subject: ", subject, b"\r\n\r\n"].concat();
    let delivery = Delivery {
        prefix: &delivery_prefix(reply, sid),
        reply: &[],
        header_len: block.len(),
        total_len: block.len(),
    };
    delivery.write(out);
    out.extend_from_slice(&block);
    out.extend_from_slice(b"\r\n");
}

/// Appends `INFO <json> ` and its line end.
pub(crate) fn info(json: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"INFO ");
    out.extend_from_slice(json.as_bytes());
    out.extend_from_slice(b" \r\n");
}

/// Appends `-ERR '<text>'` and its line end.
pub(crate) fn error(error: &ProtocolError<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("-ERR '{error}'\r\n").as_bytes());
}

/// What a client is told, in nats-server's words: stock clients parse several of them.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ProtocolError<'a> {
    UnknownOperation,
    AuthorizationViolation,
    AuthenticationTimeout,
    AuthenticationExpired,
    AuthenticationRevoked,
    StaleConnection,
    ConnectionsExceeded,
    Throttled,
    PayloadViolation,
    ControlLineExceeded,
    InvalidClientProtocol,
    NoRespondersNeedsHeaders,
    SubscriptionsExceeded,
    InvalidSubject,
    InvalidPublishSubject,
    PublishViolation(&'a [u8]),
    ReplyViolation(&'a [u8]),
    SubscribeViolation {
        subject: &'a [u8],
        queue: Option<&'a [u8]>,
    },
    /// What was allowed when it was subscribed is not allowed any more.
    SubscriptionEnded {
        subject: &'a [u8],
        sid: &'a [u8],
    },
    TooManyTokens(&'a [u8]),
    AccountConnectionsExceeded,
    /// The reason behind the standard text.
    AuthorizationViolationBecause(&'a str),
}

impl fmt::Display for ProtocolError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |raw: &[u8]| String::from_utf8_lossy(raw).into_owned();
        f.write_str(match self {
            Self::UnknownOperation => "Unknown Protocol Operation",
            Self::AuthorizationViolation => "Authorization Violation",
            Self::AuthenticationTimeout => "Authentication Timeout",
            Self::AuthenticationExpired => "User Authentication Expired",
            Self::AuthenticationRevoked => "User Authentication Revoked",
            Self::AccountConnectionsExceeded => "maximum account active connections exceeded",
            Self::AuthorizationViolationBecause(reason) => {
                return write!(f, "Authorization Violation: {}", reason.replace('\'', " "));
            }
            Self::StaleConnection => "Stale Connection",
            Self::ConnectionsExceeded => "maximum connections exceeded",
            Self::Throttled => "Connection throttling is active. Please try again later.",
            Self::PayloadViolation => "Maximum Payload Violation",
            Self::ControlLineExceeded => "maximum control line exceeded",
            Self::InvalidClientProtocol => "invalid client protocol",
            Self::NoRespondersNeedsHeaders => "no responders requires headers support",
            Self::SubscriptionsExceeded => "maximum subscriptions exceeded",
            Self::InvalidSubject => "Invalid Subject",
            Self::InvalidPublishSubject => "Invalid Publish Subject",
            Self::PublishViolation(subject) => {
                return write!(
                    f,
                    "Permissions Violation for Publish to \"{}\"",
                    text(subject)
                );
            }
            Self::ReplyViolation(reply) => {
                return write!(
                    f,
                    "Permissions Violation for Publish with Reply of \"{}\"",
                    text(reply)
                );
            }
            Self::SubscribeViolation {
                subject,
                queue: None,
            } => {
                return write!(
                    f,
                    "Permissions Violation for Subscription to \"{}\"",
                    text(subject)
                );
            }
            Self::SubscribeViolation {
                subject,
                queue: Some(queue),
            } => {
                return write!(
                    f,
                    "Permissions Violation for Subscription to \"{}\" using queue \"{}\"",
                    text(subject),
                    text(queue)
                );
            }
            Self::SubscriptionEnded { subject, sid } => {
                return write!(
                    f,
                    "Permissions Violation for Subscription to \"{}\" (sid \"{}\")",
                    text(subject),
                    text(sid)
                );
            }
            Self::TooManyTokens(subject) => {
                return write!(
                    f,
                    "Permissions Violation for Subscription to \"{}\", too many tokens",
                    text(subject)
                );
            }
        })
    }
}
