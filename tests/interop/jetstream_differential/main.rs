//! The same JetStream requests to a real nats-server and to natterjack: both must answer the same.
//!
//! The scripts are in `scripts/`, in the language that [`script`] describes. What differs by nature (times, identities,
//! versions) is masked; everything else is compared. With `PRINT_TRANSCRIPT` set, what nats-server answered is printed.

mod difference;
mod mask;
mod player;
mod script;

use futures_util::StreamExt;
use harness::{Broker, Program};
use script::Script;
use serde_json::Value;
use time::OffsetDateTime;

/// Scripts of one file that are played at the same time; most of them wait rather than work.
const AT_ONCE: usize = 4;

/// Plays every script on both and reports all differences at once.
async fn check(scripts: &str) {
    let only = std::env::var("ONLY_SCRIPT").unwrap_or_default();
    let scripts = script::parse(scripts).into_iter();
    let chosen = scripts.filter(|script| script.title.contains(&only));
    let reports = futures_util::stream::iter(chosen)
        .map(|script| async move { play(&script).await })
        .buffered(AT_ONCE)
        .collect::<Vec<_>>()
        .await;
    let differences: Vec<String> = reports.into_iter().flatten().collect();
    assert!(
        differences.is_empty(),
        "{} scripts differ\n{}",
        differences.len(),
        differences.join("\n")
    );
}

/// Plays one script on two servers of its own; what differs.
async fn play(script: &Script) -> Option<String> {
    let (reference, broker) = tokio::join!(Broker::of(Program::NatsServer), Broker::start());
    let start = OffsetDateTime::now_utc();
    let (theirs, ours) = tokio::join!(
        player::play(&reference, script, start),
        player::play(&broker, script, start)
    );
    if std::env::var_os("PRINT_TRANSCRIPT").is_some() {
        print_transcript(script, &theirs);
    }
    let found = compare(script, &theirs, &ours);
    if !script.title.starts_with("differs: ") {
        return found;
    }
    // A difference that is meant to be, or lived with, must not vanish unseen.
    let is_reference = Broker::program() == Program::NatsServer;
    (found.is_none() && !is_reference).then(|| format!("# {}: no longer so", script.title))
}

fn compare(
    script: &Script,
    theirs: &player::Transcript,
    ours: &player::Transcript,
) -> Option<String> {
    let mut report = Vec::new();
    for (index, (theirs, ours)) in theirs.iter().zip(ours).enumerate() {
        let mut found = Vec::new();
        let (theirs, ours) = (Value::from(theirs.clone()), Value::from(ours.clone()));
        difference::between("", &theirs, &ours, &mut found);
        if !found.is_empty() {
            report.push(format!("  {}", line(script, index)));
            report.extend(found.into_iter().map(|line| format!("      {line}")));
        }
    }
    (!report.is_empty()).then(|| format!("# {}\n{}", script.title, report.join("\n")))
}

fn line(script: &Script, index: usize) -> &str {
    script
        .steps
        .get(index)
        .map_or("at the end", |step| &step.line)
}

#[allow(clippy::print_stderr, reason = "asked for by whoever writes a script")]
fn print_transcript(script: &Script, transcript: &player::Transcript) {
    eprintln!("# {}", script.title);
    for (index, frames) in transcript.iter().enumerate() {
        eprintln!("{}", line(script, index));
        for frame in frames {
            eprintln!("    {frame}");
        }
    }
}

/// One test per file of scripts.
macro_rules! suites {
    ($($name:ident)*) => {$(
        #[tokio::test]
        async fn $name() {
            check(include_str!(concat!("scripts/", stringify!($name), ".txt"))).await;
        }
    )*};
}

suites! {
    stream_configuration
    stream_api
    publish
    consumer_configuration
    consumer_api
    pull
    acknowledgements
    push
    direct_get
    retention
    batches
    mirrors
    advisories
}
