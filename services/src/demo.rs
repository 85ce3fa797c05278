//! `--demo`: rooms and a conversation to try things out with. The users are `identity::seed_demo_users`'.

use serde_json::{Value, json};
use storage::chat::ChatDb;
use storage::chat::rooms::{MemberRow, RoomKind, RoomRole, RoomRow};
use uuid::Uuid;

use crate::bus::{Append, Bus};
use crate::clock::now_ms;
use crate::limits::DUPLICATE_WINDOW;
use crate::names::direct_room;
use crate::running::StartError;
use crate::{Config, subjects};

const MINUTE_MS: i64 = 60_000;
const LAUNCH: &str = "launch";

/// (minutes ago, room, author, text)
const CONVERSATION: &[(i64, &str, &str, &str)] = &[
    (
        2890,
        "general",
        "diana",
        "Welcome, everybody. This room is for all of us; say hello when you come in.",
    ),
    (2884, "general", "bob", "Hello from the barn :)"),
    (
        2871,
        "general",
        "fiona",
        "Morning! New icons are in the repository, feedback in #random please.",
    ),
    (
        2866,
        "random",
        "evan",
        "Does anybody have a spare USB serial adapter? Mine has gone for a swim.",
    ),
    (
        2861,
        "random",
        "kevin",
        "Second drawer, next to the coffee.",
    ),
    (
        1470,
        "general",
        "hannah",
        "Figures for October:\n- messages: 41 208\n- people: 13\n- lost: 0",
    ),
    (1466, "general", "george", "That last line is my favourite."),
    (
        1440,
        "launch",
        "alice",
        "Ship day is Thursday. Decisions here, noise in #random.",
    ),
    (
        92,
        "launch",
        "bob",
        "The box in the barn lost power twice last night. Nothing missing after restart, 40 000 acknowledged messages all there.\n```\n$ natterjack serve\nnatterjack is at http://localhost:8080\n```",
    ),
    (
        81,
        "launch",
        "diana",
        "Then we go with the embedded log. Which day suits the customer demo?",
    ),
    (76, "launch", "evan", "Tuesday works for me."),
    (
        70,
        "launch",
        "evan",
        "@alice can you look at `deliver.alice.send.launch`? The stock client gets `Permissions Violation` since the role change.",
    ),
    (
        64,
        "launch",
        "alice",
        "Found it: the token still had the old roles. Signing in again helps, and *no* restart is needed.",
    ),
    (
        52,
        "general",
        "julia",
        "Reminder: demo on **Tuesday at 10:00**, everybody brings one question.",
    ),
    (
        45,
        "general",
        "laura",
        "@alice a customer asks whether history survives a power cut. I said yes.",
    ),
    (44, "general", "alice", "You said right."),
];

/// Replies to the message of the barn: (minutes ago, author, text).
const REPLIES: &[(i64, &str, &str)] = &[
    (
        88,
        "diana",
        "With the old setup we would be restoring a backup now.",
    ),
    (86, "alice", "Numbers for the record, please."),
    (84, "bob", "I will pull the plug a third time at noon."),
];

/// In the conversation of alice and bob: (minutes ago, author, text).
const DIRECT: &[(i64, &str, &str)] = &[
    (40, "bob", "Lunch after the third power cut?"),
    (38, "alice", "Gladly. Please tell me before you pull it."),
];

const LAUNCH_MEMBERS: &[(&str, RoomRole)] = &[
    ("alice", RoomRole::Owner),
    ("bob", RoomRole::Member),
    ("diana", RoomRole::Admin),
    ("evan", RoomRole::Member),
];

/// Adds the demo's rooms and conversation, once; before the services start.
///
/// # Errors
/// When the message system or the database cannot be used.
pub async fn seed(bus: &dyn Bus, db: &ChatDb, config: &Config) -> Result<(), StartError> {
    let direct = direct_room("alice", "bob");
    let now = now_ms();
    let is_new = make_room(db, LAUNCH, RoomKind::Private, LAUNCH_MEMBERS, now).await?;
    if !is_new {
        return Ok(());
    }
    let both = [("alice", RoomRole::Member), ("bob", RoomRole::Member)];
    make_room(db, &direct, RoomKind::Direct, &both, now).await?;
    bus.open_stream(
        subjects::MESSAGES_STREAM,
        config.stream_messages_max,
        DUPLICATE_WINDOW,
    )
    .await?;

    // Ages in the room of the barn's message and of what hangs on it.
    let barn = now - 92 * MINUTE_MS;
    let thread = format!("{LAUNCH}-{barn}");
    let mut posts: Vec<(i64, String, Value)> = Vec::new();
    for (ago, room, author, text) in CONVERSATION {
        let at = now - ago * MINUTE_MS;
        posts.push((
            at,
            subjects::message(room, None),
            message(room, author, text, at),
        ));
    }
    for (ago, author, text) in REPLIES {
        let at = now - ago * MINUTE_MS;
        let mut body = message(LAUNCH, author, text, at);
        body["threadId"] = json!(thread);
        body["parentTimestamp"] = json!(barn);
        posts.push((at, subjects::message(LAUNCH, Some(&thread)), body));
    }
    for (ago, author, text) in DIRECT {
        let at = now - ago * MINUTE_MS;
        posts.push((
            at,
            subjects::message(&direct, None),
            message(&direct, author, text, at),
        ));
    }
    for (author, emoji) in [
        ("alice", "🎉"),
        ("diana", "🎉"),
        ("evan", "🎉"),
        ("evan", "👍"),
    ] {
        let body = json!({
            "id": Uuid::now_v7().to_string(), "user": author, "room": LAUNCH, "action": "react",
            "timestamp": barn, "targetUser": "bob", "emoji": emoji,
        });
        posts.push((now, subjects::message(LAUNCH, None), body));
    }
    posts.sort_by_key(|(at, _, _)| *at);
    for (_, subject, body) in posts {
        let append = Append {
            stream: subjects::MESSAGES_STREAM,
            subject,
            payload: crate::wire::json(&body),
            message_id: None,
        };
        bus.append(append).await?;
    }
    Ok(())
}

fn message(room: &str, author: &str, text: &str, at: i64) -> Value {
    let mentions: Vec<&str> = if text.starts_with("@alice") {
        vec!["alice"]
    } else {
        Vec::new()
    };
    json!({
        "id": Uuid::now_v7().to_string(), "user": author, "room": room, "text": text,
        "timestamp": at, "mentions": mentions,
    })
}

async fn make_room(
    db: &ChatDb,
    name: &str,
    kind: RoomKind,
    members: &[(&str, RoomRole)],
    now: i64,
) -> Result<bool, StartError> {
    let member = |(username, role): &(&str, RoomRole)| MemberRow {
        room: name.to_owned(),
        username: (*username).to_owned(),
        role: *role,
        invited_by: None,
        joined_at: now,
    };
    let row = RoomRow {
        name: name.to_owned(),
        display_name: name.to_owned(),
        creator: "alice".to_owned(),
        kind,
        created_at: now,
    };
    Ok(db
        .insert_room(row, members.iter().map(member).collect())
        .await?)
}
