//! What is wrong with a configuration file.

use std::fmt;

use super::value::Position;

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// Where; `None` when it concerns the file as a whole.
    pub position: Option<Position>,
    /// Why, in nats-server's words where it has some.
    pub reason: String,
}

impl ConfigError {
    /// Something wrong at a place.
    #[must_use]
    pub fn at(position: &Position, reason: impl Into<String>) -> Self {
        Self {
            position: Some(position.clone()),
            reason: reason.into(),
        }
    }

    /// Something wrong with the whole.
    #[must_use]
    pub fn whole(reason: impl Into<String>) -> Self {
        Self {
            position: None,
            reason: reason.into(),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.position {
            Some(position) => write!(f, "{position}: {}", self.reason),
            None => f.write_str(&self.reason),
        }
    }
}

impl std::error::Error for ConfigError {}

/// Everything that is wrong with a configuration, by place; one line each when printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            let separator = if index > 0 { "\n" } else { "" };
            write!(f, "{separator}{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

impl From<ConfigError> for ConfigErrors {
    fn from(error: ConfigError) -> Self {
        Self(vec![error])
    }
}
