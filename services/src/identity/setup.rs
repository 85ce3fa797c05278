//! The one-time link that makes the first administrator.

use std::time::{Duration, Instant};

use subtle::ConstantTimeEq;

use super::secret::{Secret, hash};

/// How long the link is good. A restart makes a new one.
pub const SETUP_LIFETIME: Duration = Duration::from_secs(60 * 60);

/// The link that is good now, by its hash.
#[derive(Debug, Default)]
pub(crate) struct SetupLink {
    good: Option<([u8; 32], Instant)>,
}

impl SetupLink {
    /// A new link; an earlier one is void.
    pub(crate) fn renew(&mut self, now: Instant) -> Secret {
        let secret = Secret::random();
        self.good = Some((secret.hash(), now));
        secret
    }

    pub(crate) fn is_good(&self, token: &str, now: Instant) -> bool {
        self.good.is_some_and(|(good, made)| {
            now.saturating_duration_since(made) < SETUP_LIFETIME
                && bool::from(good.ct_eq(&hash(token)))
        })
    }

    /// Nothing opens setup any more.
    pub(crate) fn close(&mut self) {
        self.good = None;
    }
}

/// What setting up asks for.
#[derive(Clone)]
pub struct Setup {
    /// The secret of the link.
    pub token: String,
    /// The administrator's name.
    pub display_name: String,
    /// The administrator's user name.
    pub username: String,
    /// The administrator's password.
    pub password: String,
    /// What the workspace is called.
    pub workspace: String,
}

/// Why setting up did not work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// The link is wrong, too old or used.
    #[error("this setup link is not valid any more; restart natterjack to get a new one")]
    Link,
    /// The workspace has an administrator.
    #[error("this workspace is set up already; sign in instead")]
    Done,
    /// The workspace's name breaks the rule.
    #[error("the name of the workspace has 1 to 60 characters")]
    Workspace,
    /// The account could not be made.
    #[error(transparent)]
    Account(#[from] super::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_link_is_good_and_for_an_hour() {
        let (mut link, now) = (SetupLink::default(), Instant::now());
        assert!(!link.is_good("", now));
        let first = link.renew(now);
        let second = link.renew(now);
        assert!(!link.is_good(first.as_str(), now));
        assert!(link.is_good(second.as_str(), now));
        assert!(!link.is_good(second.as_str(), now + SETUP_LIFETIME));
        link.close();
        assert!(!link.is_good(second.as_str(), now));
    }
}
