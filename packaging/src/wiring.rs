//! From the keys of the configuration to what each room takes.

use broker::Limits;
use services::identity;

use crate::config::Config;

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
pub(crate) fn limits(config: &Config) -> Limits {
    let nats = &config.nats;
    let count = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
    let bytes = |size: u64| usize::try_from(size).unwrap_or(usize::MAX);
    Limits {
        connections_max: count(nats.connections_max),
        control_line_bytes_max: bytes(nats.control_line_max.0),
        payload_bytes_max: bytes(nats.payload_max.0),
        pending_bytes_max: bytes(nats.pending_max.0),
        subscriptions_max: count(nats.subscriptions_max),
        ..Limits::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_those_of_the_rooms() {
        let config = Config::default();
        assert_eq!(identity(&config, false), identity::Config::default());
        assert_eq!(
            format!("{:?}", limits(&config)),
            format!("{:?}", Limits::default())
        );
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
