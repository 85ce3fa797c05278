//! `mappings`: where a published message goes instead.

use super::report::{Pair, Report, each};
use super::shares::percent;
use crate::accounts::{MappedDestination, Mapping};
use crate::config_file::value::{Node, Value};
use crate::subject::SubjectFilter;

/// `{ source: destination, … }`; the sources are subjects, so their case counts.
pub(super) fn mappings(pair: Pair<'_>, report: &mut Report) -> Vec<Mapping> {
    let Some(map) = pair.map(report) else {
        return Vec::new();
    };
    let mut mappings = Vec::with_capacity(map.len());
    for (source, node) in map.iter() {
        if SubjectFilter::parse(source).is_err() {
            let reason = format!("Subject {source:?} is not a valid subject");
            report.error(pair.position(), reason);
            continue;
        }
        let destinations = destinations(node, report);
        let total: u32 = destinations
            .iter()
            .filter(|destination| destination.cluster.is_none())
            .map(|destination| u32::from(destination.weight_percent))
            .sum();
        if total > 100 {
            let reason =
                format!("Error adding mapping for {source:?} : total weight needs to be <= 100");
            report.error(&node.position, reason);
        }
        mappings.push(Mapping {
            source: source.to_owned(),
            destinations,
        });
    }
    mappings
}

fn destinations(node: &Node, report: &mut Report) -> Vec<MappedDestination> {
    match &node.value {
        Value::String(subject) => vec![MappedDestination::new(subject.clone())],
        Value::Array(items) => items
            .iter()
            .filter_map(|item| destination(item, report))
            .collect(),
        Value::Map(_) => destination(node, report).into_iter().collect(),
        _ => {
            report.error(
                &node.position,
                "Expected an entry for the mapping destination",
            );
            Vec::new()
        }
    }
}

fn destination(item: &Node, report: &mut Report) -> Option<MappedDestination> {
    let Value::Map(map) = &item.value else {
        report.error(
            &item.position,
            "Expected an entry for the mapping destination",
        );
        return None;
    };
    let (mut subject, mut weight, mut cluster) = (String::new(), None, None);
    let mut has_weight = false;
    each(map, report, |name, pair, report| {
        match name {
            "destination" | "dest" => subject = pair.text(report).unwrap_or_default(),
            "weight" => {
                has_weight = true;
                weight = match &pair.node.value {
                    Value::Integer(0) => Some(0),
                    _ => percent(pair.node),
                };
                if weight.is_none() {
                    pair.error(
                        report,
                        "Invalid weight for mapping destination: it is a percentage",
                    );
                }
            }
            "cluster" => cluster = pair.text(report),
            _ => return false,
        }
        true
    });
    if !has_weight {
        let reason = format!("Missing weight for mapping destination {subject:?}");
        report.error(&item.position, reason);
    }
    Some(MappedDestination {
        subject,
        weight_percent: weight?,
        cluster,
    })
}
