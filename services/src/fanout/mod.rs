//! Takes what users send, has it stored, and tells everybody concerned (contract 9.1).

mod apps;
mod fetch;
mod ingest;
mod notify;
mod rate;
mod rules;

use std::sync::Arc;

use crate::attendance::Attendance;
use crate::bus::{BucketConfig, BusError};
use crate::directory::Directory;
use crate::endpoint::{Endpoint, Serving};
use crate::limits::MESSAGE_CACHE_TTL;
use crate::{Config, subjects};

pub(crate) use rules::Action;

/// Memory for the content of notifications; five minutes of a busy server.
const MESSAGE_CACHE_BYTES_MAX: u64 = 16 << 20;

const QUEUE_GROUP: &str = "fanout-workers";

/// Subscribes everything; what is returned has to run.
pub(crate) async fn start(
    endpoint: &Endpoint,
    directory: &Arc<Directory>,
    attendance: &Arc<Attendance>,
    config: &Config,
) -> Result<Vec<Serving>, BusError> {
    let cache = endpoint.bus.bucket(BucketConfig {
        name: subjects::MESSAGE_CACHE,
        ttl: MESSAGE_CACHE_TTL,
        bytes_max: MESSAGE_CACHE_BYTES_MAX,
    });
    let cache = cache.await?;
    let mut serving = ingest::start(endpoint, directory, config.sends_per_minute).await?;
    serving.push(notify::start(endpoint, directory, attendance, &cache).await?);
    serving.push(fetch::start(endpoint, directory, &cache).await?);
    serving.push(apps::start(endpoint, directory, attendance).await?);
    Ok(serving)
}
