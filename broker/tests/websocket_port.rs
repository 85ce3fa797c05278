//! The WebSocket port of the broker's own, from the first byte on: HTTP, frames, compression, cookies, proxies.

mod support;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use broker::{
    AllowAll, AuthError, Authenticator, Config, ConnectRequest, CookieNames, Identity, Limits,
    Server, Tls, TrustedProxies, WebSocketConfig,
};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use support::certificates::{Authority, name};
use support::{Io, Raw, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const CONNECT: &str = "CONNECT {\"verbose\":false}\r\n";

/// Lets in whoever has a token, and remembers what they said.
#[derive(Default)]
struct Tokens(Mutex<Vec<ConnectRequest>>);

#[async_trait]
impl Authenticator for Tokens {
    async fn authenticate(&self, request: ConnectRequest) -> Result<Identity, AuthError> {
        let is_known = request.auth_token.is_some();
        self.0.lock().expect("no panic").push(request);
        match is_known {
            true => Ok(Identity::new("u", "A")),
            false => Err(AuthError::new("no token")),
        }
    }
}

async fn serve(
    config: Config,
    door: Arc<dyn Authenticator>,
    websocket: WebSocketConfig,
) -> (Server, SocketAddr) {
    let server = Server::new(config, door, None);
    let addr = ([127, 0, 0, 1], 0).into();
    let addr = server.listen_websocket(addr, websocket).await;
    (server, addr.expect("a port"))
}

async fn open(websocket: WebSocketConfig) -> (Server, SocketAddr) {
    serve(Config::default(), Arc::new(AllowAll::new("A")), websocket).await
}

/// A client that says exactly which frames it sends.
struct Frames {
    socket: Box<dyn Io>,
    response: String,
}

impl Frames {
    async fn over(mut socket: impl Io + 'static, lines: &[&str]) -> Self {
        let request = format!(
            "GET /any/path HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: YWFhYWFhYWFhYWFhYWFhYQ==\r\nSec-WebSocket-Version: 13\r\n{}\r\n",
            lines
                .iter()
                .map(|line| format!("{line}\r\n"))
                .collect::<String>()
        );
        socket.write_all(request.as_bytes()).await.expect("open");
        let mut response = Vec::new();
        while !response.ends_with(b"\r\n\r\n") {
            response.push(socket.read_u8().await.expect("a response"));
        }
        Self {
            socket: Box::new(socket),
            response: String::from_utf8(response).expect("text"),
        }
    }

    async fn open(addr: SocketAddr, lines: &[&str]) -> Self {
        let socket = TcpStream::connect(addr).await.expect("listens");
        Self::over(socket, lines).await
    }

    async fn send_raw(&mut self, bytes: &[u8]) {
        // The server may have had enough already.
        let _ = self.socket.write_all(bytes).await;
    }

    /// One masked frame with this first byte.
    async fn send(&mut self, first: u8, payload: &[u8]) {
        let mut frame = vec![first];
        match payload.len() {
            len @ 0..126 => frame.push(0x80 | len as u8),
            len => {
                frame.push(0x80 | 126);
                frame.extend_from_slice(&(len as u16).to_be_bytes());
            }
        }
        let mask = *b"mask";
        frame.extend_from_slice(&mask);
        let masked = payload.iter().zip(mask.iter().cycle());
        frame.extend(masked.map(|(byte, mask)| byte ^ mask));
        self.send_raw(&frame).await;
    }

    /// The next frame: its first byte and its payload. `None` when the connection ended.
    async fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        let first = self.socket.read_u8().await.ok()?;
        let len = match self.socket.read_u8().await.ok()? {
            126 => u64::from(self.socket.read_u16().await.ok()?),
            127 => self.socket.read_u64().await.ok()?,
            len => u64::from(len),
        };
        let mut payload = vec![0; len as usize];
        self.socket.read_exact(&mut payload).await.ok()?;
        Some((first, payload))
    }

    /// Status and reason of the close frame, whatever comes before it.
    async fn closed(&mut self) -> Option<(u16, String)> {
        loop {
            let (first, payload) = self.next().await?;
            if first == 0x88 {
                let (status, reason) = payload.split_first_chunk()?;
                let reason = String::from_utf8_lossy(reason).into_owned();
                return Some((u16::from_be_bytes(*status), reason));
            }
        }
    }

    async fn expect(&mut self, text: &str) {
        let mut seen = String::new();
        while !seen.ends_with(text) {
            let (first, payload) = self.next().await.expect("open");
            assert_eq!(first, 0x82, "after {seen:?}");
            seen.push_str(&String::from_utf8(payload).expect("text"));
        }
    }
}

fn deflate(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + 100);
    Compress::new(Compression::best(), false)
        .compress_vec(message, &mut out, FlushCompress::Sync)
        .expect("compressed");
    out.truncate(out.len() - 4);
    out
}

fn inflate(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 << 20);
    let message = [message, &[0, 0, 0xff, 0xff]].concat();
    Decompress::new(false)
        .decompress_vec(&message, &mut out, FlushDecompress::Sync)
        .expect("inflated");
    out
}

#[tokio::test]
async fn any_path_is_upgraded_and_info_comes_in_a_binary_frame() {
    let (server, addr) = open(WebSocketConfig::default()).await;
    let mut client = Frames::open(addr, &[]).await;
    assert!(
        client
            .response
            .starts_with("HTTP/1.1 101 Switching Protocols\r\n")
    );
    let (first, info) = client.next().await.expect("INFO");
    let info = String::from_utf8(info).expect("text");
    assert!(first == 0x82 && info.starts_with("INFO {"), "{info}");
    assert!(!info.contains("tls_") && info.contains(&format!("\"port\":{}", addr.port())));
    // Text and binary, in fragments, with a ping between them.
    client.send(0x01, b"CONNECT {\"verb").await;
    client.send(0x89, b"still there?").await;
    client.send(0x00, b"ose\":false}\r\n").await;
    client.send(0x80, b"PING\r\n").await;
    let answers = [client.next().await, client.next().await];
    assert!(
        answers.contains(&Some((0x8a, b"still there?".to_vec()))),
        "{answers:?}"
    );
    assert!(
        answers.contains(&Some((0x82, b"PONG\r\n".to_vec()))),
        "{answers:?}"
    );
    client.send(0x88, b"\x03\xe8bye").await;
    assert_eq!(client.closed().await, Some((1000, "bye".to_owned())));
    eventually(|| server.connections().is_empty()).await;
}

#[tokio::test]
async fn wss_is_tls_before_http() {
    let authority = Authority::new();
    let (_server, addr) = open(WebSocketConfig {
        tls: Some(Tls::open(&authority.tls()).expect("valid")),
        ..WebSocketConfig::default()
    })
    .await;
    let socket = TcpStream::connect(addr).await.expect("listens");
    let tls = authority.connector().connect(name("localhost"), socket);
    let mut client = Frames::over(tls.await.expect("TLS"), &[]).await;
    let (_, info) = client.next().await.expect("INFO");
    let info = String::from_utf8(info).expect("text");
    assert!(
        info.contains(r#""tls_required":true,"tls_available":true"#),
        "{info}"
    );
    client
        .send(
            0x82,
            format!("{CONNECT}SUB a 1\r\nPUB a 5\r\nhello\r\nPING\r\n").as_bytes(),
        )
        .await;
    client.expect("MSG a 1 5\r\nhello\r\nPONG\r\n").await;
    client.send(0x88, b"\x03\xe8").await;
    assert_eq!(client.closed().await, Some((1000, String::new())));
}

#[tokio::test]
async fn bad_frames_end_with_the_reason() {
    let (_server, addr) = open(WebSocketConfig::default()).await;
    let long = [&[0x89, 0xfe, 0x01, 0x00][..], &[0; 300]].concat();
    for (bytes, reason) in [
        (
            &[0x82, 0x05, b'h', b'e', b'l', b'l', b'o'][..],
            "mask bit missing",
        ),
        (&[0xb2, 0x80, 0, 0, 0, 0], "RSV2 and RSV3 must be clear"),
        (&[0xc2, 0x80, 0, 0, 0, 0], "RSV1 must be clear"),
        (&[0x83, 0x80, 0, 0, 0, 0], "unknown opcode"),
        (&[0x80, 0x80, 0, 0, 0, 0], "continuation of no message"),
        (&[0x09, 0x80, 0, 0, 0, 0], "control frame is in fragments"),
        (
            &[0x02, 0x80, 0, 0, 0, 0, 0x82, 0x80, 0, 0, 0, 0],
            "new message begun within another one",
        ),
        (
            &[0x88, 0x82, 0, 0, 0, 0, 0, 0],
            "close frame has no valid status or reason",
        ),
        (&long, "control frame is too long"),
    ] {
        let mut client = Frames::open(addr, &[]).await;
        client.send_raw(bytes).await;
        assert_eq!(
            client.closed().await,
            Some((1002, reason.to_owned())),
            "{bytes:?}"
        );
    }
}

#[tokio::test]
async fn masks_are_optional_only_where_that_was_agreed_on() {
    let (_server, addr) = open(WebSocketConfig::default()).await;
    let mut client = Frames::open(addr, &["Nats-No-Masking: true"]).await;
    assert!(client.response.contains("Nats-No-Masking: true\r\n"));
    client.next().await.expect("INFO");
    let ops = format!("{CONNECT}PING\r\n");
    let frame = [&[0x82, ops.len() as u8][..], ops.as_bytes()].concat();
    client.send_raw(&frame).await;
    client.expect("PONG\r\n").await;
}

#[tokio::test]
async fn compression_is_spoken_with_those_who_are_known() {
    let door = Arc::new(Tokens::default());
    let websocket = WebSocketConfig {
        compression: true,
        ..WebSocketConfig::default()
    };
    let (_server, addr) = serve(Config::default(), door, websocket).await;
    let offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits";
    let payload = "compressible ".repeat(20_000);
    for agent in [
        "",
        "User-Agent: Mozilla/5.0 Chrome",
        "User-Agent: Mozilla/5.0 Version/17 Safari/6",
    ] {
        let mut client =
            Frames::open(addr, &[offer, agent][..1 + usize::from(!agent.is_empty())]).await;
        assert!(client.response.contains(
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
        ));
        let (first, info) = client.next().await.expect("INFO");
        assert!(
            first == 0x82 && info.starts_with(b"INFO {"),
            "a stranger's INFO is not compressed"
        );
        client
            .send(
                0xc2,
                &deflate(b"CONNECT {\"verbose\":false,\"auth_token\":\"t\"}\r\nSUB a 1\r\n"),
            )
            .await;
        let publish = format!("PUB a {}\r\n{payload}\r\nPING\r\n", payload.len());
        let compressed = deflate(publish.as_bytes());
        let (one, two) = compressed.split_at(100);
        client.send(0x42, one).await;
        client.send(0x80, two).await;
        let mut seen = Vec::new();
        let mut message = Vec::new();
        let mut is_compressed = false;
        while !seen.ends_with(b"PONG\r\n") {
            let (first, frame) = client.next().await.expect("open");
            if first & 0x0f == 2 {
                is_compressed = first & 0x40 != 0;
            }
            message.extend_from_slice(&frame);
            if first & 0x80 != 0 {
                let message = std::mem::take(&mut message);
                seen.extend(match is_compressed {
                    true => inflate(&message),
                    false => message,
                });
            }
        }
        let expected = format!("MSG a 1 {}\r\n{payload}\r\nPONG\r\n", payload.len());
        assert!(seen == expected.as_bytes(), "{agent}");
    }
}

/// GHSA-qrvq-68c2-7grw: a few bytes before CONNECT that inflate without end.
#[tokio::test]
async fn ghsa_qrvq_68c2_7grw_no_bomb_before_connect() {
    let websocket = WebSocketConfig {
        compression: true,
        ..WebSocketConfig::default()
    };
    let (server, addr) = serve(Config::default(), Arc::new(Tokens::default()), websocket).await;
    let offer = "Sec-WebSocket-Extensions: permessage-deflate";
    let mut client = Frames::open(addr, &[offer]).await;
    client.send(0xc2, &deflate(&vec![b' '; 4 << 20])).await;
    assert_eq!(client.closed().await.map(|(status, _)| status), Some(1009));
    // In fragments nothing would be held back either.
    let mut client = Frames::open(addr, &[offer]).await;
    client.send(0x42, &deflate(b"CONNECT {}\r\n")).await;
    assert_eq!(client.closed().await.map(|(status, _)| status), Some(1009));
    eventually(|| server.connections().is_empty()).await;
}

/// GHSA-8r68-gvr4-jh7j: memory of the WebSocket port that grew without end before CONNECT.
#[tokio::test]
async fn ghsa_8r68_gvr4_jh7j_strangers_have_a_budget_of_bytes_and_time() {
    let config = Config {
        auth_timeout: Duration::from_millis(200),
        ..Config::default()
    };
    let websocket = WebSocketConfig {
        handshake_timeout: Duration::from_millis(200),
        ..WebSocketConfig::default()
    };
    let (server, addr) = serve(config, Arc::new(Tokens::default()), websocket).await;
    // Empty frames are bytes too.
    let mut client = Frames::open(addr, &[]).await;
    client.next().await.expect("INFO");
    for _ in 0..4096 {
        client.send(0x82, b"").await;
    }
    assert_eq!(client.closed().await.map(|(status, _)| status), Some(1008));
    // A frame that is announced and never comes, and one that comes slowly.
    for bytes in [&b"\x82\xff\0\0\0\0\x01\0\0\0mask"[..], b"\x82\xfe"] {
        let mut client = Frames::open(addr, &[]).await;
        client.send_raw(bytes).await;
        assert_eq!(client.closed().await.map(|(status, _)| status), Some(1008));
    }
    // No request at all, half of one, and one without end.
    let endless = format!("GET / HTTP/1.1\r\n{}", "A: b\r\n".repeat(4000));
    for bytes in ["", "GET / HTTP/1.1\r\nHost:", &endless] {
        let mut socket = TcpStream::connect(addr).await.expect("listens");
        let _ = socket.write_all(bytes.as_bytes()).await;
        let mut seen = Vec::new();
        let _ = socket.read_to_end(&mut seen).await;
    }
    eventually(|| server.connections().is_empty()).await;
}

/// CVE-2026-27889: frame lengths near the ends of 64 bits.
#[tokio::test]
async fn cve_2026_27889_absurd_lengths_end_the_connection_only() {
    let (server, addr) = open(WebSocketConfig::default()).await;
    for len in [
        1 << 31,
        1 << 32,
        1 << 62,
        u64::MAX >> 1,
        (u64::MAX >> 1) + 1,
        u64::MAX - 13,
        u64::MAX,
    ] {
        let mut client = Frames::open(addr, &[]).await;
        let frame = [&[0x82, 0xff][..], &len.to_be_bytes(), b"mask"].concat();
        client.send_raw(&frame).await;
        let status = client.closed().await.map(|(status, _)| status);
        assert!(matches!(status, Some(1002 | 1009)), "{len:#x}: {status:?}");
    }
    eventually(|| server.connections().is_empty()).await;
    let mut client = Frames::open(addr, &[]).await;
    assert!(client.next().await.is_some(), "the server is still there");
}

/// CVE-2026-48779 (of another server): memory for every one of endless tiny fragments.
#[tokio::test]
async fn cve_2026_48779_fragments_are_counted_and_not_kept() {
    let (_server, addr) = open(WebSocketConfig::default()).await;
    let mut client = Frames::open(addr, &[]).await;
    client.next().await.expect("INFO");
    client.send(0x82, CONNECT.as_bytes()).await;
    client.send(0x02, b"P").await;
    for _ in 0..5000 {
        client.send(0x00, b"").await;
    }
    let closed = client.closed().await;
    assert_eq!(
        closed,
        Some((1009, "message has too many fragments".to_owned()))
    );
}

/// GHSA-52jh-2xxh-pwh6: compression on a leaf node's connection before it is known.
#[tokio::test]
async fn ghsa_52jh_2xxh_pwh6_no_leaf_comes_in_where_none_is_wanted() {
    let (server, addr) = open(WebSocketConfig {
        compression: true,
        ..WebSocketConfig::default()
    })
    .await;
    let mut socket = TcpStream::connect(addr).await.expect("listens");
    let request = "GET /leafnode HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                   Sec-WebSocket-Key: YWFhYWFhYWFhYWFhYWFhYQ==\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
    socket.write_all(request.as_bytes()).await.expect("open");
    let mut seen = String::new();
    let _ = socket.read_to_string(&mut seen).await;
    assert!(
        seen.starts_with("HTTP/1.1 101 ") && seen.ends_with("\r\n\r\n"),
        "{seen}"
    );
    assert_eq!(server.snapshot().total_connections, 0);
}

#[tokio::test]
async fn cookies_stand_in_for_what_connect_leaves_empty() {
    let door = Arc::new(Tokens::default());
    let websocket = || WebSocketConfig {
        cookies: CookieNames {
            token: Some("session".to_owned()),
            ..CookieNames::default()
        },
        ..WebSocketConfig::default()
    };
    let (_server, addr) = serve(Config::default(), door.clone(), websocket()).await;
    let ops = format!("{CONNECT}PING\r\n");
    let mut client = Frames::open(
        addr,
        &["Cookie: a=b; session=secret", "Origin: http://localhost"],
    )
    .await;
    client.next().await.expect("INFO");
    client.send(0x82, ops.as_bytes()).await;
    client.expect("PONG\r\n").await;
    let said = door.0.lock().expect("no panic").pop().expect("asked");
    assert_eq!(said.auth_token.as_deref(), Some("secret"));

    let mut client = Frames::open(addr, &["Cookie: session=secret"]).await;
    client.next().await.expect("INFO");
    client
        .send(
            0x82,
            b"CONNECT {\"verbose\":false,\"auth_token\":\"own\"}\r\nPING\r\n",
        )
        .await;
    client.expect("PONG\r\n").await;
    let said = door.0.lock().expect("no panic").pop().expect("asked");
    assert_eq!(said.auth_token.as_deref(), Some("own"));

    let mut client = Frames::open(
        addr,
        &["Cookie: session=secret", "Origin: https://evil.example"],
    )
    .await;
    client.next().await.expect("INFO");
    client.send(0x82, ops.as_bytes()).await;
    let closed = client.closed().await;
    assert_eq!(closed, Some((1008, "Authentication Failure".to_owned())));
}

#[tokio::test]
async fn the_listener_tells_the_authenticator_what_holds_there() {
    let door = Arc::new(Tokens::default());
    let websocket = WebSocketConfig {
        no_auth_user: Some("guest".to_owned()),
        trusted_proxies: TrustedProxies::parse(["127.0.0.0/8"]).expect("valid"),
        ..WebSocketConfig::default()
    };
    let (server, addr) = serve(Config::default(), door.clone(), websocket).await;
    let mut client = Frames::open(addr, &["X-Forwarded-For: 6.6.6.6, 198.51.100.7"]).await;
    client.next().await.expect("INFO");
    assert_eq!(
        server.connections()[0].peer.ip().to_string(),
        "198.51.100.7"
    );
    client.send(0x82, CONNECT.as_bytes()).await;
    client.closed().await.expect("refused");
    let said = door.0.lock().expect("no panic").pop().expect("asked");
    assert_eq!(said.no_auth_user.as_deref(), Some("guest"));
    assert_eq!(said.peer.ip().to_string(), "198.51.100.7");
    assert!(said.proxy.is_some_and(|proxy| proxy.ip().is_loopback()));
}

#[tokio::test]
async fn too_many_are_told_so_behind_the_upgrade() {
    let config = Config {
        limits: Limits {
            connections_per_address_max: 1,
            ..Limits::default()
        },
        ..Config::default()
    };
    let (_server, addr) = serve(
        config,
        Arc::new(AllowAll::new("A")),
        WebSocketConfig::default(),
    )
    .await;
    let mut first = Frames::open(addr, &[]).await;
    first.next().await.expect("INFO");
    let mut second = Frames::open(addr, &[]).await;
    second
        .expect("-ERR 'maximum connections exceeded'\r\n")
        .await;
    let closed = second.closed().await;
    assert_eq!(
        closed,
        Some((1008, "Maximum Connections Exceeded".to_owned()))
    );
}

#[tokio::test]
async fn frames_before_the_answer_end_the_connection() {
    let (_server, addr) = open(WebSocketConfig::default()).await;
    let mut raw = Raw::over(TcpStream::connect(addr).await.expect("listens"));
    raw.send(
        "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: YWFhYWFhYWFhYWFhYWFhYQ==\r\nSec-WebSocket-Version: 13\r\n\r\nearly",
    )
    .await;
    raw.expect_closed("").await;
}

#[tokio::test]
async fn large_messages_reach_programs_whole_and_browsers_in_small_frames() {
    let (_server, addr) = open(WebSocketConfig::default()).await;
    for (agent, frame_max) in [("X: y", 64 << 10), ("User-Agent: Mozilla/5.0", 4096)] {
        let mut client = Frames::open(addr, &[agent]).await;
        client.next().await.expect("INFO");
        let payload = "x".repeat(300_000);
        client
            .send(
                0x82,
                format!("{CONNECT}SUB a 1\r\nPUB a 300000\r\n").as_bytes(),
            )
            .await;
        for piece in payload.as_bytes().chunks(50_000) {
            client.send(0x82, piece).await;
        }
        client.send(0x82, b"\r\nPING\r\n").await;
        let mut seen = Vec::new();
        let mut largest = 0;
        while !seen.ends_with(b"PONG\r\n") {
            let (_, frame) = client.next().await.expect("open");
            largest = largest.max(frame.len());
            seen.extend(frame);
        }
        let expected = format!("MSG a 1 300000\r\n{payload}\r\nPONG\r\n");
        assert!(
            seen == expected.as_bytes() && largest <= frame_max,
            "{agent}: {largest}"
        );
    }
}
