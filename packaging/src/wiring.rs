//! From the keys of the configuration to what each room takes.

use std::sync::Arc;

use broker::{JetStreamConfig, JetStreamLimits, Limits, SYSTEM_ACCOUNT, Server, StreamsRoot};
use services::auth::CHAT_ACCOUNT;
use services::{Bus, LocalBus, identity};
use storage::stream::{StoreOptions, SyncPolicy};
use storage::{DataDir, MasterKey};
use web::monitoring::Access;
use web::{NatsDoor, NatsSocket, WebConfig};

use crate::config::{Config, Nats, Size, Streams, Sync};
use crate::purpose::Purpose;

/// What identity takes. The demo has the realm and the client of the contract beside our own client.
pub(crate) fn identity(config: &Config, demo: bool) -> identity::Config {
    let identity = identity::Config {
        realm: config.identity.realm.clone(),
        public_url: config.http.public_url.clone(),
        access_token_lifetime: config.identity.access_token_lifetime.0,
        session_idle_max: config.identity.session_idle_max.0,
        session_max: config.identity.session_max.0,
        ..identity::Config::default()
    };
    if demo { identity.for_demo() } else { identity }
}

/// What the broker takes.
pub(crate) fn broker(config: &Config) -> broker::Config {
    let nats = &config.nats;
    broker::Config {
        server_name: nats.server_name.clone(),
        limits: limits(nats),
        ping_interval: nats.ping_interval.0,
        ping_max: nats.pings_out_max,
        auth_timeout: nats.auth_timeout.0,
        first_byte_timeout: nats.first_byte_timeout.0,
        write_deadline: nats.write_deadline.0,
        jetstream: jetstream(&config.streams),
        statsz_interval: broker::Config::default().statsz_interval,
        ..broker::Config::default()
    }
}

fn jetstream(streams: &Streams) -> JetStreamConfig {
    let count = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
    let bytes = |size: Size| size.0;
    JetStreamConfig {
        domain: streams.domain.clone(),
        strict: streams.strict,
        limits: JetStreamLimits {
            memory_bytes_max: streams.memory_max.map(bytes),
            storage_bytes_max: streams.disk_max.map(bytes),
            streams_max: streams.streams_max.map(count),
            consumers_max: streams.consumers_max.map(count),
            ack_pending_max: streams.ack_pending_max.map(u64::from),
            memory_stream_bytes_max: streams.memory_stream_max.map(bytes),
            storage_stream_bytes_max: streams.disk_stream_max.map(bytes),
            bytes_max_required: streams.size_required,
            duplicate_window_max: streams.duplicate_window_max.map(|span| span.0),
            request_batch_max: streams.pull_batch_max.map(count),
            ..JetStreamLimits::default()
        },
    }
}

fn limits(nats: &Nats) -> Limits {
    let count = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
    let bytes = |size: Size| usize::try_from(size.0).unwrap_or(usize::MAX);
    Limits {
        connections_max: count(nats.connections_max),
        connections_per_address_max: count(nats.connections_per_address_max),
        connect_rate_per_address_max: nats.connect_rate_per_address_max,
        control_line_bytes_max: bytes(nats.control_line_max),
        payload_bytes_max: bytes(nats.payload_max),
        pending_bytes_max: bytes(nats.pending_max),
        subscriptions_max: count(nats.subscriptions_max),
        ..Limits::default()
    }
}

/// What the chat services take.
pub(crate) fn services(config: &Config) -> services::Config {
    services::Config {
        public_rooms: config.services.public_rooms.clone(),
        sends_per_minute: config.services.messages_per_minute,
        ..services::Config::default()
    }
}

/// The services' way to the broker: one client in everybody's account, one in the system account.
pub(crate) fn bus(server: &Server) -> Arc<dyn Bus> {
    let chat = server.client(
        CHAT_ACCOUNT,
        &broker::Identity::new("services", CHAT_ACCOUNT),
    );
    let system = server.client(
        SYSTEM_ACCOUNT,
        &broker::Identity::new("services", SYSTEM_ACCOUNT),
    );
    Arc::new(LocalBus::new(chat, system))
}

/// Where each account's streams are, and how they are kept.
pub(crate) fn streams(data_dir: &DataDir, options: StoreOptions) -> StreamsRoot {
    let root = data_dir.path().to_owned();
    StreamsRoot::new(move |account| DataDir::streams_in(&root, account)).with_options(options)
}

/// How streams are kept.
///
/// # Errors
/// The key file can not be used.
pub(crate) fn stream_options(
    config: &Config,
    purpose: Purpose,
) -> Result<StoreOptions, storage::Error> {
    let mut options = StoreOptions::default();
    options.sync = match (config.streams.sync, purpose) {
        (Sync::Interval, Purpose::Broker) => {
            Some(SyncPolicy::Interval(config.streams.sync_interval.0))
        }
        // As each stream says, which is always unless it asks for less; and what the chat acknowledges is always synced.
        _ => None,
    };
    let key_file = config.streams.key_file.as_deref();
    options.cipher = key_file.map(MasterKey::open).transpose()?.map(Arc::new);
    Ok(options)
}

/// What the web takes: upgraded WebSockets are the broker's from then on.
pub(crate) fn web(config: &Config, server: &Server) -> WebConfig {
    let networks = config.http.monitoring_from.iter().copied();
    let monitoring = Access::new(server.clone(), networks.map(|network| network.0));
    let server = server.clone();
    WebConfig {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        nats: NatsDoor::new(move |io, info| match io {
            NatsSocket::Tcp { socket, received } => {
                server.accept_websocket_tcp(socket, received, info);
            }
            NatsSocket::Stream(io) => server.accept_websocket(io, info),
        }),
        monitoring: Some(monitoring),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_those_of_the_rooms() {
        let config = Config::default();
        assert_eq!(identity(&config, false), identity::Config::default());
        let defaults = format!("{:?}", broker::Config::default());
        assert_eq!(format!("{:?}", broker(&config)), defaults);
    }

    #[test]
    fn only_the_demo_knows_the_old_client() {
        let config = Config::default();
        assert_eq!(identity(&config, false).clients.len(), 1);
        let demo = identity(&config, true);
        assert_eq!(
            (demo.realm.as_str(), demo.clients.len()),
            (identity::DEMO_REALM, 2)
        );
    }
}
