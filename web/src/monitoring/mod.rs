//! nats-server's monitoring endpoints, and `/metrics` for Prometheus beside them.
//!
//! [`serve`] is the port of its own that `natterjack broker -m PORT` opens: as in nats-server everybody who reaches it may
//! look, pages of any origin included, so it belongs on an address that strangers do not reach. [`Access`] is for the
//! appliance, where the same paths lie on the port that the whole world comes to; there they are for this machine.
//!
//! Nothing can be changed through here. Methods make no difference, as in nats-server: a POST is answered like a GET.

mod access;
mod endpoints;
mod index;
mod metrics;
mod query;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::{MethodRouter, any};
use broker::Server;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use self::access::Access;
pub(crate) use self::access::healthz;
use self::endpoints::Endpoint;
use crate::{limits, server};

/// Serves the endpoints on a port of their own until `stop`, below the base path that the server's facts name.
pub async fn serve(listener: TcpListener, broker: Server, stop: CancellationToken) {
    let base_path = broker.facts().http_base_path;
    let router = router(broker, &base_path);
    let connections = limits::MONITORING_CONNECTIONS_MAX;
    server::serve_router(listener, router, connections, stop).await;
}

/// The endpoints as nats-server has them: all of them, an index at `/`, for everybody. `base_path` is empty or begins with a
/// slash.
pub fn router(broker: Server, base_path: &str) -> Router {
    let base = base_path.trim_end_matches('/');
    let at = |path: &str| match (base, path) {
        ("", path) => path.to_owned(),
        (base, "/") => base.to_owned(),
        (base, path) => format!("{base}{path}"),
    };
    let broker = Arc::new(broker);
    let mut router = Router::new();
    for (path, endpoint) in endpoints::ALL {
        router = router.route(&at(path), route(&broker, endpoint));
    }
    router
        .route(&at("/metrics"), metrics_route(&broker))
        .route(
            &at("/"),
            any(async move || {
                broker.count_http_request("/");
                index::page()
            }),
        )
        .fallback(not_found)
}

fn route(broker: &Arc<Server>, endpoint: Endpoint) -> MethodRouter {
    let broker = Arc::clone(broker);
    any(async move |request: Request| endpoint.answer(&broker, request.uri()).await)
}

fn metrics_route(broker: &Arc<Server>) -> MethodRouter {
    let broker = Arc::clone(broker);
    any(async move || metrics::answer(&broker))
}

/// What Go's HTTP server says.
async fn not_found() -> Response {
    let mut response = text(StatusCode::NOT_FOUND, "404 page not found\n".to_owned());
    response.headers_mut().insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

fn text(status: StatusCode, text: String) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}
