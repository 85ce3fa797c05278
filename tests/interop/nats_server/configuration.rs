//! Configuration files: checked, read alike by both servers, and those of client libraries.

use std::process::Command;

use harness::nats_server;

use crate::server::{Client, Home};

/// What both servers read, one document each.
const DOCUMENTS: [&str; 14] = [
    "port: 4222",
    "{ \"port\": 4222, \"jetstream\": true }",
    "port=4222;host=1.2.3.4",
    "port\n4222",
    "a_key = 5\nport: $a_key\nhost: \"x\\ty\\x41\"",
    "server_tags: [a\nb # c\n // d\n \"e\", f,\n]",
    "authorization { users = [ {user: a, password: b} ]\n default_permissions { publish: \"a.>\" } }",
    "server_name: (\nhello\n)\n",
    "authorization: { token: abc\\tdef }",
    "authorization: { token: $2a$11$W2zko751KUvVy59mUTWmpOdWjpEm5qhcCZRd05GjI/sSOT.xtiHyG }",
    "max_payload: 2MiB, max_pending: 64m; ping_interval: \"2m\"",
    "jetstream: {\nmax_mem\n1k\nstore_dir: '/x y'\n}",
    "server_metadata: {a: \"<&>\\n\"}\nhttp: \"127.0.0.1:8222\"\nfeature_flags { x: yes }",
    "authorization { timeout: 1.5 }\nlogtime: off\nlogfile_size_limit: 1gb\nno_fast_producer_stall: TRUE",
];

#[test]
fn the_check_says_the_same_digest_as_nats_server() {
    let home = Home::new();
    for (index, document) in DOCUMENTS.iter().enumerate() {
        let file = home.write(&format!("{index}.conf"), document);
        let arguments = ["-t", "-c", &file];
        let (code, _, ours) = home.run(&arguments);
        let theirs = Command::new(nats_server()).args(arguments).output();
        let theirs = String::from_utf8(theirs.expect("it runs").stderr).expect("text");
        assert_eq!((code, &ours), (0, &theirs), "{document}");
        assert!(ours.contains("is valid (sha256:"), "{ours}");
    }
}

#[test]
fn the_check_fails_on_what_is_wrong_and_on_warnings() {
    let home = Home::new();
    for (text, expected) in [
        ("foo: 1", "unknown field \"foo\""),
        (
            "ping_interval: 2",
            "ping_interval should be converted to a duration",
        ),
        (
            "tls { cert_file: \"/none.pem\", key_file: \"/none.pem\" }",
            "/none.pem",
        ),
        (
            "cluster { listen: \"127.0.0.1:0\" }",
            "cluster is not supported",
        ),
        (
            "include none.conf",
            "error parsing include file 'none.conf'",
        ),
    ] {
        let file = home.write("c.conf", text);
        let (code, _, stderr) = home.run(&["-t", "-c", &file]);
        assert_eq!(code, 1, "{text}");
        assert!(
            stderr.starts_with("nats-server: ") && stderr.contains(expected),
            "{stderr}"
        );
    }
}

#[test]
fn a_warning_does_not_keep_a_server_from_starting() {
    let home = Home::new();
    let file = home.write("c.conf", "listen: \"127.0.0.1:-1\"\nping_interval: 20\n");
    let server = home.start(&["-c", &file]);
    assert!(
        server.seen[0].contains("should be converted to a duration"),
        "{:?}",
        server.seen
    );
}

#[test]
fn files_of_client_libraries_are_taken() {
    let home = Home::new();
    let store = home.path("js").display().to_string();
    for text in [
        "listen: \"127.0.0.1:-1\"\nleafnodes { listen: \"127.0.0.1:-1\" }\nwebsocket { listen: \"127.0.0.1:-1\", no_tls: true }\ncluster {}\n".to_owned(),
        format!("port: -1\nnet: 127.0.0.1\njetstream {{ store_dir: \"{store}\", max_mem: 64MB, max_file: 1GB, limits {{ max_request_batch: 5 }} }}\n"),
        "host: localhost\nport: -1\nno_auth_user: foo\naccounts { $SYS { users: [{user: sys, password: sys}] }\n A { jetstream: disabled, users: [{user: foo, password: bar}] } }\n".to_owned(),
    ] {
        let file = home.write("c.conf", &text);
        let mut server = home.start(&["-c", &file]);
        Client::connect(server.clients());
        assert_eq!(server.stop().0, Some(0), "{text}");
    }
}
