//! Keeps the demo, whose passwords everybody knows, away from real workspaces and from the network.
//!
//! A data directory that was started with `--demo` has a file `demo` in it for ever. With that file natterjack starts
//! only with `--demo`, and `--demo` only on this machine's own addresses; without it, `--demo` starts only in a directory
//! that has no workspace yet. So there is no way from one to the other that keeps a known password usable.

use std::net::SocketAddr;
use std::path::Path;

use crate::config::Config;
use crate::trouble::Trouble;

const MARKER: &str = "demo";
const MARKER_TEXT: &str = "This data directory holds the demo: its passwords are public. It can not become a real workspace.\n";

/// Refuses the demo where others could reach it.
pub(crate) fn check_reach(config: &Config) -> Result<(), Trouble> {
    let remedy = "Start the demo on loopback addresses, or start without --demo and add real accounts with `natterjack user add`.";
    let open = |listen: SocketAddr| !listen.ip().is_loopback();
    for listen in [config.http.listen, config.nats.listen] {
        if open(listen) {
            return Err(Trouble::config(
                format!(
                    "The demo's passwords are public, so it does not listen on {listen}, where others can reach it."
                ),
                remedy,
            ));
        }
    }
    match &config.http.public_url {
        Some(url) if !is_local(url) => Err(Trouble::config(
            format!(
                "The demo's passwords are public, so it does not serve {url}, where others can reach it."
            ),
            remedy,
        )),
        _ => Ok(()),
    }
}

fn is_local(url: &str) -> bool {
    let after_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = after_scheme
        .split(['/', '?', '#'])
        .next()
        .unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback())
}

/// Whether the data directory holds the demo.
pub(crate) fn is_marked(dir: &Path) -> Result<bool, Trouble> {
    let marker = dir.join(MARKER);
    marker
        .try_exists()
        .map_err(|error| Trouble::io("read", &marker, &error))
}

/// Checks that the data directory is of the right kind, and marks a fresh one when it is to hold the demo.
///
/// `is_new` says that there is no workspace in it yet. The caller holds the lock of the directory.
pub(crate) fn check_data_dir(dir: &Path, demo: bool, is_new: bool) -> Result<(), Trouble> {
    let marker = dir.join(MARKER);
    match (demo, is_marked(dir)?) {
        (true, false) if is_new => std::fs::write(&marker, MARKER_TEXT)
            .map_err(|error| Trouble::io("write", &marker, &error)),
        (true, false) => Err(Trouble::config(
            format!(
                "{} holds a real workspace; the demo would add accounts to it whose passwords are public.",
                dir.display()
            ),
            "Leave out --demo, or give the demo a directory of its own with --data-dir.",
        )),
        (false, true) => Err(Trouble::config(
            format!(
                "{} holds the demo, whose passwords are public, so it starts only with --demo.",
                dir.display()
            ),
            "Add --demo, or name another directory with --data-dir for a real workspace.",
        )),
        (true, true) | (false, false) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(http: &str, nats: &str, public_url: Option<&str>) -> Config {
        let mut config = Config::default();
        config.http.listen = http.parse().unwrap();
        config.nats.listen = nats.parse().unwrap();
        config.http.public_url = public_url.map(str::to_owned);
        config
    }

    #[test]
    fn demo_stays_on_this_machine() {
        let local = "127.0.0.1:0";
        assert!(check_reach(&config(local, "[::1]:0", None)).is_ok());
        assert!(check_reach(&config(local, local, Some("http://localhost:3000"))).is_ok());
        assert!(check_reach(&config(local, local, Some("http://[::1]:3000/x"))).is_ok());
        assert!(check_reach(&config("0.0.0.0:0", local, None)).is_err());
        assert!(check_reach(&config(local, "[::]:0", None)).is_err());
        assert!(check_reach(&config(local, local, Some("https://chat.example.org"))).is_err());
        assert!(check_reach(&config(local, local, Some("https://localhost.example.org"))).is_err());
    }

    #[test]
    fn demo_and_real_workspaces_never_mix() {
        let dir = tempfile::tempdir().unwrap();
        assert!(
            check_data_dir(dir.path(), true, false).is_err(),
            "a real workspace must not become a demo"
        );
        assert!(check_data_dir(dir.path(), false, true).is_ok());
        assert!(check_data_dir(dir.path(), true, true).is_ok());
        assert!(
            check_data_dir(dir.path(), true, false).is_ok(),
            "the demo starts again"
        );
        assert!(
            check_data_dir(dir.path(), false, false).is_err(),
            "the demo must not become a real workspace"
        );
    }
}
