//! Rooms: made, entered, left, and who belongs to them (contract 9.2).

mod audience;
mod manage;
mod overview;
mod rules;

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use storage::chat::ChatDb;
use uuid::Uuid;

use crate::attendance::Attendance;
use crate::bus::{Append, Bus, BusError};
use crate::clock::now_ms;
use crate::directory::{Directory, Room};
use crate::endpoint::{Endpoint, Reply, Request, Serving};
use crate::names::SYSTEM_AUTHOR;
use crate::persist::Progress;
use crate::subjects;
use crate::wire::{self, Refusal, RoomChange};

const QUEUE_GROUP: &str = "room-workers";
const MEMBERS_QUEUE_GROUP: &str = "room-members-workers";

struct Rooms {
    bus: Arc<dyn Bus>,
    db: ChatDb,
    directory: Arc<Directory>,
    attendance: Arc<Attendance>,
    progress: Arc<Progress>,
}

pub(crate) async fn start(
    endpoint: &Endpoint,
    db: &ChatDb,
    directory: &Arc<Directory>,
    attendance: &Arc<Attendance>,
    progress: Arc<Progress>,
) -> Result<Vec<Serving>, BusError> {
    let rooms = Arc::new(Rooms {
        bus: Arc::clone(&endpoint.bus),
        db: db.clone(),
        directory: Arc::clone(directory),
        attendance: Arc::clone(attendance),
        progress,
    });
    let mut serving = Vec::new();
    // Order matters where a client sends one after the other and waits for neither.
    for filter in [
        subjects::ROOM_JOIN,
        subjects::ROOM_LEAVE,
        subjects::ROOM_CREATE,
        subjects::ROOM_INVITE,
        subjects::ROOM_KICK,
        subjects::ROOM_DEPART,
    ] {
        let rooms = Arc::clone(&rooms);
        let handler = move |request: Request| {
            let rooms = Arc::clone(&rooms);
            async move {
                let reply = rooms.change(&request).await;
                (request, reply)
            }
        };
        serving.push(endpoint.in_order(filter, QUEUE_GROUP, handler).await?);
    }
    for (filter, queue_group) in [
        (subjects::ROOM_MEMBERS, MEMBERS_QUEUE_GROUP),
        (subjects::ROOM_LIST, QUEUE_GROUP),
        (subjects::ROOM_MINE, QUEUE_GROUP),
        (subjects::ROOM_INFO, QUEUE_GROUP),
    ] {
        let rooms = Arc::clone(&rooms);
        let handler = move |request: Request| {
            let rooms = Arc::clone(&rooms);
            async move {
                let reply = rooms.look(&request).await;
                (request, reply)
            }
        };
        serving.push(endpoint.side_by_side(filter, queue_group, handler).await?);
    }
    Ok(serving)
}

impl Rooms {
    async fn change(&self, request: &Request) -> Reply {
        match request.token(1) {
            "join" => self.join(request).await,
            "leave" => self.leave(request).await,
            "create" => self.create(request).await,
            "invite" => self.invite(request).await,
            "kick" => self.kick(request).await,
            _ => self.depart(request).await,
        }
    }

    async fn look(&self, request: &Request) -> Reply {
        match request.token(1) {
            "members" => self.members(request),
            "list" => self.list(request),
            "mine" => self.mine(request).await,
            _ => self.info(request),
        }
    }

    /// Tells those concerned that somebody came or went: everybody for a public room, else the members and the one
    /// concerned.
    async fn announce(&self, room: &Room, action: &str, user: &str) {
        let name = &room.row.name;
        let change = RoomChange {
            room: name.clone(),
            action: action.to_owned(),
            user_id: user.to_owned(),
            kind: room.event_kind().map(str::to_owned),
        };
        let body = wire::json(&change);
        if room.is_public() {
            return self.publish(&subjects::changed_room(name), body).await;
        }
        let members = room.members.iter().map(|(member, _)| member.as_str());
        let former = (room.role(user).is_none()).then_some(user);
        for member in members.chain(former) {
            self.publish(&subjects::changed_user(member, name), body.clone())
                .await;
        }
    }

    /// A line in the room that nobody wrote (contract 7.6).
    async fn system_message(&self, room: &Room, text: String) -> Result<(), Refusal> {
        let name = &room.row.name;
        let body: Value = json!({
            "id": Uuid::now_v7().to_string(),
            "user": SYSTEM_AUTHOR,
            "text": text,
            "timestamp": room.next_timestamp(now_ms()),
            "room": name,
            "action": "system",
        });
        let append = Append {
            stream: subjects::MESSAGES_STREAM,
            subject: subjects::message(name, None),
            payload: wire::json(&body),
            message_id: None,
        };
        self.bus
            .append(append)
            .await
            .map(drop)
            .map_err(crate::endpoint::internal)
    }

    async fn publish(&self, subject: &str, body: Bytes) {
        if let Err(error) = self.bus.publish(subject, body).await {
            tracing::warn!(%error, subject, "a change of a room was not announced");
        }
    }
}
