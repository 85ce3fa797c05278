//! Keeps the demo, whose passwords everybody knows, away from the network.
//!
//! A directory that was the demo stays the demo (`purpose`), and the demo listens on this machine's own addresses only. So
//! there is no way to a place that others reach with a password that everybody knows.

use std::net::SocketAddr;

use crate::config::Config;
use crate::trouble::Trouble;

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
}
