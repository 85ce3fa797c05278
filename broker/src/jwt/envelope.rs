//! The envelope of NATS JWTs, version 2: `header.claims.signature`, each base64url without padding.
//!
//! The header is `{"typ":"JWT","alg":"ed25519-nkey"}`; the signature is Ed25519 over the ASCII text before its dot, by the
//! key that the claims name as issuer. `jti` is base 32 of the SHA-512/256 of the claims with an empty `jti`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use data_encoding::BASE32_NOPAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha512_256};

use super::claims::NatsClaims;
use super::nkey::{KeyKind, KeyPair, PublicKey};
use crate::limits::JWT_BYTES_MAX;

/// The version of claims that is written and read.
pub const VERSION: i64 = 2;
const HEADER: &str = r#"{"typ":"JWT","alg":"ed25519-nkey"}"#;
const ALGORITHM: &str = "ed25519-nkey";

/// Why a text is no JWT that can be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JwtError {
    /// More than [`JWT_BYTES_MAX`] bytes.
    #[error("the JWT has {0} bytes, more than {JWT_BYTES_MAX}")]
    TooLong(usize),
    /// Not `a.b.c`.
    #[error("expected 3 chunks")]
    Chunks,
    /// A part is not base64url.
    #[error("the JWT's {0} is not base64url")]
    Encoding(&'static str),
    /// The header is not ours.
    #[error("not a JWT of the algorithm {ALGORITHM}")]
    Header,
    /// The claims are not JSON of the shape that their type has.
    #[error("the claims cannot be read: {0}")]
    Claims(String),
    /// Version 1, or one that is not known yet.
    #[error("the JWT is not of version {VERSION} - received {0}")]
    Version(i64),
    /// Claims for another purpose.
    #[error("claims of type {found:?} where {expected:?} is needed")]
    Type {
        /// What they say.
        found: String,
        /// What was asked for.
        expected: &'static str,
    },
    /// A key that may not sign this type.
    #[error("{issuer} may not issue claims of type {kind:?}")]
    Issuer {
        /// Who signed.
        issuer: PublicKey,
        /// The type of the claims.
        kind: &'static str,
    },
    /// The signature is not the issuer's.
    #[error("the signature is not the issuer's")]
    Signature,
}

/// Signed claims about `sub`, by `iss`. `N` is the part under `nats`, by type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims<N> {
    /// Whom they are for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub aud: String,
    /// When they end, in seconds since 1970; 0 is never.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub exp: i64,
    /// The hash of the claims; nobody checks it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub jti: String,
    /// When they were signed, in seconds since 1970.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub iat: i64,
    /// Who signed.
    pub iss: PublicKey,
    /// A name for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// When they begin, in seconds since 1970; 0 is at once.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub nbf: i64,
    /// What they are about: a key, except in claims of type `generic`.
    pub sub: PublicKey,
    /// The rest.
    pub nats: N,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for a reference"
)]
fn is_zero(value: &i64) -> bool {
    *value == 0
}

impl<N: NatsClaims> Claims<N> {
    /// Claims about `sub` that begin now and never end; [`Claims::sign`] puts in the issuer.
    #[must_use]
    pub fn new(sub: PublicKey, nats: N) -> Self {
        Self {
            aud: String::new(),
            exp: 0,
            jti: String::new(),
            iat: unix_seconds(SystemTime::now()),
            iss: sub,
            name: String::new(),
            nbf: 0,
            sub,
            nats,
        }
    }

    /// Signs the claims: the text of a JWT.
    ///
    /// # Panics
    /// Never: claims are plain data and always JSON.
    #[must_use]
    pub fn sign(mut self, issuer: &KeyPair) -> String {
        self.iss = issuer.public();
        self.jti = String::new();
        let json = |claims: &Self| serde_json::to_vec(claims).expect("claims are plain data");
        self.jti = BASE32_NOPAD.encode(&Sha512_256::digest(json(&self)));
        let mut text = URL_SAFE_NO_PAD.encode(HEADER);
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(json(&self), &mut text);
        let signature = issuer.sign(text.as_bytes());
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut text);
        text
    }

    /// Reads a JWT and checks its signature, version, type and that its issuer is of a kind that may sign such claims.
    /// Times and whether the issuer is trusted are the caller's to check.
    ///
    /// # Errors
    /// The text is no such JWT.
    pub fn decode(text: &str) -> Result<Self, JwtError> {
        let parts = Parts::split(text)?;
        let peek: Claims<Peek> = parts.claims()?;
        if peek.nats.version != VERSION {
            return Err(JwtError::Version(peek.nats.version));
        }
        if peek.nats.r#type != N::TYPE {
            return Err(JwtError::Type {
                found: peek.nats.r#type,
                expected: N::TYPE,
            });
        }
        if !N::ISSUERS.contains(&peek.iss.kind()) {
            return Err(JwtError::Issuer {
                issuer: peek.iss,
                kind: N::TYPE,
            });
        }
        if !peek.iss.verifies(parts.signed.as_bytes(), &parts.signature) {
            return Err(JwtError::Signature);
        }
        // Only what is signed is worth reading in full.
        parts.claims()
    }

    /// Whether the claims have begun and not ended.
    #[must_use]
    pub fn is_current(&self, now: SystemTime) -> bool {
        let now = unix_seconds(now);
        (self.nbf == 0 || self.nbf <= now) && (self.exp == 0 || now < self.exp)
    }

    /// When the claims end; `None` is never.
    #[must_use]
    pub fn expires_at(&self) -> Option<SystemTime> {
        let seconds = u64::try_from(self.exp).ok().filter(|exp| *exp > 0)?;
        UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
    }
}

/// What every type of claims has in common.
#[derive(Default, Serialize, Deserialize)]
struct Peek {
    #[serde(default)]
    r#type: String,
    #[serde(default)]
    version: i64,
}

/// A JWT taken apart, with a header that is ours.
struct Parts<'a> {
    signed: &'a str,
    claims: Vec<u8>,
    signature: Vec<u8>,
}

#[derive(Deserialize)]
struct Header {
    #[serde(default)]
    typ: String,
    #[serde(default)]
    alg: String,
}

impl<'a> Parts<'a> {
    fn split(text: &'a str) -> Result<Self, JwtError> {
        if text.len() > JWT_BYTES_MAX {
            return Err(JwtError::TooLong(text.len()));
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(JwtError::Chunks)?;
        let (header, claims) = signed.split_once('.').ok_or(JwtError::Chunks)?;
        if claims.contains('.') {
            return Err(JwtError::Chunks);
        }
        let decode = |part: &str, name| {
            URL_SAFE_NO_PAD
                .decode(part)
                .map_err(|_| JwtError::Encoding(name))
        };
        let header: Header =
            serde_json::from_slice(&decode(header, "header")?).map_err(|_| JwtError::Header)?;
        if !header.typ.eq_ignore_ascii_case("jwt") || header.alg != ALGORITHM {
            return Err(JwtError::Header);
        }
        Ok(Self {
            signed,
            claims: decode(claims, "claims")?,
            signature: decode(signature, "signature")?,
        })
    }

    fn claims<T: DeserializeOwned>(&self) -> Result<T, JwtError> {
        serde_json::from_slice(&self.claims).map_err(|error| JwtError::Claims(error.to_string()))
    }
}

/// Which type of claims a JWT says it is, without trusting it.
///
/// # Errors
/// The text is no JWT.
pub fn claimed_type(text: &str) -> Result<String, JwtError> {
    Ok(Parts::split(text)?.claims::<Claims<Peek>>()?.nats.r#type)
}

/// The issuer kinds of [`NatsClaims`], written short.
pub(super) const ACCOUNTS: &[KeyKind] = &[KeyKind::Account];
/// Who signs accounts.
pub(super) const OPERATORS: &[KeyKind] = &[KeyKind::Operator];
/// Who signs requests of an auth callout.
pub(super) const SERVERS: &[KeyKind] = &[KeyKind::Server];

pub(crate) fn unix_seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jwt::claims::{AccountClaims, OperatorClaims, UserClaims};

    fn signed() -> (KeyPair, PublicKey, String) {
        let account = KeyPair::generate(KeyKind::Account);
        let user = KeyPair::generate(KeyKind::User).public();
        let mut claims = Claims::new(user, UserClaims::default());
        "bob".clone_into(&mut claims.name);
        let text = claims.sign(&account);
        (account, user, text)
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let error = Claims::<UserClaims>::decode(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }

    /// Signs any claims as they are.
    fn forge(claims: &str, issuer: &KeyPair) -> String {
        let text = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(HEADER),
            URL_SAFE_NO_PAD.encode(claims)
        );
        let signature = URL_SAFE_NO_PAD.encode(issuer.sign(text.as_bytes()));
        format!("{text}.{signature}")
    }

    #[test]
    fn what_is_signed_reads_back() {
        let (account, user, text) = signed();
        let claims = Claims::<UserClaims>::decode(&text).unwrap();
        assert_eq!((claims.iss, claims.sub), (account.public(), user));
        assert_eq!(claims.name, "bob");
        assert_eq!(claims.jti.len(), 52);
        assert_eq!(claimed_type(&text).unwrap(), "user");
    }

    #[test]
    fn forged_and_broken_ones_are_refused() {
        let (account, user, text) = signed();
        let (signed, signature) = text.rsplit_once('.').unwrap();
        let (header, claims) = signed.split_once('.').unwrap();
        check("", "expected 3 chunks");
        check("a.b", "expected 3 chunks");
        check(&format!("{text}.x"), "expected 3 chunks");
        check(&format!("{header}.{claims}.AAAA"), "signature");
        check(&format!("{header}.!.{signature}"), "not base64url");
        let none = URL_SAFE_NO_PAD.encode(r#"{"typ":"JWT","alg":"none"}"#);
        check(&format!("{none}.{claims}."), "algorithm");
        check(&"x".repeat(JWT_BYTES_MAX + 1), "more than");
        let other = KeyPair::generate(KeyKind::Account).public();
        let claims = |kind: &str, version: u8, iss: &PublicKey| {
            format!(
                r#"{{"sub":"{user}","iss":"{iss}","nats":{{"type":"{kind}","version":{version}}}}}"#
            )
        };
        check(&forge(&claims("user", 2, &other), &account), "signature");
        check(
            &forge(&claims("user", 1, &account.public()), &account),
            "received 1",
        );
        check(
            &forge(&claims("activation", 2, &account.public()), &account),
            "of type",
        );
        let operator = KeyPair::generate(KeyKind::Operator);
        check(
            &forge(&claims("user", 2, &operator.public()), &operator),
            "may not issue",
        );
    }

    #[test]
    fn the_least_that_is_accepted() {
        let (account, user, _) = signed();
        let iss = account.public();
        let least = format!(
            r#"{{"sub":"{user}","iss":"{iss}","x":{{}},"nats":{{"type":"user","version":2,"pub":null,"later":[1]}}}}"#
        );
        let claims = Claims::<UserClaims>::decode(&forge(&least, &account)).unwrap();
        assert_eq!(claims.nats, UserClaims::default());
    }

    #[test]
    fn claims_begin_and_end() {
        let (_, _, text) = signed();
        let mut claims = Claims::<UserClaims>::decode(&text).unwrap();
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        assert!(claims.is_current(at(5)) && claims.expires_at().is_none());
        (claims.nbf, claims.exp) = (10, 20);
        let current = [9, 10, 19, 20].map(|seconds| claims.is_current(at(seconds)));
        assert_eq!(current, [false, true, true, false]);
        assert_eq!(claims.expires_at(), Some(at(20)));
    }

    #[test]
    fn accounts_and_operators_read_back_too() {
        let operator = KeyPair::generate(KeyKind::Operator);
        let text = Claims::new(operator.public(), OperatorClaims::default()).sign(&operator);
        assert!(Claims::<OperatorClaims>::decode(&text).is_ok());
        let account = KeyPair::generate(KeyKind::Account).public();
        let text = Claims::new(account, AccountClaims::default()).sign(&operator);
        let read = Claims::<AccountClaims>::decode(&text).unwrap();
        assert_eq!(read.nats, AccountClaims::default());
    }
}
