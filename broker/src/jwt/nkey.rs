//! NATS keys: Ed25519 and Curve25519 keys in their text form.
//!
//! A public key is base 32 (RFC 4648, upper case, no padding) over
//!
//! ```text
//! prefix 1 byte | key 32 bytes | CRC-16/XMODEM of all before, little-endian
//! ```
//!
//! and so has 56 letters, of which the first names the kind. A seed has two bytes in front, `0x90 | prefix >> 5` and
//! `(prefix & 31) << 3`, and 58 letters that begin with `S` and the letter of the kind.

use std::fmt;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use data_encoding::BASE32_NOPAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// First byte of every seed, before the bits of the kind.
const SEED_PREFIX: u8 = 18 << 3;
/// Letters of a public key.
const PUBLIC_LEN: usize = 56;
/// Letters of a seed.
const SEED_LEN: usize = 58;
/// Bytes of a public or private key.
const KEY_LEN: usize = 32;
/// Bytes of an Ed25519 signature.
const SIGNATURE_LEN: usize = 64;

/// What a key is for; the first letter of its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyKind {
    /// `A`: signs users and activations.
    Account,
    /// `U`: signs the nonce of INFO.
    User,
    /// `N`: names a server.
    Server,
    /// `O`: signs accounts.
    Operator,
    /// `X`: a Curve25519 key, for boxes and not for signatures.
    Curve,
}

impl KeyKind {
    const ALL: [Self; 5] = [
        Self::Account,
        Self::User,
        Self::Server,
        Self::Operator,
        Self::Curve,
    ];

    const fn prefix(self) -> u8 {
        match self {
            Self::Account => 0,
            Self::Server => 13 << 3,
            Self::Operator => 14 << 3,
            Self::User => 20 << 3,
            Self::Curve => 23 << 3,
        }
    }

    fn of_prefix(prefix: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.prefix() == prefix)
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Account => "account",
            Self::User => "user",
            Self::Server => "server",
            Self::Operator => "operator",
            Self::Curve => "curve",
        })
    }
}

/// Why a text is no key, or a key not the right one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Too long, too short or not base 32.
    #[error("not an nkey")]
    Malformed,
    /// A mistyped letter.
    #[error("the checksum of the nkey is wrong")]
    Checksum,
    /// A seed where a public key belongs, or a kind that is not known.
    #[error("the prefix of the nkey is not known")]
    Prefix,
    /// A key of one kind where another is asked for.
    #[error("a key of the kind {found} where one of the kind {expected} is needed")]
    Kind {
        /// What it is.
        found: KeyKind,
        /// What it should be.
        expected: KeyKind,
    },
    /// The private key cannot be used.
    #[error("the private key cannot be used")]
    Rejected,
}

/// A public key and what it is for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicKey {
    kind: KeyKind,
    bytes: [u8; KEY_LEN],
}

impl PublicKey {
    /// Reads the text form of any kind.
    ///
    /// # Errors
    /// The text is no public key.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        if text.len() != PUBLIC_LEN {
            return Err(KeyError::Malformed);
        }
        let raw = checked(text)?;
        let [prefix, bytes @ ..] = &raw[..] else {
            return Err(KeyError::Malformed);
        };
        Ok(Self {
            kind: KeyKind::of_prefix(*prefix).ok_or(KeyError::Prefix)?,
            bytes: bytes.try_into().map_err(|_| KeyError::Malformed)?,
        })
    }

    /// Reads the text form of one kind.
    ///
    /// # Errors
    /// The text is no public key, or one of another kind.
    pub fn parse_as(text: &str, expected: KeyKind) -> Result<Self, KeyError> {
        let key = Self::parse(text)?;
        if key.kind == expected {
            Ok(key)
        } else {
            Err(KeyError::Kind {
                found: key.kind,
                expected,
            })
        }
    }

    /// What the key is for.
    #[must_use]
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The key itself.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; KEY_LEN] {
        &self.bytes
    }

    /// Whether `signature` is this key's over `message`. Never for a curve key.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.kind != KeyKind::Curve
            && signature.len() == SIGNATURE_LEN
            && UnparsedPublicKey::new(&ED25519, &self.bytes)
                .verify(message, signature)
                .is_ok()
    }

    /// As [`PublicKey::verifies`], for the text that CONNECT carries: base 64, URL-safe without padding or standard.
    #[must_use]
    pub fn verifies_text(&self, message: &[u8], signature: &str) -> bool {
        let raw = URL_SAFE_NO_PAD
            .decode(signature)
            .or_else(|_| STANDARD.decode(signature));
        raw.is_ok_and(|raw| self.verifies(message, &raw))
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text(&[&[self.kind.prefix()], &self.bytes[..]].concat()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// A private key that signs. `Debug` shows the public half only.
pub struct KeyPair {
    public: PublicKey,
    pair: Ed25519KeyPair,
    seed: [u8; KEY_LEN],
}

impl KeyPair {
    /// A new key.
    ///
    /// # Panics
    /// Never for a kind that signs: every 32 bytes are an Ed25519 seed. Curve keys are [`CurveKeyPair`]s.
    #[must_use]
    pub fn generate(kind: KeyKind) -> Self {
        Self::new(kind, rand::random()).expect("32 bytes are a seed")
    }

    /// Reads a seed, `SA...`, `SU...`, `SN...` or `SO...`.
    ///
    /// # Errors
    /// The text is no seed, or that of a curve key.
    pub fn from_seed(text: &str) -> Result<Self, KeyError> {
        let (kind, seed) = parse_seed(text)?;
        if kind == KeyKind::Curve {
            return Err(KeyError::Kind {
                found: kind,
                expected: KeyKind::User,
            });
        }
        Self::new(kind, seed)
    }

    fn new(kind: KeyKind, seed: [u8; KEY_LEN]) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| KeyError::Rejected)?;
        let bytes = pair.public_key().as_ref().try_into();
        Ok(Self {
            public: PublicKey {
                kind,
                bytes: bytes.map_err(|_| KeyError::Rejected)?,
            },
            pair,
            seed,
        })
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        self.public
    }

    /// The text that gives the private half away.
    #[must_use]
    pub fn seed(&self) -> String {
        seed_text(self.public.kind, &self.seed)
    }

    /// Signs with Ed25519.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).as_ref().to_vec()
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPair")
            .field("public", &self.public)
            .finish_non_exhaustive()
    }
}

/// A private Curve25519 key, `SX...`. `Debug` shows the public half only.
pub struct CurveKeyPair {
    public: PublicKey,
    pub(super) secret: crypto_box::SecretKey,
}

impl CurveKeyPair {
    /// A new key.
    #[must_use]
    pub fn generate() -> Self {
        Self::new(rand::random())
    }

    /// Reads a seed.
    ///
    /// # Errors
    /// The text is no seed of a curve key.
    pub fn from_seed(text: &str) -> Result<Self, KeyError> {
        match parse_seed(text)? {
            (KeyKind::Curve, seed) => Ok(Self::new(seed)),
            (found, _) => Err(KeyError::Kind {
                found,
                expected: KeyKind::Curve,
            }),
        }
    }

    fn new(seed: [u8; KEY_LEN]) -> Self {
        let secret = crypto_box::SecretKey::from(seed);
        Self {
            public: PublicKey {
                kind: KeyKind::Curve,
                bytes: *secret.public_key().as_bytes(),
            },
            secret,
        }
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        self.public
    }

    /// The text that gives the private half away.
    #[must_use]
    pub fn seed(&self) -> String {
        seed_text(KeyKind::Curve, &self.secret.to_bytes())
    }
}

impl fmt::Debug for CurveKeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CurveKeyPair")
            .field("public", &self.public)
            .finish_non_exhaustive()
    }
}

/// Decodes and takes the checksum off.
fn checked(text: &str) -> Result<Vec<u8>, KeyError> {
    let mut raw = BASE32_NOPAD
        .decode(text.as_bytes())
        .map_err(|_| KeyError::Malformed)?;
    let at = raw.len().checked_sub(2).ok_or(KeyError::Malformed)?;
    let sum = [raw[at], raw[at + 1]];
    raw.truncate(at);
    if crc16(&raw).to_le_bytes() == sum {
        Ok(raw)
    } else {
        Err(KeyError::Checksum)
    }
}

fn parse_seed(text: &str) -> Result<(KeyKind, [u8; KEY_LEN]), KeyError> {
    if text.len() != SEED_LEN {
        return Err(KeyError::Malformed);
    }
    let raw = checked(text)?;
    let [first, second, seed @ ..] = &raw[..] else {
        return Err(KeyError::Malformed);
    };
    if first & 0xf8 != SEED_PREFIX {
        return Err(KeyError::Prefix);
    }
    let kind = KeyKind::of_prefix((first & 7) << 5 | second >> 3).ok_or(KeyError::Prefix)?;
    Ok((kind, seed.try_into().map_err(|_| KeyError::Malformed)?))
}

fn seed_text(kind: KeyKind, seed: &[u8; KEY_LEN]) -> String {
    let prefix = kind.prefix();
    text(&[&[SEED_PREFIX | prefix >> 5, (prefix & 31) << 3], &seed[..]].concat())
}

fn text(raw: &[u8]) -> String {
    BASE32_NOPAD.encode(&[raw, &crc16(raw).to_le_bytes()].concat())
}

/// CRC-16/XMODEM: polynomial 0x1021, start 0. Keys are short and rare, so there is no table.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte) << 8, |crc, _| {
            if crc & 0x8000 == 0 {
                crc << 1
            } else {
                crc << 1 ^ 0x1021
            }
        })
    })
}

#[cfg(test)]
mod tests;
