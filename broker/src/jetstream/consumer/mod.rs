//! Consumers of one stream.

mod in_process;

use storage::stream::Stream;

pub use self::in_process::{Batch, PullConsumer, StreamMessage};

use super::error_code::ApiError;

/// The consumers of one stream.
#[derive(Debug, Default)]
pub(crate) struct Consumers {}

impl Consumers {
    /// The consumers that are kept in the stream's file.
    ///
    /// # Errors
    /// They cannot be read.
    #[expect(clippy::unused_async, reason = "reads the file")]
    pub(crate) async fn open(_stream: &Stream) -> Result<Self, storage::Error> {
        Ok(Self::default())
    }

    /// Names, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        Vec::new()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        0
    }

    /// Removes one; false if there was none of that name.
    ///
    /// # Errors
    /// Storage failed.
    #[expect(clippy::unused_async, reason = "changes the file")]
    pub(crate) async fn remove(&self, _name: &str) -> Result<bool, ApiError> {
        Ok(false)
    }

    /// The stream closes or is removed: deliveries end, and whoever waits is told.
    pub(crate) fn stop(&self) {}
}
