//! What may not cross, circles, and the port itself.

use std::net::SocketAddr;
use std::time::Duration;

use broker::{LeafAuthorization, LeafUser};
use futures_util::StreamExt;
use harness::{PATIENCE, eventually};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::cable::Cable;
use crate::links::{answer_beyond, next, until_answered};
use crate::site::{Kind, PAIRS, Plan, Site};

#[tokio::test(flavor = "multi_thread")]
async fn denied_subjects_stay_on_their_side() {
    for (hub_kind, edge_kind) in PAIRS {
        let hub = Site::start(hub_kind, Plan::hub("HUB")).await;
        let plan = Plan {
            deny_imports: vec!["private.hub.>"],
            deny_exports: vec!["private.edge.>"],
            ..Plan::edge("EDGE", hub.leaves())
        };
        let edge = Site::start(edge_kind, plan).await;
        let (at_hub, at_edge) = (hub.client().await, edge.client().await);
        answer_beyond(&at_edge, &at_hub, "hub.echo").await;
        answer_beyond(&at_hub, &at_edge, "edge.echo").await;
        let mut from_edge = at_hub.subscribe(">").await.unwrap();
        let mut from_hub = at_edge.subscribe(">").await.unwrap();
        at_hub.flush().await.unwrap();
        at_edge.flush().await.unwrap();
        // Both know now what the other side wants.
        until_answered(&at_edge, "hub.echo").await;
        until_answered(&at_hub, "edge.echo").await;
        at_edge
            .publish("private.edge.a", "no".into())
            .await
            .unwrap();
        at_edge.publish("public.edge", "yes".into()).await.unwrap();
        at_hub.publish("private.hub.a", "no".into()).await.unwrap();
        at_hub.publish("public.hub", "yes".into()).await.unwrap();
        for (subscriber, mine) in [
            (&mut from_edge, "public.edge"),
            (&mut from_hub, "public.hub"),
        ] {
            loop {
                let subject = next(subscriber).await.subject;
                assert!(
                    !subject.starts_with("private.hub") || mine == "public.edge",
                    "{subject}"
                );
                assert!(
                    !subject.starts_with("private.edge") || mine == "public.hub",
                    "{subject}"
                );
                if subject.as_str() == mine {
                    break;
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_hub_says_what_its_leaf_may_do() {
    let plan = Plan {
        more: r#"
            no_auth_user: open
            authorization { users: [
                { user: open, password: open }
                { user: leaf, password: leaf, permissions: {
                    publish: ["up.>", "_INBOX.>", "hub.echo"], subscribe: ["down.>", "_INBOX.>"] } }
            ] }"#,
        ..Plan::hub("HUB")
    };
    let hub = Site::start(Kind::Real, plan).await;
    let url = format!("nats-leaf://leaf:leaf@{}", hub.leaves());
    let plan = Plan {
        name: "EDGE",
        remotes: vec![url],
        ..Plan::default()
    };
    let edge = Site::start(Kind::Ours, plan).await;
    let (at_hub, at_edge) = (hub.client().await, edge.client().await);
    answer_beyond(&at_edge, &at_hub, "hub.echo").await;
    let mut up = at_hub.subscribe("*.x").await.unwrap();
    at_hub.flush().await.unwrap();
    // Both would end the link if they left.
    let _forbidden = at_edge.subscribe("secret").await.unwrap();
    until_answered(&at_edge, "hub.echo").await;
    at_edge.publish("other.x", "no".into()).await.unwrap();
    at_edge.publish("up.x", "yes".into()).await.unwrap();
    assert_eq!(next(&mut up).await.subject.as_str(), "up.x");
    let server = edge.server.as_ref().unwrap();
    assert_eq!(server.leaves(false).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn item_113_a_circle_is_found_and_opened() {
    for (hub_kind, edge_kind) in PAIRS {
        let hub = Site::start(hub_kind, Plan::hub("HUB")).await;
        let middle = Plan {
            is_hub: true,
            ..Plan::edge("MIDDLE", hub.leaves())
        };
        let middle = Site::start(Kind::Ours, middle).await;
        let cable = Cable::to(middle.leaves()).await;
        cable.cut();
        let plan = Plan {
            name: "EDGE",
            remotes: vec![
                format!("nats-leaf://{}", hub.leaves()),
                format!("nats-leaf://{}", cable.address),
            ],
            ..Plan::default()
        };
        let edge = Site::start(edge_kind, plan).await;
        let (at_hub, at_edge) = (hub.client().await, edge.client().await);
        let at_middle = middle.client().await;
        answer_beyond(&at_edge, &at_middle, "middle.echo").await;
        answer_beyond(&at_edge, &at_hub, "hub.echo").await;
        let before = cable.connections();
        cable.mend();
        eventually("the second way is tried", || async {
            (cable.connections() > before).then_some(())
        })
        .await;
        let mut all = at_hub.subscribe("once").await.unwrap();
        at_hub.flush().await.unwrap();
        // Which link goes depends on who sees the circle first; without one nothing comes twice.
        let (mut number, mut singles) = (0_u32, 0);
        while singles < 10 {
            assert!(number < 200, "messages still come twice");
            number += 1;
            at_edge
                .publish("once", number.to_string().into())
                .await
                .unwrap();
            at_edge.flush().await.unwrap();
            let mut copies = 0;
            let wait = Duration::from_millis(50);
            while let Ok(Some(message)) = tokio::time::timeout(wait, all.next()).await {
                copies += u32::from(message.payload == number.to_string());
            }
            singles = if copies < 2 { singles + 1 } else { 0 };
        }
    }
}

/// A leaf that speaks the protocol line by line.
struct RawLeaf(BufReader<TcpStream>);

impl RawLeaf {
    async fn connect(address: SocketAddr) -> Self {
        let mut leaf = Self(BufReader::new(TcpStream::connect(address).await.unwrap()));
        assert!(leaf.line().await.starts_with("INFO "));
        leaf
    }

    async fn say(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).await.unwrap();
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        let read = tokio::time::timeout(PATIENCE, self.0.read_line(&mut line)).await;
        read.expect("a line comes in time").unwrap();
        line.trim_end().to_owned()
    }

    /// The next line that is no interest of the server's own and no PING.
    async fn answer(&mut self) -> String {
        loop {
            let line = self.line().await;
            if !(line.starts_with("LS") || line.starts_with("PING") || line.starts_with("INFO")) {
                return line;
            }
        }
    }

    async fn is_closed(&mut self) -> bool {
        let mut rest = Vec::new();
        let read = tokio::time::timeout(PATIENCE, self.0.read_to_end(&mut rest)).await;
        read.is_ok()
    }
}

const CONNECT: &str = "CONNECT {\"name\":\"RAW\",\"server_id\":\"NRAW\",\"headers\":true}\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn item_114_clients_on_the_leaf_port_are_told_so() {
    let hub = Site::start(Kind::Ours, Plan::hub("HUB")).await;
    let mut raw = RawLeaf::connect(hub.leaves()).await;
    raw.say("CONNECT {\"lang\":\"go\",\"verbose\":false}\r\nPING\r\n")
        .await;
    assert_eq!(
        raw.answer().await,
        "-ERR 'attempted to connect to leaf node port'"
    );
    assert!(raw.is_closed().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn leaves_without_the_right_password_are_refused() {
    let user = LeafUser {
        user: "leaf".to_owned(),
        password: "right".to_owned(),
        ..LeafUser::default()
    };
    let plan = Plan {
        authorization: Some(LeafAuthorization {
            users: vec![user],
            ..LeafAuthorization::default()
        }),
        ..Plan::hub("HUB")
    };
    let hub = Site::start(Kind::Ours, plan).await;
    for said in [
        "CONNECT {\"user\":\"leaf\",\"pass\":\"wrong\"}\r\n",
        "PING\r\n",
        "LS+ a\r\n",
    ] {
        let mut raw = RawLeaf::connect(hub.leaves()).await;
        raw.say(said).await;
        assert_eq!(
            raw.answer().await,
            "-ERR 'Authorization Violation'",
            "{said}"
        );
        assert!(raw.is_closed().await);
    }
    let mut raw = RawLeaf::connect(hub.leaves()).await;
    raw.say("CONNECT {\"user\":\"leaf\",\"pass\":\"right\"}\r\nPING\r\n")
        .await;
    assert_eq!(raw.answer().await, "PONG");
}

#[tokio::test(flavor = "multi_thread")]
async fn item_111_interest_is_told_with_the_weight_of_groups() {
    let hub = Site::start(Kind::Ours, Plan::hub("HUB")).await;
    let client = hub.client().await;
    let mut raw = RawLeaf::connect(hub.leaves()).await;
    raw.say(CONNECT).await;
    assert!(raw.line().await.contains("\"connect_info\":true"));
    let own = raw.line().await;
    assert!(own.starts_with("LS+ $LDS.") && own.len() == 9 + 22, "{own}");
    let one = client.queue_subscribe("bar", "q1".into()).await.unwrap();
    assert_eq!(raw.line().await, "LS+ bar q1 1");
    let two = client.queue_subscribe("bar", "q1".into()).await.unwrap();
    assert_eq!(raw.line().await, "LS+ bar q1 2");
    drop(one);
    assert_eq!(raw.line().await, "LS+ bar q1 1");
    drop(two);
    assert_eq!(raw.line().await, "LS- bar q1");
    let first = client.subscribe("foo").await.unwrap();
    assert_eq!(raw.line().await, "LS+ foo");
    let second = client.subscribe("foo").await.unwrap();
    drop(first);
    drop(second);
    assert_eq!(raw.line().await, "LS- foo");
    // Its own subject back is a circle.
    let own = own.strip_prefix("LS+ ").unwrap();
    raw.say(&format!("LS+ {own}\r\n")).await;
    let error = raw.answer().await;
    assert!(
        error.starts_with("-ERR 'Loop detected for leafnode account=\"$G\""),
        "{error}"
    );
    assert!(raw.is_closed().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn item_124_the_subject_of_a_stream_message_travels_in_its_reply() {
    let hub = Site::start(Kind::Ours, Plan::hub("HUB")).await;
    let client = hub.client().await;
    let mut inbox = client.subscribe("inbox.>").await.unwrap();
    client.flush().await.unwrap();
    let mut raw = RawLeaf::connect(hub.leaves()).await;
    raw.say(CONNECT).await;
    raw.say("LMSG inbox.1 $JS.ACK.S.C.1.1.1.17.0@orders.new 2\r\nhi\r\n")
        .await;
    let message = next(&mut inbox).await;
    assert_eq!(message.subject.as_str(), "orders.new");
    assert_eq!(message.reply.unwrap().as_str(), "$JS.ACK.S.C.1.1.1.17.0");
    // Groups get only what names them.
    let mut group = client.queue_subscribe("work", "g".into()).await.unwrap();
    client.flush().await.unwrap();
    raw.say("LMSG work 2\r\nno\r\nLMSG work | g 3\r\nyes\r\n")
        .await;
    assert_eq!(&next(&mut group).await.payload[..], b"yes");
}
