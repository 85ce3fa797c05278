//! Every cap of the broker with its default and unit. The defaults are nats-server's where it has one.

use std::time::Duration;

/// Caps that an operator may set.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Open client connections over all listeners. Default 65,536.
    pub connections_max: usize,
    /// Open connections from one address, or from one /64 network of IPv6. Those that a trusted proxy passes on count for
    /// the client's address. Default 16,384 (nats-server: no such limit).
    pub connections_per_address_max: usize,
    /// Connections per second from one address, or from one /64 network of IPv6, over a while; ten times as many may come
    /// at once. Default 1,000 (nats-server: no such limit).
    pub connect_rate_per_address_max: u32,
    /// TLS handshakes under way at the same time; more wait, within the time that a handshake has. Default 1,024.
    pub handshakes_max: usize,
    /// Arguments of one protocol line, in bytes, the CONNECT object included. Default 4,096.
    pub control_line_bytes_max: usize,
    /// Headers and payload of one message together, in bytes. Default 1 MiB.
    pub payload_bytes_max: usize,
    /// Output waiting for one connection, in bytes; beyond it the connection is a slow consumer. Default 64 MiB.
    pub pending_bytes_max: usize,
    /// Subscriptions of one connection. Default 100,000 (nats-server: unlimited).
    pub subscriptions_max: usize,
    /// Tokens of one subscription's subject. Default 64 (nats-server: unlimited).
    pub subscription_tokens_max: usize,
    /// Messages waiting in one in-process subscription. Default 65,536.
    pub local_pending_messages_max: usize,
    /// Bytes waiting in one in-process subscription. Default 64 MiB.
    pub local_pending_bytes_max: usize,
    /// Closed connections that are remembered for `/connz`. Default 10,000.
    pub closed_clients_max: usize,
    /// Requests of one in-process client that wait for an answer. Default 65,536.
    pub requests_max: usize,
    /// Open connections of leaf nodes that come in. Default 4,096 (nats-server: unlimited).
    pub leaf_connections_max: usize,
    /// Subjects that one leaf link may ask for. Default 1,000,000 (nats-server: unlimited).
    pub leaf_interests_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 65_536,
            connections_per_address_max: 16_384,
            connect_rate_per_address_max: 1000,
            handshakes_max: 1024,
            control_line_bytes_max: 4096,
            payload_bytes_max: 1 << 20,
            pending_bytes_max: 64 << 20,
            subscriptions_max: 100_000,
            subscription_tokens_max: 64,
            local_pending_messages_max: 65_536,
            local_pending_bytes_max: 64 << 20,
            closed_clients_max: 10_000,
            requests_max: 65_536,
            leaf_connections_max: 4096,
            leaf_interests_max: 1_000_000,
        }
    }
}

/// How much longer than a client's a control line of a leaf link may be: it may name many queue groups.
pub(crate) const LEAF_CONTROL_LINE_FACTOR: usize = 16;
/// First size of a connection's read buffer, in bytes; an idle connection has none.
pub(crate) const READ_BUFFER_BYTES_MIN: usize = 4 << 10;
/// Size a read buffer grows to under load, in bytes.
pub(crate) const READ_BUFFER_BYTES_MAX: usize = 256 << 10;
/// Payloads from this size on are shared between several receivers; smaller ones are copied.
pub(crate) const SHARE_FROM_BYTES: usize = 4 << 10;
/// Payloads from this size on are shared with a lone receiver too. Below it a copy costs less than a read buffer that can not
/// be used again before the receiver has it: at 4 KiB a third of the processor time.
pub(crate) const SHARE_WITH_ONE_FROM_BYTES: usize = 16 << 10;
/// Output for one receiver that ends a batch early, in bytes.
pub(crate) const SCRATCH_BYTES_MAX: usize = 64 << 10;
/// Messages for one stream that end a publisher's batch early, in bytes.
pub(crate) const CAPTURED_BYTES_MAX: usize = 256 << 10;
/// Routes that one publisher remembers.
pub(crate) const ROUTES_MAX: usize = 1024;
/// Receivers in all remembered routes of one publisher together.
pub(crate) const ROUTE_TARGETS_MAX: usize = 16 << 10;
/// Longest subject whose route is remembered, in bytes.
pub(crate) const ROUTE_SUBJECT_BYTES_MAX: usize = 256;
/// Reply subjects that one connection may answer under `allow_responses` at the same time.
pub(crate) const REPLY_GRANTS_MAX: usize = 4096;
/// Seconds' worth of connections that one address may open at once.
pub(crate) const CONNECT_BURST_SECONDS: u32 = 10;
/// Addresses whose connect rate is remembered while none of their connections is open.
pub(crate) const ADDRESSES_REMEMBERED_MAX: usize = 65_536;
/// Time for a PROXY protocol header to arrive (nats-server's figure).
pub(crate) const PROXY_HEADER_WAIT: Duration = Duration::from_secs(5);
/// Longest PROXY protocol header, in bytes: addresses, and the additions that cloud balancers make.
pub(crate) const PROXY_HEADER_BYTES_MAX: usize = 2048;
/// Longest head of a WebSocket's upgrade request, in bytes.
pub(crate) const UPGRADE_HEAD_BYTES_MAX: usize = 16 << 10;
/// Header lines of a WebSocket's upgrade request.
pub(crate) const UPGRADE_HEADERS_MAX: usize = 64;
/// Bytes a WebSocket may send before it has authenticated, frame headers included; a compressed message may not grow to
/// more either.
pub(crate) const UNAUTHENTICATED_BYTES_MAX: usize = 16 << 10;
/// Pending output, in percent of the maximum, from which a producer is held back for a moment.
pub(crate) const STALL_PERCENT: usize = 75;
/// Pending output, in percent of the maximum, from which consumers of streams wait for the receiver.
pub(crate) const STREAM_PERCENT: usize = 12;
/// Longest time a producer is held back before it goes on.
pub(crate) const STALL_MAX: Duration = Duration::from_millis(10);
/// Times a producer is held back for a receiver that takes nothing at all; after that it is left to its own limit.
pub(crate) const STALLS_MAX: u32 = 50;
/// Largest WebSocket message sent, in bytes: stock clients refuse large ones.
pub(crate) const WEBSOCKET_MESSAGE_BYTES_MAX: usize = 64 << 10;
/// Largest WebSocket frame sent to a browser, in bytes (nats-server's figure).
pub(crate) const WEBSOCKET_BROWSER_FRAME_BYTES_MAX: usize = 4096;
/// Largest WebSocket frame received, in bytes (nats-server's cap on messages). Frames are not kept: this is for sanity.
pub(crate) const WEBSOCKET_RECEIVED_FRAME_BYTES_MAX: u64 = 64 << 20;
/// Frames of one received WebSocket message.
pub(crate) const WEBSOCKET_FRAGMENTS_MAX: u32 = 4096;
/// Messages up to this size are sent as they are although compression was negotiated, in bytes (nats-server's figure).
pub(crate) const WEBSOCKET_COMPRESS_ABOVE_BYTES: usize = 64;
/// Answers to WebSocket pings that wait to be written, in bytes; beyond it pings are not answered.
pub(crate) const WEBSOCKET_PONG_BYTES_MAX: usize = 4 << 10;
/// Connections over `connections_max` that are told so at the same time; more are closed without a word.
pub(crate) const REFUSALS_MAX: usize = 64;
/// Memory for what is remembered of closed connections, in bytes; beyond it the oldest are forgotten.
pub(crate) const CLOSED_CLIENTS_BYTES_MAX: usize = 16 << 20;
/// Subscriptions up to which a closed connection's are remembered; of one that had more only the number is.
pub(crate) const CLOSED_CLIENT_SUBSCRIPTIONS_MAX: usize = 64;
/// Body of a request in the system account, in bytes; of a larger one nobody hears.
pub(crate) const SYSTEM_REQUEST_BYTES_MAX: usize = 64 << 10;
/// Requests in the system account that wait for an answer; one more hears that nobody responds.
pub(crate) const SYSTEM_REQUESTS_MAX: usize = 1024;
/// Longest JWT, in bytes: an account with many imports is long, a user is not.
pub(crate) const JWT_BYTES_MAX: usize = 1 << 20;
/// Accounts that operator mode remembers; the users of one more are refused.
pub(crate) const OPERATOR_ACCOUNTS_MAX: usize = 65_536;
/// Accounts that are fetched by HTTP at the same time; others wait.
pub(crate) const ACCOUNT_FETCHES_MAX: usize = 16;
/// Subjects that the templates of one permission list may become.
pub(crate) const TEMPLATE_SUBJECTS_MAX: usize = 4096;
/// Password hashes that are computed at the same time; who comes later waits, at most for the time a CONNECT may take.
pub(crate) const PASSWORD_CHECKS_MAX: usize = 2;
/// Proved passwords that are remembered, so that they need not be hashed again.
pub(crate) const PASSWORDS_PROVED_MAX: usize = 4096;
/// Requests from other accounts that wait for an answer in one account; the oldest is forgotten first.
pub(crate) const SERVICE_RESPONSES_MAX: usize = 65_536;
/// Accounts that one message may cross into one after the other.
pub(crate) const CROSSINGS_MAX: usize = 8;
/// What one session can be told at the same time, such as new credentials.
pub(crate) const NOTICES_MAX: usize = 16;
/// Longest time in which a publisher that is over its rate is not read; what it owes then stays owed.
pub(crate) const PUBLISH_PAUSE_MAX: Duration = Duration::from_secs(5);
