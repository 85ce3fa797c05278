//! The result as a Markdown table. The only place that prints.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool whose output is the point"
)]

use crate::rows::{Goals, Row};
use crate::turn::Turn;

const HEAD: &str = "\
| What | natterjack | nats-server | ratio | goal | CPU per message | nats-server | ratio | goal |
|---|---:|---:|---:|---:|---:|---:|---:|---:|";

/// Lines of results beside one other server. Bold ratios miss their goal.
pub(crate) struct Table {
    lines: Vec<String>,
}

/// A ratio and its goal, as two cells.
fn judged(ratio: f64, goal: Option<f64>, is_reached: fn(f64, f64) -> bool) -> String {
    match goal {
        None => format!("{ratio:.2} | "),
        Some(goal) if is_reached(ratio, goal) => format!("{ratio:.2} | {goal}"),
        Some(goal) => format!("**{ratio:.2}** | {goal}"),
    }
}

fn at_least(ratio: f64, goal: f64) -> bool {
    ratio >= goal
}

fn at_most(ratio: f64, goal: f64) -> bool {
    ratio <= goal
}

impl Table {
    pub(crate) fn new() -> Self {
        Self {
            lines: HEAD.lines().map(str::to_owned).collect(),
        }
    }

    /// Adds what the turns of a row gave: throughput and processor time, and latencies that have a goal.
    pub(crate) fn row(&mut self, row: &Row, turns: &[Vec<Turn>; 2]) {
        let of = |pick: fn(&Turn) -> f64| {
            [0, 1].map(|index| turns[index].iter().map(pick).collect::<Vec<f64>>())
        };
        let Goals {
            rate: rate_goal,
            cpu,
            median: median_goal,
            p99,
        } = row.goals;
        let [ours, theirs] = of(|turn| turn.rate);
        let ratio = judged(median(&ours) / median(&theirs), rate_goal, at_least);
        let [our_cpu, their_cpu] = of(|turn| turn.cpu_us);
        let cpu_ratio = judged(median(&our_cpu) / median(&their_cpu), cpu, at_most);
        self.push(format!(
            "| {} | {} | {} | {ratio} | {:.2} µs | {:.2} µs | {cpu_ratio} |",
            row.what,
            range(&ours, rate),
            range(&theirs, rate),
            median(&our_cpu),
            median(&their_cpu),
        ));
        let medians = ("median", median_goal, of(|turn| turn.median_us));
        let tails = ("p99", p99, of(|turn| turn.p99_us));
        for (name, goal, [ours, theirs]) in [medians, tails] {
            if goal.is_none() {
                continue;
            }
            let ratio = judged(median(&ours) / median(&theirs), goal, at_most);
            self.push(format!(
                "| {}, {name} latency | {} | {} | {ratio} | | | | |",
                row.what,
                range(&ours, microseconds),
                range(&theirs, microseconds),
            ));
        }
    }

    /// Adds one figure of each server, with a goal in words.
    pub(crate) fn single(&mut self, what: &str, unit: Unit, values: [f64; 2], goal: Option<&str>) {
        let [ours, theirs] = values;
        let (ratio, goal) = (ours / theirs.max(1e-9), goal.unwrap_or(""));
        let (ours, theirs) = (unit.show(ours), unit.show(theirs));
        self.push(format!(
            "| {what} | {ours} | {theirs} | {ratio:.2} | {goal} | | | | |"
        ));
    }

    pub(crate) fn print(&self) {
        if self.lines.len() > HEAD.lines().count() {
            self.lines.iter().for_each(|line| println!("{line}"));
        }
    }

    fn push(&mut self, line: String) {
        eprintln!("{line}");
        self.lines.push(line);
    }
}

/// Prints the table of one appliance by itself.
pub(crate) fn of_start(ready: &[f64], memory: &[f64]) {
    let line =
        |what: &str, values: &str| format!("| {what} | {} |", values.replacen(" (", " | (", 1));
    println!("| The whole appliance | median | range |\n|---|---:|---:|");
    println!("{}", line("start to ready", &range(ready, milliseconds)));
    println!("{}", line("memory when idle", &range(memory, bytes)));
}

/// Prints the names of rows.
pub(crate) fn list(rows: &[(&str, &str)]) {
    for (name, what) in rows {
        println!("{name:<20} {what}");
    }
}

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    PerSecond,
    Microseconds,
    Bytes,
    Percent,
}

impl Unit {
    fn show(self, value: f64) -> String {
        match self {
            Self::PerSecond => rate(value),
            Self::Microseconds if value >= 1e4 => milliseconds(value / 1e3),
            Self::Microseconds => microseconds(value),
            Self::Bytes => bytes(value),
            Self::Percent => format!("{value:.0} %"),
        }
    }

    /// How many times better `ours` is.
    fn ratio(self, ours: f64, theirs: f64) -> f64 {
        match self {
            Self::PerSecond | Self::Percent => ours / theirs,
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

pub(crate) fn median(values: &[f64]) -> f64 {
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

fn bytes(bytes: f64) -> String {
    const KIB: f64 = 1024.0;
    if bytes >= KIB * KIB {
        format!("{:.1} MiB", bytes / (KIB * KIB))
    } else {
        format!("{:.1} KiB", bytes / KIB)
    }
}
