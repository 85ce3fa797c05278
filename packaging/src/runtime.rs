//! The threads of a server, and the signals that end it.

use anyhow::Result;
use tokio_util::sync::CancellationToken;

use crate::explain::explain;
use crate::signals::Signals;
use crate::trouble::{Exit, Trouble};

/// Runs `serve` to its end. What it is given is cancelled at the first signal.
pub(crate) fn run(serve: impl AsyncFnOnce(CancellationToken) -> Result<()>) -> Result<(), Trouble> {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.enable_all().build().map_err(|error| {
        Trouble::new(
            Exit::Software,
            format!("Could not start threads: {error}."),
            "Check the process limits (ulimit -u).",
        )
    })?;
    runtime.block_on(async {
        let stop = CancellationToken::new();
        let signals = tokio::spawn(Signals::take()?.watch(stop.clone()));
        let served = serve(stop).await;
        signals.abort();
        served.map_err(|error| explain(&error))
    })
}
