//! Every chat subject (contract section 8). Subjects are spelled nowhere else.

/// The stream that carries all messages.
pub(crate) const MESSAGES_STREAM: &str = "CHAT_MESSAGES";
/// The durable consumer that brings them to the database.
pub(crate) const PERSIST_CONSUMER: &str = "persist-worker";
/// The bucket behind `msg.get`.
pub(crate) const MESSAGE_CACHE: &str = "MSG_CACHE";

/// A user sends: `deliver.{user}.send.{room}`, or below it `.thread.{thread}`.
pub(crate) const SEND: &str = "deliver.*.send.>";
/// The content of a notification.
pub(crate) const MESSAGE_GET: &str = "msg.get";
/// Administrators among themselves.
pub(crate) const ADMIN: &str = "admin.*";
/// Requests and events of room apps.
pub(crate) const APP: &str = "app.*.*.>";
/// Enter a room.
pub(crate) const ROOM_JOIN: &str = "room.join.*";
/// Leave a room's audience; membership stays.
pub(crate) const ROOM_LEAVE: &str = "room.leave.*";
/// Somebody entered or left a public room.
pub(crate) const ROOM_CHANGED: &str = "room.changed.*";
/// Who is in a room.
pub(crate) const ROOM_MEMBERS: &str = "room.members.*";
/// Make a private room.
pub(crate) const ROOM_CREATE: &str = "room.create";
/// The private rooms of a user.
pub(crate) const ROOM_LIST: &str = "room.list";
/// Everything the sidebar of a user shows.
pub(crate) const ROOM_MINE: &str = "room.mine";
/// One room.
pub(crate) const ROOM_INFO: &str = "room.info.*";
/// Bring somebody in.
pub(crate) const ROOM_INVITE: &str = "room.invite.*";
/// Remove somebody.
pub(crate) const ROOM_KICK: &str = "room.kick.*";
/// Give up one's membership.
pub(crate) const ROOM_DEPART: &str = "room.depart.*";
/// I am here.
pub(crate) const PRESENCE_HEARTBEAT: &str = "presence.heartbeat";
/// I am going.
pub(crate) const PRESENCE_DISCONNECT: &str = "presence.disconnect";
/// I am away, busy, back.
pub(crate) const PRESENCE_UPDATE: &str = "presence.update";
/// Who is here.
pub(crate) const PRESENCE_ROOM: &str = "presence.room.*";
/// A page of a room's messages.
pub(crate) const HISTORY: &str = "chat.history.*";
/// The replies of a thread, the older form.
pub(crate) const HISTORY_THREAD: &str = "chat.history.*.thread.*";
/// The direct conversations of a user.
pub(crate) const DIRECT_ROOMS: &str = "chat.dms";
/// How far a user has read.
pub(crate) const READ_UPDATE: &str = "read.update.*";
/// How far everybody has read.
pub(crate) const READ_STATE: &str = "read.state.*";
/// Find people.
pub(crate) const USERS_SEARCH: &str = "users.search";
/// Names of people.
pub(crate) const USERS_GET: &str = "users.get";
/// The broker's word on connections that ended, in the system account.
pub(crate) const DISCONNECTED: &str = "$SYS.ACCOUNT.*.DISCONNECT";

/// What the stream of messages captures.
///
/// Not the contract's `chat.*`: requests such as `chat.dms` would be captured too, and answered by the stream before the
/// service (contract 9.5, weakness 26). No user may publish here.
pub(crate) const MESSAGES: &str = "chat.message.>";
const MESSAGE_PREFIX: &str = "chat.message.";

/// Where a message is stored: the stream's subject.
#[must_use]
pub(crate) fn message(room: &str, thread: Option<&str>) -> String {
    match thread {
        None => format!("{MESSAGE_PREFIX}{room}"),
        Some(thread) => format!("{MESSAGE_PREFIX}{room}.thread.{thread}"),
    }
}

/// Room and thread of a stored message.
#[must_use]
pub(crate) fn room_of_message(subject: &str) -> Option<(&str, Option<&str>)> {
    let rest = subject.strip_prefix(MESSAGE_PREFIX)?;
    Some(match rest.split_once(".thread.") {
        Some((room, thread)) => (room, Some(thread)),
        None => (rest, None),
    })
}

/// A notification to everybody in a public room.
#[must_use]
pub(crate) fn notify_room(room: &str) -> String {
    format!("room.notify.{room}")
}

/// A notification to one user.
#[must_use]
pub(crate) fn notify_user(user: &str, room: &str) -> String {
    format!("deliver.{user}.notify.{room}")
}

/// An administrators' message to one of them.
#[must_use]
pub(crate) fn admin_to_user(user: &str, channel: &str) -> String {
    format!("deliver.{user}.admin.{channel}")
}

/// An app's event to one user; `rest` is app, room and event.
#[must_use]
pub(crate) fn app_to_user(user: &str, rest: &str) -> String {
    format!("deliver.{user}.{rest}")
}

/// A change of a public room's audience.
#[must_use]
pub(crate) fn changed_room(room: &str) -> String {
    format!("room.changed.{room}")
}

/// A change of a private room's members, to one of them.
#[must_use]
pub(crate) fn changed_user(user: &str, room: &str) -> String {
    format!("deliver.{user}.changed.{room}")
}

/// Presence in a public room.
#[must_use]
pub(crate) fn presence_room(room: &str) -> String {
    format!("room.presence.{room}")
}

/// Presence in a private room, to one member.
#[must_use]
pub(crate) fn presence_user(user: &str, room: &str) -> String {
    format!("deliver.{user}.presence.{room}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_subject_names_room_and_thread() {
        assert_eq!(
            room_of_message(&message("pond", None)),
            Some(("pond", None))
        );
        let reply = message("pond", Some("pond-12"));
        assert_eq!(room_of_message(&reply), Some(("pond", Some("pond-12"))));
        assert_eq!(room_of_message("room.notify.pond"), None);
    }
}
