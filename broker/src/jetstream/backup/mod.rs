//! Snapshots of streams, and streams made from them: `$JS.API.STREAM.SNAPSHOT` and `$JS.API.STREAM.RESTORE`.
//!
//! The protocol is nats-server's, so its clients and tools work: chunks with acknowledgements as flow control one way, requests
//! one by one the other way, an empty message at the end of both. What is in the chunks is our own ([`archive`]): a backup
//! that nats-server made is its store's files, and says nothing to this one.

pub(crate) mod archive;
mod content;
pub(crate) mod restore;
pub(crate) mod snapshot;

use serde::Serialize;

use super::api::audit::ClientPart;
use super::api::stream_info::State;
use super::config::Timestamp;

/// Snapshots and restores of one account at the same time; one more is refused.
pub(crate) const BACKUPS_MAX: usize = 16;

/// Body of the advisories about the beginning and the end of both.
#[derive(Serialize)]
struct Notice<'a> {
    stream: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'a State>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<&'a ClientPart>,
}
