//! A broker whose users come with JWTs, for suites in other languages: prints one line of JSON that says where it is and
//! what one needs to log in. The end of input ends it.
//!
//! `operator` prints credentials files of an operator it made up; `callout` the keys of the auth service that it asks, which
//! logs in as `auth` with the password `secret`.
#![allow(clippy::print_stdout, reason = "its output is the point")]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use broker::jwt::claims::{
    AccountClaims, OperatorClaims, Scope, SigningKey, UserClaims, UserLimits,
};
use broker::jwt::{
    Callout, CalloutConfig, Claims, CurveKeyPair, KeyKind, KeyPair, OperatorConfig, OperatorMode,
    PublicKey,
};
use broker::{AuthError, Authenticator, Config, ConnectRequest, Identity, Server};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};

#[tokio::main]
async fn main() {
    let mode = std::env::args().nth(1);
    let (server, mut about) = match mode.as_deref() {
        Some("operator") => operator().await,
        Some("callout") => callout(false),
        Some("sealed-callout") => callout(true),
        other => panic!("operator, callout or sealed-callout, not {other:?}"),
    };
    let addr = server.listen_tcp(([127, 0, 0, 1], 0).into()).await;
    about["nats"] = json!(format!("nats://{}", addr.expect("a free port")));
    println!("{about}");
    let mut input = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(_)) = input.next_line().await {}
    server.shutdown().await;
}

/// A credentials file: what a user's JWT looks like to those who carry it about.
fn credentials(jwt: &str, user: &KeyPair) -> String {
    format!(
        "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
        user.seed()
    )
}

fn user(name: &str, change: impl FnOnce(&mut Claims<UserClaims>)) -> (KeyPair, Claims<UserClaims>) {
    let key = KeyPair::generate(KeyKind::User);
    let mut claims = Claims::new(key.public(), UserClaims::new(UserLimits::unlimited()));
    name.clone_into(&mut claims.name);
    change(&mut claims);
    (key, claims)
}

async fn operator() -> (Server, Value) {
    let [operator, app, system, scope, stranger] = [
        KeyKind::Operator,
        KeyKind::Account,
        KeyKind::Account,
        KeyKind::Account,
        KeyKind::Account,
    ]
    .map(KeyPair::generate);
    let mut claims = OperatorClaims::default();
    claims.system_account = Some(system.public());
    let config = OperatorConfig {
        operators: vec![Claims::new(operator.public(), claims).sign(&operator)],
        resolver_preload: [
            (
                app.public().to_string(),
                app_claims(&app, scope.public()).sign(&operator),
            ),
            (
                system.public().to_string(),
                Claims::new(system.public(), AccountClaims::default()).sign(&operator),
            ),
        ]
        .into(),
        ..OperatorConfig::default()
    };
    let mode = OperatorMode::new(&config).expect("a good configuration");
    let server = Server::new(Config::default(), Arc::new(mode.clone()), None);
    mode.start(&server).await.expect("good accounts");

    let (bob, claims) = user("bob", |_| {});
    let bob_creds = credentials(&claims.clone().sign(&app), &bob);
    let stranger_creds = credentials(&claims.sign(&stranger), &bob);
    let (short, claims) = user("short", |claims| claims.exp = claims.iat + 3);
    let short_creds = credentials(&claims.sign(&app), &short);
    let (scoped, claims) = user("carol", |claims| {
        claims.nats.limits = UserLimits::default();
        claims.nats.issuer_account = Some(app.public());
    });
    let scoped_creds = credentials(&claims.sign(&scope), &scoped);
    let (_, claims) = user("bearer", |claims| claims.nats.limits.bearer_token = true);
    let about = json!({
        "credentials": bob_creds,
        "stranger": stranger_creds,
        "short": short_creds,
        "scoped": scoped_creds,
        "bearer": claims.sign(&app),
        "account": app.public().to_string(),
    });
    (server, about)
}

/// An account with a scoped signing key: its users publish below `me.<their name>` only.
fn app_claims(app: &KeyPair, scope: PublicKey) -> Claims<AccountClaims> {
    let mut template = UserLimits::unlimited();
    template.permissions.publish.allow = vec!["me.{{name()}}.>".to_owned()];
    let mut claims = Claims::new(app.public(), AccountClaims::default());
    claims.nats.signing_keys = vec![SigningKey::Scoped(Box::new(Scope {
        kind: "user_scope".to_owned(),
        key: scope,
        role: "only itself".to_owned(),
        template,
    }))];
    claims
}

fn callout(is_sealed: bool) -> (Server, Value) {
    let issuer = KeyPair::generate(KeyKind::Account);
    let curve = CurveKeyPair::generate();
    let config = CalloutConfig {
        issuer: issuer.public().to_string(),
        account: "AUTH".to_owned(),
        auth_users: vec!["auth".to_owned()],
        xkey: is_sealed.then(|| curve.public().to_string()),
        allowed_accounts: Vec::new(),
    };
    let callout = Callout::external(config, Arc::new(Users)).expect("a good configuration");
    // A service in a browser's language on a busy machine takes its time.
    let config = Config {
        auth_timeout: Duration::from_secs(20),
        ..Config::default()
    };
    let server = Server::new(config, Arc::new(callout), None);
    // The account that users are put into.
    drop(server.client("APP", &Identity::new("", "APP")));
    let about = json!({
        "issuer": issuer.seed(),
        "curve": curve.seed(),
        "account": "APP",
    });
    (server, about)
}

/// The auth service, and nobody else.
struct Users;

#[async_trait]
impl Authenticator for Users {
    async fn authenticate(&self, request: ConnectRequest) -> Result<Identity, AuthError> {
        match (request.user.as_deref(), request.pass.as_deref()) {
            (Some("auth"), Some("secret")) => Ok(Identity::new("auth", "AUTH")),
            _ => Err(AuthError::new("unknown user")),
        }
    }
}
