//! Accounts on both servers from one configuration file: what crosses between them, what is mapped, and who may do what.
//!
//! Each scene has steps of several clients. After each step every client says what it got; reply subjects that lead back into
//! another account, and what `Nats-Request-Info` says of a connection, are made the same first.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use broker::accounts::ConfiguredUsers;
use broker::config_file::{Machine, Options};
use harness::{Frame, Raw};

use super::Reference;

const CONFIG: &str = r#"
accounts {
  A {
    users: [ {user: a, password: p}, {user: a2, password: p} ]
    exports: [
      {service: "req"}, {service: "many", response: stream}, {service: "parts", response: chunked}
      {service: "private", accounts: [B]}, {service: "of.*", account_token_position: 2}
      {stream: "ev.>"}, {stream: "pair.*.*"}
    ]
    mappings: { "map.*": "mapped.$1", old: new, "cut.*": "cut.{{left(1,2)}}.{{right(1,2)}}" }
  }
  B {
    users: [
      {user: b, password: p}
      {user: b2, password: p, permissions: {publish: ["req", "in.>"], subscribe: {deny: "p.ev.secret"}}}
    ]
    imports: [
      {service: {account: A, subject: req}}
      {service: {account: A, subject: many}, to: several}, {service: {account: A, subject: parts}}
      {service: {account: A, subject: private}}, {service: {account: A, subject: "of.B"}}
      {stream: {account: A, subject: "ev.>"}, prefix: p}
      {stream: {account: A, subject: "pair.*.*"}, to: "turned.$2.$1"}
    ]
  }
  C { users: [ {user: c, password: p} ] }
}
"#;

/// Who does what, in order. `{reply}` is the reply subject that a client of the step before saw last.
type Scene = &'static [(&'static str, &'static str)];

const SCENES: &[Scene] = &[
    &[
        ("b", "SUB in.* 1\r\nPUB req in.1 2\r\nhi\r\n"),
        ("a", "SUB req 1\r\n"),
        ("b", "PUB req in.2 2\r\nhi\r\n"),
        ("a", "PUB {reply} 2\r\nok\r\n"),
        ("a", "PUB {reply} 2\r\nno\r\n"),
        (
            "b",
            "HPUB req in.3 22 24\r\nNATS/1.0\r\nFoo: bar\r\n\r\nhi\r\n",
        ),
        (
            "a",
            "HPUB {reply} 22 24\r\nNATS/1.0\r\nFoo: bar\r\n\r\nok\r\n",
        ),
        ("b", "PUB req 2\r\nhi\r\n"),
        ("c", "SUB in.* 1\r\nPUB req in.1 2\r\nhi\r\n"),
        ("a", "UNSUB 1\r\n"),
        ("b", "PUB req in.4 2\r\nhi\r\n"),
    ],
    &[
        ("b", "SUB in.* 1\r\n"),
        ("a", "SUB many g 1\r\nSUB parts 2\r\n"),
        ("b", "PUB several in.1 2\r\nhi\r\n"),
        (
            "a",
            "PUB {reply} 1\r\n1\r\nPUB {reply} 1\r\n2\r\nPUB {reply} 0\r\n\r\nPUB {reply} 1\r\n3\r\n",
        ),
        ("b", "PUB parts in.2 2\r\nhi\r\n"),
        (
            "a",
            "PUB {reply} 1\r\n1\r\nPUB {reply} 0\r\n\r\nPUB {reply} 1\r\n3\r\n",
        ),
        (
            "b",
            "PUB private in.3 2\r\nhi\r\nPUB of.B in.4 2\r\nhi\r\nPUB of.A in.5 2\r\nhi\r\n",
        ),
        ("a", "SUB private 3\r\nSUB of.* 4\r\n"),
        ("b", "PUB of.B in.6 2\r\nhi\r\n"),
        ("a", "PUB {reply} back 2\r\nok\r\n"),
    ],
    &[
        (
            "b",
            "SUB p.ev.* 1\r\nSUB p.> 2\r\nSUB ev.* 3\r\nSUB turned.y.* 4\r\nSUB > 5\r\n",
        ),
        ("a", "PUB ev.1 re 2\r\nhi\r\n"),
        (
            "a",
            "PUB ev.1.2 2\r\nhi\r\nPUB pair.x.y 1\r\nz\r\nPUB pair.x.n 0\r\n\r\nPUB other 0\r\n\r\n",
        ),
        ("a", "HPUB ev.1 22 24\r\nNATS/1.0\r\nFoo: bar\r\n\r\nhi\r\n"),
        ("b", "UNSUB 2\r\nUNSUB 5\r\nPUB p.ev.1 0\r\n\r\n"),
        ("a", "PUB ev.1 0\r\n\r\n"),
        ("a", "PUB ev.1 0\r\n\r\n"),
        ("a", "SUB in.* 9\r\nPUB ev.9 in.1 0\r\n\r\n"),
        ("b2", "SUB p.ev.* 1\r\nSUB p.ev.secret 2\r\n"),
        ("a", "PUB ev.secret 0\r\n\r\nPUB ev.open 0\r\n\r\n"),
        ("b2", "PUB other 0\r\n\r\nPUB req in.1 0\r\n\r\n"),
    ],
    &[
        ("a", "SUB > 1\r\n"),
        ("a2", "PUB map.x 1\r\nx\r\n"),
        (
            "a2",
            "PUB old in.1 1\r\nx\r\nPUB cut.abcdef 0\r\n\r\nPUB cut.a 0\r\n\r\nPUB map.x.y 0\r\n\r\n",
        ),
        ("a2", "HPUB old 22 24\r\nNATS/1.0\r\nFoo: bar\r\n\r\nhi\r\n"),
        (
            "a",
            "UNSUB 1\r\nSUB old 2\r\nSUB in.* 3\r\nPUB old in.1 0\r\n\r\n",
        ),
        ("b", "SUB > 1\r\nPUB old 0\r\n\r\n"),
    ],
];

async fn log_in(address: SocketAddr, user: &str) -> Raw {
    let mut raw = Raw::connect(address).await;
    let connect = format!(
        "CONNECT {{\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true,\"user\":\"{user}\",\"pass\":\"p\"}}\r\n"
    );
    raw.send(connect.as_bytes()).await;
    assert_eq!(raw.fence().await, [], "{user} is let in");
    raw
}

/// What every client got after every step.
async fn play(address: SocketAddr, scene: Scene) -> Vec<Vec<String>> {
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in scene {
        if !names.contains(name) {
            names.push(name);
        }
    }
    let mut clients = Vec::new();
    for name in &names {
        clients.push(log_in(address, name).await);
    }
    let mut reply = String::new();
    let mut heard = Vec::new();
    for (name, text) in scene {
        let index = names
            .iter()
            .position(|other| other == name)
            .expect("a client");
        let text = text.replace("{reply}", &reply);
        clients[index].send(text.as_bytes()).await;
        let mut step = Vec::new();
        // Whoever acts is asked first: what it did is on its way to the others then.
        let order = std::iter::once(index).chain((0..names.len()).filter(|other| *other != index));
        for index in order {
            let mut frames = clients[index].fence().await;
            for frame in &frames {
                if let Frame::Message {
                    reply: Some(to), ..
                } = frame
                    && to.starts_with("_R_.")
                {
                    reply = to.clone();
                }
            }
            let mut seen: Vec<String> = frames.drain(..).map(plain).collect();
            seen.sort();
            step.push(format!("{}: {seen:?}", names[index]));
        }
        heard.push(step);
    }
    heard
}

/// A frame without what is random about it.
fn plain(frame: Frame) -> String {
    match frame {
        Frame::Message {
            subject,
            sid,
            reply,
            headers,
            payload,
        } => {
            let reply = reply.map(|reply| match reply.starts_with("_R_.") {
                true => "_R_".to_owned(),
                false => reply,
            });
            // How long a round trip took is told, once it is known.
            let headers = match headers.split_once(",\"rtt\":") {
                Some((head, tail)) => {
                    let rest = tail.trim_start_matches(|digit: char| digit.is_ascii_digit());
                    format!("{head}{rest}")
                }
                None => headers,
            };
            format!(
                "{subject} {sid} {reply:?} {headers:?} {:?}",
                String::from_utf8_lossy(&payload)
            )
        }
        other => format!("{other:?}"),
    }
}

/// Ours, from the same file.
async fn ours(file: &Path) -> (broker::Server, SocketAddr) {
    let options = Options::load(file, &Machine)
        .expect("the same configuration")
        .options;
    let users = ConfiguredUsers::new(&options.accounts).expect("users");
    let server = broker::Server::new(broker::Config::default(), users, None);
    server
        .configure_accounts(&options.accounts)
        .await
        .expect("accounts");
    let address = server
        .listen_tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
        .await
        .expect("a free port");
    (server, address)
}

#[tokio::test]
async fn what_crosses_accounts_is_the_same() {
    let reference = Reference::with_config(CONFIG).await;
    let (server, address) = ours(&reference.file()).await;
    let mut differences = Vec::new();
    for scene in SCENES {
        let theirs = play(reference.address, scene).await;
        let mine = play(address, scene).await;
        for (step, (theirs, mine)) in theirs.iter().zip(&mine).enumerate() {
            if theirs != mine {
                differences.push(format!(
                    "{:?}\n  nats-server {theirs:#?}\n  natterjack  {mine:#?}",
                    scene[step]
                ));
            }
        }
    }
    server.shutdown().await;
    assert!(differences.is_empty(), "\n{}", differences.join("\n"));
}
