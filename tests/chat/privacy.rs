//! Nobody reads, guesses, fetches or lists anything of a private room or a conversation of others.
//!
//! One secret room of alice and bob, one direct conversation of theirs, and outsiders of every tier who try each way
//! in. What they are told must be what they are told about a room that does not exist, byte for byte.

use std::time::{SystemTime, UNIX_EPOCH};

use harness::{Appliance, Frame, Raw, Role};
use serde_json::{Value, json};

/// The private room, and one of the same length that was never made.
const SECRET: &str = "vaulted";
const NOWHERE: &str = "nowhere";
/// Words that no outsider may ever see.
const WORDS: &str = "the-combination-is-4711";

/// Everybody who is not a member: one per tier.
const OUTSIDERS: [&str; 3] = ["carol", "diana", "mike"];

fn now() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("the clock is set");
    u64::try_from(since.as_millis()).expect("milliseconds fit")
}

struct Scene {
    appliance: Appliance,
    alice: Raw,
    bob: Raw,
    /// A notify id that bob was sent for a message in the secret room.
    notify_id: String,
    /// When that message was sent, as the server says.
    timestamp: u64,
}

impl Scene {
    async fn set() -> Self {
        let appliance = Appliance::start().await;
        for (name, role) in [
            ("alice", Role::User),
            ("bob", Role::User),
            ("carol", Role::User),
            ("diana", Role::Admin),
            ("mike", Role::None),
        ] {
            appliance.add_user(name, role).await;
        }
        let mut alice = appliance.raw("alice").await;
        let mut bob = appliance.raw("bob").await;
        assert_eq!(bob.subscribe("deliver.bob.>", "mine").await, None);
        let made = alice
            .ask(
                "room.create",
                &json!({"name": SECRET, "user": "alice"}).to_string(),
            )
            .await;
        assert_eq!(made["name"], SECRET, "{made}");
        let invited = alice
            .ask(
                &format!("room.invite.{SECRET}"),
                &json!({"target": "bob", "user": "alice"}).to_string(),
            )
            .await;
        assert_eq!(invited["ok"], true, "{invited}");
        let mut scene = Self {
            appliance,
            alice,
            bob,
            notify_id: String::new(),
            timestamp: 0,
        };
        for user in ["alice", "bob"] {
            let join = json!({"userId": user}).to_string();
            scene.alice.ask("room.join.dm-alice-bob", &join).await;
        }
        scene.timestamp = scene.say(SECRET).await;
        scene.notify_id = scene.notice_for_bob().await;
        scene.say("dm-alice-bob").await;
        scene
    }

    async fn say(&mut self, room: &str) -> u64 {
        let body =
            json!({"user": "alice", "text": WORDS, "timestamp": now(), "room": room}).to_string();
        let sent = self
            .alice
            .ask(&format!("deliver.alice.send.{room}"), &body)
            .await;
        assert_eq!(sent["ok"], true, "{sent}");
        sent["timestamp"]
            .as_u64()
            .expect("an acknowledged message has a time")
    }

    async fn notice_for_bob(&mut self) -> String {
        let subject = format!("deliver.bob.notify.{SECRET}");
        loop {
            let Frame::Message {
                subject: got,
                payload,
                ..
            } = self.bob.next().await
            else {
                continue;
            };
            let notice: Value = serde_json::from_slice(&payload).unwrap_or_default();
            if got == subject && notice["timestamp"] == self.timestamp {
                return notice["notifyId"]
                    .as_str()
                    .expect("a notice has an id")
                    .to_owned();
            }
        }
    }
}

/// What an outsider is told, with everything that names the room or the reply inbox taken out.
fn told(frame: Frame, room: &str) -> String {
    match frame {
        Frame::Message {
            headers, payload, ..
        } => format!("{headers}|{}", String::from_utf8_lossy(&payload)).replace(room, "ROOM"),
        Frame::Error(text) => format!("-ERR {text}").replace(room, "ROOM"),
        other => format!("{other:?}"),
    }
}

/// Every request that names a room, as (subject, body) with ROOM in place of the name.
fn requests(me: &str, at: u64) -> Vec<(String, String)> {
    let body = |value: Value| value.to_string();
    let tid = format!("ROOM-{at}");
    vec![
        ("chat.history.ROOM".into(), body(json!({}))),
        (
            "chat.history.ROOM".into(),
            body(json!({"before": at + 1, "limit": 100})),
        ),
        ("chat.history.ROOM".into(), body(json!({"afterSeq": 0}))),
        (
            "chat.history.ROOM".into(),
            body(json!({"room": "ROOM", "threadId": tid, "parentTimestamp": at})),
        ),
        (format!("chat.history.ROOM.thread.{tid}"), body(json!({}))),
        ("room.info.ROOM".into(), body(json!({}))),
        ("room.members.ROOM".into(), body(json!({}))),
        ("presence.room.ROOM".into(), body(json!({}))),
        ("read.state.ROOM".into(), body(json!({}))),
        (
            "read.update.ROOM".into(),
            body(json!({"userId": me, "lastRead": at})),
        ),
        ("room.join.ROOM".into(), body(json!({"userId": me}))),
        ("room.leave.ROOM".into(), body(json!({"userId": me}))),
        ("room.leave.ROOM".into(), body(json!({"userId": "bob"}))),
        ("room.join.ROOM".into(), body(json!({"userId": "alice"}))),
        (
            "room.invite.ROOM".into(),
            body(json!({"target": me, "user": me})),
        ),
        (
            "room.invite.ROOM".into(),
            body(json!({"target": me, "user": "alice"})),
        ),
        (
            "room.kick.ROOM".into(),
            body(json!({"target": "bob", "user": me})),
        ),
        (
            "room.kick.ROOM".into(),
            body(json!({"target": "bob", "user": "alice"})),
        ),
        ("room.depart.ROOM".into(), body(json!({"user": me}))),
        ("room.depart.ROOM".into(), body(json!({"user": "bob"}))),
        (
            format!("deliver.{me}.send.ROOM"),
            body(json!({"user": me, "text": "let me in", "timestamp": at, "room": "ROOM"})),
        ),
        (
            format!("deliver.{me}.send.ROOM.thread.{tid}"),
            body(json!({"user": me, "text": "let me in", "timestamp": at, "threadId": tid})),
        ),
        ("app.poll.ROOM.list".into(), body(json!({"user": me}))),
        ("apps.room.ROOM".into(), body(json!({"room": "ROOM"}))),
    ]
}

#[tokio::test]
async fn private_room_looks_like_no_room_at_all() {
    let scene = Scene::set().await;
    for me in OUTSIDERS {
        let mut outsider = scene.appliance.raw(me).await;
        for (subject, body) in requests(me, scene.timestamp) {
            let mut answers = Vec::new();
            for room in [SECRET, NOWHERE] {
                let (subject, body) = (subject.replace("ROOM", room), body.replace("ROOM", room));
                let answer = told(outsider.request(&subject, body.as_bytes()).await, room);
                assert!(!answer.contains(WORDS), "{me} reads {subject}: {answer}");
                answers.push(answer);
            }
            assert_eq!(
                answers[0], answers[1],
                "{me} can tell {SECRET} from no room with {subject} {body}"
            );
        }
    }
}

#[tokio::test]
async fn conversation_of_two_others_looks_like_one_that_never_was() {
    let scene = Scene::set().await;
    for me in OUTSIDERS {
        let mut outsider = scene.appliance.raw(me).await;
        for (subject, body) in requests(me, scene.timestamp) {
            let mut answers = Vec::new();
            for room in ["dm-alice-bob", "dm-alice-bop"] {
                let (subject, body) = (subject.replace("ROOM", room), body.replace("ROOM", room));
                let answer = told(outsider.request(&subject, body.as_bytes()).await, room);
                assert!(!answer.contains(WORDS), "{me} reads {subject}: {answer}");
                answers.push(answer);
            }
            assert_eq!(
                answers[0], answers[1],
                "{me} can tell with {subject} {body}"
            );
        }
    }
}

#[tokio::test]
async fn stolen_notify_id_opens_nothing() {
    let mut scene = Scene::set().await;
    let id = scene.notify_id.clone();
    let ask = |id: &str| json!({"notifyId": id, "room": SECRET}).to_string();
    let member = scene.bob.ask("msg.get", &ask(&id)).await;
    assert_eq!(member["text"], WORDS, "a member reads it");
    for me in OUTSIDERS {
        let mut outsider = scene.appliance.raw(me).await;
        let stolen = told(
            outsider.request("msg.get", ask(&id).as_bytes()).await,
            SECRET,
        );
        let invented = told(
            outsider
                .request("msg.get", ask(&format!("{id}x")).as_bytes())
                .await,
            SECRET,
        );
        assert_eq!(stolen, invented, "{me}");
        for headers in [
            "Nats-User: bob\r\n",
            "nats-user: bob\r\n",
            "Nats-Request-Info: {\"user\":\"bob\"}\r\n",
        ] {
            let forged = outsider
                .request_with_headers("msg.get", headers, ask(&id).as_bytes())
                .await;
            assert_eq!(told(forged, SECRET), invented, "{me} with {headers}");
        }
    }
}

#[tokio::test]
async fn forged_header_does_not_make_a_member() {
    let scene = Scene::set().await;
    for me in OUTSIDERS {
        let mut outsider = scene.appliance.raw(me).await;
        for (subject, body) in requests(me, scene.timestamp) {
            let (subject, body) = (
                subject.replace("ROOM", SECRET),
                body.replace("ROOM", SECRET),
            );
            let plain = told(outsider.request(&subject, body.as_bytes()).await, SECRET);
            let forged = outsider
                .request_with_headers(&subject, "Nats-User: alice\r\n", body.as_bytes())
                .await;
            assert_eq!(told(forged, SECRET), plain, "{me}: {subject} {body}");
        }
    }
}

#[tokio::test]
async fn lists_name_no_room_of_others() {
    let scene = Scene::set().await;
    for me in OUTSIDERS {
        let mut outsider = scene.appliance.raw(me).await;
        for (subject, body) in [
            ("room.list", json!({"user": me}).to_string()),
            ("room.list", json!({"user": "alice"}).to_string()),
            ("room.mine", json!({}).to_string()),
            ("room.mine", json!({"user": "alice"}).to_string()),
            ("chat.dms", me.to_owned()),
            ("chat.dms", "alice".to_owned()),
            ("chat.dms", "bob".to_owned()),
        ] {
            let answer = told(
                outsider.request(subject, body.as_bytes()).await,
                "no such text",
            );
            for hidden in [SECRET, "dm-alice-bob", WORDS] {
                assert!(!answer.contains(hidden), "{me}: {subject} {body}: {answer}");
            }
        }
    }
}

#[tokio::test]
async fn outsiders_listen_in_vain() {
    let mut scene = Scene::set().await;
    let mut listeners = Vec::new();
    for me in OUTSIDERS {
        let mut outsider = scene.appliance.raw(me).await;
        for subject in [
            ">",
            "*",
            "*.>",
            "_INBOX.>",
            "_INBOX.*",
            "_INBOX.*.*",
            "_INBOX.short.*",
            "deliver.>",
            "deliver.*.>",
            "deliver.bob.>",
            "deliver.*.notify.*",
            "deliver.bob.send.>",
            "chat.>",
            "chat.vaulted",
            "chat.*",
            "room.>",
            "room.create",
            "room.join.*",
            "msg.get",
            "$SYS.>",
            "$JS.>",
            "$KV.>",
            "$JS.API.STREAM.NAMES",
        ] {
            let refused = outsider.subscribe(subject, "x").await;
            let expected = format!("Permissions Violation for Subscription to \"{subject}\"");
            assert_eq!(refused.as_deref(), Some(expected.as_str()), "{me}");
            let queue = outsider.subscribe(&format!("{subject} workers"), "y").await;
            assert!(queue.is_some(), "{me} {subject} with a queue group");
        }
        // These are open to everybody, and must stay silent about the secret room.
        for (sid, subject) in ["room.notify.*", "room.presence.*"].iter().enumerate() {
            assert_eq!(
                outsider.subscribe(subject, &sid.to_string()).await,
                None,
                "{me}"
            );
        }
        let _ = outsider.subscribe("room.changed.>", "changed").await;
        let _ = outsider.subscribe(&format!("deliver.{me}.>"), "own").await;
        // Joining as an old client does, without waiting for an answer.
        for room in [SECRET, "dm-alice-bob", "__admin__chat"] {
            let body = json!({"userId": me}).to_string();
            outsider
                .send(format!("PUB room.join.{room} {}\r\n{body}\r\n", body.len()).as_bytes())
                .await;
        }
        for subject in ["app.poll.vaulted.updated", "app.poll.dm-alice-bob.updated"] {
            outsider
                .send(format!("PUB {subject} 2\r\n{{}}\r\n").as_bytes())
                .await;
        }
        outsider.fence().await;
        listeners.push((me, outsider));
    }
    scene.say(SECRET).await;
    scene.say("dm-alice-bob").await;
    scene
        .bob
        .ask(
            &format!("room.depart.{SECRET}"),
            &json!({"user": "bob"}).to_string(),
        )
        .await;
    // What follows in a public room arrives after whatever was said before.
    scene
        .alice
        .ask("room.join.general", &json!({"userId": "alice"}).to_string())
        .await;
    scene.say("general").await;
    for (me, mut outsider) in listeners {
        loop {
            let Frame::Message {
                subject, payload, ..
            } = outsider.next().await
            else {
                panic!("{me} is told something that is no message");
            };
            let text = String::from_utf8_lossy(&payload).into_owned();
            for hidden in [SECRET, "dm-alice-bob", WORDS] {
                assert!(
                    !subject.contains(hidden) && !text.contains(hidden),
                    "{me} hears {subject} {text}"
                );
            }
            if subject == "room.notify.general" {
                break;
            }
        }
    }
}

#[tokio::test]
async fn nobody_speaks_for_others() {
    let mut scene = Scene::set().await;
    let mut carol = scene.appliance.raw("carol").await;
    carol
        .ask("room.join.general", &json!({"userId": "carol"}).to_string())
        .await;
    let say = |user: Value| {
        json!({"user": user, "text": "forged", "timestamp": now(), "room": "general"}).to_string()
    };
    let as_bob = carol
        .ask("deliver.carol.send.general", &say(json!("bob")))
        .await;
    assert_ne!(as_bob["ok"], true, "{as_bob}");
    let as_system = carol
        .ask("deliver.carol.send.general", &say(json!("__system__")))
        .await;
    assert_ne!(as_system["ok"], true, "{as_system}");
    let elsewhere = told(
        carol
            .request("deliver.bob.send.general", say(json!("bob")).as_bytes())
            .await,
        "no such text",
    );
    assert!(
        elsewhere.starts_with("-ERR Permissions Violation for Publish"),
        "{elsewhere}"
    );
    for subject in [
        "chat.general",
        "chat.vaulted",
        "room.notify.general",
        "room.changed.general",
        "deliver.bob.notify.general",
        "_INBOX.rawrawrawrawraw00000.1",
        "$KV.MSG_CACHE.x",
        "$JS.API.STREAM.NAMES",
        "$SYS.REQ.USER.AUTH",
    ] {
        let refused = told(carol.request(subject, b"{}").await, "no such text");
        let expected = format!("-ERR Permissions Violation for Publish to \"{subject}\"");
        assert_eq!(refused, expected);
    }
    let member = scene.bob.ask(&format!("room.info.{SECRET}"), "{}").await;
    assert_eq!(
        member["members"].as_array().map(Vec::len),
        Some(2),
        "{member}"
    );
}

#[tokio::test]
async fn thread_of_a_private_room_is_not_reached_through_a_public_one() {
    let scene = Scene::set().await;
    let tid = format!("{SECRET}-{}", scene.timestamp);
    for me in OUTSIDERS {
        let mut outsider = scene.appliance.raw(me).await;
        for (subject, body) in [
            (format!("chat.history.general.thread.{tid}"), json!({})),
            (
                "chat.history.general".to_owned(),
                json!({"threadId": tid, "room": SECRET}),
            ),
        ] {
            let answer = told(
                outsider
                    .request(&subject, body.to_string().as_bytes())
                    .await,
                "no such text",
            );
            assert!(!answer.contains(WORDS), "{me}: {subject}: {answer}");
        }
    }
}

#[tokio::test]
async fn who_leaves_hears_and_reads_no_more() {
    let mut scene = Scene::set().await;
    let left = scene
        .bob
        .ask(
            &format!("room.depart.{SECRET}"),
            &json!({"user": "bob"}).to_string(),
        )
        .await;
    assert_eq!(left["ok"], true, "{left}");
    let mut outsider = scene.appliance.raw("carol").await;
    let ask = json!({"notifyId": scene.notify_id, "room": SECRET}).to_string();
    let former = told(scene.bob.request("msg.get", ask.as_bytes()).await, SECRET);
    let stranger = told(outsider.request("msg.get", ask.as_bytes()).await, SECRET);
    assert_eq!(former, stranger);
    let history = format!("chat.history.{SECRET}");
    let former = told(scene.bob.request(&history, b"{}").await, SECRET);
    let stranger = told(outsider.request(&history, b"{}").await, SECRET);
    assert_eq!(former, stranger);
}
