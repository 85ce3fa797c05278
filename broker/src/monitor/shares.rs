//! What `/accountz` shows of an account's configuration: what it gives, takes and maps.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::accounts::{Export, Import, Mapping, ResponseType};

/// What is configured for one account. Its users are none of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shares {
    pub(crate) mappings: Vec<Mapping>,
    pub(crate) exports: Vec<Export>,
    pub(crate) imports: Vec<Import>,
}

/// Where a mapping leads, and how often.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Mapped {
    subject: String,
    weight: u8,
}

/// What others may import.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Exported {
    subject: String,
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_token_position: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    approved_accounts: Option<Vec<String>>,
}

/// What is imported from another account.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Imported {
    subject: String,
    account: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    local_subject: String,
    r#type: &'static str,
    invalid: bool,
    share: bool,
    tracking: bool,
}

impl Shares {
    pub(super) fn mapped(&self) -> BTreeMap<String, Vec<Mapped>> {
        let mapped = |mapping: &Mapping| {
            let destinations = mapping.destinations.iter();
            let destinations = destinations.map(|one| Mapped {
                subject: one.subject.clone(),
                weight: one.weight_percent,
            });
            (mapping.source.clone(), destinations.collect())
        };
        self.mappings.iter().map(mapped).collect()
    }

    /// Services first, as in nats-server.
    pub(super) fn exported(&self) -> Vec<Exported> {
        let mut exported: Vec<_> = self.exports.iter().map(Exported::of).collect();
        exported.sort_by_key(|one| one.r#type);
        exported
    }

    /// Streams first, as in nats-server.
    pub(super) fn imported(&self) -> Vec<Imported> {
        let mut imported: Vec<_> = self.imports.iter().map(Imported::of).collect();
        imported.sort_by_key(|one| std::cmp::Reverse(one.r#type));
        imported
    }
}

impl Exported {
    fn of(export: &Export) -> Self {
        match export {
            Export::Stream(stream) => Self {
                subject: stream.subject.clone(),
                r#type: "stream",
                response_type: None,
                account_token_position: stream.account_token_position,
                approved_accounts: stream.accounts.clone(),
            },
            Export::Service(service) => Self {
                subject: service.subject.clone(),
                r#type: "service",
                response_type: Some(match service.response {
                    ResponseType::Single => "Singleton",
                    ResponseType::Stream => "Streamed",
                    ResponseType::Chunked => "Chunked",
                }),
                account_token_position: service.account_token_position,
                approved_accounts: service.accounts.clone(),
            },
        }
    }
}

impl Imported {
    /// A service of another account, under a subject of this one.
    pub(super) fn service(account: &str, subject: String, local: &str, share: bool) -> Self {
        Self {
            subject,
            account: account.to_owned(),
            to: Some(local.to_owned()),
            local_subject: local.to_owned(),
            r#type: "service",
            invalid: false,
            share,
            tracking: false,
        }
    }

    fn of(import: &Import) -> Self {
        match import {
            Import::Service(service) => {
                let local = service.to.as_ref().unwrap_or(&service.subject);
                let subject = service.subject.clone();
                Self::service(&service.account, subject, local, service.share)
            }
            Import::Stream(stream) => {
                let local = match (&stream.to, &stream.prefix) {
                    (Some(to), _) => to.clone(),
                    (None, Some(prefix)) => {
                        format!("{}.{}", prefix.trim_end_matches('.'), stream.subject)
                    }
                    (None, None) => stream.subject.clone(),
                };
                Self {
                    subject: stream.subject.clone(),
                    account: stream.account.clone(),
                    to: None,
                    local_subject: local,
                    r#type: "stream",
                    invalid: false,
                    share: false,
                    tracking: false,
                }
            }
        }
    }
}
