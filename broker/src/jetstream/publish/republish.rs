//! Republishing: what was stored goes out again under another subject, before the publisher is answered.

use bytes::Bytes;
use storage::stream::Appended;

use crate::jetstream::config::Timestamp;
use crate::proto::headers::BlockEdit;
use crate::transform::Transform;

/// How a stream republishes.
#[derive(Debug, Clone)]
pub(crate) struct Republisher {
    /// Which subjects, and what they become.
    pub(crate) transform: Transform,
    /// The copy has no payload.
    pub(crate) headers_only: bool,
}

/// A message that will be republished once it is stored.
#[derive(Debug, Clone)]
pub(crate) struct Copy {
    subject: Bytes,
    headers: Bytes,
    payload: Bytes,
    destination: Bytes,
}

impl Republisher {
    /// Keeps what is needed of a message. `None`: it is not republished.
    pub(crate) fn copy(&self, subject: &Bytes, headers: &Bytes, payload: &Bytes) -> Option<Copy> {
        Some(Copy {
            destination: self.transform.apply(subject)?,
            subject: subject.clone(),
            headers: headers.clone(),
            payload: payload.clone(),
        })
    }

    /// Headers and payload of the copy, with where the message is stored.
    pub(crate) fn message(&self, copy: &Copy, stream: &str, stored: &Appended) -> (Bytes, Bytes) {
        let payload = stored.payload.as_ref().unwrap_or(&copy.payload);
        let mut headers = BlockEdit::without(&copy.headers, |_| false)
            .with("Nats-Stream", stream)
            .with("Nats-Subject", &String::from_utf8_lossy(&copy.subject))
            .with("Nats-Sequence", &stored.sequence.to_string())
            .with("Nats-Time-Stamp", &Timestamp(stored.timestamp).to_string())
            .with("Nats-Last-Sequence", &stored.previous.to_string());
        if !self.headers_only {
            return (headers.finish(), payload.clone());
        }
        headers = headers.with("Nats-Msg-Size", &payload.len().to_string());
        (headers.finish(), Bytes::new())
    }
}

impl Copy {
    /// Where the copy goes.
    pub(crate) fn destination(&self) -> &Bytes {
        &self.destination
    }
}

#[cfg(test)]
mod tests {
    use storage::stream::Sequence;

    use super::*;

    fn republished(headers_only: bool) -> (Bytes, Bytes) {
        let republisher = Republisher {
            transform: Transform::parse("a.*", "out.$1").expect("a transform"),
            headers_only,
        };
        let headers = Bytes::from_static(b"NATS/1.0\r\nA: b\r\n\r\n");
        let payload = Bytes::from_static(b"hello");
        assert!(
            republisher
                .copy(&"b.x".into(), &headers, &payload)
                .is_none()
        );
        let copy = republisher
            .copy(&"a.x".into(), &headers, &payload)
            .expect("republished");
        assert_eq!(&copy.destination()[..], b"out.x");
        let stored = Appended {
            sequence: Sequence(7),
            duplicate: false,
            timestamp: 1_000_000_000,
            previous: Sequence(3),
            payload: None,
        };
        republisher.message(&copy, "S", &stored)
    }

    #[test]
    fn a_copy_says_where_the_message_is() {
        let (headers, payload) = republished(false);
        assert_eq!(
            &headers[..],
            b"NATS/1.0\r\nA: b\r\nNats-Stream: S\r\nNats-Subject: a.x\r\nNats-Sequence: 7\r\nNats-Time-Stamp: 1970-01-01T00:00:01Z\r\nNats-Last-Sequence: 3\r\n\r\n"
        );
        assert_eq!(&payload[..], b"hello");
    }

    #[test]
    fn headers_only_gives_the_size() {
        let (headers, payload) = republished(true);
        assert!(headers.ends_with(b"Nats-Last-Sequence: 3\r\nNats-Msg-Size: 5\r\n\r\n"));
        assert!(payload.is_empty());
    }
}
