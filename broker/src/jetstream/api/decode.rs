//! Bodies of requests: JSON that is read as strictly as nats-server reads it.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::jetstream::error_code::{self as code, ApiError};

/// Largest body of an API request, in bytes. The largest sensible ones hold a stream's metadata.
pub(crate) const REQUEST_BYTES_MAX: usize = 1 << 20;

/// Reads the body of a request that must have one.
///
/// # Errors
/// It is no JSON of this type, or in `strict` mode has a member that the type does not know.
pub(crate) fn decode<T: DeserializeOwned>(body: &[u8], strict: bool) -> Result<T, ApiError> {
    from_value(parse(body)?, strict)
}

/// Reads the body of a request that may do without: what does not look like an object or a list counts as none, as in
/// nats-server.
///
/// # Errors
/// As [`decode`].
pub(crate) fn decode_json<T: DeserializeOwned + Default>(
    body: &[u8],
    strict: bool,
) -> Result<T, ApiError> {
    match body.trim_ascii_start().first() {
        Some(b'{' | b'[') => decode(body, strict),
        _ => Ok(T::default()),
    }
}

/// Whether a request says nothing: no body, or JSON without any content, which some clients send.
pub(crate) fn is_empty_request(body: &[u8]) -> bool {
    match body.trim_ascii() {
        b"" => true,
        body => match serde_json::from_slice(body) {
            Ok(Value::Null) => true,
            Ok(Value::Object(members)) => members.is_empty(),
            Ok(Value::Array(items)) => items.is_empty(),
            _ => false,
        },
    }
}

/// Reads JSON without its nulls: to Go a null member is one that is not there.
///
/// # Errors
/// It is no JSON, or too large.
pub(crate) fn parse(body: &[u8]) -> Result<Value, ApiError> {
    if body.len() > REQUEST_BYTES_MAX {
        return Err(code::BAD_REQUEST.into());
    }
    if body.trim_ascii().is_empty() {
        return Err(code::INVALID_JSON.with("unexpected end of JSON input"));
    }
    let mut value = serde_json::from_slice(body).map_err(invalid)?;
    drop_nulls(&mut value);
    Ok(value)
}

/// Reads a part of a request.
///
/// # Errors
/// As [`decode`].
pub(crate) fn from_value<T: DeserializeOwned>(value: Value, strict: bool) -> Result<T, ApiError> {
    // Null is an object without members; a list would be taken for the members in their order.
    let value = match value {
        Value::Null => Value::Object(serde_json::Map::new()),
        value => value,
    };
    if !value.is_object() {
        return Err(code::INVALID_JSON.with("json: a request is an object"));
    }
    let mut unknown = None;
    let decoded = serde_ignored::deserialize(value, |path| {
        if let serde_ignored::Path::Map { key, .. } = path {
            unknown.get_or_insert(key);
        }
    });
    let decoded = decoded.map_err(invalid)?;
    match unknown {
        Some(key) if strict => {
            Err(code::INVALID_JSON.with(format_args!("json: unknown field {key:?}")))
        }
        _ => Ok(decoded),
    }
}

fn invalid(error: serde_json::Error) -> ApiError {
    let text = error.to_string();
    // nats-server's words for a value that is none of an enumeration's.
    let unknown = text
        .strip_prefix("unknown variant `")
        .and_then(|rest| rest.split_once('`'));
    match unknown {
        Some((_, rest)) if rest.contains("`s2`") => {
            code::INVALID_JSON.with("unknown compression algorithm")
        }
        Some((value, _)) => {
            let quoted = format!("{value:?}");
            code::INVALID_JSON.with(format_args!("can not unmarshal {quoted:?}"))
        }
        None => code::INVALID_JSON.with(text),
    }
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, member| !member.is_null());
            members.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jetstream::config::StreamConfig;

    fn refused(body: &str) -> String {
        let error = decode::<StreamConfig>(body.as_bytes(), true).expect_err("refused");
        assert_eq!(error.err_code, 10025);
        error.description.into_owned()
    }

    #[test]
    fn a_request_without_content_is_empty() {
        for body in ["", " ", "null", "{}", "[]", " { } "] {
            assert!(is_empty_request(body.as_bytes()), "{body:?}");
        }
        for body in ["{\"a\":1}", "[1]", "garbage", "0", "\"\""] {
            assert!(!is_empty_request(body.as_bytes()), "{body:?}");
        }
    }

    #[test]
    fn item_72_an_unknown_member_is_named() {
        assert_eq!(
            refused(r#"{"name":"S","bogus":1}"#),
            r#"invalid JSON: json: unknown field "bogus""#
        );
        assert_eq!(
            refused(r#"{"name":"S","consumer_limits":{"x":{}}}"#),
            r#"invalid JSON: json: unknown field "x""#
        );
        let lenient = decode::<StreamConfig>(br#"{"name":"S","bogus":1}"#, false);
        assert_eq!(lenient.expect("accepted").name, "S");
    }

    #[test]
    fn a_body_that_is_no_object_counts_as_none() {
        let config: StreamConfig = decode_json(b"garbage", true).expect("ignored");
        assert_eq!(config, StreamConfig::default());
        assert!(decode_json::<StreamConfig>(b" {garbage", true).is_err());
    }

    #[test]
    fn a_value_that_is_none_of_an_enumeration_is_named() {
        assert_eq!(
            refused(r#"{"name":"S","storage":"tape"}"#),
            r#"invalid JSON: can not unmarshal "\"tape\"""#
        );
        assert_eq!(
            refused(r#"{"name":"S","compression":"zip"}"#),
            "invalid JSON: unknown compression algorithm"
        );
    }

    #[test]
    fn null_is_absent() {
        let body = br#"{"name":"S","subjects":null,"placement":null,"max_age":null}"#;
        let config: StreamConfig = decode(body, true).expect("accepted");
        assert_eq!(config, StreamConfig::with_name("S"));
    }

    #[test]
    fn what_is_no_json_is_refused() {
        assert_eq!(refused(""), "invalid JSON: unexpected end of JSON input");
        assert!(refused("[]").starts_with("invalid JSON: "));
        assert!(refused("hello").starts_with("invalid JSON: "));
        assert!(refused(r#"{"name":7}"#).starts_with("invalid JSON: "));
        let large = vec![b' '; REQUEST_BYTES_MAX + 1];
        let error = decode::<StreamConfig>(&large, true).expect_err("too large");
        assert_eq!(error.err_code, 10003);
    }
}
