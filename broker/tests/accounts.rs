//! Accounts on a real socket: isolation, exports and imports, mappings, limits, reload. The expected bytes are what
//! nats-server 2.15 sends.

mod support;

use std::net::SocketAddr;
use std::sync::Arc;

use broker::accounts::{
    AccountConfig, AccountLimits, AccountsConfig, ConfiguredUsers, Export, Import,
    MappedDestination, Mapping, ResponseType, ServiceExport, ServiceImport, StreamExport,
    StreamImport, UserConfig,
};
use broker::{Config, Permissions, Server, SubjectPermissions};
use support::Raw;

fn user(name: &str) -> UserConfig {
    UserConfig::with_password(name, "p")
}

fn account(name: &str, users: &[&str]) -> AccountConfig {
    AccountConfig {
        users: users.iter().map(|name| user(name)).collect(),
        ..AccountConfig::new(name)
    }
}

fn service(subject: &str, response: ResponseType) -> Export {
    Export::Service(ServiceExport {
        subject: subject.to_owned(),
        response,
        ..ServiceExport::default()
    })
}

fn stream(subject: &str) -> Export {
    Export::Stream(StreamExport {
        subject: subject.to_owned(),
        ..StreamExport::default()
    })
}

fn import_service(subject: &str, to: Option<&str>, share: bool) -> Import {
    Import::Service(ServiceImport {
        account: "A".to_owned(),
        subject: subject.to_owned(),
        to: to.map(str::to_owned),
        share,
    })
}

fn import_stream(subject: &str, to: Option<&str>, prefix: Option<&str>) -> Import {
    Import::Stream(StreamImport {
        account: "A".to_owned(),
        subject: subject.to_owned(),
        to: to.map(str::to_owned),
        prefix: prefix.map(str::to_owned),
        allow_trace: false,
    })
}

/// A exports, B imports.
fn sharing(exports: Vec<Export>, imports: Vec<Import>) -> AccountsConfig {
    AccountsConfig {
        accounts: vec![
            AccountConfig {
                exports,
                ..account("A", &["a", "a2"])
            },
            AccountConfig {
                imports,
                ..account("B", &["b", "b2"])
            },
        ],
        ..AccountsConfig::default()
    }
}

async fn serve(config: &AccountsConfig) -> (Server, SocketAddr) {
    let users = ConfiguredUsers::new(config).expect("a configuration");
    let server = Server::new(Config::default(), users, None);
    server
        .configure_accounts(config)
        .await
        .expect("a configuration");
    let addr = server
        .listen_tcp(([127, 0, 0, 1], 0).into())
        .await
        .expect("a free port");
    (server, addr)
}

async fn connect(addr: SocketAddr, user: &str) -> Raw {
    let options = format!(
        r#""verbose":false,"pedantic":false,"headers":true,"no_responders":true,"user":"{user}","pass":"p""#
    );
    Raw::connect(addr, &options).await
}

/// Sends and waits until it is worked through.
async fn sent(raw: &mut Raw, text: &str) {
    raw.send(format!("{text}PING\r\n")).await;
    raw.expect("PONG\r\n").await;
}

/// The reply subject and the header block's JSON of a request that crossed.
async fn crossed(raw: &mut Raw, subject: &str, body: &str) -> (String, String) {
    let line = raw.line().await;
    let words: Vec<&str> = line.split(' ').collect();
    let [verb, to, _sid, reply, header_len, total_len] = words[..] else {
        panic!("{line}");
    };
    assert_eq!((verb, to), ("HMSG", subject), "{line}");
    let header_len: usize = header_len.parse().expect("a number");
    let total_len: usize = total_len.parse().expect("a number");
    let rest = raw.bytes(total_len + 2).await;
    let text = String::from_utf8_lossy(&rest).into_owned();
    assert_eq!(&text[header_len..], format!("{body}\r\n"));
    assert!(reply.starts_with("_R_."), "{reply}");
    (reply.to_owned(), text[..header_len].to_owned())
}

#[tokio::test]
async fn accounts_do_not_see_each_other() {
    let (_server, addr) = serve(&sharing(vec![], vec![])).await;
    let (mut a, mut b) = (connect(addr, "a").await, connect(addr, "b").await);
    sent(&mut a, "SUB > 1\r\n").await;
    sent(&mut b, "PUB x 1\r\ny\r\n").await;
    a.expect_quiet().await;
    let mut other = connect(addr, "a2").await;
    sent(&mut other, "PUB x 1\r\ny\r\n").await;
    a.expect("MSG x 1 1\r\ny\r\n").await;
}

#[tokio::test]
async fn a_service_answers_in_another_account_once() {
    let config = sharing(
        vec![service("req", ResponseType::Single)],
        vec![import_service("req", Some("x"), false)],
    );
    let (_server, addr) = serve(&config).await;
    let (mut a, mut b) = (connect(addr, "a").await, connect(addr, "b").await);
    sent(&mut b, "SUB in.* 1\r\n").await;
    b.send("PUB x in.1 2\r\nhi\r\n").await;
    b.expect("HMSG in.1 1 33 33\r\nNATS/1.0 503\r\nNats-Subject: x\r\n\r\n\r\n")
        .await;
    sent(&mut a, "SUB req 1\r\n").await;
    sent(&mut b, "PUB x in.1 2\r\nhi\r\n").await;
    let (reply, block) = crossed(&mut a, "req", "hi").await;
    assert!(
        block.starts_with("NATS/1.0\r\nNats-Request-Info: {\"acc\":\"B\""),
        "{block}"
    );
    assert!(!block.contains("user"), "{block}");
    a.send(format!("PUB {reply} 2\r\nok\r\nPUB {reply} 2\r\nno\r\n"))
        .await;
    b.expect("MSG in.1 1 2\r\nok\r\n").await;
    a.expect_quiet().await;
    b.expect_quiet().await;
}

#[tokio::test]
async fn streamed_and_chunked_answers_end_with_an_empty_one() {
    let config = sharing(
        vec![
            service("s", ResponseType::Stream),
            service("c", ResponseType::Chunked),
        ],
        vec![
            import_service("s", None, false),
            import_service("c", None, false),
        ],
    );
    let (_server, addr) = serve(&config).await;
    let (mut a, mut b) = (connect(addr, "a").await, connect(addr, "b").await);
    sent(&mut b, "SUB in.* 1\r\n").await;
    sent(&mut a, "SUB s 1\r\nSUB c 2\r\n").await;
    for subject in ["s", "c"] {
        b.send(format!("PUB {subject} in.1 2\r\nhi\r\n")).await;
        let (reply, _) = crossed(&mut a, subject, "hi").await;
        let one = |body: &str| format!("PUB {reply} {}\r\n{body}\r\n", body.len());
        let all = [one("1"), one("2"), one(""), one("3")].concat();
        sent(&mut a, &all).await;
        b.expect("MSG in.1 1 1\r\n1\r\nMSG in.1 1 1\r\n2\r\nMSG in.1 1 0\r\n\r\n")
            .await;
        b.expect_quiet().await;
    }
}

#[tokio::test]
async fn a_shared_import_says_who_asks() {
    let config = sharing(
        vec![service("req", ResponseType::Single)],
        vec![import_service("req", None, true)],
    );
    let (_server, addr) = serve(&config).await;
    let (mut a, mut b) = (connect(addr, "a").await, connect(addr, "b").await);
    sent(&mut a, "SUB req 1\r\n").await;
    let forged = "NATS/1.0\r\nFoo: bar\r\nNats-Request-Info: {}\r\n\r\n";
    let (header_len, total_len) = (forged.len(), forged.len() + 2);
    b.send(format!(
        "HPUB req in.1 {header_len} {total_len}\r\n{forged}hi\r\n"
    ))
    .await;
    let (_, block) = crossed(&mut a, "req", "hi").await;
    assert!(
        block.starts_with("NATS/1.0\r\nFoo: bar\r\nNats-Request-Info: {\"start\":\""),
        "{block}"
    );
    for part in [
        r#""host":"127.0.0.1""#,
        r#""acc":"B""#,
        r#""user":"b""#,
        r#""kind":"Client""#,
        r#""client_type":"nats""#,
    ] {
        assert!(block.contains(part), "{part} in {block}");
    }
    assert_eq!(block.matches("Nats-Request-Info").count(), 1);
}

#[tokio::test]
async fn an_answer_can_ask_back() {
    let config = sharing(
        vec![service("req", ResponseType::Single)],
        vec![import_service("req", None, false)],
    );
    let (_server, addr) = serve(&config).await;
    let (mut a, mut b) = (connect(addr, "a").await, connect(addr, "b").await);
    sent(&mut a, "SUB req 1\r\nSUB back 2\r\n").await;
    sent(&mut b, "SUB in.* 1\r\n").await;
    b.send("PUB req in.1 2\r\nhi\r\n").await;
    let (reply, _) = crossed(&mut a, "req", "hi").await;
    a.send(format!("PUB {reply} back 2\r\nok\r\n")).await;
    let line = b.line().await;
    assert!(line.starts_with("MSG in.1 1 _R_."), "{line}");
    b.expect("ok\r\n").await;
    let back = line.split(' ').nth(3).expect("a reply").to_owned();
    b.send(format!("PUB {back} 3\r\nyes\r\n")).await;
    a.expect("MSG back 2 3\r\nyes\r\n").await;
}

#[tokio::test]
async fn imported_messages_have_the_importers_subject() {
    let config = sharing(
        vec![stream("ev.>"), stream("o.*.*")],
        vec![
            import_stream("ev.>", None, Some("p")),
            import_stream("o.*.*", Some("t.$2.$1"), None),
        ],
    );
    let (_server, addr) = serve(&config).await;
    let (mut a, mut b) = (connect(addr, "a").await, connect(addr, "b").await);
    sent(&mut b, "SUB p.ev.1 1\r\nSUB t.y.* 2\r\nSUB ev.1 3\r\n").await;
    sent(
        &mut a,
        "PUB ev.1 re 2\r\nhi\r\nPUB ev.2 0\r\n\r\nPUB o.x.y 1\r\nz\r\nPUB o.x.n 0\r\n\r\n",
    )
    .await;
    b.expect("MSG p.ev.1 1 re 2\r\nhi\r\nMSG t.y.x 2 1\r\nz\r\n")
        .await;
    b.expect_quiet().await;
    // Nothing goes the other way.
    sent(&mut a, "SUB ev.> 1\r\n").await;
    sent(&mut b, "PUB p.ev.9 0\r\n\r\n").await;
    a.expect_quiet().await;
    sent(&mut b, "UNSUB 1\r\nUNSUB 2\r\n").await;
    a.send("UNSUB 1\r\nSUB in.* 9\r\nPUB ev.1 in.1 0\r\n\r\n")
        .await;
    let line = a.line().await;
    assert!(
        line.starts_with("HMSG in.1 9"),
        "nobody wants it any more: {line}"
    );
}

#[tokio::test]
async fn auto_unsubscribe_counts_imported_messages() {
    let config = sharing(
        vec![stream("ev.>")],
        vec![import_stream("ev.>", None, None)],
    );
    let (_server, addr) = serve(&config).await;
    let (mut a, mut b) = (connect(addr, "a").await, connect(addr, "b").await);
    sent(&mut b, "SUB ev.* 1\r\nUNSUB 1 2\r\n").await;
    sent(
        &mut a,
        "PUB ev.1 0\r\n\r\nPUB ev.2 0\r\n\r\nPUB ev.3 0\r\n\r\n",
    )
    .await;
    b.expect("MSG ev.1 1 0\r\n\r\nMSG ev.2 1 0\r\n\r\n").await;
    b.expect_quiet().await;
}

#[tokio::test]
async fn item_27_a_queue_group_spans_accounts() {
    let config = sharing(
        vec![stream("ev.>")],
        vec![import_stream("ev.>", None, None)],
    );
    let (_server, addr) = serve(&config).await;
    let (mut a, mut b) = (connect(addr, "a").await, connect(addr, "b").await);
    sent(&mut a, "SUB ev.1 g 1\r\n").await;
    sent(&mut b, "SUB ev.1 g 1\r\n").await;
    let mut publisher = connect(addr, "a2").await;
    sent(&mut publisher, &"PUB ev.1 0\r\n\r\n".repeat(100)).await;
    let mut seen = 0;
    for raw in [&mut a, &mut b] {
        raw.send("PING\r\n").await;
        loop {
            match &*raw.line().await {
                "PONG" => break,
                "MSG ev.1 1 0" => seen += 1,
                _ => {}
            }
        }
    }
    assert_eq!(seen, 100);
}

#[tokio::test]
async fn an_account_may_import_what_another_does_not_give_everybody() {
    let offer = |accounts: Option<&[&str]>, position| {
        Export::Service(ServiceExport {
            subject: "req.*".to_owned(),
            accounts: accounts.map(|all| all.iter().map(ToString::to_string).collect()),
            account_token_position: position,
            ..ServiceExport::default()
        })
    };
    for (export, wanted, allowed) in [
        (offer(Some(&["B"]), None), "req.1", true),
        (offer(Some(&["A"]), None), "req.1", false),
        (offer(None, None), "other", false),
        (offer(None, None), ">", false),
        (offer(None, Some(2)), "req.B", true),
        (offer(None, Some(2)), "req.A", false),
        (offer(None, Some(2)), "req.*", false),
    ] {
        let config = sharing(vec![export], vec![import_service(wanted, None, false)]);
        assert_eq!(config.check().is_ok(), allowed, "{wanted}");
    }
}

#[tokio::test]
async fn imports_that_come_back_are_refused() {
    let both = |name: &str, other: &str| AccountConfig {
        exports: vec![service("a", ResponseType::Single), stream("a")],
        imports: vec![Import::Service(ServiceImport {
            account: other.to_owned(),
            subject: "a".to_owned(),
            ..ServiceImport::default()
        })],
        ..account(name, &[])
    };
    let config = AccountsConfig {
        accounts: vec![both("A", "B"), both("B", "A")],
        ..AccountsConfig::default()
    };
    let error = config.check().expect_err("a cycle");
    assert!(error.to_string().contains("cycle"), "{error}");
    let chain = AccountsConfig {
        accounts: vec![both("A", "B"), both("B", "C"), both("C", "A")],
        ..AccountsConfig::default()
    };
    assert!(chain.check().is_err());
}

fn mapped(mappings: Vec<Mapping>) -> AccountsConfig {
    AccountsConfig {
        users: vec![user("a"), user("b")],
        mappings,
        ..AccountsConfig::default()
    }
}

fn mapping(source: &str, destinations: &[(&str, u8)]) -> Mapping {
    Mapping {
        source: source.to_owned(),
        destinations: destinations
            .iter()
            .map(|(subject, weight_percent)| MappedDestination {
                weight_percent: *weight_percent,
                ..MappedDestination::new(*subject)
            })
            .collect(),
    }
}

#[tokio::test]
async fn item_139_a_mapping_hides_the_message_from_subscribers_of_the_original_subject() {
    let config = mapped(vec![
        mapping("a.*", &[("b.{{wildcard(1)}}", 100)]),
        mapping("p", &[("q.{{partition(1)}}", 100)]),
    ]);
    let (_server, addr) = serve(&config).await;
    let mut raw = connect(addr, "a").await;
    raw.send("SUB > 1\r\nPUB a.x 1\r\n1\r\nPUB b.x 1\r\n2\r\nPUB p 1\r\n3\r\n")
        .await;
    raw.expect("MSG b.x 1 1\r\n1\r\nMSG b.x 1 1\r\n2\r\nMSG q.0 1 1\r\n3\r\n")
        .await;
    raw.expect_quiet().await;
}

#[tokio::test]
async fn mapping_weights_share_messages_out() {
    let config = mapped(vec![mapping("a", &[("b", 30), ("c", 30)])]);
    let (_server, addr) = serve(&config).await;
    let mut raw = connect(addr, "a").await;
    raw.send(format!(
        "SUB > 1\r\n{}PING\r\n",
        "PUB a 0\r\n\r\n".repeat(1000)
    ))
    .await;
    let mut seen = [0_usize; 3];
    loop {
        match &*raw.line().await {
            "PONG" => break,
            "MSG a 1 0" => seen[0] += 1,
            "MSG b 1 0" => seen[1] += 1,
            "MSG c 1 0" => seen[2] += 1,
            _ => {}
        }
    }
    assert_eq!(seen.iter().sum::<usize>(), 1000);
    assert!((300..500).contains(&seen[0]), "{seen:?}");
    assert!((200..400).contains(&seen[1]), "{seen:?}");
    assert!((200..400).contains(&seen[2]), "{seen:?}");
}

#[tokio::test]
async fn permissions_are_asked_about_the_mapped_subject() {
    let mut config = mapped(vec![mapping("src", &[("dst", 100)])]);
    for (user, allowed) in config.users.iter_mut().zip(["src", "dst"]) {
        user.permissions = Some(Permissions {
            publish: SubjectPermissions {
                allow: Some(vec![allowed.to_owned()]),
                deny: Vec::new(),
            },
            ..Permissions::default()
        });
    }
    let (_server, addr) = serve(&config).await;
    let (mut a, mut b) = (connect(addr, "a").await, connect(addr, "b").await);
    a.send("SUB dst 1\r\nPUB src 0\r\n\r\n").await;
    a.expect("-ERR 'Permissions Violation for Publish to \"dst\"'\r\n")
        .await;
    b.send("PUB src 0\r\n\r\n").await;
    a.expect("MSG dst 1 0\r\n\r\n").await;
}

#[tokio::test]
async fn item_128_limits_of_an_account() {
    let mut config = sharing(vec![], vec![]);
    config.accounts[0].limits = AccountLimits {
        connections_max: Some(1),
        subscriptions_max: Some(2),
        payload_bytes_max: Some(10),
        leafnodes_max: None,
    };
    let (_server, addr) = serve(&config).await;
    let options = r#""verbose":false,"protocol":1,"user":"a","pass":"p""#;
    let mut a = Raw::open(addr).await;
    a.send(format!("CONNECT {{{options}}}\r\nPING\r\n")).await;
    a.expect("PONG\r\n").await;
    let info = a.line().await;
    assert!(info.contains(r#""max_payload":10,"#), "{info}");
    let mut second = Raw::open(addr).await;
    second
        .send(r#"CONNECT {"verbose":false,"user":"a2","pass":"p"}"#.to_owned() + "\r\n")
        .await;
    second
        .expect_closed("-ERR 'maximum account active connections exceeded'\r\n")
        .await;
    a.send("SUB a 1\r\nSUB b 2\r\nSUB c 3\r\n").await;
    a.expect("-ERR 'maximum subscriptions exceeded'\r\n").await;
    a.expect_quiet().await;
    a.send_anyway("PUB a 11\r\n12345678901\r\n").await;
    a.expect_closed("-ERR 'Maximum Payload Violation'\r\n")
        .await;
}

#[tokio::test]
async fn user_info_is_answered_in_every_account() {
    let mut config = sharing(vec![], vec![]);
    config.accounts[0].users[0].permissions = Some(Permissions {
        subscribe: SubjectPermissions {
            allow: None,
            deny: vec!["secret".to_owned()],
        },
        ..Permissions::default()
    });
    let (_server, addr) = serve(&config).await;
    for (user, expected) in [
        (
            "a",
            r#""data":{"user":"a","account":"A","account_name":"A","permissions":{"subscribe":{"deny":["secret"]}}}}"#,
        ),
        (
            "b",
            r#""data":{"user":"b","account":"B","account_name":"B"}}"#,
        ),
    ] {
        let mut raw = connect(addr, user).await;
        raw.send("SUB in 1\r\nPUB $SYS.REQ.USER.INFO in 0\r\n\r\n")
            .await;
        assert!(raw.line().await.starts_with("MSG in 1 "));
        let json = raw.line().await;
        assert!(json.starts_with(r#"{"server":{"name":"#), "{json}");
        assert!(json.ends_with(expected), "{json}");
    }
}

#[tokio::test]
async fn item_127_reload() {
    let mut config = sharing(vec![], vec![]);
    let (server, addr) = serve(&config).await;
    let mut a = connect(addr, "a").await;
    let (a2, b) = (connect(addr, "a2").await, connect(addr, "b").await);
    let mut b2 = connect(addr, "b2").await;
    sent(&mut a, "SUB no 1\r\nSUB yes 2\r\n").await;
    config.accounts[0].users[0].permissions = Some(Permissions {
        subscribe: SubjectPermissions {
            allow: None,
            deny: vec!["no".to_owned()],
        },
        ..Permissions::default()
    });
    config.accounts[0].users[1] = UserConfig::with_password("a2", "changed");
    config.accounts[1].users.remove(0);
    config.accounts[0].exports = vec![stream("yes")];
    config.accounts[1].imports = vec![import_stream("yes", None, None)];
    sent(&mut b2, "SUB yes 7\r\n").await;
    server.configure_accounts(&config).await.expect("reloaded");
    a.expect("-ERR 'Permissions Violation for Subscription to \"no\" (sid \"1\")'\r\n")
        .await;
    a2.expect_closed("-ERR 'Authorization Violation'\r\n").await;
    b.expect_closed("-ERR 'Authorization Violation'\r\n").await;
    a.send("PUB no 0\r\n\r\nPUB yes 1\r\n1\r\n").await;
    a.expect("MSG yes 2 1\r\n1\r\n").await;
    b2.expect("MSG yes 7 1\r\n1\r\n").await;
    a.send("SUB no 3\r\n").await;
    a.expect("-ERR 'Permissions Violation for Subscription to \"no\"'\r\n")
        .await;
    // Everything is taken back, and what is wrong changes nothing.
    config.accounts[1].imports = vec![import_stream("other", None, None)];
    assert!(server.configure_accounts(&config).await.is_err());
    sent(&mut a, "UNSUB 2\r\nPUB yes 1\r\n2\r\n").await;
    b2.expect("MSG yes 7 1\r\n2\r\n").await;
    config.accounts[1].imports = vec![];
    server.configure_accounts(&config).await.expect("reloaded");
    sent(&mut a, "PUB yes 1\r\n3\r\n").await;
    b2.expect_quiet().await;
}

#[tokio::test]
async fn new_credentials_without_reconnecting() {
    let mut config = sharing(vec![], vec![]);
    let (server, addr) = serve(&config).await;
    let mut a = connect(addr, "a").await;
    sent(&mut a, "SUB in 1\r\nSUB x 2\r\n").await;
    let renew = |user: &str, pass: &str| {
        let body = format!(r#"{{"user":"{user}","pass":"{pass}"}}"#);
        format!("PUB $SYS.REQ.USER.RENEW in {}\r\n{body}\r\n", body.len())
    };
    for (user, pass, expected) in [
        (
            "a",
            "p",
            r#"{"type":"io.natterjack.user.v1.renew_response"}"#,
        ),
        ("a", "wrong", "the credentials do not hold"),
        ("b", "p", "the credentials are another user's"),
    ] {
        a.send(renew(user, pass)).await;
        assert!(a.line().await.starts_with("MSG in 1 "));
        let json = a.line().await;
        assert!(json.contains(expected), "{json}");
    }
    a.send("PUB x 0\r\n\r\n").await;
    a.expect("MSG x 2 0\r\n\r\n").await;
    config.accounts[0].users.clear();
    server.configure_accounts(&config).await.expect("reloaded");
    a.expect_closed("-ERR 'Authorization Violation'\r\n").await;
}

#[tokio::test]
async fn in_process_clients_share_too() {
    let config = sharing(
        vec![service("req", ResponseType::Single), stream("ev.>")],
        vec![
            import_service("req", None, false),
            import_stream("ev.>", None, Some("p")),
        ],
    );
    let (server, _addr) = serve(&config).await;
    let a = server.client("A", &broker::Identity::new("a", "A"));
    let b = server.client("B", &broker::Identity::new("b", "B"));
    let mut requests = a.subscribe("req").expect("a filter");
    let mut events = b.subscribe("p.>").expect("a filter");
    let answering = async {
        let request = requests.next().await.expect("a request");
        a.respond(&request, "ok").expect("an answer");
    };
    let asking = b.request("req", "hi", std::time::Duration::from_secs(5));
    let (answer, ()) = tokio::join!(asking, answering);
    assert_eq!(&*answer.expect("an answer").payload, b"ok");
    a.publish("ev.1", "x").expect("published");
    let event = events.next().await.expect("an event");
    assert_eq!(event.subject.as_str(), "p.ev.1");
    let _ = Arc::new(server);
}
