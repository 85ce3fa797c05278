//! Authentication and permissions on a real socket, one test per documented behaviour of nats-server.

mod support;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use broker::{
    AuthError, Authenticator, Config, ConnectRequest, Identity, Permissions, ResponsePermission,
    Server, SubjectPermissions,
};
use support::{Raw, eventually, server_with};
use tokio_util::sync::CancellationToken;

/// Lets in whoever has the token `good`, with fixed permissions.
#[derive(Default)]
struct Door {
    permissions: Permissions,
    lifetime: Option<Duration>,
    revoked: Option<CancellationToken>,
    is_slow: bool,
}

#[async_trait]
impl Authenticator for Door {
    async fn authenticate(&self, request: ConnectRequest) -> Result<Identity, AuthError> {
        if self.is_slow {
            std::future::pending::<()>().await;
        }
        if request.auth_token.as_deref() != Some("good") {
            return Err(AuthError::new("wrong token"));
        }
        let mut identity = Identity::new("alice", "CHAT");
        identity.tags = vec!["user".to_owned()];
        identity.permissions = self.permissions.clone();
        identity.expires_at = self.lifetime.map(|lifetime| SystemTime::now() + lifetime);
        identity.revoked = self.revoked.clone();
        Ok(identity)
    }
}

const GOOD: &str =
    r#""verbose":false,"pedantic":false,"headers":true,"no_responders":true,"auth_token":"good""#;

fn list(allow: &[&str], deny: &[&str]) -> SubjectPermissions {
    let owned = |entries: &[&str]| entries.iter().map(ToString::to_string).collect();
    SubjectPermissions {
        allow: (!allow.is_empty()).then(|| owned(allow)),
        deny: owned(deny),
    }
}

async fn guarded(permissions: Permissions) -> (Server, std::net::SocketAddr) {
    let door = Door {
        permissions,
        ..Door::default()
    };
    server_with(Config::default(), Arc::new(door)).await
}

#[tokio::test]
async fn item_02_anything_before_connect_is_a_violation() {
    let (_server, addr) = guarded(Permissions::default()).await;
    for op in [
        "PING\r\n",
        "SUB a 1\r\n",
        "PUB a 0\r\n\r\n",
        "PUB a 1000000\r\n",
        "PUB a 2000000\r\n",
    ] {
        let mut raw = Raw::open(addr).await;
        raw.send(op).await;
        raw.expect_closed("-ERR 'Authorization Violation'\r\n")
            .await;
    }
}

#[tokio::test]
async fn item_43_all_failures_have_the_same_text() {
    let (_server, addr) = guarded(Permissions::default()).await;
    for options in [
        "",
        r#""auth_token":"bad""#,
        r#""user":"a","pass":"b""#,
        r#""auth_token":"good","account":"X""#,
    ] {
        let mut raw = Raw::open(addr).await;
        raw.send(format!("CONNECT {{{options}}}\r\nPING\r\n")).await;
        raw.expect_closed("-ERR 'Authorization Violation'\r\n")
            .await;
    }
}

#[tokio::test]
async fn connect_must_come_and_be_answered_in_time() {
    let config = Config {
        auth_timeout: Duration::from_millis(50),
        ..Config::default()
    };
    let (_server, addr) = server_with(config.clone(), Arc::new(Door::default())).await;
    Raw::open(addr)
        .await
        .expect_closed("-ERR 'Authentication Timeout'\r\n")
        .await;
    let (_server, addr) = server_with(
        config,
        Arc::new(Door {
            is_slow: true,
            ..Door::default()
        }),
    )
    .await;
    let mut raw = Raw::open(addr).await;
    raw.send("CONNECT {\"auth_token\":\"good\"}\r\nPING\r\n")
        .await;
    raw.expect_closed("-ERR 'Authentication Timeout'\r\n").await;
}

#[tokio::test]
async fn a_stranger_cannot_send_much() {
    let (_server, addr) = guarded(Permissions::default()).await;
    let mut raw = Raw::open(addr).await;
    raw.send_anyway(format!("CONNECT {{\"x\":\"{}", "x".repeat(100_000)))
        .await;
    let seen = raw.rest().await;
    assert!(
        seen.is_empty() || seen == "-ERR 'maximum control line exceeded'\r\n",
        "{seen}"
    );
}

#[tokio::test]
async fn item_40_a_reply_that_may_not_be_published_to_is_fine() {
    let permissions = Permissions {
        publish: list(&["ask"], &[]),
        ..Permissions::default()
    };
    let (_server, addr) = guarded(permissions).await;
    let mut raw = Raw::connect(addr, GOOD).await;
    raw.send("SUB ask 1\r\nPUB ask _INBOX.x 0\r\n\r\nPUB other 0\r\n\r\n")
        .await;
    raw.expect(
        "MSG ask 1 _INBOX.x 0\r\n\r\n-ERR 'Permissions Violation for Publish to \"other\"'\r\n",
    )
    .await;
    raw.expect_quiet().await;
}

#[tokio::test]
async fn items_46_and_47_subscriptions_are_subsets_and_denials_filter() {
    let permissions = Permissions {
        subscribe: list(&["s.>"], &["s.no"]),
        ..Permissions::default()
    };
    let (_server, addr) = guarded(permissions).await;
    let mut raw = Raw::connect(addr, GOOD).await;
    raw.send("SUB > 1\r\nSUB s.no 2\r\nSUB s.* 3\r\nPUB s.no 0\r\n\r\nPUB s.yes 0\r\n\r\n")
        .await;
    raw.expect("-ERR 'Permissions Violation for Subscription to \">\"'\r\n")
        .await;
    raw.expect("-ERR 'Permissions Violation for Subscription to \"s.no\"'\r\n")
        .await;
    raw.expect("MSG s.yes 3 0\r\n\r\n").await;
    raw.expect_quiet().await;
}

#[tokio::test]
async fn item_48_a_queue_permission_refuses_the_plain_subscription() {
    let permissions = Permissions {
        subscribe: list(&["w.* q1"], &[]),
        ..Permissions::default()
    };
    let (_server, addr) = guarded(permissions).await;
    let mut raw = Raw::connect(addr, GOOD).await;
    raw.send("SUB w.1 1\r\nSUB w.1 q2 2\r\nSUB w.1 q1 3\r\n")
        .await;
    raw.expect("-ERR 'Permissions Violation for Subscription to \"w.1\"'\r\n")
        .await;
    raw.expect("-ERR 'Permissions Violation for Subscription to \"w.1\" using queue \"q2\"'\r\n")
        .await;
    raw.expect_quiet().await;
}

#[tokio::test]
async fn items_50_and_51_one_answer_per_request_and_other_replies_are_free() {
    let permissions = Permissions {
        publish: list(&["free.>", "ask"], &[]),
        allow_responses: Some(ResponsePermission::default()),
        ..Permissions::default()
    };
    let (_server, addr) = guarded(permissions).await;
    let mut raw = Raw::connect(addr, GOOD).await;
    raw.send(
        "SUB ask 1\r\nPUB r.1 0\r\n\r\nPUB ask r.1 0\r\n\r\nPUB r.1 0\r\n\r\nPUB r.1 0\r\n\r\n",
    )
    .await;
    raw.expect("-ERR 'Permissions Violation for Publish to \"r.1\"'\r\n")
        .await;
    raw.expect("MSG ask 1 r.1 0\r\n\r\n").await;
    raw.expect("-ERR 'Permissions Violation for Publish to \"r.1\"'\r\n")
        .await;
    raw.send("PUB ask free.1 0\r\n\r\nPUB free.1 0\r\n\r\nPUB free.1 0\r\n\r\n")
        .await;
    raw.expect("MSG ask 1 free.1 0\r\n\r\n").await;
    raw.expect_quiet().await;
}

#[tokio::test]
async fn item_52_a_violation_replaces_ok() {
    let permissions = Permissions {
        publish: list(&["a"], &[]),
        subscribe: list(&["a"], &[]),
        ..Permissions::default()
    };
    let (_server, addr) = guarded(permissions).await;
    let mut raw = Raw::open(addr).await;
    raw.send(
        "CONNECT {\"auth_token\":\"good\"}\r\nSUB a 1\r\nSUB b 2\r\nPUB b 0\r\n\r\nPUB a 0\r\n\r\n",
    )
    .await;
    raw.expect("+OK\r\n+OK\r\n-ERR 'Permissions Violation for Subscription to \"b\"'\r\n")
        .await;
    raw.expect("-ERR 'Permissions Violation for Publish to \"b\"'\r\n+OK\r\nMSG a 1 0\r\n\r\n")
        .await;
}

#[tokio::test]
async fn item_53_expiry_and_revocation_have_their_texts() {
    let door = Door {
        lifetime: Some(Duration::from_millis(100)),
        ..Door::default()
    };
    let (_server, addr) = server_with(Config::default(), Arc::new(door)).await;
    let raw = Raw::connect(addr, GOOD).await;
    raw.expect_closed("-ERR 'User Authentication Expired'\r\n")
        .await;

    let token = CancellationToken::new();
    let door = Door {
        revoked: Some(token.clone()),
        ..Door::default()
    };
    let (_server, addr) = server_with(Config::default(), Arc::new(door)).await;
    let raw = Raw::connect(addr, GOOD).await;
    token.cancel();
    raw.expect_closed("-ERR 'User Authentication Revoked'\r\n")
        .await;
    let mut late = Raw::open(addr).await;
    late.send(format!("CONNECT {{{GOOD}}}\r\nPING\r\n")).await;
    assert!(late.rest().await.contains("User Authentication Revoked"));
}

#[tokio::test]
async fn inboxes_of_others_stay_private() {
    let permissions = Permissions {
        subscribe: list(&["_INBOX.>", "room.>"], &[]),
        private_inboxes: true,
        ..Permissions::default()
    };
    let (_server, addr) = guarded(permissions).await;
    let mut raw = Raw::connect(addr, GOOD).await;
    for filter in ["_INBOX.>", "_INBOX.*", "_INBOX.*.x", "*.>"] {
        raw.send(format!("SUB {filter} 1\r\n")).await;
        raw.expect(&format!(
            "-ERR 'Permissions Violation for Subscription to \"{filter}\"'\r\n"
        ))
        .await;
    }
    raw.send("SUB _INBOX.0123456789abcdef012345.* 1\r\nSUB room.> 2\r\n")
        .await;
    raw.expect_quiet().await;
}

#[tokio::test]
async fn messages_inside_carry_who_sent_them() {
    let (server, addr) = guarded(Permissions::default()).await;
    let client = server.client("CHAT", &Identity::new("service", "CHAT"));
    let mut inside = client.queue_subscribe("send", "workers").expect("a filter");
    let mut raw = Raw::connect(addr, GOOD).await;
    raw.send("PUB send 2\r\nhi\r\n").await;
    let message = inside.next().await.expect("delivered");
    let sender = message.sender.expect("stamped");
    assert_eq!(
        (sender.user.as_str(), sender.account.as_str()),
        ("alice", "CHAT")
    );
    assert_eq!(sender.tags.to_vec(), ["user"]);
    assert_eq!(sender.client_id, server.connections()[0].client_id);
}

#[tokio::test]
async fn the_system_account_hears_of_connections() {
    let (server, addr) = guarded(Permissions::default()).await;
    let system = server.client("$SYS", &Identity::new("system", "$SYS"));
    let mut events = system.subscribe("$SYS.ACCOUNT.*.*").expect("a filter");
    let raw = Raw::connect(addr, GOOD).await;
    let event = events.next().await.expect("an event");
    assert_eq!(event.subject, "$SYS.ACCOUNT.CHAT.CONNECT");
    let connect: serde_json::Value = serde_json::from_slice(&event.payload).expect("JSON");
    assert_eq!(connect["client"]["user"], "alice");
    drop(raw);
    let event = events.next().await.expect("an event");
    assert_eq!(event.subject, "$SYS.ACCOUNT.CHAT.DISCONNECT");
    let disconnect: serde_json::Value = serde_json::from_slice(&event.payload).expect("JSON");
    assert_eq!(disconnect["client"]["id"], connect["client"]["id"]);
    assert_eq!(disconnect["reason"], "Client Closed");
    eventually(|| server.snapshot().connections == 0).await;
}

#[tokio::test]
async fn connections_can_be_closed_by_what_they_are() {
    let (server, addr) = guarded(Permissions::default()).await;
    let raw = Raw::connect(addr, GOOD).await;
    assert_eq!(
        server.disconnect(|connection| connection.user.as_deref() == Some("bob")),
        0
    );
    assert_eq!(
        server.disconnect(|connection| connection.user.as_deref() == Some("alice")),
        1
    );
    raw.expect_closed("").await;
}
