//! What the JetStream parts of one server share: who the server is, its limits, and where tasks belong.

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::limits::JetStreamLimits;

/// How JetStream behaves; the defaults are nats-server's.
#[derive(Debug, Clone)]
pub struct JetStreamConfig {
    /// Name of this server's part of a larger system: its API then answers under `$JS.<domain>.API.` too.
    pub domain: Option<String>,
    /// Every cap.
    pub limits: JetStreamLimits,
    /// Requests with members that nobody knows are refused. Default: they are.
    pub strict: bool,
}

impl Default for JetStreamConfig {
    fn default() -> Self {
        Self {
            domain: None,
            limits: JetStreamLimits::default(),
            strict: true,
        }
    }
}

/// Shared by all accounts of a server.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) config: JetStreamConfig,
    pub(crate) server_name: String,
    pub(crate) server_id: String,
    /// Every task of JetStream belongs to the server.
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
}
