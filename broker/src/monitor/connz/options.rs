//! What may be asked of `/connz`.

use std::cmp::Reverse;

use super::super::text::NotPossible;
use super::Entry;
use crate::jetstream::Timestamp;

/// Which connections, in which order, with what about them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConnzOptions {
    /// The order. A page is taken from it.
    pub sort: ConnzSort,
    /// Adds the user and the account.
    pub auth: bool,
    /// Adds subscriptions.
    pub subscriptions: Subscriptions,
    /// First entry of the page; less than 0 is 0.
    pub offset: i64,
    /// Entries of the page; 0 and less is 1024.
    pub limit: i64,
    /// Only this connection.
    pub cid: Option<u64>,
    /// Open ones, closed ones, or both.
    pub state: ConnState,
    /// Only this user's.
    pub user: Option<String>,
    /// Only this account's.
    pub account: Option<String>,
    /// Only the one with this MQTT client identifier: there is none.
    pub mqtt_client: Option<String>,
}

/// How much is said about subscriptions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Subscriptions {
    /// Only how many.
    #[default]
    No,
    /// Their subjects.
    Subjects,
    /// Everything about each.
    Details,
}

/// Which connections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ConnState {
    /// Those that are open.
    #[default]
    Open,
    /// The last ones that were closed.
    Closed,
    /// Both.
    All,
}

/// The order of connections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ConnzSort {
    /// By number.
    #[default]
    Cid,
    /// Oldest first.
    Start,
    /// Most subscriptions first.
    Subs,
    /// Most pending bytes first.
    Pending,
    /// Most messages sent to the client first.
    MsgsTo,
    /// Most messages from the client first.
    MsgsFrom,
    /// Most bytes sent to the client first.
    BytesTo,
    /// Most bytes from the client first.
    BytesFrom,
    /// Most recently active first.
    Last,
    /// Longest idle first.
    Idle,
    /// Shortest lived first.
    Uptime,
    /// Most recently closed first.
    Stop,
    /// By the words of the reason.
    Reason,
    /// Longest round trip first.
    Rtt,
}

impl ConnzSort {
    /// Reads nats-server's word for it.
    ///
    /// # Errors
    /// There is no such order.
    pub fn parse(word: &str) -> Result<Self, NotPossible> {
        Ok(match word {
            "" | "cid" => Self::Cid,
            "start" => Self::Start,
            "subs" => Self::Subs,
            "pending" => Self::Pending,
            "msgs_to" => Self::MsgsTo,
            "msgs_from" => Self::MsgsFrom,
            "bytes_to" => Self::BytesTo,
            "bytes_from" => Self::BytesFrom,
            "last" => Self::Last,
            "idle" => Self::Idle,
            "uptime" => Self::Uptime,
            "stop" => Self::Stop,
            "reason" => Self::Reason,
            "rtt" => Self::Rtt,
            _ => return Err(NotPossible(format!("invalid sorting option: {word}"))),
        })
    }

    /// Puts connections in order; among equals the order is that of their numbers.
    pub(super) fn apply(self, all: &mut [Entry], now: Timestamp) {
        all.sort_unstable_by_key(|entry| entry.figures().cid);
        let uptime = |entry: &Entry| {
            let figures = entry.figures();
            figures.start.until(figures.stop.unwrap_or(now))
        };
        match self {
            Self::Cid => {}
            Self::Start => all.sort_by_key(|entry| entry.figures().start),
            Self::Subs => all.sort_by_key(|entry| Reverse(entry.figures().subscriptions)),
            Self::Pending => all.sort_by_key(|entry| Reverse(entry.figures().pending_bytes)),
            Self::MsgsTo => all.sort_by_key(|entry| Reverse(entry.figures().out_msgs)),
            Self::MsgsFrom => all.sort_by_key(|entry| Reverse(entry.figures().in_msgs)),
            Self::BytesTo => all.sort_by_key(|entry| Reverse(entry.figures().out_bytes)),
            Self::BytesFrom => all.sort_by_key(|entry| Reverse(entry.figures().in_bytes)),
            Self::Last => all.sort_by_key(|entry| Reverse(entry.figures().last_activity)),
            Self::Idle => all.sort_by_key(|entry| entry.figures().last_activity),
            Self::Uptime => all.sort_by_key(uptime),
            Self::Stop => all.sort_by_key(|entry| Reverse(entry.figures().stop)),
            Self::Reason => all.sort_by_key(|entry| entry.figures().reason.map(|r| r.as_str())),
            Self::Rtt => all.sort_by_key(|entry| Reverse(entry.figures().rtt)),
        }
    }
}

impl ConnzOptions {
    /// # Errors
    /// Open connections are to be sorted by what only closed ones have.
    pub(super) fn check(&self) -> Result<(), NotPossible> {
        let word = match self.sort {
            ConnzSort::Stop => "stop",
            ConnzSort::Reason => "reason",
            _ => return Ok(()),
        };
        if self.state == ConnState::Closed {
            return Ok(());
        }
        let text = format!("sort by {word} only valid on closed connections");
        Err(NotPossible(text))
    }
}
