//! Where log lines go: standard error, a file that is put aside when it is full, or the system's log.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use broker::config_file::options::LogOptions;
use jiff::Zoned;

use super::log::time;

/// Where the system's log listens on this machine.
const SYSLOG: &str = "/dev/log";
/// The facility "system daemons" of RFC 3164.
const DAEMON: u8 = 3 << 3;

/// An open log.
pub(super) struct Sink {
    target: Target,
    has_time: bool,
    is_utc: bool,
    pid: u32,
}

enum Target {
    Stderr,
    File(LogFile),
    Local(UnixDatagram),
    Remote(UdpSocket),
}

impl Sink {
    /// Opens what the options name.
    pub(super) fn open(options: &LogOptions) -> Result<Self, String> {
        let target = if let Some(address) = &options.remote_syslog {
            Target::Remote(remote(address)?)
        } else if options.syslog {
            let connect = || {
                let socket = UnixDatagram::unbound()?;
                socket.connect(SYSLOG)?;
                Ok(socket)
            };
            Target::Local(connect().map_err(|error: io::Error| {
                format!("error connecting to syslog: {SYSLOG}: {error}")
            })?)
        } else if let Some(path) = &options.file {
            Target::File(LogFile::open(
                path,
                options.file_bytes_max,
                options.files_max,
            )?)
        } else {
            Target::Stderr
        };
        Ok(Self {
            target,
            has_time: options.time,
            is_utc: options.utc,
            pid: std::process::id(),
        })
    }

    /// Writes one line. A log that cannot be written is no reason to stop.
    pub(super) fn line(&mut self, label: &str, text: &str) {
        let pid = self.pid;
        let _ = match &mut self.target {
            Target::Local(socket) => socket.send(&datagram(pid, label, text)).map(drop),
            Target::Remote(socket) => socket.send(&datagram(pid, label, text)).map(drop),
            target => {
                let stamp = if self.has_time {
                    time(self.is_utc) + " "
                } else {
                    String::new()
                };
                let line = format!("[{pid}] {stamp}[{label}] {text}\n");
                match target {
                    Target::File(file) => file.write(line.as_bytes()),
                    _ => io::stderr().lock().write_all(line.as_bytes()),
                }
            }
        };
    }

    /// Opens the file again, if it is one.
    pub(super) fn reopen(&mut self) -> Result<bool, String> {
        let Target::File(file) = &mut self.target else {
            return Ok(false);
        };
        *file = LogFile::open(&file.path, file.bytes_max, file.files_max)?;
        Ok(true)
    }
}

fn remote(address: &str) -> Result<UdpSocket, String> {
    let wrong = |reason: &dyn std::fmt::Display| {
        format!("error connecting to remote syslog {address}: {reason}")
    };
    let Some(host) = address
        .strip_prefix("udp://")
        .or_else(|| (!address.contains("://")).then_some(address))
    else {
        return Err(wrong(&"only udp://HOST:PORT is supported"));
    };
    let connect = || {
        let any = if host.starts_with('[') {
            "[::]:0"
        } else {
            "0.0.0.0:0"
        };
        let socket = UdpSocket::bind(any)?;
        socket.connect(host)?;
        Ok(socket)
    };
    connect().map_err(|error: io::Error| wrong(&error))
}

/// `<30>nats-server[17]: text`, as RFC 3164 has it without the time, which the receiver adds.
fn datagram(pid: u32, label: &str, text: &str) -> Vec<u8> {
    let severity = match label {
        "FTL" => 2,
        "ERR" => 3,
        "WRN" => 4,
        "INF" => 5,
        _ => 7,
    };
    format!("<{}>nats-server[{pid}]: {text}", DAEMON | severity).into_bytes()
}

/// A log file.
struct LogFile {
    path: PathBuf,
    file: File,
    bytes: u64,
    bytes_max: Option<u64>,
    files_max: Option<usize>,
}

impl LogFile {
    fn open(path: &Path, bytes_max: Option<u64>, files_max: Option<usize>) -> Result<Self, String> {
        let open = || {
            let file = OpenOptions::new().create(true).append(true).open(path)?;
            let bytes = file.metadata()?.len();
            Ok((file, bytes))
        };
        let (file, bytes) = open().map_err(|error: io::Error| {
            format!("error opening file: {}: {error}", path.display())
        })?;
        Ok(Self {
            path: path.to_path_buf(),
            file,
            bytes,
            bytes_max,
            files_max,
        })
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        self.file.write_all(line)?;
        self.bytes += line.len() as u64;
        match self.bytes_max {
            Some(max) if self.bytes > max => self.put_aside(),
            _ => Ok(()),
        }
    }

    /// Renames the file to one with the time behind its name, removes the oldest and begins anew.
    fn put_aside(&mut self) -> io::Result<()> {
        let time = Zoned::now().strftime("%Y.%m.%d.%H.%M.%S.%9f").to_string();
        let mut aside = self.path.clone().into_os_string();
        aside.push(format!(".{time}"));
        std::fs::rename(&self.path, aside)?;
        self.file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.path)?;
        self.bytes = 0;
        if let Some(max) = self.files_max {
            // The file in use is one of them.
            remove_oldest(&self.path, max.saturating_sub(1))?;
        }
        Ok(())
    }
}

/// Keeps the `keep` newest files that were put aside; the time in their names sorts them.
fn remove_oldest(path: &Path, keep: usize) -> io::Result<()> {
    let dir = path
        .parent()
        .filter(|dir| !dir.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
        return Ok(());
    };
    let is_aside = |other: &str| {
        other
            .strip_prefix(name)
            .and_then(|rest| rest.strip_prefix('.'))
            .is_some_and(|time| {
                time.bytes()
                    .all(|byte| byte.is_ascii_digit() || byte == b'.')
            })
    };
    let mut aside = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?.file_name();
        if let Some(other) = entry.to_str().filter(|other| is_aside(other)) {
            aside.push(other.to_owned());
        }
    }
    aside.sort_unstable();
    let surplus = aside.len().saturating_sub(keep);
    for old in &aside[..surplus] {
        std::fs::remove_file(dir.join(old))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(path: &Path) -> LogOptions {
        LogOptions {
            file: Some(path.to_path_buf()),
            file_bytes_max: Some(100),
            files_max: Some(3),
            ..LogOptions::default()
        }
    }

    #[test]
    fn full_files_are_put_aside_and_the_oldest_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("nats.log");
        let mut sink = Sink::open(&options(&path)).unwrap();
        for number in 0..20 {
            sink.line(
                "INF",
                &format!("line {number} that is about fifty bytes long"),
            );
        }
        let names: Vec<String> = std::fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(names.len(), 3, "{names:?}");
        assert!(names.contains(&"nats.log".to_owned()));
    }

    #[test]
    fn lines_have_pid_time_and_label() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut sink = Sink::open(&options(&path)).unwrap();
        sink.line("INF", "Server is ready");
        let text = std::fs::read_to_string(&path).unwrap();
        let pid = std::process::id();
        assert!(text.starts_with(&format!("[{pid}] 2")), "{text}");
        assert!(text.ends_with(" [INF] Server is ready\n"), "{text}");
        let time = text.split("] ").nth(1).unwrap().trim_end_matches(" [INF");
        assert_eq!(time.len(), "2026/11/25 15:00:00.000000".len(), "{time}");
        let mut options = options(&path);
        options.time = false;
        Sink::open(&options).unwrap().line("WRN", "x");
        assert!(
            std::fs::read_to_string(&path)
                .unwrap()
                .ends_with(&format!("[{pid}] [WRN] x\n"))
        );
    }

    #[test]
    fn a_moved_file_is_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut sink = Sink::open(&options(&path)).unwrap();
        std::fs::rename(&path, dir.path().join("moved")).unwrap();
        assert_eq!(sink.reopen(), Ok(true));
        sink.line("INF", "x");
        assert!(path.exists());
        assert_eq!(
            Sink::open(&LogOptions::default()).unwrap().reopen(),
            Ok(false)
        );
    }

    #[test]
    fn the_systems_log_gets_a_priority_and_a_name() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = format!("udp://{}", receiver.local_addr().unwrap());
        let remote = LogOptions {
            remote_syslog: Some(address),
            ..LogOptions::default()
        };
        Sink::open(&remote).unwrap().line("WRN", "hello");
        let mut buffer = [0; 200];
        let len = receiver.recv(&mut buffer).unwrap();
        let pid = std::process::id();
        assert_eq!(
            std::str::from_utf8(&buffer[..len]).unwrap(),
            format!("<28>nats-server[{pid}]: hello")
        );
        let wrong = LogOptions {
            remote_syslog: Some("tcp://x:1".to_owned()),
            ..LogOptions::default()
        };
        assert!(Sink::open(&wrong).is_err());
    }
}
