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
