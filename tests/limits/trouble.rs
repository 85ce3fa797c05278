//! Whatever a stranger or a broken client sends, it is answered as nats-server answers and nobody else notices.

use harness::{Appliance, Frame, Raw, Role};
use serde_json::json;

async fn appliance() -> Appliance {
    let appliance = Appliance::start().await;
    appliance.add_user("bob", Role::User).await;
    appliance
}

/// What the server says to `bytes` before it closes.
async fn last_words(mut raw: Raw, bytes: &[u8]) -> Vec<Frame> {
    raw.send(bytes).await;
    let mut seen = Vec::new();
    loop {
        match raw.next().await {
            Frame::Closed => return seen,
            frame => seen.push(frame),
        }
    }
}

#[tokio::test]
async fn strangers_get_no_further_than_authorization() {
    let appliance = appliance().await;
    for first in [
        "SUB > 1\r\n",
        "PING\r\n",
        "PUB chat.general 2\r\n{}\r\n",
        "CONNECT {}\r\nPING\r\n",
        "CONNECT {\"auth_token\":\"\"}\r\nPING\r\n",
        "CONNECT {\"user\":\"alice\",\"pass\":\"alice\"}\r\nPING\r\n",
    ] {
        let raw = Raw::connect(appliance.nats).await;
        let expected = [Frame::Error("Authorization Violation".to_owned())];
        assert_eq!(
            last_words(raw, first.as_bytes()).await,
            expected,
            "{first:?}"
        );
    }
}

#[tokio::test]
async fn silent_connection_is_closed_with_authentication_timeout() {
    let appliance = appliance().await;
    let raw = Raw::connect(appliance.nats).await;
    let expected = [Frame::Error("Authentication Timeout".to_owned())];
    assert_eq!(last_words(raw, b"").await, expected);
}

#[tokio::test]
async fn malformed_frames_close_only_their_connection() {
    let appliance = appliance().await;
    let mut witness = appliance.raw("bob").await;
    let token = appliance.token("bob").await;
    let long = format!("SUB {} 1\r\n", "a".repeat(5000));
    for (bytes, error) in [
        (&b"BOGUS\r\n"[..], Some("Unknown Protocol Operation")),
        (b"MSG a 1 2\r\n{}\r\n", Some("Unknown Protocol Operation")),
        (
            b"PUB room.list 2\r\n{}xx\r\n",
            Some("Unknown Protocol Operation"),
        ),
        (b"PUB room.list 99999999999\r\n", None),
        (b"PUB room.list -1\r\n", None),
        (b"PUB\r\n", Some("Unknown Protocol Operation")),
        (b"HPUB room.list 90 2\r\n", None),
        (
            b"PUB room.list 2000000\r\n",
            Some("Maximum Payload Violation"),
        ),
        (long.as_bytes(), Some("maximum control line exceeded")),
    ] {
        let mut raw = Raw::connect(appliance.nats).await;
        raw.log_in(&token).await;
        let expected: Vec<Frame> = error
            .iter()
            .map(|text| Frame::Error((*text).to_owned()))
            .collect();
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(40)]).into_owned();
        assert_eq!(last_words(raw, bytes).await, expected, "{shown:?}");
    }
    assert_eq!(
        witness.ask("room.mine", "{}").await["me"]["username"],
        "bob"
    );
}

#[tokio::test]
async fn payload_that_is_not_what_a_service_expects_gets_an_error() {
    let appliance = appliance().await;
    let mut bob = appliance.raw("bob").await;
    bob.ask("room.join.general", &json!({"userId": "bob"}).to_string())
        .await;
    for body in [
        "",
        "not json",
        "[]",
        "null",
        "{\"user\":5}",
        "{\"timestamp\":\"now\"}",
        "{\"text\":\"\\u0000\"}",
    ] {
        let answer = bob.ask("deliver.bob.send.general", body).await;
        assert!(
            answer["error"].is_string() || answer["ok"] == true,
            "{body}: {answer}"
        );
    }
    for name in [
        "a.b",
        "a b",
        "*",
        ">",
        "",
        "dm-bob-eve",
        "__admin__",
        "general",
        "GENERAL",
        &"x".repeat(300),
    ] {
        let answer = bob
            .ask(
                "room.create",
                &json!({"name": name, "user": "bob"}).to_string(),
            )
            .await;
        assert!(answer["error"].is_string(), "{name:?}: {answer}");
    }
    let text = "x".repeat(64 * 1024);
    let body = json!({"user": "bob", "text": text, "timestamp": 1, "room": "general"}).to_string();
    let answer = bob.ask("deliver.bob.send.general", &body).await;
    assert_eq!(answer["code"], "too_large", "{answer}");
}

#[tokio::test]
async fn who_does_not_read_is_cut_off_and_nobody_else_notices() {
    let appliance = Appliance::with_config(
        "[nats]\npending_max = \"2MiB\"\n[services]\nmessages_per_minute = 10000\n",
    )
    .await;
    appliance.add_user("bob", Role::User).await;
    let mut sleeper = appliance.raw("bob").await;
    for number in 0..200 {
        sleeper
            .send(format!("SUB room.notify.general s{number}\r\n").as_bytes())
            .await;
    }
    sleeper.fence().await;
    let mut witness = appliance.raw("bob").await;
    assert_eq!(witness.subscribe("room.notify.general", "1").await, None);
    let mut bob = appliance.raw("bob").await;
    bob.ask("room.join.general", &json!({"userId": "bob"}).to_string())
        .await;
    // Each message makes 200 notices for the one who sleeps: in the end far more than the kernel and the server hold.
    const MESSAGES: u64 = 1000;
    for number in 0..MESSAGES {
        let body =
            json!({"user": "bob", "text": "x", "timestamp": number, "room": "general"}).to_string();
        let sent = bob.ask("deliver.bob.send.general", &body).await;
        assert_eq!(sent["ok"], true, "{sent}");
    }
    let mut heard = 0;
    while heard < MESSAGES {
        let Frame::Message { subject, .. } = witness.next().await else {
            panic!("the witness is disturbed");
        };
        assert_eq!(subject, "room.notify.general");
        heard += 1;
    }
    assert_eq!(bob.ask("room.mine", "{}").await["me"]["username"], "bob");
    // Whoever slept finds a part of it, and then the end.
    assert_eq!(sleeper.fence().await.last(), Some(&Frame::Closed));
}
