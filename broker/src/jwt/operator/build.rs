//! From claims to the accounts' configuration: what they exchange, their limits, their mappings.
//!
//! Claims of one account must not be able to spoil another's. So whatever does not fit, an import that nobody exports or an
//! activation that does not hold, is left out with a line in the log; the rest stays.

use std::time::{Duration, SystemTime};

use hashbrown::HashMap;

use super::account::{Account, is_revoked};
use crate::accounts::{
    self, AccountConfig, AccountJetStream, AccountLimits, MappedDestination, ResponseType,
    ServiceExport, ServiceImport, StreamExport, StreamImport,
};
use crate::jwt::claims::{
    AccountClaims, ActivationClaims, Export, ExportKind, Import, JetStreamClaim,
};
use crate::jwt::envelope::Claims;
use crate::jwt::nkey::{KeyKind, PublicKey};
use crate::subject::{is_filter, is_subset};

/// The configuration of all accounts. `system` has no JetStream whatever its claims say.
pub(super) fn configs<'a>(
    loaded: impl Iterator<Item = &'a Account>,
    system: Option<PublicKey>,
    now: SystemTime,
) -> Vec<AccountConfig> {
    let accounts: HashMap<PublicKey, &Account> =
        loaded.map(|account| (account.key, account)).collect();
    let mut configs: HashMap<PublicKey, AccountConfig> = accounts
        .values()
        .map(|account| (account.key, own_config(account, system)))
        .collect();
    let mut keys: Vec<_> = accounts.keys().copied().collect();
    keys.sort_unstable();
    for importer in &keys {
        for import in &accounts[importer].claims.nats.imports {
            let exporter = PublicKey::parse_as(&import.account, KeyKind::Account).ok();
            let exporter = exporter.and_then(|key| accounts.get(&key).copied());
            match take(import, accounts[importer], exporter, now) {
                Ok(taken) => taken.note(&mut configs, *importer),
                Err(reason) => tracing::warn!(
                    account = %importer,
                    from = import.account,
                    subject = import.subject,
                    reason,
                    "an import is left out"
                ),
            }
        }
    }
    keys.iter().filter_map(|key| configs.remove(key)).collect()
}

/// What an account is without what it takes from others.
fn own_config(account: &Account, system: Option<PublicKey>) -> AccountConfig {
    let claims = &account.claims.nats;
    let is_system = system == Some(account.key);
    let mut config = AccountConfig::new(account.key.to_string());
    config.exports = claims.exports.iter().filter_map(export_config).collect();
    config.mappings = mappings(claims);
    config.limits = limits(claims);
    let tier = claims.limits.tiered_limits.get("R1");
    let jetstream = tier.unwrap_or(&claims.limits.jetstream);
    config.jetstream = (jetstream.is_enabled() && !is_system).then(|| jetstream_limits(jetstream));
    config
}

fn limit(value: i64) -> Option<usize> {
    usize::try_from(value).ok()
}

fn limits(claims: &AccountClaims) -> AccountLimits {
    AccountLimits {
        connections_max: limit(claims.limits.conn),
        leafnodes_max: limit(claims.limits.leaf),
        subscriptions_max: limit(claims.limits.subs),
        payload_bytes_max: limit(claims.limits.payload),
    }
}

/// -1 is no limit; for counts 0 is none either.
fn jetstream_limits(claim: &JetStreamClaim) -> AccountJetStream {
    let bytes = |value: i64| u64::try_from(value).ok();
    let some = |value: i64| u64::try_from(value).ok().filter(|value| *value > 0);
    let count = |value: i64| limit(value).filter(|value| *value > 0);
    AccountJetStream {
        memory_bytes_max: bytes(claim.mem_storage),
        storage_bytes_max: bytes(claim.disk_storage),
        streams_max: count(claim.streams),
        consumers_max: count(claim.consumer),
        ack_pending_max: some(claim.max_ack_pending),
        memory_stream_bytes_max: some(claim.mem_max_stream_bytes),
        storage_stream_bytes_max: some(claim.disk_max_stream_bytes),
        bytes_max_required: claim.max_bytes_required,
    }
}

fn mappings(claims: &AccountClaims) -> Vec<accounts::Mapping> {
    let destination = |mapping: &crate::jwt::claims::Mapping| MappedDestination {
        subject: mapping.subject.clone(),
        weight_percent: if mapping.weight == 0 {
            100
        } else {
            mapping.weight
        },
        cluster: (!mapping.cluster.is_empty()).then(|| mapping.cluster.clone()),
    };
    let mappings = claims.mappings.iter();
    mappings
        .map(|(source, destinations)| accounts::Mapping {
            source: source.clone(),
            destinations: destinations.iter().map(destination).collect(),
        })
        .collect()
}

/// Exports that ask for an activation begin with nobody allowed.
fn export_config(export: &Export) -> Option<accounts::Export> {
    if !is_filter(export.subject.as_bytes()) {
        return None;
    }
    let accounts = export.token_req.then(Vec::new);
    let position = (export.account_token_position > 0).then_some(export.account_token_position);
    match export.kind {
        ExportKind::Stream => Some(accounts::Export::Stream(StreamExport {
            subject: export.subject.clone(),
            accounts,
            account_token_position: position,
        })),
        ExportKind::Service => {
            let threshold = u64::try_from(export.response_threshold).unwrap_or(0);
            Some(accounts::Export::Service(ServiceExport {
                subject: export.subject.clone(),
                accounts,
                response: match export.response_type.to_ascii_lowercase().as_str() {
                    "stream" => ResponseType::Stream,
                    "chunked" => ResponseType::Chunked,
                    _ => ResponseType::Single,
                },
                threshold: if threshold == 0 {
                    ServiceExport::THRESHOLD
                } else {
                    Duration::from_nanos(threshold)
                },
                account_token_position: position,
                latency: None,
                allow_trace: export.allow_trace,
            }))
        }
        ExportKind::Unknown => None,
    }
}

/// An import that holds.
struct Taken {
    import: accounts::Import,
    /// The export that asks for an activation, which the importer has.
    activated: Option<(PublicKey, String, ExportKind)>,
}

impl Taken {
    fn note(self, configs: &mut HashMap<PublicKey, AccountConfig>, importer: PublicKey) {
        if let Some((exporter, subject, kind)) = self.activated
            && let Some(config) = configs.get_mut(&exporter)
        {
            allow(config, &subject, kind, importer);
        }
        if let Some(config) = configs.get_mut(&importer) {
            config.imports.push(self.import);
        }
    }
}

/// Puts an importer on the list of an export.
fn allow(config: &mut AccountConfig, subject: &str, kind: ExportKind, importer: PublicKey) {
    for export in &mut config.exports {
        let list = match export {
            accounts::Export::Stream(stream)
                if kind == ExportKind::Stream && stream.subject == subject =>
            {
                &mut stream.accounts
            }
            accounts::Export::Service(service)
                if kind == ExportKind::Service && service.subject == subject =>
            {
                &mut service.accounts
            }
            _ => continue,
        };
        list.get_or_insert_default().push(importer.to_string());
    }
}

fn take(
    import: &Import,
    importer: &Account,
    exporter: Option<&Account>,
    now: SystemTime,
) -> Result<Taken, &'static str> {
    let exporter = exporter.ok_or("the exporting account is not known")?;
    if exporter.key == importer.key {
        return Err("an account cannot import from itself");
    }
    let there = subject_there(import);
    if import.kind == ExportKind::Unknown || !is_filter(there.as_bytes()) {
        return Err("neither a stream nor a service, or no subject");
    }
    let fits = |export: &&Export| {
        export.kind == import.kind && is_subset(there.as_bytes(), export.subject.as_bytes())
    };
    let exports = &exporter.claims.nats.exports;
    let export = exports
        .iter()
        .find(fits)
        .ok_or("nothing like it is exported")?;
    if export.account_token_position > 0 {
        let own = importer.key.to_string();
        let token = there.split('.').nth(export.account_token_position - 1);
        if token != Some(own.as_str()) {
            return Err("the subject's account token is not the importer");
        }
    }
    if export.token_req {
        check_activation(import, there, importer, exporter, export, now)?;
    }
    Ok(Taken {
        import: import_config(import, exporter.key),
        activated: export
            .token_req
            .then(|| (exporter.key, export.subject.clone(), export.kind)),
    })
}

/// The subject in the exporter's account.
fn subject_there(import: &Import) -> &str {
    let is_renamed = import.kind == ExportKind::Service
        && import.local_subject.is_empty()
        && !import.to.is_empty();
    if is_renamed {
        &import.to
    } else {
        &import.subject
    }
}

fn import_config(import: &Import, exporter: PublicKey) -> accounts::Import {
    let some = |text: &String| (!text.is_empty()).then(|| text.clone());
    let account = exporter.to_string();
    let there = subject_there(import).to_owned();
    match import.kind {
        ExportKind::Service => accounts::Import::Service(ServiceImport {
            account,
            to: some(&import.local_subject)
                .or_else(|| (there != import.subject).then(|| import.subject.clone())),
            subject: there,
            share: import.share,
        }),
        ExportKind::Stream | ExportKind::Unknown => accounts::Import::Stream(StreamImport {
            account,
            subject: there,
            to: some(&import.local_subject),
            prefix: some(&import.to).filter(|_| import.local_subject.is_empty()),
            allow_trace: import.allow_trace,
        }),
    }
}

/// The exporter's word, signed by it, about this importer and this subject, now.
fn check_activation(
    import: &Import,
    there: &str,
    importer: &Account,
    exporter: &Account,
    export: &Export,
    now: SystemTime,
) -> Result<(), &'static str> {
    let activation = Claims::<ActivationClaims>::decode(import.token.trim())
        .map_err(|_| "the activation cannot be read")?;
    if !activation.is_current(now) {
        return Err("the activation is not current");
    }
    if activation.sub != importer.key {
        return Err("the activation is for another account");
    }
    let said = activation.nats.issuer_account.unwrap_or(activation.iss);
    if said != exporter.key || exporter.signer(&activation.iss).is_none() {
        return Err("the activation is not the exporter's");
    }
    let covers = is_subset(there.as_bytes(), activation.nats.subject.as_bytes());
    if activation.nats.kind != import.kind || !covers {
        return Err("the activation is for another subject");
    }
    if is_revoked(&export.revocations, &importer.key, activation.iat) {
        return Err("the activation was revoked");
    }
    Ok(())
}
