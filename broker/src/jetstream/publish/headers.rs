//! The headers by which a publisher talks to a stream.

use crate::proto::headers::{lines, raw_value};

/// The values that one block carries; an empty value counts as none, and the first of several counts.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct PublishHeaders<'a> {
    pub(crate) message_id: Option<&'a [u8]>,
    pub(crate) expected_stream: Option<&'a [u8]>,
    pub(crate) expected_last_sequence: Option<&'a [u8]>,
    pub(crate) expected_last_subject_sequence: Option<&'a [u8]>,
    pub(crate) expected_last_subject_sequence_subject: Option<&'a [u8]>,
    /// Empty is a value here: the last message had no id.
    pub(crate) expected_last_message_id: Option<&'a [u8]>,
    pub(crate) rollup: Option<&'a [u8]>,
    pub(crate) life_time: Option<&'a [u8]>,
    pub(crate) increment: Option<&'a [u8]>,
    pub(crate) stream_source: Option<&'a [u8]>,
    pub(crate) required_api_level: Option<&'a [u8]>,
    pub(crate) batch_id: Option<&'a [u8]>,
    pub(crate) batch_sequence: Option<&'a [u8]>,
    pub(crate) batch_commit: Option<&'a [u8]>,
    pub(crate) schedule: Option<&'a [u8]>,
    pub(crate) schedule_target: Option<&'a [u8]>,
    pub(crate) schedule_source: Option<&'a [u8]>,
    pub(crate) schedule_life_time: Option<&'a [u8]>,
    /// Empty is a value here, and a wrong one.
    pub(crate) schedule_time_zone: Option<&'a [u8]>,
    pub(crate) schedule_rollup: Option<&'a [u8]>,
    pub(crate) scheduler: Option<&'a [u8]>,
    pub(crate) schedule_next: Option<&'a [u8]>,
}

impl<'a> PublishHeaders<'a> {
    /// Reads a block in one pass. Names are case-sensitive.
    pub(crate) fn read(block: &'a [u8]) -> Self {
        let mut headers = Self::default();
        for line in lines(block) {
            let Some(line) = line.strip_prefix(b"Nats-") else {
                continue;
            };
            let Some(colon) = memchr::memchr(b':', line) else {
                continue;
            };
            let value = line[colon + 1..].trim_ascii_start();
            let (is_empty_allowed, slot) = match &line[..colon] {
                b"Msg-Id" => (false, &mut headers.message_id),
                b"Expected-Stream" => (false, &mut headers.expected_stream),
                b"Expected-Last-Sequence" => (false, &mut headers.expected_last_sequence),
                b"Expected-Last-Subject-Sequence" => {
                    (false, &mut headers.expected_last_subject_sequence)
                }
                b"Expected-Last-Subject-Sequence-Subject" => {
                    (false, &mut headers.expected_last_subject_sequence_subject)
                }
                b"Expected-Last-Msg-Id" => (true, &mut headers.expected_last_message_id),
                b"Rollup" => (false, &mut headers.rollup),
                b"TTL" => (false, &mut headers.life_time),
                b"Incr" => (false, &mut headers.increment),
                b"Stream-Source" => (true, &mut headers.stream_source),
                b"Required-Api-Level" => (false, &mut headers.required_api_level),
                b"Batch-Id" => (false, &mut headers.batch_id),
                b"Batch-Sequence" => (false, &mut headers.batch_sequence),
                b"Batch-Commit" => (false, &mut headers.batch_commit),
                b"Schedule" => (false, &mut headers.schedule),
                b"Schedule-Target" => (false, &mut headers.schedule_target),
                b"Schedule-Source" => (false, &mut headers.schedule_source),
                b"Schedule-TTL" => (false, &mut headers.schedule_life_time),
                b"Schedule-Time-Zone" => (true, &mut headers.schedule_time_zone),
                b"Schedule-Rollup" => (false, &mut headers.schedule_rollup),
                b"Scheduler" => (false, &mut headers.scheduler),
                b"Schedule-Next" => (false, &mut headers.schedule_next),
                _ => continue,
            };
            if slot.is_none() && (is_empty_allowed || !value.is_empty()) {
                *slot = Some(value);
            }
        }
        headers
    }
}

/// Whether a message tells of an end itself: the tombstone of a purged key, or a marker of a server. When its own time is
/// over, no marker follows it. The tombstone of a deleted key does get one, as in nats-server.
pub(crate) fn tells_of_an_end(block: &[u8]) -> bool {
    raw_value(block, "KV-Operation") == Some(b"PURGE")
        || raw_value(block, "Nats-Marker-Reason").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_read_in_one_pass() {
        let block = b"NATS/1.0\r\nA: b\r\nNats-Msg-Id:  x \r\nNats-Msg-Id: y\r\nnats-ttl: 5\r\nNats-Rollup:\r\nNats-TTL: 7\r\n\r\n";
        let headers = PublishHeaders::read(block);
        assert_eq!(headers.message_id, Some(&b"x "[..]));
        assert_eq!(headers.life_time, Some(&b"7"[..]));
        assert_eq!(headers.rollup, None);
        assert_eq!(headers.schedule, None);
    }

    #[test]
    fn a_purged_key_tells_of_its_end_and_a_deleted_one_does_not() {
        let block = |line: &str| format!("NATS/1.0\r\n{line}\r\nNats-TTL: 1\r\n\r\n").into_bytes();
        assert!(tells_of_an_end(&block("KV-Operation: PURGE")));
        assert!(tells_of_an_end(&block("Nats-Marker-Reason: MaxAge")));
        assert!(!tells_of_an_end(&block("KV-Operation: DEL")));
        assert!(!tells_of_an_end(b""));
    }

    #[test]
    fn garbage_has_no_headers() {
        for block in [
            &b""[..],
            b"NATS/1.0",
            b"Nats-Msg-Id",
            b"\r\n\r\n",
            b"Nats-:\r\n",
        ] {
            assert!(PublishHeaders::read(block).message_id.is_none());
        }
    }
}
