//! `/nats-ws`: from an HTTP request to a WebSocket (RFC 6455 section 4.2), which the broker then owns.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version, header};
use axum::response::Response;
use broker::ConnectionInfo;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::app::{App, Origin, Peer};
use crate::door::NatsSocket;
use crate::reply;

/// Checks the request, answers 101 and hands the connection over.
pub(crate) async fn upgrade(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    Extension(own): Extension<Origin>,
    mut request: Request,
) -> Response {
    if !may_open(&app, &own, request.headers()) {
        return reply::text(
            StatusCode::FORBIDDEN,
            "Pages of that origin may not connect here.",
        );
    }
    let accept = match check(&request) {
        Ok(accept) => accept,
        Err(refusal) => return *refusal,
    };
    let user_agent = request.headers().get(header::USER_AGENT);
    let user_agent = user_agent
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let info = ConnectionInfo::new(peer.0).with_user_agent(user_agent);
    let upgraded = hyper::upgrade::on(&mut request);
    let door = app.config.nats.clone();
    // Ends by itself: right after the 101 was written, or when the connection breaks before it.
    tokio::spawn(async move {
        match upgraded.await {
            Ok(io) => door.accept(socket(io), info),
            Err(error) => {
                tracing::debug!(peer = %peer.0, %error, "a WebSocket broke off while opening")
            }
        }
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    response
}

/// The socket itself where it is one: HTTP is over, and so is what HTTP keeps for a connection.
fn socket(io: Upgraded) -> NatsSocket {
    match io.downcast::<TokioIo<TcpStream>>() {
        Ok(parts) => NatsSocket::Tcp {
            socket: parts.io.into_inner(),
            received: parts.read_buf,
        },
        Err(io) => NatsSocket::Stream(Box::new(TokioIo::new(io))),
    }
}

/// Pages of ours and of registered clients; programs send no origin.
fn may_open(app: &App, own: &Origin, headers: &HeaderMap) -> bool {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let Some(origin) = origins.next() else {
        return true;
    };
    let alone = origins.next().is_none();
    alone
        && origin
            .to_str()
            .is_ok_and(|origin| origin == own.0 || app.identity.allows_web_origin(origin))
}

fn check(request: &Request) -> Result<HeaderValue, Box<Response>> {
    let headers = request.headers();
    let is_upgrade = request.version() == Version::HTTP_11
        && has_token(headers, header::CONNECTION, "upgrade")
        && has_token(headers, header::UPGRADE, "websocket");
    if !is_upgrade {
        let mut refusal = reply::text(
            StatusCode::UPGRADE_REQUIRED,
            "This address speaks WebSocket only.",
        );
        refusal
            .headers_mut()
            .insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        return Err(Box::new(refusal));
    }
    if headers
        .get(header::SEC_WEBSOCKET_VERSION)
        .is_none_or(|version| version != "13")
    {
        let mut refusal = reply::text(
            StatusCode::UPGRADE_REQUIRED,
            "This address speaks WebSocket version 13.",
        );
        refusal.headers_mut().insert(
            header::SEC_WEBSOCKET_VERSION,
            HeaderValue::from_static("13"),
        );
        return Err(Box::new(refusal));
    }
    let key = headers
        .get(header::SEC_WEBSOCKET_KEY)
        .filter(|key| is_key(key.as_bytes()));
    let accept = key.and_then(|key| HeaderValue::from_str(&derive_accept_key(key.as_bytes())).ok());
    accept.ok_or_else(|| {
        let text = "Sec-WebSocket-Key is missing or malformed.";
        Box::new(reply::text(StatusCode::BAD_REQUEST, text))
    })
}

/// 16 bytes in base64.
fn is_key(key: &[u8]) -> bool {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD
        .decode(key)
        .is_ok_and(|bytes| bytes.len() == 16)
}

fn has_token(headers: &HeaderMap, name: HeaderName, token: &str) -> bool {
    let values = headers.get_all(name);
    let mut tokens = values
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    tokens.any(|word| word.trim().eq_ignore_ascii_case(token))
}
