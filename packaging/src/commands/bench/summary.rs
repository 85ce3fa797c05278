//! What was measured, as a table for people.

use load::{Histogram, Outcome, Role};

use super::units;

const HEAD: [&str; 6] = ["", "messages", "per second", "data", "time", "per client"];

/// The table, and the latencies under it.
pub(super) fn of(outcome: &Outcome) -> String {
    let roles = [
        Role::Publisher,
        Role::Subscriber,
        Role::Requester,
        Role::Consumer,
    ];
    let rows = roles.into_iter().filter_map(|role| row(outcome, role));
    let rows: Vec<[String; 6]> = std::iter::once(HEAD.map(str::to_owned))
        .chain(rows)
        .collect();
    let mut text = String::from("\n");
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: [usize; 6] = std::array::from_fn(|column| width(column).unwrap_or(0));
    for row in &rows {
        let mut line = format!("{:<1$}", row[0], widths[0]);
        for (cell, width) in row.iter().zip(widths).skip(1) {
            line.push_str(&format!("  {cell:>width$}"));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    if !outcome.latencies.is_empty() {
        text.push('\n');
        text.push_str(&latencies(&outcome.latencies));
        text.push('\n');
    }
    if outcome.lost > 0 {
        let lost = units::count(outcome.lost);
        text.push_str(&format!("\n{lost} messages did not arrive.\n"));
    }
    text.trim_end().to_owned()
}

/// Whether a role took part, and its line.
fn row(outcome: &Outcome, role: Role) -> Option<[String; 6]> {
    let clients = outcome.of(role).count();
    if clients == 0 {
        return None;
    }
    let rate = outcome.rate(role);
    let name = match role {
        Role::Publisher => "publisher",
        Role::Subscriber => "subscriber",
        Role::Requester => "client",
        Role::Consumer => "consumer",
    };
    Some([
        units::some(clients, name),
        units::count(outcome.messages(role)),
        units::rate(rate),
        units::bytes_rate(rate * outcome.payload_bytes as f64),
        units::duration(outcome.took(role)),
        per_client(outcome, role),
    ])
}

/// The slowest and the fastest client, where there is more than one.
fn per_client(outcome: &Outcome, role: Role) -> String {
    let (slowest, fastest) = client_rates(outcome, role);
    if outcome.of(role).count() < 2 {
        return String::new();
    }
    format!("{} to {}", units::rate(slowest), units::rate(fastest))
}

/// Messages per second of the slowest and the fastest client of a role.
pub(super) fn client_rates(outcome: &Outcome, role: Role) -> (f64, f64) {
    let rates = outcome.of(role).map(|client| {
        let took = client.end.saturating_duration_since(outcome.start);
        client.messages as f64 / took.as_secs_f64().max(1e-9)
    });
    rates.fold((f64::INFINITY, 0.0), |(slowest, fastest), rate| {
        (slowest.min(rate), fastest.max(rate))
    })
}

fn latencies(latencies: &Histogram) -> String {
    let figures = [
        ("min", latencies.smallest()),
        ("median", latencies.percentile(50.0)),
        ("p90", latencies.percentile(90.0)),
        ("p99", latencies.percentile(99.0)),
        ("p99.9", latencies.percentile(99.9)),
        ("max", latencies.largest()),
    ];
    let figures: Vec<String> = figures
        .into_iter()
        .map(|(name, took)| format!("{name} {}", units::duration(took)))
        .collect();
    let samples = units::count(latencies.len());
    format!("latency  {}  ({samples} measured)", figures.join("  "))
}
