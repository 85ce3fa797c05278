//! The endpoints of the OIDC provider, in the URL layout that Keycloak uses.

mod authorize;
mod cookies;
mod cors;
pub(crate) mod csrf;
mod discovery;
mod logout;
mod token;

use std::sync::Arc;

use axum::Router;
use axum::http::header::SET_COOKIE;
use axum::response::Response;
use axum::routing::{get, post};
use services::identity::SignedIn;

use crate::app::{App, Origin};

pub(crate) use cookies::{Cookies, SESSION};

/// The routes below `/auth/realms/{realm}`; another realm's are not found.
pub(crate) fn routes() -> Router<Arc<App>> {
    let realm = "/auth/realms/{realm}";
    let protocol = |name: &str| format!("{realm}/protocol/openid-connect/{name}");
    Router::new()
        .route(
            &format!("{realm}/.well-known/openid-configuration"),
            get(discovery::document).options(cors::preflight),
        )
        .route(
            &protocol("certs"),
            get(discovery::certs).options(cors::preflight),
        )
        .route(
            &protocol("auth"),
            get(authorize::ask).post(authorize::ask_by_form),
        )
        .route(
            &format!("{realm}/login-actions/authenticate"),
            get(authorize::ask).post(authorize::sign_in),
        )
        .route(
            &protocol("token"),
            post(token::token).options(cors::preflight),
        )
        .route(
            &protocol("userinfo"),
            get(token::userinfo)
                .post(token::userinfo)
                .options(cors::preflight),
        )
        .route(
            &protocol("logout"),
            get(logout::leave).post(logout::leave_by_form),
        )
}

/// Gives the browser its session.
pub(crate) fn set_session(response: &mut Response, signed_in: &SignedIn, origin: &Origin) {
    let cookie = cookies::set(
        SESSION,
        signed_in.cookie.as_str(),
        Some(signed_in.cookie_max_age),
        origin,
    );
    response.headers_mut().append(SET_COOKIE, cookie);
}
