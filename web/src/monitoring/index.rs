//! The page at `/`: where everything is.

use axum::response::{Html, IntoResponse, Response};

/// Links are relative, so that they hold behind a proxy that adds a prefix.
const LINKS: [(&str, &str); 12] = [
    ("varz", "General"),
    ("jsz", "JetStream"),
    ("connz", "Connections"),
    ("accountz", "Accounts"),
    ("accstatz", "Account Stats"),
    ("subsz", "Subscriptions"),
    ("routez", "Routes"),
    ("leafz", "LeafNodes"),
    ("gatewayz", "Gateways"),
    ("raftz", "Raft Groups"),
    ("healthz", "Health Probe"),
    ("metrics", "Metrics for Prometheus"),
];

pub(super) fn page() -> Response {
    let links: String = LINKS
        .iter()
        .map(|(path, name)| {
            format!("  <li><a href=\"./{path}\">{name}</a> <code>/{path}</code></li>\n")
        })
        .collect();
    let version = env!("CARGO_PKG_VERSION");
    Html(format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n  <meta charset=\"utf-8\">\n  <title>natterjack: monitoring</title>\n\
         </head>\n<body>\n<h1>natterjack {version}</h1>\n<ul>\n{links}</ul>\n</body>\n</html>\n"
    ))
    .into_response()
}
