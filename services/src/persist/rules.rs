//! What a stored message does to the database. Pure.

use serde_json::{Map, Value};
use storage::chat::messages::{Change, Event, MessageRow, Target};

use crate::bus::Record;
use crate::fanout::Action;
use crate::identity::UserName;
use crate::subjects;

/// Reads a record; what cannot be read is refused with the reason.
pub(super) fn event(record: Record) -> Event {
    let change = change(&record).unwrap_or_else(|error| Change::Refuse { error });
    Event {
        seq: record.seq,
        subject: record.subject,
        payload: record.payload.to_vec(),
        change,
    }
}

fn text(body: &Map<String, Value>, name: &str) -> Option<String> {
    body.get(name)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
}

fn texts(body: &Map<String, Value>, name: &str) -> Vec<String> {
    let items = body
        .get(name)
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    items.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn change(record: &Record) -> Result<Change, String> {
    let Some((room, thread)) = subjects::room_of_message(&record.subject) else {
        return Ok(Change::Skip);
    };
    let body: Map<String, Value> = serde_json::from_slice(&record.payload)
        .map_err(|error| format!("not a JSON object: {error}"))?;
    let action = Action::of(&body).ok_or("unknown action")?;
    let username = text(&body, "user").ok_or("no author")?;
    let timestamp = body.get("timestamp").and_then(Value::as_i64);
    let timestamp = timestamp.ok_or("timestamp is not a whole number")?;
    let target = |author: &str| Target {
        room: room.to_owned(),
        timestamp,
        username: author.to_owned(),
    };
    Ok(match action {
        Action::Edit => Change::Edit {
            target: target(&username),
            text: text(&body, "text").ok_or("an edit without text")?,
            edited_at: record.stored_at,
        },
        Action::Delete => Change::Delete(target(&username)),
        Action::React => Change::React {
            target: target(&text(&body, "targetUser").ok_or("a reaction without target")?),
            username,
            emoji: text(&body, "emoji").ok_or("a reaction without emoji")?,
        },
        Action::Message | Action::System => {
            let mut file_ids = texts(&body, "fileIds");
            if file_ids.is_empty() {
                file_ids.extend(text(&body, "fileId"));
            }
            // Whatever looks like a name counts; whether there is such a user shows when that user asks.
            let mut mentions = texts(&body, "mentions");
            mentions.retain(|name| UserName::parse(name).is_ok());
            Change::Insert(Box::new(MessageRow {
                seq: record.seq,
                id: text(&body, "id").ok_or("no id")?,
                room: room.to_owned(),
                username,
                text: text(&body, "text").unwrap_or_default(),
                timestamp,
                client_id: text(&body, "clientId"),
                thread_id: thread.map(str::to_owned),
                parent_timestamp: thread
                    .and_then(|_| body.get("parentTimestamp").and_then(Value::as_i64)),
                broadcast: body.get("broadcast") == Some(&Value::Bool(true)),
                sticker_url: text(&body, "stickerUrl"),
                file_ids,
                e2ee_epoch: body
                    .get("e2ee")
                    .and_then(|e2ee| e2ee.get("epoch"))
                    .and_then(Value::as_i64),
                mentions,
                ..MessageRow::default()
            }))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(subject: &str, payload: &'static [u8]) -> Change {
        event(Record {
            seq: 7,
            subject: subject.to_owned(),
            payload: payload.into(),
            stored_at: 9,
        })
        .change
    }

    #[test]
    fn poison_is_refused_with_its_reason() {
        for (payload, reason) in [
            (&b"{"[..], "not a JSON object"),
            (b"[]", "not a JSON object"),
            (br#"{"user":"ann","id":"x","text":"hi"}"#, "timestamp"),
            (br#"{"timestamp":1,"id":"x","text":"hi"}"#, "no author"),
            (br#"{"user":"ann","timestamp":1,"text":"hi"}"#, "no id"),
            (
                br#"{"user":"ann","timestamp":1,"action":"explode"}"#,
                "unknown action",
            ),
        ] {
            let Change::Refuse { error } = read("chat.message.pond", payload) else {
                panic!("{payload:?}")
            };
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn a_reply_belongs_to_its_thread() {
        let body = br#"{"user":"ann","timestamp":9,"id":"x","text":"hi","parentTimestamp":5,"broadcast":true,
            "fileId":"f","mentions":["bob","not a name"]}"#;
        let Change::Insert(row) = read("chat.message.pond.thread.pond-5", body) else {
            panic!()
        };
        assert_eq!(
            (row.room.as_str(), row.thread_id.as_deref()),
            ("pond", Some("pond-5"))
        );
        assert_eq!((row.parent_timestamp, row.broadcast), (Some(5), true));
        assert_eq!(
            (row.file_ids, row.mentions),
            (vec!["f".to_owned()], vec!["bob".to_owned()])
        );
    }

    #[test]
    fn other_subjects_are_skipped() {
        assert_eq!(read("admin.chat", b"{"), Change::Skip);
    }
}
