//! Rooms and who belongs to them.

use rusqlite::{Connection, OptionalExtension, Row};

use super::{ChatDb, Error};

/// What kind of room it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoomKind {
    /// Anybody with an account may enter.
    Public,
    /// Only members may enter, and only they know of it.
    Private,
    /// A conversation of two.
    Direct,
}

impl RoomKind {
    /// As the database and the wire spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Private => "private",
            Self::Direct => "dm",
        }
    }

    fn parse(text: &str) -> Self {
        match text {
            "public" => Self::Public,
            "dm" => Self::Direct,
            // The table's CHECK admits nothing else; the narrowest reading is the safe one.
            _ => Self::Private,
        }
    }
}

/// What a member may do in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoomRole {
    /// Made the room, or inherited it.
    Owner,
    /// May invite and remove.
    Admin,
    /// May read and write.
    Member,
}

impl RoomRole {
    /// As the database and the wire spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Member => "member",
        }
    }

    fn parse(text: &str) -> Self {
        match text {
            "owner" => Self::Owner,
            "admin" => Self::Admin,
            _ => Self::Member,
        }
    }
}

/// One room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomRow {
    /// Its name in subjects.
    pub name: String,
    /// What people read.
    pub display_name: String,
    /// Who made it.
    pub creator: String,
    /// What kind it is.
    pub kind: RoomKind,
    /// Unix milliseconds.
    pub created_at: i64,
}

/// One member of a private room or a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberRow {
    /// The room.
    pub room: String,
    /// The member.
    pub username: String,
    /// What the member may do.
    pub role: RoomRole,
    /// Who brought the member in.
    pub invited_by: Option<String>,
    /// Unix milliseconds.
    pub joined_at: i64,
}

/// What a departure did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Departure {
    /// Was no member.
    NotAMember,
    /// Left; an owner's room went to `new_owner`.
    Left {
        /// Who owns the room now, where that changed.
        new_owner: Option<String>,
    },
    /// Was the last one: the room is gone.
    RoomDeleted,
}

impl ChatDb {
    /// Adds a room with its first members; `false` when the name is taken, and nothing changes.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn insert_room(&self, room: RoomRow, members: Vec<MemberRow>) -> Result<bool, Error> {
        const INSERT: &str = "INSERT INTO rooms (name, display_name, creator, kind, created_at)
            VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING";
        self.write(move |tx| {
            let added = tx.prepare_cached(INSERT)?.execute((
                &room.name,
                &room.display_name,
                &room.creator,
                room.kind.as_str(),
                room.created_at,
            ))?;
            if added == 0 {
                return Ok(false);
            }
            for member in &members {
                insert_member(tx, member)?;
            }
            Ok(true)
        })
        .await
    }

    /// Adds a member; `false` when already one.
    ///
    /// # Errors
    /// When the database fails, or there is no such room.
    pub async fn insert_room_member(&self, member: MemberRow) -> Result<bool, Error> {
        self.write(move |tx| insert_member(tx, &member)).await
    }

    /// Removes a member; `false` when not one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn delete_room_member(&self, room: &str, username: &str) -> Result<bool, Error> {
        const DELETE: &str = "DELETE FROM room_members WHERE room = ?1 AND username = ?2";
        let (room, username) = (room.to_owned(), username.to_owned());
        self.write(move |tx| Ok(tx.prepare_cached(DELETE)?.execute((room, username))? == 1))
            .await
    }

    /// Removes a member who leaves, hands an owner's room on, and deletes a room that is empty, in one step.
    ///
    /// The next owner is the first of the admins, else of the members, by time of joining.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn depart_room(&self, room: &str, username: &str) -> Result<Departure, Error> {
        const ROLE: &str = "SELECT role FROM room_members WHERE room = ?1 AND username = ?2";
        const LEAVE: &str = "DELETE FROM room_members WHERE room = ?1 AND username = ?2";
        const HEIR: &str = "SELECT username FROM room_members WHERE room = ?1
            ORDER BY role = 'admin' DESC, joined_at, username LIMIT 1";
        const PROMOTE: &str =
            "UPDATE room_members SET role = 'owner' WHERE room = ?1 AND username = ?2";
        const DELETE: &str = "DELETE FROM rooms WHERE name = ?1";
        let (room, username) = (room.to_owned(), username.to_owned());
        self.write(move |tx| {
            let role: Option<String> = tx
                .prepare_cached(ROLE)?
                .query_row((&room, &username), |row| row.get(0))
                .optional()?;
            let Some(role) = role else {
                return Ok(Departure::NotAMember);
            };
            tx.prepare_cached(LEAVE)?.execute((&room, &username))?;
            let heir: Option<String> = tx
                .prepare_cached(HEIR)?
                .query_row([&room], |row| row.get(0))
                .optional()?;
            let Some(heir) = heir else {
                tx.prepare_cached(DELETE)?.execute([&room])?;
                return Ok(Departure::RoomDeleted);
            };
            if role != "owner" {
                return Ok(Departure::Left { new_owner: None });
            }
            tx.prepare_cached(PROMOTE)?.execute((&room, &heir))?;
            Ok(Departure::Left {
                new_owner: Some(heir),
            })
        })
        .await
    }

    /// One room with its members, by time of joining.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn room(&self, name: &str) -> Result<Option<(RoomRow, Vec<MemberRow>)>, Error> {
        const ROOM: &str =
            "SELECT name, display_name, creator, kind, created_at FROM rooms WHERE name = ?1";
        const MEMBERS: &str = "SELECT room, username, role, invited_by, joined_at
            FROM room_members WHERE room = ?1 ORDER BY joined_at, username";
        let name = name.to_owned();
        self.read(move |c| {
            let room = c
                .prepare_cached(ROOM)?
                .query_row([&name], room_row)
                .optional()?;
            let Some(room) = room else {
                return Ok(None);
            };
            let mut statement = c.prepare_cached(MEMBERS)?;
            let members = statement.query_map([&name], member_row)?;
            Ok(Some((room, members.collect::<Result<_, _>>()?)))
        })
        .await
    }

    /// All rooms by name, and all members by time of joining.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn rooms(&self) -> Result<(Vec<RoomRow>, Vec<MemberRow>), Error> {
        const ROOMS: &str =
            "SELECT name, display_name, creator, kind, created_at FROM rooms ORDER BY name";
        const MEMBERS: &str = "SELECT room, username, role, invited_by, joined_at
            FROM room_members ORDER BY room, joined_at, username";
        self.read(|c| {
            let mut statement = c.prepare_cached(ROOMS)?;
            let rooms = statement
                .query_map([], room_row)?
                .collect::<Result<_, _>>()?;
            let mut statement = c.prepare_cached(MEMBERS)?;
            let members = statement
                .query_map([], member_row)?
                .collect::<Result<_, _>>()?;
            Ok((rooms, members))
        })
        .await
    }
}

fn insert_member(c: &Connection, member: &MemberRow) -> Result<bool, rusqlite::Error> {
    const INSERT: &str = "INSERT INTO room_members (room, username, role, invited_by, joined_at)
        VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (room, username) DO NOTHING";
    let added = c.prepare_cached(INSERT)?.execute((
        &member.room,
        &member.username,
        member.role.as_str(),
        &member.invited_by,
        member.joined_at,
    ))?;
    Ok(added == 1)
}

fn room_row(row: &Row<'_>) -> Result<RoomRow, rusqlite::Error> {
    Ok(RoomRow {
        name: row.get(0)?,
        display_name: row.get(1)?,
        creator: row.get(2)?,
        kind: RoomKind::parse(&row.get::<_, String>(3)?),
        created_at: row.get(4)?,
    })
}

fn member_row(row: &Row<'_>) -> Result<MemberRow, rusqlite::Error> {
    Ok(MemberRow {
        room: row.get(0)?,
        username: row.get(1)?,
        role: RoomRole::parse(&row.get::<_, String>(2)?),
        invited_by: row.get(3)?,
        joined_at: row.get(4)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(username: &str, role: RoomRole, joined_at: i64) -> MemberRow {
        MemberRow {
            room: "pond".to_owned(),
            username: username.to_owned(),
            role,
            invited_by: None,
            joined_at,
        }
    }

    async fn pond(members: Vec<MemberRow>) -> (tempfile::TempDir, ChatDb) {
        let dir = tempfile::tempdir().unwrap();
        let db = ChatDb::open(&dir.path().join("chat.sqlite3"))
            .await
            .unwrap();
        let room = RoomRow {
            name: "pond".to_owned(),
            display_name: "Pond".to_owned(),
            creator: "ann".to_owned(),
            kind: RoomKind::Private,
            created_at: 1,
        };
        assert!(db.insert_room(room.clone(), members).await.unwrap());
        assert!(!db.insert_room(room, Vec::new()).await.unwrap());
        (dir, db)
    }

    #[tokio::test]
    async fn an_owner_who_leaves_hands_the_room_to_an_admin_first() {
        let members = vec![
            member("ann", RoomRole::Owner, 1),
            member("bea", RoomRole::Member, 2),
            member("cid", RoomRole::Admin, 3),
        ];
        let (_dir, db) = pond(members).await;
        let departed = db.depart_room("pond", "ann").await.unwrap();
        assert_eq!(
            departed,
            Departure::Left {
                new_owner: Some("cid".to_owned())
            }
        );
        assert_eq!(
            db.depart_room("pond", "ann").await.unwrap(),
            Departure::NotAMember
        );
        let (_, members) = db.room("pond").await.unwrap().unwrap();
        assert_eq!(members.len(), 2);
        assert_eq!(members[1].role, RoomRole::Owner);
    }

    #[tokio::test]
    async fn the_last_one_out_deletes_the_room() {
        let (_dir, db) = pond(vec![member("ann", RoomRole::Owner, 1)]).await;
        assert_eq!(
            db.depart_room("pond", "ann").await.unwrap(),
            Departure::RoomDeleted
        );
        assert!(db.room("pond").await.unwrap().is_none());
        assert_eq!(db.rooms().await.unwrap(), (Vec::new(), Vec::new()));
    }
}
