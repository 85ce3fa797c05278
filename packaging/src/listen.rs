//! Takes an address to listen on, and when it is taken finds out who has it.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;

use crate::trouble::{Exit, Trouble};

/// Which of our doors an address is for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Door {
    Http,
    Nats,
}

impl Door {
    fn name(self) -> &'static str {
        match self {
            Self::Http => "the web client",
            Self::Nats => "NATS clients",
        }
    }

    fn flag(self) -> &'static str {
        match self {
            Self::Http => "--http-listen",
            Self::Nats => "--nats-listen",
        }
    }
}

/// Listens on `addr`.
///
/// # Errors
///
/// The address is taken, not one of this machine's, or a port that only root may use.
pub(crate) fn bind(door: Door, addr: SocketAddr) -> Result<TcpListener, Trouble> {
    let listener = TcpListener::bind(addr).map_err(|error| refused(door, addr, &error))?;
    listener
        .set_nonblocking(true)
        .map_err(|error| refused(door, addr, &error))?;
    Ok(listener)
}

/// Says why `addr` could not be listened on, and what to pass instead.
pub(crate) fn refused(door: Door, addr: SocketAddr, error: &io::Error) -> Trouble {
    let (name, flag, port) = (door.name(), door.flag(), addr.port());
    let elsewhere = SocketAddr::new(addr.ip(), port.checked_add(1).unwrap_or(0));
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            let who = holder(port)
                .map_or_else(|| "another program".to_owned(), |holder| holder.to_string());
            Trouble::new(
                Exit::Unavailable,
                format!("Port {port} for {name} is taken by {who}."),
                format!("Stop that program, or pass {flag} {elsewhere} (port 0 takes a free one)."),
            )
        }
        io::ErrorKind::AddrNotAvailable => Trouble::new(
            Exit::Unavailable,
            format!(
                "{} is not an address of this machine, so it can not serve {name}.",
                addr.ip()
            ),
            format!(
                "Pass {flag} with an address that `ip addr` shows, or 0.0.0.0:{port} for all of them."
            ),
        ),
        io::ErrorKind::PermissionDenied => Trouble::new(
            Exit::Permission,
            format!("Port {port} for {name} is one that only root may use."),
            format!(
                "Pass {flag} with a port from 1024 up, or give the program CAP_NET_BIND_SERVICE."
            ),
        ),
        _ => Trouble::new(
            Exit::Unavailable,
            format!("Could not listen on {addr} for {name}: {error}."),
            format!("Pass another address with {flag}."),
        ),
    }
}

/// A process that listens on a port.
#[derive(Debug, PartialEq, Eq)]
struct Holder {
    name: String,
    pid: u32,
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (process {})", self.name, self.pid)
    }
}

/// Finds who listens on `port`, as far as Linux lets us see: our own processes, or all of them as root.
fn holder(port: u16) -> Option<Holder> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"]
        .map(|table| std::fs::read_to_string(table).unwrap_or_default());
    let lines = tables.iter().flat_map(|table| table.lines());
    let inodes: Vec<String> = lines
        .filter_map(|line| listener_inode(line, port))
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    let processes = std::fs::read_dir("/proc").ok()?.filter_map(Result::ok);
    processes
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path())))
        .find_map(|(pid, process): (u32, PathBuf)| {
            let files = std::fs::read_dir(process.join("fd"))
                .ok()?
                .filter_map(Result::ok);
            let mut targets = files.filter_map(|file| std::fs::read_link(file.path()).ok());
            targets
                .any(|target| {
                    inodes
                        .iter()
                        .any(|inode| target.as_os_str() == inode.as_str())
                })
                .then_some(())?;
            let name = std::fs::read_to_string(process.join("comm"))
                .ok()?
                .trim()
                .to_owned();
            Some(Holder { name, pid })
        })
}

/// The inode of a line of `/proc/net/tcp` (see `proc_pid_net(5)`) if it is a listener on `port`.
fn listener_inode(line: &str, port: u16) -> Option<&str> {
    const LISTENING: &str = "0A";
    let mut fields = line.split_ascii_whitespace().skip(1);
    let (_, port_hex) = fields.next()?.rsplit_once(':')?;
    let is_ours = u16::from_str_radix(port_hex, 16) == Ok(port) && fields.nth(1)? == LISTENING;
    is_ours.then(|| fields.nth(5)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listener_line_gives_its_inode() {
        let line = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 48213 1 0 100";
        assert_eq!(listener_inode(line, 8080), Some("48213"));
        assert_eq!(listener_inode(line, 8081), None);
        assert_eq!(listener_inode(&line.replace(" 0A ", " 01 "), 8080), None);
        assert_eq!(
            listener_inode("  sl  local_address rem_address   st", 8080),
            None
        );
    }

    #[test]
    fn taken_port_names_who_has_it_and_what_to_pass() {
        let first = bind(Door::Http, SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let addr = first.local_addr().unwrap();
        let trouble = bind(Door::Http, addr).unwrap_err();
        assert_eq!(trouble.exit, Exit::Unavailable);
        assert!(
            trouble.what.contains(&format!("Port {}", addr.port())),
            "{trouble}"
        );
        assert!(
            trouble.remedy.contains("--http-listen 127.0.0.1:"),
            "{trouble}"
        );
        if cfg!(target_os = "linux") {
            assert!(
                trouble
                    .what
                    .contains(&format!("(process {})", std::process::id())),
                "{trouble}"
            );
        }
    }

    #[test]
    fn foreign_address_is_refused_with_a_way_out() {
        let trouble = bind(Door::Nats, SocketAddr::from(([192, 0, 2, 1], 0))).unwrap_err();
        assert!(
            trouble
                .what
                .contains("192.0.2.1 is not an address of this machine"),
            "{trouble}"
        );
    }
}
