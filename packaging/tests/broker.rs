//! A NATS server alone, started as its user starts it.

mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
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
    assert!(running.stop().contains("[INF] Server Exiting.."));
    Running::start(&mut broker(dir.path())).stop();
}

#[test]
fn address_that_others_reach_wants_a_word() {
    let dir = tempfile::tempdir().unwrap();
    let everywhere = ["broker", "--nats-listen", "0.0.0.0:0"];
    run(natterjack(dir.path()).args(everywhere))
        .check_trouble(78, &["Nobody has to sign in", "--open"]);
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
    for flag in ["--config=/dev/null/none", "--routes=nats://x:1", "--demo"] {
        assert_ne!(run(broker(dir.path()).arg(flag)).code, Some(0), "{flag}");
    }
    assert_eq!(
        run(broker(dir.path()).args(["--http-listen", "127.0.0.1:0"])).code,
        Some(64)
    );
}

/// One JetStream request over a connection of its own; the reply's JSON.
fn request(address: &str, subject: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let len = body.len();
    write!(
        stream,
        "CONNECT {{}}\r\nSUB inbox 1\r\nPUB {subject} inbox {len}\r\n{body}\r\n"
    )
    .unwrap();
    let lines = BufReader::new(stream).lines().map(Result::unwrap);
    lines
        .skip_while(|line| !line.starts_with("MSG "))
        .nth(1)
        .unwrap()
}

fn address(running: &Running) -> String {
    let (_, address) = running.banner[0].split_once("nats://").unwrap();
    address.to_owned()
}

#[test]
fn streams_are_still_there_and_readable_with_their_key_only() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let key = dir.path().join("streams.key");
    std::fs::write(&key, "a text of no less than thirty-two characters\n").unwrap();
    let with_key = || {
        let mut command = broker(&data);
        command.env("NATTERJACK_STREAMS__KEY_FILE", &key);
        command
    };
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    run(&mut with_key()).check_trouble(77, &["streams.key", "others can read it"]);
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();

    let running = Running::start(&mut with_key());
    let config = r#"{"name":"NOTES","subjects":["notes.>"]}"#;
    let made = request(&address(&running), "$JS.API.STREAM.CREATE.NOTES", config);
    assert!(made.contains("\"did_create\":true"), "{made}");
    let stored = request(&address(&running), "notes.one", "a plain secret");
    assert!(stored.contains("\"seq\":1"), "{stored}");
    running.signal("KILL");
    running.wait();

    run(&mut broker(&data)).check_trouble(78, &["is encrypted", "key file"]);
    let file = data.join("streams/%24G/NOTES.redb");
    let bytes = std::fs::read(&file).unwrap();
    let secret = b"a plain secret";
    assert!(!bytes.windows(secret.len()).any(|window| window == secret));

    let running = Running::start(&mut with_key());
    let got = request(
        &address(&running),
        "$JS.API.STREAM.MSG.GET.NOTES",
        r#"{"seq":1}"#,
    );
    assert!(got.contains("YSBwbGFpbiBzZWNyZXQ="), "{got}");
    running.stop();
}

#[test]
fn limits_and_domain_are_taken_from_the_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let file = "[streams]\ndomain = \"edge\"\nstreams_max = 1\nstrict = false\n";
    std::fs::write(dir.path().join("natterjack.toml"), file).unwrap();
    let running = Running::start(&mut broker(dir.path()));
    let create = |name: &str| {
        let subject = format!("$JS.edge.API.STREAM.CREATE.{name}");
        let config = format!(r#"{{"name":"{name}","subjects":["{name}"],"no_such_member":1}}"#);
        request(&address(&running), &subject, &config)
    };
    let first = create("ONE");
    assert!(first.contains("\"did_create\":true"), "{first}");
    let second = create("TWO");
    assert!(
        second.contains("maximum number of streams reached"),
        "{second}"
    );
    running.stop();
}
