//! `/healthz`: whether the server does its work, or one stream or consumer is there.

use serde::Serialize;

use crate::jetstream::config::is_default;
use crate::server::Shared;

/// What may be asked of `/healthz`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HealthzOptions {
    /// Only whether JetStream is enabled.
    pub js_enabled_only: bool,
    /// The server, without its streams.
    pub js_server_only: bool,
    /// An account that must have JetStream.
    pub account: String,
    /// A stream that must be there.
    pub stream: String,
    /// A consumer that must be there.
    pub consumer: String,
    /// Lists what is wrong one by one.
    pub details: bool,
}

/// The answer of `/healthz`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Healthz {
    status: &'static str,
    #[serde(skip_serializing_if = "is_default")]
    status_code: u16,
    #[serde(skip_serializing_if = "String::is_empty")]
    error: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Fault>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Fault {
    r#type: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    account: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    stream: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    consumer: String,
    error: String,
}

const BAD_REQUEST: u16 = 400;
const NOT_FOUND: u16 = 404;
const UNAVAILABLE: u16 = 503;

impl Healthz {
    /// Everything is as it should be.
    fn ok() -> Self {
        Self {
            status: "ok",
            status_code: 200,
            error: String::new(),
            errors: Vec::new(),
        }
    }

    /// The HTTP status of the answer.
    #[must_use]
    pub fn status_code(&self) -> u16 {
        self.status_code
    }

    /// Without the status code, which HTTP carries itself.
    #[must_use]
    pub fn for_http(mut self) -> Self {
        self.status_code = 0;
        self
    }

    /// Only the status, for those who are not to learn more.
    #[must_use]
    pub fn for_strangers(mut self) -> Self {
        self.error.clear();
        self.errors.clear();
        self.for_http()
    }

    pub(crate) fn of(server: &Shared, options: &HealthzOptions) -> Self {
        let wrong = |status_code, kind, error: String| {
            let status = match status_code {
                BAD_REQUEST => "error",
                _ => "unavailable",
            };
            if !options.details {
                return Self {
                    status,
                    status_code,
                    error,
                    errors: Vec::new(),
                };
            }
            let mut fault = Fault {
                r#type: kind,
                account: String::new(),
                stream: String::new(),
                consumer: String::new(),
                error,
            };
            if status_code != BAD_REQUEST {
                fault.account.clone_from(&options.account);
                fault.stream.clone_from(&options.stream);
                fault.consumer.clone_from(&options.consumer);
            }
            Self {
                status: "error",
                status_code,
                error: String::new(),
                errors: vec![fault],
            }
        };
        let HealthzOptions {
            account,
            stream,
            consumer,
            ..
        } = options;
        if account.is_empty() && !stream.is_empty() {
            let text = "\"account\" must not be empty when checking stream health";
            return wrong(BAD_REQUEST, "BAD_REQUEST", text.to_owned());
        }
        if stream.is_empty() && !consumer.is_empty() {
            let text = "\"stream\" must not be empty when checking consumer health";
            return wrong(BAD_REQUEST, "BAD_REQUEST", text.to_owned());
        }
        if server.stop.is_cancelled() {
            return wrong(UNAVAILABLE, "CONN", "server is shutting down".to_owned());
        }
        if options.js_enabled_only && !server.streams.has_root() {
            let text = "JetStream is not enabled".to_owned();
            return wrong(UNAVAILABLE, "JETSTREAM", text);
        }
        if options.js_enabled_only || options.js_server_only || account.is_empty() {
            return Self::ok();
        }
        let Some(streams) = server.streams.find(account) else {
            let text = format!("JetStream account {account:?} not found");
            return wrong(NOT_FOUND, "ACCOUNT", text);
        };
        if stream.is_empty() {
            return Self::ok();
        }
        let Some(handle) = streams.find(stream) else {
            let text = format!("JetStream stream {stream:?} not found on account {account:?}");
            return wrong(NOT_FOUND, "STREAM", text);
        };
        if consumer.is_empty() || handle.consumers().find(consumer).is_some() {
            return Self::ok();
        }
        let text = format!(
            "JetStream consumer {consumer:?} not found for stream {stream:?} on account {account:?}"
        );
        wrong(NOT_FOUND, "CONSUMER", text)
    }
}
