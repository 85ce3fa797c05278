//! A raw client on a real socket: what the tests see is what the wire carries.

#![allow(dead_code, reason = "each suite uses its own part")]

pub(crate) mod certificates;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use broker::{AllowAll, Authenticator, Config, Server};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

/// Nothing that the tests wait for takes longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server on a free port that lets everybody in.
pub(crate) async fn open_server(config: Config) -> (Server, SocketAddr) {
    server_with(config, Arc::new(AllowAll::new("A"))).await
}

/// A server on a free port.
pub(crate) async fn server_with(
    config: Config,
    authenticator: Arc<dyn Authenticator>,
) -> (Server, SocketAddr) {
    let server = Server::new(config, authenticator, None);
    let addr = server
        .listen_tcp(([127, 0, 0, 1], 0).into())
        .await
        .expect("a free port");
    (server, addr)
}

/// Whatever carries the bytes of a connection.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// One connection.
pub(crate) struct Raw {
    socket: Box<dyn Io>,
    seen: Vec<u8>,
}

impl Raw {
    /// Connects and reads INFO.
    pub(crate) async fn open(addr: SocketAddr) -> Self {
        Self::open_with_info(addr).await.0
    }

    /// Connects; INFO's line comes with it.
    pub(crate) async fn open_with_info(addr: SocketAddr) -> (Self, String) {
        let socket = TcpStream::connect(addr).await.expect("the server listens");
        let mut raw = Self::over(socket);
        let info = raw.line().await;
        assert!(info.starts_with("INFO {"), "{info}");
        (raw, info)
    }

    /// A connection over something that is open already. Nothing has been read of it.
    pub(crate) fn over(socket: impl Io + 'static) -> Self {
        Self {
            socket: Box::new(socket),
            seen: Vec::new(),
        }
    }

    /// Connects, sends CONNECT with these options and waits until the server has taken them.
    pub(crate) async fn connect(addr: SocketAddr, options: &str) -> Self {
        let mut raw = Self::open(addr).await;
        raw.send(&format!("CONNECT {{{options}}}\r\nPING\r\n"))
            .await;
        raw.expect("PONG\r\n").await;
        raw
    }

    /// A client without verbose and pedantic, with headers and no responders.
    pub(crate) async fn quiet(addr: SocketAddr) -> Self {
        Self::connect(
            addr,
            r#""verbose":false,"pedantic":false,"headers":true,"no_responders":true"#,
        )
        .await
    }

    pub(crate) async fn send(&mut self, text: impl AsRef<[u8]>) {
        self.socket
            .write_all(text.as_ref())
            .await
            .expect("the connection is open");
    }

    /// Sends what the server may not want to read to the end.
    pub(crate) async fn send_anyway(&mut self, text: impl AsRef<[u8]>) {
        let _ = self.socket.write_all(text.as_ref()).await;
    }

    async fn fill(&mut self) -> usize {
        let read = self.socket.read_buf(&mut self.seen);
        tokio::time::timeout(PATIENCE, read)
            .await
            .expect("an answer in time")
            .unwrap_or(0)
    }

    /// One line, without its end.
    pub(crate) async fn line(&mut self) -> String {
        loop {
            if let Some(end) = self.seen.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.seen.drain(..=end).collect();
                return String::from_utf8_lossy(&line).trim_end().to_owned();
            }
            assert!(
                self.fill().await > 0,
                "closed; seen {:?}",
                String::from_utf8_lossy(&self.seen)
            );
        }
    }

    /// The next `len` bytes, whatever they are.
    pub(crate) async fn bytes(&mut self, len: usize) -> Vec<u8> {
        while self.seen.len() < len {
            assert!(
                self.fill().await > 0,
                "closed; seen {:?}",
                String::from_utf8_lossy(&self.seen)
            );
        }
        self.seen.drain(..len).collect()
    }

    /// Exactly these bytes, next.
    #[track_caller]
    pub(crate) fn expect<'a>(&'a mut self, text: &'a str) -> impl Future<Output = ()> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            while self.seen.len() < text.len() {
                assert!(
                    self.fill().await > 0,
                    "{caller}: closed; seen {:?}",
                    String::from_utf8_lossy(&self.seen)
                );
            }
            let seen: Vec<u8> = self.seen.drain(..text.len()).collect();
            assert_eq!(String::from_utf8_lossy(&seen), text, "{caller}");
        }
    }

    /// Everything sent so far was processed, and nothing else came.
    #[track_caller]
    pub(crate) fn expect_quiet(&mut self) -> impl Future<Output = ()> + '_ {
        let caller = std::panic::Location::caller();
        async move {
            self.send("PING\r\n").await;
            let line = self.line().await;
            assert_eq!(line, "PONG", "{caller}");
        }
    }

    /// Everything that comes until the server closes.
    pub(crate) async fn rest(mut self) -> String {
        while self.fill().await > 0 {}
        String::from_utf8_lossy(&self.seen).into_owned()
    }

    /// Whether the next thing that comes is an error; a PING makes sure that something comes.
    pub(crate) async fn rest_begins_with_error(mut self) -> bool {
        self.send_anyway("CONNECT {\"verbose\":false}\r\nPING\r\n")
            .await;
        self.line().await.starts_with("-ERR")
    }

    /// The server closes, and says exactly this before.
    #[track_caller]
    pub(crate) fn expect_closed(self, text: &'static str) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move { assert_eq!(self.rest().await, text, "{caller}") }
    }
}

/// Waits for a condition.
pub(crate) async fn eventually(mut condition: impl FnMut() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting)
        .await
        .expect("the condition came true in time");
}
