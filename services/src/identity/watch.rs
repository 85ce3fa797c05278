//! Notices what other processes wrote, and ends what has expired.

use std::sync::Weak;
use std::time::{Duration, SystemTime};

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::Identity;

/// A revoked session is dead within a second: half of it for noticing.
const CHECK_EVERY: Duration = Duration::from_millis(500);
/// Ticks between clearing expired sessions out of the database: ten minutes.
const EXPIRE_EVERY: u64 = 1200;

/// Runs until `stop` or until nobody holds the identity any more.
pub(super) async fn run(identity: Weak<Identity>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(CHECK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut seen = None;
    for tick in 0u64.. {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let Some(identity) = identity.upgrade() else {
            return;
        };
        if let Err(error) = identity
            .check(&mut seen, tick.is_multiple_of(EXPIRE_EVERY))
            .await
        {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "cannot check for changed accounts"
            );
        }
    }
}

impl Identity {
    async fn check(
        &self,
        seen: &mut Option<u64>,
        expire: bool,
    ) -> Result<(), storage::chat::Error> {
        if expire {
            self.expire_sessions(SystemTime::now()).await?;
        }
        let version = self.db.data_version().await?;
        if *seen != Some(version) {
            self.recheck().await?;
            *seen = Some(version);
        }
        Ok(())
    }
}
