//! Making private rooms, inviting, removing, departing.

use std::sync::Arc;

use storage::chat::rooms::{Departure, MemberRow, RoomKind, RoomRole, RoomRow};

use super::{Rooms, rules};
use crate::clock::now_ms;
use crate::directory::Room;
use crate::endpoint::{Reply, Request, internal, reply};
use crate::limits::{MEMBERS_MAX, ROOMS_PER_USER_MAX};
use crate::names::RoomName;
use crate::wire::{CreateRoom, MemberRequest, Ok as Yes, Refusal, RoomInfo};

impl Rooms {
    pub(super) async fn create(&self, request: &Request) -> Reply {
        let body: CreateRoom = request.body()?;
        let user = request.caller.speaks_for(body.user.as_deref())?;
        if body.name.is_empty() {
            let refusal = Refusal::new("name_required", "Give the room a name.");
            return Err(refusal.with_error("name and user are required"));
        }
        let name = RoomName::parse(&body.name).map_err(|error| {
            Refusal::new(
                "invalid_room_name",
                format!("This is not a room name: {error}."),
            )
        })?;
        let display_name = rules::display_name(body.display_name.as_deref(), name.as_str())?;
        let own = self.directory.rooms_of(&user);
        if own
            .iter()
            .filter(|room| room.row.kind == RoomKind::Private)
            .count()
            >= ROOMS_PER_USER_MAX
        {
            return Err(Refusal::new(
                "too_many_rooms",
                "You are in too many rooms. Leave one first.",
            ));
        }
        let created_at = now_ms();
        let row = RoomRow {
            name: name.as_str().to_owned(),
            display_name,
            creator: user.clone(),
            kind: RoomKind::Private,
            created_at,
        };
        let owner = MemberRow {
            room: name.as_str().to_owned(),
            username: user.clone(),
            role: RoomRole::Owner,
            invited_by: None,
            joined_at: created_at,
        };
        {
            let _changing = self.directory.changing.lock().await;
            if !self
                .db
                .insert_room(row, vec![owner])
                .await
                .map_err(internal)?
            {
                let message = format!("That room name is taken. Try {name}-2.");
                return Err(Refusal::new("room_exists", message).with_error("room already exists"));
            }
            self.directory
                .refresh(name.as_str())
                .await
                .map_err(internal)?;
        }
        let room = self
            .directory
            .room(name.as_str())
            .ok_or_else(Refusal::internal)?;
        self.announce(&room, "join", &user).await;
        self.system_message(&room, format!("{user} created the room"))
            .await?;
        reply(&RoomInfo {
            name: room.row.name.clone(),
            display_name: room.row.display_name.clone(),
            creator: user,
            kind: room.row.kind.as_str().to_owned(),
            members: None,
            member_count: None,
        })
    }

    /// The private room that `user` may manage.
    fn managed(&self, user: &str, name: &str) -> Result<Arc<Room>, Refusal> {
        let private = |room: &Arc<Room>| room.row.kind == RoomKind::Private;
        let room = self.directory.room(name).filter(private);
        rules::may_manage(room.as_deref(), user)?;
        room.ok_or_else(Refusal::internal)
    }

    fn target(body: &MemberRequest) -> Result<String, Refusal> {
        let target = body.target.clone().filter(|target| !target.is_empty());
        target.ok_or_else(|| Refusal::invalid_request("The request names nobody."))
    }

    pub(super) async fn invite(&self, request: &Request) -> Reply {
        let body: MemberRequest = request.body()?;
        let user = request.caller.speaks_for(body.user.as_deref())?;
        let room = self.managed(&user, request.token(2))?;
        let target = Self::target(&body)?;
        if room.members.len() >= MEMBERS_MAX {
            return Err(Refusal::new("too_many_members", "The room is full."));
        }
        if self
            .db
            .user_cards(vec![target.clone()])
            .await
            .map_err(internal)?
            .is_empty()
        {
            return Err(Refusal::new(
                "no_such_user",
                "There is nobody of that name.",
            ));
        }
        let name = &room.row.name;
        let added = {
            let _changing = self.directory.changing.lock().await;
            let member = MemberRow {
                room: name.clone(),
                username: target.clone(),
                role: RoomRole::Member,
                invited_by: Some(user.clone()),
                joined_at: now_ms(),
            };
            let added = self.db.insert_room_member(member).await.map_err(internal)?;
            self.directory.refresh(name).await.map_err(internal)?;
            added
        };
        if added {
            self.progress.caught_up().await;
            self.db
                .start_read_position(&target, name)
                .await
                .map_err(internal)?;
            let room = self.directory.room(name).ok_or_else(Refusal::internal)?;
            self.announce(&room, "join", &target).await;
            self.system_message(&room, format!("{target} was invited by {user}"))
                .await?;
        }
        reply(&Yes::YES)
    }

    pub(super) async fn kick(&self, request: &Request) -> Reply {
        let body: MemberRequest = request.body()?;
        let user = request.caller.speaks_for(body.user.as_deref())?;
        let room = self.managed(&user, request.token(2))?;
        let target = Self::target(&body)?;
        rules::may_kick(&room, &target)?;
        let name = &room.row.name;
        let removed = {
            let _changing = self.directory.changing.lock().await;
            let removed = self
                .db
                .delete_room_member(name, &target)
                .await
                .map_err(internal)?;
            self.directory.refresh(name).await.map_err(internal)?;
            removed
        };
        if removed {
            self.attendance.expel(&target, name);
            let room = self.directory.room(name).ok_or_else(Refusal::internal)?;
            self.announce(&room, "leave", &target).await;
            self.system_message(&room, format!("{target} was removed by {user}"))
                .await?;
        }
        reply(&Yes::YES)
    }

    /// A room that is not the caller's answers as the contract has it for everybody: yes. Nothing happens.
    pub(super) async fn depart(&self, request: &Request) -> Reply {
        let body: MemberRequest = request.body()?;
        let user = request.caller.speaks_for(body.user.as_deref())?;
        let name = request.token(2);
        let private = |room: &Arc<Room>| room.row.kind == RoomKind::Private;
        let Some(before) = self.directory.room(name).filter(private) else {
            return reply(&Yes::YES);
        };
        let departure = {
            let _changing = self.directory.changing.lock().await;
            let departure = self.db.depart_room(name, &user).await.map_err(internal)?;
            self.directory.refresh(name).await.map_err(internal)?;
            departure
        };
        self.attendance_after(&departure, &user, name);
        match departure {
            Departure::NotAMember => {}
            Departure::RoomDeleted => {
                let gone = Room {
                    members: Vec::new(),
                    ..(*before).clone()
                };
                self.announce(&gone, "leave", &user).await;
                return reply(&Yes {
                    ok: true,
                    deleted: true,
                });
            }
            Departure::Left { .. } => {
                let room = self.directory.room(name).ok_or_else(Refusal::internal)?;
                self.announce(&room, "leave", &user).await;
                self.system_message(&room, format!("{user} left the room"))
                    .await?;
            }
        }
        reply(&Yes::YES)
    }

    fn attendance_after(&self, departure: &Departure, user: &str, name: &str) {
        if *departure != Departure::NotAMember {
            self.attendance.expel(user, name);
        }
    }
}
