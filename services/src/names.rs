//! Names of rooms, checked once.

use std::fmt;

/// Longest room name.
pub(crate) const ROOM_NAME_LEN_MAX: usize = 64;
/// The administrators' room as clients call it.
pub(crate) const ADMIN_ROOM: &str = "__admin__";
/// The administrators' room as join, presence and read subjects call it.
pub(crate) const ADMIN_AUDIENCE: &str = "__admin__chat";
/// The author of system messages.
pub(crate) const SYSTEM_AUTHOR: &str = "__system__";
const DIRECT_PREFIX: &str = "dm-";

/// The name of a room that can be made: one subject token of `a-z 0-9 -`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoomName(String);

/// Why a text is no room name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "use 1 to {ROOM_NAME_LEN_MAX} small letters, digits and hyphens, beginning with a letter or digit and not with dm-"
)]
pub struct RoomNameError;

impl RoomName {
    /// Checks the rules once.
    ///
    /// # Errors
    /// Everything that is no such name, the reserved ones included.
    pub fn parse(raw: &str) -> Result<Self, RoomNameError> {
        let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
        let valid = (1..=ROOM_NAME_LEN_MAX).contains(&raw.len())
            && raw.bytes().all(allowed)
            && !raw.starts_with('-')
            && !raw.starts_with(DIRECT_PREFIX);
        if valid {
            Ok(Self(raw.to_owned()))
        } else {
            Err(RoomNameError)
        }
    }

    /// The name as a subject token.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The room of a direct conversation: both names, sorted.
#[must_use]
pub(crate) fn direct_room(one: &str, other: &str) -> String {
    let (first, second) = if one < other {
        (one, other)
    } else {
        (other, one)
    };
    format!("{DIRECT_PREFIX}{first}-{second}")
}

/// The two users of a direct conversation. User names have no hyphen, so there is one way to read it.
#[must_use]
pub(crate) fn direct_users(room: &str) -> Option<(&str, &str)> {
    let (first, second) = room.strip_prefix(DIRECT_PREFIX)?.split_once('-')?;
    let name = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    (name(first) && name(second) && first < second).then_some((first, second))
}

/// The time of the message that a thread hangs on, if `thread` is one of `room`.
#[must_use]
pub(crate) fn thread_parent(room: &str, thread: &str) -> Option<i64> {
    let digits = thread.strip_prefix(room)?.strip_prefix('-')?;
    let valid = (1..=16).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    if valid { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(raw: &str, valid: bool) {
        assert_eq!(RoomName::parse(raw).is_ok(), valid, "{raw:?}");
    }

    #[test]
    fn room_names_are_one_plain_token() {
        for raw in ["general", "a", "edge-boxes", "2026", "a--b"] {
            check(raw, true);
        }
        for raw in [
            "",
            "-a",
            "dm-ann-bob",
            "__admin__",
            "a.b",
            "a b",
            "A",
            "ä",
            "a*",
            ">",
            "a\n",
            "$x",
        ] {
            check(raw, false);
        }
        check(&"x".repeat(ROOM_NAME_LEN_MAX), true);
        check(&"x".repeat(ROOM_NAME_LEN_MAX + 1), false);
    }

    #[test]
    fn a_direct_room_has_one_name_and_one_reading() {
        assert_eq!(direct_room("bob", "ann"), "dm-ann-bob");
        assert_eq!(direct_users("dm-ann-bob"), Some(("ann", "bob")));
        for room in [
            "dm-bob-ann",
            "dm-ann-ann",
            "dm-ann",
            "dm-ann-bob-cid",
            "dm--bob",
            "general",
            "dm-a.b-c",
        ] {
            assert_eq!(direct_users(room), None, "{room}");
        }
    }

    #[test]
    fn a_thread_belongs_to_one_room() {
        assert_eq!(thread_parent("pond", "pond-17"), Some(17));
        for thread in [
            "pond-",
            "pond-x",
            "lake-17",
            "pond-17-1",
            "pond17",
            "pond--17",
        ] {
            assert_eq!(thread_parent("pond", thread), None, "{thread}");
        }
    }
}
