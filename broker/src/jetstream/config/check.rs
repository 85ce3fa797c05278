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
        let mut size = i64::from(self.max_msg_size);
        for (name, limit) in [
            ("max_msgs", &mut self.max_msgs),
            ("max_msgs_per_subject", &mut self.max_msgs_per_subject),
            ("max_bytes", &mut self.max_bytes),
            ("max_msg_size", &mut size),
            ("max_consumers", &mut self.max_consumers),
        ] {
            require(!pedantic || *limit >= -1, || {
                code::PEDANTIC.with(format_args!("{name} must be set to -1"))
            })?;
            if *limit < 1 {
                *limit = -1;
            }
        }
        if size < 1 {
            self.max_msg_size = -1;
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

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A configuration as a client writes it.
    pub(in crate::jetstream::config) fn config(json: &str) -> StreamConfig {
        serde_json::from_str(json).expect("a configuration")
    }

    /// Checks beside streams that are there already.
    pub(in crate::jetstream::config) fn checked(
        json: &str,
        others: &[StreamConfig],
        pedantic: bool,
    ) -> Result<StreamConfig, ApiError> {
        let limits = JetStreamLimits::default();
        let find = |name: &str| {
            let found = others.iter().find(|other| other.name == name);
            found.cloned().map(Arc::new)
        };
        config(json).checked(&Checks {
            limits: &limits,
            pedantic,
            find: &find,
        })
    }

    #[track_caller]
    pub(in crate::jetstream::config) fn check_refused(json: &str, err_code: u16, text: &str) {
        let error = checked(json, &[], false).expect_err("refused");
        assert_eq!((error.err_code, &*error.description), (err_code, text));
    }

    #[track_caller]
    fn check_invalid(json: &str, text: &str) {
        check_refused(json, 10052, text);
    }

    #[test]
    fn item_71_0_minus_1_and_absent_are_equal() {
        let short = checked(r#"{"name":"S"}"#, &[], false).expect("accepted");
        let long = r#"{"name":"S","subjects":["S"],"retention":"limits","max_consumers":-1,"max_msgs":0,"max_bytes":-7,
            "max_age":0,"max_msgs_per_subject":-1,"max_msg_size":0,"discard":"old","storage":"file","num_replicas":1,
            "duplicate_window":120000000000,"compression":"none","placement":{},"consumer_limits":{}}"#;
        assert_eq!(checked(long, &[], false), Ok(short.clone()));
        assert_eq!((short.max_msgs, short.max_msg_size), (-1, -1));
        assert_eq!(short.subjects, ["S"]);
    }

    #[test]
    fn names_with_path_or_subject_characters_are_refused() {
        let text = r"stream name is required and can not contain '.', '*', '>', '\', '/'";
        for name in [
            "",
            "a.b",
            "a*",
            ">",
            "a b",
            "a/b",
            r"a\\b",
            r"a\tb",
            r"a\u0000b",
            "..",
        ] {
            check_invalid(&format!(r#"{{"name":"{name}"}}"#), text);
        }
        let long = "x".repeat(256);
        check_invalid(
            &format!(r#"{{"name":"{long}"}}"#),
            "stream name is too long, maximum allowed is 255",
        );
        checked(r#"{"name":"é-_9"}"#, &[], false).expect("accepted");
    }

    #[test]
    fn texts_are_bounded() {
        let long = "x".repeat(4097);
        check_invalid(
            &format!(r#"{{"name":"S","description":"{long}"}}"#),
            "stream description is too long, maximum allowed is 4096",
        );
        let large = "x".repeat(128 << 10);
        check_invalid(
            &format!(r#"{{"name":"S","metadata":{{"k":"{large}"}}}}"#),
            "stream metadata exceeds maximum size of 131072 bytes",
        );
    }

    #[test]
    fn spans_have_bounds() {
        for (json, text) in [
            (r#""max_age":-1"#, "max age can not be negative"),
            (r#""max_age":1000"#, "max age needs to be >= 100ms"),
            (
                r#""duplicate_window":-1"#,
                "duplicates window can not be negative",
            ),
            (
                r#""duplicate_window":1000"#,
                "duplicates window needs to be >= 100ms",
            ),
            (
                r#""max_age":1000000000,"duplicate_window":2000000000"#,
                "duplicates window can not be larger then max age",
            ),
        ] {
            check_invalid(&format!(r#"{{"name":"S",{json}}}"#), text);
        }
        let short = checked(r#"{"name":"S","max_age":1000000000}"#, &[], false);
        let window = short.expect("accepted").duplicate_window;
        assert_eq!(window, Nanos::from_secs(1));
    }

    #[test]
    fn a_server_may_shorten_the_duplicate_window() {
        let limits = JetStreamLimits {
            duplicate_window_max: Some(std::time::Duration::from_secs(10)),
            bytes_max_required: true,
            ..JetStreamLimits::default()
        };
        let checks = Checks {
            limits: &limits,
            pedantic: false,
            find: &|_| None,
        };
        let short = config(r#"{"name":"S","max_bytes":10}"#).checked(&checks);
        assert_eq!(
            short.expect("accepted").duplicate_window,
            Nanos::from_secs(10)
        );
        let long = config(r#"{"name":"S","max_bytes":10,"duplicate_window":60000000000}"#);
        assert_eq!(
            long.checked(&checks).expect_err("refused").description,
            "duplicates window can not be larger then server limit of 10s"
        );
        let unbounded = config(r#"{"name":"S"}"#).checked(&checks);
        assert_eq!(unbounded.expect_err("refused").err_code, 10113);
    }

    #[test]
    fn switches_exclude_and_need_each_other() {
        for (json, text) in [
            (
                r#""deny_purge":true,"allow_rollup_hdrs":true"#,
                "roll-ups require the purge permission",
            ),
            (
                r#""allow_msg_counter":true,"discard":"new""#,
                "counter stream cannot use discard new",
            ),
            (
                r#""allow_msg_counter":true,"allow_msg_ttl":true"#,
                "counter stream cannot use message TTLs",
            ),
            (
                r#""allow_msg_counter":true,"retention":"workqueue""#,
                "counter stream can only use limits retention",
            ),
            (
                r#""discard_new_per_subject":true"#,
                "discard new per subject requires discard new policy to be set",
            ),
            (
                r#""discard_new_per_subject":true,"discard":"new""#,
                "discard new per subject requires max msgs per subject > 0",
            ),
            (
                r#""subject_delete_marker_ttl":1000"#,
                "subject delete marker TTL must be at least 1 second",
            ),
            (
                r#""allow_msg_schedules":true,"discard":"new""#,
                "message scheduling cannot use discard new",
            ),
            (
                r#""persist_mode":"async","storage":"memory""#,
                "async persist mode is only supported on file storage",
            ),
            (
                r#""placement":{"preferred":"x"}"#,
                "preferred server not permitted in placement",
            ),
            (r#""num_replicas":6"#, "maximum replicas is 5"),
        ] {
            check_invalid(&format!(r#"{{"name":"S",{json}}}"#), text);
        }
        check_refused(
            r#"{"name":"S","num_replicas":-1}"#,
            10133,
            "replicas count cannot be negative",
        );
    }

    #[test]
    fn markers_bring_life_times_and_rollups_with_them() {
        let json = r#"{"name":"S","subject_delete_marker_ttl":1000000000,"deny_purge":true}"#;
        let config = checked(json, &[], false).expect("accepted");
        assert!(config.allow_msg_ttl && config.allow_rollup_hdrs && !config.deny_purge);
        let pedantic = checked(json, &[], true).expect_err("refused");
        assert_eq!(pedantic.err_code, 10052);
    }

    #[test]
    fn pedantic_puts_nothing_right() {
        for (json, text) in [
            (
                r#""max_msgs":-5"#,
                "pedantic mode: max_msgs must be set to -1",
            ),
            (
                r#""republish":{"dest":"x.>"}"#,
                "pedantic mode: republish source can not be empty",
            ),
            (
                r#""max_age":1000000000"#,
                "pedantic mode: duplicate window cannot be bigger than max age",
            ),
        ] {
            let json = format!(r#"{{"name":"S",{json}}}"#);
            checked(&json, &[], false).expect("put right");
            let error = checked(&json, &[], true).expect_err("refused");
            assert_eq!((error.err_code, &*error.description), (10157, text));
        }
    }
}
