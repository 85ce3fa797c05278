//! Signing keys: RSA, in the data directory's `keys/`, readable by nobody else.
//!
//! Each key is a file `signing-{unix seconds}.pem` (PKCS#8). The newest signs, all of them verify; so a key is rotated
//! by adding a newer file, and retired by removing the old one when its last token has expired.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};

use super::Error;

/// Key files that are read; more are refused, for something is wrong with them.
const KEYS_MAX: usize = 16;
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// The keys of the provider; there is always at least one.
pub(crate) struct Keys {
    newest: Key,
    older: Vec<Key>,
}

pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) encoding: EncodingKey,
    pub(crate) decoding: DecodingKey,
    public: Jwk,
}

impl Keys {
    /// Reads the keys of `dir`, making the first one where there is none.
    ///
    /// # Errors
    /// [`Error::Key`] when a key is readable by others, damaged, or cannot be written.
    pub(crate) fn open(dir: &Path) -> Result<Self, Error> {
        let mut paths = key_files(dir)?;
        if paths.is_empty() {
            paths.push(generate(dir)?);
        }
        if paths.len() > KEYS_MAX {
            return Err(problem(
                dir,
                format!("there are more than {KEYS_MAX} keys; remove old ones"),
            ));
        }
        let mut keys = paths
            .iter()
            .map(|path| read(path))
            .collect::<Result<Vec<_>, _>>()?;
        let newest = keys.pop().ok_or(Error::Internal("a key was just made"))?;
        Ok(Self {
            newest,
            older: keys,
        })
    }

    /// The key that signs.
    pub(crate) fn signing(&self) -> &Key {
        &self.newest
    }

    /// The key that a token names.
    pub(crate) fn find(&self, id: &str) -> Option<&Key> {
        std::iter::once(&self.newest)
            .chain(&self.older)
            .find(|key| key.id == id)
    }

    /// The public halves (RFC 7517).
    pub(crate) fn public(&self) -> JwkSet {
        let keys = std::iter::once(&self.newest).chain(&self.older);
        JwkSet {
            keys: keys.map(|key| key.public.clone()).collect(),
        }
    }
}

/// Oldest first: the names sort by time.
fn key_files(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = std::fs::read_dir(dir)
        .map_err(|error| problem(dir, format!("cannot list the directory: {error}")))?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry
            .map_err(|error| problem(dir, error.to_string()))?
            .path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if name.starts_with("signing-") && name.ends_with(".pem") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn generate(dir: &Path) -> Result<PathBuf, Error> {
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    let path = dir.join(format!("signing-{seconds:012}.pem"));
    let failed = |_| problem(&path, "the key could not be generated".to_owned());
    let pair = KeyPair::generate(KeySize::Rsa2048).map_err(failed)?;
    let der: Pkcs8V1Der<'_> = pair.as_der().map_err(failed)?;
    write_private(&path, &pem(der.as_ref())).map_err(|error| {
        problem(
            &path,
            format!("cannot write it: {error}; check the rights of the directory"),
        )
    })?;
    Ok(path)
}

/// Written beside and renamed, so that a crash leaves no half key behind.
fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let draft = path.with_extension("new");
    let _ = std::fs::remove_file(&draft);
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&draft, path)?;
    match path.parent() {
        Some(dir) => std::fs::File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}

fn read(path: &Path) -> Result<Key, Error> {
    let unreadable = |error: std::io::Error| problem(path, format!("cannot read it: {error}"));
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    check_private(path, &metadata)?;
    if metadata.len() > FILE_BYTES_MAX {
        return Err(problem(path, "it is too large to be a key".to_owned()));
    }
    let text = std::fs::read(path).map_err(unreadable)?;
    parse(&text).map_err(|_| {
        let advice = "it is damaged; restore it from a backup, or remove it to have a new one made (everybody signs in again)";
        problem(path, advice.to_owned())
    })
}

fn parse(text: &[u8]) -> jsonwebtoken::errors::Result<Key> {
    let encoding = EncodingKey::from_rsa_pem(text)?;
    let mut public = Jwk::from_encoding_key(&encoding, Algorithm::RS256)?;
    let id = public.thumbprint(ThumbprintHash::SHA256)?;
    public.common.key_id = Some(id.clone());
    public.common.public_key_use = Some(PublicKeyUse::Signature);
    let decoding = DecodingKey::from_jwk(&public)?;
    Ok(Key {
        id,
        encoding,
        decoding,
        public,
    })
}

#[cfg(unix)]
fn check_private(path: &Path, metadata: &std::fs::Metadata) -> Result<(), Error> {
    use std::os::unix::fs::PermissionsExt;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let advice = format!(
        "others can read it (mode {mode:03o}); run: chmod 600 {}",
        path.display()
    );
    Err(problem(path, advice))
}

#[cfg(not(unix))]
fn check_private(_path: &Path, _metadata: &std::fs::Metadata) -> Result<(), Error> {
    Ok(())
}

fn pem(der: &[u8]) -> String {
    let encoded = STANDARD.encode(der);
    let mut text = String::from("-----BEGIN PRIVATE KEY-----\n");
    for line in encoded.as_bytes().chunks(64) {
        text.extend(line.iter().map(|byte| char::from(*byte)));
        text.push('\n');
    }
    text.push_str("-----END PRIVATE KEY-----\n");
    text
}

fn problem(path: &Path, problem: String) -> Error {
    Error::Key {
        path: path.to_owned(),
        problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_start_makes_a_private_key_and_later_ones_keep_it() {
        let dir = tempfile::tempdir().unwrap();
        let first = Keys::open(dir.path()).unwrap();
        let again = Keys::open(dir.path()).unwrap();
        assert_eq!(first.signing().id, again.signing().id);
        assert_eq!(first.public().keys.len(), 1);
        assert!(first.find(&again.signing().id).is_some());
        assert!(first.find("another").is_none());
    }

    #[cfg(unix)]
    #[test]
    fn a_key_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        Keys::open(dir.path()).unwrap();
        let path = key_files(dir.path()).unwrap().remove(0);
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let refused = Keys::open(dir.path()).err().unwrap().to_string();
        assert!(refused.contains("chmod 600"), "{refused}");
    }

    #[test]
    fn the_newest_signs_and_all_verify() {
        let dir = tempfile::tempdir().unwrap();
        let old = Keys::open(dir.path()).unwrap().signing().id.clone();
        let newer = tempfile::tempdir().unwrap();
        Keys::open(newer.path()).unwrap();
        let from = key_files(newer.path()).unwrap().remove(0);
        std::fs::rename(from, dir.path().join("signing-999999999999.pem")).unwrap();
        let keys = Keys::open(dir.path()).unwrap();
        assert_ne!(keys.signing().id, old);
        assert!(keys.find(&old).is_some());
        assert_eq!(keys.public().keys.len(), 2);
    }

    #[test]
    fn a_damaged_key_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        write_private(&dir.path().join("signing-1.pem"), "not a key").unwrap();
        assert!(Keys::open(dir.path()).is_err());
    }
}
