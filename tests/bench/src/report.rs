//! The result as a Markdown table. The only place that prints.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool whose output is the point"
)]

use crate::scenario::Scenario;

/// Lines of results.
pub(crate) struct Table {
    lines: Vec<String>,
}

impl Table {
    pub(crate) fn new() -> Self {
        Self {
            lines: vec![
                "| What | natterjack | nats-server | ratio |".to_owned(),
                "|---|---:|---:|---:|".to_owned(),
            ],
        }
    }

    /// Adds the medians of one scenario; the ratio says how many times better natterjack is.
    pub(crate) fn figures(&mut self, scenario: &Scenario, a: &[f64], b: &[f64]) {
        let show = if scenario.is_rate() {
            rate
        } else {
            microseconds
        };
        let (better, worse) = if scenario.is_rate() {
            (median(a), median(b))
        } else {
            (median(b), median(a))
        };
        self.row(
            &scenario.name(),
            &range(a, show),
            &range(b, show),
            better / worse,
        );
    }

    /// Adds a figure in bytes, where less is better.
    pub(crate) fn memory(&mut self, name: &str, a: u64, b: u64) {
        let (a, b) = (a as f64, b as f64);
        self.row(name, &mebibytes(a), &mebibytes(b), b / a.max(1.0));
    }

    /// A table of its own for one appliance.
    pub(crate) fn of_start(ready: &[f64], memory: &[f64]) -> Self {
        Self {
            lines: vec![
                "| The whole appliance | median | range |".to_owned(),
                "|---|---:|---:|".to_owned(),
                format!(
                    "| start to ready | {} |",
                    range(ready, milliseconds).replacen(" (", " | (", 1)
                ),
                format!(
                    "| memory when idle | {} |",
                    range(memory, mebibytes).replacen(" (", " | (", 1)
                ),
            ],
        }
    }

    pub(crate) fn print(&self) {
        for line in &self.lines {
            println!("{line}");
        }
    }

    fn row(&mut self, name: &str, a: &str, b: &str, ratio: f64) {
        let line = format!("| {name} | {a} | {b} | {ratio:.2} |");
        eprintln!("{line}");
        self.lines.push(line);
    }
}

pub(crate) fn complain(message: &str) {
    eprintln!("bench: {message}");
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// Median, then smallest and largest.
fn range(values: &[f64], show: fn(f64) -> String) -> String {
    let smallest = values.iter().copied().fold(f64::INFINITY, f64::min);
    let largest = values.iter().copied().fold(0.0, f64::max);
    format!(
        "{} ({} to {})",
        show(median(values)),
        show(smallest),
        show(largest)
    )
}

fn rate(per_second: f64) -> String {
    if per_second >= 1e6 {
        format!("{:.2} M/s", per_second / 1e6)
    } else {
        format!("{:.0} k/s", per_second / 1e3)
    }
}

fn microseconds(value: f64) -> String {
    format!("{value:.1} µs")
}

fn milliseconds(value: f64) -> String {
    format!("{value:.0} ms")
}

fn mebibytes(bytes: f64) -> String {
    format!("{:.1} MiB", bytes / (1024.0 * 1024.0))
}
