//! The command line: what is understood, what is refused, with which text and exit code.

use crate::server::{Client, Home};

#[test]
fn version_and_help_are_printed_and_end_well() {
    let home = Home::new();
    for arguments in [["-v"], ["--version"], ["version"]] {
        assert_eq!(
            home.run(&arguments),
            (0, "nats-server: v2.14.0\n".to_owned(), String::new())
        );
    }
    for arguments in [["-h"], ["--help"], ["help"], ["--help_tls"]] {
        let (code, stdout, _) = home.run(&arguments);
        assert!(code == 0 && stdout.len() > 500, "{stdout}");
    }
    let (_, usage, _) = home.run(&["-h"]);
    for flag in [
        "--addr",
        "--port",
        "-sl",
        "--ports_file_dir",
        "-DVV",
        "-js",
        "--tlscacert",
        "--log_size_limit",
    ] {
        assert!(usage.contains(flag), "{flag}");
    }
}

#[test]
fn mistakes_are_told_as_in_nats_server() {
    let home = Home::new();
    let wrong = home.write("wrong.conf", "port: 4222\nfoo: 1\n");
    for (arguments, expected) in [
        (&["--foo"][..], "flag provided but not defined: -foo"),
        (
            &["-p", "abc"],
            "invalid value \"abc\" for flag -p: parse error",
        ),
        (&["-p"], "flag needs an argument: -p"),
        (&["bar"], "nats-server: unrecognized command: \"bar\""),
        (
            &["-c", "/none.conf"],
            "nats-server: open /none.conf: no such file or directory",
        ),
        (
            &["-t"],
            "nats-server: must specify [-c, --config] option to check configuration file syntax",
        ),
        (
            &["-c", &wrong],
            &format!("nats-server: {wrong}:2:1: unknown field \"foo\""),
        ),
        (&["--signal", "foo"], "nats-server: unknown signal \"foo\""),
        (
            &["--tls", "-p", "-1"],
            "nats-server: TLS Server certificate must be present and valid",
        ),
        (
            &["-n", "a b", "-p", "-1"],
            "nats-server: server name cannot contain spaces",
        ),
        (
            &["--routes", "nats://127.0.0.1:1"],
            "nats-server: --routes is not supported: natterjack is one server; link servers as leaf nodes in a configuration file",
        ),
    ] {
        let (code, _, stderr) = home.run(arguments);
        assert_ne!(code, 0, "{arguments:?}");
        assert_eq!(stderr.lines().next(), Some(expected), "{arguments:?}");
    }
}

#[test]
fn flags_have_one_dash_or_two_and_stand_above_the_file() {
    let home = Home::new();
    let file = home.write(
        "c.conf",
        "listen: \"127.0.0.1:-1\"\nserver_name: file\nmax_payload: 1000\n",
    );
    let mut server = home.start(&["--config", &file, "-p=-1", "--name=flag", "-a", "127.0.0.1"]);
    let (_, info) = Client::connect(server.clients());
    assert!(
        info.contains("\"server_name\":\"flag\"") && info.contains("\"max_payload\":1000"),
        "{info}"
    );
}

#[test]
fn users_and_tokens_of_the_command_line() {
    let home = Home::new();
    let base = ["-a", "127.0.0.1", "-p", "-1"];
    let mut server = home.start(&[&base[..], &["--user", "u", "--pass", "p"]].concat());
    let address = server.clients();
    assert_eq!(
        Client::log_in(address, r#"{"user":"u","pass":"p","verbose":false}"#).1,
        "PONG"
    );
    let (_, refused) = Client::log_in(address, r#"{"user":"u","pass":"x","verbose":false}"#);
    assert!(
        refused.starts_with("-ERR 'Authorization Violation"),
        "{refused}"
    );
    let mut server = home.start(&[&base[..], &["--auth", "t"]].concat());
    assert_eq!(
        Client::log_in(server.clients(), r#"{"auth_token":"t","verbose":false}"#).1,
        "PONG"
    );
}

#[test]
fn streams_are_off_unless_asked_for_and_lie_below_the_store_directory() {
    let home = Home::new();
    let base = ["-a", "127.0.0.1", "-p", "-1"];
    let request = "CONNECT {\"verbose\":false,\"headers\":true,\"no_responders\":true}\r\nSUB i 1\r\nPUB $JS.API.INFO i 0\r\n\r\n";
    let mut server = home.start(&base);
    let (mut client, _) = Client::connect(server.clients());
    client.send(request);
    client.until("HMSG i 1 ");
    assert_eq!(client.line(), "NATS/1.0 503");

    let store = home.path("store");
    let store_text = store.display().to_string();
    let mut server = home.start(&[&base[..], &["-js", "-sd", &store_text]].concat());
    server.line(&format!("Store Directory: \"{store_text}/jetstream\""));
    let (mut client, _) = Client::connect(server.clients());
    client.send(request);
    client.until("MSG i 1 ");
    assert!(client.line().contains("account_info_response"));
    assert!(store.join("jetstream/streams").is_dir());
}
