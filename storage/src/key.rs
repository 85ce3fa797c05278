//! The key that streams are encrypted under.
//!
//! It is read from a file that its owner alone can read. Every stream file has a random key of its
//! own, which is kept in the file, wrapped by this one: so this one never touches a message, and
//! a file can be given another master key without rewriting it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::{digest, hmac, rand};

use crate::Error;
use crate::data_dir::io_error;

/// Bytes of a key.
pub(crate) const KEY_BYTES: usize = 32;
/// Bytes of the nonce a key is wrapped with. A master key wraps one key per file, so they may be
/// drawn by chance.
const NONCE_BYTES: usize = 12;
/// Bytes that sealing adds at the end.
pub(crate) const TAG_BYTES: usize = 16;
/// Shortest text that is taken for a key: it is not stretched, so it has to be random.
const TEXT_CHARS_MIN: usize = 32;
/// A key file is a small file.
const FILE_BYTES_MAX: u64 = 64 * 1024;
const KEY_ID_BYTES: usize = 8;
/// Bytes of a wrapped key.
pub(crate) const WRAPPED_BYTES: usize = KEY_ID_BYTES + NONCE_BYTES + KEY_BYTES + TAG_BYTES;
/// Binds a wrapped key to its purpose.
const WRAP_CONTEXT: &[u8] = b"natterjack stream key 1";
const ID_CONTEXT: &[u8] = b"natterjack key id 1";

/// The key that wraps the keys of stream files.
pub struct MasterKey {
    cipher: LessSafeKey,
    /// Tells keys apart without telling anything of them.
    id: [u8; KEY_ID_BYTES],
}

/// Why a wrapped key did not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UnwrapError {
    /// It was wrapped by another master key.
    OtherKey,
    /// It is not what was stored.
    Damaged,
}

impl MasterKey {
    /// Reads a key file: 32 bytes, or a text of at least 32 characters around which blanks do not
    /// count.
    ///
    /// # Errors
    /// [`Error::KeyFile`] when others can read the file or it holds no key; [`Error`] when it can
    /// not be read.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let bad = |reason: &str| Error::KeyFile {
            path: path.to_path_buf(),
            reason: reason.to_owned(),
        };
        let file = File::open(path).map_err(|source| io_error(path, source))?;
        let meta = file.metadata().map_err(|source| io_error(path, source))?;
        if !meta.is_file() {
            return Err(bad("it is not a file"));
        }
        #[cfg(unix)]
        if std::os::unix::fs::PermissionsExt::mode(&meta.permissions()) & 0o077 != 0 {
            return Err(bad("others can read it; set its mode to 0600"));
        }
        let mut content = Vec::new();
        file.take(FILE_BYTES_MAX + 1)
            .read_to_end(&mut content)
            .map_err(|source| io_error(path, source))?;
        if content.len() as u64 > FILE_BYTES_MAX {
            return Err(bad("it is too large to be a key file"));
        }
        Self::from_content(&content).ok_or_else(|| {
            bad("it must hold 32 random bytes, or a random text of at least 32 characters")
        })
    }

    /// Makes a new key file of 64 hexadecimal digits, readable by its owner only, and reads it.
    ///
    /// # Errors
    /// [`Error::KeyFile`] when the file exists already; [`Error`] when it can not be written.
    pub fn create(path: &Path) -> Result<Self, Error> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::AlreadyExists => Error::KeyFile {
                path: path.to_path_buf(),
                reason: "it exists already".to_owned(),
            },
            _ => io_error(path, source),
        };
        let mut text: String = random::<KEY_BYTES>()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        text.push('\n');
        let mut file = options.open(path).map_err(failed)?;
        file.write_all(text.as_bytes())
            .and_then(|()| file.sync_all())
            .map_err(failed)?;
        #[cfg(unix)]
        if let Some(dir) = path.parent().filter(|dir| dir.is_dir()) {
            fs::File::open(dir)
                .and_then(|dir| dir.sync_all())
                .map_err(failed)?;
        }
        Self::open(path)
    }

    /// A key from its bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; KEY_BYTES]) -> Self {
        let mut id = [0; KEY_ID_BYTES];
        id.copy_from_slice(&keyed_hash(&bytes, ID_CONTEXT)[..KEY_ID_BYTES]);
        Self {
            cipher: aes_key(&bytes),
            id,
        }
    }

    fn from_content(content: &[u8]) -> Option<Self> {
        let is_text = content
            .iter()
            .all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace());
        if !is_text {
            return Some(Self::from_bytes(content.try_into().ok()?));
        }
        let text = content.trim_ascii();
        let enough = text.len() >= TEXT_CHARS_MIN;
        enough.then(|| {
            let mut key = [0; KEY_BYTES];
            key.copy_from_slice(digest::digest(&digest::SHA256, text).as_ref());
            Self::from_bytes(key)
        })
    }

    /// Wraps the key of a file.
    pub(crate) fn wrap(&self, key: &[u8; KEY_BYTES]) -> [u8; WRAPPED_BYTES] {
        let mut wrapped = [0; WRAPPED_BYTES];
        let nonce: [u8; NONCE_BYTES] = random();
        let (id, rest) = wrapped.split_at_mut(KEY_ID_BYTES);
        let (stored_nonce, rest) = rest.split_at_mut(NONCE_BYTES);
        let (body, stored_tag) = rest.split_at_mut(KEY_BYTES);
        id.copy_from_slice(&self.id);
        stored_nonce.copy_from_slice(&nonce);
        body.copy_from_slice(key);
        let tag = self
            .cipher
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(WRAP_CONTEXT),
                body,
            )
            .expect("a key is short enough to be sealed");
        stored_tag.copy_from_slice(tag.as_ref());
        wrapped
    }

    /// The key of a file.
    pub(crate) fn unwrap(&self, wrapped: &[u8]) -> Result<[u8; KEY_BYTES], UnwrapError> {
        let wrapped: &[u8; WRAPPED_BYTES] = wrapped.try_into().map_err(|_| UnwrapError::Damaged)?;
        let (id, rest) = wrapped.split_at(KEY_ID_BYTES);
        if *id != self.id {
            return Err(UnwrapError::OtherKey);
        }
        let (nonce, rest) = rest.split_at(NONCE_BYTES);
        let (body, tag) = rest.split_at(KEY_BYTES);
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| UnwrapError::Damaged)?;
        let mut key = [0; KEY_BYTES];
        self.cipher
            .open_separate_gather(nonce, Aad::from(WRAP_CONTEXT), body, tag, &mut key)
            .map_err(|_| UnwrapError::Damaged)?;
        Ok(key)
    }
}

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterKey")
    }
}

/// AES-256-GCM under a key.
pub(crate) fn aes_key(key: &[u8; KEY_BYTES]) -> LessSafeKey {
    let key = UnboundKey::new(&AES_256_GCM, key).expect("the key has the right length");
    LessSafeKey::new(key)
}

/// Bytes that nobody can guess.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).expect("the system gives random bytes");
    bytes
}

/// HMAC-SHA-256.
pub(crate) fn keyed_hash(key: &[u8; KEY_BYTES], text: &[u8]) -> [u8; 32] {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let mut hash = [0; 32];
    hash.copy_from_slice(hmac::sign(&key, text).as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn written(content: &[u8], mode: u32) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("streams.key");
        fs::write(&path, content).unwrap();
        #[cfg(unix)]
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        #[cfg(not(unix))]
        let _ = mode;
        (dir, path)
    }

    #[track_caller]
    fn refused(content: &[u8], mode: u32, expected: &str) {
        let (_dir, path) = written(content, mode);
        let error = MasterKey::open(&path).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(error.contains("streams.key"), "{error}");
    }

    #[test]
    fn a_key_file_is_private_and_long_enough() {
        let hex = [b'a'; 64];
        refused(&hex[..31], 0o600, "at least 32 characters");
        refused(b"", 0o600, "at least 32 characters");
        refused(&[200; 31], 0o600, "32 random bytes");
        refused(&[b'a'; 70_000], 0o600, "too large");
        #[cfg(unix)]
        for mode in [0o640, 0o604, 0o666, 0o620] {
            refused(&hex, mode, "0600");
        }
    }

    #[test]
    fn the_end_of_a_line_is_no_part_of_a_key() {
        let key = random::<KEY_BYTES>();
        let open = |content: &[u8]| {
            let (_dir, path) = written(content, 0o600);
            MasterKey::open(&path).unwrap()
        };
        let wrapped = open(&[b'a'; 32]).wrap(&key);
        for same in [
            &b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n"[..],
            b" aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n",
        ] {
            assert_eq!(open(same).unwrap(&wrapped), Ok(key));
        }
        let raw = [250; 32];
        assert_eq!(
            open(&raw).unwrap(&MasterKey::from_bytes(raw).wrap(&key)),
            Ok(key)
        );
    }

    #[test]
    fn a_wrapped_key_opens_with_its_master_only() {
        let (one, two) = (
            MasterKey::from_bytes([1; 32]),
            MasterKey::from_bytes([2; 32]),
        );
        let key = random::<KEY_BYTES>();
        let wrapped = one.wrap(&key);
        assert_eq!(one.unwrap(&wrapped), Ok(key));
        assert_eq!(two.unwrap(&wrapped), Err(UnwrapError::OtherKey));
        for bit in KEY_ID_BYTES * 8..WRAPPED_BYTES * 8 {
            let mut damaged = wrapped;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(one.unwrap(&damaged), Err(UnwrapError::Damaged));
        }
        assert_eq!(format!("{one:?}"), "MasterKey");
    }

    #[test]
    fn a_made_key_file_can_be_read_and_is_not_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("streams.key");
        let made = MasterKey::create(&path).unwrap();
        let key = random::<KEY_BYTES>();
        assert_eq!(
            MasterKey::open(&path).unwrap().unwrap(&made.wrap(&key)),
            Ok(key)
        );
        assert!(matches!(
            MasterKey::create(&path),
            Err(Error::KeyFile { .. })
        ));
    }
}
