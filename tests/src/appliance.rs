//! One natterjack of a test's own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};

use crate::{PATIENCE, Raw, sign_in};

const REALM: &str = "natterjack";

/// What a user may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Tier admin.
    Admin,
    /// Tier user, as most people.
    User,
    /// No role at all.
    None,
}

/// A running natterjack on free ports with an empty data directory; killed and removed when dropped.
#[derive(Debug)]
pub struct Appliance {
    data_dir: TempDir,
    config: PathBuf,
    child: Child,
    /// Where the web client is, such as `http://localhost:12345`.
    pub url: String,
    /// Where NATS clients connect.
    pub nats: SocketAddr,
}

impl Appliance {
    /// Starts one with the default configuration, but without the limit of messages per minute.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start() -> Self {
        Self::with_config("[services]\nmessages_per_minute = 10000\n").await
    }

    /// Starts one with this configuration file.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn with_config(config: &str) -> Self {
        let data_dir = tempfile::Builder::new()
            .prefix("natterjack-test-")
            .tempdir()
            .expect("temporary directories can be made");
        let file = data_dir.path().join("test.toml");
        std::fs::write(&file, config).expect("the configuration can be written");
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let (child, url, nats) = spawn(data_dir.path(), &file, any, any).await;
        Self {
            data_dir,
            config: file,
            child,
            url,
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

    /// Starts again on the same data and the same ports, after [`Self::kill9`].
    ///
    /// # Panics
    /// When it does not start.
    pub async fn restart(&mut self) {
        let port = url::Url::parse(&self.url)
            .ok()
            .and_then(|url| url.port())
            .expect("the address has a port");
        let http = SocketAddr::from(([127, 0, 0, 1], port));
        let (child, url, nats) = spawn(self.data_dir.path(), &self.config, http, self.nats).await;
        self.child = child;
        self.url = url;
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

    /// Adds an account beside the running server. Its password is its name and `-password`.
    ///
    /// # Panics
    /// When the command fails.
    pub async fn add_user(&self, name: &str, role: Role) {
        let role_name = if role == Role::Admin { "admin" } else { "user" };
        self.command(
            &["user", "add", name, "--role", role_name, "--password-stdin"],
            &password(name),
        )
        .await;
        if role == Role::Admin {
            self.command(&["user", "role", name, "user"], "").await;
        }
        if role == Role::None {
            self.command(&["user", "role", name, "user", "--remove"], "")
                .await;
        }
    }

    /// Runs the program's command line on this data directory and gives its output.
    ///
    /// # Panics
    /// When the command fails.
    pub async fn command(&self, arguments: &[&str], input: &str) -> String {
        let mut child = Command::new(binary())
            .args(arguments)
            .arg("--config")
            .arg(&self.config)
            .arg("--data-dir")
            .arg(self.data_dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut stdin = child.stdin.take().expect("standard input is piped");
        let _ = stdin.write_all(format!("{input}\n").as_bytes()).await;
        drop(stdin);
        let output = child.wait_with_output().await.expect("the command ends");
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// An access token for a user of [`Self::add_user`], through the real sign-in page.
    ///
    /// # Panics
    /// When signing in fails.
    pub async fn token(&self, name: &str) -> String {
        let tokens = sign_in(&self.url, REALM, name, &password(name)).await;
        tokens["access_token"]
            .as_str()
            .expect("the answer has an access token")
            .to_owned()
    }

    /// A bare connection of a user of [`Self::add_user`].
    ///
    /// # Panics
    /// When it is not let in.
    pub async fn raw(&self, name: &str) -> Raw {
        let mut raw = Raw::connect(self.nats).await;
        raw.log_in(&self.token(name).await).await;
        raw
    }
}

fn password(name: &str) -> String {
    format!("{name}-password")
}

/// The built program: `NATTERJACK_BIN`, else the one in the target directory that this test was built into.
///
/// # Panics
/// When the test does not know its own path.
#[must_use]
pub fn binary() -> PathBuf {
    if let Some(named) = std::env::var_os("NATTERJACK_BIN") {
        return named.into();
    }
    let mut directory = std::env::current_exe().expect("a test knows its own path");
    // target/debug/deps/suite-0123 or target/debug/examples/appliance
    directory.pop();
    directory.pop();
    directory.join("natterjack")
}

async fn spawn(
    data_dir: &Path,
    config: &Path,
    http: SocketAddr,
    nats: SocketAddr,
) -> (Child, String, SocketAddr) {
    let binary = binary();
    let mut child = Command::new(&binary)
        .arg("serve")
        .arg("--config")
        .arg(config)
        .arg("--data-dir")
        .arg(data_dir)
        .args([
            "--http-listen",
            &http.to_string(),
            "--nats-listen",
            &nats.to_string(),
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| {
            panic!("{}: {error} (build it with cargo build)", binary.display())
        });
    let output = child.stdout.take().expect("standard output is piped");
    let mut lines = BufReader::new(output).lines();
    let (mut url, mut nats) = (None, None);
    let banner = async {
        while let Some(line) = lines.next_line().await.expect("the banner is text") {
            if let Some(address) = line.strip_prefix("natterjack is at ") {
                url = Some(address.trim().to_owned());
            }
            if let Some(address) = line.trim().strip_prefix("nats ") {
                nats = address.trim().trim_start_matches("nats://").parse().ok();
            }
            if line.is_empty() {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, banner)
        .await
        .expect("natterjack starts in time");
    let url = url.expect("the banner says where the web client is");
    let nats = nats.expect("the banner says where NATS clients connect");
    (child, url, nats)
}
