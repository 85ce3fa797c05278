//! Wakes a stream when something has to happen by itself: messages expire, an interval sync is
//! due, or a cache has been idle. One task per stream that sleeps until then.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::Notify;

use super::inner::Inner;
use super::queue::Job;

/// Shortest sleep: what expires within it goes together.
const SLEEP_MIN: Duration = Duration::from_millis(20);
/// Longest sleep: a wall clock that was set is noticed within it.
const SLEEP_MAX: Duration = Duration::from_secs(60);
/// Pause after work that was refused.
const SLEEP_REFUSED: Duration = Duration::from_secs(5);

pub(super) async fn run(inner: Weak<Inner>, wake: Arc<Notify>) {
    let mut seen = None;
    let mut refused = false;
    loop {
        let Some(stream) = inner.upgrade() else {
            return;
        };
        let commits = stream.commit_count();
        let idle = seen == Some(commits);
        if idle && stream.store.has_journal() {
            refused = stream.ask(Job::Rest).await.is_err();
        }
        let at = stream.rearm(idle);
        seen = Some(commits);
        let now = stream.clock.now();
        drop(stream);
        let sleep = Duration::from_nanos(at.saturating_sub(now)).clamp(SLEEP_MIN, SLEEP_MAX);
        let sleep = if refused { SLEEP_REFUSED } else { sleep };
        if at == u64::MAX && !refused {
            wake.notified().await;
            continue;
        }
        tokio::select! {
            () = tokio::time::sleep(sleep) => {}
            () = wake.notified() => { seen = None; continue; }
        }
        let Some(stream) = inner.upgrade() else {
            return;
        };
        if stream.clock.now() >= at {
            let expired = stream.ask(Job::Expire).await;
            let synced = stream.ask(Job::Flush).await;
            refused = expired.and(synced).is_err();
        }
    }
}
