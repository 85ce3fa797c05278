//! Messages, notifications and pages of history (contract 7.1 to 7.3).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use storage::chat::messages::MessageRow;

/// The answer to an accepted send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendReceipt {
    /// Always true.
    pub ok: bool,
    /// The server's id of the message, a UUIDv7.
    pub id: String,
    /// Its time in unix milliseconds; for an edit, a deletion or a reaction that of the target.
    pub timestamp: i64,
    /// Its place in the order.
    pub seq: u64,
}

/// Something happened in a room. Never any text (contract 7.3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Notification {
    /// The key to the content, for five minutes and for members only.
    pub notify_id: String,
    /// The room.
    pub room: String,
    /// `message`, `edit`, `delete`, `react` or `system`.
    pub action: String,
    /// Who did it.
    pub user: String,
    /// Time of the message, or of the message it is about.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub timestamp: i64,
    /// The thread, for replies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread_id: Option<String>,
    /// The reaction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emoji: Option<String>,
    /// The author of the message reacted to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_user: Option<String>,
    /// The server's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Its place in the order.
    pub seq: u64,
    /// What the author's client called it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for a reference"
)]
fn is_zero(value: &i64) -> bool {
    *value == 0
}

/// Asks for the content of a notification.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageGet {
    /// From the notification.
    pub notify_id: String,
}

/// Asks for a page of a room, or for the replies of a thread.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HistoryRequest {
    /// Older than this time.
    pub before: Option<i64>,
    /// Older than this sequence.
    pub before_seq: Option<u64>,
    /// Newer than this sequence, oldest first: for catching up.
    pub after_seq: Option<u64>,
    /// Messages wanted.
    pub limit: Option<usize>,
    /// The thread wanted.
    pub thread_id: Option<String>,
}

/// A page of messages, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HistoryPage {
    /// Oldest first.
    pub messages: Vec<StoredMessage>,
    /// More in the direction asked for.
    pub has_more: bool,
}

/// A message from history (contract 7.2).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StoredMessage {
    /// The server's id.
    pub id: String,
    /// Its place in the order.
    pub seq: u64,
    /// The author.
    pub user: String,
    /// Empty when deleted.
    pub text: String,
    /// Unix milliseconds.
    pub timestamp: i64,
    /// The room.
    pub room: String,
    /// What the author's client called it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The thread it answers in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thread_id: Option<String>,
    /// The time of the thread's first message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_timestamp: Option<i64>,
    /// A reply shown in the room as well.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub broadcast: bool,
    /// Replies in its thread.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_count: Option<u64>,
    /// Deleted by its author.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_deleted: bool,
    /// Last edit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edited_at: Option<i64>,
    /// Users by emoji, in the order they reacted.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub reactions: BTreeMap<String, Vec<String>>,
    /// A picture in place of text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sticker_url: Option<String>,
    /// One attachment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_id: Option<String>,
    /// Several attachments.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub file_ids: Vec<String>,
    /// Set where it arrived encrypted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub e2ee_epoch: Option<i64>,
}

impl From<MessageRow> for StoredMessage {
    fn from(row: MessageRow) -> Self {
        let mut reactions: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (emoji, user) in row.reactions {
            reactions.entry(emoji).or_default().push(user);
        }
        let mut file_ids = row.file_ids;
        let file_id = if file_ids.len() == 1 {
            file_ids.pop()
        } else {
            None
        };
        Self {
            id: row.id,
            seq: row.seq,
            user: row.username,
            text: row.text,
            timestamp: row.timestamp,
            room: row.room,
            client_id: row.client_id,
            thread_id: row.thread_id,
            parent_timestamp: row.parent_timestamp,
            broadcast: row.broadcast,
            reply_count: (row.reply_count > 0).then_some(row.reply_count),
            is_deleted: row.is_deleted,
            edited_at: row.edited_at,
            reactions,
            sticker_url: row.sticker_url,
            file_id,
            file_ids,
            e2ee_epoch: row.e2ee_epoch,
        }
    }
}
