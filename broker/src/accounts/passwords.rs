//! Checks passwords and tokens, plain or hashed with bcrypt.
//!
//! A bcrypt check costs tens of milliseconds of CPU on purpose. It runs off the async threads, on few threads at a time, and
//! who has proved a password once is not hashed again: a digest of password and hash, keyed for this process, is kept.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use hashbrown::HashSet;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;

use super::config::Secret;
use crate::limits::{PASSWORD_CHECKS_MAX, PASSWORDS_PROVED_MAX};

/// Checks secrets; one for a server.
#[derive(Debug)]
pub(super) struct Passwords {
    workers: Arc<Semaphore>,
    /// Keys the digests below: they mean nothing outside of this process.
    key: [u8; 32],
    proved: Mutex<Proved>,
}

/// Digests of what was found good, the oldest forgotten first. Failures are never kept.
#[derive(Debug, Default)]
struct Proved {
    digests: HashSet<[u8; 32]>,
    order: VecDeque<[u8; 32]>,
}

impl Passwords {
    pub(super) fn new() -> Self {
        Self {
            workers: Arc::new(Semaphore::new(PASSWORD_CHECKS_MAX)),
            key: rand::random(),
            proved: Mutex::default(),
        }
    }

    /// Whether `given` is the stored secret.
    pub(super) async fn fits(&self, stored: &Secret, given: &str) -> bool {
        if !stored.is_bcrypt() {
            return is_equal(stored.expose(), given);
        }
        let digest = self.digest(stored.expose(), given);
        if self.is_proved(&digest) {
            return true;
        }
        // Who waits here is bounded by the time a CONNECT may take.
        let Ok(worker) = self.workers.clone().acquire_owned().await else {
            return false;
        };
        let (hash, given) = (stored.expose().to_owned(), given.to_owned());
        let check = tokio::task::spawn_blocking(move || {
            // Held by the thread: a client that hangs up does not make room for another check.
            let _worker = worker;
            bcrypt::verify(given, &hash).unwrap_or(false)
        });
        let fits = check.await.unwrap_or(false);
        if fits {
            self.keep(digest);
        }
        fits
    }

    fn digest(&self, stored: &str, given: &str) -> [u8; 32] {
        let mut hasher = Sha256::new();
        hasher.update(self.key);
        hasher.update((stored.len() as u64).to_be_bytes());
        hasher.update(stored);
        hasher.update(given);
        hasher.finalize().into()
    }

    fn is_proved(&self, digest: &[u8; 32]) -> bool {
        let proved = self.proved.lock().unwrap_or_else(PoisonError::into_inner);
        proved.digests.contains(digest)
    }

    fn keep(&self, digest: [u8; 32]) {
        let mut proved = self.proved.lock().unwrap_or_else(PoisonError::into_inner);
        if proved.digests.insert(digest) {
            proved.order.push_back(digest);
        }
        if proved.order.len() > PASSWORDS_PROVED_MAX
            && let Some(oldest) = proved.order.pop_front()
        {
            proved.digests.remove(&oldest);
        }
    }
}

/// Compares without telling by its time where the two differ, or how long the stored one is.
fn is_equal(stored: &str, given: &str) -> bool {
    let digest = |text: &str| -> [u8; 32] { Sha256::digest(text).into() };
    digest(stored).ct_eq(&digest(given)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of "secret", at the lowest cost.
    const HASH: &str = "$2a$04$YJEu6P7i8ZRmlTJdHtr9UOSeCkmkZPxJHJLqxCRSZ4fhAQW0Dc3Ka";

    #[tokio::test]
    async fn plain_and_hashed_secrets() {
        let passwords = Passwords::new();
        let plain = Secret::from("secret");
        assert!(passwords.fits(&plain, "secret").await);
        assert!(!passwords.fits(&plain, "secret2").await);
        let hash = bcrypt::hash("secret", 4).expect("a hash");
        for prefix in ["$2a$", "$2b$", "$2y$"] {
            let hash = Secret::from(hash.replace("$2b$", prefix));
            assert!(hash.is_bcrypt());
            assert!(passwords.fits(&hash, "secret").await, "{prefix}");
            assert!(passwords.fits(&hash, "secret").await, "{prefix}");
            assert!(!passwords.fits(&hash, "other").await, "{prefix}");
        }
        assert_eq!(passwords.proved.lock().expect("unpoisoned").order.len(), 3);
    }

    #[tokio::test]
    async fn what_is_proved_is_bounded_and_bound_to_the_hash() {
        let passwords = Passwords::new();
        for number in 0..PASSWORDS_PROVED_MAX + 10 {
            passwords.keep(passwords.digest("hash", &number.to_string()));
        }
        assert!(!passwords.is_proved(&passwords.digest("hash", "0")));
        let last = (PASSWORDS_PROVED_MAX + 9).to_string();
        assert!(passwords.is_proved(&passwords.digest("hash", &last)));
        assert!(!passwords.is_proved(&passwords.digest("other", &last)));
        assert!(!passwords.fits(&Secret::from(HASH), "not it").await);
    }
}
