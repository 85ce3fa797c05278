//! Joining and leaving a room's audience: what a connection listens to, not who belongs to the room.

use super::Rooms;
use crate::attendance::Joined;
use crate::caller::Caller;
use crate::endpoint::{Reply, Request, internal, reply};
use crate::names::{ADMIN_AUDIENCE, ADMIN_ROOM, direct_users};
use crate::wire::{MemberRequest, Ok as Yes, Refusal};

impl Rooms {
    pub(super) async fn join(&self, request: &Request) -> Reply {
        let name = request.token(2);
        let body: MemberRequest = request.body()?;
        let claimed = body.user_id.or(body.user);
        if self.names_the_other(request, name, claimed.as_deref()) {
            // Old clients join a conversation for the other one as well: harmless, and nothing to do.
            return reply(&Yes::YES);
        }
        let user = request.caller.speaks_for(claimed.as_deref())?;
        let Caller::User(sender) = &request.caller else {
            return Err(Refusal::invalid_request("Only connections join."));
        };
        if matches!(name, ADMIN_AUDIENCE | ADMIN_ROOM) {
            if !request.caller.is_admin() {
                return Err(Refusal::room_not_found());
            }
            self.attendance
                .join(sender.client_id, &user, ADMIN_AUDIENCE);
            return reply(&Yes::YES);
        }
        let room = match direct_users(name) {
            Some(_) => self.directory.open_direct(&user, name).await?,
            None => self.directory.enter(&user, name)?,
        };
        match self.attendance.join(sender.client_id, &user, name) {
            Joined::TooMany => {
                return Err(Refusal::new(
                    "too_many_rooms",
                    "This connection is in too many rooms.",
                ));
            }
            Joined::First => {
                self.progress.caught_up().await;
                self.db
                    .start_read_position(&user, name)
                    .await
                    .map_err(internal)?;
                if room.is_public() {
                    self.announce(&room, "join", &user).await;
                }
            }
            Joined::Again => {}
        }
        reply(&Yes::YES)
    }

    /// Whether a member of a conversation names the other member.
    fn names_the_other(&self, request: &Request, name: &str, claimed: Option<&str>) -> bool {
        let (Some((first, second)), Some(user), Some(claimed)) =
            (direct_users(name), request.caller.user(), claimed)
        else {
            return false;
        };
        claimed != user && [first, second].contains(&user) && [first, second].contains(&claimed)
    }

    pub(super) async fn leave(&self, request: &Request) -> Reply {
        let name = request.token(2);
        let body: MemberRequest = request.body()?;
        let user = request
            .caller
            .speaks_for(body.user_id.or(body.user).as_deref())?;
        let Some(connection) = request.caller.client_id() else {
            return Err(Refusal::invalid_request("Only connections leave."));
        };
        let was_last = self.attendance.leave(connection, name);
        if let Some(room) = self
            .directory
            .room(name)
            .filter(|room| was_last && room.is_public())
        {
            self.announce(&room, "leave", &user).await;
        }
        reply(&Yes::YES)
    }
}
