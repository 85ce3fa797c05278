//! Signals, and `--signal`.

use crate::server::{Client, Home, eventually, read};

const ANONYMOUS: &str = r#"{"verbose":false,"protocol":1}"#;

#[test]
fn every_way_to_stop_ends_well() {
    let home = Home::new();
    for signal in ["TERM", "INT"] {
        let server = home.start(&["-a", "127.0.0.1", "-p", "-1"]);
        server.signal(signal);
        assert_eq!(server.wait().0, Some(0), "{signal}");
    }
    let pid_file = home.path("pid").display().to_string();
    let server = home.start(&["-a", "127.0.0.1", "-p", "-1", "-P", &pid_file]);
    let (code, _, stderr) = home.run(&["--signal", &format!("term={pid_file}")]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert_eq!(server.wait().0, Some(0));
    let (code, _, stderr) = home.run(&["-sl", "stop=2147483647"]);
    assert_eq!(code, 1);
    assert!(
        stderr.contains("signal \"stop\" 2147483647: no such process"),
        "{stderr}"
    );
}

#[test]
fn hangup_reads_the_file_again_and_a_wrong_one_changes_nothing() {
    let home = Home::new();
    let users = |name: &str, payload: u32| {
        format!(
            "listen: \"127.0.0.1:-1\"\nmax_payload: {payload}\nauthorization {{ users: [ {{user: {name}, password: p}} ] }}\n"
        )
    };
    let file = home.write("c.conf", &users("ana", 1000));
    let mut server = home.start(&["-c", &file]);
    let address = server.clients();
    let as_user = |name: &str| {
        Client::log_in(
            address,
            &format!(r#"{{"user":"{name}","pass":"p","verbose":false}}"#),
        )
    };
    let (mut ana, answer) = as_user("ana");
    assert_eq!(answer, "PONG");

    home.write("c.conf", "foo: 1\n");
    server.signal("HUP");
    server.next_line("[ERR] Failed to reload server configuration: ");
    assert_eq!(as_user("ana").1, "PONG");

    home.write("c.conf", &users("bob", 2000));
    server.signal("HUP");
    server.next_line("[INF] Reloaded server configuration (sha256:");
    assert!(ana.is_closed());
    assert_eq!(as_user("bob").1, "PONG");
    assert!(
        as_user("ana")
            .1
            .starts_with("-ERR 'Authorization Violation")
    );
    assert!(Client::connect(address).1.contains("\"max_payload\":2000"));

    home.write(
        "c.conf",
        &users("bob", 2000).replace("127.0.0.1:-1", "127.0.0.1:1"),
    );
    server.signal("HUP");
    server.next_line("config reload not supported for port");
}

#[test]
fn the_log_is_opened_again() {
    let home = Home::new();
    let log = home.path("log");
    let server = home.start_silent(&[
        "-a",
        "127.0.0.1",
        "-p",
        "-1",
        "-l",
        &log.display().to_string(),
    ]);
    eventually("it is ready", || read(&log).contains("Server is ready"));
    std::fs::rename(&log, home.path("moved")).expect("moved");
    server.signal("USR1");
    eventually("a new file", || read(&log).contains("File log re-opened"));
    server.stop();
}

#[test]
fn lame_duck_tells_clients_lets_nobody_in_and_ends() {
    let home = Home::new();
    let file = home.write(
        "c.conf",
        "lame_duck_duration: \"30s\"\nlame_duck_grace_period: \"1s\"\n",
    );
    let mut server = home.start(&["-c", &file, "-a", "127.0.0.1", "-p", "-1"]);
    let address = server.clients();
    let (mut client, answer) = Client::log_in(address, ANONYMOUS);
    assert_eq!(answer, "PONG");
    server.signal("USR2");
    server.next_line("Entering lame duck mode, stop accepting new clients");
    loop {
        if client.until("INFO ").contains("\"ldm\":true") {
            break;
        }
    }
    eventually("nobody is let in", || {
        std::net::TcpStream::connect(address).is_err()
    });
    // What is connected goes on until it is its turn.
    client.send("PING\r\n");
    client.until("PONG");
    assert!(client.is_closed());
    assert_eq!(server.wait().0, Some(0));
}

#[test]
fn lame_duck_with_nobody_connected_ends_at_once() {
    let home = Home::new();
    let server = home.start(&["-a", "127.0.0.1", "-p", "-1"]);
    server.signal("USR2");
    assert_eq!(server.wait().0, Some(0));
}
