//! Accounts: making them, changing them, checking their passwords.
//!
//! Needs the chat database and nothing else, so the command line works beside a running server, which notices.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use storage::chat::ChatDb;
use storage::chat::users::{FirstUser, UserRow};

use super::guard::Guard;
use super::password::{self, Hasher, Verified};
use super::{Error, SignInError, UserName, unix_millis};

/// What an account may do beyond being signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Runs the workspace.
    Admin,
    /// Writes messages and makes rooms.
    User,
}

impl Role {
    /// The name in tokens and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::User => "user",
        }
    }
}

impl std::str::FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        match text {
            "admin" => Ok(Self::Admin),
            "user" => Ok(Self::User),
            _ => Err(UnknownRole),
        }
    }
}

/// The text is not a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("roles are admin and user")]
pub struct UnknownRole;

/// An account, without its secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// UUIDv7; the `sub` claim.
    pub id: String,
    /// The name in subjects and tokens.
    pub username: String,
    /// What people read.
    pub display_name: String,
    /// Where to write to, if known.
    pub email: Option<String>,
    /// Sorted role names.
    pub roles: Vec<String>,
    /// Cannot sign in.
    pub disabled: bool,
    /// Unix milliseconds.
    pub created_at: i64,
}

impl User {
    /// Whether the account has `role`.
    #[must_use]
    pub fn has_role(&self, role: Role) -> bool {
        self.roles.iter().any(|name| name == role.as_str())
    }
}

impl From<UserRow> for User {
    fn from(row: UserRow) -> Self {
        Self {
            id: row.id,
            username: row.username,
            display_name: row.display_name,
            email: row.email,
            roles: row.roles,
            disabled: row.disabled,
            created_at: row.created_at,
        }
    }
}

/// What a new account starts with.
#[derive(Clone)]
pub struct NewUser {
    /// The name in subjects and tokens.
    pub username: UserName,
    /// What people read; the user name when empty.
    pub display_name: String,
    /// Where to write to, if known.
    pub email: Option<String>,
    /// Must keep the password rule.
    pub password: String,
    /// Usually [`Role::User`], for administrators both.
    pub roles: Vec<Role>,
}

/// The accounts of the workspace. Clones share the counters of failed attempts.
#[derive(Debug, Clone)]
pub struct Accounts {
    db: ChatDb,
    hasher: Hasher,
    guard: Arc<Mutex<Guard>>,
}

impl Accounts {
    /// Accounts kept in `db`.
    #[must_use]
    pub fn new(db: ChatDb) -> Self {
        Self {
            db,
            hasher: Hasher::new(),
            guard: Arc::default(),
        }
    }

    /// Adds an account.
    ///
    /// # Errors
    /// [`Error::NameTaken`], [`Error::Password`], [`Error::DisplayName`], or the database's.
    pub async fn create(&self, new: NewUser) -> Result<User, Error> {
        let row = self.row(new).await?;
        let user = User::from(row.clone());
        match self.db.insert_user(row).await? {
            true => Ok(user),
            false => Err(Error::NameTaken {
                username: user.username,
            }),
        }
    }

    /// Adds the first administrator; `None` when there is one already.
    pub(crate) async fn create_first_admin(&self, new: NewUser) -> Result<Option<User>, Error> {
        let row = self.row(new).await?;
        let user = User::from(row.clone());
        match self
            .db
            .insert_first_user_with_role(row, Role::Admin.as_str())
            .await?
        {
            FirstUser::Added => Ok(Some(user)),
            FirstUser::RoleTaken => Ok(None),
            FirstUser::NameTaken => Err(Error::NameTaken {
                username: user.username,
            }),
        }
    }

    /// Every account, by user name.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn list(&self) -> Result<Vec<User>, Error> {
        Ok(self.db.users().await?.into_iter().map(User::from).collect())
    }

    /// The account with this user name.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn user(&self, username: &UserName) -> Result<Option<User>, Error> {
        Ok(self
            .db
            .user_by_name(username.as_str())
            .await?
            .map(User::from))
    }

    /// Replaces the password and signs the user out everywhere.
    ///
    /// # Errors
    /// [`Error::Password`], [`Error::UnknownUser`], or the database's.
    pub async fn set_password(&self, username: &UserName, new: &str) -> Result<(), Error> {
        password::check_rule(new, username.as_str())?;
        let hash = self.hasher.hash(new).await?;
        known(
            username,
            self.db.set_password_hash(username.as_str(), hash).await?,
        )
    }

    /// Gives a role. Open connections are closed and come back with it.
    ///
    /// # Errors
    /// [`Error::UnknownUser`], or the database's.
    pub async fn add_role(&self, username: &UserName, role: Role) -> Result<(), Error> {
        known(
            username,
            self.db
                .add_user_role(username.as_str(), role.as_str())
                .await?,
        )
    }

    /// Takes a role. Open connections are closed and come back without it.
    ///
    /// # Errors
    /// [`Error::UnknownUser`], or the database's.
    pub async fn remove_role(&self, username: &UserName, role: Role) -> Result<(), Error> {
        known(
            username,
            self.db
                .remove_user_role(username.as_str(), role.as_str())
                .await?,
        )
    }

    /// Disables the account and signs the user out everywhere.
    ///
    /// # Errors
    /// [`Error::UnknownUser`], or the database's.
    pub async fn disable(&self, username: &UserName) -> Result<(), Error> {
        known(
            username,
            self.db.set_user_disabled(username.as_str(), true).await?,
        )
    }

    /// Lets a disabled account sign in again.
    ///
    /// # Errors
    /// [`Error::UnknownUser`], or the database's.
    pub async fn enable(&self, username: &UserName) -> Result<(), Error> {
        known(
            username,
            self.db.set_user_disabled(username.as_str(), false).await?,
        )
    }

    /// Checks a password typed by a person at `address`, who may have to wait after failures.
    ///
    /// # Errors
    /// [`SignInError`]; unknown users and wrong passwords look and take the same.
    pub async fn verify_password(
        &self,
        username: &str,
        password: &str,
        address: IpAddr,
    ) -> Result<User, SignInError> {
        // Longer names do not exist, and must not fill the memory of failures.
        let username: String = username.trim().to_lowercase().chars().take(64).collect();
        self.check_wait(&username, address)?;
        let turn = self.hasher.turn().await?;
        // Again, for others may have failed while this one waited for its turn.
        self.check_wait(&username, address)?;
        let row = self.db.user_by_name(&username).await.map_err(Error::from)?;
        let hash = row.as_ref().and_then(|row| row.password_hash.clone());
        let verified = turn.verify(password.to_owned(), hash.clone()).await?;
        let Some(row) = row.filter(|_| verified != Verified::Mismatch) else {
            self.guard().failed(&username, address, Instant::now());
            return Err(SignInError::Wrong);
        };
        self.guard().succeeded(&username);
        if row.disabled {
            return Err(SignInError::Disabled);
        }
        if let (Verified::MatchUpgraded(to), Some(from)) = (verified, hash) {
            self.db
                .upgrade_password_hash(&row.id, from, to)
                .await
                .map_err(Error::from)?;
        }
        Ok(User::from(row))
    }

    pub(crate) async fn user_by_id(&self, id: &str) -> Result<Option<User>, Error> {
        Ok(self.db.user_by_id(id).await?.map(User::from))
    }

    async fn row(&self, new: NewUser) -> Result<UserRow, Error> {
        password::check_rule(&new.password, new.username.as_str())?;
        let display_name = check_display_name(&new.display_name, &new.username)?;
        let password_hash = self.hasher.hash(&new.password).await?;
        Ok(user_row(
            new.username.as_str(),
            display_name,
            new.email,
            password_hash,
            &new.roles,
        ))
    }

    fn check_wait(&self, username: &str, address: IpAddr) -> Result<(), SignInError> {
        let wait = self.guard().wait(username, address, Instant::now());
        if wait.is_zero() {
            Ok(())
        } else {
            Err(SignInError::TooManyAttempts { wait })
        }
    }

    fn guard(&self) -> MutexGuard<'_, Guard> {
        self.guard.lock().expect("no panic under this lock")
    }
}

/// A row for a new, enabled account.
pub(super) fn user_row(
    username: &str,
    display_name: String,
    email: Option<String>,
    password_hash: String,
    roles: &[Role],
) -> UserRow {
    UserRow {
        id: uuid::Uuid::now_v7().to_string(),
        username: username.to_owned(),
        display_name,
        email,
        password_hash: Some(password_hash),
        roles: roles.iter().map(|role| role.as_str().to_owned()).collect(),
        disabled: false,
        created_at: unix_millis(std::time::SystemTime::now()),
    }
}

fn check_display_name(text: &str, username: &UserName) -> Result<String, Error> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(username.to_string());
    }
    if text.chars().count() > 80 || text.chars().any(char::is_control) {
        return Err(Error::DisplayName);
    }
    Ok(text.to_owned())
}

fn known(username: &UserName, found: bool) -> Result<(), Error> {
    if found {
        Ok(())
    } else {
        Err(Error::UnknownUser {
            username: username.to_string(),
        })
    }
}
