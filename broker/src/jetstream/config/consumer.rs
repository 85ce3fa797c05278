//! The configuration of a consumer as it is on the wire (`$JS.API.CONSUMER.CREATE`), names and order as in nats-server.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Nanos, Timestamp, is_default, is_false};
use crate::jetstream::consumer::rules;

/// Time for an acknowledgement, where nothing else is said.
pub(crate) const ACK_WAIT: Nanos = Nanos::from_secs(30);
/// Pull requests that may wait, where nothing else is said.
pub(crate) const WAITING_MAX: i64 = 512;
/// Unacknowledged messages, where nothing else is said.
pub(crate) const ACK_PENDING_MAX: i64 = 1000;
/// How long an ephemeral consumer lives without anybody, where nothing else is said.
pub(crate) const INACTIVE_THRESHOLD: Nanos = Nanos::from_secs(5);
/// Time without a request after which a pinned client loses its place, where nothing else is said.
pub(crate) const PINNED_TTL: Nanos = Nanos::from_secs(120);

/// Configuration of one consumer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConsumerConfig {
    /// Name of one that stays when nobody uses it.
    #[serde(rename = "durable_name", skip_serializing_if = "String::is_empty")]
    pub durable: String,
    /// Name; none given: the server makes one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// For people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Where it begins.
    pub deliver_policy: DeliverPolicy,
    /// First sequence, for [`DeliverPolicy::ByStartSequence`].
    #[serde(skip_serializing_if = "is_default")]
    pub opt_start_seq: u64,
    /// First time, for [`DeliverPolicy::ByStartTime`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opt_start_time: Option<Timestamp>,
    /// When an acknowledgement is needed.
    pub ack_policy: AckPolicy,
    /// Time for an acknowledgement.
    #[serde(skip_serializing_if = "Nanos::is_zero")]
    pub ack_wait: Nanos,
    /// Deliveries of one message; -1: any number.
    #[serde(skip_serializing_if = "is_default")]
    pub max_deliver: i64,
    /// Time for an acknowledgement by number of deliveries.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub backoff: Vec<Nanos>,
    /// Only these subjects.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub filter_subject: String,
    /// Only these subjects; excludes `filter_subject`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub filter_subjects: Vec<String>,
    /// How fast.
    pub replay_policy: ReplayPolicy,
    /// Most bits per second, push only; 0: any number.
    #[serde(skip_serializing_if = "is_default")]
    pub rate_limit_bps: u64,
    /// Share of acknowledgements that are measured, such as `30%`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sample_freq: String,
    /// Pull requests that may wait.
    #[serde(skip_serializing_if = "is_default")]
    pub max_waiting: i64,
    /// Unacknowledged messages; -1: any number.
    #[serde(skip_serializing_if = "is_default")]
    pub max_ack_pending: i64,
    /// The receiver says how much it has handled.
    #[serde(skip_serializing_if = "is_false")]
    pub flow_control: bool,
    /// Bodies are left out.
    #[serde(skip_serializing_if = "is_false")]
    pub headers_only: bool,
    /// Most messages of one pull request; 0: any number.
    #[serde(skip_serializing_if = "is_default")]
    pub max_batch: i64,
    /// Longest time of one pull request; zero: any.
    #[serde(skip_serializing_if = "Nanos::is_zero")]
    pub max_expires: Nanos,
    /// Most bytes of one pull request; 0: any number.
    #[serde(skip_serializing_if = "is_default")]
    pub max_bytes: i64,
    /// Where messages are pushed to; none: they are pulled.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub deliver_subject: String,
    /// Queue group that messages are pushed to.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub deliver_group: String,
    /// Silence after which a heartbeat is pushed.
    #[serde(skip_serializing_if = "Nanos::is_zero")]
    pub idle_heartbeat: Nanos,
    /// How long it lives without anybody; zero: for ever, if it is durable.
    #[serde(skip_serializing_if = "Nanos::is_zero")]
    pub inactive_threshold: Nanos,
    /// Copies in a cluster; 0: as many as of the stream.
    pub num_replicas: i64,
    /// The state is kept in memory only.
    #[serde(skip_serializing_if = "is_false")]
    pub mem_storage: bool,
    /// It serves a mirror or a source.
    #[serde(skip_serializing_if = "is_false")]
    pub direct: bool,
    /// It serves a mirror or a source, with a name.
    #[serde(skip_serializing_if = "is_false")]
    pub sourcing: bool,
    /// For programs.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// Nothing is delivered before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pause_until: Option<Timestamp>,
    /// Groups that pull requests must name one of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub priority_groups: Vec<String>,
    /// Which pull requests are served.
    #[serde(skip_serializing_if = "is_default")]
    pub priority_policy: PriorityPolicy,
    /// Time without a request after which a pinned client loses its place.
    #[serde(skip_serializing_if = "Nanos::is_zero")]
    pub priority_timeout: Nanos,
}

/// Where a consumer begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliverPolicy {
    /// With the first message there is.
    #[default]
    All,
    /// With the last one.
    Last,
    /// Behind it.
    New,
    /// At a sequence.
    ByStartSequence,
    /// At a time.
    ByStartTime,
    /// With the last one of every subject.
    LastPerSubject,
}

impl std::fmt::Display for DeliverPolicy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::All => "all",
            Self::Last => "last",
            Self::New => "new",
            Self::ByStartSequence => "by start sequence",
            Self::ByStartTime => "by start time",
            Self::LastPerSubject => "last per subject",
        })
    }
}

/// When an acknowledgement is needed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AckPolicy {
    /// Never.
    #[default]
    None,
    /// One acknowledges everything before it.
    All,
    /// For every message.
    Explicit,
    /// By the answers to flow control.
    FlowControl,
}

/// How fast messages come that are there already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplayPolicy {
    /// As fast as possible.
    #[default]
    Instant,
    /// As they were stored.
    Original,
}

/// Which of several pulling clients is served (ADR-42).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PriorityPolicy {
    /// All, in turn.
    #[default]
    None,
    /// Some only when much is waiting.
    Overflow,
    /// One, until it goes.
    PinnedClient,
    /// Those of the lowest number first.
    Prioritized,
}

impl ConsumerConfig {
    /// Whether messages are pushed.
    #[must_use]
    pub fn is_push(&self) -> bool {
        !self.deliver_subject.is_empty()
    }

    /// Whether it stays when nobody uses it.
    #[must_use]
    pub fn is_durable(&self) -> bool {
        !self.durable.is_empty()
    }

    /// All filters; none: every subject.
    pub fn filters(&self) -> impl Iterator<Item = &str> {
        let one = (!self.filter_subject.is_empty()).then_some(&self.filter_subject);
        one.into_iter()
            .chain(&self.filter_subjects)
            .map(String::as_str)
    }

    /// Level of the API in which the youngest of its settings came.
    pub(crate) fn required_level(&self) -> u32 {
        if self.ack_policy == AckPolicy::FlowControl || self.sourcing {
            return 4;
        }
        let is_paused = self.pause_until.is_some();
        u32::from(is_paused || self.priority_policy != PriorityPolicy::None)
    }

    /// What it means, for a checked configuration with its defaults.
    pub(crate) fn rules(&self) -> rules::Rules {
        let limit = |value: i64| u64::try_from(value).ok().filter(|limit| *limit > 0);
        let span = |nanos: Nanos| u64::try_from(nanos.0).ok().filter(|span| *span > 0);
        rules::Rules {
            mode: if self.is_push() {
                rules::Mode::Push(self.push_rules())
            } else {
                rules::Mode::Pull(self.pull_rules())
            },
            ack: match self.ack_policy {
                AckPolicy::None => rules::AckPolicy::None,
                AckPolicy::All => rules::AckPolicy::All,
                AckPolicy::Explicit => rules::AckPolicy::Explicit,
                AckPolicy::FlowControl => rules::AckPolicy::FlowControl,
            },
            // Acknowledgement by flow control has no time of its own: what is lost, the receiver asks for.
            ack_wait: match self.ack_policy {
                AckPolicy::FlowControl => rules::Nanos::MAX,
                _ => span(self.ack_wait).unwrap_or(ACK_WAIT.0.unsigned_abs()),
            },
            backoff: self.backoff.iter().copied().filter_map(span).collect(),
            deliveries_max: limit(self.max_deliver)
                .map(|max| u32::try_from(max).unwrap_or(u32::MAX)),
            ack_pending_max: limit(self.max_ack_pending)
                .map(|max| usize::try_from(max).unwrap_or(usize::MAX)),
            headers_only: self.headers_only,
            replays_original: self.replay_policy == ReplayPolicy::Original,
            paused_until: self.pause_until.map_or(0, |until| until.0),
            inactive_threshold: span(self.inactive_threshold),
            sample_percent: sample_percent(&self.sample_freq).unwrap_or(0),
        }
    }

    fn push_rules(&self) -> rules::Push {
        rules::Push {
            deliver_subject: self.deliver_subject.clone().into_bytes(),
            deliver_group: (!self.deliver_group.is_empty())
                .then(|| self.deliver_group.clone().into_bytes()),
            heartbeat: u64::try_from(self.idle_heartbeat.0)
                .ok()
                .filter(|interval| *interval > 0),
            flow_control: self.flow_control,
            bytes_per_second: (self.rate_limit_bps > 0).then_some((self.rate_limit_bps / 8).max(1)),
        }
    }

    fn pull_rules(&self) -> rules::Pull {
        let limit = |value: i64| u64::try_from(value).ok().filter(|limit| *limit > 0);
        rules::Pull {
            waiting_max: limit(self.max_waiting)
                .map_or(WAITING_MAX.unsigned_abs() as usize, |max| {
                    usize::try_from(max).unwrap_or(usize::MAX)
                }),
            batch_max: limit(self.max_batch),
            expires_max: limit(self.max_expires.0),
            bytes_max: limit(self.max_bytes),
            priority: match self.priority_policy {
                PriorityPolicy::None => rules::PriorityPolicy::None,
                PriorityPolicy::Overflow => rules::PriorityPolicy::Overflow,
                PriorityPolicy::PinnedClient => rules::PriorityPolicy::PinnedClient,
                PriorityPolicy::Prioritized => rules::PriorityPolicy::Prioritized,
            },
            groups: self.priority_groups.clone(),
            pinned_ttl: limit(self.priority_timeout.0).unwrap_or(PINNED_TTL.0.unsigned_abs()),
        }
    }
}

/// Reads a share such as `30%` or `30`; `None` where it is no number. More than all is all.
pub(crate) fn sample_percent(text: &str) -> Option<u8> {
    if text.is_empty() {
        return Some(0);
    }
    let number: u32 = text.strip_suffix('%').unwrap_or(text).parse().ok()?;
    Some(u8::try_from(number.min(100)).unwrap_or(100))
}
