//! What a connection takes along from the listener it came by.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::config::{Advertise, ListenerAuthorization, TcpConfig, TrustedProxies, WebSocketConfig};
use super::tls::Tls;
use super::tls::config::TlsConfig;

/// One open port, as its connections see it.
#[derive(Debug, Default)]
pub(crate) struct Listener {
    /// The address listened on; `None` when somebody else listens, as the web server of the appliance does.
    pub(crate) addr: Option<SocketAddr>,
    pub(crate) advertise: Option<Advertise>,
    pub(crate) tls: Option<Tls>,
    pub(crate) proxy_protocol: Option<TrustedProxies>,
    /// TLS comes before everything else and INFO says so, whatever the TLS configuration says of TCP.
    is_websocket: bool,
    pub(crate) no_auth_user: Option<String>,
    pub(crate) authorization: Option<Arc<ListenerAuthorization>>,
    pub(crate) ping_interval: Option<Duration>,
}

/// What INFO says about TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct TlsOffer {
    pub(crate) required: bool,
    pub(crate) available: bool,
    pub(crate) verify: bool,
}

impl Listener {
    pub(crate) fn tcp(addr: SocketAddr, config: TcpConfig) -> Arc<Self> {
        Arc::new(Self {
            addr: Some(addr),
            advertise: config.advertise,
            tls: config.tls,
            proxy_protocol: config.proxy_protocol,
            ..Self::default()
        })
    }

    pub(crate) fn websocket(addr: SocketAddr, config: &WebSocketConfig) -> Arc<Self> {
        Arc::new(Self {
            addr: Some(addr),
            advertise: config.advertise.clone(),
            tls: config.tls.clone(),
            proxy_protocol: config.proxy_protocol.clone(),
            is_websocket: true,
            no_auth_user: config.no_auth_user.clone(),
            authorization: config.authorization.clone().map(Arc::new),
            ping_interval: config.ping_interval,
        })
    }

    /// Whether a connection is a session at once: nothing has to be read or shaken hands over before.
    pub(crate) fn is_plain(&self) -> bool {
        self.tls.is_none() && self.proxy_protocol.is_none()
    }

    /// Whether connections from there begin with a PROXY protocol header.
    pub(crate) fn is_proxied(&self, peer: SocketAddr) -> bool {
        self.proxy_protocol
            .as_ref()
            .is_some_and(|proxies| proxies.contains(peer.ip()))
    }

    pub(crate) fn offer(&self) -> TlsOffer {
        let Some(tls) = &self.tls else {
            return TlsOffer::default();
        };
        let config = &tls.current().config;
        let verify = TlsConfig::verifies(config);
        if self.is_websocket {
            return TlsOffer {
                required: true,
                available: true,
                verify,
            };
        }
        TlsOffer {
            required: !config.allow_non_tls,
            available: config.allow_non_tls,
            verify,
        }
    }
}

/// Credentials that a browser sent along with the upgrade.
#[derive(Clone, Default)]
pub(crate) struct Cookies {
    pub(crate) jwt: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) pass: Option<String>,
    pub(crate) token: Option<String>,
}

impl std::fmt::Debug for Cookies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cookies").finish_non_exhaustive()
    }
}
