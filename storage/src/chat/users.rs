//! Accounts: who may sign in, with which roles.

use rusqlite::{Connection, OptionalExtension, Row, ToSql, Transaction};

use super::{ChatDb, Error};

/// One account.
#[derive(Clone, PartialEq, Eq)]
pub struct UserRow {
    /// UUIDv7.
    pub id: String,
    /// Unique; the name in subjects and tokens.
    pub username: String,
    /// What people read.
    pub display_name: String,
    /// Where to write to, if known.
    pub email: Option<String>,
    /// argon2id as a PHC string; `None` cannot sign in with a password.
    pub password_hash: Option<String>,
    /// Sorted role names.
    pub roles: Vec<String>,
    /// A disabled account cannot sign in and its sessions are dead.
    pub disabled: bool,
    /// Unix milliseconds.
    pub created_at: i64,
}

impl std::fmt::Debug for UserRow {
    /// Without the password hash.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UserRow")
            .field("id", &self.id)
            .field("username", &self.username)
            .field("roles", &self.roles)
            .field("disabled", &self.disabled)
            .finish_non_exhaustive()
    }
}

/// What the directory shows of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserCard {
    /// The name in subjects and tokens.
    pub username: String,
    /// What people read.
    pub display_name: String,
    /// Where to write to, if known.
    pub email: Option<String>,
}

const COLUMNS: &str = "u.id, u.username, u.display_name, u.email, u.password_hash, u.disabled, u.created_at,
    coalesce((SELECT group_concat(role, ',' ORDER BY role) FROM user_roles r WHERE r.user_id = u.id), '')";

impl ChatDb {
    /// Adds an account; `false` when the username is taken, and nothing changes.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn insert_user(&self, user: UserRow) -> Result<bool, Error> {
        self.write(move |tx| insert(tx, &user)).await
    }

    /// Adds an account unless somebody with `role` exists, in one step, so that two first starts cannot both win.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn insert_first_user_with_role(
        &self,
        user: UserRow,
        role: &'static str,
    ) -> Result<FirstUser, Error> {
        self.write(move |tx| {
            if has_role(tx, role)? {
                return Ok(FirstUser::RoleTaken);
            }
            Ok(if insert(tx, &user)? {
                FirstUser::Added
            } else {
                FirstUser::NameTaken
            })
        })
        .await
    }

    /// The account with this username.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn user_by_name(&self, username: &str) -> Result<Option<UserRow>, Error> {
        let username = username.to_owned();
        self.read(move |c| {
            let sql = format!("SELECT {COLUMNS} FROM users u WHERE u.username = ?1");
            c.prepare_cached(&sql)?
                .query_row([username], user_row)
                .optional()
        })
        .await
    }

    /// The account with this id.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn user_by_id(&self, id: &str) -> Result<Option<UserRow>, Error> {
        let id = id.to_owned();
        self.read(move |c| {
            let sql = format!("SELECT {COLUMNS} FROM users u WHERE u.id = ?1");
            c.prepare_cached(&sql)?.query_row([id], user_row).optional()
        })
        .await
    }

    /// Every account, by username. For the command line; the directory uses [`search_users`](Self::search_users).
    ///
    /// # Errors
    /// When the database fails.
    pub async fn users(&self) -> Result<Vec<UserRow>, Error> {
        self.read(|c| {
            let sql = format!("SELECT {COLUMNS} FROM users u ORDER BY u.username");
            c.prepare_cached(&sql)?.query_map([], user_row)?.collect()
        })
        .await
    }

    /// Enabled accounts whose username, name or e-mail contains `text` (case-insensitive), by username.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn search_users(&self, text: &str, count_max: usize) -> Result<Vec<UserCard>, Error> {
        const SQL: &str = r"SELECT username, display_name, email FROM users
            WHERE disabled = 0 AND (username LIKE ?1 ESCAPE '\' OR display_name LIKE ?1 ESCAPE '\' OR email LIKE ?1 ESCAPE '\')
            ORDER BY username LIMIT ?2";
        let pattern = format!("%{}%", escape_like(text));
        self.read(move |c| {
            c.prepare_cached(SQL)?
                .query_map((pattern, count_max as i64), user_card)?
                .collect()
        })
        .await
    }

    /// Cards of these usernames, in no particular order; unknown names are left out.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn user_cards(&self, usernames: Vec<String>) -> Result<Vec<UserCard>, Error> {
        const SQL: &str = "SELECT username, display_name, email FROM users
            WHERE username IN (SELECT value FROM json_each(?1))";
        let names = serde_json::to_string(&usernames).expect("a list of strings is always JSON");
        self.read(move |c| {
            c.prepare_cached(SQL)?
                .query_map([names], user_card)?
                .collect()
        })
        .await
    }

    /// Whether an enabled account has `role`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn any_user_with_role(&self, role: &'static str) -> Result<bool, Error> {
        self.read(move |c| has_role(c, role)).await
    }

    /// Replaces the password hash and ends the account's sessions; `false` when there is no such account.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn set_password_hash(
        &self,
        username: &str,
        password_hash: String,
    ) -> Result<bool, Error> {
        const UPDATE: &str = "UPDATE users SET password_hash = ?2 WHERE username = ?1";
        let username = username.to_owned();
        self.write(move |tx| {
            let found = update_one(tx, UPDATE, &[&username, &password_hash])?;
            end_sessions(tx, &username)?;
            Ok(found)
        })
        .await
    }

    /// Replaces the password hash of the same password by one with today's parameters; sessions live on.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn upgrade_password_hash(
        &self,
        id: &str,
        from: String,
        to: String,
    ) -> Result<(), Error> {
        const UPDATE: &str =
            "UPDATE users SET password_hash = ?3 WHERE id = ?1 AND password_hash = ?2";
        let id = id.to_owned();
        self.write(move |tx| update_one(tx, UPDATE, &[&id, &from, &to]).map(drop))
            .await
    }

    /// Disables or enables an account; disabling ends its sessions. `false` when there is no such account.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn set_user_disabled(&self, username: &str, disabled: bool) -> Result<bool, Error> {
        const UPDATE: &str = "UPDATE users SET disabled = ?2 WHERE username = ?1";
        let username = username.to_owned();
        self.write(move |tx| {
            if disabled {
                end_sessions(tx, &username)?;
            }
            update_one(tx, UPDATE, &[&username, &disabled])
        })
        .await
    }

    /// Gives an account a role; `false` when there is no such account.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn add_user_role(&self, username: &str, role: &str) -> Result<bool, Error> {
        const INSERT: &str = "INSERT OR IGNORE INTO user_roles (user_id, role)
            SELECT id, ?2 FROM users WHERE username = ?1";
        self.change_role(username, role, INSERT).await
    }

    /// Takes a role from an account; `false` when there is no such account.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn remove_user_role(&self, username: &str, role: &str) -> Result<bool, Error> {
        const DELETE: &str = "DELETE FROM user_roles
            WHERE user_id = (SELECT id FROM users WHERE username = ?1) AND role = ?2";
        self.change_role(username, role, DELETE).await
    }

    async fn change_role(
        &self,
        username: &str,
        role: &str,
        sql: &'static str,
    ) -> Result<bool, Error> {
        const KNOWN: &str = "SELECT EXISTS (SELECT 1 FROM users WHERE username = ?1)";
        let (username, role) = (username.to_owned(), role.to_owned());
        self.write(move |tx| {
            tx.prepare_cached(sql)?.execute((&username, &role))?;
            tx.prepare_cached(KNOWN)?
                .query_row([&username], |row| row.get(0))
        })
        .await
    }
}

/// How adding the first holder of a role went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstUser {
    /// The account exists now.
    Added,
    /// Somebody has the role already.
    RoleTaken,
    /// The username is taken.
    NameTaken,
}

fn insert(tx: &Transaction<'_>, user: &UserRow) -> Result<bool, rusqlite::Error> {
    const INSERT: &str =
        "INSERT INTO users (id, username, display_name, email, password_hash, disabled, created_at)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (username) DO NOTHING";
    const INSERT_ROLE: &str = "INSERT INTO user_roles (user_id, role) VALUES (?1, ?2)";
    let added = tx.prepare_cached(INSERT)?.execute((
        &user.id,
        &user.username,
        &user.display_name,
        &user.email,
        &user.password_hash,
        user.disabled,
        user.created_at,
    ))?;
    if added == 0 {
        return Ok(false);
    }
    let mut insert_role = tx.prepare_cached(INSERT_ROLE)?;
    for role in &user.roles {
        insert_role.execute((&user.id, role))?;
    }
    Ok(true)
}

fn has_role(connection: &Connection, role: &str) -> Result<bool, rusqlite::Error> {
    const SQL: &str = "SELECT EXISTS (SELECT 1 FROM user_roles r JOIN users u ON u.id = r.user_id
        WHERE r.role = ?1 AND u.disabled = 0)";
    connection
        .prepare_cached(SQL)?
        .query_row([role], |row| row.get(0))
}

fn end_sessions(tx: &Transaction<'_>, username: &str) -> Result<(), rusqlite::Error> {
    const SQL: &str =
        "DELETE FROM sessions WHERE user_id = (SELECT id FROM users WHERE username = ?1)";
    tx.prepare_cached(SQL)?.execute([username]).map(drop)
}

fn update_one(
    tx: &Transaction<'_>,
    sql: &str,
    values: &[&dyn ToSql],
) -> Result<bool, rusqlite::Error> {
    Ok(tx.prepare_cached(sql)?.execute(values)? == 1)
}

fn user_row(row: &Row<'_>) -> Result<UserRow, rusqlite::Error> {
    let roles: String = row.get(7)?;
    Ok(UserRow {
        id: row.get(0)?,
        username: row.get(1)?,
        display_name: row.get(2)?,
        email: row.get(3)?,
        password_hash: row.get(4)?,
        disabled: row.get(5)?,
        created_at: row.get(6)?,
        roles: roles
            .split(',')
            .filter(|role| !role.is_empty())
            .map(str::to_owned)
            .collect(),
    })
}

fn user_card(row: &Row<'_>) -> Result<UserCard, rusqlite::Error> {
    Ok(UserCard {
        username: row.get(0)?,
        display_name: row.get(1)?,
        email: row.get(2)?,
    })
}

fn escape_like(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '%' | '_' | '\\') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(username: &str, roles: &[&str]) -> UserRow {
        UserRow {
            id: format!("id-{username}"),
            username: username.to_owned(),
            display_name: format!("{username} Example"),
            email: None,
            password_hash: None,
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            disabled: false,
            created_at: 1,
        }
    }

    async fn open() -> (tempfile::TempDir, ChatDb) {
        let dir = tempfile::tempdir().unwrap();
        let db = ChatDb::open(&dir.path().join("chat.sqlite3"))
            .await
            .unwrap();
        (dir, db)
    }

    #[tokio::test]
    async fn a_name_is_given_once() {
        let (_dir, db) = open().await;
        assert!(
            db.insert_user(user("alice", &["admin", "user"]))
                .await
                .unwrap()
        );
        assert!(!db.insert_user(user("alice", &[])).await.unwrap());
        assert_eq!(
            db.user_by_name("alice").await.unwrap().unwrap(),
            user("alice", &["admin", "user"])
        );
    }

    #[tokio::test]
    async fn the_first_admin_is_made_once() {
        let (_dir, db) = open().await;
        let first = |name| db.insert_first_user_with_role(user(name, &["admin"]), "admin");
        assert_eq!(first("alice").await.unwrap(), FirstUser::Added);
        assert_eq!(first("bob").await.unwrap(), FirstUser::RoleTaken);
    }

    #[tokio::test]
    async fn roles_come_and_go() {
        let (_dir, db) = open().await;
        db.insert_user(user("bob", &[])).await.unwrap();
        assert!(db.add_user_role("bob", "admin").await.unwrap());
        assert!(db.add_user_role("bob", "admin").await.unwrap());
        assert_eq!(
            db.user_by_name("bob").await.unwrap().unwrap().roles,
            ["admin"]
        );
        assert!(db.remove_user_role("bob", "admin").await.unwrap());
        assert!(!db.any_user_with_role("admin").await.unwrap());
        assert!(!db.add_user_role("nobody", "admin").await.unwrap());
    }

    #[tokio::test]
    async fn search_takes_wildcards_literally() {
        let (_dir, db) = open().await;
        for name in ["a_b", "axb"] {
            db.insert_user(user(name, &[])).await.unwrap();
        }
        let found = db.search_users("A_B", 10).await.unwrap();
        assert_eq!(
            found
                .iter()
                .map(|card| card.username.as_str())
                .collect::<Vec<_>>(),
            ["a_b"]
        );
        assert_eq!(db.search_users("example", 1).await.unwrap().len(), 1);
        assert!(db.search_users("%", 10).await.unwrap().is_empty());
        assert_eq!(
            db.user_cards(vec!["axb".into(), "nobody".into()])
                .await
                .unwrap()
                .len(),
            1
        );
    }
}
