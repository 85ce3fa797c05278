//! Who the server is: the member `server` of everything it says in the system account.

use serde::Serialize;

use crate::jetstream::Timestamp;
use crate::proto::info::COMPATIBLE_VERSION;
use crate::server::Shared;

/// JetStream is there. nats-server's further flags speak of clusters.
const FLAG_JETSTREAM: u32 = 1;

/// The member `server`.
#[derive(Debug, Clone, Serialize)]
pub(super) struct ServerBlock {
    name: String,
    host: String,
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<String>,
    ver: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    jetstream: bool,
    flags: u32,
    seq: u64,
    time: Timestamp,
}

impl ServerBlock {
    pub(super) fn new(server: &Shared, seq: u64) -> Self {
        let jetstream = server.streams.has_root();
        Self {
            name: server.config.server_name.clone(),
            host: host(server),
            id: server.server_id.clone(),
            domain: server.config.jetstream.domain.clone(),
            ver: COMPATIBLE_VERSION,
            tags: server.monitor.facts().tags,
            jetstream,
            flags: if jetstream { FLAG_JETSTREAM } else { 0 },
            seq,
            time: Timestamp::now(),
        }
    }
}

/// The address that clients are served on, without the port.
pub(super) fn host(server: &Shared) -> String {
    let addr = server.listen_addr();
    addr.map(|addr| addr.ip().to_string()).unwrap_or_default()
}
