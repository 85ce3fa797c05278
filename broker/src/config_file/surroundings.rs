//! What a configuration may ask of the machine: other files and the environment.

use std::io::{self, Read};
use std::path::Path;

use super::limits::FILE_BYTES_MAX;

/// Where included files and variables come from.
pub trait Surroundings {
    /// The text of a file.
    ///
    /// # Errors
    /// It cannot be read, is too large or is no text.
    fn read(&self, path: &Path) -> io::Result<String>;

    /// A variable of the environment.
    fn variable(&self, name: &str) -> Option<String>;
}

/// The file system and the environment of this process.
#[derive(Debug, Clone, Copy, Default)]
pub struct Machine;

impl Surroundings for Machine {
    fn read(&self, path: &Path) -> io::Result<String> {
        let mut text = String::new();
        let max = u64::try_from(FILE_BYTES_MAX).unwrap_or(u64::MAX);
        let file = std::fs::File::open(path)?;
        file.take(max + 1).read_to_string(&mut text)?;
        if text.len() > FILE_BYTES_MAX {
            let reason = format!("larger than {FILE_BYTES_MAX} bytes");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, reason));
        }
        Ok(text)
    }

    fn variable(&self, name: &str) -> Option<String> {
        // The environment has no names with these in them, and `var_os` may panic on them.
        if name.is_empty() || name.contains(['=', '\0']) {
            return None;
        }
        std::env::var(name).ok()
    }
}
