//! Sign-in sessions: what a browser's cookie stands for, and what its tokens hang on.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use storage::chat::sessions::SessionRow;
use tokio_util::sync::CancellationToken;

use super::secret::{Secret, hash};
use super::{AccessClaims, Error, Identity, SignInError, TokenError, User, token, unix_millis};

/// A page visit that is this close to the last one is not written down.
const TOUCH_EVERY: Duration = Duration::from_secs(60);
/// However long a token lives, a connection has to come back after this time (contract 4.3).
const CONNECTION_MAX: Duration = Duration::from_secs(60 * 60);
/// Looks at a session that changes at the same moment before its connection is refused.
const ADMIT_TRIES_MAX: u32 = 4;

/// A sign-in that just happened.
#[derive(Debug, Clone)]
pub struct SignedIn {
    /// The session.
    pub session: Session,
    /// The value of the browser's cookie; only its hash is kept.
    pub cookie: Secret,
    /// How long the browser may keep the cookie.
    pub cookie_max_age: Duration,
}

/// A live session and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The `sid` claim.
    pub id: String,
    /// Whose it is.
    pub user: User,
    /// Unix milliseconds.
    pub signed_in_at: i64,
}

/// A connection that may go ahead.
#[derive(Debug, Clone)]
pub struct Admitted {
    /// Who it is, with the roles the account has now.
    pub user: User,
    /// When it has to come back.
    pub expires_at: SystemTime,
    /// Cancelled as soon as the session ends or the roles change.
    pub revoked: CancellationToken,
}

impl Identity {
    /// Checks a password and starts a session for a browser at `address`.
    ///
    /// # Errors
    /// [`SignInError`], with how long to wait after too many failures.
    pub async fn sign_in(
        &self,
        username: &str,
        password: &str,
        address: IpAddr,
    ) -> Result<SignedIn, SignInError> {
        let user = self
            .accounts
            .verify_password(username, password, address)
            .await?;
        Ok(self.start_browser_session(user).await?)
    }

    /// Starts a session for a browser whose user was just made by the setup page.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn start_browser_session(&self, user: User) -> Result<SignedIn, Error> {
        let cookie = Secret::random();
        let session = self.start_session(user, Some(&cookie)).await?;
        Ok(SignedIn {
            session,
            cookie,
            cookie_max_age: self.config.session_max,
        })
    }

    pub(super) async fn start_session(
        &self,
        user: User,
        cookie: Option<&Secret>,
    ) -> Result<Session, Error> {
        let now = SystemTime::now();
        let row = SessionRow {
            id: uuid::Uuid::new_v4().to_string(),
            user_id: user.id.clone(),
            cookie_hash: cookie.map(Secret::hash),
            signed_in_at: unix_millis(now),
            used_at: unix_millis(now),
            expires_at: unix_millis(now + self.config.session_max),
        };
        let session = Session {
            id: row.id.clone(),
            user,
            signed_in_at: row.signed_in_at,
        };
        self.db.insert_session(row).await?;
        Ok(session)
    }

    /// The live session behind a browser's cookie.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn session_by_cookie(&self, cookie: &str) -> Result<Option<Session>, Error> {
        let Some(row) = self.db.session_by_cookie(hash(cookie)).await? else {
            return Ok(None);
        };
        let now = SystemTime::now();
        let unused = unix_millis(now).saturating_sub(row.used_at);
        let id = row.id.clone();
        let session = self.live(row, now).await?;
        if session.is_some() && u128::try_from(unused).unwrap_or_default() > TOUCH_EVERY.as_millis()
        {
            self.db.touch_session(&id, unix_millis(now)).await?;
        }
        Ok(session)
    }

    /// The live session with this id.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn session_by_id(&self, id: &str) -> Result<Option<Session>, Error> {
        match self.db.session(id).await? {
            Some(row) => self.live(row, SystemTime::now()).await,
            None => Ok(None),
        }
    }

    /// Ends a session: its cookie, its refresh tokens and its connections.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn end_session(&self, id: &str) -> Result<(), Error> {
        // First the row, then the connections: whoever connects in between finds no row.
        self.db.delete_session(id).await?;
        self.live.revoke(id);
        Ok(())
    }

    /// The session that an ID token names, however old the token is: it says who leaves and opens nothing.
    #[must_use]
    pub fn session_of_id_token(&self, id_token: &str) -> Option<String> {
        let claims: AccessClaims =
            token::verify(&self.keys, id_token, token::Expiry::Ignored).ok()?;
        (claims.typ == token::ID).then_some(claims.sid)
    }

    /// Checks an access token by itself: signature, expiry, type, issuer and client. Not whether its session lives.
    ///
    /// # Errors
    /// [`TokenError`], for the log.
    pub fn verify_access_token(&self, access_token: &str) -> Result<AccessClaims, TokenError> {
        let claims: AccessClaims = token::verify(&self.keys, access_token, token::Expiry::Checked)?;
        if claims.typ != token::ACCESS {
            return Err(TokenError("not an access token"));
        }
        let realm = format!("/auth/realms/{}", self.config.realm);
        let is_ours = claims
            .iss
            .strip_suffix(&realm)
            .is_some_and(|origin| self.origins.is_ours(origin));
        if !is_ours {
            return Err(TokenError("token has another issuer"));
        }
        if claims.aud != claims.azp || self.client(&claims.azp).is_none() {
            return Err(TokenError("token is for another client"));
        }
        Ok(claims)
    }

    /// Who holds an access token, if its session lives.
    ///
    /// # Errors
    /// `Ok(Err(_))` says why the token is not good; the outer error is the database's.
    pub async fn session_of_access_token(
        &self,
        access_token: &str,
    ) -> Result<Result<Session, TokenError>, Error> {
        let claims = match self.verify_access_token(access_token) {
            Ok(claims) => claims,
            Err(error) => return Ok(Err(error)),
        };
        Ok(self
            .session_by_id(&claims.sid)
            .await?
            .ok_or(TokenError("the session has ended")))
    }

    /// Lets a connection in by its access token.
    ///
    /// # Errors
    /// `Ok(Err(_))` says why not; the outer error is the database's. In doubt nobody gets in.
    pub async fn admit(&self, access_token: &str) -> Result<Result<Admitted, TokenError>, Error> {
        let claims = match self.verify_access_token(access_token) {
            Ok(claims) => claims,
            Err(error) => return Ok(Err(error)),
        };
        // A change noticed between the two looks proves nothing about this session: look again before refusing, because
        // clients take a second refusal for the last word.
        for _ in 0..ADMIT_TRIES_MAX {
            let now = SystemTime::now();
            let expires_at = SystemTime::UNIX_EPOCH + Duration::from_secs(claims.exp);
            let expires_at = expires_at.min(now + CONNECTION_MAX);
            let Some(revoked) = self.live.enter(&claims.sid, expires_at, now) else {
                return Ok(Err(TokenError("too many sessions are connected")));
            };
            let Some(session) = self.session_by_id(&claims.sid).await? else {
                self.live.revoke(&claims.sid);
                return Ok(Err(TokenError("the session has ended")));
            };
            // The roles of now and not of the token: it may be older than a change.
            let roles = session.user.roles.join(",");
            if self.live.settle(&claims.sid, &revoked, roles) {
                return Ok(Ok(Admitted {
                    user: session.user,
                    expires_at,
                    revoked,
                }));
            }
        }
        Ok(Err(TokenError(
            "the session keeps changing while connecting",
        )))
    }

    /// Looks up again whoever is connected, and cuts off who should not be.
    pub(super) async fn recheck(&self) -> Result<(), storage::chat::Error> {
        let now = SystemTime::now();
        let connected = self.live.ids(now);
        if connected.is_empty() {
            return Ok(());
        }
        let alive = self
            .db
            .live_sessions(connected.clone(), unix_millis(now))
            .await?;
        self.live.retain(&connected, &alive);
        Ok(())
    }

    pub(super) async fn expire_sessions(
        &self,
        now: SystemTime,
    ) -> Result<(), storage::chat::Error> {
        let idle = unix_millis(
            now.checked_sub(self.config.session_idle_max)
                .unwrap_or(SystemTime::UNIX_EPOCH),
        );
        let ended = self
            .db
            .delete_expired_sessions(unix_millis(now), idle)
            .await?;
        if ended > 0 {
            tracing::debug!(ended, "expired sessions ended");
            self.recheck().await?;
        }
        Ok(())
    }

    async fn live(&self, row: SessionRow, now: SystemTime) -> Result<Option<Session>, Error> {
        let idle_end = row
            .used_at
            .saturating_add(millis(self.config.session_idle_max));
        if row.expires_at.min(idle_end) <= unix_millis(now) {
            return Ok(None);
        }
        let user = self
            .accounts
            .user_by_id(&row.user_id)
            .await?
            .filter(|user| !user.disabled);
        Ok(user.map(|user| Session {
            id: row.id,
            user,
            signed_in_at: row.signed_in_at,
        }))
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
