//! A real nats-server and natterjack's broker with the same users, the same clients and the same stream.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::Stdio;

use broker::accounts::{
    AccountConfig, AccountJetStream, AccountsConfig, ConfiguredUsers, Export, Import,
    MappedDestination, Mapping, ServiceExport, ServiceImport, StreamExport, StreamImport,
    UserConfig,
};
use broker::{Facts, Server, StreamsRoot};
use harness::{Raw, eventually, nats_server};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Users `a`, `b` and `s`, whose passwords are their names.
const CONFIG: &str = r#"
server_name: "compared"
accounts {
  A { users: [{user: a, password: a}], jetstream: enabled
      exports: [{stream: "pub.>"}, {service: "svc.x"}] }
  B { users: [{user: b, password: b}]
      imports: [{stream: {account: A, subject: "pub.>"}}, {service: {account: A, subject: "svc.x"}}]
      mappings: {"m.*": "n.{{wildcard(1)}}"} }
  $SYS { users: [{user: s, password: s}] }
}
"#;

/// The same for natterjack.
fn accounts() -> AccountsConfig {
    let account = |name: &str, user: &str| AccountConfig {
        users: vec![UserConfig::with_password(user, user)],
        ..AccountConfig::new(name)
    };
    let (stream, service) = ("pub.>".to_owned(), "svc.x".to_owned());
    AccountsConfig {
        accounts: vec![
            AccountConfig {
                jetstream: Some(AccountJetStream::default()),
                exports: vec![
                    Export::Stream(StreamExport {
                        subject: stream.clone(),
                        ..StreamExport::default()
                    }),
                    Export::Service(ServiceExport {
                        subject: service.clone(),
                        ..ServiceExport::default()
                    }),
                ],
                ..account("A", "a")
            },
            AccountConfig {
                imports: vec![
                    Import::Stream(StreamImport {
                        account: "A".to_owned(),
                        subject: stream,
                        ..StreamImport::default()
                    }),
                    Import::Service(ServiceImport {
                        account: "A".to_owned(),
                        subject: service,
                        ..ServiceImport::default()
                    }),
                ],
                mappings: vec![Mapping {
                    source: "m.*".to_owned(),
                    destinations: vec![MappedDestination::new("n.{{wildcard(1)}}")],
                }],
                ..account("B", "b")
            },
            account("$SYS", "s"),
        ],
        ..AccountsConfig::default()
    }
}

/// What keeps a server running.
enum Running {
    Theirs { _process: Child },
    Ours { _server: Server, _stop: DropGuard },
}

/// One of the two servers.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    pub(crate) nats: SocketAddr,
    http: SocketAddr,
    _running: Running,
    _directory: tempfile::TempDir,
}

/// Status, the headers that matter, and the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: Option<String>,
    pub(crate) allow_origin: Option<String>,
    pub(crate) body: String,
}

impl Peer {
    pub(crate) async fn theirs() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("nats.conf");
        let [nats, http] = [free(), free()];
        let store = directory.path().join("js");
        let config = format!(
            "{CONFIG}\nlisten: \"{nats}\"\nhttp: \"{http}\"\njetstream {{ store_dir: {store:?} }}\n"
        );
        std::fs::write(&file, config).unwrap();
        let process = Command::new(nats_server())
            .arg("-c")
            .arg(&file)
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        eventually("nats-server listens", || probe(nats)).await;
        Self {
            name: "nats-server",
            nats,
            http,
            _running: Running::Theirs { _process: process },
            _directory: directory,
        }
    }

    pub(crate) async fn ours() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().to_owned();
        let streams = StreamsRoot::new(move |account| root.join(account));
        let config = broker::Config {
            server_name: "compared".to_owned(),
            ..broker::Config::default()
        };
        let accounts = accounts();
        let users = ConfiguredUsers::new(&accounts).unwrap();
        let server = Server::new(config, users, Some(streams));
        server.configure_accounts(&accounts).await.unwrap();
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let nats = server.listen_tcp(any).await.unwrap();
        // As the other one was: each connection counts.
        probe(nats).await.unwrap();
        let listener = tokio::net::TcpListener::bind(any).await.unwrap();
        let http = listener.local_addr().unwrap();
        server.set_facts(Facts {
            http_host: http.ip().to_string(),
            http_port: http.port(),
            store_dir: directory.path().display().to_string(),
            ..Facts::default()
        });
        let stop = CancellationToken::new();
        tokio::spawn(web::monitoring::serve(
            listener,
            server.clone(),
            stop.clone(),
        ));
        Self {
            name: "natterjack",
            nats,
            http,
            _running: Running::Ours {
                _server: server,
                _stop: stop.drop_guard(),
            },
            _directory: directory,
        }
    }

    /// A client that is let in, under a name of its own.
    pub(crate) async fn client(&self, user: &str, name: &str) -> Raw {
        let mut raw = self.stranger(user, user, name).await;
        let refused = raw.fence().await;
        assert!(refused.is_empty(), "{}: {refused:?}", self.name);
        raw
    }

    /// A client that has sent CONNECT.
    pub(crate) async fn stranger(&self, user: &str, pass: &str, name: &str) -> Raw {
        let mut raw = Raw::connect(self.nats).await;
        let connect = format!(
            "CONNECT {{\"user\":\"{user}\",\"pass\":\"{pass}\",\"name\":\"{name}\",\"lang\":\"raw\",\"version\":\"1\",\
             \"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true,\"protocol\":1}}\r\n"
        );
        raw.send(connect.as_bytes()).await;
        raw
    }

    /// One that can ask: its inbox is subscribed.
    pub(crate) async fn asker(&self, user: &str, name: &str) -> Asker {
        let mut raw = self.client(user, name).await;
        raw.subscribe("_INBOX.asker.*", "inbox").await;
        Asker { raw, asked: 0 }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        let url = format!("http://{}{path}", self.http);
        let response = reqwest::get(url).await.unwrap();
        let header = |name: &str| {
            let value = response.headers().get(name)?;
            Some(value.to_str().unwrap().to_owned())
        };
        Answer {
            status: response.status().as_u16(),
            content_type: header("content-type"),
            allow_origin: header("access-control-allow-origin"),
            body: response.text().await.unwrap(),
        }
    }

    /// The same clients on both: one of each account, one that is gone and one that was refused; and a stream.
    pub(crate) async fn populate(&self) -> Vec<Raw> {
        let mut js = self.asker("a", "js").await;
        let stream = r#"{"name":"ORD","subjects":["ord.>"]}"#;
        js.ask("$JS.API.STREAM.CREATE.ORD", stream).await;
        let consumer =
            r#"{"stream_name":"ORD","config":{"durable_name":"D","ack_policy":"explicit"}}"#;
        js.ask("$JS.API.CONSUMER.DURABLE.CREATE.ORD.D", consumer)
            .await;
        js.ask("ord.1", "hello").await;
        let mut alpha = self.client("a", "alpha").await;
        alpha
            .send(b"SUB foo.* 1\r\nSUB q g 2\r\nSUB m 3\r\nUNSUB 3 5\r\n")
            .await;
        alpha
            .send(b"PUB foo.1 5\r\nhello\r\nPUB none 3\r\nabc\r\n")
            .await;
        alpha.fence().await;
        let mut beta = self.client("b", "beta").await;
        beta.send(b"SUB pub.> 1\r\nSUB x 2\r\n").await;
        beta.fence().await;
        let mut gone = self.client("a", "gone").await;
        gone.subscribe("z", "1").await;
        drop(gone);
        self.closed(2).await;
        let mut wrong = self.stranger("a", "wrong", "wrong").await;
        wrong.fence().await;
        self.closed(3).await;
        vec![js.raw, alpha, beta]
    }

    /// Waits until so many connections are among the closed ones.
    async fn closed(&self, count: usize) {
        let wanted = format!("\"num_connections\": {count},");
        eventually("connections are closed", || async {
            let closed = self.get("/connz?state=closed").await.body;
            closed.contains(&wanted).then_some(())
        })
        .await;
    }
}

/// Connects, takes the greeting and goes.
async fn probe(nats: SocketAddr) -> Option<()> {
    let mut socket = TcpStream::connect(nats).await.ok()?;
    let read = socket.read(&mut [0; 4096]).await.ok()?;
    (read > 0).then_some(())
}

fn free() -> SocketAddr {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    free.local_addr().unwrap()
}

/// A client that asks one thing after the other.
pub(crate) struct Asker {
    pub(crate) raw: Raw,
    asked: u32,
}

impl Asker {
    /// The answer's body, `None` where nobody responds.
    pub(crate) async fn try_ask(&mut self, subject: &str, body: &str) -> Option<String> {
        self.asked += 1;
        let reply = format!("_INBOX.asker.{}", self.asked);
        let publish = format!("PUB {subject} {reply} {}\r\n{body}\r\n", body.len());
        self.raw.send(publish.as_bytes()).await;
        loop {
            match self.raw.next().await {
                harness::Frame::Message {
                    subject,
                    headers,
                    payload,
                    ..
                } if subject == reply => {
                    let is_answer = !headers.starts_with("NATS/1.0 503");
                    return is_answer.then(|| String::from_utf8(payload).unwrap());
                }
                harness::Frame::Message { .. } => {}
                other => panic!("{subject}: {other:?}"),
            }
        }
    }

    pub(crate) async fn ask(&mut self, subject: &str, body: &str) -> String {
        let answer = self.try_ask(subject, body).await;
        answer.unwrap_or_else(|| panic!("nobody responds to {subject}"))
    }
}
