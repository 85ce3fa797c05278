//! `/routez`, `/gatewayz` and `/leafz`: links to other servers. There are no clusters and no gateways here.

use serde::Serialize;

use super::text::go_duration;
use crate::jetstream::Timestamp;
use crate::leaf::LeafSnapshot;
use crate::server::Shared;

/// The answer of `/routez`: there are no routes.
#[derive(Debug, Clone, Serialize)]
pub struct Routez {
    server_id: String,
    server_name: String,
    now: Timestamp,
    num_routes: usize,
    routes: [(); 0],
}

impl Routez {
    pub(crate) fn of(server: &Shared) -> Self {
        Self {
            server_id: server.server_id.clone(),
            server_name: server.config.server_name.clone(),
            now: Timestamp::now(),
            num_routes: 0,
            routes: [],
        }
    }
}

/// The answer of `/gatewayz`: there are no gateways.
#[derive(Debug, Clone, Serialize)]
pub struct Gatewayz {
    server_id: String,
    now: Timestamp,
    outbound_gateways: NoGateways,
    inbound_gateways: NoGateways,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct NoGateways {}

impl Gatewayz {
    pub(crate) fn of(server: &Shared) -> Self {
        Self {
            server_id: server.server_id.clone(),
            now: Timestamp::now(),
            outbound_gateways: NoGateways {},
            inbound_gateways: NoGateways {},
        }
    }
}

/// The answer of `/leafz`.
#[derive(Debug, Clone, Serialize)]
pub struct Leafz {
    server_id: String,
    now: Timestamp,
    leafnodes: usize,
    leafs: Vec<Leaf>,
}

/// One link.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Leaf {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) is_spoke: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) is_isolated: bool,
    pub(crate) account: String,
    pub(crate) ip: String,
    pub(crate) port: u16,
    pub(crate) rtt: String,
    pub(crate) in_msgs: u64,
    pub(crate) out_msgs: u64,
    pub(crate) in_bytes: u64,
    pub(crate) out_bytes: u64,
    pub(crate) subscriptions: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) subscriptions_list: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) compression: String,
}

impl From<LeafSnapshot> for Leaf {
    fn from(link: LeafSnapshot) -> Self {
        Self {
            id: link.client_id,
            name: link.name,
            is_spoke: link.is_spoke,
            is_isolated: link.is_isolated,
            account: link.account,
            ip: link.peer.ip().to_string(),
            port: link.peer.port(),
            rtt: link.rtt.map_or_else(String::new, go_duration),
            in_msgs: link.in_messages,
            out_msgs: link.out_messages,
            in_bytes: link.in_bytes,
            out_bytes: link.out_bytes,
            subscriptions: link.subscriptions,
            subscriptions_list: link.subscription_list,
            compression: "off".to_owned(),
        }
    }
}

impl Leafz {
    pub(crate) fn of(server: &Shared, account: Option<&str>, subscriptions: bool) -> Self {
        let mut leafs = server.leafs(subscriptions);
        leafs.retain(|leaf| account.is_none_or(|account| leaf.account == account));
        Self {
            server_id: server.server_id.clone(),
            now: Timestamp::now(),
            leafnodes: leafs.len(),
            leafs,
        }
    }
}
