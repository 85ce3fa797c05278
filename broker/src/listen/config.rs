//! How listeners are configured. Plain data, apart from the TLS handle, which may be reloaded while they listen.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::tls::Tls;

/// A NATS port over TCP. The default is plain NATS for whoever connects.
#[derive(Debug, Clone, Default)]
pub struct TcpConfig {
    /// TLS on this port, as its configuration says: required, first, or optional.
    pub tls: Option<Tls>,
    /// From where connections begin with a PROXY protocol header (version 1 or 2). `None`: it is not spoken here.
    pub proxy_protocol: Option<TrustedProxies>,
    /// Host and port told to clients in INFO instead of those listened on (`client_advertise`).
    pub advertise: Option<Advertise>,
}

/// A NATS port over WebSocket: nats-server's `websocket` block.
#[derive(Debug, Clone)]
pub struct WebSocketConfig {
    /// `wss`. `None` is `no_tls`.
    pub tls: Option<Tls>,
    /// From where connections begin with a PROXY protocol header, before TLS. `None`: it is not spoken here.
    pub proxy_protocol: Option<TrustedProxies>,
    /// Whose `Forwarded` and `X-Forwarded-For` headers are believed. Default: nobody's.
    pub trusted_proxies: TrustedProxies,
    /// Host and port told to clients in INFO instead of those listened on (`advertise`).
    pub advertise: Option<Advertise>,
    /// Pages must be of the very origin that they connect to.
    pub same_origin: bool,
    /// Origins whose pages may connect, such as `https://chat.example.org`. Empty: no such rule.
    pub allowed_origins: Vec<String>,
    /// Whether permessage-deflate is spoken with clients that offer it, once they have authenticated. Default: no.
    pub compression: bool,
    /// Time for TLS and the HTTP request. Default two seconds (nats-server: none).
    pub handshake_timeout: Duration,
    /// Cookies that stand in for fields that CONNECT leaves empty.
    pub cookies: CookieNames,
    /// Who a client on this port is that shows no credentials, instead of the server's own `no_auth_user`.
    pub no_auth_user: Option<String>,
    /// Credentials of this port instead of the server's.
    pub authorization: Option<ListenerAuthorization>,
    /// Further headers of the 101 response.
    pub headers: Vec<(String, String)>,
    /// Time without traffic after which a client of this port is pinged, instead of the server's.
    pub ping_interval: Option<Duration>,
}

impl Default for WebSocketConfig {
    fn default() -> Self {
        Self {
            tls: None,
            proxy_protocol: None,
            trusted_proxies: TrustedProxies::default(),
            advertise: None,
            same_origin: false,
            allowed_origins: Vec::new(),
            compression: false,
            handshake_timeout: Duration::from_secs(2),
            cookies: CookieNames::default(),
            no_auth_user: None,
            authorization: None,
            headers: Vec::new(),
            ping_interval: None,
        }
    }
}

/// Where clients are told to connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advertise {
    /// `host` of INFO.
    pub host: String,
    /// `port` of INFO.
    pub port: u16,
}

/// Which cookies of the upgrade request carry credentials. What CONNECT says wins.
///
/// Browsers send cookies with requests of any page, so a listener with cookies needs [`WebSocketConfig::same_origin`] or
/// [`WebSocketConfig::allowed_origins`]: without either, cookies of requests that carry an `Origin` are not looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CookieNames {
    /// `jwt_cookie`.
    pub jwt: Option<String>,
    /// `user_cookie`.
    pub user: Option<String>,
    /// `pass_cookie`.
    pub pass: Option<String>,
    /// `token_cookie`.
    pub token: Option<String>,
}

/// Credentials that hold for one listener only: its `authorization` block.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ListenerAuthorization {
    /// `username`.
    pub user: Option<String>,
    /// `password`, plain or bcrypt.
    pub password: Option<String>,
    /// `token`, plain or bcrypt.
    pub token: Option<String>,
    /// Time for CONNECT, instead of the server's.
    pub timeout: Option<Duration>,
}

impl std::fmt::Debug for ListenerAuthorization {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ListenerAuthorization")
            .field("user", &self.user)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// Addresses of proxies whose word is taken for where a client comes from. The default is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Proxies with addresses in any of these networks.
    #[must_use]
    pub fn new(networks: impl IntoIterator<Item = IpNet>) -> Self {
        Self(networks.into_iter().collect())
    }

    /// Whoever connects: nats-server's `proxy_protocol: true`. Only for ports that nobody but the proxy can reach.
    #[must_use]
    pub fn everybody() -> Self {
        Self(vec![
            IpNet::V4(Ipv4Net::default()),
            IpNet::V6(Ipv6Net::default()),
        ])
    }

    /// Networks in the form `192.0.2.0/24`, or single addresses.
    ///
    /// # Errors
    /// The first text that is neither.
    pub fn parse<'a>(networks: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let network = |text: &str| {
            let address = || text.parse::<IpAddr>().map(IpNet::from);
            text.parse::<IpNet>()
                .or_else(|_| address())
                .map_err(|_| text.to_owned())
        };
        let networks: Result<_, _> = networks.into_iter().map(network).collect();
        Ok(Self(networks?))
    }

    /// Whether a proxy at this address is believed.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        // A dual-stack socket shows IPv4 peers as mapped addresses; networks are written in IPv4 form.
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_networks_or_addresses() {
        let proxies = TrustedProxies::parse(["192.0.2.0/24", "::1"]).expect("valid");
        for (address, expected) in [
            ("192.0.2.7", true),
            ("::ffff:192.0.2.7", true),
            ("192.0.3.7", false),
            ("::1", true),
            ("::2", false),
        ] {
            let address = address.parse().expect("an address");
            assert_eq!(proxies.contains(address), expected, "{address}");
            assert!(TrustedProxies::everybody().contains(address));
            assert!(!TrustedProxies::default().contains(address));
        }
        let refused = TrustedProxies::parse(["localhost"]);
        assert_eq!(refused, Err("localhost".to_owned()));
    }
}
