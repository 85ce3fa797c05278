//! The files that tell others about this process: its id, and the ports that it took.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::Serialize;

/// Writes the process id, alone.
pub(super) fn write_pid(path: &Path) -> io::Result<()> {
    std::fs::write(path, std::process::id().to_string())
}

/// Where this process listens, as URLs. Empty lists are left out.
#[derive(Debug, Default, Serialize)]
pub(super) struct Ports {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) nats: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) monitoring: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) websocket: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) leafnodes: Vec<String>,
}

/// A ports file. It is removed when this is dropped.
#[derive(Debug)]
pub(super) struct PortsFile(PathBuf);

impl PortsFile {
    /// Writes `<program>_<pid>.ports`, whole or not at all: others read it as soon as they see it.
    pub(super) fn write(dir: &Path, program: &str, ports: &Ports) -> io::Result<Self> {
        let path = dir.join(format!("{program}_{}.ports", std::process::id()));
        let aside = path.with_extension("ports.new");
        let text = serde_json::to_vec(ports).map_err(io::Error::other)?;
        std::fs::write(&aside, text)?;
        std::fs::rename(&aside, &path)?;
        Ok(Self(path))
    }
}

impl Drop for PortsFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The URL of a listener. One that listens everywhere is reached on this machine's own address.
pub(super) fn url(scheme: &str, address: SocketAddr) -> String {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::from(std::net::Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    format!("{scheme}://{}", SocketAddr::new(ip, address.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_file_is_json_and_gone_afterwards() {
        let dir = tempfile::tempdir().unwrap();
        let ports = Ports {
            nats: vec![url("nats", "0.0.0.0:4222".parse().unwrap())],
            websocket: vec![url("ws", "[::1]:8080".parse().unwrap())],
            ..Ports::default()
        };
        let file = PortsFile::write(dir.path(), "nats-server", &ports).unwrap();
        let path = dir
            .path()
            .join(format!("nats-server_{}.ports", std::process::id()));
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(
            text,
            r#"{"nats":["nats://127.0.0.1:4222"],"websocket":["ws://[::1]:8080"]}"#
        );
        drop(file);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
