//! Drives the real binary: starts it on free ports in a directory of its own, and reads what it says.

#![allow(dead_code, reason = "each suite uses its part")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Nothing here takes this long unless it hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// The binary with nothing of the surrounding environment that could change what it does.
pub(crate) fn natterjack(data_dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_natterjack"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("NATTERJACK_") {
            command.env_remove(name);
        }
    }
    command
        .arg("--data-dir")
        .arg(data_dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// `natterjack serve` on free ports.
pub(crate) fn serve(data_dir: &Path) -> Command {
    let mut command = natterjack(data_dir);
    command.args([
        "--http-listen",
        "127.0.0.1:0",
        "--nats-listen",
        "127.0.0.1:0",
    ]);
    command
}

/// What a finished run said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Said {
    /// The run ended with `code`, one sentence on what happened and one on what to do, and nothing for programmers.
    #[track_caller]
    pub(crate) fn check_trouble(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        for part in parts {
            assert!(self.stderr.contains(part), "no {part:?} in {self:?}");
        }
        for noise in ["panicked", "backtrace", "Error {", "Os {", "unwrap"] {
            assert!(!self.stderr.contains(noise), "{noise:?} in {self:?}");
        }
        let said: Vec<&str> = self
            .stderr
            .lines()
            .skip_while(|line| !line.starts_with("natterjack: "))
            .collect();
        assert_eq!(
            said.len(),
            2,
            "two lines, what happened and what to do: {self:?}"
        );
    }
}

/// Runs to the end.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> Said {
    run_with_input(command, "")
}

/// Runs to the end with `input` on standard input.
#[track_caller]
pub(crate) fn run_with_input(command: &mut Command, input: &str) -> Said {
    let mut child = command
        .stdin(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    // A program that ends without reading is not this helper's business.
    let _ = child
        .stdin
        .take()
        .expect("piped")
        .write_all(input.as_bytes());
    let stdout = read_all(child.stdout.take().expect("piped"));
    let stderr = read_all(child.stderr.take().expect("piped"));
    let mut child = Reaped(child);
    let stdout = stdout.recv_timeout(PATIENCE).expect("the run ends");
    let stderr = stderr.recv_timeout(PATIENCE).expect("the run ends");
    let code = child.0.wait().expect("the run ends").code();
    Said {
        code,
        stdout,
        stderr,
    }
}

fn read_all(mut pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut text = String::new();
        let _ = pipe.read_to_string(&mut text);
        let _ = sender.send(text);
    });
    receiver
}

/// A child that does not outlive its test.
struct Reaped(Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server that is ready.
pub(crate) struct Running {
    child: Reaped,
    /// What it printed.
    pub(crate) banner: Vec<String>,
    stderr: Receiver<String>,
    _stdout: Receiver<String>,
}

impl Running {
    /// Starts `command` and waits for its banner.
    #[track_caller]
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = Reaped(command.spawn().expect("the binary starts"));
        let stderr = read_all(child.0.stderr.take().expect("piped"));
        let (sender, lines) = channel();
        let stdout = child.0.stdout.take().expect("piped");
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let mut banner = Vec::new();
        // The banner is written in one piece, and ends with an empty line.
        loop {
            match lines.recv_timeout(PATIENCE) {
                Ok(line) if line.is_empty() => break,
                Ok(line) => banner.push(line),
                Err(_) => panic!(
                    "no banner, but {banner:?}; {:?}",
                    stderr.recv_timeout(PATIENCE)
                ),
            }
        }
        Self {
            child,
            banner,
            stderr,
            _stdout: lines,
        }
    }

    /// The process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.0.id()
    }

    /// The value of a line of the banner: `nats`, `data`, `setup`.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        let mut lines = self
            .banner
            .iter()
            .filter_map(|line| line.trim_start().strip_prefix(name));
        lines.next().map(str::trim_start)
    }

    /// Where HTTP listens.
    pub(crate) fn http(&self) -> SocketAddr {
        let port = self.banner[0]
            .rsplit(':')
            .next()
            .and_then(|port| port.parse().ok());
        SocketAddr::from((
            [127, 0, 0, 1],
            port.expect("the first line ends with the port"),
        ))
    }

    /// Where NATS listens.
    pub(crate) fn nats(&self) -> SocketAddr {
        let url = self.value("nats ").expect("the banner names it");
        url.trim_start_matches("nats://")
            .parse()
            .expect("the banner names an address")
    }

    /// Sends a signal such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([&format!("-{name}"), &self.pid().to_string()])
            .status();
        assert!(status.expect("kill runs").success());
    }

    /// Waits for the end.
    pub(crate) fn wait(mut self) -> (ExitStatus, String) {
        let stderr = self.stderr.recv_timeout(PATIENCE).expect("the server ends");
        (self.child.0.wait().expect("the server ends"), stderr)
    }

    /// Stops gracefully.
    #[track_caller]
    pub(crate) fn stop(self) -> String {
        self.signal("TERM");
        let (status, stderr) = self.wait();
        assert!(status.success(), "{status}: {stderr}");
        stderr
    }
}

/// One HTTP/1.1 GET, as text: status line, headers and body.
pub(crate) fn get(addr: SocketAddr, path: &str) -> String {
    let mut stream = std::net::TcpStream::connect(addr).expect("the port is open");
    stream
        .set_read_timeout(Some(PATIENCE))
        .expect("a socket takes a timeout");
    let port = addr.port();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n"
    )
    .expect("written");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("answered");
    String::from_utf8_lossy(&answer).into_owned()
}
