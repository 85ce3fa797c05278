//! What a data directory holds, decided at its first start and for ever.
//!
//! A workspace, the demo and the streams of a broker alone never share a directory: the passwords of the demo are public,
//! and whoever reaches a broker alone reaches everything in it. The demo and the broker leave a file of that name in the
//! directory; a workspace is known by its chat database.

use std::path::{Path, PathBuf};

use storage::DataDir;

use crate::trouble::Trouble;

/// What a data directory is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Team chat for real.
    #[default]
    Workspace,
    /// Team chat to look at.
    Demo,
    /// A NATS server and its streams, without chat.
    Broker,
}

impl Purpose {
    /// Name of the directory when nobody names another.
    pub(crate) fn directory(self) -> &'static str {
        match self {
            Self::Workspace => "natterjack",
            Self::Demo => "natterjack-demo",
            Self::Broker => "natterjack-broker",
        }
    }

    /// The file that says so, and what a person finds in it.
    fn marker(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Workspace => None,
            Self::Demo => Some((
                "demo",
                "This data directory holds the demo: its passwords are public. It can not become a real workspace.\n",
            )),
            Self::Broker => Some((
                "broker",
                "This data directory holds the streams of `natterjack broker`. It can not become a workspace.\n",
            )),
        }
    }

    /// What `dir` is for; `None` while it is new.
    pub(crate) fn of(dir: &Path) -> Result<Option<Self>, Trouble> {
        let exists = |path: PathBuf| {
            path.try_exists()
                .map_err(|error| Trouble::io("read", &path, &error))
        };
        for purpose in [Self::Demo, Self::Broker] {
            if let Some((name, _)) = purpose.marker()
                && exists(dir.join(name))?
            {
                return Ok(Some(purpose));
            }
        }
        let is_workspace = exists(DataDir::chat_db_in(dir))?;
        Ok(is_workspace.then_some(Self::Workspace))
    }

    /// Checks that `dir` is for this, and marks a new one. The caller holds the lock of the directory.
    pub(crate) fn claim(self, dir: &Path) -> Result<(), Trouble> {
        match Self::of(dir)? {
            None => self.mark(dir),
            Some(found) if found == self => Ok(()),
            Some(found) => Err(self.refused(dir, found)),
        }
    }

    fn mark(self, dir: &Path) -> Result<(), Trouble> {
        let Some((name, text)) = self.marker() else {
            return Ok(());
        };
        let path = dir.join(name);
        std::fs::write(&path, text).map_err(|error| Trouble::io("write", &path, &error))
    }

    fn refused(self, dir: &Path, found: Self) -> Trouble {
        let dir = dir.display();
        match (self, found) {
            (_, Self::Broker) => Trouble::config(
                format!(
                    "{dir} holds the streams of `natterjack broker`, and chat does not move in with them."
                ),
                "Start `natterjack broker`, or name another directory with --data-dir.",
            ),
            (Self::Broker, _) => Trouble::config(
                format!(
                    "{dir} holds a chat workspace, which `natterjack broker` would open to everybody who reaches it."
                ),
                "Start `natterjack`, or give the broker a directory of its own with --data-dir.",
            ),
            (_, Self::Demo) => Trouble::config(
                format!(
                    "{dir} holds the demo, whose passwords are public, so it starts only with --demo."
                ),
                "Add --demo, or name another directory with --data-dir for a real workspace.",
            ),
            (_, Self::Workspace) => Trouble::config(
                format!(
                    "{dir} holds a real workspace; the demo would add accounts to it whose passwords are public."
                ),
                "Leave out --demo, or give the demo a directory of its own with --data-dir.",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Purpose; 3] = [Purpose::Workspace, Purpose::Demo, Purpose::Broker];

    /// A directory after its first start.
    fn started(purpose: Purpose) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        purpose.claim(dir.path()).unwrap();
        if purpose != Purpose::Broker {
            std::fs::write(DataDir::chat_db_in(dir.path()), "").unwrap();
        }
        dir
    }

    #[test]
    fn a_directory_keeps_its_purpose() {
        for first in ALL {
            let dir = started(first);
            assert_eq!(Purpose::of(dir.path()).unwrap(), Some(first));
            for then in ALL {
                assert_eq!(
                    then.claim(dir.path()).is_ok(),
                    then == first,
                    "{first:?}, then {then:?}"
                );
            }
        }
    }

    #[test]
    fn every_purpose_has_a_directory_of_its_own() {
        for (index, purpose) in ALL.iter().enumerate() {
            for other in &ALL[index + 1..] {
                assert_ne!(purpose.directory(), other.directory());
            }
        }
    }
}
