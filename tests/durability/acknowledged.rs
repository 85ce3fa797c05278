//! What was acknowledged is still there after the process was killed, once, and in order.

use std::collections::BTreeMap;
use std::sync::Arc;

use harness::{Appliance, Frame, Raw, Role, eventually};
use serde_json::{Value, json};
use tokio::sync::Notify;

/// Kills per test; between them the sender goes on where it was.
const KILLS: usize = 3;

/// Sends numbered messages until the connection ends, and keeps the sequence of each that was acknowledged; `progress` is
/// told at each.
async fn send_until_cut_off(
    alice: &mut Raw,
    next: &mut u64,
    acknowledged: &mut BTreeMap<u64, Value>,
    progress: &Notify,
) {
    loop {
        let number = *next;
        *next += 1;
        let body = json!({
            "user": "alice", "text": format!("message {number}"), "timestamp": 1_772_000_000_000_u64 + number,
            "room": "general", "clientId": format!("client-{number}"),
        })
        .to_string();
        match alice
            .request("deliver.alice.send.general", body.as_bytes())
            .await
        {
            Frame::Message { payload, .. } => {
                let answer: Value = serde_json::from_slice(&payload).unwrap_or_default();
                if answer["ok"] == true {
                    acknowledged.insert(number, answer);
                    progress.notify_one();
                }
            }
            _ => return,
        }
    }
}

/// The room from its beginning, page by page.
async fn history(alice: &mut Raw) -> Vec<Value> {
    let mut all: Vec<Value> = Vec::new();
    loop {
        let after = all
            .last()
            .map_or(json!(0), |message| message["seq"].clone());
        let page = alice
            .ask(
                "chat.history.general",
                &json!({"afterSeq": after, "limit": 100}).to_string(),
            )
            .await;
        let messages = page["messages"]
            .as_array()
            .expect("a page has messages")
            .clone();
        if messages.is_empty() {
            return all;
        }
        all.extend(messages);
    }
}

#[tokio::test]
async fn acknowledged_messages_survive_kills_exactly_once() {
    let mut appliance = Appliance::start().await;
    appliance.add_user("alice", Role::User).await;
    let mut acknowledged = BTreeMap::new();
    let mut next = 0;
    for round in 0..KILLS {
        let mut alice = appliance.raw("alice").await;
        alice
            .ask("room.join.general", &json!({"userId": "alice"}).to_string())
            .await;
        let before = acknowledged.len();
        let progress = Arc::new(Notify::new());
        let told = Arc::clone(&progress);
        let sending = tokio::spawn(async move {
            send_until_cut_off(&mut alice, &mut next, &mut acknowledged, &told).await;
            (next, acknowledged)
        });
        progress.notified().await;
        // The kill lands at another place in the work each time: after some accounts were looked at.
        for _ in 0..=round {
            appliance.command(&["user", "list"], "").await;
        }
        appliance.kill9().await;
        (next, acknowledged) = sending.await.unwrap();
        assert!(
            acknowledged.len() > before,
            "something was acknowledged in round {round}"
        );
        appliance.restart().await;
    }

    let mut alice = appliance.raw("alice").await;
    let last = acknowledged
        .keys()
        .last()
        .copied()
        .expect("something was acknowledged");
    let stored = eventually(
        "the last acknowledged message is in the history",
        || async {
            let mut reader = appliance.raw("alice").await;
            let stored = history(&mut reader).await;
            let text = format!("message {last}");
            stored
                .iter()
                .any(|message| message["text"] == text)
                .then_some(stored)
        },
    )
    .await;
    let sequences: Vec<u64> = stored
        .iter()
        .filter_map(|message| message["seq"].as_u64())
        .collect();
    assert!(
        sequences.is_sorted_by(|a, b| a < b),
        "history is ordered by sequence: {sequences:?}"
    );
    for (number, answer) in &acknowledged {
        let text = format!("message {number}");
        let found: Vec<&Value> = stored
            .iter()
            .filter(|message| message["text"] == text)
            .collect();
        assert_eq!(found.len(), 1, "{text} was acknowledged with {answer}");
        assert_eq!(found[0]["seq"], answer["seq"], "{text}");
        assert_eq!(found[0]["id"], answer["id"], "{text}");
    }
    // Sending one of them again is answered with what the first was given.
    let (number, first) = acknowledged
        .last_key_value()
        .expect("something was acknowledged");
    let body = json!({
        "user": "alice", "text": format!("message {number}"), "timestamp": 1_772_000_000_000_u64 + number,
        "room": "general", "clientId": format!("client-{number}"),
    });
    let again = alice
        .ask("deliver.alice.send.general", &body.to_string())
        .await;
    assert_eq!(again["id"], first["id"], "the same message again");
}
