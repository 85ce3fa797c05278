//! Configured users on a real socket: passwords, tokens, nkeys, connection types, default permissions, and what is said to
//! those who are refused. The texts are nats-server's.

mod support;

use std::net::SocketAddr;

use broker::accounts::{
    AccountConfig, AccountsConfig, ConfiguredUsers, ConnectionType, Credential, PublishRate,
    UserConfig,
};
use broker::jwt::{KeyKind, KeyPair};
use broker::{Config, Permissions, Server, SubjectPermissions};
use support::Raw;

/// Of "secret", at the lowest cost that bcrypt has.
fn hash() -> String {
    bcrypt::hash("secret", 4).expect("a hash")
}

async fn serve_with(settings: Config, config: &AccountsConfig) -> (Server, SocketAddr) {
    let users = ConfiguredUsers::new(config).expect("a configuration");
    let server = Server::new(settings, users, None);
    server
        .configure_accounts(config)
        .await
        .expect("a configuration");
    let addr = server
        .listen_tcp(([127, 0, 0, 1], 0).into())
        .await
        .expect("a free port");
    (server, addr)
}

async fn serve(config: &AccountsConfig) -> (Server, SocketAddr) {
    serve_with(Config::default(), config).await
}

fn users(users: Vec<UserConfig>) -> AccountsConfig {
    AccountsConfig {
        users,
        ..AccountsConfig::default()
    }
}

#[track_caller]
fn accepted(addr: SocketAddr, options: &str) -> impl Future<Output = Raw> + '_ {
    let caller = std::panic::Location::caller();
    async move {
        let mut raw = Raw::open(addr).await;
        raw.send(format!(
            "CONNECT {{\"verbose\":false,\"pedantic\":false,{options}}}\r\nPING\r\n"
        ))
        .await;
        assert_eq!(raw.line().await, "PONG", "{caller}: {options}");
        raw
    }
}

#[track_caller]
fn refused(addr: SocketAddr, options: &str) -> impl Future<Output = ()> + '_ {
    let caller = std::panic::Location::caller();
    async move {
        let mut raw = Raw::open(addr).await;
        raw.send(format!("CONNECT {{{options}}}\r\nPING\r\n")).await;
        let said = raw.rest().await;
        assert_eq!(
            said, "-ERR 'Authorization Violation'\r\n",
            "{caller}: {options}"
        );
    }
}

/// The nonce that INFO offers.
async fn open_with_nonce(addr: SocketAddr) -> (Raw, String) {
    let (raw, info) = Raw::open_with_info(addr).await;
    let json = info.strip_prefix("INFO ").expect("INFO");
    let info: serde_json::Value = serde_json::from_str(json).expect("JSON");
    let nonce = info["nonce"].as_str().expect("a nonce").to_owned();
    (raw, nonce)
}

#[tokio::test]
async fn without_users_everybody_is_let_in() {
    let (_server, addr) = serve(&AccountsConfig::default()).await;
    accepted(addr, "\"echo\":true").await;
    accepted(addr, r#""user":"any","pass":"thing""#).await;
}

#[tokio::test]
async fn passwords_plain_and_hashed() {
    let config = users(vec![
        UserConfig::with_password("plain", "secret"),
        UserConfig::with_password("hashed", hash()),
    ]);
    let (_server, addr) = serve(&config).await;
    for user in ["plain", "hashed"] {
        for _ in 0..2 {
            accepted(addr, &format!(r#""user":"{user}","pass":"secret""#)).await;
            refused(addr, &format!(r#""user":"{user}","pass":"other""#)).await;
        }
        refused(addr, &format!(r#""user":"{user}""#)).await;
    }
    refused(addr, r#""user":"nobody","pass":"secret""#).await;
    refused(addr, r#""auth_token":"secret""#).await;
}

#[tokio::test]
async fn item_126_once_users_exist_credentials_are_needed() {
    let (_server, addr) = serve(&users(vec![UserConfig::with_password("a", "p")])).await;
    refused(addr, "\"echo\":true").await;
    let account = AccountConfig {
        users: vec![UserConfig::with_password("b", "p")],
        ..AccountConfig::new("B")
    };
    let config = AccountsConfig {
        accounts: vec![account],
        ..AccountsConfig::default()
    };
    let (_server, addr) = serve(&config).await;
    refused(addr, "\"echo\":true").await;
    accepted(addr, r#""user":"b","pass":"p""#).await;
}

#[tokio::test]
async fn tokens_plain_and_hashed() {
    for token in ["secret".to_owned(), hash()] {
        let config = AccountsConfig {
            token: Some(token.into()),
            ..AccountsConfig::default()
        };
        let (_server, addr) = serve(&config).await;
        accepted(addr, r#""auth_token":"secret""#).await;
        refused(addr, r#""auth_token":"other""#).await;
        refused(addr, "\"echo\":true").await;
    }
}

#[tokio::test]
async fn items_41_and_42_no_auth_user_is_for_those_who_show_nothing() {
    let mut config = users(vec![
        UserConfig::with_password("a", "p"),
        UserConfig::with_password("guest", "p"),
    ]);
    config.no_auth_user = Some("guest".to_owned());
    let (server, addr) = serve(&config).await;
    let (mut raw, info) = Raw::open_with_info(addr).await;
    assert!(!info.contains("auth_required"), "{info}");
    raw.send("CONNECT {\"verbose\":false}\r\nPING\r\n").await;
    raw.expect("PONG\r\n").await;
    assert_eq!(server.connections()[0].user.as_deref(), Some("guest"));
    refused(addr, r#""user":"a","pass":"wrong""#).await;
    refused(addr, r#""pass":"p""#).await;
    refused(addr, r#""auth_token":"x""#).await;
    accepted(addr, r#""user":"a","pass":"p""#).await;
    let config = AccountsConfig {
        no_auth_user: Some("nobody".to_owned()),
        ..users(vec![UserConfig::with_password("a", "p")])
    };
    assert!(ConfiguredUsers::new(&config).is_err());
}

#[tokio::test]
async fn item_44_nkeys_sign_the_nonce_s_text_in_both_alphabets() {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

    let key = KeyPair::generate(KeyKind::User);
    let stranger = KeyPair::generate(KeyKind::User);
    let config = users(vec![UserConfig::with_nkey(key.public().to_string())]);
    let (_server, addr) = serve(&config).await;
    let connect = |public: String, signature: String| {
        format!(
            "CONNECT {{\"verbose\":false,\"nkey\":\"{public}\",\"sig\":\"{signature}\"}}\r\nPING\r\n"
        )
    };
    let (mut raw, nonce) = open_with_nonce(addr).await;
    let signature = URL_SAFE_NO_PAD.encode(key.sign(nonce.as_bytes()));
    raw.send(connect(key.public().to_string(), signature)).await;
    raw.expect("PONG\r\n").await;
    let (mut raw, nonce) = open_with_nonce(addr).await;
    let signature = STANDARD.encode(key.sign(nonce.as_bytes()));
    raw.send(connect(key.public().to_string(), signature)).await;
    raw.expect("PONG\r\n").await;
    let violation = "-ERR 'Authorization Violation'\r\n";
    // Another key's signature, another nonce, and another key altogether.
    let (mut raw, nonce) = open_with_nonce(addr).await;
    let signature = URL_SAFE_NO_PAD.encode(stranger.sign(nonce.as_bytes()));
    raw.send(connect(key.public().to_string(), signature)).await;
    raw.expect_closed(violation).await;
    let (mut raw, _) = open_with_nonce(addr).await;
    let signature = URL_SAFE_NO_PAD.encode(key.sign(nonce.as_bytes()));
    raw.send(connect(key.public().to_string(), signature)).await;
    raw.expect_closed(violation).await;
    let (mut raw, nonce) = open_with_nonce(addr).await;
    let signature = URL_SAFE_NO_PAD.encode(stranger.sign(nonce.as_bytes()));
    raw.send(connect(stranger.public().to_string(), signature))
        .await;
    raw.expect_closed(violation).await;
    let misspelled = users(vec![UserConfig::with_nkey("UABC")]);
    assert!(ConfiguredUsers::new(&misspelled).is_err());
}

#[tokio::test]
async fn connection_types_restrict_how_a_user_comes() {
    let mut web = UserConfig::with_password("web", "p");
    web.connection_types = vec![ConnectionType::Websocket];
    let mut both = UserConfig::with_password("both", "p");
    both.connection_types = vec![ConnectionType::Websocket, ConnectionType::Standard];
    let (_server, addr) = serve(&users(vec![web, both])).await;
    refused(addr, r#""user":"web","pass":"p""#).await;
    accepted(addr, r#""user":"both","pass":"p""#).await;
    assert_eq!("websocket".parse(), Ok(ConnectionType::Websocket));
    assert!("carrier pigeon".parse::<ConnectionType>().is_err());
}

#[tokio::test]
async fn default_permissions_are_for_users_without_their_own() {
    let only = |subject: &str| Permissions {
        publish: SubjectPermissions {
            allow: Some(vec![subject.to_owned()]),
            deny: Vec::new(),
        },
        ..Permissions::default()
    };
    let own = UserConfig {
        permissions: Some(only("own")),
        ..UserConfig::with_password("own", "p")
    };
    let mut config = users(vec![UserConfig::with_password("default", "p"), own]);
    config.default_permissions = Some(only("default"));
    let (_server, addr) = serve(&config).await;
    for (user, denied) in [("default", "own"), ("own", "default")] {
        let mut raw = accepted(addr, &format!(r#""user":"{user}","pass":"p""#)).await;
        raw.send(format!("PUB {user} 0\r\n\r\nPUB {denied} 0\r\n\r\n"))
            .await;
        let line = raw.line().await;
        assert_eq!(
            line,
            format!("-ERR 'Permissions Violation for Publish to \"{denied}\"'")
        );
        raw.expect_quiet().await;
    }
}

#[tokio::test]
async fn a_certificate_user_has_no_password() {
    let mut user = UserConfig::with_password("CN=x", "");
    user.credential = Credential::Certificate;
    let (_server, addr) = serve(&users(vec![user])).await;
    refused(addr, r#""user":"CN=x","pass":"""#).await;
    refused(addr, r#""user":"CN=x""#).await;
}

#[tokio::test]
async fn a_name_is_one_user_over_all_accounts() {
    let account = |name: &str| AccountConfig {
        users: vec![UserConfig::with_password("a", "p")],
        ..AccountConfig::new(name)
    };
    let config = AccountsConfig {
        accounts: vec![account("A"), account("B")],
        ..AccountsConfig::default()
    };
    let error = ConfiguredUsers::new(&config).expect_err("two users of one name");
    assert_eq!(error.to_string(), "duplicate user \"a\" detected");
}

#[tokio::test]
async fn a_reason_stands_behind_the_standard_text_if_asked_for() {
    let settings = Config {
        auth_error_reasons: true,
        ..Config::default()
    };
    let config = users(vec![UserConfig::with_password("a", "p")]);
    let (_server, addr) = serve_with(settings, &config).await;
    for (options, reason) in [
        (r#""user":"a","pass":"x""#, "wrong password"),
        (r#""user":"b","pass":"x""#, "user unknown"),
        (r#""echo":true"#, "no credentials"),
    ] {
        let mut raw = Raw::open(addr).await;
        raw.send(format!("CONNECT {{{options}}}\r\n")).await;
        let said = raw.rest().await;
        assert_eq!(
            said,
            format!("-ERR 'Authorization Violation: {reason}'\r\n")
        );
    }
}

#[tokio::test]
async fn who_publishes_faster_than_allowed_is_read_more_slowly() {
    let mut user = UserConfig::with_password("a", "p");
    user.publish_rate = Some(PublishRate {
        messages: 100,
        bytes: 0,
        burst_messages: 10,
    });
    let (_server, addr) = serve(&users(vec![user])).await;
    let mut raw = accepted(addr, r#""user":"a","pass":"p""#).await;
    let started = std::time::Instant::now();
    raw.send("SUB x 1\r\n").await;
    for _ in 0..3 {
        raw.send("PUB x 0\r\n\r\n".repeat(10)).await;
        raw.expect(&"MSG x 1 0\r\n\r\n".repeat(10)).await;
    }
    // Ten at once, then a hundred a second: nothing is lost, and the last ten had to wait.
    assert!(started.elapsed() >= std::time::Duration::from_millis(100));
}
