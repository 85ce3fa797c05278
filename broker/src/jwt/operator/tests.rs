//! What claims of accounts become, without a server.

use std::time::SystemTime;

use super::account::Account;
use super::trust::Trust;
use super::*;
use crate::accounts::{self, AccountConfig, ResponseType};
use crate::jwt::claims::{
    AccountClaims, ActivationClaims, Export, ExportKind, Import, JetStreamClaim, Mapping,
    OperatorClaims,
};
use crate::jwt::{Claims, KeyPair};

/// An exporter, an importer, and what they say.
struct Pair {
    operator: KeyPair,
    exporter: KeyPair,
    importer: KeyPair,
    export: Export,
    import: Import,
}

impl Pair {
    fn new(kind: ExportKind, exported: &str, imported: &str) -> Self {
        let exporter = KeyPair::generate(KeyKind::Account);
        let import = Import {
            subject: imported.to_owned(),
            account: exporter.public().to_string(),
            kind,
            ..Import::default()
        };
        Self {
            operator: KeyPair::generate(KeyKind::Operator),
            importer: KeyPair::generate(KeyKind::Account),
            exporter,
            export: Export {
                subject: exported.to_owned(),
                kind,
                ..Export::default()
            },
            import,
        }
    }

    fn account(&self, key: &KeyPair, claims: AccountClaims) -> Account {
        let config = OperatorConfig {
            trusted_keys: vec![self.operator.public().to_string()],
            ..OperatorConfig::default()
        };
        let trust = Trust::new(&config).unwrap();
        let jwt = Claims::new(key.public(), claims).sign(&self.operator);
        Account::decode(&jwt, &trust).unwrap()
    }

    /// The configurations of exporter and importer.
    fn configs(&self) -> [AccountConfig; 2] {
        let mut claims = AccountClaims::default();
        claims.exports = vec![self.export.clone()];
        let exporter = self.account(&self.exporter, claims);
        let mut claims = AccountClaims::default();
        claims.imports = vec![self.import.clone()];
        let importer = self.account(&self.importer, claims);
        let both = [&exporter, &importer];
        let configs = build::configs(both.into_iter(), None, SystemTime::now());
        both.map(|account| {
            let name = account.key.to_string();
            let config = configs.iter().find(|config| config.name == name);
            config.unwrap().clone()
        })
    }

    fn activation(&self, subject: &str) -> Claims<ActivationClaims> {
        let nats = ActivationClaims::new(self.export.kind, subject);
        Claims::new(self.importer.public(), nats)
    }

    #[track_caller]
    fn check(&self, is_taken: bool) {
        let [_, importer] = self.configs();
        assert_eq!(importer.imports.len(), usize::from(is_taken));
    }
}

#[test]
fn imports_of_what_is_exported_are_taken() {
    let mut pair = Pair::new(ExportKind::Stream, "a.>", "a.b.*");
    pair.import.local_subject = "mine.$1".to_owned();
    let [exporter, importer] = pair.configs();
    let accounts::Export::Stream(export) = &exporter.exports[0] else {
        panic!("{exporter:?}");
    };
    assert_eq!((&*export.subject, &export.accounts), ("a.>", &None));
    let accounts::Import::Stream(import) = &importer.imports[0] else {
        panic!("{importer:?}");
    };
    assert_eq!(import.account, exporter.name);
    assert_eq!(
        (&*import.subject, import.to.as_deref()),
        ("a.b.*", Some("mine.$1"))
    );
    // A prefix, as older claims have it.
    pair.import.local_subject.clear();
    pair.import.to = "pre".to_owned();
    let [_, importer] = pair.configs();
    let accounts::Import::Stream(import) = &importer.imports[0] else {
        panic!("{importer:?}");
    };
    assert_eq!((&import.to, import.prefix.as_deref()), (&None, Some("pre")));
}

#[test]
fn services_are_renamed_either_way() {
    let mut pair = Pair::new(ExportKind::Service, "help.*", "help.me");
    pair.export.response_type = "Chunked".to_owned();
    pair.export.response_threshold = 1_000_000_000;
    pair.import.local_subject = "ask".to_owned();
    pair.import.share = true;
    let check = |pair: &Pair| {
        let [exporter, importer] = pair.configs();
        let accounts::Export::Service(export) = &exporter.exports[0] else {
            panic!("{exporter:?}");
        };
        assert_eq!(export.response, ResponseType::Chunked);
        assert_eq!(export.threshold.as_secs(), 1);
        let accounts::Import::Service(import) = &importer.imports[0] else {
            panic!("{importer:?}");
        };
        assert_eq!(
            (&*import.subject, import.to.as_deref()),
            ("help.me", Some("ask"))
        );
        assert!(import.share);
    };
    check(&pair);
    // Older claims say it the other way round.
    pair.import.local_subject.clear();
    pair.import.subject = "ask".to_owned();
    pair.import.to = "help.me".to_owned();
    check(&pair);
}

#[test]
fn what_does_not_fit_is_left_out() {
    Pair::new(ExportKind::Stream, "a.*", "a.>").check(false);
    Pair::new(ExportKind::Stream, "a..b", "a..b").check(false);
    Pair::new(ExportKind::Unknown, "a", "a").check(false);
    let mut pair = Pair::new(ExportKind::Stream, "a", "a");
    pair.import.kind = ExportKind::Service;
    pair.check(false);
    let mut pair = Pair::new(ExportKind::Stream, "a", "a");
    pair.import.account = KeyPair::generate(KeyKind::Account).public().to_string();
    pair.check(false);
    pair.import.account = "nonsense".to_owned();
    pair.check(false);
}

#[test]
fn a_private_export_needs_the_exporters_word() {
    let mut pair = Pair::new(ExportKind::Service, "help.>", "help.me");
    pair.export.token_req = true;
    pair.check(false);
    pair.import.token = pair.activation("help.>").sign(&pair.exporter);
    pair.check(true);
    let [exporter, importer] = pair.configs();
    let accounts::Export::Service(export) = &exporter.exports[0] else {
        panic!("{exporter:?}");
    };
    assert_eq!(export.accounts, Some(vec![importer.name]));
    // Of somebody else, about something else, for somebody else, over.
    let stranger = KeyPair::generate(KeyKind::Account);
    pair.import.token = pair.activation("help.>").sign(&stranger);
    pair.check(false);
    pair.import.token = pair.activation("help.you").sign(&pair.exporter);
    pair.check(false);
    let mut activation = pair.activation("help.>");
    activation.sub = stranger.public();
    pair.import.token = activation.sign(&pair.exporter);
    pair.check(false);
    let mut activation = pair.activation("help.>");
    activation.exp = 1;
    pair.import.token = activation.sign(&pair.exporter);
    pair.check(false);
}

#[test]
fn an_activation_can_be_revoked() {
    let mut pair = Pair::new(ExportKind::Stream, "news", "news");
    pair.export.token_req = true;
    let activation = pair.activation("news");
    let issued_at = activation.iat;
    pair.import.token = activation.sign(&pair.exporter);
    for (who, at, is_taken) in [
        (pair.importer.public().to_string(), issued_at, false),
        ("*".to_owned(), issued_at + 1, false),
        ("*".to_owned(), issued_at - 1, true),
        (pair.exporter.public().to_string(), issued_at, true),
    ] {
        pair.export.revocations = [(who, at)].into();
        pair.check(is_taken);
    }
}

#[test]
fn an_export_for_one_account_each_names_it_in_the_subject() {
    let mut pair = Pair::new(ExportKind::Stream, "for.*.news", "");
    pair.export.account_token_position = 2;
    pair.import.subject = format!("for.{}.news", pair.importer.public());
    pair.check(true);
    pair.import.subject = format!("for.{}.news", pair.exporter.public());
    pair.check(false);
}

#[test]
fn limits_and_mappings_are_those_of_the_claims() {
    let pair = Pair::new(ExportKind::Stream, "a", "a");
    let mut claims = AccountClaims::default();
    claims.limits.conn = 3;
    claims.limits.payload = 0;
    claims.limits.jetstream.disk_storage = -1;
    claims.limits.jetstream.streams = 7;
    let destination = |subject: &str, weight| Mapping {
        subject: subject.to_owned(),
        weight,
        cluster: String::new(),
    };
    claims.mappings = [(
        "a".to_owned(),
        vec![destination("b", 30), destination("c", 0)],
    )]
    .into();
    let account = pair.account(&pair.importer, claims.clone());
    let own = |system| {
        let configs = build::configs([&account].into_iter(), system, SystemTime::now());
        configs.into_iter().next().unwrap()
    };
    let config = own(None);
    assert_eq!(config.limits.connections_max, Some(3));
    assert_eq!(config.limits.payload_bytes_max, Some(0));
    assert_eq!(config.limits.subscriptions_max, None);
    let jetstream = config.jetstream.unwrap();
    assert_eq!(jetstream.storage_bytes_max, None);
    assert_eq!(jetstream.memory_bytes_max, Some(0));
    assert_eq!(jetstream.streams_max, Some(7));
    let weights: Vec<_> = config.mappings[0]
        .destinations
        .iter()
        .map(|destination| destination.weight_percent)
        .collect();
    assert_eq!(weights, [30, 100]);
    assert!(own(Some(account.key)).jetstream.is_none());
    // The tier of one replica stands above what the account has as a whole.
    let tier = JetStreamClaim {
        disk_storage: 5,
        ..JetStreamClaim::default()
    };
    claims.limits.tiered_limits = [("R1".to_owned(), tier)].into();
    let account = pair.account(&pair.importer, claims);
    let configs = build::configs([&account].into_iter(), None, SystemTime::now());
    let jetstream = configs[0].jetstream.as_ref().unwrap();
    assert_eq!(jetstream.storage_bytes_max, Some(5));
}

#[test]
fn strict_operators_and_their_accounts_sign_with_signing_keys_only() {
    let [operator, signer] = [(); 2].map(|()| KeyPair::generate(KeyKind::Operator));
    let mut claims = OperatorClaims::default();
    claims.strict_signing_key_usage = true;
    claims.signing_keys = vec![signer.public()];
    let config = OperatorConfig {
        operators: vec![Claims::new(operator.public(), claims).sign(&operator)],
        ..OperatorConfig::default()
    };
    let trust = Trust::new(&config).unwrap();
    let account = KeyPair::generate(KeyKind::Account).public();
    let claims = Claims::new(account, AccountClaims::default());
    assert!(Account::decode(&claims.clone().sign(&operator), &trust).is_err());
    let account = Account::decode(&claims.sign(&signer), &trust).unwrap();
    assert!(account.signer(&account.key).is_none());
}
