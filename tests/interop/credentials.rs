//! async-nats with its default options and users that come with JWTs.

use std::time::Duration;

use futures_util::StreamExt;
use harness::Credentials;

const PATIENCE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_credentials_file_logs_in() {
    let server = Credentials::start("operator").await;
    let connect = async |name: &str| {
        async_nats::ConnectOptions::with_credentials(server.text(name))
            .expect("a credentials file")
            .connect(server.text("nats"))
            .await
    };
    let bob = connect("credentials").await.expect("bob is let in");
    let mut messages = bob.subscribe("greet.*").await.expect("subscribed");
    bob.publish("greet.bob", "hello".into())
        .await
        .expect("published");
    let message = tokio::time::timeout(PATIENCE, messages.next()).await;
    let message = message.expect("in time").expect("a message");
    assert_eq!(&*message.payload, b"hello");
    let refused = connect("stranger").await.expect_err("nobody signed it");
    let kind = refused.kind();
    assert_eq!(kind, async_nats::ConnectErrorKind::AuthorizationViolation);
}

#[tokio::test]
async fn a_scoped_user_publishes_below_its_name_only() {
    let server = Credentials::start("operator").await;
    let (errors, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let carol = async_nats::ConnectOptions::with_credentials(server.text("scoped"))
        .expect("a credentials file")
        .event_callback(move |event| {
            let errors = errors.clone();
            async move {
                // Nobody may be waiting any more.
                let _ = errors.send(event.to_string());
            }
        })
        .connect(server.text("nats"))
        .await
        .expect("carol is let in");
    let mut messages = carol.subscribe("me.carol.>").await.expect("subscribed");
    carol.publish("me.bob.x", "no".into()).await.expect("sent");
    carol
        .publish("me.carol.x", "yes".into())
        .await
        .expect("sent");
    let message = tokio::time::timeout(PATIENCE, messages.next()).await;
    assert_eq!(
        &*message.expect("in time").expect("a message").payload,
        b"yes"
    );
    let refused = async {
        while let Some(event) = seen.recv().await {
            if event.to_lowercase().contains("permissions violation") {
                return event;
            }
        }
        panic!("no violation was reported");
    };
    let event = tokio::time::timeout(PATIENCE, refused).await;
    assert!(event.expect("in time").contains("me.bob.x"));
}
