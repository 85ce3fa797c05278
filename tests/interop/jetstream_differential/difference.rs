//! Where two JSON values differ.

use serde_json::Value;

/// One line per place that differs.
pub(crate) fn between(path: &str, theirs: &Value, ours: &Value, found: &mut Vec<String>) {
    match (theirs, ours) {
        (Value::Object(one), Value::Object(other)) => {
            let absent = Value::from("<absent>");
            let names = one
                .keys()
                .chain(other.keys().filter(|name| !one.contains_key(*name)));
            for name in names {
                between(
                    &format!("{path}.{name}"),
                    one.get(name).unwrap_or(&absent),
                    other.get(name).unwrap_or(&absent),
                    found,
                );
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (index, (one, other)) in one.iter().zip(other).enumerate() {
                between(&format!("{path}[{index}]"), one, other, found);
            }
        }
        _ if theirs == ours => {}
        _ => found.push(format!("{path}: nats-server {theirs}, natterjack {ours}")),
    }
}
