//! What may change about a stream once it is there.

use storage::stream::Discard;

use super::check::{Checks, first_broken, require};
use super::{Nanos, Retention, StreamConfig};
use crate::jetstream::error_code::{self as code, ApiError};

impl StreamConfig {
    /// The configuration that a stream gets instead of `old`: checked, and with what sealing brings with it.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub(crate) fn checked_update(self, old: &Self, checks: &Checks<'_>) -> Result<Self, ApiError> {
        let mut new = self.checked(checks)?;
        require(new.num_replicas == 1, || {
            code::STREAM_REPLICAS_NOT_SUPPORTED.into()
        })?;
        new.check_fixed(old)?;
        if new.sealed {
            new.max_age = Nanos::ZERO;
            new.discard = Discard::New;
            new.deny_delete = true;
            new.deny_purge = true;
            new.allow_rollup_hdrs = false;
        }
        Ok(new)
    }

    fn check_fixed(&self, old: &Self) -> Result<(), ApiError> {
        let is_queue = |config: &Self| config.retention == Retention::WorkQueue;
        let before = [
            (
                self.name == old.name,
                "stream configuration name must match original",
            ),
            (
                self.storage == old.storage,
                "stream configuration update can not change storage type",
            ),
            (
                is_queue(self) == is_queue(old),
                "stream configuration update can not change retention policy to/from workqueue",
            ),
            (
                self.sealed || !old.sealed,
                "stream configuration update can not unseal a sealed stream",
            ),
            (
                self.deny_delete || !old.deny_delete,
                "stream configuration update can not cancel deny message deletes",
            ),
            (
                self.deny_purge || !old.deny_purge,
                "stream configuration update can not cancel deny purge",
            ),
        ];
        first_broken(&before)?;
        // Without its origin a mirror becomes a stream like any other.
        require(self.mirror.is_none() || self.mirror == old.mirror, || {
            code::STREAM_MIRROR_NOT_UPDATABLE.into()
        })?;
        self.check_discard_per_subject()?;
        let after = [
            (
                self.allow_msg_ttl || !old.allow_msg_ttl,
                "message TTL status can not be disabled",
            ),
            (
                self.allow_msg_counter == old.allow_msg_counter,
                "stream configuration update can not change message counter setting",
            ),
            (
                self.allow_msg_schedules || !old.allow_msg_schedules,
                "message schedules can not be disabled",
            ),
            (
                self.persist_mode == old.persist_mode,
                "stream configuration update can not change persist mode",
            ),
        ];
        first_broken(&after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jetstream::config::check::tests::{checked, config};
    use crate::jetstream::limits::JetStreamLimits;

    fn update(old: &str, new: &str) -> Result<StreamConfig, ApiError> {
        let old = checked(old, &[], false).expect("accepted");
        let limits = JetStreamLimits::default();
        config(new).checked_update(
            &old,
            &Checks {
                limits: &limits,
                pedantic: false,
                find: &|_| None,
            },
        )
    }

    #[track_caller]
    fn check_refused(old: &str, new: &str, text: &str) {
        let error = update(
            &format!(r#"{{"name":"S",{old}}}"#),
            &format!(r#"{{"name":"S",{new}}}"#),
        );
        assert_eq!(error.expect_err("refused").description, text);
    }

    #[test]
    fn what_is_fixed_stays_as_it_is() {
        let none = r#""max_msgs":-1"#;
        for (old, new, text) in [
            (
                none,
                r#""storage":"memory""#,
                "stream configuration update can not change storage type",
            ),
            (
                none,
                r#""retention":"workqueue""#,
                "stream configuration update can not change retention policy to/from workqueue",
            ),
            (
                r#""deny_delete":true"#,
                none,
                "stream configuration update can not cancel deny message deletes",
            ),
            (
                r#""deny_purge":true"#,
                none,
                "stream configuration update can not cancel deny purge",
            ),
            (
                r#""allow_msg_ttl":true"#,
                none,
                "message TTL status can not be disabled",
            ),
            (
                r#""allow_msg_counter":true"#,
                none,
                "stream configuration update can not change message counter setting",
            ),
            (
                r#""allow_msg_schedules":true"#,
                none,
                "message schedules can not be disabled",
            ),
            (
                r#""persist_mode":"async""#,
                none,
                "stream configuration update can not change persist mode",
            ),
            (
                none,
                r#""num_replicas":3"#,
                "replicas > 1 not supported in non-clustered mode",
            ),
            (
                none,
                r#""mirror":{"name":"O"}"#,
                "stream mirror configuration can not be updated",
            ),
        ] {
            check_refused(old, new, text);
        }
    }

    #[test]
    fn limits_and_interest_may_be_exchanged_and_a_mirror_promoted() {
        update(r#"{"name":"S"}"#, r#"{"name":"S","retention":"interest"}"#).expect("allowed");
        update(
            r#"{"name":"S","mirror":{"name":"O"}}"#,
            r#"{"name":"S","subjects":["s"]}"#,
        )
        .expect("allowed");
    }

    #[test]
    fn item_78_sealing_sets_what_belongs_to_it() {
        let sealed = update(
            r#"{"name":"S","allow_rollup_hdrs":true}"#,
            r#"{"name":"S","sealed":true,"allow_rollup_hdrs":true,"max_age":1000000000000}"#,
        )
        .expect("allowed");
        assert!(sealed.deny_delete && sealed.deny_purge && !sealed.allow_rollup_hdrs);
        assert_eq!(
            (sealed.discard, sealed.max_age),
            (Discard::New, Nanos::ZERO)
        );
    }
}
