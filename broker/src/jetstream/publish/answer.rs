//! The PubAck: what a stream answers to a publisher (ADR-7), byte for byte as nats-server writes it.

use std::io::Write as _;

use crate::jetstream::error_code::ApiError;

/// What was stored, as far as the publisher is told.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Stored<'a> {
    pub(crate) sequence: u64,
    pub(crate) is_duplicate: bool,
    /// The new value of a counter.
    pub(crate) value: Option<&'a str>,
    /// The id of a batch and how many of its messages were stored.
    pub(crate) batch: Option<(&'a str, usize)>,
}

/// What all answers of one stream begin with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AnswerHead {
    /// `{"stream":"S","domain":"d","seq":`
    stored: Box<str>,
    /// `,"stream":"S","seq":0}`, with the domain.
    refused_tail: Box<str>,
}

impl AnswerHead {
    pub(crate) fn new(stream: &str, domain: Option<&str>) -> Self {
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let mut names = format!("\"stream\":{}", quoted(stream));
        if let Some(domain) = domain {
            names.push_str(",\"domain\":");
            names.push_str(&quoted(domain));
        }
        Self {
            stored: format!("{{{names},\"seq\":").into(),
            refused_tail: format!(",{names},\"seq\":0}}").into(),
        }
    }

    /// The body of a good answer.
    pub(crate) fn stored(&self, stored: &Stored<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(self.stored.as_bytes());
        out.extend_from_slice(itoa::Buffer::new().format(stored.sequence).as_bytes());
        if stored.is_duplicate {
            out.extend_from_slice(b",\"duplicate\": true");
        }
        if let Some(value) = stored.value {
            let _ = write!(out, ",\"val\":{}", serde_json::Value::from(value));
        }
        if let Some((id, count)) = stored.batch {
            let _ = write!(
                out,
                ",\"batch\":{},\"count\":{count}",
                serde_json::Value::from(id)
            );
        }
        out.push(b'}');
    }

    /// The body of a refusal.
    pub(crate) fn refused(&self, error: &ApiError, out: &mut Vec<u8>) {
        let description = serde_json::Value::from(&*error.description);
        let (code, err_code) = (error.code, error.err_code);
        let _ = write!(
            out,
            "{{\"error\":{{\"code\":{code},\"err_code\":{err_code},\"description\":{description}}}{}",
            self.refused_tail
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jetstream::error_code as code;

    #[track_caller]
    fn check(stored: &Stored<'_>, expected: &str) {
        let mut out = Vec::new();
        AnswerHead::new("S", None).stored(stored, &mut out);
        assert_eq!(String::from_utf8_lossy(&out), expected);
        serde_json::from_slice::<serde_json::Value>(&out).expect("valid JSON");
    }

    #[test]
    fn item_54_a_duplicate_says_so() {
        let mut stored = Stored {
            sequence: 7,
            ..Stored::default()
        };
        check(&stored, r#"{"stream":"S","seq":7}"#);
        stored.is_duplicate = true;
        check(&stored, r#"{"stream":"S","seq":7,"duplicate": true}"#);
    }

    #[test]
    fn counters_and_batches_add_their_members() {
        let stored = Stored {
            sequence: 3,
            value: Some("-12"),
            ..Stored::default()
        };
        check(&stored, r#"{"stream":"S","seq":3,"val":"-12"}"#);
        let stored = Stored {
            sequence: 3,
            batch: Some(("a\"b", 2)),
            ..Stored::default()
        };
        check(
            &stored,
            r#"{"stream":"S","seq":3,"batch":"a\"b","count":2}"#,
        );
    }

    #[test]
    fn item_58_a_refusal_carries_stream_and_sequence_0() {
        let mut out = Vec::new();
        let error = code::STREAM_WRONG_LAST_SEQUENCE.with(3);
        AnswerHead::new("S", Some("hub")).refused(&error, &mut out);
        assert_eq!(
            String::from_utf8_lossy(&out),
            r#"{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 3"},"stream":"S","domain":"hub","seq":0}"#
        );
        out.clear();
        AnswerHead::new("S", Some("hub")).stored(&Stored::default(), &mut out);
        assert_eq!(&out[..], br#"{"stream":"S","domain":"hub","seq":0}"#);
    }
}
