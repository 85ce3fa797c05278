//! A wrong configuration is refused in words, before anything is touched.

mod support;

use support::{natterjack, run, serve};

#[test]
fn unknown_key_in_the_file_is_refused_with_line_and_nearest() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(
        dir.path().join("natterjack.toml"),
        "[http]\n\nlisen = \"127.0.0.1:0\"\n",
    )
    .unwrap();
    let said = run(&mut serve(dir.path()));
    said.check_trouble(
        78,
        &[
            "natterjack.toml, line 3: there is no key http.lisen",
            "Did you mean http.listen?",
        ],
    );
    assert_eq!(
        std::fs::read_dir(dir.path()).unwrap().count(),
        1,
        "nothing was made"
    );
}

#[test]
fn invalid_value_is_refused_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("other.toml");
    std::fs::write(&file, "[nats]\nping_interval = \"soon\"\n").unwrap();
    let said = run(serve(dir.path()).arg("--config").arg(&file));
    said.check_trouble(
        78,
        &[
            "other.toml, line 2: nats.ping_interval can not be \"soon\"",
            "30s",
        ],
    );
    let said = run(natterjack(dir.path()).args(["--http-listen", "8080"]));
    said.check_trouble(
        78,
        &[
            "flag --http-listen: http.listen can not be \"8080\"",
            "Address and port",
        ],
    );
    let said = run(serve(dir.path()).env("NATTERJACK_NATS__PAYLOAD_MAX", "big"));
    said.check_trouble(
        78,
        &["environment variable NATTERJACK_NATS__PAYLOAD_MAX", "64MiB"],
    );
    let said = run(serve(dir.path()).args(["--log", "loud"]));
    said.check_trouble(78, &["\"loud\" is not a log level", "debug"]);
}

#[test]
fn unknown_variable_is_refused_with_nearest() {
    let dir = tempfile::tempdir().unwrap();
    let said = run(serve(dir.path()).env("NATTERJACK_HTTP__LISTN", "127.0.0.1:0"));
    said.check_trouble(
        78,
        &[
            "NATTERJACK_HTTP__LISTN",
            "Did you mean NATTERJACK_HTTP__LISTEN?",
        ],
    );
}

#[test]
fn missing_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let said = run(serve(dir.path())
        .arg("--config")
        .arg(dir.path().join("no.toml")));
    said.check_trouble(66, &["There is no configuration file", "--config"]);
}

#[test]
fn demo_is_refused_where_others_reach_it() {
    let dir = tempfile::tempdir().unwrap();
    let said = run(natterjack(dir.path()).args(["--demo", "--http-listen", "0.0.0.0:0"]));
    said.check_trouble(78, &["passwords are public", "without --demo"]);
    assert_eq!(
        std::fs::read_dir(dir.path()).unwrap().count(),
        0,
        "nothing was made"
    );
}

#[test]
fn printed_configuration_is_accepted_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let printed = run(natterjack(dir.path()).arg("config"));
    assert_eq!(printed.code, Some(0));
    assert_eq!(
        printed.stdout,
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/natterjack.toml")).unwrap()
    );
}

#[test]
fn wrong_command_lines_end_with_usage() {
    let dir = tempfile::tempdir().unwrap();
    for line in [
        &["--htpp-listen", "x"][..],
        &["sevre"],
        &["user"],
        &["--demo", "user", "list"],
    ] {
        let said = run(natterjack(dir.path()).args(line));
        assert_eq!(said.code, Some(64), "{line:?}: {said:?}");
    }
    let version = run(natterjack(dir.path()).arg("--version"));
    assert_eq!(
        (version.code, version.stdout.as_str()),
        (
            Some(0),
            concat!("natterjack ", env!("CARGO_PKG_VERSION"), "\n")
        )
    );
}
