//! Where copying goes on.
//!
//! A mirror is its own position: it has the origin's sequences, so it goes on behind its last one. A source's position is
//! a cursor in the file of the stream that copies, saved with each batch in one commit: after a crash nothing is doubled
//! and nothing is missing, whatever limits or purges have removed since. Where there is no cursor, because the stream
//! came out of a backup of another server, the headers of what was copied last tell.

use storage::stream::{Cursor, ReadLimit, Sequence, Stream};

use super::header::{STREAM_SOURCE, SourceKey};
use crate::jetstream::config::{StreamSource, Timestamp};
use crate::proto::headers::raw_value;

/// Sequences from the end of a stream that are looked at for headers.
const SCAN_SEQUENCES_MAX: u64 = 100_000;
/// Messages that are looked at together.
const SCAN_MESSAGES: usize = 1_000;

/// Where an origin is to be read from, as far as the configuration says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begin {
    Sequence(Sequence),
    Time(Timestamp),
}

/// Where copying begins when nothing was copied yet.
pub(crate) fn configured(source: &StreamSource) -> Begin {
    match source.opt_start_time {
        Some(time) if source.opt_start_seq == 0 => Begin::Time(time),
        _ => Begin::Sequence(Sequence(source.opt_start_seq.max(1))),
    }
}

/// The origin's sequence that was copied last, if that was in this life of the origin.
///
/// # Errors
/// The stream's file cannot be read.
pub(crate) async fn copied_last(
    target: &Stream,
    key: &SourceKey,
    life: &str,
) -> Result<Option<Sequence>, storage::Error> {
    match target.cursor(&key.cursor_name()).await? {
        Some(cursor) => Ok(from_cursor(&cursor, life)),
        None => scan(target, key, life).await,
    }
}

fn from_cursor(cursor: &Cursor, life: &str) -> Option<Sequence> {
    (cursor.data == life.as_bytes()).then_some(cursor.ack_floor)
}

/// Looks for the newest header of this source.
async fn scan(
    target: &Stream,
    key: &SourceKey,
    life: &str,
) -> Result<Option<Sequence>, storage::Error> {
    let state = target.state();
    let mut next = Sequence(state.last.0.saturating_sub(SCAN_SEQUENCES_MAX).max(1));
    let mut found = None;
    loop {
        let limit = ReadLimit::messages(SCAN_MESSAGES);
        let messages = target.read(next, None, limit).await?;
        let Some(last) = messages.last() else {
            return Ok(found);
        };
        next = last.sequence.next();
        for message in messages {
            // Of another life: what was copied before that is no longer in question.
            match raw_value(&message.headers, STREAM_SOURCE).and_then(|value| read(key, value)) {
                Some((_, Some(other))) if other != life => found = None,
                Some((sequence, _)) => found = Some(Sequence(sequence)),
                None => {}
            }
        }
    }
}

fn read<'a>(key: &SourceKey, value: &'a [u8]) -> Option<(u64, Option<&'a str>)> {
    key.read(std::str::from_utf8(value).ok()?)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use storage::stream::{Append, StreamConfig};

    use super::*;
    use crate::proto::headers::Headers;

    fn source() -> StreamSource {
        StreamSource {
            name: "A".to_owned(),
            ..StreamSource::default()
        }
    }

    #[test]
    fn the_configuration_says_where_to_begin() {
        let mut source = source();
        assert_eq!(configured(&source), Begin::Sequence(Sequence(1)));
        source.opt_start_time = Some(Timestamp(5));
        assert_eq!(configured(&source), Begin::Time(Timestamp(5)));
        source.opt_start_seq = 3;
        assert_eq!(configured(&source), Begin::Sequence(Sequence(3)));
    }

    /// Stores messages with these headers and says what was copied last.
    async fn copied(headers: &[&str], cursor: Option<(u64, &str)>) -> Option<u64> {
        let dir = tempfile::tempdir().expect("a directory");
        let store = storage::stream::StreamStore::open(dir.path(), Default::default());
        let store = store.expect("a store");
        let target = store.create(StreamConfig::with_name("T")).await;
        let target = target.expect("a stream");
        for value in headers {
            let append = Append {
                headers: Headers::new().with(STREAM_SOURCE, *value).to_block(),
                ..Append::new("a", Bytes::new())
            };
            target.append(append).await.expect("stored");
        }
        let key = SourceKey::new(&source());
        if let Some((sequence, life)) = cursor {
            let cursor = Cursor {
                ack_floor: Sequence(sequence),
                data: Bytes::copy_from_slice(life.as_bytes()),
                ..Cursor::default()
            };
            let saved = target.save_cursor(&key.cursor_name(), cursor).await;
            saved.expect("saved");
        }
        let last = copied_last(&target, &key, "life").await.expect("readable");
        last.map(|sequence| sequence.0)
    }

    #[tokio::test]
    async fn a_cursor_tells_how_far_a_source_has_come() {
        assert_eq!(copied(&[], None).await, None);
        assert_eq!(copied(&[], Some((7, "life"))).await, Some(7));
        assert_eq!(copied(&[], Some((7, "before"))).await, None);
        assert_eq!(
            copied(&["A 9 > > a life"], Some((7, "life"))).await,
            Some(7)
        );
    }

    #[tokio::test]
    async fn without_a_cursor_the_last_header_tells() {
        let others = ["A 3 > > a life", "A 4 > > a life", "B 9 > > b life"];
        assert_eq!(copied(&others, None).await, Some(4));
        assert_eq!(copied(&["A 3 > > a"], None).await, Some(3));
        let lives = ["A 8 > > a life", "A 1 > > a before"];
        assert_eq!(copied(&lives, None).await, None);
        let lives = ["A 8 > > a before", "A 1 > > a life"];
        assert_eq!(copied(&lives, None).await, Some(1));
    }
}
