//! A NATS server alone, started as its user starts it.

mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use support::{Running, natterjack, run, serve};

/// `natterjack broker` on a free port.
fn broker(data_dir: &Path) -> Command {
    let mut command = natterjack(data_dir);
    command.args(["broker", "--nats-listen", "127.0.0.1:0"]);
    command
}

#[test]
fn banner_says_where_it_is_and_everybody_is_let_in() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(&mut broker(dir.path()));
    let address = running.banner[0]
        .strip_prefix("natterjack broker is at nats://")
        .unwrap();
    assert_eq!(running.value("data"), dir.path().to_str());
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .write_all(b"CONNECT {}\r\nSUB a 1\r\nPUB a 2\r\nhi\r\n")
        .unwrap();
    let lines = BufReader::new(stream).lines().map(Result::unwrap);
    let mut lines = lines.skip_while(|line| !line.starts_with("MSG "));
    assert_eq!(lines.next().as_deref(), Some("MSG a 1 2"));
    drop(lines);
    assert!(running.stop().contains("stopped"));
    Running::start(&mut broker(dir.path())).stop();
}

#[test]
fn address_that_others_reach_wants_a_word() {
    let dir = tempfile::tempdir().unwrap();
    let everywhere = ["broker", "--nats-listen", "0.0.0.0:0"];
    run(natterjack(dir.path()).args(everywhere)).check_trouble(78, &["no sign-in", "--open"]);
    assert_eq!(
        std::fs::read_dir(dir.path()).unwrap().count(),
        0,
        "nothing was made"
    );
    Running::start(natterjack(dir.path()).args(everywhere).arg("--open")).stop();
}

#[test]
fn chat_and_a_broker_alone_never_share_a_directory() {
    let chat = tempfile::tempdir().unwrap();
    Running::start(&mut serve(chat.path())).stop();
    run(&mut broker(chat.path())).check_trouble(78, &["holds a chat workspace", "--data-dir"]);
    let alone = tempfile::tempdir().unwrap();
    let running = Running::start(&mut broker(alone.path()));
    run(&mut broker(alone.path())).check_trouble(75, &["in use by process"]);
    running.stop();
    run(&mut serve(alone.path())).check_trouble(78, &["natterjack broker", "--data-dir"]);
}

#[test]
fn what_it_does_not_know_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    for flag in ["--config=/dev/null/none", "--jetstream", "--demo"] {
        assert_ne!(run(broker(dir.path()).arg(flag)).code, Some(0), "{flag}");
    }
    assert_eq!(
        run(broker(dir.path()).args(["--http-listen", "127.0.0.1:0"])).code,
        Some(64)
    );
}
