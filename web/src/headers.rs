//! What every answer tells the browser not to do.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::app::Origin;

/// The same on every answer. `same-origin` and not `no-referrer`, for the latter makes browsers send `Origin: null` with
/// forms.
const ALWAYS: [(HeaderName, &str); 5] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "same-origin"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    ),
];

/// For whatever has no content policy of its own: nothing at all.
const NOTHING: &str =
    "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// Adds the headers that an answer does not have yet.
pub(crate) fn secure(headers: &mut HeaderMap, origin: &Origin) {
    for (name, value) in ALWAYS {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static(NOTHING));
    if origin.is_secure() {
        headers.insert(
            header::STRICT_TRANSPORT_SECURITY,
            HeaderValue::from_static("max-age=31536000"),
        );
    }
}

/// The content policy of the web client: everything from here, and its WebSocket.
pub(crate) fn client_policy(origin: &Origin) -> String {
    // Spelled out beside 'self', for older Safaris do not take 'self' to include WebSockets.
    let socket = origin.0.replacen("http", "ws", 1);
    format!(
        "default-src 'self'; connect-src 'self' {socket}; img-src 'self' data: blob:; object-src 'none'; \
         base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
}

/// The content policy of server-made pages. `form_target` is the origin that a form's answer may send the browser to;
/// browsers apply `form-action` to that redirect too.
pub(crate) fn page_policy(form_target: Option<&str>) -> String {
    let form_target = form_target.unwrap_or_default();
    format!(
        "default-src 'none'; style-src 'self'; script-src 'self'; font-src 'self'; img-src 'self'; base-uri 'none'; \
         form-action 'self' {form_target}; frame-ancestors 'none'"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_policy_allows_inline_code() {
        let origin = Origin("https://chat.example.org".to_owned());
        let client = client_policy(&origin);
        assert!(client.contains("wss://chat.example.org;"), "{client}");
        for policy in [
            client,
            page_policy(Some("http://localhost:3000")),
            NOTHING.to_owned(),
        ] {
            assert!(!policy.contains("unsafe"), "{policy}");
            assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        }
    }
}
