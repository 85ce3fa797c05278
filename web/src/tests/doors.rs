use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::harness::*;

/// Sends a raw request and reads until the other side is quiet about it.
async fn raw(served: &Served, head: &str, expect: &str) -> String {
    let mut socket = TcpStream::connect(served.address).await.unwrap();
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut text = String::new();
    let mut buffer = [0; 4096];
    while !text.contains(expect) {
        let read = socket.read(&mut buffer).await.unwrap();
        if read == 0 {
            break;
        }
        text.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
    text
}

async fn open(served: &Served, host: &str, more: &str, expect: &str) -> String {
    let head = format!(
        "GET /nats-ws HTTP/1.1\r\nHost: {host}\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
    );
    raw(served, &head, expect).await
}

#[tokio::test]
async fn a_websocket_is_handed_to_the_broker() {
    let served = Served::demo().await;
    let host = served.address.to_string();
    let own = format!("Origin: http://{host}\r\nSec-WebSocket-Version: 13\r\n");
    let text = open(&served, &host, &own, "hello from the broker").await;
    assert!(text.starts_with("HTTP/1.1 101"), "{text}");
    // RFC 6455 section 1.3.
    assert!(
        text.to_lowercase()
            .contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="),
        "{text}"
    );
    assert!(text.ends_with("hello from the broker"), "{text}");
    for origin in ["", "Origin: http://localhost:3000\r\n"] {
        let more = format!("{origin}Sec-WebSocket-Version: 13\r\n");
        assert!(
            open(&served, &host, &more, "hello").await.contains("hello"),
            "{origin}"
        );
    }
}

#[tokio::test]
async fn other_origins_and_half_handshakes_are_refused() {
    let served = Served::demo().await;
    let host = served.address.to_string();
    for origin in [
        "http://evil.example",
        "null",
        "http://localhost:1",
        &format!("https://{host}"),
    ] {
        let more = format!("Origin: {origin}\r\nSec-WebSocket-Version: 13\r\n");
        assert!(
            open(&served, &host, &more, "connect here")
                .await
                .starts_with("HTTP/1.1 403"),
            "{origin}"
        );
    }
    let old = open(
        &served,
        &host,
        "Sec-WebSocket-Version: 8\r\n",
        "version 13.",
    )
    .await;
    assert!(
        old.starts_with("HTTP/1.1 426") && old.contains("13"),
        "{old}"
    );
    let plain = format!("GET /nats-ws HTTP/1.1\r\nHost: {host}\r\n\r\n");
    assert!(
        raw(&served, &plain, "only.")
            .await
            .starts_with("HTTP/1.1 426")
    );
}

#[tokio::test]
async fn a_foreign_host_name_is_refused_everywhere() {
    let served = Served::demo().await;
    for path in [
        "/",
        "/config.json",
        "/auth/realms/nats-chat/.well-known/openid-configuration",
    ] {
        let head = format!("GET {path} HTTP/1.1\r\nHost: evil.example\r\n\r\n");
        assert!(
            raw(&served, &head, "people use.")
                .await
                .starts_with("HTTP/1.1 421"),
            "{path}"
        );
    }
    let health = raw(
        &served,
        "GET /healthz HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        "\"ok\"",
    )
    .await;
    assert!(health.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn every_answer_has_its_security_headers() {
    let (served, browser) = (Served::demo().await, browser());
    for url in [
        served.url("/"),
        served.url("/config.json"),
        served.auth_url(&[]),
        served.url("/gone.js"),
    ] {
        let response = browser.get(&url).send().await.unwrap();
        let headers = response.headers();
        assert_eq!(headers["x-content-type-options"], "nosniff", "{url}");
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(
            policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"),
            "{url}: {policy}"
        );
    }
}

#[tokio::test]
async fn the_client_is_served_with_an_etag() {
    let (served, browser) = (Served::demo().await, browser());
    let page = browser
        .get(served.url("/rooms/general"))
        .send()
        .await
        .unwrap();
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    let etag = page.headers()["etag"].clone();
    let again = browser
        .get(served.url("/"))
        .header("If-None-Match", etag)
        .send()
        .await
        .unwrap();
    assert_eq!(again.status(), 304);
    assert_eq!(
        browser
            .get(served.url("/assets/gone.js"))
            .send()
            .await
            .unwrap()
            .status(),
        404
    );
    assert_eq!(
        browser.post(served.url("/")).send().await.unwrap().status(),
        405
    );
}

#[tokio::test]
async fn an_endless_form_is_cut_off() {
    let (served, browser) = (Served::demo().await, browser());
    let form = vec![b'a'; crate::limits::FORM_BYTES_MAX + 1];
    let response = browser
        .post(served.oidc("token"))
        .body(form)
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 413);
}

#[tokio::test]
async fn discovery_names_the_endpoints_under_the_name_that_was_used() {
    let (served, browser) = (Served::demo().await, browser());
    let url = served.url("/auth/realms/nats-chat/.well-known/openid-configuration");
    let found: serde_json::Value = browser.get(url).send().await.unwrap().json().await.unwrap();
    assert_eq!(found["issuer"], served.url("/auth/realms/nats-chat"));
    assert_eq!(found["token_endpoint"], served.oidc("token"));
    let other = served.url("/auth/realms/master/.well-known/openid-configuration");
    assert_eq!(browser.get(other).send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn monitoring_is_for_this_machine_and_health_for_everybody() {
    let served = Served::demo().await;
    let ask = async |path: &str, host: &str| {
        let head = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        raw(&served, &head, "\u{0}").await
    };
    for path in ["/varz", "/connz", "/metrics", "/jsz?accounts=1"] {
        let near = ask(path, "localhost").await;
        assert!(near.starts_with("HTTP/1.1 200"), "{path}: {near}");
        assert!(!near.to_lowercase().contains("access-control"), "{near}");
        let far = ask(path, "chat.example.org").await;
        assert!(far.starts_with("HTTP/1.1 404"), "{path}: {far}");
    }
    let near = ask("/healthz?account=none", "localhost").await;
    assert!(near.starts_with("HTTP/1.1 404"), "{near}");
    let far = ask("/healthz?account=none", "10.0.0.7").await;
    assert!(far.starts_with("HTTP/1.1 200"), "{far}");
    assert!(far.ends_with(r#"{"status":"ok"}"#), "{far}");
}
