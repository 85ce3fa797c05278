//! Counters and snapshots for `/varz`, `/connz` and the events in `$SYS`.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

/// Running totals, of the server or of one connection. "In" is from client to server.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) in_messages: AtomicU64,
    pub(crate) in_bytes: AtomicU64,
    pub(crate) out_messages: AtomicU64,
    pub(crate) out_bytes: AtomicU64,
    pub(crate) slow_consumers: AtomicU64,
    pub(crate) stale_connections: AtomicU64,
    pub(crate) stalls: AtomicU64,
    pub(crate) total_connections: AtomicU64,
    pub(crate) refused_locally: AtomicU64,
}

impl Counters {
    pub(crate) fn count_in(&self, messages: u64, bytes: u64) {
        self.in_messages.fetch_add(messages, Ordering::Relaxed);
        self.in_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn count_out(&self, messages: u64, bytes: u64) {
        self.out_messages.fetch_add(messages, Ordering::Relaxed);
        self.out_bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// The server at one moment, in nats-server's terms.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// `server_id`.
    pub server_id: String,
    /// `server_name`.
    pub server_name: String,
    /// The nats-server version whose behaviour is implemented.
    pub version: &'static str,
    /// When the server was made.
    pub started: SystemTime,
    /// Open connections.
    pub connections: usize,
    /// Connections ever accepted.
    pub total_connections: u64,
    /// Subscriptions of all accounts, in-process ones included.
    pub subscriptions: usize,
    /// Messages from clients.
    pub in_messages: u64,
    /// Headers and payloads from clients, in bytes.
    pub in_bytes: u64,
    /// Messages to clients.
    pub out_messages: u64,
    /// Headers and payloads to clients, in bytes.
    pub out_bytes: u64,
    /// Connections cut off because they read too slowly.
    pub slow_consumers: u64,
    /// Connections closed because they did not answer PING.
    pub stale_connections: u64,
    /// Times that a producer was held back for a receiver that was nearly full.
    pub stalled_clients: u64,
    /// Messages that a full in-process subscription refused.
    pub refused_locally: u64,
}

/// One open connection at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionSnapshot {
    /// `cid`.
    pub client_id: u64,
    /// `nats` or `websocket`.
    pub kind: &'static str,
    /// The other end.
    pub peer: SocketAddr,
    /// When it was accepted.
    pub started: SystemTime,
    /// User, once it has authenticated.
    pub user: Option<String>,
    /// Account, once it has authenticated.
    pub account: Option<String>,
    /// `name` of CONNECT.
    pub name: String,
    /// `lang` of CONNECT.
    pub lang: String,
    /// `version` of CONNECT.
    pub version: String,
    /// Round trip of the last PING.
    pub rtt: Option<Duration>,
    /// Bytes waiting to be written.
    pub pending_bytes: usize,
    /// Open subscriptions.
    pub subscriptions: usize,
    /// Messages from the client.
    pub in_messages: u64,
    /// Bytes from the client.
    pub in_bytes: u64,
    /// Messages to the client.
    pub out_messages: u64,
    /// Bytes to the client.
    pub out_bytes: u64,
}

/// Why a connection ended, in nats-server's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// The client went away.
    ClientClosed,
    /// No CONNECT in time.
    AuthenticationTimeout,
    /// CONNECT was refused.
    AuthenticationFailure,
    /// More pending output than allowed.
    SlowConsumerPendingBytes,
    /// A write made no progress in time.
    SlowConsumerWriteDeadline,
    /// A write failed.
    WriteError,
    /// A read failed.
    ReadError,
    /// Bad arguments.
    ParseError,
    /// PINGs were not answered.
    StaleConnection,
    /// An operation no client may send.
    ProtocolViolation,
    /// A protocol number that does not exist.
    BadClientProtocolVersion,
    /// Too many connections.
    MaximumConnectionsExceeded,
    /// A message over the limit.
    MaximumPayloadExceeded,
    /// A control line over the limit.
    MaximumControlLineExceeded,
    /// The server stops.
    ServerShutdown,
    /// The identity ran out.
    AuthenticationExpired,
    /// The identity was taken back.
    CredentialsRevoked,
    /// HPUB without headers in CONNECT.
    MessageHeaderViolation,
    /// `no_responders` without `headers` in CONNECT.
    NoRespondersRequiresHeaders,
    /// Closed on request of an operator or service.
    Kicked,
}

impl CloseReason {
    /// nats-server's text, as in `/connz` and DISCONNECT events.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClientClosed => "Client Closed",
            Self::AuthenticationTimeout => "Authentication Timeout",
            Self::AuthenticationFailure => "Authentication Failure",
            Self::SlowConsumerPendingBytes => "Slow Consumer (Pending Bytes)",
            Self::SlowConsumerWriteDeadline => "Slow Consumer (Write Deadline)",
            Self::WriteError => "Write Error",
            Self::ReadError => "Read Error",
            Self::ParseError => "Parse Error",
            Self::StaleConnection => "Stale Connection",
            Self::ProtocolViolation => "Protocol Violation",
            Self::BadClientProtocolVersion => "Bad Client Protocol Version",
            Self::MaximumConnectionsExceeded => "Maximum Connections Exceeded",
            Self::MaximumPayloadExceeded => "Maximum Message Payload Exceeded",
            Self::MaximumControlLineExceeded => "Maximum Control Line Exceeded",
            Self::ServerShutdown => "Server Shutdown",
            Self::AuthenticationExpired => "Authentication Expired",
            Self::CredentialsRevoked => "Credentials Revoked",
            Self::MessageHeaderViolation => "Message Header Violation",
            Self::NoRespondersRequiresHeaders => "No Responders Requires Headers",
            Self::Kicked => "Kicked",
        }
    }

    pub(crate) fn is_slow_consumer(self) -> bool {
        matches!(
            self,
            Self::SlowConsumerPendingBytes | Self::SlowConsumerWriteDeadline
        )
    }

    /// The status of a WebSocket close frame.
    pub(crate) fn websocket_status(self) -> u16 {
        match self {
            Self::ClientClosed => 1000,
            Self::ServerShutdown | Self::StaleConnection | Self::ReadError | Self::WriteError => {
                1001
            }
            Self::ParseError
            | Self::ProtocolViolation
            | Self::BadClientProtocolVersion
            | Self::MessageHeaderViolation
            | Self::NoRespondersRequiresHeaders => 1002,
            Self::AuthenticationTimeout
            | Self::AuthenticationFailure
            | Self::AuthenticationExpired
            | Self::CredentialsRevoked
            | Self::SlowConsumerPendingBytes
            | Self::SlowConsumerWriteDeadline
            | Self::MaximumConnectionsExceeded
            | Self::MaximumControlLineExceeded => 1008,
            Self::MaximumPayloadExceeded => 1009,
            Self::Kicked => 1011,
        }
    }
}
