//! The broker alone, for the figures of the table: everybody may do everything, and is checked for it.
//!
//! usage: `bench_server TCP_ADDRESS [WEBSOCKET_ADDRESS]`

use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use broker::{
    AuthError, Authenticator, Config, ConnectRequest, ConnectionInfo, Identity, Permissions,
    Server, SubjectPermissions,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// Lists as long as a chat user's, in which everything that is measured is allowed.
struct Open;

#[async_trait]
impl Authenticator for Open {
    async fn authenticate(&self, request: ConnectRequest) -> Result<Identity, AuthError> {
        let list = |subjects: &[&str]| SubjectPermissions {
            allow: Some(
                subjects
                    .iter()
                    .map(|subject| (*subject).to_owned())
                    .collect(),
            ),
            deny: Vec::new(),
        };
        let name = request.name.unwrap_or_else(|| "bench".to_owned());
        let mut identity = Identity::new(name, "CHAT");
        identity.permissions = Permissions {
            publish: list(&[
                "deliver.bench.send.>",
                "room.join.*",
                "msg.get",
                "_INBOX.>",
                "bench.>",
            ]),
            subscribe: list(&[
                "deliver.bench.>",
                "room.notify.*",
                "room.presence.*",
                "_INBOX.>",
                "bench.>",
            ]),
            private_inboxes: true,
            ..Permissions::default()
        };
        Ok(identity)
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match serve().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[allow(clippy::print_stderr, reason = "a command line tool")]
            {
                eprintln!("bench_server: {error}");
            }
            ExitCode::FAILURE
        }
    }
}

async fn serve() -> io::Result<()> {
    let mut addresses = std::env::args()
        .skip(1)
        .map(|text| text.parse::<SocketAddr>());
    let usage = || io::Error::other("usage: bench_server TCP_ADDRESS [WEBSOCKET_ADDRESS]");
    let tcp = addresses.next().and_then(Result::ok).ok_or_else(usage)?;
    let server = Server::new(Config::default(), Arc::new(Open), None);
    server.listen_tcp(tcp).await.map_err(io::Error::other)?;
    let Some(websocket) = addresses.next() else {
        return std::future::pending().await;
    };
    let listener = TcpListener::bind(websocket.map_err(io::Error::other)?).await?;
    loop {
        let (stream, peer) = listener.accept().await?;
        let server = server.clone();
        tokio::spawn(async move {
            if let Ok(stream) = upgrade(stream).await {
                server.accept_websocket(stream, ConnectionInfo::new(peer));
            }
        });
    }
}

/// The HTTP side of a WebSocket, just enough for the generator.
async fn upgrade(mut stream: TcpStream) -> io::Result<TcpStream> {
    let mut head = Vec::with_capacity(512);
    while !head.ends_with(b"\r\n\r\n") && head.len() < 4096 {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let key = head
        .lines()
        .find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "))
        .ok_or_else(|| io::Error::other("not a WebSocket request"))?;
    let accept = derive_accept_key(key.trim().as_bytes());
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    stream.write_all(answer.as_bytes()).await?;
    Ok(stream)
}
