//! What travels: requests, replies and events, with the field names of the contract.

mod message;
mod presence;
mod refusal;
mod room;

pub use message::{
    HistoryPage, HistoryRequest, MessageGet, Notification, SendReceipt, StoredMessage,
};
pub use presence::{ConnectionId, PresenceDiff, PresenceEntry, Status, StatusUpdate};
pub use refusal::Refusal;
pub use room::{
    CreateRoom, Me, MemberInfo, MemberRequest, MyRoom, MyRooms, Ok, OtherUser, ReadState,
    ReadUpdate, RoomChange, RoomInfo, UserCard, UserName,
};

use bytes::Bytes;
use serde::Serialize;

/// A value as JSON.
///
/// # Panics
/// Never for the types of this module: they have string keys only.
#[must_use]
pub fn json<T: Serialize>(value: &T) -> Bytes {
    Bytes::from(serde_json::to_vec(value).expect("wire types have string keys only"))
}
