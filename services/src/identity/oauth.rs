//! What the OIDC endpoints ask and are answered, free of HTTP.

use std::net::IpAddr;

use serde::Serialize;

/// What a client asks for at the authorization endpoint, as it came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuthorizeRequest {
    /// `client_id`.
    pub client_id: String,
    /// `redirect_uri`.
    pub redirect_uri: String,
    /// `response_type`; only `code` is known.
    pub response_type: String,
    /// `scope`.
    pub scope: String,
    /// `nonce`.
    pub nonce: Option<String>,
    /// `code_challenge`.
    pub code_challenge: Option<String>,
    /// `code_challenge_method`; only `S256` is known.
    pub code_challenge_method: Option<String>,
}

/// A request to the token endpoint, as it came.
#[derive(Clone, Default)]
pub struct TokenRequest {
    /// `grant_type`.
    pub grant_type: String,
    /// `client_id`.
    pub client_id: String,
    /// `code` of the authorization code grant.
    pub code: String,
    /// `redirect_uri` of the authorization code grant.
    pub redirect_uri: String,
    /// `code_verifier` of the authorization code grant.
    pub code_verifier: Option<String>,
    /// `refresh_token` of the refresh grant.
    pub refresh_token: String,
    /// `username` of the password grant.
    pub username: String,
    /// `password` of the password grant.
    pub password: String,
    /// `scope`.
    pub scope: String,
}

/// Where a request came from and to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The origin it used for us.
    pub origin: String,
    /// The other end.
    pub address: IpAddr,
}

/// A successful answer of the token endpoint (RFC 6749 section 5.1, OpenID Connect Core section 3.1.3.3).
#[derive(Clone, Serialize)]
pub struct TokenResponse {
    /// For the NATS connection and userinfo.
    pub access_token: String,
    /// `Bearer`.
    pub token_type: &'static str,
    /// Seconds.
    pub expires_in: u64,
    /// Good once; the answer to its use has the next one.
    pub refresh_token: String,
    /// Seconds.
    pub refresh_expires_in: u64,
    /// Who signed in.
    pub id_token: String,
    /// Granted scope.
    pub scope: String,
    /// The sign-in session.
    pub session_state: String,
}

/// A refusal in the words of RFC 6749.
#[derive(Debug, thiserror::Error)]
#[error("{code}: {description}")]
pub struct OauthError {
    /// Machine-readable, section 4.1.2.1 or 5.2.
    pub code: &'static str,
    /// For people.
    pub description: String,
}

impl OauthError {
    pub(crate) fn new(code: &'static str, description: impl Into<String>) -> Self {
        Self {
            code,
            description: description.into(),
        }
    }

    pub(crate) fn invalid_grant(description: &'static str) -> Self {
        Self::new("invalid_grant", description)
    }
}

impl From<super::Error> for OauthError {
    /// The reason is logged, for it is ours; the client hears that it may try again.
    fn from(error: super::Error) -> Self {
        match error {
            super::Error::Busy => Self::new("temporarily_unavailable", error.to_string()),
            error => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "an identity request failed"
                );
                Self::new(
                    "server_error",
                    "something went wrong on our side; try again",
                )
            }
        }
    }
}

impl From<storage::chat::Error> for OauthError {
    fn from(error: storage::chat::Error) -> Self {
        super::Error::from(error).into()
    }
}
