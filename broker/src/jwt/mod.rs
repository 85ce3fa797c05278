//! NATS JWTs and what is decided by them: operator mode and the auth callout.
//!
//! [`nkey`] has the keys, [`envelope`] the signed text, [`claims`] what stands in it. Every way to be let in by claims, a
//! user JWT in operator mode or the answer of an auth service, outside or built in, ends in a [`Grant`], and
//! [`Grant::admit`] is the one place that turns it into an [`Identity`](crate::Identity).
//!
//! Invariants:
//! - Claims are read only after their signature was found good, and trusted only if their issuer is.
//! - No text from the network panics; none is longer than `JWT_BYTES_MAX`.
//! - Private keys and seeds appear in no log.

mod callout;
pub mod claims;
mod config;
pub mod envelope;
mod grant;
pub mod nkey;
mod operator;
mod xkey;

pub use callout::{Callout, CalloutService};
pub use config::{CalloutConfig, OperatorConfig, ResolverConfig};
pub use envelope::{Claims, JwtError};
pub use grant::{Grant, Refusal};
pub use nkey::{CurveKeyPair, KeyError, KeyKind, KeyPair, PublicKey};
pub use operator::OperatorMode;
#[cfg(any(test, fuzzing))]
pub(crate) use operator::exercise;
pub use xkey::BoxError;

/// Why a configuration of JWTs cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A key that is none, or of the wrong kind.
    #[error("{what} {text:?}: {source}")]
    Key {
        /// The member of the configuration.
        what: &'static str,
        /// What stands there.
        text: String,
        /// What is wrong with it.
        source: KeyError,
    },
    /// A JWT that is none, or of the wrong type.
    #[error("{what}: {source}")]
    Jwt {
        /// The member of the configuration.
        what: String,
        /// What is wrong with it.
        source: JwtError,
    },
    /// A combination that cannot work.
    #[error("{0}")]
    Unusable(String),
    /// The directory of account JWTs.
    #[error("cannot use the resolver's directory {dir}", dir = dir.display())]
    Directory {
        /// Where it is.
        dir: std::path::PathBuf,
        /// What is wrong with it.
        source: std::io::Error,
    },
}
