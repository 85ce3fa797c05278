//! The section `[streams]`: how durable streams are, and how many and how large they may be.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, de};

use super::{Size, Span};

/// Streams, key-value buckets and objects of clients. `None` is no limit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Streams {
    pub(crate) sync: Sync,
    #[serde(deserialize_with = "some_time")]
    pub(crate) sync_interval: Span,
    pub(crate) key_file: Option<PathBuf>,
    #[serde(deserialize_with = "token")]
    pub(crate) domain: Option<String>,
    pub(crate) strict: bool,
    pub(crate) memory_max: Option<Size>,
    pub(crate) disk_max: Option<Size>,
    pub(crate) streams_max: Option<u32>,
    pub(crate) consumers_max: Option<u32>,
    pub(crate) ack_pending_max: Option<u32>,
    pub(crate) memory_stream_max: Option<Size>,
    pub(crate) disk_stream_max: Option<Size>,
    pub(crate) size_required: bool,
    pub(crate) duplicate_window_max: Option<Span>,
    pub(crate) pull_batch_max: Option<u32>,
}

/// When what was acknowledged is on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Sync {
    /// Before the acknowledgement.
    Always,
    /// Some time after it.
    Interval,
}

impl Default for Streams {
    fn default() -> Self {
        Self {
            sync: Sync::Always,
            sync_interval: Span(Duration::from_secs(120)),
            key_file: None,
            domain: None,
            strict: true,
            memory_max: None,
            disk_max: None,
            streams_max: None,
            consumers_max: None,
            ack_pending_max: None,
            memory_stream_max: None,
            disk_stream_max: None,
            size_required: false,
            duplicate_window_max: None,
            pull_batch_max: None,
        }
    }
}

/// A span that is not zero: a timer that never rests would take a whole processor.
fn some_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Span, D::Error> {
    let span = Span::deserialize(deserializer)?;
    if span.0.is_zero() {
        return Err(de::Error::custom("it must be longer than 0s"));
    }
    Ok(span)
}

/// A name that can stand as one token of a subject.
fn token<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let name = String::deserialize(deserializer)?;
    let is_token = !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_graphic() && !matches!(c, '.' | '*' | '>'));
    if is_token {
        Ok(Some(name))
    } else {
        Err(de::Error::custom(
            "it must be a word without blanks, dots, * and >",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: bool) {
        assert_eq!(toml::from_str::<Streams>(text).is_ok(), expected, "{text}");
    }

    #[test]
    fn values_are_words_that_mean_something() {
        check("sync = \"interval\"\nsync_interval = \"10s\"", true);
        check("sync = \"never\"", false);
        check("sync_interval = \"0s\"", false);
        check("domain = \"edge-1\"", true);
        for wrong in ["", "a.b", "a b", "*", ">"] {
            check(&format!("domain = \"{wrong}\""), false);
        }
        check("disk_max = \"10GiB\"\nstreams_max = 100", true);
        check("disk_max = 10", false);
    }
}
