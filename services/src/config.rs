//! What an administrator can set about the chat services.

use serde::{Deserialize, Serialize};

/// Settings of the chat services.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Rooms everybody finds; made at the start where they do not exist.
    pub public_rooms: Vec<String>,
    /// Messages, edits, deletions and reactions one user may send a minute, evenly refilled; the whole minute's worth may
    /// come at once.
    pub sends_per_minute: u32,
    /// Messages the stream keeps. It only carries messages to the database; history is kept there.
    pub stream_messages_max: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            public_rooms: ["general", "random", "help"].map(str::to_owned).to_vec(),
            sends_per_minute: 60,
            stream_messages_max: 1_000_000,
        }
    }
}
