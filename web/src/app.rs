//! The routes, and what their handlers share.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use services::identity::{Caller, Identity};

use crate::monitoring::{self, Access};
use crate::oidc::csrf::Csrf;
use crate::{WebConfig, assets, headers, limits, nats_ws, oidc, pages, reply};

/// What every handler can reach.
pub(crate) struct App {
    pub(crate) identity: Arc<Identity>,
    pub(crate) config: WebConfig,
    pub(crate) csrf: Csrf,
}

pub(crate) type Shared = State<Arc<App>>;

/// The other end of the socket.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// Our origin as this request names it; checked before any handler runs.
#[derive(Debug, Clone)]
pub(crate) struct Origin(pub(crate) String);

impl Origin {
    pub(crate) fn is_secure(&self) -> bool {
        self.0.starts_with("https://")
    }
}

pub(crate) fn router(config: WebConfig, identity: Arc<Identity>) -> Router {
    let monitoring = config.monitoring.as_ref();
    let monitoring = monitoring.map_or_else(Router::new, Access::routes);
    let app = Arc::new(App {
        identity,
        config,
        csrf: Csrf::new(),
    });
    Router::new()
        .merge(oidc::routes())
        .route("/setup", get(pages::setup::show).post(pages::setup::submit))
        .route("/auth/pages.css", get(pages::style))
        .route("/auth/setup.js", get(pages::setup::script))
        .route("/config.json", get(config_json))
        .route("/nats-ws", get(nats_ws::upgrade))
        .route("/auth/{*rest}", get(nothing).post(nothing))
        .fallback(assets::serve)
        .layer(middleware::from_fn_with_state(Arc::clone(&app), admit))
        // Outside of `admit`: health checks come by whatever name the checker knows.
        .route("/healthz", get(healthz))
        .with_state(app)
        .merge(monitoring)
}

/// Refuses requests for other hosts, bounds the time of the rest, and gives every answer its headers.
async fn admit(State(app): Shared, mut request: Request, next: Next) -> Response {
    let Some(origin) = host(&request).and_then(|host| app.identity.origins().for_host(host)) else {
        return reply::text(
            StatusCode::MISDIRECTED_REQUEST,
            "This natterjack is not reached under that name. Open it as http://localhost or by its IP address, \
             or set http.public_url to the address people use.",
        );
    };
    let origin = Origin(origin);
    request.extensions_mut().insert(origin.clone());
    let mut response = match tokio::time::timeout(limits::REQUEST_WAIT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => reply::text(
            StatusCode::SERVICE_UNAVAILABLE,
            "That took too long. Try again.",
        ),
    };
    headers::secure(response.headers_mut(), &origin);
    response
}

fn host(request: &Request) -> Option<&str> {
    match request.uri().authority() {
        Some(authority) => Some(authority.as_str()),
        None => request.headers().get(header::HOST)?.to_str().ok(),
    }
}

impl App {
    /// Who calls. Behind a proxy on this machine it is the address that the proxy saw.
    pub(crate) fn caller(&self, origin: &Origin, peer: Peer, headers: &HeaderMap) -> Caller {
        let direct = peer.0.ip();
        let behind_proxy =
            direct.to_canonical().is_loopback() && self.identity.config().public_url.is_some();
        let forwarded = behind_proxy.then(|| last_forwarded(headers)).flatten();
        Caller {
            origin: origin.0.clone(),
            address: forwarded.unwrap_or(direct),
        }
    }
}

/// The last entry is the one our proxy added; those before it are the caller's word.
fn last_forwarded(headers: &HeaderMap) -> Option<IpAddr> {
    let value = headers
        .get_all("x-forwarded-for")
        .iter()
        .next_back()?
        .to_str()
        .ok()?;
    value.rsplit(',').next()?.trim().parse().ok()
}

/// What the web client needs before anybody signs in.
async fn config_json(
    State(app): Shared,
    axum::Extension(origin): axum::Extension<Origin>,
) -> Response {
    let identity = &app.identity;
    let (workspace, is_set_up) = match tokio::try_join!(identity.workspace(), identity.is_set_up())
    {
        Ok(found) => found,
        Err(error) => return reply::failed(&error),
    };
    let body = serde_json::json!({
        "workspace": workspace,
        "realm": identity.config().realm,
        "clientId": services::identity::WEB_CLIENT_ID,
        "authority": identity.issuer(&origin.0),
        "natsUrl": "/nats-ws",
        "setupNeeded": !is_set_up,
        "version": app.config.version,
    });
    reply::json(StatusCode::OK, &body)
}

async fn healthz(
    State(app): Shared,
    axum::Extension(peer): axum::Extension<Peer>,
    request: Request,
) -> Response {
    match &app.config.monitoring {
        Some(access) => monitoring::healthz(access, peer, request).await,
        None => reply::json(StatusCode::OK, &serde_json::json!({ "status": "ok" })),
    }
}

async fn nothing() -> Response {
    (StatusCode::NOT_FOUND, "There is nothing here.").into_response()
}
