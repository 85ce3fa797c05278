//! NATS over WebSocket, after the HTTP upgrade.

mod support;

use std::sync::Arc;

use broker::{AllowAll, Config, ConnectionInfo, Limits, Server};
use futures_util::{SinkExt, StreamExt};
use support::eventually;
use tokio::io::{AsyncWriteExt, DuplexStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

type Socket = WebSocketStream<DuplexStream>;

fn server(limits: Limits) -> Server {
    Server::new(
        Config {
            limits,
            ..Config::default()
        },
        Arc::new(AllowAll::new("A")),
        None,
    )
}

fn info() -> ConnectionInfo {
    ConnectionInfo::new(([127, 0, 0, 1], 9).into())
}

async fn open(server: &Server, info: ConnectionInfo) -> Socket {
    let (near, far) = tokio::io::duplex(64 << 10);
    server.accept_websocket(far, info);
    let mut socket = WebSocketStream::from_raw_socket(near, Role::Client, None).await;
    let first = socket.next().await.expect("open").expect("a message");
    assert!(first.is_binary() && first.to_text().expect("text").starts_with("INFO {"));
    socket
}

/// Everything until `end` has come, and the sizes of the messages.
async fn read_until(socket: &mut Socket, end: &str) -> (String, usize) {
    let (mut seen, mut largest) = (String::new(), 0);
    while !seen.ends_with(end) {
        let message = socket.next().await.expect("open").expect("a message");
        largest = largest.max(message.len());
        seen.push_str(message.to_text().expect("text"));
    }
    (seen, largest)
}

#[tokio::test]
async fn operations_span_messages_and_share_them() {
    let server = server(Limits::default());
    let mut socket = open(&server, info()).await;
    socket
        .send(Message::text(
            "CONNECT {\"verbose\":false}\r\nSUB a 1\r\nPU",
        ))
        .await
        .expect("open");
    socket
        .send(Message::binary("B a 5\r\nhe"))
        .await
        .expect("open");
    socket
        .send(Message::binary("llo\r\nPING\r\n"))
        .await
        .expect("open");
    let (seen, _) = read_until(&mut socket, "PONG\r\n").await;
    assert_eq!(seen, "MSG a 1 5\r\nhello\r\nPONG\r\n");
    assert_eq!(server.connections()[0].kind, "websocket");
}

#[tokio::test]
async fn large_payloads_cross_in_bounded_messages() {
    let server = server(Limits::default());
    for info in [info(), info().with_user_agent("Mozilla/5.0")] {
        let mut socket = open(&server, info).await;
        let payload = "x".repeat(300_000);
        let text = format!(
            "CONNECT {{\"verbose\":false}}\r\nSUB a 1\r\nPUB a 300000\r\n{payload}\r\nPING\r\n"
        );
        socket.send(Message::binary(text)).await.expect("open");
        let (seen, largest) = read_until(&mut socket, "PONG\r\n").await;
        assert_eq!(seen, format!("MSG a 1 300000\r\n{payload}\r\nPONG\r\n"));
        assert!(largest <= 64 << 10);
    }
}

#[tokio::test]
async fn pings_are_answered_and_a_close_is_echoed() {
    let server = server(Limits::default());
    let mut socket = open(&server, info()).await;
    socket.send(Message::Ping("x".into())).await.expect("open");
    assert_eq!(
        socket.next().await.expect("open").expect("a message"),
        Message::Pong("x".into())
    );
    socket.close(None).await.expect("open");
    while let Some(Ok(_)) = socket.next().await {}
    eventually(|| server.snapshot().connections == 0).await;
}

#[tokio::test]
async fn endings_have_their_status() {
    let limits = Limits {
        payload_bytes_max: 10,
        ..Limits::default()
    };
    let server = server(limits);
    let cases = [
        ("PUB a 11\r\n", 1009, "-ERR 'Maximum Payload Violation'\r\n"),
        ("BAD\r\n", 1002, "-ERR 'Unknown Protocol Operation'\r\n"),
        ("PUB a\r\n", 1002, ""),
    ];
    for (op, status, text) in cases {
        let mut socket = open(&server, info()).await;
        socket
            .send(Message::text(format!(
                "CONNECT {{\"verbose\":false}}\r\n{op}"
            )))
            .await
            .expect("open");
        let mut seen = String::new();
        let frame = loop {
            match socket
                .next()
                .await
                .expect("a close frame")
                .expect("a message")
            {
                Message::Close(frame) => break frame.expect("a status"),
                message => seen.push_str(message.to_text().expect("text")),
            }
        };
        assert_eq!(
            (u16::from(frame.code), seen.as_str()),
            (status, text),
            "{op}"
        );
    }
    let mut socket = open(&server, info()).await;
    server.shutdown().await;
    let Some(Ok(Message::Close(Some(frame)))) = socket.next().await else {
        panic!("no close frame");
    };
    assert_eq!(u16::from(frame.code), 1001);
}

#[tokio::test]
async fn malformed_frames_end_the_connection_only() {
    let server = server(Limits::default());
    let mut long_ping = vec![0x89, 0xfe, 0x01, 0x00, 0, 0, 0, 0];
    long_ping.resize(300, b'x');
    for bytes in [
        &[0x82, 0x05, b'h', b'e', b'l', b'l', b'o'][..], // not masked
        &[0xf2, 0x80, 0, 0, 0, 0],                       // reserved bits
        &[
            0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0,
        ], // absurd length
        &long_ping,
    ] {
        let (mut near, far) = tokio::io::duplex(64 << 10);
        server.accept_websocket(far, info());
        near.write_all(bytes).await.expect("open");
        eventually(|| {
            server.snapshot().connections == 0 && server.snapshot().total_connections > 0
        })
        .await;
    }
}
