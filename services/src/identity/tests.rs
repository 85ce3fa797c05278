//! Sessions and the connections that hang on them.

use std::net::{IpAddr, SocketAddr};

use broker::jwt::Callout;
use broker::{Authenticator, ConnectRequest, ConnectionKind};

use super::*;
use crate::auth::{AuthService, CHAT_ACCOUNT};

struct Fixture {
    dir: tempfile::TempDir,
    identity: Arc<Identity>,
}

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

impl Fixture {
    async fn open() -> Self {
        Self::with(Config::default().for_demo()).await
    }

    async fn with(config: Config) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let db = ChatDb::open(&dir.path().join("chat.sqlite3"))
            .await
            .unwrap();
        seed_demo_users(&db).await.unwrap();
        let identity = Identity::open(db, dir.path(), config).await.unwrap();
        Self { dir, identity }
    }

    async fn tokens(&self, username: &str) -> TokenResponse {
        let request = TokenRequest {
            grant_type: "password".to_owned(),
            client_id: DEMO_CLIENT_ID.to_owned(),
            username: username.to_owned(),
            password: format!("{username}123"),
            ..TokenRequest::default()
        };
        let caller = Caller {
            origin: "http://localhost:8080".to_owned(),
            address: HERE,
        };
        self.identity.token(request, &caller).await.unwrap()
    }

    fn callout(&self) -> Callout {
        Callout::built_in(Arc::new(AuthService::new(Arc::clone(&self.identity))))
    }

    async fn connect(&self, token: &str) -> Result<broker::Identity, broker::AuthError> {
        self.callout().authenticate(connect(Some(token))).await
    }

    /// What the command line is: another handle on the same file.
    async fn other_process(&self) -> Accounts {
        Accounts::new(
            ChatDb::open(&self.dir.path().join("chat.sqlite3"))
                .await
                .unwrap(),
        )
    }
}

fn connect(token: Option<&str>) -> ConnectRequest {
    let peer = SocketAddr::from(([127, 0, 0, 1], 1));
    ConnectRequest {
        auth_token: token.map(str::to_owned),
        ..ConnectRequest::new(1, peer, ConnectionKind::Tcp)
    }
}

fn bob() -> UserName {
    UserName::parse("bob").unwrap()
}

#[tokio::test]
async fn a_token_opens_a_connection_with_the_users_rights() {
    let fixture = Fixture::open().await;
    let bob = fixture
        .connect(&fixture.tokens("bob").await.access_token)
        .await
        .unwrap();
    assert_eq!(
        (bob.user.as_str(), bob.account.as_str()),
        ("bob", CHAT_ACCOUNT)
    );
    assert_eq!(bob.tags, ["user"]);
    assert!(bob.expires_at.unwrap() <= SystemTime::now() + Duration::from_secs(15 * 60));
    let publish = bob.permissions.publish.allow.unwrap();
    assert!(
        publish.contains(&"deliver.bob.send.>".to_owned())
            && !publish.contains(&"admin.>".to_owned())
    );
    let mike = fixture
        .connect(&fixture.tokens("mike").await.access_token)
        .await
        .unwrap();
    assert!(
        !mike
            .permissions
            .publish
            .allow
            .unwrap()
            .iter()
            .any(|subject| subject.contains("send"))
    );
}

#[tokio::test]
async fn only_our_own_living_access_tokens_are_good() {
    let fixture = Fixture::open().await;
    let tokens = fixture.tokens("bob").await;
    let stranger = Fixture::open().await.tokens("bob").await.access_token;
    let mut forged = tokens.access_token.clone();
    forged.replace_range(forged.len() - 10..forged.len() - 6, "AAAA");
    for bad in [
        "",
        "x",
        &tokens.id_token,
        &tokens.refresh_token,
        &stranger,
        &forged,
    ] {
        assert!(fixture.connect(bad).await.is_err());
    }
    let callout = fixture.callout();
    assert!(callout.authenticate(connect(None)).await.is_err());
    assert!(fixture.connect(&tokens.access_token).await.is_ok());
}

#[tokio::test]
async fn an_expired_token_is_refused() {
    let config = Config {
        access_token_lifetime: Duration::ZERO,
        ..Config::default().for_demo()
    };
    let fixture = Fixture::with(config).await;
    let refused = fixture
        .connect(&fixture.tokens("bob").await.access_token)
        .await
        .unwrap_err();
    assert_eq!(refused.reason, "token has expired");
}

#[tokio::test]
async fn a_token_of_another_address_is_refused() {
    let fixture = Fixture::open().await;
    let request = TokenRequest {
        grant_type: "password".to_owned(),
        client_id: DEMO_CLIENT_ID.to_owned(),
        username: "bob".to_owned(),
        password: "bob123".to_owned(),
        ..TokenRequest::default()
    };
    let caller = Caller {
        origin: "https://elsewhere.example".to_owned(),
        address: HERE,
    };
    let token = fixture
        .identity
        .token(request, &caller)
        .await
        .unwrap()
        .access_token;
    assert_eq!(
        fixture.connect(&token).await.unwrap_err().reason,
        "token has another issuer"
    );
}

#[tokio::test]
async fn signing_out_cuts_connections_off() {
    let fixture = Fixture::open().await;
    let tokens = fixture.tokens("bob").await;
    let revoked = fixture
        .connect(&tokens.access_token)
        .await
        .unwrap()
        .revoked
        .unwrap();
    let other = fixture
        .connect(&fixture.tokens("bob").await.access_token)
        .await
        .unwrap()
        .revoked
        .unwrap();
    fixture
        .identity
        .end_session(&tokens.session_state)
        .await
        .unwrap();
    assert!(revoked.is_cancelled());
    assert!(
        !other.is_cancelled(),
        "another session of the same user lives on"
    );
    assert!(fixture.connect(&tokens.access_token).await.is_err());
}

#[tokio::test]
async fn disabling_in_another_process_cuts_connections_off() {
    let fixture = Fixture::open().await;
    let token = fixture.tokens("bob").await.access_token;
    let revoked = fixture.connect(&token).await.unwrap().revoked.unwrap();
    let cli = fixture.other_process().await;
    cli.disable(&bob()).await.unwrap();
    revoked.cancelled().await;
    assert!(fixture.connect(&token).await.is_err());
    let refused = fixture
        .identity
        .sign_in("bob", "bob123", HERE)
        .await
        .unwrap_err();
    assert!(matches!(refused, SignInError::Disabled));
    cli.enable(&bob()).await.unwrap();
    assert!(
        fixture.connect(&token).await.is_err(),
        "the old session stays dead"
    );
    assert!(
        fixture
            .identity
            .sign_in("bob", "bob123", HERE)
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_new_role_reaches_connections_without_a_new_token() {
    let fixture = Fixture::open().await;
    let token = fixture.tokens("bob").await.access_token;
    let revoked = fixture.connect(&token).await.unwrap().revoked.unwrap();
    fixture
        .other_process()
        .await
        .add_role(&bob(), Role::Admin)
        .await
        .unwrap();
    revoked.cancelled().await;
    let back = fixture.connect(&token).await.unwrap();
    assert_eq!(back.tags, ["admin", "user"]);
    assert!(
        back.permissions
            .publish
            .allow
            .unwrap()
            .contains(&"admin.>".to_owned())
    );
}

#[tokio::test]
async fn changes_in_this_process_reach_connections_too() {
    let fixture = Fixture::open().await;
    let token = fixture.tokens("bob").await.access_token;
    let revoked = fixture.connect(&token).await.unwrap().revoked.unwrap();
    fixture
        .identity
        .set_password(&bob(), "a new password")
        .await
        .unwrap();
    assert!(revoked.is_cancelled());
    assert!(
        fixture
            .identity
            .sign_in("bob", "bob123", HERE)
            .await
            .is_err()
    );
    assert!(
        fixture
            .identity
            .sign_in(" Bob ", "a new password", HERE)
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn an_idle_session_ends() {
    let config = Config {
        session_idle_max: Duration::ZERO,
        ..Config::default().for_demo()
    };
    let fixture = Fixture::with(config).await;
    let signed_in = fixture
        .identity
        .sign_in("bob", "bob123", HERE)
        .await
        .unwrap();
    assert!(
        fixture
            .identity
            .session_by_cookie(signed_in.cookie.as_str())
            .await
            .unwrap()
            .is_none()
    );
    fixture
        .identity
        .expire_sessions(SystemTime::now() + Duration::from_secs(1))
        .await
        .unwrap();
    assert!(
        fixture
            .identity
            .db
            .session(&signed_in.session.id)
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn a_session_survives_a_restart_and_its_keys_too() {
    let fixture = Fixture::open().await;
    let tokens = fixture.tokens("bob").await;
    fixture.identity.close().await;
    fixture.identity.db.clone().close().await;
    let db = ChatDb::open(&fixture.dir.path().join("chat.sqlite3"))
        .await
        .unwrap();
    let identity = Identity::open(db, fixture.dir.path(), Config::default().for_demo())
        .await
        .unwrap();
    assert!(identity.admit(&tokens.access_token).await.unwrap().is_ok());
}
