//! Pull requests: the body of `$JS.API.CONSUMER.MSG.NEXT.<stream>.<consumer>` (ADR-13, ADR-42).

use serde::Deserialize;

use super::rules::Nanos;

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PullRequest {
    /// Messages, at least 1.
    pub(crate) batch: u64,
    /// Bytes of all messages together, as counted by [`super::machine`]; 0: any number.
    pub(crate) bytes_max: u64,
    /// How long to wait; `None`: until the client goes.
    pub(crate) expires: Option<Nanos>,
    /// Do not wait for more than is there.
    pub(crate) no_wait: bool,
    /// Silence after which a heartbeat is sent.
    pub(crate) heartbeat: Option<Nanos>,
    /// Priority group.
    pub(crate) group: String,
    /// Pin that the client holds.
    pub(crate) pin_id: String,
    /// Overflow: serve only with so many messages to come.
    pub(crate) pending_min: u64,
    /// Overflow: serve only with so many messages unacknowledged.
    pub(crate) ack_pending_min: u64,
    /// Prioritized: 0 is served first.
    pub(crate) priority: u8,
}

impl Default for PullRequest {
    fn default() -> Self {
        Self {
            batch: 1,
            bytes_max: 0,
            expires: None,
            no_wait: false,
            heartbeat: None,
            group: String::new(),
            pin_id: String::new(),
            pending_min: 0,
            ack_pending_min: 0,
            priority: 0,
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Wire {
    batch: Option<i64>,
    max_bytes: Option<i64>,
    expires: Option<i64>,
    no_wait: Option<bool>,
    idle_heartbeat: Option<i64>,
    group: Option<String>,
    id: Option<String>,
    min_pending: Option<i64>,
    min_ack_pending: Option<i64>,
    priority: Option<i64>,
}

fn positive(value: Option<i64>) -> u64 {
    value
        .and_then(|value| u64::try_from(value).ok())
        .unwrap_or(0)
}

impl PullRequest {
    /// Reads a body: nothing is one message, a number is so many, an object says it all; other text is one message too.
    ///
    /// # Errors
    /// The text of the status that refuses the request, without its code (400).
    pub(crate) fn parse(body: &[u8]) -> Result<Self, String> {
        let body = body.trim_ascii();
        if body.first() != Some(&b'{') {
            let number = std::str::from_utf8(body)
                .ok()
                .and_then(|text| text.parse().ok());
            return Ok(Self {
                batch: positive(number).max(1),
                ..Self::default()
            });
        }
        let wire: Wire = serde_json::from_slice(body).map_err(|error| match error.is_eof() {
            true => "Bad Request - unexpected end of JSON input".to_owned(),
            false => format!("Bad Request - {error}"),
        })?;
        let (expires, heartbeat) = (positive(wire.expires), positive(wire.idle_heartbeat));
        // A time that is over is not the same as none.
        let is_late = wire.expires.is_some_and(|expires| expires < 0);
        if heartbeat > 0 && heartbeat.saturating_mul(2) > expires {
            return Err("Bad Request - heartbeat value too large".to_owned());
        }
        let priority = wire.priority.unwrap_or(0);
        let Some(priority) = u8::try_from(priority)
            .ok()
            .filter(|priority| *priority <= 9)
        else {
            return Err("Bad Request - Priority must be between 0 and 9".to_owned());
        };
        Ok(Self {
            batch: positive(wire.batch).max(1),
            bytes_max: positive(wire.max_bytes),
            expires: (expires > 0 || is_late).then_some(expires),
            no_wait: wire.no_wait.unwrap_or(false),
            heartbeat: (heartbeat > 0).then_some(heartbeat),
            group: wire.group.unwrap_or_default(),
            pin_id: wire.id.unwrap_or_default(),
            pending_min: positive(wire.min_pending),
            ack_pending_min: positive(wire.min_ack_pending),
            priority,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_batch(body: &str, batch: u64) {
        let request = PullRequest::parse(body.as_bytes()).expect("a request");
        assert_eq!(
            request,
            PullRequest {
                batch,
                ..PullRequest::default()
            },
            "{body:?}"
        );
    }

    #[test]
    fn short_forms_are_a_number_of_messages() {
        check_batch("", 1);
        check_batch("7", 7);
        check_batch(" 7 ", 7);
        check_batch("0", 1);
        check_batch("-3", 1);
        check_batch("many", 1);
        check_batch("{}", 1);
        check_batch(r#"{"batch":null}"#, 1);
        check_batch(r#"{"batch":-1}"#, 1);
        check_batch(r#"{"batch":3,"unheard_of":true}"#, 3);
    }

    #[track_caller]
    fn check_refused(body: &str, reason: &str) {
        let error = PullRequest::parse(body.as_bytes()).expect_err("refused");
        assert!(error.starts_with(reason), "{error}");
    }

    #[test]
    fn item_92_a_heartbeat_larger_than_half_of_expires_is_refused() {
        let refused = "Bad Request - heartbeat value too large";
        check_refused(r#"{"expires":100,"idle_heartbeat":51}"#, refused);
        check_refused(r#"{"idle_heartbeat":1}"#, refused);
        assert!(PullRequest::parse(br#"{"expires":100,"idle_heartbeat":50}"#).is_ok());
    }

    #[test]
    fn malformed_objects_are_refused() {
        check_refused(r#"{"batch":2,"#, "Bad Request - ");
        check_refused(r#"{"batch":"x"}"#, "Bad Request - ");
        check_refused(r#"{"priority":10}"#, "Bad Request - ");
    }
}
