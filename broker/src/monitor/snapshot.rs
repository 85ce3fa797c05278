//! The server and its connections at one moment, for code inside the process.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

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
    /// Those of them that took nothing within the write deadline; the others had too much waiting.
    pub slow_consumers_late: u64,
    /// Connections closed because they did not answer PING.
    pub stale_connections: u64,
    /// Times that a producer was held back for a receiver that was nearly full.
    pub stalled_clients: u64,
    /// Messages that a full in-process subscription refused.
    pub refused_locally: u64,
    /// Resident memory of the process, in bytes; 0 where it is not known.
    pub memory_bytes: u64,
    /// Processor time of the process since its start; 0 where it is not known.
    pub cpu_time: Duration,
    /// Links to and from leaf nodes.
    pub leafs: usize,
    /// Requests to the JetStream API.
    pub api_requests: u64,
    /// Those that were answered with an error.
    pub api_errors: u64,
}

/// One account at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AccountSnapshot {
    /// Its name.
    pub name: String,
    /// Open client connections.
    pub connections: usize,
    /// Subscriptions, in-process ones included.
    pub subscriptions: usize,
    /// Messages from its clients.
    pub in_messages: u64,
    /// Headers and payloads from its clients, in bytes.
    pub in_bytes: u64,
    /// Messages to its clients.
    pub out_messages: u64,
    /// Headers and payloads to its clients, in bytes.
    pub out_bytes: u64,
    /// Connections cut off because they read too slowly.
    pub slow_consumers: u64,
}

/// One stream at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamSnapshot {
    /// The account it belongs to.
    pub account: String,
    /// Its name.
    pub name: String,
    /// Messages it holds.
    pub messages: u64,
    /// Bytes it holds, counted as nats-server counts them.
    pub bytes: u64,
    /// Sequence of the oldest message.
    pub first_sequence: u64,
    /// Sequence of the newest message.
    pub last_sequence: u64,
    /// Its consumers.
    pub consumers: usize,
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
    /// Last message from or to it, or last change of its subscriptions.
    pub last_activity: SystemTime,
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
