//! One server of a test's own, under the name `nats-server`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use harness::{PATIENCE, natterjack};
use tempfile::TempDir;

/// A directory with a link to the program in it.
pub(crate) struct Home {
    pub(crate) dir: TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let link = dir.path().join("nats-server");
        std::os::unix::fs::symlink(natterjack(), link).expect("a link");
        Self { dir }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file and says where it is.
    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::write(&path, text).expect("written");
        path.display().to_string()
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.path("nats-server"));
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs to the end: exit code, standard output, standard error.
    pub(crate) fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = self.command(arguments).output().expect("it runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        let code = output.status.code().expect("it ends by itself");
        (code, text(output.stdout), text(output.stderr))
    }

    /// Starts a server and waits until it is ready.
    pub(crate) fn start(&self, arguments: &[&str]) -> Server {
        let mut server = self.start_silent(arguments);
        server.line("Server is ready");
        server
    }

    /// Starts a server that may log elsewhere.
    pub(crate) fn start_silent(&self, arguments: &[&str]) -> Server {
        let mut child = self.command(arguments).spawn().expect("it starts");
        let stderr = child.stderr.take().expect("piped");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Server {
            child,
            lines,
            seen: Vec::new(),
        }
    }
}

/// A running server; killed when dropped.
pub(crate) struct Server {
    child: Child,
    lines: Receiver<String>,
    pub(crate) seen: Vec<String>,
}

impl Server {
    /// Waits for a line with this text in it, also one that came already.
    #[track_caller]
    pub(crate) fn line(&mut self, text: &str) -> String {
        if let Some(line) = self.seen.iter().find(|line| line.contains(text)) {
            return line.clone();
        }
        self.next_line(text)
    }

    /// Waits for a line that has not come yet.
    #[track_caller]
    pub(crate) fn next_line(&mut self, text: &str) -> String {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if line.contains(text) {
                        return line;
                    }
                }
                Err(error) => panic!("no {text:?} ({error}) in {:#?}", self.seen),
            }
        }
    }

    /// The address behind a text: `Listening for client connections on `.
    #[track_caller]
    pub(crate) fn address(&mut self, before: &str) -> SocketAddr {
        let line = self.line(before);
        let (_, address) = line.split_once(before).expect("it is there");
        let address = address.trim_start_matches("ws://");
        address.parse().expect("an address")
    }

    #[track_caller]
    pub(crate) fn clients(&mut self) -> SocketAddr {
        self.address("Listening for client connections on ")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([&format!("-{name}"), &self.pid().to_string()])
            .status();
        assert!(status.expect("kill runs").success());
    }

    /// Waits for the end: the exit code, if it was not a signal, and everything logged.
    #[track_caller]
    pub(crate) fn wait(mut self) -> (Option<i32>, String) {
        let start = Instant::now();
        loop {
            match self.lines.recv_timeout(Duration::from_millis(100)) {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    assert!(
                        start.elapsed() < PATIENCE,
                        "it does not end: {:#?}",
                        self.seen
                    );
                }
            }
        }
        let status = self.child.wait().expect("it ends");
        (status.code(), self.seen.join("\n"))
    }

    #[track_caller]
    pub(crate) fn stop(self) -> (Option<i32>, String) {
        self.signal("TERM");
        self.wait()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A bare connection.
pub(crate) struct Client(BufReader<TcpStream>);

impl Client {
    /// Connects and reads INFO.
    #[track_caller]
    pub(crate) fn connect(address: SocketAddr) -> (Self, String) {
        let stream = TcpStream::connect(address).expect("the port is open");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let mut client = Self(BufReader::new(stream));
        let info = client.line();
        assert!(info.starts_with("INFO {"), "{info}");
        (client, info)
    }

    /// Connects as a user and waits for PONG, or for what comes instead.
    #[track_caller]
    pub(crate) fn log_in(address: SocketAddr, connect: &str) -> (Self, String) {
        let (mut client, _) = Self::connect(address);
        client.send(&format!("CONNECT {connect}\r\nPING\r\n"));
        let answer = client.line();
        (client, answer)
    }

    pub(crate) fn send(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).expect("sent");
    }

    /// One line without its end; empty at the end of the connection.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        let _ = self.0.read_line(&mut line);
        line.trim_end().to_owned()
    }

    /// Lines until one that begins so.
    #[track_caller]
    pub(crate) fn until(&mut self, start: &str) -> String {
        loop {
            let line = self.line();
            if line.starts_with(start) {
                return line;
            }
            assert!(!line.is_empty(), "the connection ended before {start:?}");
        }
    }

    /// Whether the server closed it.
    pub(crate) fn is_closed(&mut self) -> bool {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest).is_ok()
    }
}

/// Waits until a file is there (or not).
#[track_caller]
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "still not so: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub(crate) fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}
