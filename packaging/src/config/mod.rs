//! Everything that can be set, with its default.
//!
//! A value comes from the first of: a flag, the environment, the configuration file, the default here. Every key is one
//! line of [`keys::KEYS`], which names it, explains it and is what `packaging/natterjack.toml` is generated from; a test
//! holds that table and the structs below together.

mod document;
mod human;
mod keys;
mod layers;
mod load;
mod streams;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub(crate) use document::document;
pub(crate) use human::{Network, Size, Span};
pub(crate) use load::{Loaded, load};
pub(crate) use streams::{Streams, Sync};

/// The whole configuration. Its field names are the keys of the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    pub(crate) data_dir: Option<PathBuf>,
    pub(crate) log: String,
    pub(crate) http: Http,
    pub(crate) nats: Nats,
    pub(crate) streams: Streams,
    pub(crate) identity: Identity,
    pub(crate) services: Services,
}

/// The HTTP port: web client, sign-in and the WebSocket door.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Http {
    pub(crate) listen: SocketAddr,
    pub(crate) public_url: Option<String>,
    pub(crate) monitoring_from: Vec<Network>,
}

/// The NATS port and the limits of every NATS connection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Nats {
    pub(crate) listen: SocketAddr,
    pub(crate) server_name: String,
    pub(crate) connections_max: u32,
    pub(crate) connections_per_address_max: u32,
    pub(crate) connect_rate_per_address_max: u32,
    pub(crate) subscriptions_max: u32,
    pub(crate) payload_max: Size,
    pub(crate) control_line_max: Size,
    pub(crate) pending_max: Size,
    pub(crate) ping_interval: Span,
    pub(crate) pings_out_max: u32,
    pub(crate) auth_timeout: Span,
    pub(crate) first_byte_timeout: Span,
    pub(crate) write_deadline: Span,
}

/// The built-in sign-in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Identity {
    pub(crate) realm: String,
    pub(crate) access_token_lifetime: Span,
    pub(crate) session_idle_max: Span,
    pub(crate) session_max: Span,
}

/// The chat services.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Services {
    pub(crate) public_rooms: Vec<String>,
    pub(crate) messages_per_minute: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: None,
            log: "info".to_owned(),
            http: Http::default(),
            nats: Nats::default(),
            streams: Streams::default(),
            identity: Identity::default(),
            services: Services::default(),
        }
    }
}

impl Default for Http {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            public_url: None,
            monitoring_from: Vec::new(),
        }
    }
}

impl Default for Nats {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 4222)),
            server_name: "natterjack".to_owned(),
            connections_max: 65_536,
            connections_per_address_max: 16_384,
            connect_rate_per_address_max: 1000,
            subscriptions_max: 100_000,
            payload_max: Size(1 << 20),
            control_line_max: Size(4 << 10),
            pending_max: Size(64 << 20),
            ping_interval: Span(Duration::from_secs(120)),
            pings_out_max: 2,
            auth_timeout: Span(Duration::from_secs(2)),
            first_byte_timeout: Span(Duration::from_secs(30)),
            write_deadline: Span(Duration::from_secs(10)),
        }
    }
}

impl Default for Identity {
    fn default() -> Self {
        Self {
            realm: "natterjack".to_owned(),
            access_token_lifetime: Span(Duration::from_secs(15 * 60)),
            session_idle_max: Span(Duration::from_secs(30 * 86_400)),
            session_max: Span(Duration::from_secs(180 * 86_400)),
        }
    }
}

impl Default for Services {
    fn default() -> Self {
        Self {
            public_rooms: ["general", "random", "help"].map(str::to_owned).to_vec(),
            messages_per_minute: 60,
        }
    }
}
