//! Who connects and from where: the PROXY protocol, limits per address, and time for the first byte.

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use broker::{
    AllowAll, Config, HandshakeFirst, Limits, Server, TcpConfig, Tls, TlsConfig, TrustedProxies,
};
use support::certificates::{Authority, name};
use support::{Raw, eventually, open_server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const V1: &[u8] = b"PROXY TCP4 9.8.7.6 1.2.3.4 1111 4222\r\n";
const V2: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x09\x08\x07\x06\x01\x02\x03\x04\x04\x57\x22\x22";
const OPS: &str = "CONNECT {\"verbose\":false}\r\nPING\r\n";

async fn proxied(
    config: Config,
    trusted: TrustedProxies,
    tls: Option<TlsConfig>,
) -> (Server, SocketAddr) {
    let server = Server::new(config, Arc::new(AllowAll::new("A")), None);
    let listen = TcpConfig {
        proxy_protocol: Some(trusted),
        tls: tls.map(|tls| Tls::open(&tls).expect("valid")),
        ..TcpConfig::default()
    };
    let addr = ([127, 0, 0, 1], 0).into();
    let addr = server.listen_tcp_with(addr, listen).await.expect("a port");
    (server, addr)
}

#[tokio::test]
async fn a_trusted_proxy_says_where_the_client_is() {
    let (server, addr) = proxied(Config::default(), TrustedProxies::everybody(), None).await;
    for (header, client) in [
        (V1, "9.8.7.6:1111"),
        (V2, "9.8.7.6:1111"),
        (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
        (b"", "127.0.0.1"),
    ] {
        let mut socket = TcpStream::connect(addr).await.expect("listens");
        socket.write_all(header).await.expect("open");
        let mut raw = Raw::over(socket);
        let info = raw.line().await;
        assert!(
            info.starts_with("INFO {") && !info.contains("client_ip"),
            "{info}"
        );
        raw.send(OPS).await;
        raw.expect("PONG\r\n").await;
        let peer = server.connections()[0].peer.to_string();
        assert!(peer.starts_with(client), "{peer}");
        drop(raw);
        eventually(|| server.connections().is_empty()).await;
    }
}

#[tokio::test]
async fn a_malformed_header_ends_the_connection() {
    let (server, addr) = proxied(Config::default(), TrustedProxies::everybody(), None).await;
    let mut socket = TcpStream::connect(addr).await.expect("listens");
    let header = b"PROXY TCP4 nowhere 1.2.3.4 1 2\r\nPING\r\n";
    socket.write_all(header).await.expect("open");
    let mut raw = Raw::over(socket);
    raw.line().await;
    raw.expect_closed("").await;
    eventually(|| server.connections().is_empty()).await;
}

#[tokio::test]
async fn nobody_else_is_believed() {
    let trusted = TrustedProxies::parse(["192.0.2.1"]).expect("valid");
    let (_server, addr) = proxied(Config::default(), trusted, None).await;
    let mut raw = Raw::open(addr).await;
    raw.send(V1).await;
    raw.expect_closed("-ERR 'Unknown Protocol Operation'\r\n")
        .await;
}

#[tokio::test]
async fn a_header_comes_before_tls() {
    let authority = Authority::new();
    for handshake_first in [
        HandshakeFirst::No,
        HandshakeFirst::Yes,
        HandshakeFirst::AUTO,
    ] {
        let tls = TlsConfig {
            handshake_first,
            ..authority.tls()
        };
        let everybody = TrustedProxies::everybody();
        let (server, addr) = proxied(Config::default(), everybody, Some(tls)).await;
        let mut socket = TcpStream::connect(addr).await.expect("listens");
        socket.write_all(V2).await.expect("open");
        if handshake_first == HandshakeFirst::No {
            while socket.read_u8().await.expect("INFO") != b'\n' {}
        }
        let tls = authority.connector().connect(name("localhost"), socket);
        let mut raw = Raw::over(tls.await.expect("TLS"));
        if handshake_first != HandshakeFirst::No {
            raw.line().await;
        }
        raw.send(OPS).await;
        raw.expect("PONG\r\n").await;
        assert_eq!(server.connections()[0].peer.to_string(), "9.8.7.6:1111");
    }
}

fn limited(limits: Limits) -> Config {
    Config {
        limits,
        ..Config::default()
    }
}

#[tokio::test]
async fn one_address_has_so_many_connections() {
    let limits = || Limits {
        connections_per_address_max: 2,
        ..Limits::default()
    };
    let (_server, addr) = open_server(limited(limits())).await;
    let first = Raw::quiet(addr).await;
    let _second = Raw::quiet(addr).await;
    let refused = Raw::open(addr).await;
    refused
        .expect_closed("-ERR 'maximum connections exceeded'\r\n")
        .await;
    drop(first);
    // Its place is free once the server has noticed.
    while Raw::open(addr).await.rest_begins_with_error().await {}
}

#[tokio::test]
async fn clients_behind_a_proxy_count_for_themselves() {
    let limits = Limits {
        connections_per_address_max: 1,
        ..Limits::default()
    };
    let (_server, addr) = proxied(limited(limits), TrustedProxies::everybody(), None).await;
    let mut clients = Vec::new();
    for address in ["9.8.7.6", "9.8.7.7"] {
        let mut raw = Raw::open(addr).await;
        raw.send(format!("PROXY TCP4 {address} 1.2.3.4 1 2\r\n{OPS}"))
            .await;
        raw.expect("PONG\r\n").await;
        clients.push(raw);
    }
    let mut raw = Raw::open(addr).await;
    raw.send("PROXY TCP4 9.8.7.6 1.2.3.4 1 2\r\n").await;
    raw.expect_closed("-ERR 'maximum connections exceeded'\r\n")
        .await;
}

#[tokio::test]
async fn one_address_connects_only_so_often() {
    let limits = Limits {
        connect_rate_per_address_max: 1,
        ..Limits::default()
    };
    let (_server, addr) = open_server(limited(limits)).await;
    let mut throttled = false;
    for _ in 0..30 {
        let raw = Raw::open(addr).await;
        throttled |= raw.rest_begins_with_error().await;
    }
    assert!(throttled);
}

#[tokio::test]
async fn silence_is_bounded_where_nobody_has_to_authenticate() {
    let (_server, addr) = open_server(Config {
        first_byte_timeout: Duration::from_millis(50),
        ..Config::default()
    })
    .await;
    Raw::open(addr)
        .await
        .expect_closed("-ERR 'Authentication Timeout'\r\n")
        .await;
    let mut talking = Raw::quiet(addr).await;
    let timeout = tokio::time::timeout(Duration::from_millis(150), talking.line());
    assert!(timeout.await.is_err(), "who has spoken stays");
}
