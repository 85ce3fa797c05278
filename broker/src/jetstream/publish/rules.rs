//! What a stream's configuration means for publishers, worked out once per change of it.

use std::time::Duration;

use bytes::Bytes;
use storage::stream::Append;
use storage::stream::StorageKind;

use super::answer::AnswerHead;
use super::outlet::Follow;
use super::republish::Republisher;
use crate::jetstream::config::{Retention, StreamConfig};
use crate::transform::Transform;

/// The rules of one stream.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    pub(crate) name: String,
    /// Which of the account's limits it counts against.
    pub(crate) storage: StorageKind,
    /// What the stream captures.
    pub(crate) subjects: Vec<String>,
    pub(crate) answer_head: AnswerHead,
    /// Publishers get no answer, whatever happens.
    pub(crate) no_ack: bool,
    pub(crate) is_sealed: bool,
    /// What no consumer wants takes a sequence and is not kept.
    pub(crate) is_interest: bool,
    /// Largest headers and payload of a message together.
    pub(crate) message_bytes_max: Option<u64>,
    pub(crate) allow_life_time: bool,
    /// A shorter life time is raised to this one: a message must not outlive its own marker.
    pub(crate) life_time_min: Option<Duration>,
    pub(crate) allow_counter: bool,
    pub(crate) allow_atomic: bool,
    pub(crate) allow_schedules: bool,
    /// Applied to subjects before anything is stored.
    pub(crate) transform: Option<Transform>,
    /// Publishes again what was stored.
    pub(crate) republisher: Option<Republisher>,
}

impl Rules {
    /// The rules of a stream that has none.
    pub(crate) fn new(name: &str, domain: Option<&str>) -> Self {
        Self {
            name: name.to_owned(),
            storage: StorageKind::Disk,
            subjects: Vec::new(),
            answer_head: AnswerHead::new(name, domain),
            no_ack: false,
            is_sealed: false,
            is_interest: false,
            message_bytes_max: None,
            allow_life_time: false,
            life_time_min: None,
            allow_counter: false,
            allow_atomic: false,
            allow_schedules: false,
            transform: None,
            republisher: None,
        }
    }

    /// The rules that a configuration makes. A transform that cannot be read was refused when the stream was made.
    pub(crate) fn from_config(config: &StreamConfig, domain: Option<&str>) -> Self {
        let transform = |src: &str, dest: &str| match dest {
            "" => None,
            dest => Transform::parse(src, dest).ok(),
        };
        // With one message per subject the marker replaces the message, however long that would have lived.
        let markers = config.subject_delete_marker_ttl.positive();
        Self {
            storage: config.storage,
            subjects: config.subjects.clone(),
            no_ack: config.no_ack,
            is_sealed: config.sealed,
            is_interest: config.retention == Retention::Interest,
            message_bytes_max: u64::try_from(config.max_msg_size)
                .ok()
                .filter(|max| *max > 0),
            allow_life_time: config.allow_msg_ttl,
            life_time_min: markers.filter(|_| config.max_msgs_per_subject != 1),
            allow_counter: config.allow_msg_counter,
            allow_atomic: config.allow_atomic,
            allow_schedules: config.allow_msg_schedules,
            transform: config
                .subject_transform
                .as_ref()
                .and_then(|one| transform(&one.src, &one.dest)),
            republisher: config.republish.as_ref().and_then(|one| {
                Some(Republisher {
                    transform: transform(&one.src, &one.dest)?,
                    headers_only: one.headers_only,
                })
            }),
            ..Self::new(&config.name, domain)
        }
    }

    /// What follows when messages are stored that nobody waits for: none where nothing is republished.
    pub(crate) fn follows(&self, appends: &[Append]) -> Vec<Follow> {
        let Some(republisher) = &self.republisher else {
            return Vec::new();
        };
        let follow = |append: &Append| Follow {
            reply: Bytes::new(),
            copy: republisher
                .copy(&append.subject, &append.headers, &append.payload)
                .map(Box::new),
            schedule: None,
        };
        appends.iter().map(follow).collect()
    }

    /// What a published subject becomes.
    pub(crate) fn stored_subject(&self, subject: Bytes) -> Bytes {
        match &self.transform {
            Some(transform) => transform.apply(&subject).unwrap_or(subject),
            None => subject,
        }
    }
}
