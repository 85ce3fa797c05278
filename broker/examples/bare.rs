//! A bare broker for measurements: `bare [address]`, everybody is let in.

use std::net::SocketAddr;
use std::sync::Arc;

use broker::{AllowAll, Config, Server};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let addr: SocketAddr = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:4222".into())
        .parse()?;
    let server = Server::new(Config::default(), Arc::new(AllowAll::new("$G")), None);
    server.listen_tcp(addr).await?;
    std::future::pending().await
}
