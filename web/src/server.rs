//! The listener: accepts, serves, and drains when stopped.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use services::identity::Identity;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::app::{self, Peer};
use crate::door::NatsDoor;
use crate::limits;
use crate::monitoring::Access;

/// What the HTTP surface needs to know beyond identity.
#[derive(Clone)]
pub struct WebConfig {
    /// Shown to clients in `/config.json`.
    pub version: String,
    /// Where upgraded WebSockets go.
    pub nats: NatsDoor,
    /// The broker's monitoring endpoints, and who may look at them. `None`: nobody.
    pub monitoring: Option<Access>,
}

/// Serves until `stop`, then lets requests in flight finish. Every connection belongs to this function.
pub async fn serve(
    listener: TcpListener,
    config: WebConfig,
    identity: Arc<Identity>,
    stop: CancellationToken,
) {
    let router = app::router(config, identity);
    serve_router(listener, router, limits::CONNECTIONS_MAX, stop).await;
}

/// Serves any routes until `stop`, to so many connections at the same time.
pub(crate) async fn serve_router(
    listener: TcpListener,
    router: Router,
    connections_max: usize,
    stop: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(connections_max));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            // Cancel-safe: a place that was taken is given back when the arm is dropped.
            (stream, peer, place) = accept(&listener, &places) => {
                connections.spawn(connection(stream, peer, place, router.clone(), stop.child_token()));
            }
            Some(ended) = connections.join_next() => log_if_panicked(ended),
        }
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(limits::DRAIN_WAIT, drained).await;
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
    let place = Arc::clone(places)
        .acquire_owned()
        .await
        .expect("the semaphore is never closed");
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return (stream, peer, place),
            Err(error) => {
                // Out of file descriptors, mostly: waiting is all that helps.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    place: OwnedSemaphorePermit,
    router: Router,
    stop: CancellationToken,
) {
    let _ = stream.set_nodelay(true);
    let router = router.layer(axum::Extension(Peer(peer)));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::HEAD_WAIT)
        .max_headers(limits::HEADERS_MAX)
        .max_buf_size(limits::HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .with_upgrades();
    tokio::pin!(served);
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = stop.cancelled() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "connection ended early");
    }
    drop(place);
}

fn log_if_panicked(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a connection panicked");
    }
}
