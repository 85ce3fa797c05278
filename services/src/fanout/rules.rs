//! What may be sent, and what becomes of it (contract 7.1, 9.1, 13). Pure.

use serde_json::{Map, Value};

use crate::limits::{
    CLIENT_ID_BYTES_MAX, CLOCK_AHEAD_MAX, CLOCK_BEHIND_MAX, EMOJI_BYTES_MAX, FILES_MAX,
    MENTIONS_MAX, STICKER_URL_BYTES_MAX, TEXT_BYTES_MAX,
};
use crate::names::thread_parent;
use crate::wire::Refusal;

/// What a message does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Message,
    Edit,
    Delete,
    React,
    System,
}

impl Action {
    pub(crate) fn of(body: &Map<String, Value>) -> Option<Self> {
        Some(match body.get("action") {
            None | Some(Value::Null) => Self::Message,
            Some(Value::String(action)) => match action.as_str() {
                "" | "message" => Self::Message,
                "edit" => Self::Edit,
                "delete" => Self::Delete,
                "react" => Self::React,
                "system" => Self::System,
                _ => return None,
            },
            Some(_) => return None,
        })
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Edit => "edit",
            Self::Delete => "delete",
            Self::React => "react",
            Self::System => "system",
        }
    }
}

/// A send that passed every check that needs no clock and no room.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) action: Action,
    /// The body as the sender made it, with the fix-ups for both client generations.
    pub(crate) body: Map<String, Value>,
    /// The thread it belongs to.
    pub(crate) thread: Option<String>,
    /// The time the client chose: of the message, or of the message it is about.
    pub(crate) timestamp: i64,
    /// The time is bound into the ciphertext and must stay.
    pub(crate) encrypted: bool,
    pub(crate) client_id: Option<String>,
    /// The room's copy of a reply that was sent to the thread as well: stored once already (contract 13, row 10).
    pub(crate) is_copy: bool,
}

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::invalid_request(message.into())
}

fn text_field<'a>(
    body: &'a Map<String, Value>,
    name: &str,
    bytes_max: usize,
) -> Result<Option<&'a str>, Refusal> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) if text.len() > bytes_max => Err(Refusal::new(
            "too_large",
            format!(
                "The field {name} has {} bytes; at most {bytes_max} are possible.",
                text.len()
            ),
        )),
        Some(Value::String(text)) if text.contains('\0') => Err(invalid(format!(
            "The field {name} contains a character that cannot be stored."
        ))),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(invalid(format!("The field {name} must be a text."))),
    }
}

fn number_field(body: &Map<String, Value>, name: &str) -> Result<Option<i64>, Refusal> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_i64() {
            Some(number) if number >= 0 => Ok(Some(number)),
            _ => Err(invalid(format!(
                "The field {name} must be a whole number of milliseconds."
            ))),
        },
    }
}

fn list_field(body: &Map<String, Value>, name: &str, max: usize) -> Result<usize, Refusal> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(0),
        Some(Value::Array(items)) if items.len() > max => Err(Refusal::new(
            "too_large",
            format!("The field {name} has more than {max} entries."),
        )),
        Some(Value::Array(items)) if items.iter().all(is_short_text) => Ok(items.len()),
        Some(_) => Err(invalid(format!(
            "The field {name} must be a list of short texts."
        ))),
    }
}

fn is_short_text(value: &Value) -> bool {
    value
        .as_str()
        .is_some_and(|text| !text.is_empty() && text.len() <= 256 && !text.contains('\0'))
}

/// Checks a body that `user` sends to `room`, or to the thread of it that the subject names.
///
/// # Errors
/// Says what is wrong with it.
pub(crate) fn accept(
    user: &str,
    room: &str,
    subject_thread: Option<&str>,
    mut body: Map<String, Value>,
) -> Result<Accepted, Refusal> {
    let claimed = text_field(&body, "user", 256)?;
    if claimed.is_some_and(|claimed| claimed != user) {
        return Err(Refusal::new(
            "sender_mismatch",
            "The message names another author than the one who is signed in.",
        ));
    }
    let action = Action::of(&body).filter(|action| *action != Action::System);
    let action = action
        .ok_or_else(|| invalid("The field action must be edit, delete or react, or absent."))?;
    let text_bytes = text_field(&body, "text", TEXT_BYTES_MAX)?.map_or(0, str::len);
    let emoji = text_field(&body, "emoji", EMOJI_BYTES_MAX)?.is_some();
    let sticker = text_field(&body, "stickerUrl", STICKER_URL_BYTES_MAX)?.is_some();
    let file = text_field(&body, "fileId", 256)?.is_some();
    let files = list_field(&body, "fileIds", FILES_MAX)? > 0;
    list_field(&body, "mentions", MENTIONS_MAX)?;
    let client_id = text_field(&body, "clientId", CLIENT_ID_BYTES_MAX)?.map(str::to_owned);
    let encrypted = matches!(body.get("e2ee"), Some(Value::Object(_)));

    // Newer clients put the time of now into `timestamp` and the target's beside it; stored is the target's.
    let (target_time, target_user) = match action {
        Action::Edit => ("editTimestamp", "editUser"),
        Action::Delete => ("deleteTimestamp", "deleteUser"),
        Action::React => ("reactTimestamp", "reactUser"),
        Action::Message | Action::System => ("", ""),
    };
    let target_user = text_field(&body, target_user, 256)?.map(str::to_owned);
    let own_only = matches!(action, Action::Edit | Action::Delete);
    if own_only && target_user.as_ref().is_some_and(|author| author != user) {
        return Err(Refusal::new(
            "not_the_author",
            "You can change only your own messages.",
        ));
    }
    let timestamp = match number_field(&body, target_time)? {
        Some(target) => target,
        None => number_field(&body, "timestamp")?.unwrap_or(0),
    };
    match action {
        Action::Message | Action::System => {
            if text_bytes == 0 && !sticker && !file && !files {
                return Err(invalid("The message is empty."));
            }
        }
        Action::Edit if text_bytes == 0 => return Err(invalid("The new text is empty.")),
        Action::React if !emoji => return Err(invalid("The reaction names no emoji.")),
        Action::Edit | Action::Delete | Action::React => {}
    }
    if action != Action::Message && timestamp == 0 {
        return Err(invalid(
            "The request does not say which message it is about.",
        ));
    }
    if action == Action::React {
        if let Some(author) = target_user {
            body.insert("targetUser".to_owned(), Value::String(author));
        }
        if text_field(&body, "targetUser", 256)?.is_none() {
            return Err(invalid(
                "The reaction does not say whose message it is about.",
            ));
        }
    }

    let body_thread = text_field(&body, "threadId", 256)?.map(str::to_owned);
    let broadcast = body.get("broadcast") == Some(&Value::Bool(true));
    let is_copy =
        action == Action::Message && subject_thread.is_none() && body_thread.is_some() && broadcast;
    let thread = subject_thread.map(str::to_owned).or(body_thread);
    if let Some(thread) = &thread {
        let parent = thread_parent(room, thread)
            .ok_or_else(|| invalid("The thread does not belong to this room."))?;
        body.insert("threadId".to_owned(), Value::String(thread.clone()));
        body.insert("parentTimestamp".to_owned(), parent.into());
    }
    body.insert("user".to_owned(), user.into());
    body.insert("room".to_owned(), room.into());
    Ok(Accepted {
        action,
        body,
        thread,
        timestamp,
        encrypted,
        client_id,
        is_copy,
    })
}

/// The time of a new message before the room's order is looked at: the client's, unless its clock is clearly wrong.
pub(crate) fn plausible_time(client: i64, now: i64) -> i64 {
    let behind = i64::try_from(CLOCK_BEHIND_MAX.as_millis()).unwrap_or(i64::MAX);
    let ahead = i64::try_from(CLOCK_AHEAD_MAX.as_millis()).unwrap_or(i64::MAX);
    if (now - behind..=now + ahead).contains(&client) {
        client
    } else {
        now
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn accept_json(thread: Option<&str>, body: Value) -> Result<Accepted, Refusal> {
        let Value::Object(body) = body else {
            panic!("an object")
        };
        accept("ann", "pond", thread, body)
    }

    #[track_caller]
    fn check_refused(body: Value, code: &str) {
        assert_eq!(accept_json(None, body).unwrap_err().code, code);
    }

    #[test]
    fn a_message_keeps_what_its_sender_wrote() {
        let body =
            json!({"user": "ann", "text": "hi", "timestamp": 5, "extra": [1], "clientId": "c"});
        let accepted = accept_json(None, body).unwrap();
        assert_eq!(accepted.action, Action::Message);
        assert_eq!(
            (accepted.timestamp, accepted.client_id.as_deref()),
            (5, Some("c"))
        );
        assert_eq!(accepted.body["extra"], json!([1]));
        assert_eq!(accepted.body["room"], "pond");
    }

    #[test]
    fn an_author_is_never_missing_and_never_somebody_else() {
        let accepted = accept_json(None, json!({"text": "hi"})).unwrap();
        assert_eq!(accepted.body["user"], "ann");
        check_refused(json!({"user": "bob", "text": "hi"}), "sender_mismatch");
        check_refused(
            json!({"user": "__system__", "text": "hi", "action": "system"}),
            "sender_mismatch",
        );
        check_refused(json!({"text": "hi", "action": "system"}), "invalid_request");
    }

    #[test]
    fn both_generations_of_edits_mean_the_target() {
        for body in [
            json!({"action": "edit", "text": "x", "timestamp": 5}),
            json!({"action": "edit", "text": "x", "timestamp": 99, "editTimestamp": 5, "editUser": "ann"}),
        ] {
            assert_eq!(accept_json(None, body).unwrap().timestamp, 5);
        }
        let foreign =
            json!({"action": "delete", "timestamp": 9, "deleteTimestamp": 5, "deleteUser": "bob"});
        check_refused(foreign, "not_the_author");
    }

    #[test]
    fn a_reaction_names_its_target_in_the_older_form() {
        let newer = json!({"action": "react", "emoji": "🐸", "timestamp": 9, "reactTimestamp": 5, "reactUser": "bob"});
        let accepted = accept_json(None, newer).unwrap();
        assert_eq!(
            (accepted.timestamp, &accepted.body["targetUser"]),
            (5, &json!("bob"))
        );
        check_refused(
            json!({"action": "react", "emoji": "🐸", "timestamp": 5}),
            "invalid_request",
        );
        check_refused(
            json!({"action": "react", "timestamp": 5, "targetUser": "bob"}),
            "invalid_request",
        );
    }

    #[test]
    fn a_thread_of_another_room_is_refused() {
        let reply = json!({"text": "hi", "threadId": "lake-5"});
        check_refused(reply, "invalid_request");
        let accepted = accept_json(Some("pond-5"), json!({"text": "hi"})).unwrap();
        assert_eq!(accepted.body["parentTimestamp"], 5);
        assert!(accept_json(Some("lake-5"), json!({"text": "hi"})).is_err());
    }

    #[test]
    fn the_rooms_copy_of_a_broadcast_reply_is_recognised() {
        let body = json!({"text": "hi", "threadId": "pond-5", "broadcast": true});
        assert!(accept_json(None, body.clone()).unwrap().is_copy);
        assert!(!accept_json(Some("pond-5"), body).unwrap().is_copy);
    }

    #[test]
    fn poison_is_refused_at_the_door() {
        check_refused(json!({"text": "a\u{0}b"}), "invalid_request");
        check_refused(json!({"text": "x".repeat(TEXT_BYTES_MAX + 1)}), "too_large");
        check_refused(json!({"text": ""}), "invalid_request");
        check_refused(json!({"text": 7}), "invalid_request");
        check_refused(json!({"text": "x", "timestamp": "now"}), "invalid_request");
        check_refused(json!({"text": "x", "mentions": "bob"}), "invalid_request");
        check_refused(
            json!({"action": "react", "emoji": "x".repeat(65), "timestamp": 1, "targetUser": "b"}),
            "too_large",
        );
    }

    #[test]
    fn a_wrong_clock_is_corrected() {
        assert_eq!(plausible_time(1_000_000, 1_000_500), 1_000_000);
        assert_eq!(plausible_time(0, 1_000_500), 1_000_500);
        assert_eq!(plausible_time(9_000_000, 1_000_500), 1_000_500);
    }
}
