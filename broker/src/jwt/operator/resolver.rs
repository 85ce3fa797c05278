//! Where account JWTs come from.

use std::io;
use std::time::Duration;

use hashbrown::{HashMap, HashSet};
use tokio::sync::Semaphore;
use url::Url;

use super::directory::Directory;
use super::http;
use super::trust::key;
use crate::jwt::ConfigError;
use crate::jwt::config::{OperatorConfig, ResolverConfig};
use crate::jwt::nkey::{KeyKind, PublicKey};
use crate::limits::ACCOUNT_FETCHES_MAX;

/// How long an account server is waited for.
const FETCH_TIMEOUT: Duration = Duration::from_secs(2);

/// Finds accounts by key.
#[derive(Debug)]
pub(super) struct Resolver {
    preload: HashMap<PublicKey, String>,
    /// `None`: every account may be looked for.
    pinned: Option<HashSet<PublicKey>>,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Memory,
    Directory {
        directory: Directory,
        allows_delete: bool,
    },
    Url {
        url: Url,
        fetches: Semaphore,
    },
}

impl Resolver {
    pub(super) fn new(config: &OperatorConfig) -> Result<Self, ConfigError> {
        let account = |text: &String| key("resolver_preload", text, KeyKind::Account);
        let mut preload = HashMap::new();
        for (name, jwt) in &config.resolver_preload {
            preload.insert(account(name)?, jwt.trim().to_owned());
        }
        let pinned: HashSet<_> = config
            .resolver_pinned_accounts
            .iter()
            .map(|text| key("resolver_pinned_accounts", text, KeyKind::Account))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            preload,
            pinned: (!pinned.is_empty()).then_some(pinned),
            source: Source::new(&config.resolver)?,
        })
    }

    /// The JWT of an account, not looked at yet. Files stand above what was there from the start: they are newer.
    pub(super) async fn fetch(&self, key: PublicKey) -> io::Result<Option<String>> {
        let preloaded = || Ok(self.preload.get(&key).cloned());
        let is_pinned = |pinned: &HashSet<_>| pinned.contains(&key);
        if !self.pinned.as_ref().is_none_or(is_pinned) {
            return preloaded();
        }
        match &self.source {
            Source::Memory => preloaded(),
            Source::Directory { directory, .. } => {
                let directory = directory.clone();
                match blocking(move || directory.load(&key)).await? {
                    Some(jwt) => Ok(Some(jwt)),
                    None => preloaded(),
                }
            }
            Source::Url { url, fetches } => {
                if let Some(jwt) = self.preload.get(&key) {
                    return Ok(Some(jwt.clone()));
                }
                let closed = |_| io::Error::other("the resolver is closed");
                let _permit = fetches.acquire().await.map_err(closed)?;
                let url = url
                    .join(&key.to_string())
                    .map_err(|error| io::Error::other(error.to_string()))?;
                let fetched = tokio::time::timeout(FETCH_TIMEOUT, http::get(&url)).await;
                Ok(fetched
                    .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??
                    .map(|jwt| jwt.trim().to_owned()))
            }
        }
    }

    /// The accounts that are there from the start.
    pub(super) fn preloaded(&self) -> impl Iterator<Item = PublicKey> + '_ {
        self.preload.keys().copied()
    }

    /// Writes what is there from the start into the directory, where nothing newer stands.
    pub(super) async fn settle(&self) -> io::Result<()> {
        let Some(directory) = self.directory() else {
            return Ok(());
        };
        let (directory, preload) = (directory.clone(), self.preload.clone());
        blocking(move || {
            for (key, jwt) in preload {
                if directory.load(&key)?.is_none() {
                    directory.save(&key, &jwt)?;
                }
            }
            Ok(())
        })
        .await
    }

    fn directory(&self) -> Option<&Directory> {
        match &self.source {
            Source::Directory { directory, .. } => Some(directory),
            Source::Memory | Source::Url { .. } => None,
        }
    }

    /// Whether accounts can be listed and changed by requests.
    pub(super) fn is_writable(&self) -> bool {
        self.directory().is_some()
    }

    pub(super) fn allows_delete(&self) -> bool {
        matches!(&self.source, Source::Directory { allows_delete, .. } if *allows_delete)
    }

    pub(super) async fn save(&self, key: PublicKey, jwt: String) -> io::Result<()> {
        self.with_directory(move |directory| directory.save(&key, &jwt))
            .await
    }

    pub(super) async fn delete(&self, key: PublicKey) -> io::Result<()> {
        self.with_directory(move |directory| directory.delete(&key))
            .await
    }

    pub(super) async fn list(&self) -> io::Result<Vec<PublicKey>> {
        self.with_directory(Directory::list).await
    }

    async fn with_directory<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Directory) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let none = || io::Error::from(io::ErrorKind::Unsupported);
        let directory = self.directory().ok_or_else(none)?.clone();
        blocking(move || work(&directory)).await
    }
}

impl Source {
    fn new(config: &ResolverConfig) -> Result<Self, ConfigError> {
        Ok(match config {
            ResolverConfig::Memory => Self::Memory,
            ResolverConfig::Full {
                dir,
                allow_delete,
                limit,
                ..
            } => Self::Directory {
                directory: Directory::open(dir, *limit, None)?,
                allows_delete: *allow_delete,
            },
            ResolverConfig::Cache { dir, limit, ttl } => Self::Directory {
                directory: Directory::open(dir, *limit, Some(*ttl))?,
                allows_delete: false,
            },
            ResolverConfig::Url { url } => {
                let unusable =
                    |reason: String| ConfigError::Unusable(format!("resolver {url:?}: {reason}"));
                let parsed = Url::parse(url).map_err(|error| unusable(error.to_string()))?;
                if parsed.scheme() != "http" {
                    return Err(unusable(
                        "only http:// is spoken to account servers".to_owned(),
                    ));
                }
                Self::Url {
                    url: parsed,
                    fetches: Semaphore::new(ACCOUNT_FETCHES_MAX),
                }
            }
        })
    }
}

/// Runs file work off the async threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let joined = tokio::task::spawn_blocking(work).await;
    joined.map_err(io::Error::other)?
}
