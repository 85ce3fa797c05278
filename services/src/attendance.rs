//! Which connection is in which room right now. Counted per connection, so that closing one tab of a user leaves the
//! others where they are, and a connection that ends takes only its own with it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::limits::JOINED_PER_CONNECTION_MAX;

#[derive(Default)]
struct Rooms {
    by_connection: HashMap<u64, (String, BTreeSet<String>)>,
    /// Room -> user -> connections.
    audience: HashMap<String, BTreeMap<String, u32>>,
}

/// What a join did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Joined {
    /// The user's first connection in this room.
    First,
    /// The user was there before.
    Again,
    /// The connection is in too many rooms.
    TooMany,
}

/// Who is in which room.
#[derive(Default)]
pub(crate) struct Attendance(Mutex<Rooms>);

impl Rooms {
    /// True when it was the user's last connection in the room.
    fn remove(&mut self, user: &str, room: &str) -> bool {
        let Some(users) = self.audience.get_mut(room) else {
            return false;
        };
        let Some(connections) = users.get_mut(user) else {
            return false;
        };
        *connections -= 1;
        if *connections > 0 {
            return false;
        }
        users.remove(user);
        if users.is_empty() {
            self.audience.remove(room);
        }
        true
    }
}

impl Attendance {
    fn lock(&self) -> MutexGuard<'_, Rooms> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn join(&self, connection: u64, user: &str, room: &str) -> Joined {
        let mut rooms = self.lock();
        let entry = rooms.by_connection.entry(connection);
        let (_, joined) = entry.or_insert_with(|| (user.to_owned(), BTreeSet::new()));
        if joined.contains(room) {
            return Joined::Again;
        }
        if joined.len() >= JOINED_PER_CONNECTION_MAX {
            return Joined::TooMany;
        }
        joined.insert(room.to_owned());
        let users = rooms.audience.entry(room.to_owned()).or_default();
        let connections = users.entry(user.to_owned()).or_insert(0);
        *connections += 1;
        if *connections == 1 {
            Joined::First
        } else {
            Joined::Again
        }
    }

    /// True when it was the user's last connection in the room.
    pub(crate) fn leave(&self, connection: u64, room: &str) -> bool {
        let mut rooms = self.lock();
        let Some((user, joined)) = rooms.by_connection.get_mut(&connection) else {
            return false;
        };
        let user = user.clone();
        joined.remove(room) && rooms.remove(&user, room)
    }

    /// Takes a connection out of everything. Returns the user and the rooms that lost the user.
    pub(crate) fn end(&self, connection: u64) -> Option<(String, Vec<String>)> {
        let mut rooms = self.lock();
        let (user, joined) = rooms.by_connection.remove(&connection)?;
        let left = joined
            .into_iter()
            .filter(|room| rooms.remove(&user, room))
            .collect();
        Some((user, left))
    }

    /// Takes a user out of a room with all connections: the membership is over.
    pub(crate) fn expel(&self, user: &str, room: &str) {
        let mut rooms = self.lock();
        for (who, joined) in rooms.by_connection.values_mut() {
            if who == user {
                joined.remove(room);
            }
        }
        if let Some(users) = rooms.audience.get_mut(room) {
            users.remove(user);
            if users.is_empty() {
                rooms.audience.remove(room);
            }
        }
    }

    /// Users in a room, by name.
    pub(crate) fn audience(&self, room: &str) -> Vec<String> {
        self.lock()
            .audience
            .get(room)
            .map(|users| users.keys().cloned().collect())
            .unwrap_or_default()
    }

    /// Rooms a user is in with any connection, by name.
    pub(crate) fn rooms_of(&self, user: &str) -> BTreeSet<String> {
        let rooms = self.lock();
        let own = rooms.by_connection.values().filter(|(who, _)| who == user);
        own.flat_map(|(_, joined)| joined.iter().cloned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tabs_count_separately() {
        let attendance = Attendance::default();
        assert_eq!(attendance.join(1, "ann", "pond"), Joined::First);
        assert_eq!(attendance.join(1, "ann", "pond"), Joined::Again);
        assert_eq!(attendance.join(2, "ann", "pond"), Joined::Again);
        assert!(!attendance.leave(1, "pond"));
        assert_eq!(attendance.audience("pond"), ["ann"]);
        assert!(!attendance.leave(1, "pond"));
        let ended = attendance.end(2);
        assert_eq!(ended, Some(("ann".to_owned(), vec!["pond".to_owned()])));
        assert!(attendance.audience("pond").is_empty());
        assert_eq!(attendance.end(2), None);
    }

    #[test]
    fn whoever_is_expelled_is_gone_with_every_tab() {
        let attendance = Attendance::default();
        attendance.join(1, "ann", "pond");
        attendance.join(2, "ann", "pond");
        attendance.expel("ann", "pond");
        assert!(attendance.audience("pond").is_empty());
        assert_eq!(attendance.end(1), Some(("ann".to_owned(), Vec::new())));
        assert_eq!(attendance.join(2, "ann", "pond"), Joined::First);
    }
}
