//! A broker whose users come with JWTs, started as the suites in other languages start it.

use std::path::PathBuf;
use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// The running example `credentials`; killed when dropped.
#[derive(Debug)]
pub struct Credentials {
    about: Value,
    _child: Child,
}

impl Credentials {
    /// Starts it in a mode: `operator`, `callout` or `sealed-callout`.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start(mode: &str) -> Self {
        let mut child = Command::new(program())
            .arg(mode)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the example `credentials` is built");
        let output = child.stdout.take().expect("a pipe");
        let line = BufReader::new(output).lines().next_line().await;
        let line = line.expect("readable").expect("one line of JSON");
        Self {
            about: serde_json::from_str(&line).expect("one line of JSON"),
            _child: child,
        }
    }

    /// What it said under this name.
    ///
    /// # Panics
    /// When it said nothing.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        self.about[name].as_str().expect("a text of that name")
    }
}

/// Examples stand beside the tests that cargo builds them for.
fn program() -> PathBuf {
    let mut path = std::env::current_exe().expect("a running test has a path");
    path.pop();
    path.pop();
    path.join("examples").join("credentials")
}
