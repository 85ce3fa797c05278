//! Rooms and who belongs to them: the read model that every check asks.
//!
//! It is loaded at the start and follows the database: whoever changes a room there refreshes it here, one change at a
//! time (`changing`).

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use storage::chat::rooms::{MemberRow, RoomKind, RoomRole, RoomRow};
use storage::chat::{ChatDb, Error};

use crate::caller::Caller;
use crate::names::{ADMIN_AUDIENCE, ADMIN_ROOM, direct_users};
use crate::wire::Refusal;

/// One room as checks see it.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    pub(crate) row: RoomRow,
    /// By time of joining; empty for public rooms.
    pub(crate) members: Vec<(String, RoomRole)>,
    /// Time of the newest message: what comes next is later.
    pub(crate) last_timestamp: Arc<AtomicI64>,
}

impl Room {
    pub(crate) fn role(&self, user: &str) -> Option<RoomRole> {
        self.members
            .iter()
            .find(|(member, _)| member == user)
            .map(|(_, role)| *role)
    }

    pub(crate) fn is_public(&self) -> bool {
        self.row.kind == RoomKind::Public
    }

    /// The type in events: absent for public rooms.
    pub(crate) fn event_kind(&self) -> Option<&'static str> {
        (!self.is_public()).then(|| self.row.kind.as_str())
    }

    /// A time for the next message: the wish, but later than every message before.
    pub(crate) fn next_timestamp(&self, wish: i64) -> i64 {
        let next = |last: i64| Some(wish.max(last + 1));
        match self
            .last_timestamp
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, next)
        {
            Ok(last) | Err(last) => wish.max(last + 1),
        }
    }

    /// A message whose time is not ours to choose has been given a place.
    pub(crate) fn saw_timestamp(&self, timestamp: i64) {
        self.last_timestamp.fetch_max(timestamp, Ordering::AcqRel);
    }
}

#[derive(Default)]
struct Index {
    rooms: HashMap<String, Arc<Room>>,
    by_member: HashMap<String, BTreeSet<String>>,
}

/// All rooms.
pub(crate) struct Directory {
    db: ChatDb,
    index: RwLock<Index>,
    /// Held by whoever changes a room in the database, until the change is seen here.
    pub(crate) changing: tokio::sync::Mutex<()>,
}

impl Index {
    fn put(&mut self, row: RoomRow, members: &[MemberRow], last: Option<i64>) {
        let name = row.name.clone();
        let before = self.take(&name);
        let last_timestamp =
            before.map_or_else(Arc::default, |room| Arc::clone(&room.last_timestamp));
        if let Some(last) = last {
            last_timestamp.fetch_max(last, Ordering::AcqRel);
        }
        for member in members {
            self.by_member
                .entry(member.username.clone())
                .or_default()
                .insert(name.clone());
        }
        let members = members
            .iter()
            .map(|m| (m.username.clone(), m.role))
            .collect();
        self.rooms.insert(
            name,
            Arc::new(Room {
                row,
                members,
                last_timestamp,
            }),
        );
    }

    fn take(&mut self, name: &str) -> Option<Arc<Room>> {
        let room = self.rooms.remove(name)?;
        for (member, _) in &room.members {
            if let Some(rooms) = self.by_member.get_mut(member) {
                rooms.remove(name);
                if rooms.is_empty() {
                    self.by_member.remove(member);
                }
            }
        }
        Some(room)
    }
}

impl Directory {
    pub(crate) async fn load(db: ChatDb) -> Result<Self, Error> {
        let (rooms, members) = db.rooms().await?;
        let mut last: HashMap<String, i64> = db.last_timestamps().await?.into_iter().collect();
        let mut by_room: HashMap<String, Vec<MemberRow>> = HashMap::new();
        for member in members {
            by_room.entry(member.room.clone()).or_default().push(member);
        }
        let mut index = Index::default();
        for row in rooms {
            let members = by_room.remove(&row.name).unwrap_or_default();
            let last = last.remove(&row.name);
            index.put(row, &members, last);
        }
        Ok(Self {
            db,
            index: RwLock::new(index),
            changing: tokio::sync::Mutex::default(),
        })
    }

    /// Takes a room's new shape from the database.
    pub(crate) async fn refresh(&self, name: &str) -> Result<(), Error> {
        let found = self.db.room(name).await?;
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        match found {
            Some((row, members)) => index.put(row, &members, None),
            None => drop(index.take(name)),
        }
        Ok(())
    }

    fn read<T>(&self, read: impl FnOnce(&Index) -> T) -> T {
        read(&self.index.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The room, whoever asks.
    pub(crate) fn room(&self, name: &str) -> Option<Arc<Room>> {
        self.read(|index| index.rooms.get(name).cloned())
    }

    /// The room, for one who may enter it.
    ///
    /// # Errors
    /// The same for a room that does not exist and for one of others.
    pub(crate) fn enter(&self, user: &str, name: &str) -> Result<Arc<Room>, Refusal> {
        let room = self.room(name).ok_or_else(Refusal::room_not_found)?;
        if room.is_public() || room.role(user).is_some() {
            return Ok(room);
        }
        Err(Refusal::room_not_found())
    }

    /// Whether the caller may read `name`: a room of the directory, or the administrators' one.
    pub(crate) fn may_read(&self, caller: &Caller, name: &str) -> bool {
        if matches!(name, ADMIN_ROOM | ADMIN_AUDIENCE) {
            return caller.is_admin();
        }
        match caller {
            Caller::Service => true,
            Caller::User(sender) => self.enter(&sender.user, name).is_ok(),
        }
    }

    /// Public rooms by name.
    pub(crate) fn public_rooms(&self) -> Vec<Arc<Room>> {
        let mut rooms: Vec<_> = self.read(|index| {
            index
                .rooms
                .values()
                .filter(|room| room.is_public())
                .cloned()
                .collect()
        });
        rooms.sort_by(|a, b| a.row.name.cmp(&b.row.name));
        rooms
    }

    /// Private rooms and conversations of a user, by name.
    pub(crate) fn rooms_of(&self, user: &str) -> Vec<Arc<Room>> {
        self.read(|index| {
            let names = index.by_member.get(user).into_iter().flatten();
            names
                .filter_map(|name| index.rooms.get(name).cloned())
                .collect()
        })
    }

    /// Makes the conversation of the two users that `name` tells, if both exist and `user` is one of them.
    ///
    /// # Errors
    /// Looks like a room that does not exist in every other case.
    pub(crate) async fn open_direct(&self, user: &str, name: &str) -> Result<Arc<Room>, Refusal> {
        use crate::endpoint::internal;
        use crate::limits::DIRECT_PER_USER_MAX;

        let (first, second) = direct_users(name).ok_or_else(Refusal::room_not_found)?;
        if user != first && user != second {
            return Err(Refusal::room_not_found());
        }
        if let Some(room) = self.room(name) {
            return Ok(room);
        }
        let both = vec![first.to_owned(), second.to_owned()];
        if self.db.user_cards(both).await.map_err(internal)?.len() != 2 {
            return Err(Refusal::room_not_found());
        }
        let direct = |room: &Arc<Room>| room.row.kind == RoomKind::Direct;
        if self
            .rooms_of(user)
            .iter()
            .filter(|room| direct(room))
            .count()
            >= DIRECT_PER_USER_MAX
        {
            return Err(Refusal::new(
                "too_many_rooms",
                "You have too many conversations.",
            ));
        }
        let _changing = self.changing.lock().await;
        let created_at = crate::clock::now_ms();
        let row = RoomRow {
            name: name.to_owned(),
            display_name: name.to_owned(),
            creator: user.to_owned(),
            kind: RoomKind::Direct,
            created_at,
        };
        let member = |username: &str| MemberRow {
            room: name.to_owned(),
            username: username.to_owned(),
            role: RoomRole::Member,
            invited_by: None,
            joined_at: created_at,
        };
        let members = vec![member(first), member(second)];
        self.db.insert_room(row, members).await.map_err(internal)?;
        self.refresh(name).await.map_err(internal)?;
        self.room(name).ok_or_else(Refusal::internal)
    }
}
