//! The JSON of INFO and CONNECT on a link.

use serde::{Deserialize, Serialize};

use crate::auth::SubjectPermissions;

/// What either side says about itself.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct LeafInfo {
    pub(crate) server_id: String,
    pub(crate) server_name: String,
    pub(crate) version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) natterjack: String,
    pub(crate) proto: u8,
    pub(crate) go: String,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) headers: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) auth_required: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) tls_required: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) tls_verify: bool,
    pub(crate) max_payload: usize,
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) jetstream: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) ip: String,
    pub(crate) client_id: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) nonce: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cluster: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) domain: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) compression: Option<String>,
    pub(crate) api_lvl: u32,
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) ldm: bool,
    pub(crate) info_on_connect: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) connect_info: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) remote_account: Option<String>,
    /// A nats-server takes a port for one of leaf nodes by the presence of this list.
    pub(crate) leafnode_urls: Option<Vec<String>>,
    /// What the leaf may receive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) import: Option<LeafPermission>,
    /// What the leaf may publish.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) export: Option<LeafPermission>,
}

/// Allow and deny lists on the wire.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct LeafPermission {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) allow: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) deny: Option<Vec<String>>,
}

impl LeafPermission {
    /// The lists as the other side is told; nothing where everything is allowed.
    pub(crate) fn of(lists: &SubjectPermissions) -> Option<Self> {
        let deny = (!lists.deny.is_empty()).then(|| lists.deny.clone());
        let is_open = lists.allow.is_none() && deny.is_none();
        (!is_open).then(|| Self {
            allow: lists.allow.clone(),
            deny,
        })
    }

    /// The lists as they are held here.
    pub(crate) fn to_lists(&self) -> SubjectPermissions {
        SubjectPermissions {
            allow: self.allow.clone(),
            deny: self.deny.clone().unwrap_or_default(),
        }
    }
}

/// What the side that dials says about itself. `Debug` is not derived: it holds secrets.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct LeafConnect {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pass: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) auth_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) nkey: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) jwt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sig: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) server_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cluster: Option<String>,
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) is_hub: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) isolate: bool,
    pub(crate) headers: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) jetstream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) domain: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) deny_pub: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) compress_mode: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) remote_account: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) protocol: Option<i64>,
    /// Only clients send it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lang: Option<String>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for a reference"
)]
fn is_false(value: &bool) -> bool {
    !*value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_nats_server_says_is_understood() {
        let json = r#"{"version":"2.15.1","user":"u","pass":"p","server_id":"N1","name":"LEAF1","cluster":"LEAF1","headers":true,"compress_mode":"not supported","remote_account":"$G","protocol":3}"#;
        let connect: LeafConnect = serde_json::from_str(json).expect("CONNECT");
        assert_eq!(connect.name.as_deref(), Some("LEAF1"));
        assert!(connect.headers && connect.lang.is_none() && !connect.is_hub);
        let json = r#"{"server_id":"N","client_id":7,"leafnode_urls":["h:1"],"import":{"allow":["s.>"]},"export":{"deny":["p"]},"compression":"s2_auto","ws_connect_urls":null}"#;
        let info: LeafInfo = serde_json::from_str(json).expect("INFO");
        let lists = info.import.expect("import").to_lists();
        assert_eq!(lists.allow, Some(vec!["s.>".to_owned()]));
    }

    #[test]
    fn open_permissions_are_not_sent() {
        assert_eq!(LeafPermission::of(&SubjectPermissions::default()), None);
        let json = serde_json::to_string(&LeafInfo::default()).expect("plain data");
        assert!(!json.contains("export") && json.contains("\"leafnode_urls\":null"));
    }
}
