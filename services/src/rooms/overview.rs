//! What a user sees of rooms: the sidebar, lists, one room, its members.

use std::collections::HashMap;
use std::sync::Arc;

use storage::chat::read_receipts::RoomFigures;
use storage::chat::rooms::RoomKind;

use super::Rooms;
use crate::caller::Caller;
use crate::directory::Room;
use crate::endpoint::{Reply, Request, internal, reply};
use crate::names::direct_users;
use crate::wire::{Me, MemberInfo, MemberRequest, MyRoom, MyRooms, OtherUser, Refusal, RoomInfo};

impl Rooms {
    /// Contract 9.2: usernames, or `[]`. Private rooms answer with their access list, to members only.
    pub(super) fn members(&self, request: &Request) -> Reply {
        let name = request.token(2);
        if !self.directory.may_read(&request.caller, name) {
            return Ok(Some("[]".into()));
        }
        match self.directory.room(name) {
            Some(room) if !room.is_public() => reply(
                &room
                    .members
                    .iter()
                    .map(|(member, _)| member)
                    .collect::<Vec<_>>(),
            ),
            _ => reply(&self.attendance.audience(name)),
        }
    }

    /// Contract 9.2: private rooms only, by name; `[]` on any error.
    pub(super) fn list(&self, request: &Request) -> Reply {
        let body: MemberRequest = request.body().unwrap_or_default();
        let Ok(user) = request.caller.speaks_for(body.user.as_deref()) else {
            return Ok(Some("[]".into()));
        };
        let rooms = self.directory.rooms_of(&user).into_iter();
        let private = rooms.filter(|room| room.row.kind == RoomKind::Private);
        reply(&private.map(|room| info(&room, false)).collect::<Vec<_>>())
    }

    pub(super) fn info(&self, request: &Request) -> Reply {
        let name = request.token(2);
        if !self.directory.may_read(&request.caller, name) {
            return Err(Refusal::room_not_found());
        }
        let room = self
            .directory
            .room(name)
            .ok_or_else(Refusal::room_not_found)?;
        reply(&info(&room, !room.is_public()))
    }

    pub(super) async fn mine(&self, request: &Request) -> Reply {
        let Caller::User(sender) = &request.caller else {
            return Err(Refusal::invalid_request("Only users have rooms."));
        };
        let user = sender.user.clone();
        let mut rooms = self.directory.public_rooms();
        rooms.extend(self.directory.rooms_of(&user));
        self.progress.caught_up().await;
        let names = rooms.iter().map(|room| room.row.name.clone()).collect();
        let figures = self.db.room_figures(&user, names).await.map_err(internal)?;
        let mut figures: HashMap<String, RoomFigures> = figures
            .into_iter()
            .map(|figures| (figures.room.clone(), figures))
            .collect();
        let others = rooms
            .iter()
            .filter_map(|room| other(room, &user))
            .map(str::to_owned);
        let people = others.chain([user.clone()]).collect();
        let people = self.db.user_cards(people).await.map_err(internal)?;
        let names: HashMap<String, String> = people
            .into_iter()
            .map(|card| (card.username, card.display_name))
            .collect();
        let display = |name: &str| names.get(name).cloned().unwrap_or_else(|| name.to_owned());
        let entry = |room: &Arc<Room>| {
            let figures = figures.remove(&room.row.name).unwrap_or_default();
            let other = other(room, &user);
            let other = other.map(|name| OtherUser {
                username: name.to_owned(),
                display_name: display(name),
            });
            MyRoom {
                name: room.row.name.clone(),
                display_name: match &other {
                    Some(other) => other.display_name.clone(),
                    None => room.row.display_name.clone(),
                },
                kind: room.row.kind.as_str(),
                role: room
                    .role(&user)
                    .filter(|_| other.is_none())
                    .map(|role| role.as_str()),
                unread: figures.unread,
                mentions: figures.mentions,
                last_read_seq: figures.last_read,
                last_seq: figures.last_seq,
                last_activity: figures.last_activity,
                other,
            }
        };
        let rooms = rooms.iter().map(entry).collect();
        let me = Me {
            display_name: display(&user),
            username: user,
            roles: sender.tags.to_vec(),
        };
        reply(&MyRooms { rooms, me })
    }
}

fn other<'a>(room: &'a Room, user: &str) -> Option<&'a str> {
    let direct = room.row.kind == RoomKind::Direct;
    let (first, second) = direct_users(&room.row.name).filter(|_| direct)?;
    Some(if first == user { second } else { first })
}

fn info(room: &Room, with_members: bool) -> RoomInfo {
    let members = || {
        let of = |(member, role): &(String, _)| MemberInfo {
            username: member.clone(),
            role: storage::chat::rooms::RoomRole::as_str(*role).to_owned(),
        };
        room.members.iter().map(of).collect()
    };
    RoomInfo {
        name: room.row.name.clone(),
        display_name: room.row.display_name.clone(),
        creator: room.row.creator.clone(),
        kind: room.row.kind.as_str().to_owned(),
        members: with_members.then(members),
        member_count: (!room.is_public()).then_some(room.members.len()),
    }
}
