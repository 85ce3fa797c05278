//! A directory that holds the streams of a real nats-server.
//!
//! Its files are not natterjack's to read. Starting beside them would show empty streams where somebody expects full ones.

use std::path::{Path, PathBuf};

use crate::trouble::{Exit, Trouble};

/// Where nats-server keeps the streams of an account, below the account's name.
const STREAMS: &str = "streams";
/// What it keeps in the directory of every stream.
const META: &str = "meta.inf";
/// Directories that are looked at; one stream is enough to know.
const LOOKED_AT_MAX: usize = 10_000;

/// Refuses a directory in which nats-server has kept streams.
pub(super) fn refuse_streams(dir: &Path) -> Result<(), Trouble> {
    let mut streams = directories(dir)
        .flat_map(|account| directories(&account.join(STREAMS)))
        .take(LOOKED_AT_MAX);
    let Some(stream) = streams.find(|stream| stream.join(META).is_file()) else {
        return Ok(());
    };
    Err(Trouble::new(
        Exit::Data,
        format!(
            "{} is a stream that nats-server stored; natterjack does not read its files.",
            stream.display()
        ),
        "Name another store_dir, and copy the streams with a client while nats-server still runs.",
    ))
}

fn directories(dir: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_streams_of_nats_server_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        refuse_streams(&dir.path().join("not there")).unwrap();
        let ours = dir.path().join("streams/$G");
        std::fs::create_dir_all(&ours).unwrap();
        std::fs::write(ours.join("S.redb"), "").unwrap();
        refuse_streams(dir.path()).unwrap();
        let theirs = dir.path().join("$G/streams/S");
        std::fs::create_dir_all(&theirs).unwrap();
        refuse_streams(dir.path()).unwrap();
        std::fs::write(theirs.join(META), "{}").unwrap();
        let refused = refuse_streams(dir.path()).unwrap_err();
        assert!(refused.what.contains("nats-server"), "{refused}");
    }
}
