//! `natterjack user`, alone and beside a running server.

mod support;

use std::path::Path;

use support::{Running, Said, natterjack, run, run_with_input, serve};

fn user(dir: &Path, arguments: &[&str]) -> Said {
    run(natterjack(dir).arg("user").args(arguments))
}

fn listed(dir: &Path) -> Vec<serde_json::Value> {
    let said = user(dir, &["list", "--json"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    serde_json::from_str(&said.stdout).unwrap()
}

#[test]
fn accounts_are_managed_beside_a_running_server() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(&mut serve(dir.path()));
    assert!(
        listed(dir.path()).is_empty(),
        "no account exists by default"
    );

    let added = run_with_input(
        natterjack(dir.path()).args([
            "user",
            "add",
            "ana",
            "--role",
            "admin",
            "--display-name",
            "Ana Ruiz",
            "--password-stdin",
        ]),
        "correct horse battery\n",
    );
    assert_eq!(added.code, Some(0), "{added:?}");
    assert!(
        !format!("{added:?}").contains("correct horse"),
        "a given password is not shown"
    );
    assert_eq!(
        listed(dir.path())[0]["roles"],
        serde_json::json!(["admin", "user"])
    );
    assert_eq!(listed(dir.path())[0]["displayName"], "Ana Ruiz");

    assert_eq!(
        user(dir.path(), &["role", "ana", "admin", "--remove"]).code,
        Some(0)
    );
    assert_eq!(listed(dir.path())[0]["roles"], serde_json::json!(["user"]));
    assert_eq!(user(dir.path(), &["disable", "ana"]).code, Some(0));
    assert_eq!(listed(dir.path())[0]["disabled"], true);
    assert!(user(dir.path(), &["list"]).stdout.contains("disabled"));
    assert_eq!(user(dir.path(), &["enable", "ana"]).code, Some(0));
    assert_eq!(listed(dir.path())[0]["disabled"], false);
    running.stop();
    assert_eq!(listed(dir.path()).len(), 1, "also without a server");
}

#[test]
fn generated_password_is_printed_once_and_alone_on_its_line() {
    let dir = tempfile::tempdir().unwrap();
    Running::start(&mut serve(dir.path())).stop();
    let added = user(dir.path(), &["add", "bob"]);
    assert_eq!(added.code, Some(0), "{added:?}");
    let first = added.stdout.lines().last().unwrap().to_owned();
    assert_eq!(first.len(), 24, "{added:?}");
    let changed = user(dir.path(), &["passwd", "bob"]);
    assert_ne!(changed.stdout.lines().last().unwrap(), first);
}

#[test]
fn wrong_requests_say_why_and_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    user(dir.path(), &["list"]).check_trouble(66, &["There is no workspace in", "--data-dir"]);
    assert_eq!(
        std::fs::read_dir(dir.path()).unwrap().count(),
        0,
        "nothing was made"
    );

    Running::start(&mut serve(dir.path())).stop();
    user(dir.path(), &["passwd", "ghost"])
        .check_trouble(64, &["There is no user ghost", "user list"]);
    user(dir.path(), &["disable", "ghost"]).check_trouble(64, &["There is no user ghost"]);
    user(dir.path(), &["add", "not.a.name"]).check_trouble(64, &["user name has 1 to 32"]);
    let add = |name| {
        run_with_input(
            natterjack(dir.path()).args(["user", "add", name, "--password-stdin"]),
            "short\n",
        )
    };
    add("ana").check_trouble(64, &["password has at least"]);
    let empty = run(natterjack(dir.path()).args(["user", "add", "ana", "--password-stdin"]));
    empty.check_trouble(64, &["holds no password"]);
    assert!(listed(dir.path()).is_empty());
    assert_eq!(user(dir.path(), &["add", "ana"]).code, Some(0));
    user(dir.path(), &["add", "ana"]).check_trouble(64, &["ana is taken", "passwd"]);
}

#[test]
fn token_is_printed_alone_and_never_for_a_disabled_account() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(&mut serve(dir.path()));
    assert_eq!(user(dir.path(), &["add", "ana"]).code, Some(0));
    let token = user(dir.path(), &["token", "ana"]);
    assert_eq!(token.code, Some(0), "{token:?}");
    assert_eq!(token.stdout.trim_end().split('.').count(), 3, "a JWT");
    assert_eq!(token.stdout.lines().count(), 1);
    assert_eq!(user(dir.path(), &["disable", "ana"]).code, Some(0));
    user(dir.path(), &["token", "ana"]).check_trouble(64, &["ana is disabled", "enable ana"]);
    user(dir.path(), &["token", "ghost"]).check_trouble(64, &["no user ghost"]);
    running.stop();
}
