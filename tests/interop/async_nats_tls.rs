//! async-nats over TLS, TLS first, with client certificates, and over WebSocket; reconnecting over each.

mod secured;

use std::time::Duration;

use async_nats::{ConnectOptions, Event};
use futures_util::StreamExt;
use secured::Secured;
use tokio::sync::mpsc;

const PATIENCE: Duration = Duration::from_secs(20);

/// A message there and back, also after the connection was cut.
async fn check(secured: &Secured, url: &str, options: ConnectOptions) {
    let (sender, mut events) = mpsc::unbounded_channel();
    let options = options.event_callback(move |event| {
        let sender = sender.clone();
        async move {
            let _ = sender.send(event);
        }
    });
    let work = async {
        let client = options.connect(url).await.expect(url);
        let mut subscription = client.subscribe("a").await.expect(url);
        for round in 0..2 {
            client.flush().await.expect(url);
            let payload = vec![round; 200_000];
            let sent = client.publish("a", payload.clone().into()).await;
            sent.expect(url);
            let message = subscription.next().await.expect("a message");
            assert!(message.payload == payload, "{url}");
            if round == 0 {
                while events.try_recv().is_ok() {}
                secured.disconnect().await;
                while events.recv().await.expect("events") != Event::Connected {}
            }
        }
    };
    tokio::time::timeout(PATIENCE, work).await.expect(url);
}

#[tokio::test]
async fn every_secured_port_is_served() {
    let secured = Secured::start().await;
    let about = secured.about();
    let url = |kind: &str| about[kind].as_str().expect("a URL").to_owned();
    let options = || ConnectOptions::new().add_root_certificates(secured.file("ca.pem"));
    check(&secured, &url("tls"), options().require_tls(true)).await;
    check(&secured, &url("first"), options().tls_first()).await;
    let (cert, key) = (secured.file("client.pem"), secured.file("client.key"));
    let shown = options().add_client_certificate(cert, key);
    check(&secured, &url("verify"), shown.require_tls(true)).await;
    check(&secured, &url("ws"), ConnectOptions::new()).await;
    check(&secured, &url("wss"), options()).await;
    let without = options().require_tls(true).connect(url("verify")).await;
    assert!(without.is_err(), "a certificate is required");
    secured.stop().await;
}
