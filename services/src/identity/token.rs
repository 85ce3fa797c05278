//! The three kinds of tokens, all of them signed JWTs, and their claims.

use std::collections::HashSet;

use jsonwebtoken::{Algorithm, Header, Validation, decode, decode_header, encode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Error;
use super::keys::Keys;

/// Longer texts are not tokens of ours and are not looked at.
const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// `typ` of an access token.
pub(crate) const ACCESS: &str = "Bearer";
/// `typ` of an ID token.
pub(crate) const ID: &str = "ID";
/// `typ` of a refresh token.
pub(crate) const REFRESH: &str = "Refresh";

/// What an access token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessClaims {
    /// Issuer.
    pub iss: String,
    /// The account's id.
    pub sub: String,
    /// The client.
    pub aud: String,
    /// The client.
    pub azp: String,
    /// `Bearer`.
    pub typ: String,
    /// The sign-in session.
    pub sid: String,
    /// Unique.
    pub jti: String,
    /// Issued at, unix seconds.
    pub iat: u64,
    /// Expires at, unix seconds.
    pub exp: u64,
    /// Granted scope.
    pub scope: String,
    /// User name.
    pub preferred_username: String,
    /// Display name.
    pub name: String,
    /// E-mail, if known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub email: Option<String>,
    /// Roles where Keycloak puts them.
    pub realm_access: RealmAccess,
}

/// Roles where Keycloak puts them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RealmAccess {
    /// Role names.
    pub roles: Vec<String>,
}

/// What an ID token says beyond the access token's claims.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct IdClaims {
    /// Everything of the access token; `typ` differs.
    #[serde(flatten)]
    pub(crate) common: AccessClaims,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) nonce: Option<String>,
    pub(crate) auth_time: u64,
}

/// What a refresh token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RefreshClaims {
    pub(crate) iss: String,
    pub(crate) sub: String,
    pub(crate) aud: String,
    pub(crate) azp: String,
    pub(crate) typ: String,
    pub(crate) sid: String,
    pub(crate) jti: String,
    pub(crate) iat: u64,
    pub(crate) exp: u64,
    /// Which chain of refresh tokens it belongs to.
    pub(crate) chain: String,
}

/// Why a token is not good. For the log; clients hear `invalid_token`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TokenError(pub &'static str);

pub(crate) fn sign<T: Serialize>(keys: &Keys, claims: &T) -> Result<String, Error> {
    let key = keys.signing();
    let mut header = Header::new(Algorithm::RS256);
    header.kid = Some(key.id.clone());
    encode(&header, claims, &key.encoding)
        .map_err(|_| Error::Internal("a token could not be signed"))
}

/// How strictly a token's age is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expiry {
    Checked,
    /// Only for `id_token_hint`, which says who leaves and opens nothing.
    Ignored,
}

/// Checks signature and expiry; what else a claim must be is up to the caller.
pub(crate) fn verify<T: DeserializeOwned>(
    keys: &Keys,
    token: &str,
    expiry: Expiry,
) -> Result<T, TokenError> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(TokenError("token is too long"));
    }
    let header = decode_header(token).map_err(|_| TokenError("not a JWT"))?;
    let kid = header.kid.ok_or(TokenError("token names no key"))?;
    let key = keys
        .find(&kid)
        .ok_or(TokenError("token is signed by an unknown key"))?;
    let mut validation = Validation::new(Algorithm::RS256);
    validation.leeway = 0;
    // RFC 7519 section 4.1.4: not "on or after" its expiry; the library alone would accept the second itself.
    validation.reject_tokens_expiring_in_less_than = 1;
    // The caller compares it with the clients it knows.
    validation.validate_aud = false;
    validation.validate_exp = expiry == Expiry::Checked;
    validation.required_spec_claims = HashSet::from(["exp".to_owned()]);
    decode(token, &key.decoding, &validation)
        .map(|data| data.claims)
        .map_err(|error| match error.kind() {
            jsonwebtoken::errors::ErrorKind::ExpiredSignature => TokenError("token has expired"),
            jsonwebtoken::errors::ErrorKind::InvalidSignature => {
                TokenError("token has a wrong signature")
            }
            _ => TokenError("token is malformed"),
        })
}
