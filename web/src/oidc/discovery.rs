//! The discovery document and the public keys.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::json;

use super::cors;
use crate::app::{App, Origin};
use crate::reply;

/// What clients can count on (OpenID Connect Discovery section 3).
pub(crate) async fn document(
    State(app): State<Arc<App>>,
    Path(realm): Path<String>,
    Extension(origin): Extension<Origin>,
    headers: HeaderMap,
) -> Response {
    if realm != app.identity.config().realm {
        return unknown_realm();
    }
    let issuer = app.identity.issuer(&origin.0);
    let endpoint = |name: &str| format!("{issuer}/protocol/openid-connect/{name}");
    let mut grants = vec!["authorization_code", "refresh_token"];
    if app
        .identity
        .config()
        .clients
        .iter()
        .any(|client| client.password_grant)
    {
        grants.push("password");
    }
    let document = json!({
        "issuer": issuer,
        "authorization_endpoint": endpoint("auth"),
        "token_endpoint": endpoint("token"),
        "userinfo_endpoint": endpoint("userinfo"),
        "end_session_endpoint": endpoint("logout"),
        "jwks_uri": endpoint("certs"),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query", "fragment"],
        "grant_types_supported": grants,
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "token_endpoint_auth_methods_supported": ["none"],
        "code_challenge_methods_supported": ["S256"],
        "scopes_supported": ["openid", "profile", "email", "roles"],
        "prompt_values_supported": ["none", "login"],
        "claims_supported": ["iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "sid", "azp", "name",
            "preferred_username", "email", "realm_access"],
        "authorization_response_iss_parameter_supported": true,
        "claims_parameter_supported": false,
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
    });
    let mut response = reply::json(StatusCode::OK, &document);
    cors::allow(&app, &headers, &mut response);
    response
}

/// The public signing keys (RFC 7517).
pub(crate) async fn certs(
    State(app): State<Arc<App>>,
    Path(realm): Path<String>,
    headers: HeaderMap,
) -> Response {
    if realm != app.identity.config().realm {
        return unknown_realm();
    }
    let mut response = reply::json(StatusCode::OK, &app.identity.jwks());
    response.headers_mut().insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("public, max-age=300"),
    );
    cors::allow(&app, &headers, &mut response);
    response
}

/// The words Keycloak has for it.
pub(crate) fn unknown_realm() -> Response {
    reply::json(
        StatusCode::NOT_FOUND,
        &json!({ "error": "Realm does not exist" }),
    )
}
