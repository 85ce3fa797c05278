//! Two JSON documents side by side: the same members of the same types, and the same values where values must agree.

use serde_json::Value;

/// Members that one of the two does not have, and why.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Known {
    /// Only nats-server has them.
    pub(crate) theirs: &'static [&'static str],
    /// Only natterjack has them.
    pub(crate) ours: &'static [&'static str],
    /// Whose values must agree, by name.
    pub(crate) agree: &'static [&'static str],
}

/// Everything that differs, one line each.
pub(crate) fn differences(ours: &Value, theirs: &Value, known: &Known) -> Vec<String> {
    let mut found = Vec::new();
    compare(ours, theirs, known, "", "", &mut found);
    found
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Lists whose order means nothing, in one that does.
fn sorted(list: &[Value]) -> Vec<&Value> {
    let mut list: Vec<_> = list.iter().collect();
    if list
        .iter()
        .all(|one| one.is_string() || one.get("sid").is_some() || one.get("acc").is_some())
    {
        let key = |one: &Value| {
            let name = one.get("acc").or_else(|| one.get("subject"));
            name.unwrap_or(one).as_str().map(str::to_owned)
        };
        list.sort_by_key(|one| key(one));
    }
    list
}

fn compare(
    ours: &Value,
    theirs: &Value,
    known: &Known,
    at: &str,
    name: &str,
    found: &mut Vec<String>,
) {
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            for (name, theirs) in theirs {
                let at = format!("{at}/{name}");
                match ours.get(name) {
                    Some(ours) => compare(ours, theirs, known, &at, name, found),
                    None if known.theirs.contains(&name.as_str()) => {}
                    None => found.push(format!("{at} is missing: {theirs}")),
                }
            }
            for (name, ours) in ours {
                if !theirs.contains_key(name) && !known.ours.contains(&name.as_str()) {
                    found.push(format!("{at}/{name} is not nats-server's: {ours}"));
                }
            }
        }
        (Value::Array(ours), Value::Array(theirs)) => {
            let (ours, theirs) = (sorted(ours), sorted(theirs));
            if known.agree.contains(&name) && ours.len() != theirs.len() {
                found.push(format!("{at} has {} and not {}", ours.len(), theirs.len()));
            }
            // What accounts import from the system account is each server's own affair.
            let shape = Known {
                agree: &[],
                ..*known
            };
            let known = if name == "imports" { &shape } else { known };
            for (index, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
                compare(ours, theirs, known, &format!("{at}/{index}"), name, found);
            }
        }
        _ if kind(ours) != kind(theirs) => found.push(format!(
            "{at} is {} and not {}: {ours}, {theirs}",
            kind(ours),
            kind(theirs)
        )),
        _ if !known.agree.contains(&name) => {}
        (Value::Number(one), Value::Number(other)) if one.as_f64() == other.as_f64() => {}
        _ if ours == theirs => {}
        _ => found.push(format!("{at} is {ours} and not {theirs}")),
    }
}
