//! The built web client, embedded: ETags, lasting caches for hashed names, and the page itself for its own addresses.

use std::borrow::Cow;
use std::fmt::Write;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use rust_embed::{Embed, EmbeddedFile};

use crate::app::Origin;
use crate::{headers, reply};

#[derive(Embed)]
#[folder = "$NATTERJACK_WEB_EMBED"]
struct Client;

const INDEX: &str = "index.html";
/// Vite puts a hash of the content into the names of what is below here.
const HASHED: &str = "assets/";

/// Answers every address that no route knows.
pub(crate) async fn serve(request: Request) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return reply::text(
            StatusCode::METHOD_NOT_ALLOWED,
            "This address can only be read.",
        );
    }
    let path = request.uri().path().trim_start_matches('/');
    let Some((name, file)) = find(path) else {
        return reply::text(StatusCode::NOT_FOUND, "There is nothing here.");
    };
    let etag = etag(&file);
    let mut response = if is_known(request.headers(), &etag) {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        Response::new(body(file))
    };
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(content_type(name)),
    );
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static(cache_control(name)),
    );
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        headers.insert(header::ETAG, etag);
    }
    if let Some(origin) = request.extensions().get::<Origin>()
        && let Ok(policy) = HeaderValue::from_str(&headers::client_policy(origin))
    {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// Whether the build has a file of this name.
pub(crate) fn has(name: &str) -> bool {
    Client::get(name).is_some()
}

/// The file of the product's font, wherever the build put it.
pub(crate) fn font() -> Option<Cow<'static, str>> {
    Client::iter().find(|name| name.contains("inter-latin-wght-normal") && name.ends_with(".woff2"))
}

/// The file, or the page for addresses within the web client, which have no dot in their last segment.
fn find(path: &str) -> Option<(&str, EmbeddedFile)> {
    if let Some(file) = Client::get(path) {
        return Some((path, file));
    }
    let last = path.rsplit('/').next().unwrap_or_default();
    let is_page = !last.contains('.') && !path.starts_with(HASHED);
    is_page
        .then(|| Client::get(INDEX))
        .flatten()
        .map(|file| (INDEX, file))
}

fn body(file: EmbeddedFile) -> Body {
    match file.data {
        Cow::Borrowed(bytes) => Body::from(bytes::Bytes::from_static(bytes)),
        Cow::Owned(bytes) => Body::from(bytes),
    }
}

fn etag(file: &EmbeddedFile) -> String {
    let hash = file.metadata.sha256_hash();
    let mut etag = String::from("\"");
    for byte in &hash[..16] {
        let _ = write!(etag, "{byte:02x}");
    }
    etag.push('"');
    etag
}

fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    let known = headers
        .get(header::IF_NONE_MATCH)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    known
        .split(',')
        .any(|tag| tag.trim().trim_start_matches("W/") == etag || tag.trim() == "*")
}

fn cache_control(name: &str) -> &'static str {
    if name.starts_with(HASHED) {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    }
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "wasm" => "application/wasm",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hashed_names_are_kept_for_long() {
        assert!(cache_control("assets/index-1a2b.js").contains("immutable"));
        assert_eq!(cache_control(INDEX), "no-cache");
    }

    #[test]
    fn a_missing_file_is_not_answered_with_the_page() {
        assert!(find("assets/gone").is_none());
        assert!(find("gone.js").is_none());
    }

    #[test]
    fn an_etag_is_recognised() {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::IF_NONE_MATCH,
            HeaderValue::from_static("\"x\", W/\"abc\""),
        );
        assert!(is_known(&headers, "\"abc\""));
        assert!(!is_known(&headers, "\"abd\""));
    }
}
