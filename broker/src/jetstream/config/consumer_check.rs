//! Which consumer configurations are refused, with nats-server's numbers and texts, and what defaults are filled in.

use super::consumer::{
    ACK_PENDING_MAX, ACK_WAIT, AckPolicy, ConsumerConfig, DeliverPolicy, INACTIVE_THRESHOLD,
    PINNED_TTL, PriorityPolicy, WAITING_MAX, sample_percent,
};
use super::{DESCRIPTION_BYTES_MAX, METADATA_BYTES_MAX, Nanos, Retention, StreamConfig, Timestamp};
use crate::jetstream::error_code::{self as code, ApiError, ErrorCode};
use crate::subject;

/// Longest name of a consumer, in bytes.
const NAME_BYTES_MAX: usize = 255;
/// Shortest heartbeat.
const HEARTBEAT_MIN: Nanos = Nanos::from_millis(100);
/// Shortest `max_expires`.
const EXPIRES_MIN: Nanos = Nanos::from_millis(1);
/// Longest name of a priority group, in bytes.
const GROUP_BYTES_MAX: usize = 16;

/// What a server allows, beside the stream's own limits.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Caps {
    /// `max_ack_pending`.
    pub(crate) ack_pending_max: Option<u64>,
    /// `max_batch`.
    pub(crate) request_batch_max: Option<u64>,
}

/// Checks a name.
///
/// # Errors
/// A character that subjects or files give a meaning, or too long.
pub(crate) fn check_name(name: &str) -> Result<(), ApiError> {
    if name.contains(['/', '\\']) {
        return Err(code::CONSUMER_NAME_CONTAINS_PATH_SEPARATORS.into());
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(code::CONSUMER_NAME_TOO_LONG.with(NAME_BYTES_MAX));
    }
    if name.contains(['.', '*', '>']) || name.contains(|c: char| c.is_whitespace() || c < ' ') {
        let reason = r"consumer name can not contain '.', '*', '>', '\', '/'";
        return Err(code::STREAM_INVALID_CONFIG.with(reason));
    }
    Ok(())
}

fn refuse(broken: bool, line: ErrorCode) -> Result<(), ApiError> {
    if broken { Err(line.into()) } else { Ok(()) }
}

impl ConsumerConfig {
    /// Fills in the defaults. Two configurations mean the same when their normalised forms are equal.
    #[must_use]
    pub(crate) fn normalise(mut self, stream: &StreamConfig) -> Self {
        for limit in [
            &mut self.max_batch,
            &mut self.max_bytes,
            &mut self.max_waiting,
        ] {
            *limit = (*limit).max(0);
        }
        for span in [
            &mut self.idle_heartbeat,
            &mut self.max_expires,
            &mut self.inactive_threshold,
        ] {
            *span = (*span).max(Nanos::ZERO);
        }
        if self.max_deliver == 0 || self.max_deliver < -1 {
            self.max_deliver = -1;
        }
        if let Some(first) = self.backoff.first() {
            self.ack_wait = *first;
        }
        let needs_wait = matches!(self.ack_policy, AckPolicy::Explicit | AckPolicy::All);
        if needs_wait && self.ack_wait.is_zero() {
            self.ack_wait = ACK_WAIT;
        }
        let limits = &stream.consumer_limits;
        if self.max_ack_pending == 0 && self.ack_policy != AckPolicy::None {
            self.max_ack_pending = match limits.max_ack_pending {
                limit if limit > 0 => limit,
                _ => ACK_PENDING_MAX,
            };
        }
        self.max_ack_pending = self.max_ack_pending.max(-1);
        if self.ack_policy == AckPolicy::FlowControl {
            self.flow_control = true;
            if self.idle_heartbeat.is_zero() {
                self.idle_heartbeat = Nanos::from_secs(1);
            }
        }
        if !self.is_push() && self.max_waiting == 0 {
            self.max_waiting = WAITING_MAX;
        }
        if self.inactive_threshold.is_zero() {
            if limits.inactive_threshold.0 > 0 {
                self.inactive_threshold = limits.inactive_threshold;
            } else if !self.is_durable() {
                self.inactive_threshold = INACTIVE_THRESHOLD;
            }
        }
        if self.priority_policy == PriorityPolicy::PinnedClient && self.priority_timeout.0 <= 0 {
            self.priority_timeout = PINNED_TTL;
        }
        if self.pause_until.is_some_and(|until| until.is_never()) {
            self.pause_until = None;
        }
        self
    }

    /// Checks what nobody can ask for, whatever the stream. For a configuration as it came.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub(crate) fn check(&self, stream: &StreamConfig, caps: Caps) -> Result<(), ApiError> {
        if self.description.len() > DESCRIPTION_BYTES_MAX {
            return Err(code::CONSUMER_DESCRIPTION_TOO_LONG.with(DESCRIPTION_BYTES_MAX));
        }
        let metadata = self.metadata.iter();
        let metadata: usize = metadata.map(|(name, value)| name.len() + value.len()).sum();
        if metadata > METADATA_BYTES_MAX {
            return Err(code::CONSUMER_METADATA_LENGTH.with("128KB"));
        }
        if self.num_replicas > 1 {
            return Err(code::STREAM_REPLICAS_NOT_SUPPORTED.into());
        }
        if self.num_replicas < 0 {
            return Err(code::REPLICAS_COUNT_CANNOT_BE_NEGATIVE.into());
        }
        refuse(self.ack_wait.0 < 0, code::CONSUMER_ACK_WAIT_NEGATIVE)?;
        let is_negative = self.backoff.iter().any(|wait| wait.0 < 0);
        refuse(is_negative, code::CONSUMER_BACK_OFF_NEGATIVE)?;
        let steps = i64::try_from(self.backoff.len()).unwrap_or(i64::MAX);
        let is_short = self.max_deliver > 0 && self.max_deliver < steps;
        refuse(is_short, code::CONSUMER_MAX_DELIVER_BACKOFF)?;
        self.check_filters()?;
        self.check_start()?;
        if sample_percent(&self.sample_freq).is_none() {
            let number = self.sample_freq.trim_end_matches('%');
            let reason = format!("strconv.Atoi: parsing {number:?}: invalid syntax");
            return Err(code::CONSUMER_INVALID_SAMPLING.with(reason));
        }
        self.check_flow_control_acks()?;
        if self.is_push() {
            self.check_push(stream)?;
        } else {
            self.check_pull(caps)?;
        }
        self.check_priority()?;
        self.check_limits(stream, caps)?;
        if stream.retention == Retention::WorkQueue {
            self.check_work_queue()?;
        }
        Ok(())
    }

    fn check_filters(&self) -> Result<(), ApiError> {
        let filters = &self.filter_subjects;
        let has_both = !self.filter_subject.is_empty() && !filters.is_empty();
        refuse(has_both, code::CONSUMER_DUPLICATE_FILTER_SUBJECTS)?;
        let has_empty = filters.iter().any(String::is_empty);
        refuse(has_empty, code::CONSUMER_EMPTY_FILTER)?;
        if self
            .filters()
            .any(|filter| !subject::is_filter(filter.as_bytes()))
        {
            return Err(code::STREAM_INVALID_CONFIG.with("invalid subject"));
        }
        let overlaps = filters.iter().enumerate().any(|(index, filter)| {
            let mut earlier = filters[..index].iter();
            earlier.any(|other| subject::overlap(filter.as_bytes(), other.as_bytes()))
        });
        refuse(overlaps, code::CONSUMER_OVERLAPPING_SUBJECT_FILTERS)
    }

    fn check_start(&self) -> Result<(), ApiError> {
        let policy = self.deliver_policy;
        let wants_sequence = policy == DeliverPolicy::ByStartSequence;
        let wants_time = policy == DeliverPolicy::ByStartTime;
        let has_time = self.opt_start_time.is_some();
        let problem = if wants_sequence && self.opt_start_seq == 0 {
            "optional start sequence is not set"
        } else if !wants_sequence && self.opt_start_seq > 0 {
            "optional start sequence is also set"
        } else if wants_time && !has_time {
            "optional start time is not set"
        } else if !wants_time && has_time {
            "optional start time is also set"
        } else if policy == DeliverPolicy::LastPerSubject && self.filters().next().is_none() {
            "optional filter subject is not set"
        } else {
            return Ok(());
        };
        let reason = format!("consumer delivery policy is deliver {policy}, but {problem}");
        Err(code::CONSUMER_INVALID_POLICY.with(reason))
    }

    fn check_flow_control_acks(&self) -> Result<(), ApiError> {
        if self.ack_policy != AckPolicy::FlowControl {
            return Ok(());
        }
        refuse(!self.is_push(), code::CONSUMER_ACK_FC_REQUIRES_PUSH)?;
        let is_unlimited = self.max_ack_pending < 0;
        refuse(is_unlimited, code::CONSUMER_ACK_FC_REQUIRES_MAX_ACK_PENDING)?;
        let has_wait = !self.ack_wait.is_zero() || !self.backoff.is_empty();
        refuse(has_wait, code::CONSUMER_ACK_FC_REQUIRES_NO_ACK_WAIT)?;
        refuse(
            self.max_deliver > 0,
            code::CONSUMER_ACK_FC_REQUIRES_NO_MAX_DELIVER,
        )
    }

    fn check_push(&self, stream: &StreamConfig) -> Result<(), ApiError> {
        let to = self.deliver_subject.as_bytes();
        let is_subject = subject::is_filter(to) && !to.iter().any(u8::is_ascii_whitespace);
        refuse(!is_subject, code::CONSUMER_INVALID_DELIVER_SUBJECT)?;
        refuse(
            subject::has_wildcard(to),
            code::CONSUMER_DELIVER_TO_WILDCARDS,
        )?;
        let mut subjects = stream.subjects.iter();
        let is_cycle = subjects.any(|own| subject::overlap(own.as_bytes(), to));
        refuse(is_cycle, code::CONSUMER_DELIVER_CYCLE)?;
        refuse(self.max_waiting > 0, code::CONSUMER_PUSH_MAX_WAITING)?;
        let is_small = self.idle_heartbeat.0 > 0 && self.idle_heartbeat < HEARTBEAT_MIN;
        refuse(is_small, code::CONSUMER_SMALL_HEARTBEAT)?;
        let is_silent = self.flow_control
            && self.idle_heartbeat.0 <= 0
            && self.ack_policy != AckPolicy::FlowControl;
        refuse(is_silent, code::CONSUMER_WITH_FLOW_CONTROL_NEEDS_HEARTBEATS)?;
        refuse(
            self.direct && self.is_durable(),
            code::CONSUMER_DIRECT_REQUIRES_EPHEMERAL,
        )?;
        let has_priority =
            !self.priority_groups.is_empty() || self.priority_policy != PriorityPolicy::None;
        refuse(has_priority, code::CONSUMER_PUSH_WITH_PRIORITY_GROUP)
    }

    fn check_pull(&self, caps: Caps) -> Result<(), ApiError> {
        refuse(self.direct, code::CONSUMER_DIRECT_REQUIRES_PUSH)?;
        refuse(self.rate_limit_bps > 0, code::CONSUMER_PULL_WITH_RATE_LIMIT)?;
        refuse(self.idle_heartbeat.0 > 0, code::CONSUMER_HB_REQUIRES_PUSH)?;
        refuse(self.flow_control, code::CONSUMER_FC_REQUIRES_PUSH)?;
        let is_short = self.max_expires.0 > 0 && self.max_expires < EXPIRES_MIN;
        refuse(is_short, code::CONSUMER_MAX_REQUEST_EXPIRES_TOO_SMALL)?;
        match caps.request_batch_max {
            Some(max) if u64::try_from(self.max_batch).is_ok_and(|batch| batch > max) => {
                Err(code::CONSUMER_MAX_REQUEST_BATCH_EXCEEDED.with(max))
            }
            _ => Ok(()),
        }
    }

    fn check_priority(&self) -> Result<(), ApiError> {
        if self.priority_policy == PriorityPolicy::None {
            let has_groups = !self.priority_groups.is_empty();
            refuse(has_groups, code::CONSUMER_PRIORITY_GROUP_WITH_POLICY_NONE)?;
            let has_ttl = !self.priority_timeout.is_zero();
            return refuse(
                has_ttl,
                code::CONSUMER_PINNED_TTL_WITHOUT_PRIORITY_POLICY_NONE,
            );
        }
        let has_none = self.priority_groups.is_empty();
        refuse(has_none, code::CONSUMER_PRIORITY_POLICY_WITHOUT_GROUP)?;
        for group in &self.priority_groups {
            refuse(group.is_empty(), code::CONSUMER_EMPTY_GROUP_NAME)?;
            let is_letter = |c: char| c.is_ascii_alphanumeric() || "-_/=".contains(c);
            let is_valid = group.len() <= GROUP_BYTES_MAX && group.chars().all(is_letter);
            refuse(!is_valid, code::CONSUMER_INVALID_GROUP_NAME)?;
        }
        Ok(())
    }

    fn check_limits(&self, stream: &StreamConfig, caps: Caps) -> Result<(), ApiError> {
        let limits = &stream.consumer_limits;
        let of_stream = u64::try_from(limits.max_ack_pending)
            .ok()
            .filter(|max| *max > 0);
        for max in [of_stream, caps.ack_pending_max].into_iter().flatten() {
            if u64::try_from(self.max_ack_pending).is_ok_and(|pending| pending > max) {
                return Err(code::CONSUMER_MAX_PENDING_ACK_EXCESS.with(max));
            }
        }
        if limits.inactive_threshold.0 > 0 && self.inactive_threshold > limits.inactive_threshold {
            let max = limits.inactive_threshold;
            return Err(code::CONSUMER_INACTIVE_THRESHOLD_EXCESS.with(max));
        }
        Ok(())
    }

    fn check_work_queue(&self) -> Result<(), ApiError> {
        if self.ack_policy != AckPolicy::Explicit && !self.direct && !self.sourcing {
            return Err(match self.ack_policy {
                AckPolicy::None if !self.is_push() => code::CONSUMER_PULL_REQUIRES_ACK.into(),
                _ => code::CONSUMER_WQ_REQUIRES_EXPLICIT_ACK.into(),
            });
        }
        let is_partial = self.deliver_policy != DeliverPolicy::All;
        refuse(is_partial, code::CONSUMER_WQ_CONSUMER_NOT_DELIVER_ALL)
    }

    /// Pedantic mode: what the server would have to fill in differently from what the client may think.
    ///
    /// # Errors
    /// The first thing that would be changed.
    pub(crate) fn check_pedantic(&self, stream: &StreamConfig) -> Result<(), ApiError> {
        let limits = &stream.consumer_limits;
        let refuse = |reason: &str| Err(code::PEDANTIC.with(reason));
        if limits.max_ack_pending > 0 && self.max_ack_pending == 0 {
            return refuse("max_ack_pending must be set if it's configured in stream limits");
        }
        if limits.inactive_threshold.0 > 0 && self.inactive_threshold.is_zero() {
            return refuse("inactive_threshold must be set if it's configured in stream limits");
        }
        if self
            .backoff
            .first()
            .is_some_and(|first| *first != self.ack_wait)
        {
            return refuse("first backoff value has to equal batch AckWait");
        }
        Ok(())
    }

    /// Checks a change; both are normalised.
    ///
    /// # Errors
    /// Something changes that stays as it was made.
    pub(crate) fn check_update(&self, new: &Self) -> Result<(), ApiError> {
        let fixed = [
            (
                self.deliver_policy != new.deliver_policy,
                "deliver policy can not be updated",
            ),
            (
                self.opt_start_seq != new.opt_start_seq,
                "start sequence can not be updated",
            ),
            (
                self.opt_start_time != new.opt_start_time,
                "start time can not be updated",
            ),
            (
                self.ack_policy != new.ack_policy,
                "ack policy can not be updated",
            ),
            (
                self.replay_policy != new.replay_policy,
                "replay policy can not be updated",
            ),
            (
                self.idle_heartbeat != new.idle_heartbeat,
                "heart beats can not be updated",
            ),
            (
                self.flow_control != new.flow_control,
                "flow control can not be updated",
            ),
            (
                !self.is_push() && new.is_push(),
                "can not update pull consumer to push based",
            ),
            (
                self.is_push() && !new.is_push(),
                "can not update push consumer to pull based",
            ),
            (
                self.max_waiting != new.max_waiting,
                "max waiting can not be updated",
            ),
            (
                self.mem_storage != new.mem_storage,
                "storage type can not be updated",
            ),
        ];
        match fixed.iter().find(|(changes, _)| *changes) {
            Some((_, reason)) => Err(code::CONSUMER_CREATE.with(reason)),
            None => Ok(()),
        }
    }

    /// Until when deliveries pause; `None` where that time is over.
    pub(crate) fn paused_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.pause_until.filter(|until| *until > now)
    }
}

#[cfg(test)]
#[path = "consumer_check_tests.rs"]
mod tests;
