//! One end of a link: natterjack's broker in this process, or a real nats-server.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use broker::{
    AllowAll, Config, JetStreamConfig, LeafAuthorization, LeafConfig, LeafListen, LeafRemote,
    LeafUrl, Server, StreamsRoot, TlsConfig, WebSocketConfig,
};
use harness::{eventually, nats_server};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// Pause before a link is dialled again: short, because every test that cuts one waits for it.
const RECONNECT: Duration = Duration::from_millis(200);

/// Which program serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Ours,
    Real,
}

/// Who may be hub and edge of each other.
pub(crate) const PAIRS: [(Kind, Kind); 3] = [
    (Kind::Real, Kind::Ours),
    (Kind::Ours, Kind::Real),
    (Kind::Ours, Kind::Ours),
];

/// What a site is made of.
#[derive(Debug, Clone, Default)]
pub(crate) struct Plan {
    pub(crate) name: &'static str,
    /// Leaves may come in.
    pub(crate) is_hub: bool,
    /// Servers to be a leaf of.
    pub(crate) remotes: Vec<String>,
    /// JetStream with this domain.
    pub(crate) domain: Option<&'static str>,
    /// The remotes' `deny_imports` and `deny_exports`.
    pub(crate) deny_imports: Vec<&'static str>,
    pub(crate) deny_exports: Vec<&'static str>,
    /// More of a real server's configuration, at the top level.
    pub(crate) more: &'static str,
    /// Our leaves' users, if they have some of their own.
    pub(crate) authorization: Option<LeafAuthorization>,
    /// TLS on our port, and towards our remotes.
    pub(crate) port_tls: Option<TlsConfig>,
    pub(crate) remote_tls: Option<TlsConfig>,
    /// The key that our remotes are shown.
    pub(crate) nkey_seed: Option<String>,
    /// More of a real server's `leafnodes` block, and of each remote.
    pub(crate) leaf_more: String,
    pub(crate) remote_more: String,
    /// There is a WebSocket port too.
    pub(crate) websocket: bool,
}

impl Plan {
    pub(crate) fn hub(name: &'static str) -> Self {
        Self {
            name,
            is_hub: true,
            ..Self::default()
        }
    }

    pub(crate) fn edge(name: &'static str, hub: SocketAddr) -> Self {
        Self {
            name,
            remotes: vec![format!("nats-leaf://{hub}")],
            ..Self::default()
        }
    }
}

/// A running server.
pub(crate) struct Site {
    pub(crate) nats: SocketAddr,
    leaves: Option<SocketAddr>,
    websocket: Option<SocketAddr>,
    pub(crate) server: Option<Server>,
    process: Option<Child>,
    _directory: TempDir,
}

impl Site {
    pub(crate) async fn start(kind: Kind, plan: Plan) -> Self {
        match kind {
            Kind::Ours => Self::ours(plan).await,
            Kind::Real => Self::real(plan).await,
        }
    }

    /// Where leaves come in.
    pub(crate) fn leaves(&self) -> SocketAddr {
        self.leaves.expect("the site is a hub")
    }

    /// Where WebSockets are opened.
    pub(crate) fn websocket(&self) -> SocketAddr {
        self.websocket.expect("the site has a WebSocket port")
    }

    pub(crate) async fn client(&self) -> async_nats::Client {
        let client = async_nats::connect(format!("nats://{}", self.nats)).await;
        client.expect("clients can connect")
    }

    async fn ours(plan: Plan) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().to_owned();
        let config = Config {
            server_name: plan.name.to_owned(),
            jetstream: JetStreamConfig {
                domain: plan.domain.map(str::to_owned),
                ..JetStreamConfig::default()
            },
            ..Config::default()
        };
        let streams = StreamsRoot::new(move |account| root.join(account));
        let streams = plan.domain.is_some().then_some(streams);
        let has_streams = streams.is_some();
        let server = Server::new(config, Arc::new(AllowAll::new("$G")), streams);
        if has_streams {
            server.open_streams("$G").await.unwrap();
        }
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let nats = server.listen_tcp(any).await.unwrap();
        let texts = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        let remotes = plan.remotes.iter().map(|url| LeafRemote {
            urls: vec![LeafUrl::parse(url).unwrap()],
            deny_imports: texts(&plan.deny_imports),
            deny_exports: texts(&plan.deny_exports),
            tls: plan.remote_tls.clone(),
            nkey_seed: plan.nkey_seed.clone(),
            ..LeafRemote::default()
        });
        let config = LeafConfig {
            listen: plan.is_hub.then(|| LeafListen {
                authorization: plan.authorization.clone(),
                tls: plan.port_tls.clone(),
                ..LeafListen::new(any)
            }),
            remotes: remotes.collect(),
            reconnect: RECONNECT,
            ..LeafConfig::default()
        };
        let leaves = server.start_leaves(&config).await.unwrap();
        let websocket = match plan.websocket {
            true => Some(
                server
                    .listen_websocket(any, WebSocketConfig::default())
                    .await
                    .unwrap(),
            ),
            false => None,
        };
        Self {
            nats,
            leaves,
            websocket,
            server: Some(server),
            process: None,
            _directory: directory,
        }
    }

    async fn real(plan: Plan) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (nats, leaves) = (free_address(), free_address());
        let mut text = format!("server_name: {}\nlisten: \"{nats}\"\n", plan.name);
        if let Some(domain) = plan.domain {
            let store = directory.path().display();
            writeln!(
                text,
                "jetstream {{ store_dir: \"{store}\", domain: {domain} }}"
            )
            .unwrap();
        }
        text.push_str(plan.more);
        let websocket = free_address();
        if plan.websocket {
            write!(
                text,
                "\nwebsocket {{ listen: \"{websocket}\", no_tls: true }}"
            )
            .unwrap();
        }
        write!(text, "\nleafnodes {{\n{}\n", plan.leaf_more).unwrap();
        if plan.is_hub {
            writeln!(text, "listen: \"{leaves}\"").unwrap();
        }
        writeln!(
            text,
            "reconnect: \"{}ms\"\nremotes [",
            RECONNECT.as_millis()
        )
        .unwrap();
        for url in &plan.remotes {
            let list = |list: &[&str]| serde_json::to_string(list).unwrap();
            writeln!(
                text,
                "{{ url: \"{url}\", deny_imports: {}, deny_exports: {}, {} }}",
                list(&plan.deny_imports),
                list(&plan.deny_exports),
                plan.remote_more
            )
            .unwrap();
        }
        text.push_str("]\n}\n");
        let file = directory.path().join("nats.conf");
        std::fs::write(&file, text).unwrap();
        let process = Command::new(nats_server())
            .arg("-c")
            .arg(&file)
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("nats-server starts");
        eventually("nats-server listens", || async {
            TcpStream::connect(nats).await.ok()
        })
        .await;
        Self {
            nats,
            leaves: plan.is_hub.then_some(leaves),
            websocket: plan.websocket.then_some(websocket),
            server: None,
            process: Some(process),
            _directory: directory,
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            // It is killed when dropped anyway.
            let _ = process.start_kill();
        }
    }
}

/// nats-server does not say which port it took when asked for any.
fn free_address() -> SocketAddr {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    free.local_addr().expect("a bound socket has an address")
}
