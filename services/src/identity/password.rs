//! Passwords: their rule, and argon2id off the async threads.

use std::sync::Arc;

use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use tokio::sync::Semaphore;

use super::Error;

/// Parameters that OWASP recommends for argon2id: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// Hashes computed at the same time; each takes 19 MiB.
const PARALLEL_MAX: usize = 2;
/// Callers that wait for their turn; further ones are refused with [`Error::Busy`].
const WAITING_MAX: usize = 256;
/// Verified against when there is no such user, so that both answers take the same time. No password fits it.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

const CHARACTERS_MIN: usize = 8;
const BYTES_MAX: usize = 1024;

/// The rule, as people read it.
pub const PASSWORD_RULE: &str = "a password has at least 8 characters and is not your user name";

/// Checks the rule for new passwords.
///
/// # Errors
/// [`Error::Password`] with what is wrong.
pub fn check_rule(password: &str, username: &str) -> Result<(), Error> {
    if password.len() > BYTES_MAX {
        return Err(Error::Password("a password has at most 1024 bytes"));
    }
    if password.chars().count() < CHARACTERS_MIN || password.eq_ignore_ascii_case(username) {
        return Err(Error::Password(PASSWORD_RULE));
    }
    Ok(())
}

/// Computes and verifies hashes, a bounded number at a time.
#[derive(Debug, Clone)]
pub(crate) struct Hasher {
    turns: Arc<Semaphore>,
    places: Arc<Semaphore>,
}

impl Hasher {
    pub(crate) fn new() -> Self {
        Self {
            turns: Arc::new(Semaphore::new(PARALLEL_MAX)),
            places: Arc::new(Semaphore::new(PARALLEL_MAX + WAITING_MAX)),
        }
    }

    /// A new hash as a PHC string.
    pub(crate) async fn hash(&self, password: &str) -> Result<String, Error> {
        let password = password.to_owned();
        let turn = self.turn().await?;
        turn.run(move || hash(&argon2()?, &password)).await?
    }

    /// Waits for a turn to use the processor.
    pub(crate) async fn turn(&self) -> Result<Turn, Error> {
        let place = Arc::clone(&self.places)
            .try_acquire_owned()
            .map_err(|_| Error::Busy)?;
        let turn = Arc::clone(&self.turns)
            .acquire_owned()
            .await
            .map_err(|_| Error::Busy)?;
        Ok(Turn {
            _permits: (place, turn),
        })
    }
}

/// The right to compute one hash.
pub(crate) struct Turn {
    _permits: (
        tokio::sync::OwnedSemaphorePermit,
        tokio::sync::OwnedSemaphorePermit,
    ),
}

impl Turn {
    /// Whether `password` fits `hash`; with `None` it takes as long and is `Mismatch`.
    pub(crate) async fn verify(
        self,
        password: String,
        hash: Option<String>,
    ) -> Result<Verified, Error> {
        self.run(move || verify(&password, hash.as_deref())).await?
    }

    async fn run<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        // The permits travel with the work: a caller that gives up does not make room before it ends.
        tokio::task::spawn_blocking(move || {
            let result = work();
            drop(self);
            result
        })
        .await
        .map_err(|_| Error::Internal("hashing a password panicked"))
    }
}

/// How a password fits a hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verified {
    Match,
    /// It fits, and this is its hash with today's parameters.
    MatchUpgraded(String),
    Mismatch,
}

/// Cheap on purpose: only for accounts whose passwords are public.
pub(crate) fn hash_public(password: &str) -> Result<String, Error> {
    let params = Params::new(Params::MIN_M_COST, 1, 1, None);
    let params = params.map_err(|_| Error::Internal("argon2 refused its smallest parameters"))?;
    hash(
        &Argon2::new(Algorithm::Argon2id, Version::V0x13, params),
        password,
    )
}

fn argon2() -> Result<Argon2<'static>, Error> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None);
    let params = params.map_err(|_| Error::Internal("argon2 refused its parameters"))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn hash(argon2: &Argon2<'_>, password: &str) -> Result<String, Error> {
    match argon2.hash_password(password.as_bytes()) {
        Ok(hash) => Ok(hash.to_string()),
        Err(_) => Err(Error::Internal("argon2 could not hash a password")),
    }
}

fn verify(password: &str, hash_then: Option<&str>) -> Result<Verified, Error> {
    if password.len() > BYTES_MAX {
        return Ok(Verified::Mismatch);
    }
    let argon2 = argon2()?;
    let stored = hash_then.unwrap_or(NOBODY);
    let matches =
        PasswordVerifier::<str>::verify_password(&argon2, password.as_bytes(), stored).is_ok();
    if !matches || hash_then.is_none() {
        return Ok(Verified::Mismatch);
    }
    if stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$") {
        Ok(Verified::Match)
    } else {
        Ok(Verified::MatchUpgraded(hash(&argon2, password)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn verified(password: &str, hash: Option<&str>) -> Verified {
        let turn = Hasher::new().turn().await.unwrap();
        turn.verify(password.to_owned(), hash.map(str::to_owned))
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn a_password_fits_its_own_hash_only() {
        let hash = Hasher::new().hash("correct horse").await.unwrap();
        assert!(
            hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{hash}"
        );
        assert_eq!(
            verified("correct horse", Some(&hash)).await,
            Verified::Match
        );
        assert_eq!(
            verified("wrong horse", Some(&hash)).await,
            Verified::Mismatch
        );
        assert_eq!(verified("", None).await, Verified::Mismatch);
        assert_eq!(verified("x", Some("not a hash")).await, Verified::Mismatch);
    }

    #[tokio::test]
    async fn a_weak_hash_is_upgraded() {
        let weak = hash_public("alice123").unwrap();
        let Verified::MatchUpgraded(strong) = verified("alice123", Some(&weak)).await else {
            panic!("expected an upgrade");
        };
        assert_eq!(verified("alice123", Some(&strong)).await, Verified::Match);
    }

    #[test]
    fn the_dummy_hash_is_well_formed() {
        // A malformed one would return at once and give unknown users away.
        assert!(argon2::PasswordHash::new(NOBODY).is_ok());
    }

    #[test]
    fn the_rule_counts_characters() {
        assert!(check_rule("1234567", "a").is_err());
        assert!(check_rule("éééééééé", "a").is_ok());
        assert!(check_rule("Nightowl", "nightowl").is_err());
        assert!(check_rule(&"x".repeat(1025), "a").is_err());
    }
}
