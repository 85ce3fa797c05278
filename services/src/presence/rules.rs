//! Who is here, connection by connection. Pure: time is passed in.

use std::collections::HashMap;
use std::time::Instant;

use crate::limits::{HEARTBEAT_TIMEOUT, PRESENCE_CONNECTIONS_MAX};
use crate::wire::Status;

#[derive(Debug)]
struct User {
    connections: u32,
    /// Chosen by the user; kept while any connection lives.
    status: Status,
}

/// What others have to hear.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News {
    /// The first connection came.
    Online(String),
    /// The last connection went.
    Offline(String),
}

/// All connections that gave a sign of life.
#[derive(Debug, Default)]
pub(super) struct Presence {
    connections: HashMap<u64, (String, Instant)>,
    users: HashMap<String, User>,
}

impl Presence {
    /// A sign of life.
    pub(super) fn heartbeat(&mut self, connection: u64, user: &str, now: Instant) -> Option<News> {
        if let Some((_, at)) = self.connections.get_mut(&connection) {
            *at = now;
            return None;
        }
        if self.connections.len() >= PRESENCE_CONNECTIONS_MAX {
            return None;
        }
        self.connections.insert(connection, (user.to_owned(), now));
        let entry = self.users.entry(user.to_owned());
        let entry = entry.or_insert(User {
            connections: 0,
            status: Status::Online,
        });
        entry.connections += 1;
        (entry.connections == 1).then(|| News::Online(user.to_owned()))
    }

    /// A connection ended, or said goodbye.
    pub(super) fn end(&mut self, connection: u64) -> Option<News> {
        let (name, _) = self.connections.remove(&connection)?;
        let user = self.users.get_mut(&name)?;
        user.connections -= 1;
        if user.connections > 0 {
            return None;
        }
        self.users.remove(&name);
        Some(News::Offline(name))
    }

    /// Connections that fell silent.
    pub(super) fn silent(&self, now: Instant) -> Vec<u64> {
        let silent = |at: &Instant| now.saturating_duration_since(*at) >= HEARTBEAT_TIMEOUT;
        let found = self.connections.iter().filter(|(_, (_, at))| silent(at));
        found.map(|(connection, _)| *connection).collect()
    }

    /// True when the user is here and it was a change.
    pub(super) fn set_status(&mut self, user: &str, status: Status) -> bool {
        match self.users.get_mut(user) {
            Some(user) if user.status != status => {
                user.status = status;
                true
            }
            _ => false,
        }
    }

    pub(super) fn status(&self, user: &str) -> Status {
        self.users
            .get(user)
            .map_or(Status::Offline, |user| user.status)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_user_is_here_until_the_last_tab_is_gone() {
        let (mut presence, now) = (Presence::default(), Instant::now());
        assert_eq!(
            presence.heartbeat(1, "ann", now),
            Some(News::Online("ann".to_owned()))
        );
        assert_eq!(presence.heartbeat(2, "ann", now), None);
        assert_eq!(presence.end(1), None);
        assert_eq!(presence.status("ann"), Status::Online);
        assert_eq!(presence.end(2), Some(News::Offline("ann".to_owned())));
        assert_eq!(presence.end(2), None);
        assert_eq!(presence.status("ann"), Status::Offline);
    }

    #[test]
    fn silence_ends_a_connection() {
        let (mut presence, start) = (Presence::default(), Instant::now());
        presence.heartbeat(1, "ann", start);
        presence.heartbeat(2, "bob", start + Duration::from_secs(30));
        assert!(presence.silent(start + Duration::from_secs(44)).is_empty());
        assert_eq!(presence.silent(start + Duration::from_secs(45)), [1]);
    }

    #[test]
    fn a_chosen_status_survives_another_tab() {
        let (mut presence, now) = (Presence::default(), Instant::now());
        assert!(!presence.set_status("ann", Status::Away));
        presence.heartbeat(1, "ann", now);
        assert!(presence.set_status("ann", Status::Away));
        assert!(!presence.set_status("ann", Status::Away));
        presence.heartbeat(2, "ann", now);
        assert_eq!(presence.status("ann"), Status::Away);
    }
}
