//! nats-server's configuration files: from text to a tree, and from the tree to [`Options`].
//!
//! [`Document::load`] reads a file with everything it includes and every variable put in, and keeps for each value where it
//! stood. What the keys mean is decided in [`options`].
//!
//! Invariants:
//! - No text makes it panic, recurse without end or grow without limit (`limits.rs`).
//! - Of the machine it sees files that are included and variables that are named, through [`Surroundings`] only.
//! - The digest is the one that nats-server computes for the same file, which also proves that both read the same.

mod cursor;
mod digest;
mod error;
mod limits;
pub mod options;
mod parser;
mod scalar;
mod surroundings;
mod text;
mod value;

#[cfg(test)]
mod tests;

use std::path::Path;

pub use error::{ConfigError, ConfigErrors};
pub use options::Options;
pub use surroundings::{Machine, Surroundings};
pub use value::{Map, Node, Position, Value};

use parser::Reading;

/// A configuration file that was read, with what it includes.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// The keys of the top level.
    pub root: Map,
    /// `sha256:…` over the tree, as nats-server prints it.
    pub digest: String,
}

impl Document {
    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, breaks the grammar, or says nothing.
    pub fn load(path: &Path, surroundings: &dyn Surroundings) -> Result<Self, ConfigError> {
        let name = path.to_string_lossy();
        let text = surroundings.read(path).map_err(|error| {
            let reason = match error.kind() {
                std::io::ErrorKind::NotFound => "no such file or directory".to_owned(),
                _ => error.to_string(),
            };
            ConfigError::whole(format!("open {name}: {reason}"))
        })?;
        let document = Self::parse(&name, &text, surroundings)?;
        if document.root.is_empty() {
            let reason = format!("{name}: config has no values or is empty");
            return Err(ConfigError::whole(reason));
        }
        Ok(document)
    }

    /// Reads a text as if it stood in a file of that name.
    ///
    /// # Errors
    /// The text breaks the grammar, or a file that it includes does.
    pub fn parse(
        file: &str,
        text: &str,
        surroundings: &dyn Surroundings,
    ) -> Result<Self, ConfigError> {
        let root = Reading::new(surroundings).document(file, text)?;
        let digest = digest::digest(&root);
        Ok(Self { root, digest })
    }
}
