//! One message of an origin as an append to the copy.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use storage::stream::{Append, Cursor, Place, Rollup, Sequence, StoredMessage};

use super::header::{STREAM_SOURCE, SourceKey};
use super::selection::Selection;
use crate::jetstream::config::StreamConfig;
use crate::jetstream::publish::counter::Increment;
use crate::jetstream::publish::headers::{PublishHeaders, tells_of_an_end};
use crate::jetstream::publish::life_time::parse_life_time;
use crate::jetstream::publish::rules::Rules;
use crate::proto::headers::{BlockEdit, lines};

/// Conditions and batches were the business of the first stream: a copy does not carry them.
const DROPPED: [&[u8]; 2] = [b"Nats-Expected-", b"Nats-Batch-"];

/// What a stream is to an origin.
#[derive(Debug, Clone)]
pub(crate) enum Role {
    /// It keeps sequences and times.
    Mirror,
    /// It gives sequences of its own and says where a message comes from.
    Source(SourceKey),
}

/// How messages of one origin are copied.
#[derive(Debug)]
pub(crate) struct Copying {
    pub(crate) selection: Selection,
    pub(crate) role: Role,
}

/// Where a message comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Provenance<'a> {
    /// The origin's name.
    pub(crate) stream: &'a str,
    /// Which life of the origin it is.
    pub(crate) life: &'a str,
}

/// What the copy allows at present.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) config: Arc<StreamConfig>,
    pub(crate) rules: Arc<Rules>,
}

impl Copying {
    /// The append for a message; `None`: it is not copied.
    pub(crate) fn append(
        &self,
        message: &StoredMessage,
        from: Provenance<'_>,
        target: &Target,
    ) -> Option<Append> {
        let subject = self.selection.apply(&message.subject)?;
        let headers = PublishHeaders::read(&message.headers);
        let (ttl, raised) = target.life_time(&headers);
        let mut append = Append {
            subject: target.rules.stored_subject(subject),
            headers: self.headers(message, from, raised),
            payload: message.payload.clone(),
            ttl,
            rollup: target.rollup(&headers),
            is_marker: tells_of_an_end(&message.headers),
            ..Append::default()
        };
        match self.role {
            // The origin has decided what is a duplicate; a mirror loses nothing by deciding anew.
            Role::Mirror => {
                append.place = Some(Place {
                    sequence: message.sequence,
                    timestamp: message.timestamp,
                });
            }
            Role::Source(_) => {
                append.message_id = headers.message_id.map(|id| message.headers.slice_ref(id));
            }
        }
        if target.rules.allow_counter {
            // What is no counter has no place among them.
            let (block, payload) = (&append.headers, &message.payload);
            let increment = Increment::from_source(block, payload, from.stream, &message.subject)?;
            append.derive = Some(Arc::new(increment));
        }
        Some(append)
    }

    /// The cursor to be saved with a message: it was the last one copied. Mirrors are their own cursor.
    pub(crate) fn cursor(
        &self,
        message: &StoredMessage,
        from: Provenance<'_>,
    ) -> Option<Box<(String, Cursor)>> {
        let Role::Source(key) = &self.role else {
            return None;
        };
        let cursor = Cursor {
            ack_floor: message.sequence,
            data: Bytes::copy_from_slice(from.life.as_bytes()),
            ..Cursor::default()
        };
        Some(Box::new((key.cursor_name(), cursor)))
    }

    fn headers(
        &self,
        message: &StoredMessage,
        from: Provenance<'_>,
        raised: Option<Duration>,
    ) -> Bytes {
        let block = &message.headers;
        let is_dropped = |name: &[u8]| {
            DROPPED.iter().any(|prefix| name.starts_with(prefix))
                || (raised.is_some() && name == b"Nats-TTL")
        };
        let mut edit = match &self.role {
            Role::Mirror if raised.is_none() && !lines(block).any(is_dropped) => {
                return block.clone();
            }
            Role::Mirror => BlockEdit::without(block, is_dropped),
            Role::Source(key) => {
                let is_dropped = |name: &[u8]| is_dropped(name) || name == STREAM_SOURCE.as_bytes();
                let source = key.header(message.sequence.0, &message.subject, from.life);
                BlockEdit::without(block, is_dropped).with(STREAM_SOURCE, &source)
            }
        };
        if let Some(ttl) = raised {
            edit = edit.with("Nats-TTL", &ttl.as_secs().to_string());
        }
        edit.finish()
    }
}

impl SourceKey {
    /// Name of the cursor that says how far a source has come. No consumer has a name with blanks.
    pub(crate) fn cursor_name(&self) -> String {
        format!("source {self}")
    }
}

impl Target {
    /// The life time of a message here, and whether it is raised to that of the stream's markers.
    fn life_time(&self, headers: &PublishHeaders<'_>) -> (Option<Duration>, Option<Duration>) {
        if !self.rules.allow_life_time {
            return (None, None);
        }
        let ttl = headers.life_time.and_then(parse_life_time);
        let min = self.rules.life_time_min;
        match (ttl, min) {
            (Some(ttl), Some(min)) if ttl < min => (Some(min), Some(min)),
            (ttl, _) => (ttl, None),
        }
    }

    /// Roll-ups are acted on where they are allowed, and are plain messages elsewhere.
    fn rollup(&self, headers: &PublishHeaders<'_>) -> Option<Rollup> {
        if !self.config.allow_rollup_hdrs || self.config.deny_purge {
            return None;
        }
        match headers.rollup? {
            value if value.eq_ignore_ascii_case(b"sub") => Some(Rollup::Subject),
            value if value.eq_ignore_ascii_case(b"all") => Some(Rollup::All),
            _ => None,
        }
    }
}

/// Moves an empty mirror to where its origin begins: `last` will be its last sequence, without a message.
pub(crate) fn skip_to(last: Sequence, name: &str) -> Append {
    Append {
        subject: Bytes::copy_from_slice(name.as_bytes()),
        place: Some(Place {
            sequence: last,
            timestamp: 0,
        }),
        no_store: true,
        ..Append::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jetstream::config::StreamSource;
    use crate::transform::Transform;

    const FROM: Provenance<'_> = Provenance {
        stream: "A",
        life: "LzHP6OoP",
    };

    fn message(headers: &str) -> StoredMessage {
        let block = match headers {
            "" => String::new(),
            some => format!("NATS/1.0\r\n{some}\r\n\r\n"),
        };
        StoredMessage {
            sequence: Sequence(7),
            subject: Bytes::from_static(b"a.1"),
            headers: block.into(),
            payload: Bytes::from_static(b"hello"),
            timestamp: 99,
        }
    }

    fn copying(is_mirror: bool) -> Copying {
        let source = StreamSource {
            name: "A".to_owned(),
            ..StreamSource::default()
        };
        Copying {
            selection: Selection::new(&source).expect("valid"),
            role: match is_mirror {
                true => Role::Mirror,
                false => Role::Source(SourceKey::new(&source)),
            },
        }
    }

    fn target() -> Target {
        Target {
            config: Arc::new(StreamConfig::with_name("T")),
            rules: Arc::new(Rules::new("T", None)),
        }
    }

    #[track_caller]
    fn check_headers(is_mirror: bool, headers: &str, expected: &str) {
        let append = copying(is_mirror).append(&message(headers), FROM, &target());
        let block = append.expect("copied").headers;
        assert_eq!(String::from_utf8_lossy(&block), expected);
    }

    #[test]
    fn a_mirror_keeps_place_and_headers() {
        let copy = copying(true);
        let append = copy.append(&message("A: b\r\nNats-Msg-Id: x"), FROM, &target());
        let append = append.expect("copied");
        let place = append.place.expect("a place");
        assert_eq!((place.sequence, place.timestamp), (Sequence(7), 99));
        assert_eq!(append.message_id, None);
        assert_eq!(
            &append.headers[..],
            b"NATS/1.0\r\nA: b\r\nNats-Msg-Id: x\r\n\r\n"
        );
        assert!(copy.cursor(&message(""), FROM).is_none());
        check_headers(true, "", "");
        check_headers(true, "Nats-Expected-Last-Msg-Id: ", "");
        check_headers(
            true,
            "Nats-Batch-Id: q\r\nA: b\r\nNats-Expected-Stream: A",
            "NATS/1.0\r\nA: b\r\n\r\n",
        );
    }

    #[test]
    fn a_source_says_where_a_message_comes_from() {
        let copy = copying(false);
        let append = copy.append(&message("Nats-Msg-Id: x"), FROM, &target());
        let append = append.expect("copied");
        assert_eq!(append.place, None);
        assert_eq!(append.message_id.as_deref(), Some(&b"x"[..]));
        let cursor = copy.cursor(&message(""), FROM).expect("a cursor");
        assert_eq!(cursor.0, "source A > >");
        assert_eq!(cursor.1.ack_floor, Sequence(7));
        check_headers(
            false,
            "",
            "NATS/1.0\r\nNats-Stream-Source: A 7 > > a.1 LzHP6OoP\r\n\r\n",
        );
        check_headers(
            false,
            "Nats-Stream-Source: O 1 > > o.1 aaaaaaaa\r\nNats-Expected-Stream: A\r\nNats-Rollup: sub",
            "NATS/1.0\r\nNats-Rollup: sub\r\nNats-Stream-Source: A 7 > > a.1 LzHP6OoP\r\n\r\n",
        );
    }

    #[test]
    fn among_counters_only_counters_are_copied() {
        let mut target = target();
        target.rules = Arc::new(Rules {
            allow_counter: true,
            ..Rules::new("T", None)
        });
        let copy = copying(false);
        assert!(copy.append(&message("A: b"), FROM, &target).is_none());
        let mut counter = message("Nats-Incr: +5");
        counter.payload = Bytes::from_static(b"{\"val\":\"12\"}");
        let append = copy.append(&counter, FROM, &target).expect("copied");
        let made = append.derive.expect("derived").derive(None).expect("made");
        assert_eq!(
            String::from_utf8_lossy(&made.headers),
            "NATS/1.0\r\nNats-Incr: 12\r\nNats-Stream-Source: A 7 > > a.1 LzHP6OoP\r\nNats-Counter-Sources: {\"A\":{\"a.1\":\"12\"}}\r\n\r\n"
        );
    }

    #[test]
    fn what_the_target_allows_is_acted_on() {
        let mut target = target();
        let both = message("Nats-Rollup: sub\r\nNats-TTL: 2s");
        let copy = copying(false);
        let plain = copy.append(&both, FROM, &target).expect("copied");
        assert_eq!((plain.ttl, plain.rollup), (None, None));
        target.config = Arc::new(StreamConfig {
            allow_rollup_hdrs: true,
            ..StreamConfig::with_name("T")
        });
        target.rules = Arc::new(Rules {
            allow_life_time: true,
            life_time_min: Some(Duration::from_secs(7)),
            transform: Transform::parse("a.*", "q.$1").ok(),
            ..Rules::new("T", None)
        });
        let acted = copy.append(&both, FROM, &target).expect("copied");
        assert_eq!(acted.rollup, Some(Rollup::Subject));
        assert_eq!(acted.ttl, Some(Duration::from_secs(7)));
        assert_eq!(&acted.subject[..], b"q.1");
        assert_eq!(
            &acted.headers[..],
            b"NATS/1.0\r\nNats-Rollup: sub\r\nNats-Stream-Source: A 7 > > a.1 LzHP6OoP\r\nNats-TTL: 7\r\n\r\n"
        );
    }
}
