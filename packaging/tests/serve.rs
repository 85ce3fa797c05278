//! A start as a newcomer sees it, and again.

mod support;

use std::os::unix::fs::PermissionsExt;

use support::{Running, get, serve};

#[test]
fn first_start_prints_the_address_first_and_a_setup_link() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(&mut serve(dir.path()));
    let url = format!("http://localhost:{}", running.http().port());
    assert_eq!(running.banner[0], format!("natterjack is at {url}"));
    assert_eq!(running.value("data"), dir.path().to_str());
    let setup = running.value("setup").unwrap();
    assert!(setup.starts_with(&format!("{url}/setup?token=")), "{setup}");

    assert!(get(running.http(), "/").starts_with("HTTP/1.1 200"));
    let config = get(running.http(), "/config.json");
    assert!(config.contains(r#""setupNeeded":true"#), "{config}");
    let path = setup[url.len()..].split(' ').next().unwrap();
    assert!(get(running.http(), path).starts_with("HTTP/1.1 200"));
    running.stop();
}

#[test]
fn nats_port_speaks_first() {
    use std::io::{BufRead, BufReader};
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(&mut serve(dir.path()));
    let stream = std::net::TcpStream::connect(running.nats()).unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    assert!(line.starts_with("INFO {"), "{line}");
    running.stop();
}

#[test]
fn setup_is_offered_until_there_is_an_administrator() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(&mut serve(dir.path()));
    let add = ["user", "add", "ana", "--role", "admin"];
    assert_eq!(
        support::run(support::natterjack(dir.path()).args(add)).code,
        Some(0)
    );
    running.stop();
    let running = Running::start(&mut serve(dir.path()));
    assert_eq!(running.value("setup"), None, "{:?}", running.banner);
    running.stop();
}

#[test]
fn nothing_that_was_made_is_open_to_others() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    Running::start(serve(&data).arg("--demo")).stop();
    assert_eq!(
        std::fs::metadata(&data).unwrap().permissions().mode() & 0o777,
        0o700
    );
}
