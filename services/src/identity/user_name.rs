//! Names of users, checked once at the edge.

use std::fmt;

/// A user's name in subjects, tokens and direct rooms: 1 to 32 of `a-z 0-9 _`.
///
/// No `.`, for it is a token of subjects; no `-`, for names of direct rooms are split there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserName(String);

/// The text is not a user name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a user name has 1 to 32 lower-case letters a to z, digits and underscores")]
pub struct UserNameError;

impl UserName {
    const LEN_MAX: usize = 32;

    /// Checks the rule.
    ///
    /// # Errors
    /// [`UserNameError`] says the rule.
    pub fn parse(text: &str) -> Result<Self, UserNameError> {
        let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_');
        if (1..=Self::LEN_MAX).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(UserNameError)
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for UserName {
    type Err = UserNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_subjects_and_rooms_are_split_at_is_refused() {
        for good in ["a", "alice", "bob_2", "_", &"a".repeat(32)] {
            assert!(UserName::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "Alice",
            "a.b",
            "a-b",
            "a b",
            "*",
            ">",
            "é",
            &"a".repeat(33),
        ] {
            assert!(UserName::parse(bad).is_err(), "{bad}");
        }
    }
}
