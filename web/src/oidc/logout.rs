//! Signing out (OpenID Connect RP-Initiated Logout 1.0).
//!
//! With an ID token of this browser's session it happens at once. Anything else is asked about first, so that no other
//! page can sign somebody out by a link.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, Request, State};
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use url::form_urlencoded;

use super::{Cookies, SESSION, cookies, discovery};
use crate::app::{App, Origin};
use crate::form::Fields;
use crate::{pages, reply};

/// `GET …/logout`.
pub(crate) async fn leave(
    State(app): State<Arc<App>>,
    Path(realm): Path<String>,
    Extension(origin): Extension<Origin>,
    request: Request,
) -> Response {
    match Fields::of_query(request.uri().query()) {
        Ok(fields) => answer(&app, &realm, &origin, &fields, request.headers()).await,
        Err(_) => pages::problem(
            StatusCode::BAD_REQUEST,
            "This link does not work",
            "It has a parameter twice.",
        ),
    }
}

/// `POST …/logout`, by a client or by our own question.
pub(crate) async fn leave_by_form(
    State(app): State<Arc<App>>,
    Path(realm): Path<String>,
    Extension(origin): Extension<Origin>,
    request: Request,
) -> Response {
    let headers = request.headers().clone();
    match Fields::of_body(request).await {
        Ok(fields) => answer(&app, &realm, &origin, &fields, &headers).await,
        Err(refusal) => refusal,
    }
}

async fn answer(
    app: &App,
    realm: &str,
    origin: &Origin,
    fields: &Fields,
    headers: &HeaderMap,
) -> Response {
    if realm != app.identity.config().realm {
        return discovery::unknown_realm();
    }
    let cookie = Cookies::of(headers, origin).value(SESSION);
    let browser = match cookie {
        Some(cookie) => match app.identity.session_by_cookie(cookie).await {
            Ok(session) => session.map(|session| session.id),
            Err(error) => return reply::failed(&error),
        },
        None => None,
    };
    let hinted = fields
        .value("id_token_hint")
        .and_then(|hint| app.identity.session_of_id_token(hint));
    let confirmed = app.csrf.is_good(fields.text("form"), headers, origin);
    if browser.is_some() && hinted != browser && !confirmed {
        return question(app, realm, origin, fields, headers);
    }
    for session in [&hinted, &browser].into_iter().flatten() {
        if let Err(error) = app.identity.end_session(session).await {
            return reply::failed(&error);
        }
    }
    let mut response = destination(app, origin, fields);
    let gone = cookies::set(SESSION, "", Some(std::time::Duration::ZERO), origin);
    response.headers_mut().append(SET_COOKIE, gone);
    response
}

fn question(
    app: &App,
    realm: &str,
    origin: &Origin,
    fields: &Fields,
    headers: &HeaderMap,
) -> Response {
    let token = app.csrf.token(headers, origin);
    let kept =
        ["client_id", "post_logout_redirect_uri", "state"].map(|name| (name, fields.text(name)));
    let action = format!("/auth/realms/{realm}/protocol/openid-connect/logout");
    let target = registered(app, origin, fields).and_then(|uri| url::Url::parse(uri).ok());
    let target = target.map(|url| url.origin().ascii_serialization());
    let body = pages::logout_question(&action, &token.field, &kept);
    let mut response = pages::page(StatusCode::OK, body, target.as_deref());
    if let Some(cookie) = token.cookie {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

/// The client's address if it is registered, else our own page.
fn destination(app: &App, origin: &Origin, fields: &Fields) -> Response {
    let Some(uri) = registered(app, origin, fields) else {
        return reply::see_other(&format!("{}/", origin.0));
    };
    match fields.value("state") {
        Some(state) => {
            let state = form_urlencoded::Serializer::new(String::new())
                .append_pair("state", state)
                .finish();
            let separator = if uri.contains('?') { '&' } else { '?' };
            reply::see_other(&format!("{uri}{separator}{state}"))
        }
        None => reply::see_other(uri),
    }
}

fn registered<'a>(app: &App, origin: &Origin, fields: &'a Fields) -> Option<&'a str> {
    let uri = fields.value("post_logout_redirect_uri")?;
    let named = fields.value("client_id");
    let mut clients = app
        .identity
        .config()
        .clients
        .iter()
        .filter(|client| named.is_none_or(|id| client.id == id));
    clients
        .any(|client| client.allows_redirect(uri, &origin.0))
        .then_some(uri)
}
