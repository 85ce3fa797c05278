//! Claims of type `operator` and `activation`.

use serde::{Deserialize, Serialize};

use super::{NatsClaims, is_default, nullable};
use crate::jwt::claims::ExportKind;
use crate::jwt::envelope::{ACCOUNTS, OPERATORS, VERSION};
use crate::jwt::nkey::{KeyKind, PublicKey};

/// Who may sign accounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorClaims {
    /// Keys that sign for the operator, beside its own.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "is_default"
    )]
    pub signing_keys: Vec<PublicKey>,
    /// Where accounts can be fetched.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "is_default"
    )]
    pub account_server_url: String,
    /// Where servers of the operator are.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "is_default"
    )]
    pub operator_service_urls: Vec<String>,
    /// The account of the servers themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_account: Option<PublicKey>,
    /// The oldest server that may be used.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "is_default"
    )]
    pub assert_server_version: String,
    /// The operator's own key signs nothing but itself, and accounts' own keys sign no users.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "is_default"
    )]
    pub strict_signing_key_usage: bool,
    /// Tags.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "is_default"
    )]
    pub tags: Vec<String>,
    r#type: String,
    version: i64,
}

impl NatsClaims for OperatorClaims {
    const TYPE: &'static str = "operator";
    const ISSUERS: &'static [KeyKind] = OPERATORS;
}

impl Default for OperatorClaims {
    fn default() -> Self {
        Self {
            signing_keys: Vec::new(),
            account_server_url: String::new(),
            operator_service_urls: Vec::new(),
            system_account: None,
            assert_server_version: String::new(),
            strict_signing_key_usage: false,
            tags: Vec::new(),
            r#type: Self::TYPE.to_owned(),
            version: VERSION,
        }
    }
}

/// The exporter's word that an account may import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActivationClaims {
    /// What may be imported.
    #[serde(default, deserialize_with = "nullable")]
    pub subject: String,
    /// Stream or service.
    #[serde(default, deserialize_with = "nullable")]
    pub kind: ExportKind,
    /// The exporting account, when a signing key of it signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer_account: Option<PublicKey>,
    r#type: String,
    version: i64,
}

impl NatsClaims for ActivationClaims {
    const TYPE: &'static str = "activation";
    const ISSUERS: &'static [KeyKind] = ACCOUNTS;
}

impl ActivationClaims {
    /// Lets the subject of the claims import `subject`.
    #[must_use]
    pub fn new(kind: ExportKind, subject: impl Into<String>) -> Self {
        Self {
            subject: subject.into(),
            kind,
            issuer_account: None,
            r#type: Self::TYPE.to_owned(),
            version: VERSION,
        }
    }
}
