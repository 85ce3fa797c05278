//! Logs go to standard error: one line each, so that standard output stays for what was asked for.

use std::io::IsTerminal;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::trouble::Trouble;

/// Starts logging at `level`, and makes a panic in any task a logged line that says where.
///
/// # Errors
///
/// `level` is not one of the levels, or not a list such as `info,broker=debug`.
pub(crate) fn start(level: &str) -> Result<(), Trouble> {
    let targets = targets(level)?;
    let lines = fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    tracing_subscriber::registry()
        .with(lines)
        .with(targets)
        .init();
    std::panic::set_hook(Box::new(log_panic));
    Ok(())
}

/// What is logged at `level`.
///
/// # Errors
///
/// It is not one of the levels, or not a list.
pub(crate) fn targets(level: &str) -> Result<Targets, Trouble> {
    parse(level).ok_or_else(|| {
        Trouble::config(
            format!("\"{level}\" is not a log level."),
            "Use error, warn, info, debug or trace, or a list such as \"info,broker=debug\".",
        )
    })
}

/// `Targets` takes a lone word that is no level for the name of a part, which is never what a person means.
fn parse(level: &str) -> Option<Targets> {
    let mut parts = level.split(',').map(str::trim);
    let all_plain = parts.all(|part| {
        !part.is_empty() && (part.contains('=') || part.parse::<LevelFilter>().is_ok())
    });
    all_plain.then(|| level.parse().ok()).flatten()
}

/// A panic is a bug in natterjack: it must be seen, and it must not take a page.
pub(crate) fn log_panic(panic: &std::panic::PanicHookInfo<'_>) {
    let place = panic
        .location()
        .map(ToString::to_string)
        .unwrap_or_default();
    let why = panic.payload_as_str().unwrap_or("no message");
    let backtrace = std::backtrace::Backtrace::capture();
    match backtrace.status() {
        std::backtrace::BacktraceStatus::Captured => {
            tracing::error!(place, "bug in natterjack: {why}\n{backtrace}")
        }
        _ => tracing::error!(place, "bug in natterjack: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_words_or_lists() {
        for right in [
            "info",
            "WARN",
            "info,broker=debug",
            "off",
            "broker=trace, info",
        ] {
            assert!(parse(right).is_some(), "{right}");
        }
        for wrong in ["", "loud", "info,loud", "broker=loud"] {
            assert!(parse(wrong).is_none(), "{wrong}");
        }
    }
}
