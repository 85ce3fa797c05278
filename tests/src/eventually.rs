//! Waiting for a condition.

use std::time::{Duration, Instant};

/// Longest wait for anything that should happen. Generous, because a busy machine is not a failure.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Asks again until `probe` gives something.
///
/// # Panics
/// When that has not happened within [`PATIENCE`].
pub async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut probe: impl FnMut() -> F,
) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = probe().await {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "still not so: {what}");
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}
