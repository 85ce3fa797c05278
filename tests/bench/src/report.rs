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

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    PerSecond,
    Microseconds,
    Bytes,
}

impl Unit {
    fn show(self, value: f64) -> String {
        match self {
            Self::PerSecond => rate(value),
            Self::Microseconds if value >= 1e4 => milliseconds(value / 1e3),
            Self::Microseconds => microseconds(value),
            Self::Bytes => mebibytes(value),
        }
    }

    /// How many times better `ours` is.
    fn ratio(self, ours: f64, theirs: f64) -> f64 {
        match self {
            Self::PerSecond => ours / theirs,
            Self::Microseconds | Self::Bytes => theirs / ours,
        }
    }
}

/// One line: the values of every server, ours first. A server that was left out has no values.
#[derive(Debug)]
pub(crate) struct Figure<'a> {
    pub(crate) name: &'a str,
    pub(crate) unit: Unit,
    pub(crate) values: Vec<Vec<f64>>,
}

/// A table of our server beside others, each with its ratio.
pub(crate) struct Beside {
    lines: Vec<String>,
    /// How many others there are.
    others: usize,
    notes: Vec<String>,
    /// Our median of the line before.
    last: f64,
}

impl Beside {
    pub(crate) fn new(names: &[&str]) -> Self {
        let others = &names[1..];
        let head: String = others
            .iter()
            .map(|name| format!(" {name} | ratio |"))
            .collect();
        Self {
            lines: vec![
                format!("| 128 B, file storage | {} |{head}", names[0]),
                format!("|---|---:|{}", "---:|---:|".repeat(others.len())),
            ],
            others: others.len(),
            notes: Vec::new(),
            last: 0.0,
        }
    }

    pub(crate) fn row(&mut self, figure: Figure<'_>) {
        let Figure { name, unit, values } = figure;
        let show = |values: &[f64]| match values {
            [value] => unit.show(*value),
            values => range(values, |value| unit.show(value)),
        };
        self.last = median(&values[0]);
        let mut line = format!("| {name} | {} |", show(&values[0]));
        for index in 1..=self.others {
            match values.get(index) {
                Some(theirs) => {
                    let ratio = unit.ratio(self.last, median(theirs));
                    line.push_str(&format!(" {} | {ratio:.2} |", show(theirs)));
                }
                None => line.push_str(" | |"),
            }
        }
        eprintln!("{line}");
        self.lines.push(line);
    }

    /// Puts the line before beside what the disk needs for one sync.
    pub(crate) fn note_disk(&mut self, overwritten_us: &[f64], appended_us: &[f64]) {
        let times = self.last / median(overwritten_us);
        let overwritten = range(overwritten_us, microseconds);
        let appended = range(appended_us, microseconds);
        let note = format!(
            "The disk itself made 4 KiB durable (`pwrite` and `fdatasync`, measured between the turns) in {overwritten}\n\
             where the file had its size, in {appended} at the end of a file that grew. One message in flight took\n\
             {times:.1} times the first."
        );
        eprintln!("{note}");
        self.notes.push(note);
    }

    pub(crate) fn print(&self) {
        for line in &self.lines {
            println!("{line}");
        }
        for note in &self.notes {
            println!("\n{note}");
        }
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
fn range(values: &[f64], show: impl Fn(f64) -> String) -> String {
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
