//! Turns an error of a room below into words for the terminal: the first cause in its chain that a person can act on.

use std::io;

use services::identity;

use crate::listen::{self, Door};
use crate::trouble::{Exit, Trouble};

/// Words for `error`.
pub(crate) fn explain(error: &anyhow::Error) -> Trouble {
    let known = error.chain().find_map(|cause| {
        let storage = cause.downcast_ref::<storage::Error>().and_then(of_storage);
        let chat = || {
            cause
                .downcast_ref::<storage::chat::Error>()
                .and_then(of_chat_db)
        };
        let identity = || {
            cause
                .downcast_ref::<identity::Error>()
                .and_then(of_identity)
        };
        let broker = || cause.downcast_ref::<broker::Error>().and_then(of_broker);
        let trouble = || cause.downcast_ref::<Trouble>().cloned();
        let system = || cause.downcast_ref::<io::Error>().and_then(of_system);
        storage
            .or_else(chat)
            .or_else(identity)
            .or_else(broker)
            .or_else(trouble)
            .or_else(system)
    });
    known.unwrap_or_else(|| {
        let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
        Trouble::new(
            Exit::Software,
            format!("{}.", capitalised(&causes.join(": "))),
            "Start again with --log debug to see more. If it stays, please report it.",
        )
    })
}

fn of_storage(error: &storage::Error) -> Option<Trouble> {
    use storage::Error;
    let exit = match error {
        Error::Locked { .. } => Exit::Busy,
        Error::NotWritable { .. } => Exit::Permission,
        Error::NewerFormat { .. } | Error::Corrupt { .. } => Exit::Data,
        Error::DiskFull { .. } | Error::WritesStopped { .. } => Exit::Io,
        Error::KeyMissing { .. } | Error::KeyDiffers { .. } => Exit::Config,
        Error::KeyFile { .. } => {
            return Some(Trouble::new(
                Exit::Permission,
                format!("{}.", capitalised(&error.to_string())),
                "It holds 32 random bytes or a text of at least 32 characters, and only its owner may read it (chmod 600).",
            ));
        }
        Error::Io { path, source } => return Some(Trouble::io("use", path, source)),
        _ => return None,
    };
    let message = match error {
        // The system's reason is the source of this one and tells a full story: permission, or a read-only file system.
        Error::NotWritable { path, source } => return Some(Trouble::io("write", path, source)),
        other => other.to_string(),
    };
    Some(halves(exit, &message))
}

fn of_chat_db(error: &storage::chat::Error) -> Option<Trouble> {
    use storage::chat::Error;
    let exit = match error {
        Error::CannotCreate { path, source } => return Some(Trouble::io("write", path, source)),
        Error::Open { .. } => Exit::Permission,
        Error::NewerFormat { .. } | Error::Corrupt { .. } => Exit::Data,
        Error::DiskFull => Exit::Io,
        Error::Busy => Exit::Busy,
        Error::Database(source) => {
            return Some(Trouble::new(
                Exit::Io,
                format!("The chat database could not be used: {source}."),
                "Check that the disk is neither full nor failing, and start again.",
            ));
        }
        _ => return None,
    };
    Some(halves(exit, &error.to_string()))
}

fn of_identity(error: &identity::Error) -> Option<Trouble> {
    match error {
        // Its text ends with what to do.
        identity::Error::Key { .. } => Some(halves(Exit::Permission, &error.to_string())),
        _ => None,
    }
}

fn of_broker(error: &broker::Error) -> Option<Trouble> {
    match error {
        broker::Error::Listen { addr, source } => Some(listen::refused(Door::Nats, *addr, source)),
        _ => None,
    }
}

fn of_system(error: &io::Error) -> Option<Trouble> {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Some(Trouble::new(
            Exit::Io,
            "The disk is full.",
            "Free some space and start again; nothing that was confirmed is lost.",
        )),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Some(Trouble::new(
            Exit::Permission,
            format!("A file could not be used: {error}."),
            "Start natterjack as the user who owns the data directory.",
        )),
        _ => None,
    }
}

/// Messages of storage say what happened, a semicolon, and what to do.
fn halves(exit: Exit, message: &str) -> Trouble {
    let (what, remedy) = message
        .split_once("; ")
        .unwrap_or((message, "check the disk and the file system"));
    Trouble::new(
        exit,
        format!("{}.", capitalised(what)),
        format!("{}.", capitalised(remedy)),
    )
}

pub(crate) fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) if !text.starts_with('/') => first.to_uppercase().chain(chars).collect(),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[track_caller]
    fn check(error: impl Into<anyhow::Error>, exit: Exit, what: &str, remedy: &str) {
        let trouble = explain(&error.into().context("starting"));
        assert_eq!(trouble.exit, exit, "{trouble}");
        assert!(
            trouble.what.contains(what) && trouble.remedy.contains(remedy),
            "{trouble}"
        );
        assert!(
            trouble.what.ends_with('.') && trouble.remedy.ends_with('.'),
            "{trouble}"
        );
    }

    #[test]
    fn every_kind_of_trouble_has_its_code_and_a_way_out() {
        let path = PathBuf::from("/data");
        let locked = storage::Error::Locked {
            path: path.clone(),
            holder: "17".to_owned(),
        };
        check(
            locked,
            Exit::Busy,
            "in use by process 17",
            "Stop that process",
        );
        let newer = storage::Error::NewerFormat {
            path: path.clone(),
            found: 9,
            supported: 1,
        };
        check(newer, Exit::Data, "format 9", "newer natterjack");
        let damaged = storage::Error::Corrupt {
            path: path.clone(),
            reason: "bad page".to_owned(),
        };
        check(damaged, Exit::Data, "damaged (bad page)", "Restore it");
        let missing = storage::Error::KeyMissing { path: path.clone() };
        check(missing, Exit::Config, "is encrypted", "Name the key file");
        let reason = "others can read it; set its mode to 0600".to_owned();
        check(
            storage::Error::KeyFile {
                path: path.clone(),
                reason,
            },
            Exit::Permission,
            "others can read it",
            "chmod 600",
        );
        check(
            storage::Error::DiskFull { path: path.clone() },
            Exit::Io,
            "disk",
            "Free some space",
        );
        let source = io::Error::from(io::ErrorKind::PermissionDenied);
        check(
            storage::Error::NotWritable { path, source },
            Exit::Permission,
            "/data",
            "owner",
        );
        check(
            storage::chat::Error::DiskFull,
            Exit::Io,
            "full",
            "Free some space",
        );
        let source = io::Error::from(io::ErrorKind::AddrInUse);
        let addr = "127.0.0.1:4222".parse().unwrap();
        check(
            broker::Error::Listen { addr, source },
            Exit::Unavailable,
            "Port 4222",
            "--nats-listen",
        );
        check(
            anyhow::anyhow!("the unforeseen"),
            Exit::Software,
            "Starting: the unforeseen",
            "report",
        );
    }
}
