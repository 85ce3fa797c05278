//! One reader that stops reading is cut off and counted, and the others get everything.

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use broker::{Config, Limits};
use support::{Raw, eventually, open_server};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

const READERS: usize = 999;
const MESSAGES: usize = 200;
const PAYLOAD_BYTES: usize = 4 << 10;
/// Messages published before the readers are waited for: none of them is slow.
const STRIDE: usize = 50;
/// Messages for the one that stops only: more than the buffers of both sockets and what may wait for it.
const FLOOD: usize = 4000;
/// What may wait for one reader: more than one that keeps up ever has.
const PENDING_BYTES_MAX: usize = 512 << 10;

fn frame() -> String {
    format!(
        "MSG a 1 {PAYLOAD_BYTES}\r\n{}\r\n",
        "x".repeat(PAYLOAD_BYTES)
    )
}

/// A subscriber that takes little at once: what it does not read waits in the server.
async fn subscribe_narrowly(addr: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket
        .set_recv_buffer_size(16 << 10)
        .expect("a socket takes its buffer's size");
    subscribe(socket.connect(addr).await.expect("the server listens")).await
}

async fn subscribe(mut socket: TcpStream) -> TcpStream {
    let setup = b"CONNECT {\"verbose\":false}\r\nSUB a 1\r\nPING\r\n";
    socket.write_all(setup).await.expect("open");
    let mut seen = Vec::new();
    while !seen.ends_with(b"PONG\r\n") {
        seen.push(socket.read_u8().await.expect("open"));
    }
    socket
}

/// The next delivery as it came, past a PING of the server's.
async fn next_frame(socket: &mut BufReader<TcpStream>) -> String {
    let mut frame = String::new();
    while !frame.starts_with("MSG") {
        frame.clear();
        let read = socket.read_line(&mut frame).await;
        assert!(
            read.expect("the connection is open") > 0,
            "it is not cut off"
        );
    }
    let mut rest = vec![0; PAYLOAD_BYTES + 2];
    socket.read_exact(&mut rest).await.expect("a whole message");
    frame + &String::from_utf8(rest).expect("text")
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_1000_readers_that_stops_changes_nothing_for_the_others() {
    let limits = Limits {
        pending_bytes_max: PENDING_BYTES_MAX,
        ..Limits::default()
    };
    let config = Config {
        limits,
        ..Config::default()
    };
    let (server, addr) = open_server(config).await;
    let mut stopped = subscribe_narrowly(addr).await;
    let setup = stopped.write_all(b"SUB flood 2\r\n").await;
    setup.expect("the connection is open");
    let read_by_all = Arc::new(AtomicUsize::new(0));
    let mut readers = JoinSet::new();
    for _ in 0..READERS {
        let socket = TcpStream::connect(addr).await.expect("the server listens");
        let socket = subscribe(socket).await;
        let read_by_all = read_by_all.clone();
        readers.spawn(async move {
            let frame = frame();
            let mut socket = BufReader::new(socket);
            for number in 0..MESSAGES {
                assert!(next_frame(&mut socket).await == frame, "message {number}");
                read_by_all.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    let mut publisher = Raw::quiet(addr).await;
    let payload = "x".repeat(PAYLOAD_BYTES);
    let message = format!("PUB a {PAYLOAD_BYTES}\r\n{payload}\r\n");
    let flood = format!("PUB flood {PAYLOAD_BYTES}\r\n{payload}\r\n");
    let flood = flood.repeat(FLOOD / (MESSAGES / STRIDE));
    for published in (STRIDE..=MESSAGES).step_by(STRIDE) {
        publisher.send(message.repeat(STRIDE)).await;
        publisher.send(&flood).await;
        eventually(|| read_by_all.load(Ordering::Relaxed) == published * READERS).await;
    }
    while let Some(read) = readers.join_next().await {
        read.expect("a reader gets everything");
    }
    eventually(|| server.snapshot().slow_consumers == 1).await;
    drop(stopped);
}
