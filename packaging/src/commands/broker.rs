//! `natterjack broker`: a NATS server alone, without chat.
//!
//! Streams, key-value buckets and objects are stored as durably as the messages of the chat. Everybody who reaches it is
//! let into one account, the one that nats-server uses when it has none configured.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use broker::{AllowAll, Server};
use storage::DataDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::cli::{BrokerFlags, Common, ServeFlags};
use crate::config::{self, Config, Loaded};
use crate::listen::{self, Door};
use crate::purpose::Purpose;
use crate::trouble::Trouble;
use crate::{banner, logging, output, runtime, wiring};

/// The account that everybody is in.
const ACCOUNT: &str = "$G";

/// Reads the configuration and serves until told to stop.
pub(crate) fn run(common: &Common, flags: BrokerFlags) -> Result<(), Trouble> {
    let BrokerFlags { nats_listen, open } = flags;
    let flags = ServeFlags {
        nats_listen,
        ..ServeFlags::default()
    };
    let Loaded { config, data_dir } = config::load(common, &flags, Purpose::Broker)?;
    check_reach(config.nats.listen, open)?;
    logging::start(&config.log)?;
    runtime::run(async |stop| serve(&config, &data_dir, stop).await)
}

/// Refuses an address where others could come in, unless that is what is wanted.
fn check_reach(listen: SocketAddr, open: bool) -> Result<(), Trouble> {
    if open || listen.ip().is_loopback() {
        return Ok(());
    }
    Err(Trouble::config(
        format!(
            "`natterjack broker` has no sign-in yet, so it does not listen on {listen}, where others can reach it."
        ),
        "Listen on a loopback address, or pass --open if everybody who can reach it may read, write and delete everything.",
    ))
}

/// Start and stop, in order.
async fn serve(config: &Config, data_dir: &Path, stop: CancellationToken) -> anyhow::Result<()> {
    let data_dir = DataDir::open(data_dir)?;
    Purpose::Broker.claim(data_dir.path())?;
    let options = wiring::stream_options(config, Purpose::Broker)?;
    // Taken before streams are opened, so that a taken port is found at once; nobody is served yet.
    let nats = listen::bind(Door::Nats, config.nats.listen)?;
    let streams = wiring::streams(&data_dir, options);
    let everybody = Arc::new(AllowAll::new(ACCOUNT));
    let server = Server::new(wiring::broker(config), everybody, Some(streams));
    server.open_streams(ACCOUNT).await?;
    let nats = TcpListener::from_std(nats).context("could not use the NATS port")?;
    let addr = server.serve_tcp(nats)?;

    output::say(&banner::of_broker(addr, data_dir.path()));
    stop.cancelled().await;

    server.shutdown().await;
    drop(data_dir);
    tracing::info!("stopped");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_are_let_in_only_when_asked_for() {
        for (listen, open, expected) in [
            ("127.0.0.1:4222", false, true),
            ("[::1]:0", false, true),
            ("0.0.0.0:4222", false, false),
            ("192.0.2.1:4222", false, false),
            ("[::]:4222", false, false),
            ("0.0.0.0:4222", true, true),
        ] {
            let checked = check_reach(listen.parse().unwrap(), open);
            assert_eq!(checked.is_ok(), expected, "{listen} {open}");
        }
    }
}
