//! Sign-in sessions and the chains of refresh tokens that hang on them.

use rusqlite::{OptionalExtension, Row};

use super::{ChatDb, Error};

/// SHA-256 of a secret; the secret itself is never stored.
pub type SecretHash = [u8; 32];

/// One sign-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    /// The `sid` claim of its tokens.
    pub id: String,
    /// Whose it is.
    pub user_id: String,
    /// Hash of the browser's cookie; `None` where no browser is involved.
    pub cookie_hash: Option<SecretHash>,
    /// Unix milliseconds.
    pub signed_in_at: i64,
    /// Unix milliseconds of the last refresh or page visit.
    pub used_at: i64,
    /// Unix milliseconds after which it is dead whatever happens.
    pub expires_at: i64,
}

/// A chain of rotated refresh tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefreshChainRow {
    /// Named in the token.
    pub id: String,
    /// The sign-in it belongs to.
    pub session_id: String,
    /// The client it was issued to.
    pub client_id: String,
    /// Hash of the only token that is good.
    pub token_hash: SecretHash,
    /// Scope of the first request.
    pub scope: String,
    /// Unix milliseconds.
    pub expires_at: i64,
}

/// Who is behind a live session, for rechecking open connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveSession {
    /// The `sid` claim.
    pub id: String,
    /// Sorted role names, comma-separated.
    pub roles: String,
}

/// How presenting a refresh token went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rotation {
    /// It was the good one and has been replaced.
    Rotated,
    /// It had been replaced before: its session is ended, for somebody else holds a copy.
    Reused {
        /// The session that was ended.
        session_id: String,
    },
    /// There is no such chain (signed out, expired).
    Unknown,
}

/// Sessions of one account; the oldest make room.
const SESSIONS_PER_USER_MAX: i64 = 64;
/// Refresh chains of one session; the oldest make room.
const CHAINS_PER_SESSION_MAX: i64 = 128;

impl ChatDb {
    /// Adds a session. The account's oldest sessions beyond 64 end.
    ///
    /// # Errors
    /// When the database fails, or the account does not exist.
    pub async fn insert_session(&self, session: SessionRow) -> Result<(), Error> {
        const INSERT: &str =
            "INSERT INTO sessions (id, user_id, cookie_hash, signed_in_at, used_at, expires_at)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        const TRIM: &str =
            "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE user_id = ?1
            ORDER BY used_at DESC, id DESC LIMIT -1 OFFSET ?2)";
        self.write(move |tx| {
            tx.prepare_cached(INSERT)?.execute((
                &session.id,
                &session.user_id,
                &session.cookie_hash,
                session.signed_in_at,
                session.used_at,
                session.expires_at,
            ))?;
            tx.prepare_cached(TRIM)?
                .execute((&session.user_id, SESSIONS_PER_USER_MAX))
                .map(drop)
        })
        .await
    }

    /// The session with this id, expired or not.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn session(&self, id: &str) -> Result<Option<SessionRow>, Error> {
        const SQL: &str = "SELECT id, user_id, cookie_hash, signed_in_at, used_at, expires_at
            FROM sessions WHERE id = ?1";
        let id = id.to_owned();
        self.read(move |c| {
            c.prepare_cached(SQL)?
                .query_row([id], session_row)
                .optional()
        })
        .await
    }

    /// The session behind a browser's cookie, expired or not.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn session_by_cookie(
        &self,
        cookie_hash: SecretHash,
    ) -> Result<Option<SessionRow>, Error> {
        const SQL: &str = "SELECT id, user_id, cookie_hash, signed_in_at, used_at, expires_at
            FROM sessions WHERE cookie_hash = ?1";
        self.read(move |c| {
            c.prepare_cached(SQL)?
                .query_row([cookie_hash], session_row)
                .optional()
        })
        .await
    }

    /// Ends a session with its refresh chains; `false` when it was gone already.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn delete_session(&self, id: &str) -> Result<bool, Error> {
        const SQL: &str = "DELETE FROM sessions WHERE id = ?1";
        let id = id.to_owned();
        self.write(move |tx| Ok(tx.prepare_cached(SQL)?.execute([id])? == 1))
            .await
    }

    /// Notes that a session was used at `now` (unix milliseconds).
    ///
    /// # Errors
    /// When the database fails.
    pub async fn touch_session(&self, id: &str, now: i64) -> Result<(), Error> {
        const SQL: &str = "UPDATE sessions SET used_at = ?2 WHERE id = ?1";
        let id = id.to_owned();
        self.write(move |tx| tx.prepare_cached(SQL)?.execute((id, now)).map(drop))
            .await
    }

    /// Ends every session that is past its end, or unused since `used_before` (unix milliseconds).
    ///
    /// # Errors
    /// When the database fails.
    pub async fn delete_expired_sessions(
        &self,
        now: i64,
        used_before: i64,
    ) -> Result<usize, Error> {
        const SQL: &str = "DELETE FROM sessions WHERE expires_at <= ?1 OR used_at < ?2";
        const CHAINS: &str = "DELETE FROM refresh_chains WHERE expires_at <= ?1";
        self.write(move |tx| {
            tx.prepare_cached(CHAINS)?.execute([now])?;
            tx.prepare_cached(SQL)?.execute((now, used_before))
        })
        .await
    }

    /// Those of `ids` that are alive at `now`: not ended, not expired, account enabled.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn live_sessions(
        &self,
        ids: Vec<String>,
        now: i64,
    ) -> Result<Vec<LiveSession>, Error> {
        const SQL: &str = "SELECT s.id, coalesce((SELECT group_concat(role, ',' ORDER BY role) FROM user_roles r
                WHERE r.user_id = u.id), '')
            FROM sessions s JOIN users u ON u.id = s.user_id
            WHERE s.id IN (SELECT value FROM json_each(?1)) AND s.expires_at > ?2 AND u.disabled = 0";
        let ids = serde_json::to_string(&ids).expect("a list of strings is always JSON");
        self.read(move |c| {
            c.prepare_cached(SQL)?
                .query_map((ids, now), |row| {
                    Ok(LiveSession {
                        id: row.get(0)?,
                        roles: row.get(1)?,
                    })
                })?
                .collect()
        })
        .await
    }

    /// Starts a chain of refresh tokens. The session's oldest chains beyond 128 end.
    ///
    /// `false` when the session is gone (signed out meanwhile).
    ///
    /// # Errors
    /// When the database fails.
    pub async fn insert_refresh_chain(&self, chain: RefreshChainRow) -> Result<bool, Error> {
        const INSERT: &str =
            "INSERT INTO refresh_chains (id, session_id, client_id, token_hash, scope, expires_at)
            SELECT ?1, s.id, ?3, ?4, ?5, ?6 FROM sessions s WHERE s.id = ?2";
        const TRIM: &str = "DELETE FROM refresh_chains WHERE id IN (SELECT id FROM refresh_chains WHERE session_id = ?1
            ORDER BY expires_at DESC, id DESC LIMIT -1 OFFSET ?2)";
        self.write(move |tx| {
            let added = tx.prepare_cached(INSERT)?.execute((
                &chain.id,
                &chain.session_id,
                &chain.client_id,
                &chain.token_hash,
                &chain.scope,
                chain.expires_at,
            ))?;
            tx.prepare_cached(TRIM)?
                .execute((&chain.session_id, CHAINS_PER_SESSION_MAX))?;
            Ok(added == 1)
        })
        .await
    }

    /// The chain with this id.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn refresh_chain(&self, id: &str) -> Result<Option<RefreshChainRow>, Error> {
        const SQL: &str = "SELECT id, session_id, client_id, token_hash, scope, expires_at
            FROM refresh_chains WHERE id = ?1";
        let id = id.to_owned();
        self.read(move |c| c.prepare_cached(SQL)?.query_row([id], chain_row).optional())
            .await
    }

    /// Replaces the good token of a chain if `presented` is it, in one step.
    ///
    /// Any other token of the chain ends the whole session (RFC 9700 section 4.14.2).
    ///
    /// # Errors
    /// When the database fails.
    pub async fn rotate_refresh_token(&self, rotate: RotateRefresh) -> Result<Rotation, Error> {
        const FIND: &str = "SELECT session_id, token_hash FROM refresh_chains WHERE id = ?1";
        const ROTATE: &str =
            "UPDATE refresh_chains SET token_hash = ?2, expires_at = ?3 WHERE id = ?1";
        const TOUCH: &str = "UPDATE sessions SET used_at = ?2 WHERE id = ?1";
        const END: &str = "DELETE FROM sessions WHERE id = ?1";
        self.write(move |tx| {
            let found: Option<(String, SecretHash)> = tx
                .prepare_cached(FIND)?
                .query_row([&rotate.chain_id], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            let Some((session_id, good)) = found else {
                return Ok(Rotation::Unknown);
            };
            if good != rotate.presented {
                tx.prepare_cached(END)?.execute([&session_id])?;
                return Ok(Rotation::Reused { session_id });
            }
            tx.prepare_cached(ROTATE)?.execute((
                &rotate.chain_id,
                rotate.next,
                rotate.expires_at,
            ))?;
            tx.prepare_cached(TOUCH)?
                .execute((&session_id, rotate.now))?;
            Ok(Rotation::Rotated)
        })
        .await
    }
}

/// What [`ChatDb::rotate_refresh_token`] needs to know.
#[derive(Debug, Clone)]
pub struct RotateRefresh {
    /// The chain named in the token.
    pub chain_id: String,
    /// Hash of the token that was presented.
    pub presented: SecretHash,
    /// Hash of the token that follows it.
    pub next: SecretHash,
    /// End of the chain, unix milliseconds.
    pub expires_at: i64,
    /// Unix milliseconds.
    pub now: i64,
}

fn session_row(row: &Row<'_>) -> Result<SessionRow, rusqlite::Error> {
    Ok(SessionRow {
        id: row.get(0)?,
        user_id: row.get(1)?,
        cookie_hash: row.get(2)?,
        signed_in_at: row.get(3)?,
        used_at: row.get(4)?,
        expires_at: row.get(5)?,
    })
}

fn chain_row(row: &Row<'_>) -> Result<RefreshChainRow, rusqlite::Error> {
    Ok(RefreshChainRow {
        id: row.get(0)?,
        session_id: row.get(1)?,
        client_id: row.get(2)?,
        token_hash: row.get(3)?,
        scope: row.get(4)?,
        expires_at: row.get(5)?,
    })
}
