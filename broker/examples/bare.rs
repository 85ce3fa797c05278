//! A broker on its own, for measurements: `bare <nats address> [<websocket address>]`; everybody is let in.

use std::net::SocketAddr;
use std::sync::Arc;

use broker::{AllowAll, Config, ConnectionInfo, Server};
use tokio::net::TcpListener;
use tokio_tungstenite::accept_async_with_config;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut addresses = std::env::args()
        .skip(1)
        .map(|text| text.parse::<SocketAddr>());
    let nats = addresses
        .next()
        .unwrap_or(Ok(([127, 0, 0, 1], 4222).into()))?;
    let server = Server::new(Config::default(), Arc::new(AllowAll::new("$G")), None);
    server.listen_tcp(nats).await?;
    let Some(websocket) = addresses.next() else {
        return std::future::pending().await;
    };
    let listener = TcpListener::bind(websocket?).await?;
    loop {
        let (socket, peer) = listener.accept().await?;
        let server = server.clone();
        tokio::spawn(async move {
            let config = WebSocketConfig::default().read_buffer_size(1024);
            if let Ok(upgraded) = accept_async_with_config(socket, Some(config)).await {
                server.accept_websocket(upgraded.into_inner(), ConnectionInfo::new(peer));
            }
        });
    }
}
