//! Authorization codes: in memory, good once and for a minute.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::secret::{Secret, hash};

/// How long a code is good.
const LIFETIME: Duration = Duration::from_secs(60);
/// Codes at the same time; more are refused.
const CODES_MAX: usize = 10_000;

/// What a code stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) session_id: String,
    pub(crate) client_id: String,
    pub(crate) redirect_uri: String,
    pub(crate) scope: String,
    pub(crate) nonce: Option<String>,
    pub(crate) code_challenge: Option<String>,
}

/// How presenting a code went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Redeemed {
    Grant(Grant),
    /// It was used before: whoever holds the tokens of this session may not be who they should be.
    Again(Grant),
    Unknown,
}

#[derive(Debug, Default)]
pub(crate) struct CodeStore {
    codes: HashMap<[u8; 32], Code>,
}

#[derive(Debug)]
struct Code {
    grant: Grant,
    made: Instant,
    used: bool,
}

impl CodeStore {
    /// A new code for `grant`, or `None` when there are too many.
    pub(crate) fn issue(&mut self, grant: Grant, now: Instant) -> Option<Secret> {
        self.codes
            .retain(|_, code| now.saturating_duration_since(code.made) < LIFETIME);
        if self.codes.len() >= CODES_MAX {
            return None;
        }
        let secret = Secret::random();
        self.codes.insert(
            secret.hash(),
            Code {
                grant,
                made: now,
                used: false,
            },
        );
        Some(secret)
    }

    /// Uses a code up. It stays known until it expires, so that a second use is noticed.
    pub(crate) fn redeem(&mut self, code: &str, now: Instant) -> Redeemed {
        match self.codes.get_mut(&hash(code)) {
            Some(code) if now.saturating_duration_since(code.made) >= LIFETIME => Redeemed::Unknown,
            Some(code) if code.used => Redeemed::Again(code.grant.clone()),
            Some(code) => {
                code.used = true;
                Redeemed::Grant(code.grant.clone())
            }
            None => Redeemed::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant() -> Grant {
        Grant {
            session_id: "s".to_owned(),
            client_id: "c".to_owned(),
            redirect_uri: "http://localhost/".to_owned(),
            scope: "openid".to_owned(),
            nonce: None,
            code_challenge: None,
        }
    }

    #[test]
    fn a_code_is_good_once() {
        let (mut codes, now) = (CodeStore::default(), Instant::now());
        let code = codes.issue(grant(), now).unwrap();
        assert_eq!(codes.redeem("something else", now), Redeemed::Unknown);
        assert_eq!(codes.redeem(code.as_str(), now), Redeemed::Grant(grant()));
        assert_eq!(codes.redeem(code.as_str(), now), Redeemed::Again(grant()));
    }

    #[test]
    fn a_code_dies_after_a_minute() {
        let (mut codes, now) = (CodeStore::default(), Instant::now());
        let code = codes.issue(grant(), now).unwrap();
        assert_eq!(
            codes.redeem(code.as_str(), now + LIFETIME),
            Redeemed::Unknown
        );
        codes.issue(grant(), now + LIFETIME).unwrap();
        assert_eq!(codes.codes.len(), 1, "the dead one made room");
    }
}
