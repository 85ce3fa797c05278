//! The JSON of INFO and CONNECT.

use serde::{Deserialize, Serialize};

/// The nats-server version whose behaviour is implemented: clients decide by it what they may use.
pub const COMPATIBLE_VERSION: &str = "2.14.0";
/// The level of the JetStream API that is implemented: that of 2.15.
pub(crate) const API_LEVEL: u32 = 5;

/// What the server says about itself.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Info<'a> {
    pub(crate) server_id: &'a str,
    pub(crate) server_name: &'a str,
    pub(crate) version: &'static str,
    pub(crate) natterjack: &'static str,
    pub(crate) proto: u8,
    pub(crate) go: &'static str,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) headers: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) auth_required: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) tls_required: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) tls_verify: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) tls_available: bool,
    pub(crate) max_payload: usize,
    pub(crate) client_id: u64,
    /// Empty while it is not known yet: a trusted proxy has still to say it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) client_ip: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) nonce: Option<String>,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(crate) xkey: &'a str,
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) ldm: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) jetstream: bool,
    pub(crate) api_lvl: u32,
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) connect_info: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) remote_account: Option<&'a str>,
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) acc_is_sys: bool,
}

impl<'a> Info<'a> {
    /// What every connection is told; the rest is filled in by the caller.
    pub(crate) fn new(server_id: &'a str, server_name: &'a str) -> Self {
        Self {
            server_id,
            server_name,
            version: COMPATIBLE_VERSION,
            natterjack: env!("CARGO_PKG_VERSION"),
            proto: 1,
            go: "none",
            host: String::new(),
            port: 0,
            headers: true,
            auth_required: false,
            tls_required: false,
            tls_verify: false,
            tls_available: false,
            max_payload: 0,
            client_id: 0,
            client_ip: String::new(),
            nonce: None,
            xkey: "",
            ldm: false,
            jetstream: false,
            api_lvl: API_LEVEL,
            connect_info: false,
            remote_account: None,
            acc_is_sys: false,
        }
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for a reference"
)]
fn is_false(value: &bool) -> bool {
    !*value
}

/// What the client says about itself. Absent `verbose`, `pedantic` and `echo` mean true.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct ConnectOptions {
    pub(crate) verbose: Option<bool>,
    pub(crate) pedantic: Option<bool>,
    pub(crate) echo: Option<bool>,
    pub(crate) headers: Option<bool>,
    pub(crate) no_responders: Option<bool>,
    pub(crate) protocol: Option<i64>,
    pub(crate) user: Option<String>,
    pub(crate) pass: Option<String>,
    pub(crate) auth_token: Option<String>,
    pub(crate) nkey: Option<String>,
    pub(crate) sig: Option<String>,
    pub(crate) jwt: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) lang: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) account: Option<String>,
    pub(crate) new_account: Option<bool>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_that_are_off_are_not_sent() {
        let json = serde_json::to_string(&Info::new("NA", "n")).expect("plain data");
        for absent in ["auth_required", "ldm", "connect_info", "nonce", "jetstream"] {
            assert!(!json.contains(absent), "{json}");
        }
        assert!(json.contains(r#""version":"2.14.0""#));
    }

    #[test]
    fn unknown_and_null_fields_are_ignored() {
        let options: ConnectOptions =
            serde_json::from_str(r#"{"verbose":false,"user":null,"tls_required":false,"x":{}}"#)
                .expect("valid");
        assert_eq!((options.verbose, options.user), (Some(false), None));
    }
}
