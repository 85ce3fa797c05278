//! What a server says and leaves behind: log lines, pid file, ports file, its ports.

use crate::server::{Client, Home, eventually, read};

#[test]
fn log_lines_are_those_of_nats_server() {
    let home = Home::new();
    let file = home.write(
        "c.conf",
        "websocket { listen: \"127.0.0.1:-1\", no_tls: true }\nleafnodes { listen: \"127.0.0.1:-1\" }\n",
    );
    let mut server = home.start(&["-c", &file, "-a", "127.0.0.1", "-p", "-1"]);
    let pid = server.pid();
    let expected = [
        "[INF] Starting nats-server",
        "[INF]   Version:  2.14.0",
        "[INF] Using configuration file: ",
        "[INF] Listening for websocket clients on ws://127.0.0.1:",
        "[WRN] Websocket not configured with TLS. DO NOT USE IN PRODUCTION!",
        "[INF] Listening for leafnode connections on 127.0.0.1:",
        "[INF] Listening for client connections on 127.0.0.1:",
        "[INF] Server is ready",
    ];
    let places = expected.iter().map(|text| {
        let found = server.seen.iter().position(|line| line.contains(text));
        found.unwrap_or_else(|| panic!("{text}: {:#?}", server.seen))
    });
    assert!(places.is_sorted());
    for line in &server.seen {
        let rest = line
            .strip_prefix(&format!("[{pid}] "))
            .expect("the process id");
        let (time, rest) = rest.split_at("2026/11/25 15:00:00.000000".len());
        let shape: String = time
            .chars()
            .map(|c| if c.is_ascii_digit() { '0' } else { c })
            .collect();
        assert_eq!(shape, "0000/00/00 00:00:00.000000", "{line}");
        assert!(
            rest.starts_with(" [INF] ") || rest.starts_with(" [WRN] "),
            "{line}"
        );
    }
    server.clients();
    let (code, log) = server.stop();
    assert_eq!(code, Some(0));
    for text in [
        "Trapped \"terminated\" signal",
        "Initiating Shutdown...",
        "Server Exiting..",
    ] {
        assert!(log.contains(text), "{log}");
    }
}

#[test]
fn ipv6_addresses_have_brackets() {
    let home = Home::new();
    let mut server = home.start(&["-a", "::1", "-p", "-1"]);
    server.line("Listening for client connections on [::1]:");
}

#[test]
fn a_taken_port_ends_it_with_a_fatal_line() {
    let home = Home::new();
    let mut first = home.start(&["-a", "127.0.0.1", "-p", "-1"]);
    let port = first.clients().port().to_string();
    let (code, _, log) = home.run(&["-a", "127.0.0.1", "-p", &port]);
    assert_eq!(code, 1);
    let expected = format!(
        "[FTL] Error listening on port: 127.0.0.1:{port}, \"listen tcp 127.0.0.1:{port}: bind: address already in use\""
    );
    assert!(
        log.lines()
            .last()
            .is_some_and(|line| line.ends_with(&expected)),
        "{log}"
    );
}

#[test]
fn ports_and_pid_stand_in_files() {
    let home = Home::new();
    let dir = home.path("ports");
    std::fs::create_dir(&dir).expect("made");
    let pid_file = home.path("pid");
    let arguments = [
        "-a",
        "127.0.0.1",
        "-p",
        "-1",
        "--ports_file_dir",
        &dir.display().to_string(),
        "-P",
        &pid_file.display().to_string(),
    ];
    let mut server = home.start(&arguments);
    let address = server.clients();
    let ports = dir.join(format!("nats-server_{}.ports", server.pid()));
    assert_eq!(read(&ports), format!("{{\"nats\":[\"nats://{address}\"]}}"));
    assert_eq!(read(&pid_file), server.pid().to_string());
    server.stop();
    assert!(!ports.exists());
}

#[test]
fn the_same_port_is_free_at_once_after_a_kill() {
    let home = Home::new();
    let mut server = home.start(&["-a", "127.0.0.1", "-p", "-1"]);
    let address = server.clients();
    let _held = Client::connect(address);
    server.signal("KILL");
    assert_eq!(server.wait().0, None);
    let port = address.port().to_string();
    let mut again = home.start(&["-a", "127.0.0.1", "-p", &port]);
    assert_eq!(again.clients(), address);
}

#[test]
fn a_log_file_takes_everything_and_is_begun_anew_when_full() {
    let home = Home::new();
    let log = home.path("nats.log");
    let file = home.write(
        "c.conf",
        "listen: \"127.0.0.1:-1\"\nlogfile_size_limit: 400\nlogfile_max_num: 3\n",
    );
    let server = home.start_silent(&["-c", &file, "-l", &log.display().to_string()]);
    let files = || {
        let names = std::fs::read_dir(home.dir.path()).expect("listed");
        names
            .filter(|entry| {
                entry
                    .as_ref()
                    .is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with("nats.log"))
            })
            .count()
    };
    eventually("the log is full", || files() > 1);
    for _ in 0..5 {
        server.signal("USR1");
    }
    let (code, stderr) = server.stop();
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert!(files() <= 3, "{}", files());
}

#[test]
fn secrets_are_in_no_line() {
    let home = Home::new();
    let file = home.write(
        "c.conf",
        "listen: \"127.0.0.1:-1\"\nauthorization { user: ana, password: \"open sesame\" }\n",
    );
    let mut server = home.start(&["-DV", "-c", &file]);
    let address = server.clients();
    let (_, answer) = Client::log_in(
        address,
        r#"{"user":"ana","pass":"open sesame","verbose":false}"#,
    );
    assert_eq!(answer, "PONG");
    Client::log_in(address, r#"{"user":"ana","pass":"a wrong guess"}"#);
    Client::log_in(address, r#"{"auth_token":"a guessed token"}"#);
    let (_, log) = server.stop();
    for secret in ["open sesame", "a wrong guess", "a guessed token"] {
        assert!(!log.contains(secret), "{log}");
    }
}
