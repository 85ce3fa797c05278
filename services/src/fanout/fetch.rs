//! `msg.get`: the content of a notification, for those who may read its room.

use std::sync::Arc;

use crate::bus::{Bucket, BusError};
use crate::directory::Directory;
use crate::endpoint::{Endpoint, Reply, Request, Serving, internal};
use crate::subjects;
use crate::wire::{MessageGet, Refusal};

const QUEUE_GROUP: &str = "msg-get-workers";
/// Longest notify id there can be.
const NOTIFY_ID_LEN_MAX: usize = 160;

/// In order, because clients show what they fetched in the order of the answers.
pub(super) async fn start(
    endpoint: &Endpoint,
    directory: &Arc<Directory>,
    cache: &Arc<dyn Bucket>,
) -> Result<Serving, BusError> {
    let (directory, cache) = (Arc::clone(directory), Arc::clone(cache));
    let fetch = move |request: Request| {
        let (directory, cache) = (Arc::clone(&directory), Arc::clone(&cache));
        async move {
            let reply = fetch(&directory, cache.as_ref(), &request).await;
            (request, reply)
        }
    };
    endpoint
        .in_order(subjects::MESSAGE_GET, QUEUE_GROUP, fetch)
        .await
}

/// The same for an id that is wrong, too old or of somebody else's room.
fn not_found() -> Refusal {
    Refusal::new(
        "not_found",
        "The message is no longer at hand. It is in the room's history, if you may read it.",
    )
}

async fn fetch(directory: &Directory, cache: &dyn Bucket, request: &Request) -> Reply {
    let MessageGet { notify_id } = request.body()?;
    let room = notify_id.split('.').next().unwrap_or_default();
    if notify_id.len() > NOTIFY_ID_LEN_MAX || !directory.may_read(&request.caller, room) {
        return Err(not_found());
    }
    match cache.value(&notify_id).await.map_err(internal)? {
        Some(body) => Ok(Some(body)),
        None => Err(not_found()),
    }
}
