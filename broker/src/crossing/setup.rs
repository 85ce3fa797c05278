//! From what operators write about exports, imports and mappings to what routes are made of.

use std::sync::{Arc, Weak};

use hashbrown::HashMap;

use super::mapping::Mappings;
use super::pair::Pair;
use super::service::ServiceCrossing;
use super::stream::StreamCrossing;
use crate::account::Account;
use crate::accounts::{
    AccountConfig, AccountsError, Export, Import, Mapping, ServiceExport, ServiceImport,
    StreamExport, StreamImport,
};
use crate::interest::subscription::{Sink, Subscription};
use crate::subject;

/// All accounts that may export to each other, by name.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    accounts: HashMap<&'a str, &'a AccountConfig>,
}

/// What one account imports and maps, checked.
#[derive(Debug, Default)]
pub(crate) struct Checked<'a> {
    streams: Vec<(&'a str, Pair)>,
    services: Vec<(&'a str, Pair, &'a ServiceImport, &'a ServiceExport)>,
    mappings: Option<Arc<Mappings>>,
}

impl<'a> Plan<'a> {
    pub(crate) fn new(accounts: impl IntoIterator<Item = &'a AccountConfig>) -> Self {
        let named = |account: &'a AccountConfig| (account.name.as_str(), account);
        Self {
            accounts: accounts.into_iter().map(named).collect(),
        }
    }

    /// Checks what all accounts export, and that no import comes back to where it started.
    ///
    /// # Errors
    /// The first contradiction.
    pub(crate) fn check(&self) -> Result<(), AccountsError> {
        for account in self.accounts.values() {
            for export in &account.exports {
                self.check_export(export)?;
            }
            self.checked(account, &[])?;
        }
        for account in self.accounts.values() {
            for import in &account.imports {
                self.check_cycle(account, import)?;
            }
        }
        Ok(())
    }

    /// Takes the imports and mappings of an account apart; `mappings` are added to its own.
    ///
    /// # Errors
    /// One of them is none, or not allowed.
    pub(crate) fn checked(
        &self,
        account: &'a AccountConfig,
        mappings: &[Mapping],
    ) -> Result<Checked<'a>, AccountsError> {
        let all = [&account.mappings[..], mappings].concat();
        let mut checked = Checked {
            mappings: Mappings::new(&all)?,
            ..Checked::default()
        };
        let mut names: Vec<String> = Vec::new();
        for import in &account.imports {
            match import {
                Import::Stream(import) => {
                    self.stream_export(&account.name, import)?;
                    let to = stream_target(&account.name, import)?;
                    let pair = pair(&account.name, &import.subject, to.as_deref())?;
                    checked.streams.push((&import.account, pair));
                }
                Import::Service(import) => {
                    let export = self.service_export(&account.name, import)?;
                    let pair = pair(&account.name, &import.subject, import.to.as_deref())?;
                    if names.iter().any(|name| **name == *pair.here) {
                        return Err(AccountsError::DuplicateServiceImport {
                            account: account.name.clone(),
                            subject: pair.here.into(),
                        });
                    }
                    names.push(pair.here.to_string());
                    checked
                        .services
                        .push((&import.account, pair, import, export));
                }
            }
        }
        Ok(checked)
    }

    fn check_export(&self, export: &Export) -> Result<(), AccountsError> {
        let (subject, accounts, position) = match export {
            Export::Stream(export) => (
                &export.subject,
                &export.accounts,
                export.account_token_position,
            ),
            Export::Service(export) => (
                &export.subject,
                &export.accounts,
                export.account_token_position,
            ),
        };
        if !subject::is_filter(subject.as_bytes()) {
            return Err(AccountsError::Subject {
                subject: subject.clone(),
            });
        }
        let token = |position: usize| subject.split('.').nth(position.wrapping_sub(1));
        if let Some(position) = position
            && token(position) != Some("*")
        {
            return Err(AccountsError::AccountTokenPosition {
                subject: subject.clone(),
                position,
            });
        }
        let mut named = accounts.iter().flatten();
        match named.find(|name| !self.accounts.contains_key(name.as_str())) {
            Some(name) => Err(AccountsError::UnknownImporter {
                account: name.clone(),
                subject: subject.clone(),
            }),
            None => Ok(()),
        }
    }

    fn exporter(&self, importer: &str, name: &str) -> Result<&'a AccountConfig, AccountsError> {
        let found = self.accounts.get(name).copied();
        found.ok_or_else(|| AccountsError::UnknownExporter {
            account: importer.to_owned(),
            exporter: name.to_owned(),
        })
    }

    fn stream_export(
        &self,
        importer: &str,
        import: &StreamImport,
    ) -> Result<&'a StreamExport, AccountsError> {
        let exports = self.exporter(importer, &import.account)?.exports.iter();
        let found = exports.filter_map(|export| match export {
            Export::Stream(export) => Some(export),
            Export::Service(_) => None,
        });
        let mut found = found.filter(|export| {
            let offer = Offer {
                subject: &export.subject,
                accounts: export.accounts.as_deref(),
                position: export.account_token_position,
            };
            offer.is_for(importer, &import.subject)
        });
        found
            .next()
            .ok_or_else(|| not_authorized(importer, &import.account, &import.subject))
    }

    fn service_export(
        &self,
        importer: &str,
        import: &ServiceImport,
    ) -> Result<&'a ServiceExport, AccountsError> {
        let exports = self.exporter(importer, &import.account)?.exports.iter();
        let found = exports.filter_map(|export| match export {
            Export::Service(export) => Some(export),
            Export::Stream(_) => None,
        });
        let mut found = found.filter(|export| {
            let offer = Offer {
                subject: &export.subject,
                accounts: export.accounts.as_deref(),
                position: export.account_token_position,
            };
            offer.is_for(importer, &import.subject)
        });
        found
            .next()
            .ok_or_else(|| not_authorized(importer, &import.account, &import.subject))
    }

    /// Follows an import through the imports of the exporting account, and on, until it ends or comes back.
    fn check_cycle(&self, account: &AccountConfig, import: &Import) -> Result<(), AccountsError> {
        let (exporter, there, here) = ends(import);
        if exporter == account.name {
            // What an account imports from itself is another name for the same thing.
            return Ok(());
        }
        let mut open = vec![(exporter, there.to_owned())];
        let mut seen = Vec::new();
        while let Some((name, wanted)) = open.pop() {
            let Some(config) = self.accounts.get(name) else {
                continue;
            };
            let same_kind = config
                .imports
                .iter()
                .filter(|other| is_service(other) == is_service(import));
            for other in same_kind {
                let (from, further, local) = ends(other);
                if from == name || !subject::overlap(local.as_bytes(), wanted.as_bytes()) {
                    continue;
                }
                if from == account.name && subject::overlap(further.as_bytes(), here.as_bytes()) {
                    return Err(AccountsError::ImportCycle {
                        account: account.name.clone(),
                        subject: there.to_owned(),
                    });
                }
                let next = (from, further.to_owned());
                if !seen.contains(&next) {
                    seen.push(next.clone());
                    open.push(next);
                }
            }
        }
        Ok(())
    }
}

impl Checked<'_> {
    /// Makes an account import and map just this.
    pub(crate) fn apply(
        self,
        account: &Account,
        server_name: &Arc<str>,
        find: impl Fn(&str) -> Arc<Account>,
    ) {
        let weak = |name: &str| -> Weak<Account> { Arc::downgrade(&find(name)) };
        let streams = self.streams.into_iter().map(|(exporter, pair)| {
            Arc::new(StreamCrossing {
                exporter: weak(exporter),
                pair,
            })
        });
        account.set_imports(streams.collect());
        let services = self.services.into_iter();
        let services = services.map(|(exporter, pair, import, export)| {
            let filter = pair.here.clone();
            let service = ServiceCrossing {
                exporter: weak(exporter),
                pair,
                share: import.share,
                response: export.response,
                threshold: export.threshold,
                server_name: server_name.clone(),
            };
            let sink = Sink::Service(Arc::new(service));
            Subscription::new(filter.as_bytes(), None, b"", sink)
        });
        account.set_services(services.collect());
        account.set_mappings(self.mappings);
    }
}

/// What is exported and to whom.
struct Offer<'a> {
    subject: &'a str,
    accounts: Option<&'a [String]>,
    position: Option<usize>,
}

impl Offer<'_> {
    /// Whether an account may import a subject by it.
    fn is_for(&self, importer: &str, wanted: &str) -> bool {
        let is_named = |accounts: &[String]| accounts.iter().any(|name| name == importer);
        subject::is_subset(wanted.as_bytes(), self.subject.as_bytes())
            && self.accounts.is_none_or(is_named)
            && self.position.is_none_or(|position| {
                wanted.split('.').nth(position.wrapping_sub(1)) == Some(importer)
            })
    }
}

fn not_authorized(importer: &str, exporter: &str, subject: &str) -> AccountsError {
    AccountsError::ImportNotAuthorized {
        account: importer.to_owned(),
        exporter: exporter.to_owned(),
        subject: subject.to_owned(),
    }
}

fn pair(account: &str, subject: &str, to: Option<&str>) -> Result<Pair, AccountsError> {
    Pair::new(subject, to).map_err(|error| AccountsError::ImportTransform {
        account: account.to_owned(),
        subject: subject.to_owned(),
        to: to.unwrap_or(subject).to_owned(),
        reason: error.to_string(),
    })
}

/// The subject that imported messages have here, where it is not the same.
fn stream_target(account: &str, import: &StreamImport) -> Result<Option<String>, AccountsError> {
    match (&import.to, &import.prefix) {
        (Some(_), Some(_)) => Err(AccountsError::PrefixAndTarget {
            account: account.to_owned(),
            subject: import.subject.clone(),
        }),
        (Some(to), None) => Ok(Some(to.clone())),
        (None, Some(prefix)) => {
            let prefix = prefix.trim_end_matches('.');
            Ok(Some(format!("{prefix}.{}", import.subject)))
        }
        (None, None) => Ok(None),
    }
}

fn is_service(import: &Import) -> bool {
    matches!(import, Import::Service(_))
}

/// The exporter, the pattern there, and the one here as far as cycles are concerned.
fn ends(import: &Import) -> (&str, &str, String) {
    let here = |to: Option<&str>, subject: &str| {
        let to = to.unwrap_or(subject);
        let tokens = to.split('.').map(|token| match token.strip_prefix('$') {
            Some(number) if number.parse::<usize>().is_ok() => "*",
            _ => token,
        });
        tokens.collect::<Vec<_>>().join(".")
    };
    match import {
        Import::Stream(import) => {
            let to = stream_target("", import).ok().flatten();
            let to = here(to.as_deref(), &import.subject);
            (&import.account, &import.subject, to)
        }
        Import::Service(import) => {
            let to = here(import.to.as_deref(), &import.subject);
            (&import.account, &import.subject, to)
        }
    }
}
