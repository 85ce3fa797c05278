//! What was measured, as JSON for programs. Fields are added to it, never changed.

use load::{Outcome, Role};
use serde_json::{Value, json};

use super::plan::Plan;
use super::summary::client_rates;

/// One object.
pub(super) fn of(plan: &Plan, outcome: &Outcome) -> String {
    let mut object = json!({
        "work": plan.name(),
        "server": plan.server(),
        "payloadBytes": outcome.payload_bytes,
    });
    for (role, name) in [
        (Role::Publisher, "publishers"),
        (Role::Subscriber, "subscribers"),
        (Role::Requester, "clients"),
        (Role::Consumer, "consumers"),
    ] {
        if outcome.of(role).next().is_some() {
            object[name] = side(outcome, role);
        }
    }
    let latencies = &outcome.latencies;
    if !latencies.is_empty() {
        let micros = |percent| latencies.percentile(percent).as_secs_f64() * 1e6;
        object["latencyMicroseconds"] = json!({
            "samples": latencies.len(),
            "min": latencies.smallest().as_secs_f64() * 1e6,
            "mean": latencies.mean().as_secs_f64() * 1e6,
            "p50": micros(50.0),
            "p90": micros(90.0),
            "p99": micros(99.0),
            "p999": micros(99.9),
            "max": latencies.largest().as_secs_f64() * 1e6,
        });
    }
    object["lost"] = outcome.lost.into();
    serde_json::to_string_pretty(&object).expect("figures are plain data")
}

fn side(outcome: &Outcome, role: Role) -> Value {
    let rate = outcome.rate(role);
    let (slowest, fastest) = client_rates(outcome, role);
    json!({
        "clients": outcome.of(role).count(),
        "messages": outcome.messages(role),
        "seconds": outcome.took(role).as_secs_f64(),
        "messagesPerSecond": rate,
        "bytesPerSecond": rate * outcome.payload_bytes as f64,
        "slowestClientPerSecond": slowest,
        "fastestClientPerSecond": fastest,
    })
}
