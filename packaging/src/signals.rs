//! SIGTERM and SIGINT: the first asks for a graceful stop, the second ends the process at once.
//!
//! `timeout` and some supervisors send a signal to the process and again to its group, so what follows within a second
//! counts as the same.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::trouble::{Exit, Trouble};

const SAME_SIGNAL: Duration = Duration::from_secs(1);

/// Both signals, taken over from the operating system's defaults.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Takes the signals over. Must be called on the runtime.
    pub(crate) fn take() -> Result<Self, Trouble> {
        let take = |kind| {
            signal(kind).map_err(|error| {
                Trouble::new(
                    Exit::Software,
                    format!("Could not handle signals: {error}."),
                    "Check the process limits.",
                )
            })
        };
        Ok(Self {
            terminate: take(SignalKind::terminate())?,
            interrupt: take(SignalKind::interrupt())?,
        })
    }

    /// Cancels `stop` at the first signal. Never returns: at the second the process ends, with the code that a shell
    /// gives for that signal. Nothing acknowledged is lost by that, it is only ruder to those connected.
    pub(crate) async fn watch(mut self, stop: CancellationToken) {
        let name = self.next().await.0;
        tracing::info!("{name}: stopping. A second signal stops at once");
        stop.cancel();
        let same = async {
            loop {
                self.next().await;
            }
        };
        let _ = tokio::time::timeout(SAME_SIGNAL, same).await;
        let (name, code) = self.next().await;
        tracing::warn!("{name} again: stopped at once");
        std::process::exit(code);
    }

    async fn next(&mut self) -> (&'static str, i32) {
        tokio::select! {
            _ = self.terminate.recv() => ("SIGTERM", 128 + 15),
            _ = self.interrupt.recv() => ("SIGINT", 128 + 2),
        }
    }
}
