//! Presence (contract 7.5 and 9.3).

use serde::{Deserialize, Serialize};

/// How a user wants to be seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Here.
    #[default]
    Online,
    /// Not at the keyboard.
    Away,
    /// Does not want to be disturbed.
    Busy,
    /// Not here, or wants to seem so.
    Offline,
}

/// A heartbeat or a goodbye.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionId {
    /// Must be the sender.
    pub user_id: String,
    /// What the client calls its connection.
    pub conn_id: String,
}

/// A change of status.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusUpdate {
    /// Must be the sender.
    pub user_id: String,
    /// The new status.
    pub status: Status,
}

/// One user in the answer to `presence.room`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PresenceEntry {
    /// Who.
    pub user_id: String,
    /// How.
    pub status: Status,
}

/// A change that others hear of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PresenceDiff {
    /// `online`, `offline` or `status`.
    pub action: &'static str,
    /// Who.
    pub user_id: String,
    /// How, unless offline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
}
