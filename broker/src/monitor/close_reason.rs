//! Why a connection ended.

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
    /// Too many connections of one account.
    MaximumAccountConnectionsExceeded,
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
    /// TLS was not spoken, or not as it must be.
    TlsHandshakeFailure,
    /// A client on the port of leaf nodes.
    IncorrectPort,
    /// The same server has a newer link between the same accounts.
    DuplicateRemoteLeafnode,
    /// A leaf older than the configuration allows.
    MinimumVersionRequired,
    /// Both sides of a link would be one server or cluster.
    ClusterNamesIdentical,
    /// More subscriptions than allowed.
    MaximumSubscriptionsExceeded,
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
            Self::MaximumAccountConnectionsExceeded => "Maximum Account Connections Exceeded",
            Self::MaximumPayloadExceeded => "Maximum Message Payload Exceeded",
            Self::MaximumControlLineExceeded => "Maximum Control Line Exceeded",
            Self::ServerShutdown => "Server Shutdown",
            Self::AuthenticationExpired => "Authentication Expired",
            Self::CredentialsRevoked => "Credentials Revoked",
            Self::MessageHeaderViolation => "Message Header Violation",
            Self::NoRespondersRequiresHeaders => "No Responders Requires Headers",
            Self::Kicked => "Kicked",
            Self::TlsHandshakeFailure => "TLS Handshake Failure",
            Self::IncorrectPort => "Incorrect Port",
            Self::DuplicateRemoteLeafnode => "Duplicate Remote LeafNode Connection",
            Self::MinimumVersionRequired => "Minimum Version Required",
            Self::ClusterNamesIdentical => "Cluster Names Identical",
            Self::MaximumSubscriptionsExceeded => "Maximum Subscriptions Exceeded",
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
            | Self::IncorrectPort
            | Self::DuplicateRemoteLeafnode
            | Self::MinimumVersionRequired
            | Self::ClusterNamesIdentical
            | Self::MessageHeaderViolation
            | Self::NoRespondersRequiresHeaders => 1002,
            Self::AuthenticationTimeout
            | Self::AuthenticationFailure
            | Self::AuthenticationExpired
            | Self::CredentialsRevoked
            | Self::SlowConsumerPendingBytes
            | Self::SlowConsumerWriteDeadline
            | Self::MaximumConnectionsExceeded
            | Self::MaximumSubscriptionsExceeded
            | Self::MaximumAccountConnectionsExceeded
            | Self::MaximumControlLineExceeded => 1008,
            Self::MaximumPayloadExceeded => 1009,
            Self::Kicked => 1011,
            Self::TlsHandshakeFailure => 1015,
        }
    }
}
