//! Who may do what in a room. Pure.

use storage::chat::rooms::RoomRole;

use crate::directory::Room;
use crate::limits::DISPLAY_NAME_CHARS_MAX;
use crate::wire::Refusal;

fn unauthorized() -> Refusal {
    Refusal::new(
        "not_allowed",
        "Only the owner and admins of the room can do that.",
    )
    .with_error("unauthorized")
}

/// Inviting and removing is for owners and admins. Whoever is not a member learns nothing but "unauthorized", as for a
/// room that does not exist.
pub(super) fn may_manage(room: Option<&Room>, user: &str) -> Result<(), Refusal> {
    match room.and_then(|room| room.role(user)) {
        Some(RoomRole::Owner | RoomRole::Admin) => Ok(()),
        Some(RoomRole::Member) | None => Err(unauthorized()),
    }
}

/// An owner cannot be removed.
pub(super) fn may_kick(room: &Room, target: &str) -> Result<(), Refusal> {
    if room.role(target) == Some(RoomRole::Owner) {
        let refusal = Refusal::new(
            "owner",
            "The owner cannot be removed; owners leave by themselves.",
        );
        return Err(refusal.with_error("cannot kick owner"));
    }
    Ok(())
}

/// What people read; the name where there is nothing else.
pub(super) fn display_name(wish: Option<&str>, name: &str) -> Result<String, Refusal> {
    let wish = wish
        .map(str::trim)
        .filter(|wish| !wish.is_empty())
        .unwrap_or(name);
    if wish.chars().count() > DISPLAY_NAME_CHARS_MAX || wish.chars().any(char::is_control) {
        return Err(Refusal::invalid_request(
            "The display name is too long or has control characters.",
        ));
    }
    Ok(wish.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_display_name_is_short_and_never_empty() {
        assert_eq!(
            display_name(Some("  Pond life "), "pond").unwrap(),
            "Pond life"
        );
        assert_eq!(display_name(Some(" "), "pond").unwrap(), "pond");
        assert_eq!(display_name(None, "pond").unwrap(), "pond");
        assert!(display_name(Some(&"x".repeat(101)), "pond").is_err());
        assert!(display_name(Some("a\nb"), "pond").is_err());
    }

    #[test]
    fn an_outsider_hears_the_same_as_for_no_room() {
        assert_eq!(may_manage(None, "ann").unwrap_err(), unauthorized());
    }
}
