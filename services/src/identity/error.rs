//! What can go wrong with accounts, keys and sign-in.

use std::path::PathBuf;
use std::time::Duration;

use super::user_name::UserNameError;

/// Why identity could not do what was asked. Messages never contain secrets.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The chat database failed.
    #[error(transparent)]
    Database(#[from] storage::chat::Error),
    /// A signing key could not be read, made or written.
    #[error("cannot use the signing key {path}: {problem}")]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        problem: String,
    },
    /// The text is not a user name.
    #[error(transparent)]
    UserName(#[from] UserNameError),
    /// The password breaks the rule.
    #[error("{0}")]
    Password(&'static str),
    /// The display name breaks the rule.
    #[error("a name has 1 to 80 characters")]
    DisplayName,
    /// Somebody has this user name already.
    #[error("the user name {username} is taken")]
    NameTaken {
        /// The name.
        username: String,
    },
    /// Nobody has this user name.
    #[error("there is no user {username}")]
    UnknownUser {
        /// The name.
        username: String,
    },
    /// Too many passwords are being checked at once.
    #[error("too many people are signing in at once; try again in a moment")]
    Busy,
    /// A library refused something of our own making; a bug.
    #[error("{0}")]
    Internal(&'static str),
}

/// Why somebody was not signed in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignInError {
    /// Unknown user or wrong password; which of the two stays secret.
    #[error("wrong user name or password")]
    Wrong,
    /// The password was right, but the account is disabled.
    #[error("this account is disabled")]
    Disabled,
    /// Too many failures; nothing was checked.
    #[error("too many failed attempts; wait {} s", wait.as_secs().max(1))]
    TooManyAttempts {
        /// How long to wait.
        wait: Duration,
    },
    /// It could not be decided.
    #[error(transparent)]
    Failed(#[from] Error),
}
