//! Who people are: accounts, sign-in sessions, tokens, keys. The logic of the built-in OIDC provider, free of HTTP.
//!
//! [`Identity`] is the whole of it; [`Accounts`] is the part that needs the database only. A session that ends, by
//! signing out, a disabled account, a changed password or role, here or in another process, cuts off its connections
//! within a second: [`Identity`] watches the database for writes of others and rechecks whoever is connected.
//!
//! Secrets (cookies, codes, refresh tokens, the setup link) are kept as hashes only and never logged.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use storage::chat::ChatDb;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

mod accounts;
mod clients;
mod codes;
mod demo;
mod error;
mod grants;
mod guard;
mod keys;
mod live;
mod oauth;
mod origin;
mod password;
mod pkce;
mod secret;
mod sessions;
mod setup;
#[cfg(test)]
mod tests;
mod token;
mod user_name;
mod watch;

pub use accounts::{Accounts, NewUser, Role, UnknownRole, User};
pub use clients::{DEMO_CLIENT_ID, DEMO_REALM, OidcClient, Redirects, WEB_CLIENT_ID};
pub use demo::{DEMO_USERS, seed_demo_users};
pub use error::{Error, SignInError};
pub use oauth::{AuthorizeRequest, Caller, OauthError, TokenRequest, TokenResponse};
pub use origin::Origins;
pub use password::{PASSWORD_RULE, check_rule as check_password_rule};
pub use secret::Secret;
pub use sessions::{Admitted, Session, SignedIn};
pub use setup::{SETUP_LIFETIME, Setup, SetupError};
pub use token::{AccessClaims, RealmAccess, TokenError};
pub use user_name::{UserName, UserNameError};

use codes::CodeStore;
use keys::Keys;
use live::LiveSessions;
use setup::SetupLink;

/// How identity behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The name in the sign-in addresses: `/auth/realms/{realm}`.
    pub realm: String,
    /// Where people reach the appliance (`https://chat.example.org`), or `None` for localhost and IP addresses.
    pub public_url: Option<String>,
    /// How long an access token is good.
    pub access_token_lifetime: Duration,
    /// A session ends when it was not used for this long.
    pub session_idle_max: Duration,
    /// A session ends after this time whatever happens.
    pub session_max: Duration,
    /// Who may ask for tokens.
    pub clients: Vec<OidcClient>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            realm: "natterjack".to_owned(),
            public_url: None,
            access_token_lifetime: Duration::from_secs(15 * 60),
            session_idle_max: Duration::from_secs(30 * 86_400),
            session_max: Duration::from_secs(180 * 86_400),
            clients: vec![OidcClient::web()],
        }
    }
}

impl Config {
    /// Today's configuration with the contract's realm, and its client beside our own.
    #[must_use]
    pub fn for_demo(self) -> Self {
        Self {
            realm: DEMO_REALM.to_owned(),
            clients: vec![OidcClient::web(), OidcClient::demo()],
            ..self
        }
    }
}

/// The built-in provider.
pub struct Identity {
    db: ChatDb,
    accounts: Accounts,
    config: Config,
    origins: Origins,
    keys: Keys,
    codes: Mutex<CodeStore>,
    live: LiveSessions,
    setup: Mutex<SetupLink>,
    /// Once there is an administrator, setup is over for good.
    is_set_up: AtomicBool,
    stop: CancellationToken,
    watcher: Mutex<Option<JoinHandle<()>>>,
}

impl Identity {
    /// Opens the provider, making its signing key at the first start, and starts watching for changes of others.
    ///
    /// # Errors
    /// [`Error::Key`] says what is wrong with a key and what to do; otherwise the database's.
    pub async fn open(db: ChatDb, keys_dir: &Path, config: Config) -> Result<Arc<Self>, Error> {
        let dir = keys_dir.to_owned();
        let keys = tokio::task::spawn_blocking(move || Keys::open(&dir))
            .await
            .map_err(|_| Error::Internal("reading the signing keys panicked"))??;
        let identity = Arc::new(Self {
            accounts: Accounts::new(db.clone()),
            origins: Origins::new(config.public_url.as_deref()),
            config,
            keys,
            codes: Mutex::default(),
            live: LiveSessions::default(),
            setup: Mutex::default(),
            is_set_up: AtomicBool::new(false),
            stop: CancellationToken::new(),
            watcher: Mutex::new(None),
            db,
        });
        let watcher = tokio::spawn(watch::run(Arc::downgrade(&identity), identity.stop.clone()));
        *identity.watcher.lock().expect("no panic under this lock") = Some(watcher);
        Ok(identity)
    }

    /// Stops watching. The database is the caller's to close.
    pub async fn close(&self) {
        self.stop.cancel();
        let watcher = self
            .watcher
            .lock()
            .expect("no panic under this lock")
            .take();
        if let Some(watcher) = watcher {
            let _ = watcher.await;
        }
    }

    /// How it was configured.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The accounts. For changes use the methods of [`Identity`] of the same name, which reach open connections at once.
    #[must_use]
    pub fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// Which addresses are ours.
    #[must_use]
    pub fn origins(&self) -> &Origins {
        &self.origins
    }

    /// The issuer as seen from `origin`.
    #[must_use]
    pub fn issuer(&self, origin: &str) -> String {
        format!("{origin}/auth/realms/{}", self.config.realm)
    }

    /// The registered client with this id.
    #[must_use]
    pub fn client(&self, id: &str) -> Option<&OidcClient> {
        self.config.clients.iter().find(|client| client.id == id)
    }

    /// Whether pages of `origin` may call us with credentials and open a WebSocket.
    #[must_use]
    pub fn allows_web_origin(&self, origin: &str) -> bool {
        self.config
            .clients
            .iter()
            .any(|client| client.web_origins.iter().any(|known| known == origin))
    }

    /// The public signing keys as JSON (RFC 7517).
    ///
    /// # Panics
    /// Never: a JWK set is always JSON.
    #[must_use]
    pub fn jwks(&self) -> serde_json::Value {
        serde_json::to_value(self.keys.public()).expect("a JWK set is always JSON")
    }

    /// What the workspace is called.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn workspace(&self) -> Result<String, Error> {
        Ok(self
            .db
            .setting(WORKSPACE)
            .await?
            .unwrap_or_else(|| "natterjack".to_owned()))
    }

    /// Names the workspace.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn set_workspace(&self, name: &str) -> Result<(), Error> {
        Ok(self.db.set_setting(WORKSPACE, name.to_owned()).await?)
    }

    /// A new setup link's secret while there is no administrator; earlier ones are void.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn setup_token(&self) -> Result<Option<Secret>, Error> {
        if self.is_set_up().await? {
            return Ok(None);
        }
        Ok(Some(self.setup_link().renew(Instant::now())))
    }

    /// Whether there is an administrator.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn is_set_up(&self) -> Result<bool, Error> {
        if self.is_set_up.load(Ordering::Relaxed) {
            return Ok(true);
        }
        let is_set_up = self.db.any_user_with_role(Role::Admin.as_str()).await?;
        if is_set_up {
            self.is_set_up.store(true, Ordering::Relaxed);
            self.setup_link().close();
        }
        Ok(is_set_up)
    }

    /// Whether a setup link with this secret is good now.
    ///
    /// # Errors
    /// [`SetupError::Link`] or [`SetupError::Done`], or the database's.
    pub async fn check_setup(&self, token: &str) -> Result<(), SetupError> {
        if self.is_set_up().await? {
            return Err(SetupError::Done);
        }
        if self.setup_link().is_good(token, Instant::now()) {
            Ok(())
        } else {
            Err(SetupError::Link)
        }
    }

    /// Makes the first administrator and names the workspace.
    ///
    /// # Errors
    /// [`SetupError`]; the link stays good until it has worked.
    pub async fn complete_setup(&self, setup: Setup) -> Result<User, SetupError> {
        self.check_setup(&setup.token).await?;
        let workspace = setup.workspace.trim();
        if !(1..=60).contains(&workspace.chars().count()) || workspace.chars().any(char::is_control)
        {
            return Err(SetupError::Workspace);
        }
        let new = NewUser {
            username: UserName::parse(&setup.username).map_err(Error::from)?,
            display_name: setup.display_name,
            email: None,
            password: setup.password,
            roles: vec![Role::Admin, Role::User],
        };
        let admin = self
            .accounts
            .create_first_admin(new)
            .await?
            .ok_or(SetupError::Done)?;
        self.setup_link().close();
        self.set_workspace(workspace).await?;
        tracing::info!(
            username = admin.username,
            "the workspace has its first administrator"
        );
        Ok(admin)
    }

    /// [`Accounts::set_password`], and its connections are cut off.
    ///
    /// # Errors
    /// As there.
    pub async fn set_password(&self, username: &UserName, new: &str) -> Result<(), Error> {
        self.accounts.set_password(username, new).await?;
        Ok(self.recheck().await?)
    }

    /// [`Accounts::disable`], and its connections are cut off.
    ///
    /// # Errors
    /// As there.
    pub async fn disable(&self, username: &UserName) -> Result<(), Error> {
        self.accounts.disable(username).await?;
        Ok(self.recheck().await?)
    }

    /// [`Accounts::add_role`], and its connections come back with it.
    ///
    /// # Errors
    /// As there.
    pub async fn add_role(&self, username: &UserName, role: Role) -> Result<(), Error> {
        self.accounts.add_role(username, role).await?;
        Ok(self.recheck().await?)
    }

    /// [`Accounts::remove_role`], and its connections come back without it.
    ///
    /// # Errors
    /// As there.
    pub async fn remove_role(&self, username: &UserName, role: Role) -> Result<(), Error> {
        self.accounts.remove_role(username, role).await?;
        Ok(self.recheck().await?)
    }

    fn setup_link(&self) -> MutexGuard<'_, SetupLink> {
        self.setup.lock().expect("no panic under this lock")
    }

    fn codes(&self) -> MutexGuard<'_, CodeStore> {
        self.codes.lock().expect("no panic under this lock")
    }
}

const WORKSPACE: &str = "workspace";

pub(crate) fn unix_millis(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

pub(crate) fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}
