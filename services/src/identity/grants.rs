//! The flows: from a session to a code, and from a code, a refresh token or a password to tokens.

use std::time::{Instant, SystemTime};

use storage::chat::sessions::{RefreshChainRow, RotateRefresh, Rotation};

use super::codes::{Grant, Redeemed};
use super::secret::{Secret, hash};
use super::token::{self, AccessClaims, IdClaims, RealmAccess, RefreshClaims};
use super::{
    AuthorizeRequest, Caller, Error, Identity, OauthError, OidcClient, Session, SignInError,
    TokenRequest, TokenResponse, pkce, unix_millis, unix_seconds,
};

/// Longest `nonce` that is carried along.
const NONCE_BYTES_MAX: usize = 512;
/// The scopes that mean something here; others are ignored (OpenID Connect Core section 3.1.2.1).
const SCOPES: [&str; 4] = ["openid", "profile", "email", "roles"];

impl Identity {
    /// The client and its redirect address, or why the browser must not be sent anywhere (RFC 6749 section 4.1.2.1).
    ///
    /// # Errors
    /// An unknown client or an address that is not registered for it.
    pub fn check_redirect(
        &self,
        request: &AuthorizeRequest,
        origin: &str,
    ) -> Result<&OidcClient, OauthError> {
        let client = self.client(&request.client_id).ok_or_else(|| {
            OauthError::new(
                "unauthorized_client",
                "this application is not registered here",
            )
        })?;
        if client.allows_redirect(&request.redirect_uri, origin) {
            Ok(client)
        } else {
            Err(OauthError::new(
                "invalid_request",
                "the address to return to is not registered for this application",
            ))
        }
    }

    /// Checks the rest of an authorization request, before anybody is asked for a password.
    ///
    /// # Errors
    /// In the words of RFC 6749, to be sent to the redirect address.
    pub fn check_authorize(
        &self,
        request: &AuthorizeRequest,
        client: &OidcClient,
    ) -> Result<(), OauthError> {
        if request.response_type != "code" {
            return Err(OauthError::new(
                "unsupported_response_type",
                "response_type must be code",
            ));
        }
        if !request.scope.split(' ').any(|scope| scope == "openid") {
            return Err(OauthError::new(
                "invalid_scope",
                "scope must contain openid",
            ));
        }
        if request
            .nonce
            .as_ref()
            .is_some_and(|nonce| nonce.len() > NONCE_BYTES_MAX)
        {
            return Err(OauthError::new("invalid_request", "nonce is too long"));
        }
        match (
            &request.code_challenge,
            request.code_challenge_method.as_deref(),
        ) {
            (Some(challenge), Some("S256")) if pkce::is_challenge(challenge) => Ok(()),
            (None, None) if !client.pkce_required => Ok(()),
            _ => Err(OauthError::new(
                "invalid_request",
                "code_challenge with code_challenge_method=S256 is needed",
            )),
        }
    }

    /// A code for a checked request.
    ///
    /// # Errors
    /// `temporarily_unavailable` when there are too many codes.
    pub fn issue_code(
        &self,
        request: &AuthorizeRequest,
        session: &Session,
    ) -> Result<Secret, OauthError> {
        let grant = Grant {
            session_id: session.id.clone(),
            client_id: request.client_id.clone(),
            redirect_uri: request.redirect_uri.clone(),
            scope: known_scopes(&request.scope),
            nonce: request.nonce.clone(),
            code_challenge: request.code_challenge.clone(),
        };
        let code = self.codes().issue(grant, Instant::now());
        code.ok_or_else(|| {
            OauthError::new(
                "temporarily_unavailable",
                "too many people are signing in at once; try again",
            )
        })
    }

    /// Answers the token endpoint.
    ///
    /// # Errors
    /// In the words of RFC 6749 section 5.2.
    pub async fn token(
        &self,
        request: TokenRequest,
        caller: &Caller,
    ) -> Result<TokenResponse, OauthError> {
        let client = self.client(&request.client_id).ok_or_else(|| {
            OauthError::new("invalid_client", "this application is not registered here")
        })?;
        match request.grant_type.as_str() {
            "authorization_code" => self.redeem_code(request, caller).await,
            "refresh_token" => self.refresh(request, caller).await,
            "password" if client.password_grant => self.password(request, caller).await,
            "password" => Err(OauthError::new(
                "unauthorized_client",
                "this application may not use passwords",
            )),
            _ => Err(OauthError::new(
                "unsupported_grant_type",
                "grant_type must be authorization_code or refresh_token",
            )),
        }
    }

    async fn redeem_code(
        &self,
        request: TokenRequest,
        caller: &Caller,
    ) -> Result<TokenResponse, OauthError> {
        let redeemed = self.codes().redeem(&request.code, Instant::now());
        let grant = match redeemed {
            Redeemed::Grant(grant) => grant,
            Redeemed::Again(grant) => {
                // Section 4.1.2: what was issued on a code that comes again is revoked.
                tracing::warn!(
                    client = grant.client_id,
                    "an authorization code came twice; its session is ended"
                );
                self.end_session(&grant.session_id).await?;
                return Err(OauthError::invalid_grant("the code was used before"));
            }
            Redeemed::Unknown => {
                return Err(OauthError::invalid_grant(
                    "the code is wrong or has expired",
                ));
            }
        };
        if grant.client_id != request.client_id || grant.redirect_uri != request.redirect_uri {
            return Err(OauthError::invalid_grant(
                "the code was issued for something else",
            ));
        }
        let proven = match (&grant.code_challenge, &request.code_verifier) {
            (Some(challenge), Some(verifier)) => pkce::verify(verifier, challenge),
            (None, None) => true,
            // A verifier without a challenge would be a downgrade (RFC 9700 section 4.8.2).
            _ => false,
        };
        if !proven {
            return Err(OauthError::invalid_grant("code_verifier does not fit"));
        }
        let session = self.session_by_id(&grant.session_id).await?;
        let session = session.ok_or_else(|| OauthError::invalid_grant("the session has ended"))?;
        self.start_chain(&session, &grant.client_id, grant.scope, grant.nonce, caller)
            .await
    }

    async fn password(
        &self,
        request: TokenRequest,
        caller: &Caller,
    ) -> Result<TokenResponse, OauthError> {
        let verified = self
            .accounts
            .verify_password(&request.username, &request.password, caller.address)
            .await;
        let user = verified.map_err(|error| match error {
            SignInError::Failed(error) => OauthError::from(error),
            refused => OauthError::new("invalid_grant", refused.to_string()),
        })?;
        let session = self.start_session(user, None).await?;
        self.start_chain(
            &session,
            &request.client_id,
            known_scopes(&request.scope),
            None,
            caller,
        )
        .await
    }

    async fn start_chain(
        &self,
        session: &Session,
        client_id: &str,
        scope: String,
        nonce: Option<String>,
        caller: &Caller,
    ) -> Result<TokenResponse, OauthError> {
        let mint = Mint::new(self, session, client_id, caller);
        let chain_id = uuid::Uuid::new_v4().to_string();
        let refresh_token = mint.refresh(&chain_id)?;
        let added = self
            .db
            .insert_refresh_chain(RefreshChainRow {
                id: chain_id,
                session_id: session.id.clone(),
                client_id: client_id.to_owned(),
                token_hash: hash(&refresh_token),
                scope: scope.clone(),
                expires_at: mint.refresh_end_millis(),
            })
            .await?;
        if !added {
            return Err(OauthError::invalid_grant("the session has ended"));
        }
        Ok(mint.response(refresh_token, scope, nonce)?)
    }

    async fn refresh(
        &self,
        request: TokenRequest,
        caller: &Caller,
    ) -> Result<TokenResponse, OauthError> {
        let wrong = || OauthError::invalid_grant("the refresh token is wrong or has expired");
        let claims: RefreshClaims =
            token::verify(&self.keys, &request.refresh_token, token::Expiry::Checked)
                .map_err(|_| wrong())?;
        if claims.typ != token::REFRESH || claims.azp != request.client_id {
            return Err(wrong());
        }
        let chain = self
            .db
            .refresh_chain(&claims.chain)
            .await?
            .ok_or_else(wrong)?;
        let session = self
            .session_by_id(&chain.session_id)
            .await?
            .ok_or_else(wrong)?;
        let mint = Mint::new(self, &session, &chain.client_id, caller);
        let next = mint.refresh(&chain.id)?;
        let rotate = RotateRefresh {
            chain_id: chain.id,
            presented: hash(&request.refresh_token),
            next: hash(&next),
            expires_at: mint.refresh_end_millis(),
            now: unix_millis(mint.now),
        };
        match self.db.rotate_refresh_token(rotate).await? {
            Rotation::Rotated => Ok(mint.response(next, chain.scope, None)?),
            Rotation::Reused { session_id } => {
                tracing::warn!(
                    user = session.user.username,
                    "a refresh token came twice; its session is ended"
                );
                self.live.revoke(&session_id);
                Err(OauthError::invalid_grant(
                    "the refresh token was used before; sign in again",
                ))
            }
            Rotation::Unknown => Err(wrong()),
        }
    }
}

/// Makes the tokens of one answer, all of the same moment.
struct Mint<'a> {
    identity: &'a Identity,
    session: &'a Session,
    client_id: &'a str,
    issuer: String,
    now: SystemTime,
}

impl<'a> Mint<'a> {
    fn new(
        identity: &'a Identity,
        session: &'a Session,
        client_id: &'a str,
        caller: &Caller,
    ) -> Self {
        Self {
            identity,
            session,
            client_id,
            issuer: identity.issuer(&caller.origin),
            now: SystemTime::now(),
        }
    }

    fn refresh_end_millis(&self) -> i64 {
        unix_millis(self.now + self.identity.config.session_idle_max)
    }

    fn refresh(&self, chain_id: &str) -> Result<String, Error> {
        let claims = RefreshClaims {
            iss: self.issuer.clone(),
            sub: self.session.user.id.clone(),
            aud: self.issuer.clone(),
            azp: self.client_id.to_owned(),
            typ: token::REFRESH.to_owned(),
            sid: self.session.id.clone(),
            jti: uuid::Uuid::new_v4().to_string(),
            iat: unix_seconds(self.now),
            exp: unix_seconds(self.now + self.identity.config.session_idle_max),
            chain: chain_id.to_owned(),
        };
        token::sign(&self.identity.keys, &claims)
    }

    fn access_claims(&self, scope: &str) -> AccessClaims {
        let user = &self.session.user;
        AccessClaims {
            iss: self.issuer.clone(),
            sub: user.id.clone(),
            aud: self.client_id.to_owned(),
            azp: self.client_id.to_owned(),
            typ: token::ACCESS.to_owned(),
            sid: self.session.id.clone(),
            jti: uuid::Uuid::new_v4().to_string(),
            iat: unix_seconds(self.now),
            exp: unix_seconds(self.now + self.identity.config.access_token_lifetime),
            scope: scope.to_owned(),
            preferred_username: user.username.clone(),
            name: user.display_name.clone(),
            email: user.email.clone(),
            realm_access: RealmAccess {
                roles: user.roles.clone(),
            },
        }
    }

    fn response(
        &self,
        refresh_token: String,
        scope: String,
        nonce: Option<String>,
    ) -> Result<TokenResponse, Error> {
        let access = self.access_claims(&scope);
        let access_token = token::sign(&self.identity.keys, &access)?;
        let id = IdClaims {
            common: AccessClaims {
                typ: token::ID.to_owned(),
                jti: uuid::Uuid::new_v4().to_string(),
                ..access
            },
            nonce,
            auth_time: u64::try_from(self.session.signed_in_at / 1000).unwrap_or_default(),
        };
        Ok(TokenResponse {
            access_token,
            token_type: "Bearer",
            expires_in: self.identity.config.access_token_lifetime.as_secs(),
            refresh_token,
            refresh_expires_in: self.identity.config.session_idle_max.as_secs(),
            id_token: token::sign(&self.identity.keys, &id)?,
            scope,
            session_state: self.session.id.clone(),
        })
    }
}

fn known_scopes(asked: &str) -> String {
    let mut granted = vec!["openid"];
    granted.extend(
        asked
            .split(' ')
            .filter(|scope| *scope != "openid" && SCOPES.contains(scope)),
    );
    granted.dedup();
    granted.join(" ")
}
