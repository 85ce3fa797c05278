//! What goes wrong at the start is said in two lines, with a code, and loses nothing.

mod support;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use support::{Running, natterjack, run, serve};

#[test]
fn taken_port_names_the_port_its_holder_and_the_flag() {
    let dir = tempfile::tempdir().unwrap();
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = holder.local_addr().unwrap().to_string();
    let port = format!("Port {}", holder.local_addr().unwrap().port());
    for (flag, other) in [
        ("--http-listen", "--nats-listen"),
        ("--nats-listen", "--http-listen"),
    ] {
        let said = run(natterjack(dir.path()).args([flag, &addr, other, "127.0.0.1:0"]));
        said.check_trouble(
            69,
            &[&port, flag, &format!("process {}", std::process::id())],
        );
    }
    Running::start(&mut serve(dir.path())).stop();
}

#[test]
fn locked_data_directory_names_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let first = Running::start(&mut serve(dir.path()));
    let said = run(&mut serve(dir.path()));
    said.check_trouble(75, &["in use by process", &first.pid().to_string()]);
    first.stop();
}

#[test]
fn killed_process_leaves_no_lock_behind() {
    let dir = tempfile::tempdir().unwrap();
    let first = Running::start(&mut serve(dir.path()));
    first.signal("KILL");
    first.wait();
    Running::start(&mut serve(dir.path())).stop();
}

#[test]
fn directory_that_can_not_be_written_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let closed = dir.path().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o500)).unwrap();
    // The super-user writes everywhere but in the kernel's own file systems.
    let inside = match fs::write(closed.join("probe"), "") {
        Ok(()) => Path::new("/sys/natterjack").to_owned(),
        Err(_) => closed.join("data"),
    };
    let said = run(&mut serve(&inside));
    said.check_trouble(77, &[inside.to_str().unwrap(), "owner"]);
}

#[test]
fn newer_data_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    Running::start(&mut serve(dir.path())).stop();
    fs::write(dir.path().join("format"), "99\n").unwrap();
    let said = run(&mut serve(dir.path()));
    said.check_trouble(65, &["format 99", "newer natterjack"]);
    assert_eq!(
        fs::read_to_string(dir.path().join("format")).unwrap(),
        "99\n"
    );
}

#[test]
fn newer_chat_database_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    Running::start(&mut serve(dir.path())).stop();
    let path = dir.path().join("chat.sqlite3");
    let file = rusqlite::Connection::open(&path).unwrap();
    file.pragma_update(None, "user_version", 9_999).unwrap();
    file.close().unwrap();
    let bytes = fs::read(&path).unwrap();
    let said = run(&mut serve(dir.path()));
    said.check_trouble(65, &["format 9999", "newer natterjack"]);
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[test]
fn damaged_chat_database_is_refused_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("chat.sqlite3");
    fs::write(&path, "this was a database once\n".repeat(400)).unwrap();
    let said = run(&mut serve(dir.path()));
    said.check_trouble(65, &["damaged", "restore"]);
    assert!(
        fs::read_to_string(&path)
            .unwrap()
            .starts_with("this was a database once")
    );
}

#[test]
fn demo_and_real_workspaces_never_mix() {
    let real = tempfile::tempdir().unwrap();
    Running::start(&mut serve(real.path())).stop();
    run(serve(real.path()).arg("--demo"))
        .check_trouble(78, &["holds a real workspace", "--data-dir"]);

    let demo = tempfile::tempdir().unwrap();
    let running = Running::start(serve(demo.path()).arg("--demo"));
    assert!(
        running
            .banner
            .iter()
            .any(|line| line.contains("{username}123")),
        "{:?}",
        running.banner
    );
    running.stop();
    run(&mut serve(demo.path())).check_trouble(78, &["holds the demo", "--demo"]);
    Running::start(serve(demo.path()).arg("--demo")).stop();
}

#[test]
fn both_signals_stop_gracefully() {
    for signal in ["TERM", "INT"] {
        let dir = tempfile::tempdir().unwrap();
        let running = Running::start(&mut serve(dir.path()));
        running.signal(signal);
        let (status, stderr) = running.wait();
        assert!(status.success(), "{status}: {stderr}");
        assert!(stderr.contains("stopped"), "{stderr}");
    }
}

#[test]
fn full_disk_is_said_at_every_size() {
    let dir = tempfile::tempdir().unwrap();
    for size in ["4k", "16k", "64k", "128k"] {
        // A file system of its own, in name spaces of its own, so that it goes with the process.
        let mut command = Command::new("unshare");
        let script =
            format!("mount -t tmpfs -o size={size} tmpfs \"$1\" || exit 99; shift; exec \"$@\"");
        command
            .args(["--map-root-user", "--mount", "sh", "-c", &script, "sh"])
            .arg(dir.path());
        command
            .arg(env!("CARGO_BIN_EXE_natterjack"))
            .arg("--data-dir")
            .arg(dir.path().join("data"));
        command.args([
            "--http-listen",
            "127.0.0.1:0",
            "--nats-listen",
            "127.0.0.1:0",
        ]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let said = run(&mut command);
        if said.code == Some(99) || said.code == Some(1) {
            return; // This machine lets nobody make a file system; the storage tests cover the rest.
        }
        said.check_trouble(74, &["disk"]);
    }
}

#[test]
fn key_that_others_can_read_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    Running::start(&mut serve(dir.path())).stop();
    let keys = fs::read_dir(dir.path().join("keys")).unwrap();
    let key = keys.map(|entry| entry.unwrap().path()).next().unwrap();
    assert_eq!(
        fs::metadata(&key).unwrap().permissions().mode() & 0o777,
        0o600
    );
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let said = run(&mut serve(dir.path()));
    said.check_trouble(
        77,
        &["others can read it", "chmod 600", key.to_str().unwrap()],
    );
    assert!(!said.stderr.contains("PRIVATE KEY"));
}
