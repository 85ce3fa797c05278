//! Follows the stream and tells everybody concerned, in the stream's order.

use std::sync::Arc;

use bytes::Bytes;
use rand::RngExt;
use serde_json::{Map, Value};

use super::rules::Action;
use crate::attendance::Attendance;
use crate::bus::{Bucket, Bus, BusError, Record, StreamStart};
use crate::directory::Directory;
use crate::endpoint::{Endpoint, Serving};
use crate::limits::{NOTIFY_BATCH_MAX, PERSIST_RETRY};
use crate::names::{ADMIN_AUDIENCE, ADMIN_ROOM};
use crate::subjects;
use crate::wire::{Notification, json};

/// The channel of the administrators' room in `deliver.{user}.admin.{channel}`.
const ADMIN_CHANNEL: &str = "chat";

struct Notify {
    bus: Arc<dyn Bus>,
    directory: Arc<Directory>,
    attendance: Arc<Attendance>,
    cache: Arc<dyn Bucket>,
}

pub(super) async fn start(
    endpoint: &Endpoint,
    directory: &Arc<Directory>,
    attendance: &Arc<Attendance>,
    cache: &Arc<dyn Bucket>,
) -> Result<Serving, BusError> {
    // What was stored while nobody was connected is found in history.
    let mut stream = endpoint
        .bus
        .follow(subjects::MESSAGES_STREAM, StreamStart::New)
        .await?;
    let notify = Notify {
        bus: Arc::clone(&endpoint.bus),
        directory: Arc::clone(directory),
        attendance: Arc::clone(attendance),
        cache: Arc::clone(cache),
    };
    let stop = endpoint.stop.clone();
    Ok(Box::pin(async move {
        loop {
            let batch = tokio::select! {
                () = stop.cancelled() => break,
                batch = stream.next_batch(NOTIFY_BATCH_MAX) => batch,
            };
            match batch {
                Ok(records) => {
                    for record in &records {
                        notify.one(record).await;
                    }
                }
                Err(BusError::Closed) => break,
                Err(error) => {
                    tracing::error!(%error, "notifications wait for the stream");
                    tokio::time::sleep(PERSIST_RETRY).await;
                }
            }
        }
    }))
}

fn text(body: &Map<String, Value>, name: &str) -> Option<String> {
    body.get(name)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
}

/// The notification of a stored message; `None` for what no client would understand.
fn notification(
    record: &Record,
    room: &str,
    thread: Option<&str>,
) -> Option<(Notification, Bytes)> {
    let mut body: Map<String, Value> = serde_json::from_slice(&record.payload).ok()?;
    let action = Action::of(&body)?;
    body.insert("seq".to_owned(), record.seq.into());
    let notification = Notification {
        notify_id: format!(
            "{room}.{}.{:032x}",
            record.seq,
            rand::rng().random::<u128>()
        ),
        room: room.to_owned(),
        action: action.as_str().to_owned(),
        user: text(&body, "user").unwrap_or_default(),
        timestamp: body
            .get("timestamp")
            .and_then(Value::as_i64)
            .unwrap_or_default(),
        thread_id: thread.map(str::to_owned),
        emoji: text(&body, "emoji"),
        target_user: text(&body, "targetUser"),
        id: text(&body, "id"),
        seq: record.seq,
        client_id: text(&body, "clientId"),
    };
    Some((notification, json(&body)))
}

impl Notify {
    async fn one(&self, record: &Record) {
        let Some((room, thread)) = subjects::room_of_message(&record.subject) else {
            return;
        };
        let Some((notification, body)) = notification(record, room, thread) else {
            return;
        };
        if room == ADMIN_ROOM {
            for admin in self.attendance.audience(ADMIN_AUDIENCE) {
                self.publish(
                    &subjects::admin_to_user(&admin, ADMIN_CHANNEL),
                    body.clone(),
                )
                .await;
            }
            return;
        }
        let in_room_too = thread.is_some() && is_broadcast(&body);
        if let Err(error) = self.cache.put(&notification.notify_id, body).await {
            tracing::warn!(%error, "a message can be read from history only");
        }
        self.tell(room, &notification).await;
        if in_room_too {
            // The room's copy of a reply carries no thread (contract 13, row 10).
            let copy = Notification {
                thread_id: None,
                ..notification
            };
            self.tell(room, &copy).await;
        }
    }

    /// Public rooms hear it together, members of others one by one.
    async fn tell(&self, room: &str, notification: &Notification) {
        let Some(entry) = self.directory.room(room) else {
            return;
        };
        let body = json(notification);
        if entry.is_public() {
            return self.publish(&subjects::notify_room(room), body).await;
        }
        for (member, _) in &entry.members {
            self.publish(&subjects::notify_user(member, room), body.clone())
                .await;
        }
    }

    async fn publish(&self, subject: &str, body: Bytes) {
        if let Err(error) = self.bus.publish(subject, body).await {
            tracing::warn!(%error, subject, "a notification was not sent");
        }
    }
}

fn is_broadcast(body: &[u8]) -> bool {
    #[derive(serde::Deserialize)]
    struct Flag {
        #[serde(default)]
        broadcast: bool,
    }
    serde_json::from_slice::<Flag>(body).is_ok_and(|flag| flag.broadcast)
}
