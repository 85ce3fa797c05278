//! What is measured.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use crate::client::{self, Connection};
use crate::server::Server;

/// One figure of the table.
pub(crate) enum Scenario {
    /// One publisher, some plain subscribers on its subject.
    Publish {
        payload_bytes: usize,
        receivers: usize,
        messages: u64,
    },
    /// One request at a time; the answer comes from another connection.
    Request { requests: u64, percentile: usize },
}

/// All of them, with message counts for about a second each on a small machine.
pub(crate) fn all(scale: u64) -> Vec<Scenario> {
    let publish = |payload_bytes, receivers, messages: u64| Scenario::Publish {
        payload_bytes,
        receivers,
        messages: (messages * scale / 100).max(1),
    };
    let requests = (10_000 * scale / 100).max(100);
    vec![
        publish(16, 1, 4_000_000),
        publish(128, 1, 3_000_000),
        publish(4096, 1, 300_000),
        publish(16, 10, 800_000),
        publish(128, 10, 600_000),
        Scenario::Request {
            requests,
            percentile: 50,
        },
        Scenario::Request {
            requests,
            percentile: 99,
        },
    ]
}

impl Scenario {
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Publish {
                payload_bytes,
                receivers,
                ..
            } => format!("publish/subscribe, {payload_bytes} B, 1 to {receivers}"),
            Self::Request { percentile: 50, .. } => "request-reply, median".to_owned(),
            Self::Request { percentile, .. } => format!("request-reply, p{percentile}"),
        }
    }

    /// Whether a larger figure is the better one.
    pub(crate) fn is_rate(&self) -> bool {
        matches!(self, Self::Publish { .. })
    }

    /// Delivered messages per second, or microseconds.
    pub(crate) fn run(&self, server: &Server, percent: u64) -> Result<f64, String> {
        let part = |count: u64| (count * percent / 100).max(1);
        let figure = match *self {
            Self::Publish {
                payload_bytes,
                receivers,
                messages,
            } => publish(server, payload_bytes, receivers, part(messages)),
            Self::Request {
                requests,
                percentile,
            } => request(server, part(requests), percentile),
        };
        figure.map_err(|error| format!("{}: {}: {error}", server.name, self.name()))
    }
}

fn publish(
    server: &Server,
    payload_bytes: usize,
    receivers: usize,
    messages: u64,
) -> std::io::Result<f64> {
    const SUBJECT: &str = "bench.room.general";
    let payload = "x".repeat(payload_bytes);
    let frame = format!("PUB {SUBJECT} {payload_bytes}\r\n{payload}\r\n");
    let delivered = format!("MSG {SUBJECT} 1 {payload_bytes}\r\n{payload}\r\n");
    let expected = delivered.len() as u64 * messages;
    let ready = Barrier::new(receivers + 1);
    let mut publisher = server.connect("")?;
    std::thread::scope(|scope| {
        let subscribers: Vec<_> = (0..receivers)
            .map(|_| {
                let ready = &ready;
                scope.spawn(move || {
                    let connection = server.connect(&format!("SUB {SUBJECT} 1\r\n"));
                    ready.wait();
                    connection?.receive(expected)?;
                    Ok::<_, std::io::Error>(Instant::now())
                })
            })
            .collect();
        ready.wait();
        let start = Instant::now();
        publisher.send(frame.as_bytes(), messages)?;
        let mut end = start;
        for subscriber in subscribers {
            end = end.max(subscriber.join().expect("a subscriber does not panic")?);
        }
        Ok(messages as f64 * receivers as f64 / (end - start).as_secs_f64())
    })
}

/// One round trip after the other, with a new reply subject each time, as real clients do.
fn request(server: &Server, requests: u64, percentile: usize) -> std::io::Result<f64> {
    let mut answering = server.connect("SUB bench.service 1\r\n")?;
    let mut asking = server.connect("SUB _INBOX.benchbenchbenchbench.* 1\r\n")?;
    std::thread::scope(|scope| {
        scope.spawn(move || answer(&mut answering));
        let mut replies = BufReader::with_capacity(4096, asking.stream.try_clone()?);
        let mut line = Vec::new();
        let mut body = [0; 18];
        let mut took = Vec::with_capacity(requests as usize);
        for number in 0..requests {
            let request = format!(
                "PUB bench.service _INBOX.benchbenchbenchbench.{number:08} 16\r\n0123456789abcdef\r\n"
            );
            let start = Instant::now();
            asking.stream.write_all(request.as_bytes())?;
            loop {
                line.clear();
                replies.read_until(b'\n', &mut line)?;
                if line.starts_with(b"MSG ") {
                    replies.read_exact(&mut body)?;
                    break;
                }
                if !line.starts_with(b"PING") {
                    let text = String::from_utf8_lossy(&line).into_owned();
                    return Err(std::io::Error::other(format!("unexpected: {text:?}")));
                }
            }
            took.push(start.elapsed());
        }
        // The answering thread ends with this message.
        asking.stream.write_all(b"PUB bench.service 0\r\n\r\n")?;
        took.sort_unstable();
        let at = (took.len() * percentile / 100).min(took.len() - 1);
        Ok(took[at].as_secs_f64() * 1e6)
    })
}

fn answer(connection: &mut Connection) -> std::io::Result<()> {
    let mut requests = BufReader::with_capacity(4096, connection.stream.try_clone()?);
    let mut line = String::new();
    let mut body = [0; 18];
    loop {
        line.clear();
        if requests.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        match words.as_slice() {
            ["MSG", _, _, reply, _] => {
                requests.read_exact(&mut body)?;
                let reply = format!("PUB {reply} 16\r\n0123456789abcdef\r\n");
                connection.stream.write_all(reply.as_bytes())?;
            }
            ["MSG", ..] => return Ok(()),
            _ => {}
        }
    }
}

/// Memory that `count` idle WebSocket connections take: what the server's resident set grows by, in bytes.
///
/// Each has four subscriptions, like a chat client that is open in a tab.
pub(crate) fn idle_websockets(server: &Server, count: usize) -> Result<u64, String> {
    let before = server.resident_bytes()?;
    let mut open = Vec::with_capacity(count);
    for number in 0..count {
        let connection = websocket(server, number)
            .map_err(|error| format!("{}: WebSocket {number}: {error}", server.name))?;
        open.push(connection);
    }
    std::thread::sleep(Duration::from_secs(2));
    let after = server.resident_bytes()?;
    Ok(after.saturating_sub(before))
}

fn websocket(server: &Server, number: usize) -> std::io::Result<TcpStream> {
    let address = server
        .websocket
        .expect("only asked of servers that have one");
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let request = format!(
        "GET /nats-ws HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    if !head.starts_with(b"HTTP/1.1 101") {
        let text = String::from_utf8_lossy(&head).into_owned();
        return Err(std::io::Error::other(text));
    }
    let me = server.user();
    let setup = format!(
        "SUB deliver.{me}.> 1\r\nSUB _INBOX.websocket{number:012}.* 2\r\nSUB room.notify.general 3\r\n\
         SUB room.presence.general 4\r\n"
    );
    let hello = client::hello(server.token.as_deref(), &setup);
    stream.write_all(&masked(hello.as_bytes()))?;
    client::wait_for_pong(&mut stream)?;
    Ok(stream)
}

/// One binary WebSocket frame with an all-zero mask.
fn masked(payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x82];
    match payload.len() {
        len @ 0..=125 => frame.push(0x80 | len as u8),
        len => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(len as u16).to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}
