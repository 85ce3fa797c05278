//! async-nats, the Rust client, with its default options against the appliance.

use std::time::{SystemTime, UNIX_EPOCH};

use async_nats::{Client, ConnectErrorKind, Event, RequestErrorKind};
use futures_util::StreamExt;
use harness::{Appliance, PATIENCE, Role, eventually};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// A connection, and what it says about itself.
async fn connect(appliance: &Appliance, token: String) -> (Client, mpsc::UnboundedReceiver<Event>) {
    let (events, seen) = mpsc::unbounded_channel();
    let client = async_nats::ConnectOptions::with_token(token)
        .event_callback(move |event| {
            let events = events.clone();
            async move { drop(events.send(event)) }
        })
        .connect(format!("nats://{}", appliance.nats))
        .await
        .unwrap();
    (client, seen)
}

/// Waits for the first event that `wanted` accepts.
async fn event(
    events: &mut mpsc::UnboundedReceiver<Event>,
    wanted: impl Fn(&Event) -> bool,
) -> Event {
    timeout(PATIENCE, async {
        loop {
            let event = events.recv().await.expect("the client lives");
            if wanted(&event) {
                return event;
            }
        }
    })
    .await
    .expect("the event comes")
}

async fn ask(client: &Client, subject: &str, body: Value) -> Value {
    let reply = client
        .request(subject.to_owned(), body.to_string().into())
        .await
        .unwrap_or_else(|error| panic!("{subject}: {error}"));
    serde_json::from_slice(&reply.payload).unwrap()
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_millis()
        .try_into()
        .unwrap()
}

#[tokio::test]
async fn two_users_exchange_a_message() {
    let appliance = Appliance::start().await;
    appliance.add_user("alice", Role::Admin).await;
    appliance.add_user("bob", Role::User).await;
    let (alice, _) = connect(&appliance, appliance.token("alice").await).await;
    let (bob, _) = connect(&appliance, appliance.token("bob").await).await;
    ask(&alice, "room.join.general", json!({"userId": "alice"})).await;
    let mut notices = bob.subscribe("room.notify.general").await.unwrap();
    bob.flush().await.unwrap();
    let timestamp = now();
    let sent = ask(
        &alice,
        "deliver.alice.send.general",
        json!({"user": "alice", "text": "hello", "timestamp": timestamp, "room": "general"}),
    )
    .await;
    assert_eq!(sent["ok"], true, "{sent}");
    let notice: Value = timeout(PATIENCE, async {
        loop {
            let notice = notices.next().await.unwrap();
            let notice: Value = serde_json::from_slice(&notice.payload).unwrap();
            if notice["timestamp"] == timestamp {
                return notice;
            }
        }
    })
    .await
    .expect("a notice comes");
    let fetched = ask(
        &bob,
        "msg.get",
        json!({"notifyId": notice["notifyId"], "room": "general"}),
    )
    .await;
    assert_eq!(fetched["text"], "hello");
}

#[tokio::test]
async fn wrong_token_is_an_authorization_violation() {
    let appliance = Appliance::start().await;
    let refused = async_nats::ConnectOptions::with_token("wrong".to_owned())
        .connect(format!("nats://{}", appliance.nats))
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), ConnectErrorKind::AuthorizationViolation);
}

#[tokio::test]
async fn what_is_not_allowed_is_a_permission_violation() {
    let appliance = Appliance::start().await;
    appliance.add_user("bob", Role::User).await;
    let (bob, mut events) = connect(&appliance, appliance.token("bob").await).await;
    let violation = |event: &Event| {
        event
            .to_string()
            .to_lowercase()
            .contains("permissions violation")
    };
    bob.publish("chat.general", "{}".into()).await.unwrap();
    let text = event(&mut events, violation).await.to_string();
    assert!(text.contains("Publish to \"chat.general\""), "{text}");
    let _subscription = bob.subscribe("deliver.alice.>").await.unwrap();
    let text = event(&mut events, violation).await.to_string();
    assert!(
        text.contains("Subscription to \"deliver.alice.>\""),
        "{text}"
    );
    assert_eq!(
        ask(&bob, "room.mine", json!({})).await["me"]["username"],
        "bob"
    );
}

#[tokio::test]
async fn nobody_answers_is_no_responders() {
    let appliance = Appliance::start().await;
    appliance.add_user("bob", Role::User).await;
    let (bob, _) = connect(&appliance, appliance.token("bob").await).await;
    let refused = bob
        .request("translate.ping", "{}".into())
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), RequestErrorKind::NoResponders);
}

#[tokio::test]
async fn token_that_runs_out_disconnects() {
    let appliance = Appliance::with_config("[identity]\naccess_token_lifetime = \"3s\"\n").await;
    appliance.add_user("bob", Role::User).await;
    let (_bob, mut events) = connect(&appliance, appliance.token("bob").await).await;
    let expired = |event: &Event| {
        event
            .to_string()
            .to_lowercase()
            .contains("user authentication expired")
    };
    event(&mut events, expired).await;
}

#[tokio::test]
async fn client_reconnects_after_a_kill() {
    let mut appliance = Appliance::start().await;
    appliance.add_user("bob", Role::User).await;
    let (bob, mut events) = connect(&appliance, appliance.token("bob").await).await;
    appliance.kill9().await;
    event(&mut events, |event| matches!(event, Event::Disconnected)).await;
    appliance.restart().await;
    event(&mut events, |event| matches!(event, Event::Connected)).await;
    let mine = eventually("bob is answered again", || async {
        bob.request("room.mine", "{}".into()).await.ok()
    })
    .await;
    let mine: Value = serde_json::from_slice(&mine.payload).unwrap();
    assert_eq!(mine["me"]["username"], "bob");
}
