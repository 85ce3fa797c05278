//! `natterjack doctor` beside the real program: what is whole, what is damaged, and when it does not look.

mod support;

use std::fs;
use std::path::Path;

use support::{Running, natterjack, run, serve};

fn doctor(dir: &Path, flags: &[&str]) -> support::Said {
    run(natterjack(dir).arg("doctor").args(flags))
}

fn stream_file(dir: &Path) -> std::path::PathBuf {
    dir.join("streams/CHAT/CHAT_MESSAGES.redb")
}

#[test]
fn a_whole_data_directory_is_called_so() {
    let dir = tempfile::tempdir().unwrap();
    Running::start(&mut serve(dir.path())).stop();
    let said = doctor(dir.path(), &[]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(
        said.stdout.contains("stream CHAT_MESSAGES: 0 messages"),
        "{said:?}"
    );
    assert!(said.stdout.contains("1 stream file checked"), "{said:?}");
    let said = doctor(dir.path(), &["--json"]);
    let rows: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(rows[0]["stream"], "CHAT_MESSAGES");
    assert_eq!(rows[0]["whole"], true);
}

#[test]
fn a_damaged_file_is_named_and_stays_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    Running::start(&mut serve(dir.path())).stop();
    let path = stream_file(dir.path());
    let mut bytes = fs::read(&path).unwrap();
    let len = bytes.len();
    // Every page behind the header.
    bytes[4096..len].fill(0xA5);
    fs::write(&path, &bytes).unwrap();
    let said = doctor(dir.path(), &[]);
    said.check_trouble(65, &["not whole", "--repair"]);
    assert!(said.stdout.contains("CHAT_MESSAGES"), "{said:?}");
    assert!(fs::read(&path).unwrap() == bytes, "looking changes nothing");
}

#[test]
fn it_does_not_look_while_a_natterjack_runs_or_where_nothing_is() {
    let dir = tempfile::tempdir().unwrap();
    doctor(&dir.path().join("nothing"), &[]).check_trouble(64, &["holds nothing of natterjack"]);
    let running = Running::start(&mut serve(dir.path()));
    doctor(dir.path(), &[]).check_trouble(75, &["in use by process"]);
    running.stop();
}
