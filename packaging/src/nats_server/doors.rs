//! The ports of a server: opened, served and named.

use std::net::SocketAddr;

use anyhow::{Context as _, anyhow};
use broker::config_file::Options;
use broker::{LeafListen, Server, TcpConfig, Tls, TlsConfig, TlsError, TrustedProxies};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::facts;
use super::files::{Ports, url};

/// TLS of all ports, to be read again at a reload.
#[derive(Default)]
pub(super) struct OpenTls {
    pub(super) clients: Option<Tls>,
    pub(super) websocket: Option<Tls>,
}

/// Whether all certificates can be read: `-t` looks at them too.
pub(super) fn check(options: &Options) -> Result<(), String> {
    let leaf = options.leaf.as_ref().and_then(|block| block.tls.as_ref());
    open_tls(options)
        .and_then(|_| Ok(open_one(leaf)?))
        .map(drop)
        .map_err(|error| format!("{error:#}"))
}

/// A block without a certificate asks for nothing.
fn open_one(config: Option<&TlsConfig>) -> Result<Option<Tls>, TlsError> {
    let config = config.filter(|config| !config.certificates.is_empty());
    config.map(Tls::open).transpose()
}

fn open_tls(options: &Options) -> anyhow::Result<OpenTls> {
    let websocket = options.websocket.as_ref().filter(|block| !block.no_tls);
    Ok(OpenTls {
        clients: open_one(options.tls.as_ref())?,
        websocket: open_one(websocket.and_then(|block| block.tls.as_ref()))?,
    })
}

/// Opens every port and serves on it, clients last, as nats-server does.
pub(super) async fn open(
    server: &Server,
    options: &Options,
    stop: &CancellationToken,
    tasks: &TaskTracker,
) -> anyhow::Result<(Ports, OpenTls, SocketAddr)> {
    let tls = open_tls(options)?;
    let mut ports = Ports::default();
    monitoring(server, options, &mut ports, stop, tasks).await?;
    if let Some(block) = &options.websocket
        && let Some(port) = block.port
    {
        let listener = bind(&block.host, port).await?;
        let mut config = block.config.clone();
        config.tls.clone_from(&tls.websocket);
        let scheme = if config.tls.is_some() { "wss" } else { "ws" };
        let address = server.serve_websocket(listener, config)?;
        tracing::info!("Listening for websocket clients on {scheme}://{address}");
        if scheme == "ws" {
            tracing::warn!("Websocket not configured with TLS. DO NOT USE IN PRODUCTION!");
        }
        ports.websocket.push(url(scheme, address));
    }
    leaves(server, options, &mut ports).await?;
    let listener = bind(&options.host, options.port).await?;
    let config = TcpConfig {
        tls: tls.clients.clone(),
        proxy_protocol: options.proxy_protocol.then(TrustedProxies::everybody),
        advertise: options.client_advertise.clone(),
    };
    let address = server.serve_tcp_with(listener, config)?;
    tracing::info!("Listening for client connections on {address}");
    if options.tls.is_some() {
        tracing::info!("TLS required for client connections");
    }
    let scheme = if options.tls.is_some() { "tls" } else { "nats" };
    ports.nats.push(url(scheme, address));
    Ok((ports, tls, address))
}

/// Lets leaf nodes in, and dials those that this server is a leaf of.
async fn leaves(server: &Server, options: &Options, ports: &mut Ports) -> anyhow::Result<()> {
    let Some(block) = &options.leaf else {
        return Ok(());
    };
    let mut config = block.config.clone();
    if let Some(port) = block.port {
        let tls = block.tls.clone();
        config.listen = Some(LeafListen {
            advertise: block.advertise.clone(),
            no_advertise: block.no_advertise,
            authorization: block.authorization.clone(),
            min_version: block.min_version.clone(),
            tls: tls.filter(|tls| !tls.certificates.is_empty()),
            ..LeafListen::new(address_of(&block.host, port).await?)
        });
    }
    if let Some(address) = server.start_leaves(&config).await? {
        tracing::info!("Listening for leafnode connections on {address}");
        ports.leafnodes.push(url("nats", address));
    }
    Ok(())
}

async fn monitoring(
    server: &Server,
    options: &Options,
    ports: &mut Ports,
    stop: &CancellationToken,
    tasks: &TaskTracker,
) -> anyhow::Result<()> {
    if options
        .monitoring
        .https
        .as_ref()
        .is_some_and(|door| door.port.is_some())
    {
        return Err(anyhow!(
            "https_port is not supported: monitoring is served over plain HTTP, put a proxy in front"
        ));
    }
    let Some((door, port)) = options
        .monitoring
        .http
        .as_ref()
        .and_then(|door| Some((door, door.port?)))
    else {
        return Ok(());
    };
    let host = door.host.as_ref().unwrap_or(&options.host);
    let listener = bind(host, port).await?;
    let address = listener
        .local_addr()
        .context("could not read the monitoring port")?;
    facts::tell_http(
        server,
        host.clone(),
        address.port(),
        &options.monitoring.base_path,
    );
    tasks.spawn(web::monitoring::serve(
        listener,
        server.clone(),
        stop.clone(),
    ));
    tracing::info!("Starting http monitor on {address}");
    ports.monitoring.push(url("http", address));
    Ok(())
}

/// A listener on the first address of a name. The port is free again at once after a kill: on Unix the standard library
/// sets `SO_REUSEADDR`.
async fn bind(host: &str, port: u16) -> anyhow::Result<TcpListener> {
    let address = address_of(host, port).await?;
    let error = match TcpListener::bind(address).await {
        Ok(listener) => return Ok(listener),
        Err(error) => error,
    };
    let reason = match error.kind() {
        std::io::ErrorKind::AddrInUse => "bind: address already in use".to_owned(),
        std::io::ErrorKind::AddrNotAvailable => "bind: cannot assign requested address".to_owned(),
        std::io::ErrorKind::PermissionDenied => "bind: permission denied".to_owned(),
        _ => error.to_string(),
    };
    let refused = broker::Error::Listen {
        addr: address,
        source: error,
    };
    Err(refused).context(failed(host, port, &reason))
}

/// The first address of a name.
async fn address_of(host: &str, port: u16) -> anyhow::Result<SocketAddr> {
    let found = tokio::net::lookup_host((host, port)).await;
    let mut addresses = found.map_err(|error| anyhow!(failed(host, port, &error.to_string())))?;
    addresses
        .next()
        .ok_or_else(|| anyhow!(failed(host, port, "no such host")))
}

/// nats-server's words.
fn failed(host: &str, port: u16, reason: &str) -> String {
    let shown = if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    };
    format!("Error listening on port: {shown}, \"listen tcp {shown}: {reason}\"")
}
