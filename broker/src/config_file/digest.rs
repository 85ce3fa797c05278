//! The digest of a configuration, the same that nats-server prints and shows in `/varz`.
//!
//! It is SHA-256 over the tree as JSON, keys by name.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};
use time::format_description::well_known::Rfc3339;

use super::value::{Map, Value};

/// `sha256:` and 64 hexadecimal digits.
pub(super) fn digest(map: &Map) -> String {
    let mut json = String::new();
    write_map(map, &mut json);
    json.push('\n');
    let mut text = String::from("sha256:");
    for byte in Sha256::digest(json.as_bytes()) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn write_map(map: &Map, json: &mut String) {
    json.push('{');
    for (index, (key, node)) in map.iter().enumerate() {
        if index > 0 {
            json.push(',');
        }
        write_string(key, json);
        json.push(':');
        write_value(&node.value, json);
    }
    json.push('}');
}

fn write_value(value: &Value, json: &mut String) {
    match value {
        Value::Bool(truth) => json.push_str(if *truth { "true" } else { "false" }),
        Value::Integer(number) => json.push_str(itoa::Buffer::new().format(*number)),
        Value::Float(number) => json.push_str(&number.to_string()),
        Value::Date(date) => write_string(&date.format(&Rfc3339).unwrap_or_default(), json),
        Value::String(text) => write_string(text, json),
        Value::Map(map) => write_map(map, json),
        Value::Array(items) => {
            json.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    json.push(',');
                }
                write_value(&item.value, json);
            }
            json.push(']');
        }
    }
}

/// JSON that may also stand in HTML.
fn write_string(text: &str, json: &mut String) {
    json.push('"');
    for c in text.chars() {
        match c {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            '\u{8}' => json.push_str("\\b"),
            '\u{c}' => json.push_str("\\f"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                let _ = write!(json, "\\u{:04x}", u32::from(c));
            }
            other => json.push(other),
        }
    }
    json.push('"');
}
