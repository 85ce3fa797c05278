//! Operator mode on a real socket: chains of signatures, and what is changed while the server runs.

mod support;

use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use broker::jwt::claims::{
    AccountClaims, Export, ExportKind, Import, OperatorClaims, Scope, SigningKey, UserClaims,
    UserLimits,
};
use broker::jwt::{
    Claims, KeyKind, KeyPair, OperatorConfig, OperatorMode, PublicKey, ResolverConfig,
};
use broker::{Client, Config, Identity, Server};
use serde_json::Value;
use std::sync::Arc;
use support::{Raw, server_with};

const VIOLATION: &str = "-ERR 'Authorization Violation'\r\n";
const PATIENCE: Duration = Duration::from_secs(5);

/// An operator with a system account and one of its own.
struct Chain {
    operator: KeyPair,
    system: KeyPair,
    app: KeyPair,
}

impl Chain {
    fn new() -> Self {
        Self {
            operator: KeyPair::generate(KeyKind::Operator),
            system: KeyPair::generate(KeyKind::Account),
            app: KeyPair::generate(KeyKind::Account),
        }
    }

    fn account(&self, key: &KeyPair, change: impl FnOnce(&mut Claims<AccountClaims>)) -> String {
        let mut claims = Claims::new(key.public(), AccountClaims::default());
        "APP".clone_into(&mut claims.name);
        change(&mut claims);
        claims.sign(&self.operator)
    }

    fn config(&self, change: impl FnOnce(&mut Claims<AccountClaims>)) -> OperatorConfig {
        let mut operator = OperatorClaims::default();
        operator.system_account = Some(self.system.public());
        let operator = Claims::new(self.operator.public(), operator).sign(&self.operator);
        OperatorConfig {
            operators: vec![operator],
            resolver_preload: [
                (
                    self.system.public().to_string(),
                    self.account(&self.system, |_| {}),
                ),
                (
                    self.app.public().to_string(),
                    self.account(&self.app, change),
                ),
            ]
            .into(),
            ..OperatorConfig::default()
        }
    }

    /// The system account's client.
    fn admin(&self, server: &Server) -> Client {
        let system = self.system.public().to_string();
        server.client(&system, &Identity::new("", &system))
    }
}

async fn start(config: &OperatorConfig) -> (Server, SocketAddr) {
    let mode = OperatorMode::new(config).unwrap();
    let (server, addr) = server_with(Config::default(), Arc::new(mode.clone())).await;
    mode.start(&server).await.unwrap();
    (server, addr)
}

fn user_claims(user: PublicKey) -> Claims<UserClaims> {
    let mut claims = Claims::new(user, UserClaims::new(UserLimits::unlimited()));
    "bob".clone_into(&mut claims.name);
    claims
}

/// Connects with a JWT and the signature of the nonce by `signer`.
async fn knock(addr: SocketAddr, jwt: &str, signer: Option<&KeyPair>) -> Raw {
    let (mut raw, info) = Raw::open_with_info(addr).await;
    let info: Value = serde_json::from_str(info.trim_start_matches("INFO ")).unwrap();
    assert_eq!(info["auth_required"], true);
    let nonce = info["nonce"].as_str().unwrap();
    let sig = signer.map(|signer| URL_SAFE_NO_PAD.encode(signer.sign(nonce.as_bytes())));
    let sig = sig
        .map(|sig| format!(",\"sig\":\"{sig}\""))
        .unwrap_or_default();
    raw.send(format!(
        "CONNECT {{\"verbose\":false,\"pedantic\":false,\"jwt\":\"{jwt}\"{sig}}}\r\nPING\r\n"
    ))
    .await;
    raw
}

#[track_caller]
fn login<'a>(
    addr: SocketAddr,
    jwt: &'a str,
    signer: &'a KeyPair,
) -> impl Future<Output = Raw> + 'a {
    let caller = std::panic::Location::caller();
    async move {
        let mut raw = knock(addr, jwt, Some(signer)).await;
        assert_eq!(raw.line().await, "PONG", "{caller}");
        raw
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

#[tokio::test]
async fn a_chain_of_signatures_lets_in() {
    let chain = Chain::new();
    let (server, addr) = start(&chain.config(|_| {})).await;
    let user = KeyPair::generate(KeyKind::User);
    let jwt = user_claims(user.public()).sign(&chain.app);
    let _raw = login(addr, &jwt, &user).await;
    let open = &server.connections()[0];
    let account = chain.app.public().to_string();
    assert_eq!(open.account.as_deref(), Some(&*account));
    assert_eq!(open.user.as_deref(), Some(&*user.public().to_string()));
}

#[tokio::test]
async fn a_broken_chain_does_not() {
    let chain = Chain::new();
    let (_server, addr) = start(&chain.config(|claims| {
        claims.nats.limits.disallow_bearer = true;
    }))
    .await;
    let user = KeyPair::generate(KeyKind::User);
    let good = user_claims(user.public());
    let stranger = KeyPair::generate(KeyKind::Account);
    let other = KeyPair::generate(KeyKind::User);
    let sign = |change: fn(&mut Claims<UserClaims>)| {
        let mut claims = good.clone();
        change(&mut claims);
        claims.sign(&chain.app)
    };
    let mut pretends = good.clone();
    pretends.nats.issuer_account = Some(chain.app.public());
    let cases = [
        ("no JWT", String::new(), Some(&user)),
        ("nonsense", "a.b.c".to_owned(), Some(&user)),
        (
            "an account of nobody",
            good.clone().sign(&stranger),
            Some(&user),
        ),
        ("no signing key", pretends.sign(&stranger), Some(&user)),
        (
            "another's signature",
            good.clone().sign(&chain.app),
            Some(&other),
        ),
        ("no signature", good.clone().sign(&chain.app), None),
        ("expired", sign(|claims| claims.exp = 1), Some(&user)),
        (
            "not begun",
            sign(|claims| claims.nbf = i64::MAX),
            Some(&user),
        ),
        (
            "another network",
            sign(|claims| claims.nats.limits.src = vec!["10.0.0.0/8".to_owned()]),
            Some(&user),
        ),
        (
            "another kind of connection",
            sign(|claims| {
                claims.nats.limits.allowed_connection_types = vec!["WEBSOCKET".to_owned()];
            }),
            Some(&user),
        ),
        (
            "a bearer where none is allowed",
            sign(|claims| claims.nats.limits.bearer_token = true),
            None,
        ),
    ];
    for (what, jwt, signer) in cases {
        let raw = knock(addr, &jwt, signer).await;
        assert_eq!(raw.rest().await, VIOLATION, "{what}");
    }
}

#[tokio::test]
async fn an_account_of_a_stranger_stops_the_start() {
    let (chain, stranger) = (Chain::new(), Chain::new());
    let mut config = chain.config(|_| {});
    let key = stranger.app.public().to_string();
    let jwt = stranger.account(&stranger.app, |_| {});
    config.resolver_preload.insert(key, jwt);
    let mode = OperatorMode::new(&config).unwrap();
    let (server, _) = server_with(Config::default(), Arc::new(mode.clone())).await;
    assert!(mode.start(&server).await.is_err());
}

#[tokio::test]
async fn a_bearer_needs_no_signature() {
    let chain = Chain::new();
    let user = KeyPair::generate(KeyKind::User).public();
    let mut claims = user_claims(user);
    claims.nats.limits.bearer_token = true;
    let jwt = claims.sign(&chain.app);
    let mut config = chain.config(|_| {});
    config.default_sentinel = Some(jwt.clone());
    let (_server, addr) = start(&config).await;
    knock(addr, &jwt, None).await.expect("PONG\r\n").await;
    // And who offers nothing at all is the sentinel.
    knock(addr, "", None).await.expect("PONG\r\n").await;
}

#[tokio::test]
async fn scopes_fill_in_their_templates() {
    let chain = Chain::new();
    let signer = KeyPair::generate(KeyKind::Account);
    let mut template = UserLimits::unlimited();
    template.permissions.publish.allow = vec![
        "me.{{name()}}.>".to_owned(),
        "key.{{subject()}}".to_owned(),
        "of.{{account-name()}}.{{account-subject()}}".to_owned(),
        "team.{{tag(team)}}.{{account-tag(zone)}}".to_owned(),
        "none.{{tag(missing)}}".to_owned(),
    ];
    template.permissions.subscribe.deny = vec!["secret.{{ NAME() }}".to_owned()];
    let scope = Scope {
        kind: "user_scope".to_owned(),
        key: signer.public(),
        role: String::new(),
        template,
    };
    let (_server, addr) = start(&chain.config(|claims| {
        claims.nats.signing_keys = vec![SigningKey::Scoped(Box::new(scope))];
        claims.nats.tags = vec!["zone:eu".to_owned()];
    }))
    .await;
    let user = KeyPair::generate(KeyKind::User);
    let mut claims = Claims::new(user.public(), UserClaims::default());
    "bob".clone_into(&mut claims.name);
    claims.nats.issuer_account = Some(chain.app.public());
    claims.nats.tags = vec!["team:red".to_owned(), "team:blue".to_owned()];
    let mut raw = login(addr, &claims.clone().sign(&signer), &user).await;
    let (key, account) = (user.public(), chain.app.public());
    for allowed in [
        "me.bob.x".to_owned(),
        format!("key.{key}"),
        format!("of.APP.{account}"),
        "team.red.eu".to_owned(),
        "team.blue.eu".to_owned(),
    ] {
        raw.send(format!("PUB {allowed} 0\r\n\r\n")).await;
        raw.expect_quiet().await;
    }
    for denied in ["me.alice.x", "team.green.eu", "none", "none.x"] {
        raw.send(format!("PUB {denied} 0\r\n\r\n")).await;
        let line = raw.line().await;
        assert!(line.contains("Publish to"), "{denied}: {line}");
    }
    raw.send("SUB secret.bob 1\r\n").await;
    assert!(raw.line().await.contains("Subscription to"));
    // Permissions of its own beside those of the scope.
    claims.nats.limits.permissions.publish.allow = vec![">".to_owned()];
    let raw = knock(addr, &claims.sign(&signer), Some(&user)).await;
    raw.expect_closed(VIOLATION).await;
}

#[tokio::test]
async fn limits_and_defaults_hold() {
    let chain = Chain::new();
    let (_server, addr) = start(&chain.config(|claims| {
        claims.nats.default_permissions.publish.deny = vec!["no".to_owned()];
    }))
    .await;
    let user = KeyPair::generate(KeyKind::User);
    let mut claims = user_claims(user.public());
    claims.nats.limits.subs = 1;
    claims.nats.limits.payload = 4;
    let mut raw = login(addr, &claims.sign(&chain.app), &user).await;
    raw.send("PUB no 0\r\n\r\n").await;
    raw.expect("-ERR 'Permissions Violation for Publish to \"no\"'\r\n")
        .await;
    raw.send("SUB a 1\r\nSUB b 2\r\n").await;
    raw.expect("-ERR 'maximum subscriptions exceeded'\r\n")
        .await;
    raw.send("PUB a 4\r\n1234\r\n").await;
    raw.expect("MSG a 1 4\r\n1234\r\n").await;
    raw.send("PUB a 5\r\n12345\r\n").await;
    raw.expect_closed("-ERR 'Maximum Payload Violation'\r\n")
        .await;
}

#[tokio::test]
async fn the_end_of_a_user_closes_its_connection() {
    let chain = Chain::new();
    let (_server, addr) = start(&chain.config(|_| {})).await;
    let user = KeyPair::generate(KeyKind::User);
    let mut claims = user_claims(user.public());
    claims.exp = now() + 2;
    let raw = login(addr, &claims.sign(&chain.app), &user).await;
    raw.expect_closed("-ERR 'User Authentication Expired'\r\n")
        .await;
}

#[tokio::test]
async fn revoked_users_stay_out() {
    let chain = Chain::new();
    let user = KeyPair::generate(KeyKind::User);
    let key = user.public().to_string();
    let (_server, addr) = start(&chain.config(move |claims| {
        claims.nats.revocations.insert(key, now());
    }))
    .await;
    let jwt = |issued_at| {
        let mut claims = user_claims(user.public());
        claims.iat = issued_at;
        claims.sign(&chain.app)
    };
    let raw = knock(addr, &jwt(now() - 10), Some(&user)).await;
    raw.expect_closed(VIOLATION).await;
    login(addr, &jwt(now() + 10), &user).await;
}

async fn ask(client: &Client, subject: &str, body: String) -> Value {
    let answer = client.request(subject, body, PATIENCE).await.unwrap();
    serde_json::from_slice(&answer.payload).unwrap()
}

#[tokio::test]
async fn a_directory_is_listed_changed_and_thinned_out() {
    let dir = tempfile::tempdir().unwrap();
    let chain = Chain::new();
    let mut config = chain.config(|_| {});
    config.resolver = ResolverConfig::Full {
        dir: dir.path().to_owned(),
        allow_delete: true,
        interval: Duration::from_secs(60),
        limit: Some(3),
    };
    let (server, addr) = start(&config).await;
    let admin = chain.admin(&server);
    let list = async || {
        let answer = ask(&admin, "$SYS.REQ.CLAIMS.LIST", String::new()).await;
        answer["data"].as_array().unwrap().len()
    };
    assert_eq!(list().await, 2);
    // A new account lets its users in at once.
    let fresh = KeyPair::generate(KeyKind::Account);
    let jwt = chain.account(&fresh, |_| {});
    let answer = ask(&admin, "$SYS.REQ.CLAIMS.UPDATE", jwt.clone()).await;
    assert_eq!(answer["data"]["code"], 200, "{answer}");
    assert_eq!(list().await, 3);
    let user = KeyPair::generate(KeyKind::User);
    let _open = login(addr, &user_claims(user.public()).sign(&fresh), &user).await;
    let subject = format!("$SYS.REQ.ACCOUNT.{}.CLAIMS.LOOKUP", fresh.public());
    let found = admin.request(&subject, "", PATIENCE).await.unwrap();
    assert_eq!(found.payload, jwt.as_bytes());
    let stored = dir.path().join(format!("{}.jwt", fresh.public()));
    assert_eq!(std::fs::read_to_string(&stored).unwrap(), jwt);
    // What does not hold is refused, with the words that tools show.
    let check = async |subject: &str, body: String, expected: &str| {
        let answer = ask(&admin, subject, body).await;
        let text = answer["error"]["description"].as_str().unwrap();
        assert!(text.contains(expected), "{answer}");
    };
    let update = "$SYS.REQ.CLAIMS.UPDATE";
    check(update, "nonsense".to_owned(), "expected 3 chunks").await;
    let stranger = Chain::new();
    let foreign = stranger.account(&stranger.app, |_| {});
    check(update, foreign, "not trusted").await;
    let other = format!("$SYS.REQ.ACCOUNT.{}.CLAIMS.UPDATE", chain.app.public());
    check(&other, jwt, "does not match").await;
    let fourth = KeyPair::generate(KeyKind::Account);
    check(update, chain.account(&fourth, |_| {}), "limit of 3").await;
    let delete = |keys: &[PublicKey], signer: &KeyPair| delete_claims(keys, signer);
    let subject = "$SYS.REQ.CLAIMS.DELETE";
    let foreign = delete(&[fresh.public()], &stranger.operator);
    check(subject, foreign, "not trusted").await;
    let system = delete(&[chain.system.public()], &chain.operator);
    check(subject, system, "system account").await;
    let answer = ask(&admin, subject, delete(&[fresh.public()], &chain.operator)).await;
    assert_eq!(answer["data"]["message"], "deleted 1 accounts");
    assert_eq!(list().await, 2);
    assert!(stored.with_extension("jwt.deleted").exists());
    let raw = knock(addr, &user_claims(user.public()).sign(&fresh), Some(&user)).await;
    raw.expect_closed(VIOLATION).await;
}

/// Claims of type `generic`, which only this request has.
fn delete_claims(accounts: &[PublicKey], operator: &KeyPair) -> String {
    let header = URL_SAFE_NO_PAD.encode(r#"{"typ":"JWT","alg":"ed25519-nkey"}"#);
    let key = operator.public();
    let claims = serde_json::json!({
        "iss": key, "sub": key,
        "nats": {"accounts": accounts, "type": "generic", "version": 2},
    });
    let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let signature = URL_SAFE_NO_PAD.encode(operator.sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

#[tokio::test]
async fn what_was_stored_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let chain = Chain::new();
    let mut config = chain.config(|_| {});
    config.resolver = ResolverConfig::full(dir.path());
    let (server, _) = start(&config).await;
    let admin = chain.admin(&server);
    let fresh = KeyPair::generate(KeyKind::Account);
    let jwt = chain.account(&fresh, |_| {});
    ask(&admin, "$SYS.REQ.CLAIMS.UPDATE", jwt).await;
    server.shutdown().await;
    let (_server, addr) = start(&config).await;
    let user = KeyPair::generate(KeyKind::User);
    login(addr, &user_claims(user.public()).sign(&fresh), &user).await;
}

#[tokio::test]
async fn accounts_are_fetched_from_an_account_server() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let chain = Chain::new();
    let mut config = chain.config(|_| {});
    let key = chain.app.public().to_string();
    let jwt = config.resolver_preload.remove(&key).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/jwt/v1/accounts/", listener.local_addr().unwrap());
    config.resolver = ResolverConfig::Url { url };
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut request = vec![0; 1024];
            let len = socket.read(&mut request).await.unwrap();
            let request = String::from_utf8_lossy(&request[..len]).into_owned();
            let answer = if request.starts_with(&format!("GET /jwt/v1/accounts/{key} ")) {
                format!("HTTP/1.1 200 OK\r\nContent-Type: application/jwt\r\n\r\n{jwt}\n")
            } else {
                "HTTP/1.1 404 Not Found\r\n\r\n".to_owned()
            };
            socket.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    let (_server, addr) = start(&config).await;
    let user = KeyPair::generate(KeyKind::User);
    login(addr, &user_claims(user.public()).sign(&chain.app), &user).await;
    let stranger = KeyPair::generate(KeyKind::Account);
    let raw = knock(
        addr,
        &user_claims(user.public()).sign(&stranger),
        Some(&user),
    )
    .await;
    raw.expect_closed(VIOLATION).await;
}

#[test]
fn configurations_that_cannot_work_are_refused() {
    let chain = Chain::new();
    let good = chain.config(|_| {});
    assert!(OperatorMode::new(&good).is_ok());
    let refused = |change: &dyn Fn(&mut OperatorConfig)| {
        let mut config = good.clone();
        change(&mut config);
        OperatorMode::new(&config)
            .err()
            .map(|error| error.to_string())
    };
    let account = chain.app.public().to_string();
    assert!(refused(&|config| config.operators.clear()).is_some());
    assert!(refused(&|config| config.operators = vec!["nonsense".to_owned()]).is_some());
    assert!(refused(&|config| config.trusted_keys = vec![account.clone()]).is_some());
    assert!(refused(&|config| config.system_account = Some(account.clone())).is_some());
    let https = ResolverConfig::Url {
        url: "ftp://x/".to_owned(),
    };
    assert!(refused(&|config| config.resolver = https.clone()).is_some());
}

async fn update(chain: &Chain, server: &Server, change: impl FnOnce(&mut Claims<AccountClaims>)) {
    let jwt = chain.account(&chain.app, change);
    let subject = format!("$SYS.REQ.ACCOUNT.{}.CLAIMS.UPDATE", chain.app.public());
    let answer = ask(&chain.admin(server), &subject, jwt).await;
    assert_eq!(answer["data"]["message"], "jwt updated", "{answer}");
}

#[tokio::test]
async fn a_revocation_reaches_who_is_connected() {
    let chain = Chain::new();
    let (server, addr) = start(&chain.config(|_| {})).await;
    let [bob, alice] = [(); 2].map(|()| KeyPair::generate(KeyKind::User));
    let raw = login(addr, &user_claims(bob.public()).sign(&chain.app), &bob).await;
    let jwt = user_claims(alice.public()).sign(&chain.app);
    let mut other = login(addr, &jwt, &alice).await;
    let key = bob.public().to_string();
    update(&chain, &server, |claims| {
        claims.nats.revocations.insert(key, now() + 1);
    })
    .await;
    raw.expect_closed("-ERR 'User Authentication Revoked'\r\n")
        .await;
    other.expect_quiet().await;
}

#[tokio::test]
async fn a_signing_key_that_goes_takes_its_users_along() {
    let chain = Chain::new();
    let signer = KeyPair::generate(KeyKind::Account);
    let key = signer.public();
    let (server, addr) = start(&chain.config(|claims| {
        claims.nats.signing_keys = vec![SigningKey::Plain(key)];
    }))
    .await;
    let user = KeyPair::generate(KeyKind::User);
    let mut claims = user_claims(user.public());
    claims.nats.issuer_account = Some(chain.app.public());
    let raw = login(addr, &claims.sign(&signer), &user).await;
    update(&chain, &server, |_| {}).await;
    raw.expect_closed(VIOLATION).await;
}

#[tokio::test]
async fn accounts_share_what_their_claims_say() {
    let chain = Chain::new();
    let importer = KeyPair::generate(KeyKind::Account);
    let mut config = chain.config(|claims| {
        claims.nats.exports = vec![
            export("help", ExportKind::Service),
            export("news.>", ExportKind::Stream),
        ];
    });
    let jwt = chain.account(&importer, |claims| {
        let from = chain.app.public().to_string();
        let import = |subject: &str, local: &str, kind| Import {
            subject: subject.to_owned(),
            account: from.clone(),
            local_subject: local.to_owned(),
            kind,
            ..Import::default()
        };
        claims.nats.imports = vec![
            import("help", "ask", ExportKind::Service),
            import("news.>", "", ExportKind::Stream),
            import("secret", "", ExportKind::Stream),
        ];
    });
    config
        .resolver_preload
        .insert(importer.public().to_string(), jwt);
    let (_server, addr) = start(&config).await;
    let user = KeyPair::generate(KeyKind::User);
    let there = user_claims(user.public()).sign(&chain.app);
    let mut there = login(addr, &there, &user).await;
    let here = user_claims(user.public()).sign(&importer);
    let mut here = login(addr, &here, &user).await;
    there.send("SUB help 1\r\n").await;
    there.expect_quiet().await;
    here.send("SUB inbox 1\r\nSUB news.a 2\r\nSUB secret 3\r\nPUB ask inbox 1\r\n?\r\n")
        .await;
    let request = there.line().await;
    let reply = request.split(' ').nth(3).unwrap().to_owned();
    assert!(request.starts_with("MSG help 1 "), "{request}");
    there.expect("?\r\n").await;
    there
        .send(format!(
            "PUB {reply} 1\r\n!\r\nPUB secret 1\r\ns\r\nPUB news.a 1\r\nn\r\n"
        ))
        .await;
    here.expect("MSG inbox 1 1\r\n!\r\nMSG news.a 2 1\r\nn\r\n")
        .await;
    here.expect_quiet().await;
}

fn export(subject: &str, kind: ExportKind) -> Export {
    Export {
        subject: subject.to_owned(),
        kind,
        ..Export::default()
    }
}

#[tokio::test]
async fn users_and_accounts_have_names_for_people() {
    let chain = Chain::new();
    let (_server, addr) = start(&chain.config(|_| {})).await;
    let user = KeyPair::generate(KeyKind::User);
    let mut raw = login(addr, &user_claims(user.public()).sign(&chain.app), &user).await;
    raw.send("SUB inbox 1\r\nPUB $SYS.REQ.USER.INFO inbox 0\r\n\r\n")
        .await;
    raw.line().await;
    let answer: Value = serde_json::from_str(&raw.line().await).unwrap();
    let data = &answer["data"];
    assert_eq!(data["user"], user.public().to_string());
    assert_eq!(data["account"], chain.app.public().to_string());
    assert_eq!(
        (&data["user_name"], &data["account_name"]),
        (&"bob".into(), &"APP".into())
    );
}
