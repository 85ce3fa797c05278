//! Account JWTs as files, in the layout of nats-server: `<key>.jwt`, and `<key>.jwt.deleted` for what was deleted.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::jwt::ConfigError;
use crate::jwt::nkey::{KeyKind, PublicKey};
use crate::limits::JWT_BYTES_MAX;

/// A directory of accounts. All methods block; call them off the async threads.
#[derive(Debug, Clone)]
pub(super) struct Directory {
    dir: PathBuf,
    accounts_max: usize,
    /// Files that were not written for this long count as absent.
    ttl: Option<Duration>,
}

impl Directory {
    pub(super) fn open(
        dir: &Path,
        accounts_max: Option<usize>,
        ttl: Option<Duration>,
    ) -> Result<Self, ConfigError> {
        fs::create_dir_all(dir).map_err(|source| ConfigError::Directory {
            dir: dir.to_owned(),
            source,
        })?;
        Ok(Self {
            dir: dir.to_owned(),
            accounts_max: accounts_max.unwrap_or(usize::MAX),
            ttl,
        })
    }

    /// The JWT of an account, if it is there.
    pub(super) fn load(&self, key: &PublicKey) -> io::Result<Option<String>> {
        let path = self.path(key);
        let about = match fs::metadata(&path) {
            Ok(about) => about,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let age = about.modified().ok().and_then(|at| at.elapsed().ok());
        let is_old = self.ttl.is_some_and(|ttl| age.is_some_and(|age| age > ttl));
        if is_old || about.len() > JWT_BYTES_MAX as u64 {
            return Ok(None);
        }
        fs::read_to_string(&path).map(Some)
    }

    /// Writes a JWT in one step: a reader sees the old one or the new one.
    pub(super) fn save(&self, key: &PublicKey, jwt: &str) -> io::Result<()> {
        let path = self.path(key);
        if !path.exists() && self.list()?.len() >= self.accounts_max {
            let text = format!("the limit of {} accounts is reached", self.accounts_max);
            return Err(io::Error::new(io::ErrorKind::StorageFull, text));
        }
        let fresh = self.dir.join(format!("{key}.jwt.new"));
        fs::write(&fresh, jwt)?;
        fs::File::open(&fresh)?.sync_all()?;
        fs::rename(&fresh, &path)
    }

    /// Renames a JWT away; it is no error if there is none.
    pub(super) fn delete(&self, key: &PublicKey) -> io::Result<()> {
        let path = self.path(key);
        let deleted = self.dir.join(format!("{key}.jwt.deleted"));
        match fs::rename(path, deleted) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// All accounts, by key.
    pub(super) fn list(&self) -> io::Result<Vec<PublicKey>> {
        let mut keys = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let name = entry?.file_name();
            let key = name.to_str().and_then(|name| name.strip_suffix(".jwt"));
            keys.extend(key.and_then(|key| PublicKey::parse_as(key, KeyKind::Account).ok()));
        }
        keys.sort_unstable_by_key(ToString::to_string);
        Ok(keys)
    }

    fn path(&self, key: &PublicKey) -> PathBuf {
        self.dir.join(format!("{key}.jwt"))
    }
}
