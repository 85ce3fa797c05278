//! The message that a schedule makes.

use bytes::Bytes;
use storage::stream::StoredMessage;

use crate::jetstream::capture::Captured;
use crate::jetstream::config::Timestamp;
use crate::jetstream::publish::headers::PublishHeaders;
use crate::proto::headers::{BlockEdit, raw_value};

/// The subject whose newest message is sent instead of the schedule's own.
pub(crate) fn source(schedule: &StoredMessage) -> Option<&[u8]> {
    raw_value(&schedule.headers, "Nats-Schedule-Source").filter(|source| !source.is_empty())
}

/// Makes the message. `sampled` is the newest one of the source, `next` when the schedule is due again. `None`: the stored
/// message is no schedule.
pub(crate) fn message(
    schedule: &StoredMessage,
    sampled: Option<&StoredMessage>,
    next: Option<u64>,
) -> Option<Captured> {
    let headers = PublishHeaders::read(&schedule.headers);
    let target = headers.schedule_target?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let origin = sampled.unwrap_or(schedule);
    let next = next.map_or_else(|| "purge".to_owned(), |time| Timestamp(time).to_string());
    let mut block = BlockEdit::without(&origin.headers, is_dropped)
        .with("Nats-Scheduler", &text(&schedule.subject))
        .with("Nats-Schedule-Next", &next);
    if let Some(life_time) = headers.schedule_life_time {
        block = block.with("Nats-TTL", &text(life_time));
    }
    if let Some(rollup) = headers.schedule_rollup {
        block = block.with("Nats-Rollup", &text(rollup));
    }
    Some(Captured {
        subject: Bytes::copy_from_slice(target),
        reply: Bytes::new(),
        headers: block.finish(),
        payload: origin.payload.clone(),
    })
}

/// What belongs to the schedule, or to the publish that stored it, is not handed on.
fn is_dropped(name: &[u8]) -> bool {
    name.starts_with(b"Nats-Schedule")
        || name.starts_with(b"Nats-Expected-")
        || matches!(name, b"Nats-Msg-Id" | b"Nats-Rollup" | b"Nats-TTL")
}

#[cfg(test)]
mod tests {
    use storage::stream::Sequence;

    use super::*;

    fn stored(subject: &'static str, lines: &str, payload: &'static str) -> StoredMessage {
        StoredMessage {
            sequence: Sequence(1),
            subject: subject.into(),
            headers: format!("NATS/1.0\r\n{lines}\r\n\r\n").into(),
            payload: payload.into(),
            timestamp: 0,
        }
    }

    #[test]
    fn the_publisher_s_own_headers_are_handed_on() {
        let schedule = stored(
            "s.a",
            "Nats-Schedule: @hourly\r\nNats-Schedule-Target: t.x\r\nA: b\r\nNats-Msg-Id: m\r\nNats-Schedule-TTL: 5m\r\nNats-Rollup: sub",
            "hello",
        );
        let made = message(&schedule, None, Some(1_000_000_000)).expect("made");
        assert_eq!(&made.subject[..], b"t.x");
        assert_eq!(
            &made.headers[..],
            b"NATS/1.0\r\nA: b\r\nNats-Scheduler: s.a\r\nNats-Schedule-Next: 1970-01-01T00:00:01Z\r\nNats-TTL: 5m\r\n\r\n"
        );
        assert_eq!(&made.payload[..], b"hello");
        let last = message(&schedule, None, None).expect("made");
        assert_eq!(
            raw_value(&last.headers, "Nats-Schedule-Next"),
            Some(&b"purge"[..])
        );
    }

    #[test]
    fn a_source_gives_its_newest_message() {
        let schedule = stored(
            "s.a",
            "Nats-Schedule: @hourly\r\nNats-Schedule-Target: t.x\r\nNats-Schedule-Source: t.v\r\nNats-Schedule-Rollup: sub",
            "own",
        );
        assert_eq!(source(&schedule), Some(&b"t.v"[..]));
        let sampled = stored("t.v", "X: y\r\nNats-Msg-Id: v1", "value");
        let made = message(&schedule, Some(&sampled), None).expect("made");
        assert_eq!(&made.payload[..], b"value");
        assert_eq!(
            &made.headers[..],
            b"NATS/1.0\r\nX: y\r\nNats-Scheduler: s.a\r\nNats-Schedule-Next: purge\r\nNats-Rollup: sub\r\n\r\n"
        );
        assert!(message(&sampled, None, None).is_none());
    }
}
