//! The same bytes to a real nats-server and to natterjack's broker: both must answer the same.
//!
//! What differs by nature (INFO, and PING of the server's own) is left out; everything else is compared frame by frame.
//! nats-server comes from the virtual environment that `tests/run` makes. Written scripts are compared frame by frame;
//! generated conversations of several clients step by step, more of them with `CONVERSATIONS`.

mod accounts;
mod generated;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use broker::{
    AuthError, Authenticator, ConnectRequest, Identity, Limits, Permissions, ResponsePermission,
    SubjectPermissions,
};
use generated::Conversation;
use harness::{Frame, Raw, eventually, nats_server};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// Conversations that are generated unless more are asked for.
const CONVERSATIONS: u64 = 300;

/// CONNECT of a client that wants everything and no +OK.
const QUIET: &str =
    "CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true}\r\n";

/// A real nats-server, with the permissions of [`limited`] for its user `limited`.
struct Reference {
    address: SocketAddr,
    _process: Child,
    config: tempfile::TempDir,
}

const CONFIG: &str = r#"
no_auth_user: open
authorization: { users: [
  { user: open, password: open }
  { user: limited, password: limited, permissions: {
      publish: { allow: ["a.>", "b.*", "requests"], deny: ["a.secret.>"] }
      subscribe: { allow: ["s.>", "a.>", "_INBOX.>", "q.one workers", "requests"], deny: ["s.no", "s.no.>"] }
      allow_responses: { max: 1, expires: "1m" } } }
] }
"#;

fn limited() -> Permissions {
    let list = |subjects: &[&str]| {
        subjects
            .iter()
            .map(|subject| (*subject).to_owned())
            .collect()
    };
    Permissions {
        publish: SubjectPermissions {
            allow: Some(list(&["a.>", "b.*", "requests"])),
            deny: list(&["a.secret.>"]),
        },
        subscribe: SubjectPermissions {
            allow: Some(list(&[
                "s.>",
                "a.>",
                "_INBOX.>",
                "q.one workers",
                "requests",
            ])),
            deny: list(&["s.no", "s.no.>"]),
        },
        allow_responses: Some(ResponsePermission {
            max: 1,
            expires: Duration::from_secs(60),
        }),
        private_inboxes: false,
    }
}

/// Who the configuration above would let in.
struct Users;

#[async_trait]
impl Authenticator for Users {
    async fn authenticate(&self, request: ConnectRequest) -> Result<Identity, AuthError> {
        let refused = AuthError::new("unknown user");
        match (
            request.user.as_deref(),
            request.pass.as_deref(),
            request.auth_token,
        ) {
            (Some("limited"), Some("limited"), _) => {
                let mut identity = Identity::new("limited", "$G");
                identity.permissions = limited();
                Ok(identity)
            }
            (Some("open"), Some("open"), _) | (None, None, None) => Ok(Identity::new("open", "$G")),
            _ => Err(refused),
        }
    }

    fn anonymous(&self) -> Option<Identity> {
        Some(Identity::new("open", "$G"))
    }
}

impl Reference {
    async fn start() -> Self {
        Self::with_config(CONFIG).await
    }

    /// The file it was started with.
    fn file(&self) -> std::path::PathBuf {
        self.config.path().join("nats.conf")
    }

    async fn with_config(text: &str) -> Self {
        let config = tempfile::tempdir().unwrap();
        let file = config.path().join("nats.conf");
        std::fs::write(&file, text).unwrap();
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let process = Command::new(nats_server())
            .args(["-a", "127.0.0.1", "-p", &address.port().to_string(), "-c"])
            .arg(&file)
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        eventually("nats-server listens", || async {
            TcpStream::connect(address).await.ok()
        })
        .await;
        Self {
            address,
            _process: process,
            config,
        }
    }
}

async fn ours() -> (broker::Server, SocketAddr) {
    let config = broker::Config {
        limits: Limits::default(),
        ..broker::Config::default()
    };
    let server = broker::Server::new(config, Arc::new(Users), None);
    let address = server
        .listen_tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
        .await
        .unwrap();
    (server, address)
}

/// What the server says to `script`, up to the answer to a last PING or to the end.
async fn answers(address: SocketAddr, script: &[u8]) -> Vec<Frame> {
    let mut raw = Raw::connect(address).await;
    let text = String::from_utf8_lossy(script).to_ascii_lowercase();
    let pings = text.lines().filter(|line| line.starts_with("ping")).count();
    raw.send(script).await;
    raw.send(b"PING\r\n").await;
    let mut seen = Vec::new();
    let mut pongs = 0;
    loop {
        let frame = raw.next().await;
        pongs += usize::from(frame == Frame::Line("PONG".to_owned()));
        let is_last = frame == Frame::Closed || pongs > pings;
        seen.push(frame);
        if is_last {
            return seen;
        }
    }
}

/// Runs every script on both and reports all differences at once.
async fn check(scripts: &[String]) {
    let reference = Reference::start().await;
    let (server, address) = ours().await;
    let mut differences = Vec::new();
    for script in scripts {
        let theirs = answers(reference.address, script.as_bytes()).await;
        let mine = answers(address, script.as_bytes()).await;
        if theirs != mine {
            differences.push(format!(
                "{script:?}\n  nats-server {theirs:?}\n  natterjack  {mine:?}"
            ));
        }
    }
    server.shutdown().await;
    assert!(differences.is_empty(), "\n{}", differences.join("\n"));
}

fn quiet(scripts: &[&str]) -> Vec<String> {
    scripts
        .iter()
        .map(|script| format!("{QUIET}{script}"))
        .collect()
}

#[tokio::test]
async fn subjects_and_deliveries() {
    check(&quiet(&[
        "SUB a 1\r\nPUB a 2\r\nhi\r\n",
        "SUB a.* 1\r\nSUB a.> 2\r\nSUB > 3\r\nPUB a.b 2\r\nhi\r\nUNSUB 2\r\nPUB a.b.c 0\r\n\r\n",
        "sub a 1\r\npub a 2\r\nhi\r\nping\r\n",
        "SUB\ta\t1\r\nPUB  a   2\r\nhi\r\n",
        "SUB a 1\nPUB a 2\nhi\r\n",
        "SUB a 1\r\nPUB a reply.to 2\r\nhi\r\n",
        "SUB a* 1\r\nSUB a.*b 2\r\nPUB a* 1\r\nx\r\nPUB a.*b 1\r\ny\r\nPUB a 1\r\nz\r\n",
        "SUB > 1\r\nPUB a.* 1\r\nx\r\nPUB * 1\r\nx\r\nPUB > 1\r\nx\r\n",
        "SUB a..b 1\r\nSUB .a 2\r\nSUB a. 3\r\nSUB a.>.b 4\r\nSUB . 5\r\n",
        "SUB > 1\r\nPUB a..b 1\r\nx\r\nPUB .a 1\r\nx\r\nPUB a. 1\r\nx\r\n",
        "SUB a 1\r\nSUB b 1\r\nPUB a 1\r\nx\r\nPUB b 1\r\ny\r\n",
        "SUB a sid-with-letters\r\nPUB a 1\r\nx\r\nUNSUB sid-with-letters\r\nPUB a 1\r\nx\r\n",
        "SUB a 1\r\nUNSUB 1 2\r\nPUB a 1\r\n1\r\nPUB a 1\r\n2\r\nPUB a 1\r\n3\r\n",
        "SUB a 1\r\nPUB a 1\r\n1\r\nPUB a 1\r\n2\r\nUNSUB 1 2\r\nPUB a 1\r\n3\r\n",
        "SUB a 1\r\nUNSUB 1 0\r\nPUB a 1\r\n1\r\n",
        "SUB a 1\r\nUNSUB 1 x\r\nPUB a 1\r\n1\r\n",
        "UNSUB 7\r\nUNSUB 8 3\r\n",
        "SUB a g 1\r\nSUB a 2\r\nPUB a 1\r\nx\r\n",
        "SUB a.b g 1\r\nPUB a.b 1\r\nx\r\nUNSUB 1\r\nPUB a.b 1\r\ny\r\n",
        "SUB a _sys_ 1\r\n",
        "SUB caf\u{e9} 1\r\nPUB caf\u{e9} 1\r\nx\r\n",
    ]))
    .await;
}

#[tokio::test]
async fn headers_and_no_responders() {
    check(&quiet(&[
        "SUB a 1\r\nHPUB a 22 24\r\nNATS/1.0\r\nBar: Baz\r\n\r\nhi\r\n",
        "SUB a 1\r\nHPUB a reply 22 22\r\nNATS/1.0\r\nBar: Baz\r\n\r\n\r\n",
        "SUB a 1\r\nHPUB a 12 14\r\nNATS/1.0\r\n\r\nhi\r\n",
        "SUB a 1\r\nHPUB a 4 6\r\nJUNKhi\r\n",
        "SUB a 1\r\nHPUB a 0 2\r\nhi\r\n",
        "SUB in 1\r\nPUB nobody in 2\r\nhi\r\n",
        "SUB in.* 1\r\nPUB nobody in.7 2\r\nhi\r\n",
        "PUB nobody in 2\r\nhi\r\n",
        "SUB in 1\r\nSUB a 2\r\nPUB a in 2\r\nhi\r\n",
        "SUB in 1\r\nSUB a g 2\r\nPUB a in 2\r\nhi\r\n",
        "HPUB a 12 4\r\nhi\r\n",
    ]))
    .await;
    let connect = |options: &str, rest: &str| format!("CONNECT {{{options}}}\r\n{rest}");
    check(&[
        connect(
            "\"verbose\":false",
            "SUB a 1\r\nHPUB a 12 14\r\nNATS/1.0\r\n\r\nhi\r\n",
        ),
        connect("\"verbose\":false,\"no_responders\":true", ""),
        connect(
            "\"verbose\":false,\"headers\":true,\"no_responders\":true,\"echo\":false",
            "SUB in 1\r\nSUB a 2\r\nPUB a in 2\r\nhi\r\nPUB a 2\r\nhi\r\n",
        ),
        connect(
            "\"verbose\":false,\"headers\":true",
            "SUB in 1\r\nPUB nobody in 2\r\nhi\r\n",
        ),
    ])
    .await;
}

#[tokio::test]
async fn verbose_pedantic_and_repeated_connect() {
    let scripts = [
        "CONNECT {}\r\nSUB a 1\r\nPUB a 1\r\nx\r\nUNSUB 1\r\nUNSUB 1\r\nPING\r\n",
        "CONNECT {\"verbose\":true,\"pedantic\":false}\r\nSUB a..b 1\r\nSUB a 1\r\nSUB a 1\r\n",
        "CONNECT {\"verbose\":false,\"pedantic\":true}\r\nSUB > 1\r\nPUB a.* 1\r\nx\r\nPUB a..b 1\r\nx\r\n",
        "CONNECT {\"verbose\":false}\r\nSUB a 1\r\nCONNECT {\"verbose\":false}\r\nPUB a 1\r\nx\r\n",
        "CONNECT {\"verbose\":false,\"protocol\":2}\r\n",
        "CONNECT {\"verbose\":false,\"protocol\":-1}\r\n",
        "CONNECT {bad json\r\n",
        "CONNECT {\"verbose\":\"yes\"}\r\n",
        "CONNECT {\"verbose\":false,\"unknown\":{\"a\":[1,2]}}\r\nPING xyz\r\n",
        "CONNECT {\"verbose\":false,\"account\":\"x\"}\r\n",
        "CONNECT {\"user\":\"limited\",\"pass\":\"wrong\"}\r\n",
        "CONNECT {\"auth_token\":\"wrong\"}\r\n",
        "PING\r\n",
        "SUB a 1\r\nPUB a 1\r\nx\r\n",
        "INFO {}\r\nPING\r\n",
        "+OK\r\nPING\r\n",
    ];
    check(&scripts.map(str::to_owned)).await;
}

#[tokio::test]
async fn broken_frames() {
    let long_subject = format!("SUB {} 1\r\n", "a".repeat(5000));
    let long_connect = format!("CONNECT {{\"name\":\"{}\"}}\r\n", "a".repeat(5000));
    let mut scripts = quiet(&[
        "BOGUS\r\n",
        "MSG a 1 1\r\nx\r\n",
        "-ERR 'x'\r\n",
        "PUB a 2\r\nhixx\r\n",
        "PUB a 99999999999\r\n",
        "PUB a -1\r\n",
        "PUB a x\r\n",
        "PUB a\r\n",
        "PUB\r\n",
        "PUB \r\n",
        "PUB a b c 2\r\nhi\r\n",
        "SUB\r\n",
        "SUB a\r\n",
        "SUB a b c d\r\n",
        "UNSUB\r\n",
        "UNSUB 1 2 3\r\n",
        "HPUB a 2\r\nhi\r\n",
        "HPUB a x 2\r\nhi\r\n",
        "PUB a 1048577\r\n",
        "HPUB a 12 1048577\r\n",
        "\r\n",
        "P",
        "A+ x\r\n",
        "RS+ x\r\n",
        "LS+ x\r\n",
        &long_subject,
    ]);
    scripts.push(long_connect);
    check(&scripts).await;
}

#[tokio::test]
async fn permissions() {
    let connect = |verbose: bool| {
        format!(
            "CONNECT {{\"user\":\"limited\",\"pass\":\"limited\",\"verbose\":{verbose},\"pedantic\":false,\
             \"headers\":true,\"no_responders\":true}}\r\n"
        )
    };
    let scripts = [
        "PUB a.b 1\r\nx\r\nPUB b.c 1\r\nx\r\nPUB c 1\r\nx\r\nPUB b.c.d 1\r\nx\r\nPUB a.secret.x 1\r\nx\r\nPUB a 1\r\nx\r\n",
        "HPUB c 12 13\r\nNATS/1.0\r\n\r\nx\r\n",
        "SUB s.a 1\r\nSUB s.* 2\r\nSUB s.> 3\r\nSUB > 4\r\nSUB s 5\r\nSUB * 6\r\nSUB s.no 7\r\nSUB s.no.way 8\r\nSUB t 9\r\n",
        "SUB q.one 1\r\nSUB q.one workers 2\r\nSUB q.one others 3\r\nSUB s.a anything 4\r\n",
        "SUB _INBOX.x.* 1\r\nPUB requests _INBOX.x.1 1\r\nx\r\n",
        "SUB _INBOX.x.* 1\r\nPUB c _INBOX.x.1 1\r\nx\r\n",
        "SUB requests 1\r\nPUB requests answer.here 1\r\nx\r\nPUB answer.here 2\r\nok\r\nPUB answer.here 2\r\nok\r\n",
        "SUB a.> 1\r\nPUB a.b 1\r\nx\r\nPUB a.secret.b 1\r\nx\r\n",
        "SUB a. 1\r\nSUB . 2\r\nSUB x..y 3\r\n",
        "PUB a.* 1\r\nx\r\nPUB > 1\r\nx\r\nPUB a..b 1\r\nx\r\n",
        "SUB a.b 1\r\nPUB a.b _R_.x 1\r\nx\r\nPUB a.b $JS.ACK.x 1\r\nx\r\n",
    ];
    let mut all = Vec::new();
    for verbose in [false, true] {
        all.extend(
            scripts
                .iter()
                .map(|script| format!("{}{script}", connect(verbose))),
        );
    }
    check(&all).await;
}

#[tokio::test]
async fn generated_conversations() {
    let more = std::env::var("CONVERSATIONS");
    let conversations = more.map_or(CONVERSATIONS, |text| text.parse().expect("a number"));
    let reference = Reference::start().await;
    let (server, address) = ours().await;
    for seed in 0..conversations {
        let conversation = Conversation::new(seed);
        let (theirs, mine) = tokio::join!(
            conversation.play(reference.address),
            conversation.play(address)
        );
        for (step, (theirs, mine)) in theirs.iter().zip(&mine).enumerate() {
            assert_eq!(
                theirs,
                mine,
                "nats-server (left) and natterjack differ\n{}",
                conversation.told_to(step)
            );
        }
    }
    server.shutdown().await;
}
