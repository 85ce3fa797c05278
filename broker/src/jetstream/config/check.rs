//! The rules that a stream's configuration must meet, in nats-server's order and words, and the defaults that are filled in.

use std::sync::Arc;

use storage::stream::{Discard, NAME_BYTES_MAX, StorageKind};

use super::stream::DUPLICATE_WINDOW;
use super::{
    DESCRIPTION_BYTES_MAX, METADATA_BYTES_MAX, Nanos, PersistMode, Placement, Retention,
    StreamConfig,
};
use crate::jetstream::error_code::{self as code, ApiError};
use crate::jetstream::limits::JetStreamLimits;

/// Shortest age and duplicate window.
const SPAN_MIN: Nanos = Nanos::from_millis(100);
/// Shortest life time of a delete marker.
const MARKER_TTL_MIN: Nanos = Nanos::from_secs(1);
/// Most copies in any cluster.
const REPLICAS_MAX: i64 = 5;

/// What a configuration is checked against.
pub(crate) struct Checks<'a> {
    pub(crate) limits: &'a JetStreamLimits,
    /// Refuses where otherwise a value would be put right silently.
    pub(crate) pedantic: bool,
    /// Configurations of the other streams of the account, by name.
    pub(crate) find: &'a dyn Fn(&str) -> Option<Arc<StreamConfig>>,
}

/// A broken rule that has no code of its own.
pub(crate) fn invalid(reason: impl std::fmt::Display) -> ApiError {
    code::STREAM_INVALID_CONFIG.with(reason)
}

/// Refuses unless `holds`.
pub(super) fn require(holds: bool, error: impl FnOnce() -> ApiError) -> Result<(), ApiError> {
    if holds { Ok(()) } else { Err(error()) }
}

/// Whether streams and consumers may have this name.
pub(crate) fn is_name(name: &str) -> bool {
    let forbidden =
        |c: char| c == ' ' || c.is_control() || matches!(c, '.' | '*' | '>' | '/' | '\\');
    !name.is_empty() && !name.contains(forbidden)
}

impl StreamConfig {
    /// The configuration with its defaults filled in: the form in which two of them are compared, and which is stored.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub(crate) fn checked(mut self, checks: &Checks<'_>) -> Result<Self, ApiError> {
        self.check_texts()?;
        self.fill_limits(checks.pedantic)?;
        self.check_spans(checks)?;
        self.check_modes(checks.pedantic)?;
        self.check_origins(checks)?;
        self.check_subjects()?;
        self.check_bytes(checks.limits)?;
        self.check_transforms(checks.pedantic)?;
        if self.placement == Some(Placement::default()) {
            self.placement = None;
        }
        let preferred = self
            .placement
            .as_ref()
            .map(|placement| &placement.preferred);
        require(preferred.is_none_or(String::is_empty), || {
            invalid("preferred server not permitted in placement")
        })?;
        Ok(self)
    }

    fn check_texts(&self) -> Result<(), ApiError> {
        require(is_name(&self.name), || {
            invalid(r"stream name is required and can not contain '.', '*', '>', '\', '/'")
        })?;
        require(self.name.len() <= NAME_BYTES_MAX, || {
            invalid(format_args!(
                "stream name is too long, maximum allowed is {NAME_BYTES_MAX}"
            ))
        })?;
        require(self.description.len() <= DESCRIPTION_BYTES_MAX, || {
            invalid(format_args!(
                "stream description is too long, maximum allowed is {DESCRIPTION_BYTES_MAX}"
            ))
        })?;
        let metadata = self.metadata.iter();
        let metadata_bytes: usize = metadata.map(|(name, value)| name.len() + value.len()).sum();
        require(metadata_bytes <= METADATA_BYTES_MAX, || {
            invalid(format_args!(
                "stream metadata exceeds maximum size of {METADATA_BYTES_MAX} bytes"
            ))
        })
    }

    /// -1 is the one way to say "no limit".
    fn fill_limits(&mut self, pedantic: bool) -> Result<(), ApiError> {
        if self.num_replicas == 0 {
            self.num_replicas = 1;
        }
        require(self.num_replicas <= REPLICAS_MAX, || {
            invalid(format_args!("maximum replicas is {REPLICAS_MAX}"))
        })?;
        require(self.num_replicas > 0, || {
            code::REPLICAS_COUNT_CANNOT_BE_NEGATIVE.into()
        })?;
        for (name, limit) in [
            ("max_msgs", &mut self.max_msgs),
            ("max_msgs_per_subject", &mut self.max_msgs_per_subject),
            ("max_bytes", &mut self.max_bytes),
            ("max_msg_size", &mut self.max_msg_size),
            ("max_consumers", &mut self.max_consumers),
        ] {
            require(!pedantic || *limit >= -1, || {
                code::PEDANTIC.with(format_args!("{name} must be set to -1"))
            })?;
            if *limit < 1 {
                *limit = -1;
            }
        }
        Ok(())
    }

    fn check_spans(&mut self, checks: &Checks<'_>) -> Result<(), ApiError> {
        let age = self.max_age;
        require(age.0 >= 0, || invalid("max age can not be negative"))?;
        require(age.is_zero() || age >= SPAN_MIN, || {
            invalid("max age needs to be >= 100ms")
        })?;
        let window_max = checks.limits.duplicate_window_max.map(Nanos::from);
        if self.duplicate_window.is_zero() && !self.has_origin() {
            self.duplicate_window = self.default_window(window_max, checks.pedantic)?;
        }
        let window = self.duplicate_window;
        require(window.0 >= 0, || {
            invalid("duplicates window can not be negative")
        })?;
        require(age.is_zero() || window <= age, || {
            invalid("duplicates window can not be larger then max age")
        })?;
        if let Some(max) = window_max.filter(|max| window > *max) {
            return Err(invalid(format_args!(
                "duplicates window can not be larger then server limit of {max}"
            )));
        }
        require(window.is_zero() || window >= SPAN_MIN, || {
            invalid("duplicates window needs to be >= 100ms")
        })
    }

    /// Two minutes, unless the server or the age of messages allows less.
    fn default_window(&self, max: Option<Nanos>, pedantic: bool) -> Result<Nanos, ApiError> {
        let mut window = DUPLICATE_WINDOW;
        if let Some(max) = max.filter(|max| *max < window) {
            require(!pedantic, || {
                code::PEDANTIC.with("duplicate window limits are higher than current limits")
            })?;
            window = max;
        }
        if !self.max_age.is_zero() && self.max_age < window {
            require(!pedantic, || {
                code::PEDANTIC.with("duplicate window cannot be bigger than max age")
            })?;
            window = self.max_age;
        }
        Ok(window)
    }

    /// Which switches exclude or need each other.
    fn check_modes(&mut self, pedantic: bool) -> Result<(), ApiError> {
        require(!(self.deny_purge && self.allow_rollup_hdrs), || {
            invalid("roll-ups require the purge permission")
        })?;
        self.check_counter()?;
        self.check_discard_per_subject()?;
        self.check_marker(pedantic)?;
        self.check_schedules(pedantic)?;
        self.check_persist_mode()
    }

    fn check_counter(&self) -> Result<(), ApiError> {
        if !self.allow_msg_counter {
            return Ok(());
        }
        let rules = [
            (
                self.discard == Discard::Old,
                "counter stream cannot use discard new",
            ),
            (
                !self.allow_msg_ttl,
                "counter stream cannot use message TTLs",
            ),
            (
                !self.allow_msg_schedules,
                "counter stream cannot use message schedules",
            ),
            (
                self.retention == Retention::Limits,
                "counter stream can only use limits retention",
            ),
        ];
        first_broken(&rules)
    }

    pub(super) fn check_discard_per_subject(&self) -> Result<(), ApiError> {
        if !self.discard_new_per_subject {
            return Ok(());
        }
        let rules = [
            (
                self.discard == Discard::New,
                "discard new per subject requires discard new policy to be set",
            ),
            (
                self.max_msgs_per_subject > 0,
                "discard new per subject requires max msgs per subject > 0",
            ),
        ];
        first_broken(&rules)
    }

    /// Markers are messages with a life time that replace others.
    fn check_marker(&mut self, pedantic: bool) -> Result<(), ApiError> {
        let ttl = self.subject_delete_marker_ttl;
        require(ttl.0 >= 0, || {
            invalid("subject delete marker TTL must not be negative")
        })?;
        if ttl.is_zero() {
            return Ok(());
        }
        require(ttl >= MARKER_TTL_MIN, || {
            invalid("subject delete marker TTL must be at least 1 second")
        })?;
        require(!pedantic || self.allow_msg_ttl, || {
            invalid("subject delete marker cannot be set if message TTLs are disabled")
        })?;
        self.allow_msg_ttl = true;
        require(!pedantic || self.allow_rollup_hdrs, || {
            invalid("subject delete marker cannot be set if roll-ups are disabled")
        })?;
        self.allow_rollups();
        Ok(())
    }

    fn check_schedules(&mut self, pedantic: bool) -> Result<(), ApiError> {
        if !self.allow_msg_schedules {
            return Ok(());
        }
        require(self.discard == Discard::Old, || {
            invalid("message scheduling cannot use discard new")
        })?;
        require(!pedantic || self.allow_rollup_hdrs, || {
            invalid("message scheduling cannot be set if roll-ups are disabled")
        })?;
        self.allow_rollups();
        Ok(())
    }

    fn allow_rollups(&mut self) {
        if !self.allow_rollup_hdrs {
            self.allow_rollup_hdrs = true;
            self.deny_purge = false;
        }
    }

    fn check_persist_mode(&self) -> Result<(), ApiError> {
        if self.persist_mode != PersistMode::Async {
            return Ok(());
        }
        let rules = [
            (
                self.storage == StorageKind::Disk,
                "async persist mode is only supported on file storage",
            ),
            (
                self.num_replicas == 1,
                "async persist mode is not supported on replicated streams",
            ),
            (
                !self.allow_atomic,
                "async persist mode is not supported with atomic batch publish",
            ),
        ];
        first_broken(&rules)
    }

    fn check_bytes(&self, limits: &JetStreamLimits) -> Result<(), ApiError> {
        require(self.max_bytes > 0 || !limits.bytes_max_required, || {
            code::STREAM_MAX_BYTES_REQUIRED.into()
        })?;
        let max = match self.storage {
            StorageKind::Disk => limits.storage_stream_bytes_max,
            StorageKind::Memory => limits.memory_stream_bytes_max,
        };
        let bytes = u64::try_from(self.max_bytes).unwrap_or(0);
        require(max.is_none_or(|max| bytes <= max), || {
            code::STREAM_MAX_STREAM_BYTES_EXCEEDED.into()
        })
    }

    /// Whether its messages come from other streams.
    pub(crate) fn has_origin(&self) -> bool {
        self.mirror.is_some() || !self.sources.is_empty()
    }
}

/// The first rule of a list that does not hold.
pub(super) fn first_broken(rules: &[(bool, &str)]) -> Result<(), ApiError> {
    match rules.iter().find(|(holds, _)| !holds) {
        Some((_, reason)) => Err(invalid(reason)),
        None => Ok(()),
    }
}
