//! The streams of one account, for code inside the process.

use std::sync::Arc;

use super::config::StreamConfig;
use super::error::StreamError;
use super::kv::{Bucket, KeyValue, KvError};
use super::registry::AccountStreams;
use super::stream::StreamHandle;
use crate::account::Account;
use crate::server::Shared;

/// The streams of one account, for code inside the process.
#[derive(Clone)]
pub struct Streams {
    server: Arc<Shared>,
    account: Arc<Account>,
}

impl std::fmt::Debug for Streams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Streams")
            .field("account", &self.account.name)
            .finish_non_exhaustive()
    }
}

impl Streams {
    pub(crate) fn new(server: Arc<Shared>, account: Arc<Account>) -> Self {
        Self { server, account }
    }

    fn enabled(&self) -> Result<Arc<AccountStreams>, StreamError> {
        self.server.streams.enable(&self.account)
    }

    /// Makes a stream, or finds the one that exists with the same configuration. It captures its subjects from now on.
    ///
    /// # Errors
    /// [`StreamError::NameInUse`] where one exists with another configuration, [`StreamError::SubjectsOverlap`] where
    /// another stream takes a subject, and which rule the configuration breaks.
    pub async fn create(&self, config: StreamConfig) -> Result<StreamHandle, StreamError> {
        self.enabled()?.create(config, false).await
    }

    /// Makes a stream, or gives the one that exists this configuration.
    ///
    /// # Errors
    /// As [`Streams::create`], and where the change is not allowed.
    pub async fn create_or_update(
        &self,
        config: StreamConfig,
    ) -> Result<StreamHandle, StreamError> {
        self.enabled()?.create_or_update(config).await
    }

    /// An open stream by name.
    #[must_use]
    pub fn stream(&self, name: &str) -> Option<StreamHandle> {
        self.server.streams.find(&self.account.name)?.find(name)
    }

    /// The names of all open streams, sorted.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let Some(streams) = self.server.streams.find(&self.account.name) else {
            return Vec::new();
        };
        let all = streams.all();
        all.iter()
            .map(|stream| stream.config().name.clone())
            .collect()
    }

    /// Removes a stream and everything in it; false if there was none.
    ///
    /// # Errors
    /// The file cannot be removed.
    pub async fn remove(&self, name: &str) -> Result<bool, StreamError> {
        self.enabled()?.remove(name).await
    }

    /// Makes or opens a key-value bucket; an existing one gets this configuration.
    ///
    /// # Errors
    /// The bucket's name is malformed, or the stream cannot be made.
    pub async fn kv(&self, bucket: Bucket) -> Result<KeyValue, KvError> {
        let name = bucket.name.clone();
        let handle = self.create_or_update(bucket.into_stream_config()?).await?;
        Ok(KeyValue::new(name, handle))
    }
}
