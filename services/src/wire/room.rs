//! Rooms, their members, read positions and users (contract 7.4, 9.2, 9.6, 9.7).

use serde::{Deserialize, Serialize};

/// A plain yes.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Ok {
    /// Always true.
    pub ok: bool,
    /// The room went with its last member.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
}

impl Ok {
    /// `{"ok":true}`.
    pub const YES: Self = Self {
        ok: true,
        deleted: false,
    };
}

/// Makes a private room.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CreateRoom {
    /// Its name.
    pub name: String,
    /// What people read; the name if absent.
    pub display_name: Option<String>,
    /// Must be the sender.
    pub user: Option<String>,
}

/// Invites, removes, departs, lists, joins: names people only.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MemberRequest {
    /// Must be the sender.
    pub user: Option<String>,
    /// The same, as joins and leaves call it.
    pub user_id: Option<String>,
    /// Who is invited or removed.
    pub target: Option<String>,
}

/// One member in `room.info`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberInfo {
    /// Who.
    pub username: String,
    /// `owner`, `admin` or `member`.
    pub role: String,
}

/// A room (contract 9.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RoomInfo {
    /// Its name.
    pub name: String,
    /// What people read.
    pub display_name: String,
    /// Who made it.
    pub creator: String,
    /// `public`, `private` or `dm`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Members by time of joining.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members: Option<Vec<MemberInfo>>,
    /// How many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member_count: Option<usize>,
}

/// Everything the sidebar shows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MyRooms {
    /// Public rooms, the user's private ones and conversations.
    pub rooms: Vec<MyRoom>,
    /// Who asks.
    pub me: Me,
}

/// The asker.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Me {
    /// The name in subjects.
    pub username: String,
    /// What people read.
    pub display_name: String,
    /// From the token.
    pub roles: Vec<String>,
}

/// One room in the sidebar.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MyRoom {
    /// Its name.
    pub name: String,
    /// What people read.
    pub display_name: String,
    /// `public`, `private` or `dm`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The asker's role in a private room.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<&'static str>,
    /// Messages of others after the read position, 1000 at most.
    pub unread: u64,
    /// How many of them mention the asker.
    pub mentions: u64,
    /// The read position.
    pub last_read_seq: u64,
    /// The newest message.
    pub last_seq: u64,
    /// Its time in unix milliseconds.
    pub last_activity: Option<i64>,
    /// The other one, in a conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other: Option<OtherUser>,
}

/// The other user of a conversation.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OtherUser {
    /// The name in subjects.
    pub username: String,
    /// What people read.
    pub display_name: String,
}

/// Somebody came or went (contract 7.4).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RoomChange {
    /// The room.
    pub room: String,
    /// `join` or `leave`.
    pub action: String,
    /// Who.
    pub user_id: String,
    /// `private` or `dm`; absent for public rooms.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}

/// How far a user has read; both client generations (contract 13, row 6).
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ReadUpdate {
    /// Must be the sender.
    pub user_id: Option<String>,
    /// By time, the older form.
    pub last_read: Option<i64>,
    /// By time, the newer form.
    pub timestamp: Option<i64>,
    /// By sequence; wins.
    pub seq: Option<u64>,
}

/// One user's read position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReadState {
    /// Who.
    pub user_id: String,
    /// Time of the last message read.
    pub last_read: i64,
    /// Its sequence.
    pub seq: u64,
}

/// Somebody found (contract 9.7).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UserCard {
    /// The name in subjects.
    pub username: String,
    /// First word of the display name.
    pub first_name: String,
    /// The rest of it.
    pub last_name: String,
    /// What people read.
    pub display_name: String,
}

/// Asks for names of people.
#[derive(Debug, Clone, Deserialize)]
pub struct UserName {
    /// Whose.
    pub usernames: Vec<String>,
}
