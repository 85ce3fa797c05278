//! `natterjack bench`: load for any NATS server, and what it measures.
//!
//! The load itself is the `load` crate; here is what a person sees of it. A live line says how far it is, on a terminal only, and a
//! summary (or JSON) ends it. Ctrl-C ends the load early, and what was done until then is told.

mod flags;
mod json;
mod plan;
mod progress;
mod summary;
mod units;

use std::io::IsTerminal;
use std::time::Duration;

use load::{Error, Meter, Outcome};
use tokio::sync::oneshot;

use crate::output::say;
use crate::trouble::{Exit, Trouble};

pub(crate) use flags::BenchFlags;
use plan::Plan;
use progress::Progress;

/// How often the live line is drawn.
const FRAME: Duration = Duration::from_millis(100);

/// Runs the load and tells what was measured.
pub(crate) fn run(flags: BenchFlags) -> Result<(), Trouble> {
    let plan = Plan::new(flags.work).map_err(|error| explain(&error))?;
    let is_watched = std::io::stderr().is_terminal() && !plan.is_json();
    if !plan.is_json() {
        say(&plan.describe());
    }
    let meter = Meter::default();
    let outcome = std::thread::scope(|scope| {
        let (done, ended) = oneshot::channel();
        let (plan, meter) = (&plan, &meter);
        let work = scope.spawn(move || {
            let outcome = plan.run(meter);
            // Nobody waits any more where the runtime could not be started.
            let _ = done.send(());
            outcome
        });
        watch(plan, meter, ended, is_watched)?;
        match work.join() {
            Ok(outcome) => outcome.map_err(|error| explain(&error)),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })?;
    tell(&plan, &outcome);
    Ok(())
}

fn tell(plan: &Plan, outcome: &Outcome) {
    say(&if plan.is_json() {
        json::of(plan, outcome)
    } else {
        summary::of(outcome)
    });
}

/// Draws the live line until the work has ended. Ctrl-C asks it to end.
fn watch(
    plan: &Plan,
    meter: &Meter,
    mut ended: oneshot::Receiver<()>,
    is_watched: bool,
) -> Result<(), Trouble> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| {
        Trouble::new(
            Exit::Software,
            format!("Could not start: {error}."),
            "Check the process limits (ulimit).",
        )
    })?;
    runtime.block_on(async {
        let mut progress = Progress::new(plan.expected(), is_watched);
        let mut frames = tokio::time::interval(FRAME);
        loop {
            tokio::select! {
                // Sent or dropped: over either way.
                _ = &mut ended => break,
                _ = frames.tick() => progress.draw(meter),
                interrupted = tokio::signal::ctrl_c() => if interrupted.is_ok() { meter.stop() },
            }
        }
        progress.clear();
    });
    Ok(())
}

/// Words for what went wrong with the load.
fn explain(error: &Error) -> Trouble {
    use std::error::Error as _;
    let mut what = error.to_string();
    if let Some(source) = error.source() {
        what = format!("{what}: {source}");
    }
    let what = crate::explain::capitalised(&what);
    let (exit, remedy) = match error {
        Error::Url { .. } => (
            Exit::Usage,
            "Write it like nats://127.0.0.1:4222 or ws://127.0.0.1:8080/nats.",
        ),
        Error::Pem(_) | Error::Tls(_) => (
            Exit::NoInput,
            "Check the files of --tlsca, --tlscert and --tlskey.",
        ),
        Error::Handshake(_) => (
            Exit::Unavailable,
            "Name the authority of the server's certificate with --tlsca.",
        ),
        Error::Connect { .. } | Error::Upgrade(_) => (
            Exit::Unavailable,
            "Check --server, and that a NATS server listens there.",
        ),
        Error::Refused(_) => (
            Exit::Permission,
            "Check who signs in (--user, --token or the URL), and what that user may publish and subscribe.",
        ),
        Error::NoResponders(_) => (
            Exit::Unavailable,
            "Start what answers there, then try again.",
        ),
        Error::TooFew { .. } => (
            Exit::Usage,
            "Publish first with `natterjack bench stream publish`, or read fewer with --messages.",
        ),
        Error::JetStream { .. } => (
            Exit::Unavailable,
            "`--fresh` begins with an empty stream; the server's log may say more.",
        ),
        _ => (
            Exit::Io,
            "The server's log may say why; a subscriber that is too slow for the load is cut off.",
        ),
    };
    Trouble::new(exit, format!("{what}."), remedy)
}
