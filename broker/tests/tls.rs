//! TLS on the NATS port, with a client that speaks it byte by byte.

mod support;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use broker::{
    AllowAll, AuthError, Authenticator, CertificateFiles, Config, ConnectRequest, HandshakeFirst,
    Identity, Limits, Server, TcpConfig, Tls, TlsConfig, TlsSession, TlsVersion,
};
use rustls::version::{TLS12, TLS13};
use support::certificates::{Authority, Pair, name};
use support::{Raw, eventually};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const QUIET: &str = "CONNECT {\"verbose\":false,\"headers\":true}\r\nPING\r\n";

/// Lets everybody in and remembers their handshakes.
#[derive(Default)]
struct Witness(Mutex<Vec<Option<Arc<TlsSession>>>>);

#[async_trait]
impl Authenticator for Witness {
    async fn authenticate(&self, request: ConnectRequest) -> Result<Identity, AuthError> {
        self.0.lock().expect("no panic").push(request.tls);
        Ok(Identity::new("u", "A"))
    }
}

async fn serve(config: Config, door: Arc<dyn Authenticator>, tls: &Tls) -> (Server, SocketAddr) {
    let server = Server::new(config, door, None);
    let listen = TcpConfig {
        tls: Some(tls.clone()),
        ..TcpConfig::default()
    };
    let addr = ([127, 0, 0, 1], 0).into();
    let addr = server.listen_tcp_with(addr, listen).await.expect("a port");
    (server, addr)
}

async fn open(tls: &TlsConfig) -> (Server, SocketAddr) {
    let tls = Tls::open(tls).expect("valid");
    serve(Config::default(), Arc::new(AllowAll::new("A")), &tls).await
}

/// Reads INFO in clear and returns it.
async fn info(socket: &mut BufReader<TcpStream>) -> String {
    let mut info = String::new();
    socket.read_line(&mut info).await.expect("INFO");
    info
}

/// Connects as a stock client does: INFO, then TLS.
async fn after_info(
    addr: SocketAddr,
    connector: &TlsConnector,
) -> std::io::Result<TlsStream<BufReader<TcpStream>>> {
    let mut socket = BufReader::new(TcpStream::connect(addr).await?);
    info(&mut socket).await;
    connector.connect(name("localhost"), socket).await
}

async fn first(
    addr: SocketAddr,
    connector: &TlsConnector,
) -> std::io::Result<TlsStream<TcpStream>> {
    let socket = TcpStream::connect(addr).await?;
    connector.connect(name("localhost"), socket).await
}

#[tokio::test]
async fn required_tls_begins_after_info() {
    let authority = Authority::new();
    let (server, addr) = open(&authority.tls()).await;
    let mut socket = BufReader::new(TcpStream::connect(addr).await.expect("listens"));
    let info = info(&mut socket).await;
    assert!(info.contains(r#""tls_required":true"#), "{info}");
    assert!(!info.contains("tls_available") && !info.contains("tls_verify"));
    let tls = authority.connector().connect(name("localhost"), socket);
    let mut client = Raw::over(tls.await.expect("TLS"));
    client.send(QUIET).await;
    client.expect("PONG\r\n").await;
    assert_eq!(server.connections().len(), 1);
    drop(client);
    eventually(|| server.connections().is_empty()).await;
}

#[tokio::test]
async fn who_does_not_speak_tls_is_closed() {
    let authority = Authority::new();
    let (server, addr) = open(&authority.tls()).await;
    for bytes in ["CONNECT {}\r\nPING\r\n", "\x16\x03\x01\0\x05hello"] {
        let mut client = Raw::open(addr).await;
        client.send(bytes).await;
        // An alert may come, but no word of NATS.
        assert!(!client.rest().await.contains("PONG"));
    }
    eventually(|| server.connections().is_empty()).await;
}

#[tokio::test]
async fn tls_may_be_optional() {
    let authority = Authority::new();
    let (_server, addr) = open(&TlsConfig {
        allow_non_tls: true,
        ..authority.tls()
    })
    .await;
    let mut plain = Raw::over(TcpStream::connect(addr).await.expect("listens"));
    let info = plain.line().await;
    assert!(info.contains(r#""tls_available":true"#), "{info}");
    assert!(!info.contains("tls_required"));
    plain
        .send("CONNECT {\"verbose\":false}\r\nSUB a 1\r\nPING\r\n")
        .await;
    plain.expect("PONG\r\n").await;
    let tls = after_info(addr, &authority.connector()).await.expect("TLS");
    let mut tls = Raw::over(tls);
    tls.send(format!("{QUIET}PUB a 2\r\nhi\r\n")).await;
    tls.expect("PONG\r\n").await;
    plain.expect("MSG a 1 2\r\nhi\r\n").await;
}

#[tokio::test]
async fn tls_may_come_first() {
    let authority = Authority::new();
    let (_server, addr) = open(&TlsConfig {
        handshake_first: HandshakeFirst::Yes,
        ..authority.tls()
    })
    .await;
    let tls = first(addr, &authority.connector()).await.expect("TLS");
    let mut client = Raw::over(tls);
    assert!(client.line().await.contains(r#""tls_required":true"#));
    client.send(QUIET).await;
    client.expect("PONG\r\n").await;
}

#[tokio::test]
async fn tls_first_with_a_time_limit_serves_both_kinds_of_clients() {
    let authority = Authority::new();
    let (_server, addr) = open(&TlsConfig {
        handshake_first: HandshakeFirst::AUTO,
        ..authority.tls()
    })
    .await;
    let connector = authority.connector();
    let mut clients = [
        Raw::over(first(addr, &connector).await.expect("TLS first")),
        Raw::over(after_info(addr, &connector).await.expect("INFO first")),
    ];
    clients[0].line().await;
    for client in &mut clients {
        client.send(QUIET).await;
        client.expect("PONG\r\n").await;
    }
}

async fn client_fails(result: std::io::Result<TlsStream<BufReader<TcpStream>>>) -> bool {
    // With TLS 1.3 a client is done before the server has seen its certificate.
    let Ok(mut stream) = result else {
        return true;
    };
    let _ = stream.write_all(QUIET.as_bytes()).await;
    let mut seen = Vec::new();
    let _ = stream.read_to_end(&mut seen).await;
    !seen.starts_with(b"PONG")
}

fn spki_sha256(pair: &Pair) -> String {
    use rcgen::PublicKeyData;
    use sha2::Digest;
    let key = rcgen::KeyPair::from_pem(&pair.key).expect("a key");
    let digest = sha2::Sha256::digest(key.subject_public_key_info());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn only_pinned_keys_come_in() {
    let authority = Authority::new();
    let (alice, bob) = (authority.issue("alice"), authority.issue("bob"));
    let (_server, addr) = open(&TlsConfig {
        ca_file: Some(authority.ca_file()),
        verify: true,
        pinned_certs: vec![spki_sha256(&alice)],
        ..authority.tls()
    })
    .await;
    let connector = authority.connector_with(Some(&alice), rustls::ALL_VERSIONS);
    let mut client = Raw::over(after_info(addr, &connector).await.expect("TLS"));
    client.send(QUIET).await;
    client.expect("PONG\r\n").await;
    let connector = authority.connector_with(Some(&bob), rustls::ALL_VERSIONS);
    assert!(client_fails(after_info(addr, &connector).await).await);
}

#[tokio::test]
async fn old_versions_are_refused_where_it_is_said_so() {
    let authority = Authority::new();
    let (_server, addr) = open(&TlsConfig {
        min_version: TlsVersion::Tls13,
        ..authority.tls()
    })
    .await;
    let old = authority.connector_with(None, &[&TLS12]);
    assert!(after_info(addr, &old).await.is_err());
    let new = authority.connector_with(None, &[&TLS13]);
    assert!(after_info(addr, &new).await.is_ok());
}

#[tokio::test]
async fn the_certificate_is_the_one_of_the_name_asked_for() {
    let authority = Authority::new();
    let mut tls = authority.tls();
    tls.certificates.push(authority.issue_files("b.example"));
    tls.handshake_first = HandshakeFirst::Yes;
    let (_server, addr) = open(&tls).await;
    for host in ["b.example", "localhost", "127.0.0.1"] {
        let socket = TcpStream::connect(addr).await.expect("listens");
        let stream = authority.connector().connect(name(host), socket).await;
        stream.unwrap_or_else(|error| panic!("{host}: {error}"));
    }
}

#[tokio::test]
async fn a_reload_reaches_the_next_handshake_and_no_open_connection() {
    let (before, after) = (Authority::new(), Authority::new());
    let tls = Tls::open(&before.tls()).expect("valid");
    let (_server, addr) = serve(Config::default(), Arc::new(AllowAll::new("A")), &tls).await;
    let mut client = Raw::over(after_info(addr, &before.connector()).await.expect("TLS"));
    client.send(QUIET).await;
    client.expect("PONG\r\n").await;
    let nothing = TlsConfig::default();
    assert!(tls.reload(&nothing).is_err());
    assert!(after_info(addr, &before.connector()).await.is_ok());
    tls.reload(&after.tls()).expect("valid");
    assert!(after_info(addr, &before.connector()).await.is_err());
    assert!(after_info(addr, &after.connector()).await.is_ok());
    client.expect_quiet().await;
}

#[tokio::test]
async fn silence_ends_a_handshake() {
    let authority = Authority::new();
    for handshake_first in [HandshakeFirst::No, HandshakeFirst::Yes] {
        let (server, addr) = open(&TlsConfig {
            timeout: Duration::from_millis(50),
            handshake_first,
            ..authority.tls()
        })
        .await;
        let mut silent = TcpStream::connect(addr).await.expect("listens");
        let mut seen = Vec::new();
        let _ = silent.read_to_end(&mut seen).await;
        assert_eq!(seen.is_empty(), handshake_first == HandshakeFirst::Yes);
        eventually(|| server.connections().is_empty()).await;
    }
}

#[tokio::test]
async fn large_messages_cross_in_both_directions() {
    let authority = Authority::new();
    let (_server, addr) = open(&authority.tls()).await;
    for versions in [&[&TLS12][..], &[&TLS13]] {
        let connector = authority.connector_with(None, versions);
        let stream = after_info(addr, &connector).await.expect("TLS");
        let (read, mut write) = tokio::io::split(stream);
        let payload = vec![b'x'; 1 << 20];
        let publish = async {
            let connect = b"CONNECT {\"verbose\":false}\r\nSUB a 1\r\n";
            write.write_all(connect).await.expect("open");
            for _ in 0..5 {
                write.write_all(b"PUB a 1048576\r\n").await.expect("open");
                write.write_all(&payload).await.expect("open");
                write.write_all(b"\r\n").await.expect("open");
            }
            write.write_all(b"PING\r\n").await.expect("open");
        };
        let receive = async {
            let mut read = BufReader::new(read);
            for _ in 0..5 {
                let mut line = String::new();
                read.read_line(&mut line).await.expect("open");
                assert_eq!(line, "MSG a 1 1048576\r\n");
                let mut body = vec![0; payload.len() + 2];
                read.read_exact(&mut body).await.expect("open");
                assert!(body.starts_with(&payload));
            }
            let mut line = String::new();
            read.read_line(&mut line).await.expect("open");
            assert_eq!(line, "PONG\r\n");
        };
        tokio::join!(publish, receive);
    }
}

#[tokio::test]
async fn handshakes_have_a_rate() {
    let authority = Authority::new();
    let (_server, addr) = open(&TlsConfig {
        connection_rate_limit: Some(1),
        ..authority.tls()
    })
    .await;
    let mut throttled = 0;
    for _ in 0..4 {
        let mut client = Raw::over(TcpStream::connect(addr).await.expect("listens"));
        let line = client.line().await;
        throttled += u32::from(line.contains("Connection throttling is active"));
    }
    // A new second may begin meanwhile.
    assert!(throttled >= 2, "{throttled}");
}

/// 5,000 of them in the long form: `NATTERJACK_SILENT=5000`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_connections_do_not_keep_others_out() {
    let authority = Authority::new();
    let count = std::env::var("NATTERJACK_SILENT").ok();
    let count = count.and_then(|count| count.parse().ok()).unwrap_or(500);
    let tls = Tls::open(&TlsConfig {
        timeout: Duration::from_secs(20),
        ..authority.tls()
    });
    let config = Config {
        auth_timeout: Duration::from_secs(20),
        limits: Limits {
            handshakes_max: 4,
            ..Limits::default()
        },
        ..Config::default()
    };
    let door = Arc::new(Witness::default());
    let (server, addr) = serve(config, door, &tls.expect("valid")).await;
    let plain = server.listen_tcp(([127, 0, 0, 1], 0).into()).await;
    let plain = plain.expect("a port");
    let mut silent = Vec::new();
    for at in 0..count {
        let addr = if at % 2 == 0 { addr } else { plain };
        silent.push(TcpStream::connect(addr).await.expect("listens"));
    }
    eventually(|| server.connections().len() >= count).await;
    let start = std::time::Instant::now();
    let mut client = Raw::quiet(plain).await;
    client.expect_quiet().await;
    let tls = after_info(addr, &authority.connector()).await.expect("TLS");
    let mut client = Raw::over(tls);
    client.send(QUIET).await;
    client.expect("PONG\r\n").await;
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn what_is_wrong_with_a_configuration_is_said() {
    let authority = Authority::new();
    let missing = CertificateFiles {
        cert_file: "does-not-exist.pem".into(),
        key_file: "does-not-exist.pem".into(),
    };
    let (a, b) = (authority.issue_files("a"), authority.issue_files("b"));
    let mixed = CertificateFiles {
        cert_file: a.cert_file.clone(),
        key_file: b.key_file.clone(),
    };
    let swapped = CertificateFiles {
        cert_file: a.key_file.clone(),
        key_file: a.cert_file.clone(),
    };
    let with = |certificates| TlsConfig {
        certificates,
        ..TlsConfig::default()
    };
    let valid = || with(vec![a.clone()]);
    let cases = [
        (with(Vec::new()), "needs a certificate"),
        (with(vec![missing]), "does-not-exist.pem cannot be read"),
        (with(vec![mixed]), "cannot be used with the key"),
        (with(vec![swapped]), "has no certificate in it"),
        (
            TlsConfig {
                insecure: true,
                ..valid()
            },
            "insecure is for remotes",
        ),
        (
            TlsConfig {
                pinned_certs: vec!["a".repeat(64)],
                ..valid()
            },
            "pinned_certs needs verify",
        ),
        (
            TlsConfig {
                pinned_certs: vec!["ä".repeat(32)],
                ..valid()
            },
            "64 hexadecimal digits",
        ),
        (
            TlsConfig {
                cipher_suites: vec!["TLS_RSA_WITH_AES_128_CBC_SHA".to_owned()],
                ..valid()
            },
            "is not offered",
        ),
        (
            TlsConfig {
                curve_preferences: vec!["P-256".to_owned()],
                ..valid()
            },
            "no curve named",
        ),
    ];
    for (config, part) in cases {
        let error = Tls::open(&config).expect_err(part).to_string();
        assert!(error.contains(part), "{error}");
    }
    assert!(Tls::open(&valid()).is_ok());
}
