//! The token and userinfo endpoints.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::json;
use services::identity::{OauthError, TokenRequest};

use super::{cors, discovery};
use crate::app::{App, Origin, Peer};
use crate::form::Fields;
use crate::reply;

/// `POST …/token` (RFC 6749 sections 4.1.3, 4.3.2 and 6).
pub(crate) async fn token(
    State(app): State<Arc<App>>,
    Path(realm): Path<String>,
    Extension(peer): Extension<Peer>,
    Extension(origin): Extension<Origin>,
    request: Request,
) -> Response {
    if realm != app.identity.config().realm {
        return discovery::unknown_realm();
    }
    let headers = request.headers().clone();
    let mut response = match Fields::of_body(request).await {
        Ok(form) => {
            let caller = app.caller(&origin, peer, &headers);
            match app.identity.token(token_request(&form), &caller).await {
                Ok(tokens) => reply::json(StatusCode::OK, &tokens),
                Err(error) => refusal(&error),
            }
        }
        Err(response) if response.status() == StatusCode::BAD_REQUEST => refusal(&OauthError {
            code: "invalid_request",
            description: "a parameter came twice".to_owned(),
        }),
        Err(response) => response,
    };
    // Section 5.1.
    response
        .headers_mut()
        .insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    cors::allow(&app, &headers, &mut response);
    response
}

fn token_request(form: &Fields) -> TokenRequest {
    let text = |name: &str| form.text(name).to_owned();
    TokenRequest {
        grant_type: text("grant_type"),
        client_id: text("client_id"),
        code: text("code"),
        redirect_uri: text("redirect_uri"),
        code_verifier: form.owned("code_verifier"),
        refresh_token: text("refresh_token"),
        username: text("username"),
        password: text("password"),
        scope: text("scope"),
    }
}

/// Section 5.2.
fn refusal(error: &OauthError) -> Response {
    let status = match error.code {
        "invalid_client" => StatusCode::UNAUTHORIZED,
        "server_error" => StatusCode::INTERNAL_SERVER_ERROR,
        "temporarily_unavailable" => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::BAD_REQUEST,
    };
    reply::json(
        status,
        &json!({ "error": error.code, "error_description": error.description }),
    )
}

/// `…/userinfo` (OpenID Connect Core section 5.3): what is true now, not when the token was made.
pub(crate) async fn userinfo(
    State(app): State<Arc<App>>,
    Path(realm): Path<String>,
    headers: HeaderMap,
) -> Response {
    if realm != app.identity.config().realm {
        return discovery::unknown_realm();
    }
    let mut response = match bearer(&headers) {
        None => unauthorized("Bearer".to_owned()),
        Some(token) => match app.identity.session_of_access_token(token).await {
            Ok(Ok(session)) => {
                let user = session.user;
                let mut claims = json!({
                    "sub": user.id,
                    "preferred_username": user.username,
                    "name": user.display_name,
                    "realm_access": { "roles": user.roles },
                });
                if let Some(email) = user.email {
                    claims["email"] = email.into();
                }
                reply::json(StatusCode::OK, &claims)
            }
            Ok(Err(error)) => unauthorized(format!(
                "Bearer error=\"invalid_token\", error_description=\"{error}\""
            )),
            Err(error) => reply::failed(&error),
        },
    };
    cors::allow(&app, &headers, &mut response);
    response
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?
        .split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then_some(token.trim())
}

/// RFC 6750 section 3.
fn unauthorized(challenge: String) -> Response {
    let mut response = reply::json(
        StatusCode::UNAUTHORIZED,
        &json!({ "error": "invalid_token" }),
    );
    if let Ok(challenge) = HeaderValue::from_str(&challenge) {
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}
