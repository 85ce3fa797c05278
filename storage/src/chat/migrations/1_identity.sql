-- Accounts, sign-in sessions and the settings of the workspace.
-- Times are unix milliseconds. Secrets are stored as hashes only.

CREATE TABLE users (
    id            TEXT PRIMARY KEY,               -- UUIDv7
    username      TEXT NOT NULL UNIQUE,
    display_name  TEXT NOT NULL,
    email         TEXT,
    password_hash TEXT,                           -- argon2id, PHC string; NULL: cannot sign in with a password
    disabled      INTEGER NOT NULL DEFAULT 0 CHECK (disabled IN (0, 1)),
    created_at    INTEGER NOT NULL
) STRICT;

CREATE TABLE user_roles (
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    role    TEXT NOT NULL,
    PRIMARY KEY (user_id, role)
) STRICT, WITHOUT ROWID;

-- One row per sign-in: what a browser's cookie stands for.
CREATE TABLE sessions (
    id           TEXT PRIMARY KEY,                -- the `sid` claim
    user_id      TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    cookie_hash  BLOB UNIQUE,                     -- SHA-256; NULL for sessions without a browser
    signed_in_at INTEGER NOT NULL,
    used_at      INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL
) STRICT;
CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

-- One row per chain of rotated refresh tokens; each tab of a browser has its own.
CREATE TABLE refresh_chains (
    id         TEXT PRIMARY KEY,
    session_id TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    client_id  TEXT NOT NULL,
    token_hash BLOB NOT NULL,                     -- SHA-256 of the only token that is good
    scope      TEXT NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX refresh_chains_by_session ON refresh_chains (session_id);

CREATE TABLE settings (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
