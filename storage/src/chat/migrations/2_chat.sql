-- Rooms, messages, read positions. Times are unix milliseconds; `seq` is the sequence in the stream CHAT_MESSAGES.

CREATE TABLE rooms (
    name         TEXT PRIMARY KEY,
    display_name TEXT NOT NULL,
    creator      TEXT NOT NULL,
    kind         TEXT NOT NULL CHECK (kind IN ('public', 'private', 'dm')),
    created_at   INTEGER NOT NULL
) STRICT;

-- Who may enter a private room or a direct conversation. Public rooms have no rows here.
CREATE TABLE room_members (
    room       TEXT NOT NULL REFERENCES rooms (name) ON DELETE CASCADE,
    username   TEXT NOT NULL,
    role       TEXT NOT NULL CHECK (role IN ('owner', 'admin', 'member')),
    invited_by TEXT,
    joined_at  INTEGER NOT NULL,
    PRIMARY KEY (room, username)
) STRICT, WITHOUT ROWID;
CREATE INDEX room_members_by_user ON room_members (username);

CREATE TABLE messages (
    seq              INTEGER PRIMARY KEY,
    id               TEXT NOT NULL UNIQUE,        -- UUIDv7, made by the server
    room             TEXT NOT NULL,
    username         TEXT NOT NULL,
    text             TEXT NOT NULL,
    timestamp        INTEGER NOT NULL,
    client_id        TEXT,
    thread_id        TEXT,
    parent_timestamp INTEGER,
    broadcast        INTEGER NOT NULL DEFAULT 0 CHECK (broadcast IN (0, 1)),
    is_deleted       INTEGER NOT NULL DEFAULT 0 CHECK (is_deleted IN (0, 1)),
    edited_at        INTEGER,
    sticker_url      TEXT,
    file_ids         TEXT,                        -- JSON array
    e2ee_epoch       INTEGER
) STRICT;
-- What a room's timeline shows, in order.
CREATE INDEX messages_in_room ON messages (room, seq) WHERE thread_id IS NULL OR broadcast = 1;
CREATE INDEX messages_by_time ON messages (room, timestamp, username);
CREATE INDEX messages_in_thread ON messages (room, thread_id, seq) WHERE thread_id IS NOT NULL;

CREATE TABLE message_mentions (
    username TEXT NOT NULL,
    room     TEXT NOT NULL,
    seq      INTEGER NOT NULL REFERENCES messages (seq) ON DELETE CASCADE,
    PRIMARY KEY (username, room, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE message_versions (
    seq         INTEGER PRIMARY KEY,              -- of the edit
    message_seq INTEGER NOT NULL REFERENCES messages (seq) ON DELETE CASCADE,
    text        TEXT NOT NULL,
    edited_at   INTEGER NOT NULL
) STRICT;
CREATE INDEX message_versions_of ON message_versions (message_seq, seq);

CREATE TABLE message_reactions (
    message_seq INTEGER NOT NULL REFERENCES messages (seq) ON DELETE CASCADE,
    username    TEXT NOT NULL,
    emoji       TEXT NOT NULL,
    seq         INTEGER NOT NULL,                 -- of the reaction: the order in which they are shown
    PRIMARY KEY (message_seq, username, emoji)
) STRICT, WITHOUT ROWID;

CREATE TABLE read_positions (
    username  TEXT NOT NULL,
    room      TEXT NOT NULL,
    seq       INTEGER NOT NULL,
    timestamp INTEGER NOT NULL,
    PRIMARY KEY (username, room)
) STRICT, WITHOUT ROWID;
CREATE INDEX read_positions_in_room ON read_positions (room);

-- How far a stream is in this database: written in the same transaction as what it brought.
CREATE TABLE stream_positions (
    stream TEXT PRIMARY KEY,
    seq    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Messages that could not be stored, kept for the administrator.
CREATE TABLE dead_letters (
    seq       INTEGER PRIMARY KEY,
    subject   TEXT NOT NULL,
    payload   BLOB NOT NULL,
    error     TEXT NOT NULL,
    failed_at INTEGER NOT NULL
) STRICT;
