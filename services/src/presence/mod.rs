//! Who is here (contract 9.3): per connection, ended by a goodbye, by the end of the connection or by 45 s of silence.

mod rules;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde::Deserialize;

use crate::attendance::Attendance;
use crate::bus::{Bus, BusError};
use crate::directory::Directory;
use crate::endpoint::{Endpoint, Reply, Request, Serving, reply};
use crate::limits::PRESENCE_SWEEP;
use crate::names::ADMIN_AUDIENCE;
use crate::subjects;
use crate::wire::{
    ConnectionId, PresenceDiff, PresenceEntry, Refusal, RoomChange, Status, StatusUpdate, json,
};

use rules::News;

const QUEUE_GROUP: &str = "presence-workers";

/// Shared with the rooms service's departures: what ends a connection ends its rooms too.
pub(crate) struct PresenceService {
    bus: Arc<dyn Bus>,
    directory: Arc<Directory>,
    attendance: Arc<Attendance>,
    presence: Mutex<rules::Presence>,
}

/// The part of the broker's event that matters here.
#[derive(Deserialize)]
struct Disconnected {
    client: DisconnectedClient,
}

#[derive(Deserialize)]
struct DisconnectedClient {
    id: u64,
}

pub(crate) async fn start(
    endpoint: &Endpoint,
    directory: &Arc<Directory>,
    attendance: &Arc<Attendance>,
) -> Result<Vec<Serving>, BusError> {
    let service = Arc::new(PresenceService {
        bus: Arc::clone(&endpoint.bus),
        directory: Arc::clone(directory),
        attendance: Arc::clone(attendance),
        presence: Mutex::default(),
    });
    let mut serving = Vec::new();
    for filter in [
        subjects::PRESENCE_HEARTBEAT,
        subjects::PRESENCE_DISCONNECT,
        subjects::PRESENCE_UPDATE,
        subjects::PRESENCE_ROOM,
    ] {
        let service = Arc::clone(&service);
        let handler = move |request: Request| {
            let service = Arc::clone(&service);
            async move {
                let reply = service.answer(&request).await;
                (request, reply)
            }
        };
        serving.push(endpoint.in_order(filter, QUEUE_GROUP, handler).await?);
    }
    serving.push(watch(endpoint, service).await?);
    Ok(serving)
}

/// Ends connections: those the broker says are gone, and those that fell silent.
async fn watch(endpoint: &Endpoint, service: Arc<PresenceService>) -> Result<Serving, BusError> {
    let mut ended = endpoint
        .bus
        .subscribe_system(subjects::DISCONNECTED)
        .await?;
    let mut changed = endpoint
        .bus
        .subscribe(subjects::ROOM_CHANGED, Some(QUEUE_GROUP))
        .await?;
    let stop = endpoint.stop.clone();
    Ok(Box::pin(async move {
        let mut sweep = tokio::time::interval(PRESENCE_SWEEP);
        sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                event = ended.next() => {
                    let Some(event) = event else { break };
                    if let Ok(event) = serde_json::from_slice::<Disconnected>(&event.payload) {
                        service.end(event.client.id).await;
                    }
                }
                change = changed.next() => {
                    let Some(change) = change else { break };
                    service.joined(&Request::new(change)).await;
                }
                _ = sweep.tick() => {
                    let silent = service.lock().silent(Instant::now());
                    for connection in silent {
                        service.end(connection).await;
                    }
                }
            }
        }
    }))
}

impl PresenceService {
    fn lock(&self) -> MutexGuard<'_, rules::Presence> {
        self.presence.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(&self, request: &Request) -> Reply {
        match request.token(1) {
            "heartbeat" => self.heartbeat(request).await,
            "disconnect" => self.disconnect(request).await,
            "update" => self.update(request).await,
            _ => self.room(request),
        }
    }

    /// The connection that a heartbeat or a goodbye is about: the sender's own.
    fn connection(request: &Request, user_id: &str) -> Result<(String, u64), Refusal> {
        let user = request.caller.speaks_for(Some(user_id))?;
        let connection = request.caller.client_id();
        connection
            .map(|connection| (user, connection))
            .ok_or_else(|| Refusal::invalid_request("Only connections have presence."))
    }

    async fn heartbeat(&self, request: &Request) -> Reply {
        let ConnectionId { user_id, .. } = request.body()?;
        let (user, connection) = Self::connection(request, &user_id)?;
        let news = self.lock().heartbeat(connection, &user, Instant::now());
        self.tell(news).await;
        Ok(None)
    }

    async fn disconnect(&self, request: &Request) -> Reply {
        let ConnectionId { user_id, .. } = request.body()?;
        let (_, connection) = Self::connection(request, &user_id)?;
        self.end(connection).await;
        Ok(None)
    }

    async fn update(&self, request: &Request) -> Reply {
        let StatusUpdate { user_id, status } = request.body()?;
        let user = request.caller.speaks_for(Some(&user_id))?;
        if self.lock().set_status(&user, status) {
            let diff = PresenceDiff {
                action: "status",
                user_id: user,
                status: Some(status),
            };
            self.spread(&diff, &BTreeSet::new()).await;
        }
        Ok(None)
    }

    /// Everybody in a public room; every member of another, here or not.
    fn room(&self, request: &Request) -> Reply {
        let name = request.token(2);
        if !self.directory.may_read(&request.caller, name) {
            return Ok(Some("[]".into()));
        }
        let users = match self.directory.room(name) {
            Some(room) if !room.is_public() => room
                .members
                .iter()
                .map(|(member, _)| member.clone())
                .collect(),
            _ => self.attendance.audience(name),
        };
        let presence = self.lock();
        let entry = |user_id: String| PresenceEntry {
            status: presence.status(&user_id),
            user_id,
        };
        reply(&users.into_iter().map(entry).collect::<Vec<_>>())
    }

    /// Whoever is here and enters a public room is seen there; members of other rooms hear of each other anyway.
    async fn joined(&self, change: &Request) {
        let from_service = change.caller.user().is_none();
        let Ok(RoomChange {
            room,
            action,
            user_id,
            ..
        }) = change.body()
        else {
            return;
        };
        let status = self.lock().status(&user_id);
        if from_service && action == "join" && status != Status::Offline {
            let diff = PresenceDiff {
                action: "online",
                user_id,
                status: Some(status),
            };
            self.publish(&subjects::presence_room(&room), &json(&diff))
                .await;
        }
    }

    /// A connection is over, for presence and for the rooms it was in.
    async fn end(&self, connection: u64) {
        let left = self.attendance.end(connection);
        let news = self.lock().end(connection);
        let left: BTreeSet<String> = left
            .map(|(_, rooms)| rooms.into_iter().collect())
            .unwrap_or_default();
        if let Some(News::Offline(user)) = news {
            let diff = PresenceDiff {
                action: "offline",
                user_id: user,
                status: None,
            };
            self.spread(&diff, &left).await;
        }
    }

    async fn tell(&self, news: Option<News>) {
        if let Some(News::Online(user)) = news {
            let diff = PresenceDiff {
                action: "online",
                user_id: user,
                status: Some(Status::Online),
            };
            self.spread(&diff, &BTreeSet::new()).await;
        }
    }

    /// Tells every room of the user: those joined (and those just left), and those the user is a member of.
    async fn spread(&self, diff: &PresenceDiff, left: &BTreeSet<String>) {
        let user = &diff.user_id;
        let mut rooms = self.attendance.rooms_of(user);
        rooms.extend(left.iter().cloned());
        rooms.extend(
            self.directory
                .rooms_of(user)
                .iter()
                .map(|room| room.row.name.clone()),
        );
        let body = json(diff);
        for name in rooms {
            match self.directory.room(&name) {
                Some(room) if !room.is_public() => {
                    for (member, _) in &room.members {
                        self.publish(&subjects::presence_user(member, &name), &body)
                            .await;
                    }
                }
                Some(_) => self.publish(&subjects::presence_room(&name), &body).await,
                None if name == ADMIN_AUDIENCE => {
                    for admin in self.attendance.audience(&name) {
                        self.publish(&subjects::presence_user(&admin, &name), &body)
                            .await;
                    }
                }
                None => {}
            }
        }
    }

    async fn publish(&self, subject: &str, body: &bytes::Bytes) {
        if let Err(error) = self.bus.publish(subject, body.clone()).await {
            tracing::warn!(%error, subject, "presence was not sent");
        }
    }
}
