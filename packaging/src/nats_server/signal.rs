//! `--signal COMMAND[=PID]`: a signal to a running server, by its id, its pid file or its name.

use std::path::Path;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};

/// Sends it.
///
/// # Errors
/// Why not, in nats-server's words.
pub(super) fn send(text: &str, program: &str) -> Result<(), String> {
    let (command, target) = match text.split_once('=') {
        Some((command, target)) => (command, Some(target)),
        None => (text, None),
    };
    let signal = signal_of(command).ok_or_else(|| format!("unknown signal \"{command}\""))?;
    let pids = match target {
        Some(target) => vec![pid_of(target)?],
        None => running(program)?,
    };
    let mut failed = Vec::new();
    for pid in pids {
        if let Err(error) = kill(pid, signal) {
            failed.push(format!("signal \"{command}\" {pid}: {error}"));
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(failed.join("\n"))
}

fn signal_of(command: &str) -> Option<Signal> {
    Some(match command {
        "stop" => Signal::KILL,
        "quit" => Signal::INT,
        "term" => Signal::TERM,
        "reopen" => Signal::USR1,
        "reload" => Signal::HUP,
        "ldm" => Signal::USR2,
        _ => return None,
    })
}

fn kill(pid: i32, signal: Signal) -> Result<(), String> {
    let process = Pid::from_raw(pid).ok_or_else(|| "no such process".to_owned())?;
    kill_process(process, signal).map_err(|error| match error {
        Errno::SRCH => "no such process".to_owned(),
        Errno::PERM => "operation not permitted".to_owned(),
        other => other.to_string(),
    })
}

/// A number, or a file that holds one.
fn pid_of(target: &str) -> Result<i32, String> {
    let number = target.parse().ok().or_else(|| {
        let text = std::fs::read_to_string(target).ok()?;
        text.trim().parse().ok()
    });
    number
        .filter(|pid| *pid > 0)
        .ok_or_else(|| format!("invalid pid: {target}"))
}

/// The one process of our name beside this one.
fn running(program: &str) -> Result<Vec<i32>, String> {
    let own = i32::try_from(std::process::id()).unwrap_or_default();
    let entries = std::fs::read_dir("/proc")
        .map_err(|_| "unable to resolve pid, try providing one".to_owned())?;
    let pids: Vec<i32> = entries
        .filter_map(Result::ok)
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path())))
        .filter(|(pid, process): &(i32, _)| *pid != own && is_program(process, program))
        .map(|(pid, _)| pid)
        .collect();
    match pids.as_slice() {
        [] => Err(format!("no {program} processes running")),
        [_] => Ok(pids),
        several => {
            let list: Vec<String> = several.iter().map(ToString::to_string).collect();
            let lines = list.join("\n");
            Err(format!("multiple {program} processes running:\n{lines}"))
        }
    }
}

fn is_program(process: &Path, program: &str) -> bool {
    let Ok(line) = std::fs::read(process.join("cmdline")) else {
        return false;
    };
    let first = line.split(|byte| *byte == 0).next().unwrap_or_default();
    let name = Path::new(std::str::from_utf8(first).unwrap_or_default()).file_name();
    name.is_some_and(|name| name == program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_named() {
        assert_eq!(
            send("foo", "nats-server"),
            Err("unknown signal \"foo\"".to_owned())
        );
        assert_eq!(
            send("reload=/none.pid", "nats-server"),
            Err("invalid pid: /none.pid".to_owned())
        );
        assert_eq!(
            send("reload=0", "nats-server"),
            Err("invalid pid: 0".to_owned())
        );
        let none = send("stop=2147483647", "nats-server");
        assert_eq!(
            none,
            Err("signal \"stop\" 2147483647: no such process".to_owned())
        );
        let unknown = send("reload", "a-program-that-nobody-has");
        assert_eq!(
            unknown,
            Err("no a-program-that-nobody-has processes running".to_owned())
        );
    }
}
