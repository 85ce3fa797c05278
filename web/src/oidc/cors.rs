//! Which other origins may call the endpoints: those of registered clients, each by name, with credentials.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;

use crate::app::App;
use crate::reply;

/// Adds the headers that let a registered page read the answer.
pub(crate) fn allow(app: &App, request: &HeaderMap, response: &mut Response) {
    let headers = response.headers_mut();
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    let Some(origin) = request.get(header::ORIGIN) else {
        return;
    };
    if origin
        .to_str()
        .is_ok_and(|origin| app.identity.allows_web_origin(origin))
    {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(
            header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
            HeaderValue::from_static("true"),
        );
    }
}

/// Answers the question that browsers ask before requests with an `Authorization` header.
pub(crate) async fn preflight(State(app): State<Arc<App>>, request: HeaderMap) -> Response {
    let mut response = reply::text(StatusCode::NO_CONTENT, "");
    allow(&app, &request, &mut response);
    let headers = response.headers_mut();
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("GET, POST"),
    );
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static("Authorization, Content-Type"),
    );
    headers.insert(
        header::ACCESS_CONTROL_MAX_AGE,
        HeaderValue::from_static("600"),
    );
    response
}
