//! The auth callout on a real socket, with a service in this process: one test per line of nats-server's behaviour.

mod support;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use broker::jwt::claims::{
    AuthorizationRequest, AuthorizationResponse, ResponseClaim, UserClaims, UserLimits,
};
use broker::jwt::{Callout, CalloutConfig, Claims, CurveKeyPair, KeyKind, KeyPair, PublicKey};
use broker::{
    AuthError, Authenticator, Client, Config, ConnectRequest, ConnectionKind, Identity, Message,
    SYSTEM_ACCOUNT, Server, Subscription,
};
use support::{Raw, server_with};

const SUBJECT: &str = "$SYS.REQ.USER.AUTH";
const VIOLATION: &str = "-ERR 'Authorization Violation'\r\n";

/// The configured users: the service's own, and one that was there before the callout.
struct Users;

#[async_trait]
impl Authenticator for Users {
    async fn authenticate(&self, request: ConnectRequest) -> Result<Identity, AuthError> {
        match (request.user.as_deref(), request.pass.as_deref()) {
            (Some("auth"), Some("secret")) => Ok(Identity::new("auth", "AUTH")),
            (Some("static"), Some("secret")) => Ok(Identity::new("static", "APP")),
            (Some("asked"), Some("secret")) => Ok(Identity::new("asked", "ASKED")),
            _ => Err(AuthError::new("unknown user")),
        }
    }
}

struct Fixture {
    server: Server,
    addr: SocketAddr,
    callout: Arc<Callout>,
    issuer: Arc<KeyPair>,
    curve: Option<Arc<CurveKeyPair>>,
    service: Client,
    requests: Subscription,
}

impl Fixture {
    async fn new() -> Self {
        Self::with(false, Duration::from_secs(5)).await
    }

    async fn with(sealed: bool, auth_timeout: Duration) -> Self {
        let issuer = Arc::new(KeyPair::generate(KeyKind::Account));
        let curve = sealed.then(|| Arc::new(CurveKeyPair::generate()));
        let config = CalloutConfig {
            issuer: issuer.public().to_string(),
            account: "AUTH".to_owned(),
            auth_users: vec!["auth".to_owned()],
            xkey: curve.as_ref().map(|curve| curve.public().to_string()),
            allowed_accounts: vec!["ASKED".to_owned()],
        };
        let callout = Arc::new(Callout::external(config, Arc::new(Users)).unwrap());
        let config = Config {
            auth_timeout,
            ..Config::default()
        };
        let (server, addr) = server_with(config, callout.clone()).await;
        // The account that users are put into.
        drop(server.client("APP", &Identity::new("", "APP")));
        let service = server.client("AUTH", &Identity::new("", "AUTH"));
        let requests = service.subscribe(SUBJECT).unwrap();
        Self {
            server,
            addr,
            callout,
            issuer,
            curve,
            service,
            requests,
        }
    }

    /// Opens the next request.
    async fn next(&mut self) -> (Message, Claims<AuthorizationRequest>) {
        let message = self.requests.next().await.expect("a request");
        let text = match (&self.curve, message.headers.value("Nats-Server-Xkey")) {
            (Some(curve), Some(sender)) => {
                let sender = PublicKey::parse_as(sender, KeyKind::Curve).unwrap();
                assert!(message.payload.starts_with(b"xkv1"));
                String::from_utf8(curve.open(&message.payload, &sender).unwrap()).unwrap()
            }
            (None, None) => String::from_utf8(message.payload.to_vec()).unwrap(),
            other => panic!("{other:?}"),
        };
        let request = Claims::decode(&text).unwrap();
        (message, request)
    }

    /// A user JWT for the request, for the account APP.
    fn user(&self, request: &Claims<AuthorizationRequest>) -> Claims<UserClaims> {
        let nats = UserClaims::new(UserLimits::unlimited());
        let mut user = Claims::new(request.nats.user_nkey, nats);
        "APP".clone_into(&mut user.aud);
        "bobby".clone_into(&mut user.name);
        user
    }

    fn response(
        request: &Claims<AuthorizationRequest>,
        nats: AuthorizationResponse,
    ) -> Claims<AuthorizationResponse> {
        let mut response = Claims::new(request.nats.user_nkey, nats);
        response.aud = request.nats.server_id.id.to_string();
        response
    }

    fn accept(&self, request: &Claims<AuthorizationRequest>, user: Claims<UserClaims>) -> String {
        let jwt = user.sign(&self.issuer);
        Self::response(request, AuthorizationResponse::accept(jwt)).sign(&self.issuer)
    }

    /// A client connects; the service answers its request so.
    async fn login(
        &mut self,
        answer: impl FnOnce(&Self, &Claims<AuthorizationRequest>) -> String,
    ) -> Raw {
        let raw = knock(self.addr, "bob", "sec").await;
        let (message, request) = self.next().await;
        let answer = answer(self, &request);
        self.service.respond(&message, answer).unwrap();
        raw
    }

    /// The service answers with a good user that was changed so, and the client is let in.
    async fn login_as(&mut self, change: impl FnOnce(&mut Claims<UserClaims>)) -> Raw {
        let mut raw = self
            .login(|fixture, request| {
                let mut user = fixture.user(request);
                change(&mut user);
                fixture.accept(request, user)
            })
            .await;
        raw.expect("PONG\r\n").await;
        raw
    }
}

/// Sends CONNECT and a PING.
async fn knock(addr: SocketAddr, user: &str, pass: &str) -> Raw {
    let mut raw = Raw::open(addr).await;
    raw.send(format!(
        "CONNECT {{\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true,\
         \"user\":\"{user}\",\"pass\":\"{pass}\",\"name\":\"cname\",\"lang\":\"x\"}}\r\nPING\r\n"
    ))
    .await;
    raw
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

#[tokio::test]
async fn item_01_who_is_accepted_is_the_user_of_the_answer() {
    let mut fixture = Fixture::new().await;
    let mut raw = knock(fixture.addr, "bob", "sec").await;
    let (message, request) = fixture.next().await;
    let reply = message.reply.as_ref().unwrap();
    assert!(reply.as_str().starts_with("$SYS._INBOX."), "{reply:?}");
    assert_eq!(request.aud, "nats-authorization-request");
    assert_eq!(request.sub, fixture.issuer.public());
    assert_eq!(request.iss, request.nats.server_id.id);
    assert_eq!(request.iss.to_string(), fixture.server.snapshot().server_id);
    assert!(request.exp > request.iat);
    let connect = &request.nats.connect_opts;
    assert_eq!(
        (&*connect.user, &*connect.pass, &*connect.name),
        ("bob", "sec", "cname")
    );
    let info = &request.nats.client_info;
    assert_eq!((&*info.host, &*info.user), ("127.0.0.1", "bob"));
    assert_eq!((&*info.kind, &*info.connection_type), ("Client", "nats"));
    let answer = fixture.accept(&request, fixture.user(&request));
    fixture.service.respond(&message, answer).unwrap();
    raw.expect("PONG\r\n").await;
    let all = fixture.server.connections();
    let account = all[0].account.as_deref();
    assert_eq!(
        (all[0].user.as_deref(), account),
        (Some("bobby"), Some("APP"))
    );
}

#[tokio::test]
async fn items_02_to_04_errors_and_nonsense_refuse() {
    let mut fixture = Fixture::new().await;
    let refusal = |_: &Fixture, request: &Claims<AuthorizationRequest>| {
        let nats = AuthorizationResponse::refuse("not today");
        let issuer = KeyPair::generate(KeyKind::Account);
        Fixture::response(request, nats).sign(&issuer)
    };
    let raw = fixture.login(refusal).await;
    raw.expect_closed(VIOLATION).await;
    for answer in [
        "",
        "garbage",
        "a.b.c",
        "xkv1aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    ] {
        let raw = fixture.login(|_, _| answer.to_owned()).await;
        raw.expect_closed(VIOLATION).await;
    }
    // A user JWT without the response around it.
    let bare = |fixture: &Fixture, request: &Claims<AuthorizationRequest>| {
        fixture.user(request).sign(&fixture.issuer)
    };
    fixture.login(bare).await.expect_closed(VIOLATION).await;
}

#[tokio::test]
async fn item_05_no_answer_in_time_is_a_violation() {
    let fixture = Fixture::with(false, Duration::from_millis(100)).await;
    let raw = knock(fixture.addr, "bob", "sec").await;
    raw.expect_closed(VIOLATION).await;
    // Nobody listens: it takes the same time and ends the same way.
    fixture.requests.drain();
    let begin = std::time::Instant::now();
    knock(fixture.addr, "bob", "sec")
        .await
        .expect_closed(VIOLATION)
        .await;
    assert!(begin.elapsed() >= Duration::from_millis(100));
}

#[tokio::test]
async fn item_06_an_answer_that_comes_too_late_is_nobodys() {
    let mut fixture = Fixture::with(false, Duration::from_millis(100)).await;
    let raw = knock(fixture.addr, "bob", "sec").await;
    let (late, request) = fixture.next().await;
    raw.expect_closed(VIOLATION).await;
    let answer = fixture.accept(&request, fixture.user(&request));
    fixture.service.respond(&late, answer.clone()).unwrap();
    // It does not fit the next one either.
    let raw = fixture.login(|_, _| answer).await;
    raw.expect_closed(VIOLATION).await;
}

#[tokio::test]
async fn item_07_the_first_of_two_answers_counts() {
    let mut fixture = Fixture::new().await;
    let mut raw = knock(fixture.addr, "bob", "sec").await;
    let (message, request) = fixture.next().await;
    let good = fixture.accept(&request, fixture.user(&request));
    let bad = AuthorizationResponse::refuse("no");
    let bad = Fixture::response(&request, bad).sign(&fixture.issuer);
    fixture.service.respond(&message, good).unwrap();
    fixture.service.respond(&message, bad).unwrap();
    raw.expect("PONG\r\n").await;
    raw.expect_quiet().await;
}

#[tokio::test]
async fn item_08_whatever_does_not_fit_the_request_refuses() {
    type Change = fn(&mut Claims<UserClaims>);
    let mut fixture = Fixture::new().await;
    let users: [(&str, Change); 6] = [
        ("another user", |user| {
            user.sub = KeyPair::generate(KeyKind::User).public();
        }),
        ("no account", |user| user.aud.clear()),
        ("an unknown account", |user| {
            "NOWHERE".clone_into(&mut user.aud)
        }),
        ("an issuer account", |user| {
            user.nats.issuer_account = Some(KeyPair::generate(KeyKind::Account).public());
        }),
        ("expired", |user| user.exp = now() - 1),
        ("not begun", |user| user.nbf = now() + 100),
    ];
    for (what, change) in users {
        let raw = fixture
            .login(|fixture, request| {
                let mut user = fixture.user(request);
                change(&mut user);
                fixture.accept(request, user)
            })
            .await;
        assert_eq!(raw.rest().await, VIOLATION, "{what}");
    }
    type Response = fn(&mut Claims<AuthorizationResponse>);
    let responses: [(&str, Response); 4] = [
        ("no audience", |response| response.aud.clear()),
        ("another server", |response| {
            response.aud = KeyPair::generate(KeyKind::Server).public().to_string();
        }),
        ("an account as audience", |response| {
            "APP".clone_into(&mut response.aud)
        }),
        ("another request", |response| {
            response.sub = KeyPair::generate(KeyKind::User).public();
        }),
    ];
    for (what, change) in responses {
        let raw = fixture
            .login(|fixture, request| {
                let jwt = fixture.user(request).sign(&fixture.issuer);
                let nats = AuthorizationResponse::accept(jwt);
                let mut response = Fixture::response(request, nats);
                change(&mut response);
                response.sign(&fixture.issuer)
            })
            .await;
        assert_eq!(raw.rest().await, VIOLATION, "{what}");
    }
    let stranger = KeyPair::generate(KeyKind::Account);
    let raw = fixture
        .login(|fixture, request| {
            let jwt = fixture.user(request).sign(&fixture.issuer);
            Fixture::response(request, AuthorizationResponse::accept(jwt)).sign(&stranger)
        })
        .await;
    raw.expect_closed(VIOLATION).await;
    let raw = fixture
        .login(|fixture, request| {
            let jwt = fixture.user(request).sign(&stranger);
            Fixture::response(request, AuthorizationResponse::accept(jwt)).sign(&fixture.issuer)
        })
        .await;
    raw.expect_closed(VIOLATION).await;
}

#[tokio::test]
async fn item_09_the_connection_ends_with_the_claims() {
    let mut fixture = Fixture::new().await;
    let raw = fixture.login_as(|user| user.exp = now() + 2).await;
    raw.expect_closed("-ERR 'User Authentication Expired'\r\n")
        .await;
}

#[tokio::test]
async fn item_10_permissions_are_those_of_the_claims() {
    let mut fixture = Fixture::new().await;
    let mut raw = fixture
        .login_as(|user| {
            let permissions = &mut user.nats.limits.permissions;
            permissions.publish.allow = vec!["ok.>".to_owned()];
            permissions.publish.deny = vec!["ok.no".to_owned()];
            permissions.subscribe.allow = vec!["in.>".to_owned(), "work group".to_owned()];
            permissions.responses = Some(ResponseClaim {
                max: 1,
                ttl: 60_000_000_000,
            });
        })
        .await;
    raw.send("PUB ok.no 0\r\n\r\nPUB no 0\r\n\r\nSUB no 1\r\nSUB work 2\r\n")
        .await;
    raw.expect("-ERR 'Permissions Violation for Publish to \"ok.no\"'\r\n")
        .await;
    raw.expect("-ERR 'Permissions Violation for Publish to \"no\"'\r\n")
        .await;
    raw.expect("-ERR 'Permissions Violation for Subscription to \"no\"'\r\n")
        .await;
    raw.expect("-ERR 'Permissions Violation for Subscription to \"work\"'\r\n")
        .await;
    raw.send("SUB work group 2\r\nSUB in.a 3\r\nPUB ok.yes 0\r\n\r\n")
        .await;
    raw.expect_quiet().await;
    // One answer per request, and no more.
    let app = fixture.server.client("APP", &Identity::new("", "APP"));
    let mut answers = app.subscribe("answer.1").unwrap();
    let ask = broker::Publish::new("in.a", "?").with_reply("answer.1");
    app.publish_message(ask).unwrap();
    raw.expect("MSG in.a 3 answer.1 1\r\n?\r\n").await;
    raw.send("PUB answer.1 1\r\n!\r\nPUB answer.1 1\r\n!\r\n")
        .await;
    raw.expect("-ERR 'Permissions Violation for Publish to \"answer.1\"'\r\n")
        .await;
    assert_eq!(&*answers.next().await.unwrap().payload, b"!");
}

#[tokio::test]
async fn place_and_kind_of_the_claims_hold() {
    let mut fixture = Fixture::new().await;
    let outside = |user: &mut Claims<UserClaims>| {
        user.nats.limits.src = vec!["10.0.0.0/8".to_owned()];
    };
    let elsewhere = |user: &mut Claims<UserClaims>| {
        user.nats.limits.allowed_connection_types = vec!["WEBSOCKET".to_owned()];
    };
    for change in [&outside as &dyn Fn(&mut Claims<UserClaims>), &elsewhere] {
        let raw = fixture
            .login(|fixture, request| {
                let mut user = fixture.user(request);
                change(&mut user);
                fixture.accept(request, user)
            })
            .await;
        raw.expect_closed(VIOLATION).await;
    }
    fixture
        .login_as(|user| user.nats.limits.src = vec!["127.0.0.0/8".to_owned()])
        .await;
}

#[tokio::test]
async fn item_11_requests_are_sealed_and_answers_may_be() {
    let mut fixture = Fixture::with(true, Duration::from_secs(5)).await;
    // An answer in clear text.
    fixture.login_as(|_| {}).await;
    // A sealed one.
    let mut raw = knock(fixture.addr, "bob", "sec").await;
    let (message, request) = fixture.next().await;
    let answer = fixture.accept(&request, fixture.user(&request));
    let server = request.nats.server_id.xkey.unwrap();
    let curve = fixture.curve.clone().unwrap();
    let sealed = curve.seal(answer.as_bytes(), &server).unwrap();
    fixture.service.respond(&message, sealed).unwrap();
    raw.expect("PONG\r\n").await;
    // One that somebody else sealed.
    let raw = knock(fixture.addr, "bob", "sec").await;
    let (message, request) = fixture.next().await;
    let answer = fixture.accept(&request, fixture.user(&request));
    let sealed = CurveKeyPair::generate()
        .seal(answer.as_bytes(), &server)
        .unwrap();
    fixture.service.respond(&message, sealed).unwrap();
    raw.expect_closed(VIOLATION).await;
}

#[tokio::test]
async fn item_12_configured_users_are_not_asked_about() {
    let mut fixture = Fixture::with(false, Duration::from_millis(500)).await;
    for user in ["auth", "static"] {
        let mut raw = knock(fixture.addr, user, "secret").await;
        raw.expect("PONG\r\n").await;
    }
    // The service's own user with a wrong password is nobody, and nobody is asked.
    knock(fixture.addr, "auth", "wrong")
        .await
        .expect_closed(VIOLATION)
        .await;
    // A configured user with a wrong password may be somebody whom the service knows; one of an allowed account is asked
    // about whatever its password.
    for (user, pass) in [("static", "wrong"), ("asked", "secret")] {
        let mut raw = knock(fixture.addr, user, pass).await;
        let (message, request) = fixture.next().await;
        assert_eq!(request.nats.connect_opts.user, user);
        let answer = fixture.accept(&request, fixture.user(&request));
        fixture.service.respond(&message, answer).unwrap();
        raw.expect("PONG\r\n").await;
    }
}

#[tokio::test]
async fn item_13_nobody_but_the_server_publishes_requests() {
    let fixture = Fixture::new().await;
    let mut raw = knock(fixture.addr, "auth", "secret").await;
    raw.expect("PONG\r\n").await;
    raw.send(format!("PUB {SUBJECT} 0\r\n\r\n")).await;
    raw.expect("-ERR 'Permissions Violation for Publish to \"$SYS.REQ.USER.AUTH\"'\r\n")
        .await;
}

#[tokio::test]
async fn item_14_a_thousand_logins_wait_for_one_slow_service_side_by_side() {
    const LOGINS: u64 = 1000;
    let mut fixture = Fixture::with(false, Duration::from_secs(60)).await;
    let mut logins = tokio::task::JoinSet::new();
    for id in 0..LOGINS {
        let callout = fixture.callout.clone();
        let peer = SocketAddr::from(([127, 0, 0, 1], 1));
        let request = ConnectRequest {
            auth_token: Some(format!("token-{id}")),
            ..ConnectRequest::new(id, peer, ConnectionKind::Tcp)
        };
        logins.spawn(async move { (id, callout.authenticate(request).await) });
    }
    // It answers nobody until everybody has asked.
    let mut waiting = Vec::new();
    for _ in 0..LOGINS {
        waiting.push(fixture.next().await);
    }
    let mut raw = knock(fixture.addr, "static", "secret").await;
    raw.expect("PONG\r\n").await;
    for (message, request) in waiting {
        let mut user = fixture.user(&request);
        user.name.clone_from(&request.nats.connect_opts.auth_token);
        let answer = fixture.accept(&request, user);
        fixture.service.respond(&message, answer).unwrap();
    }
    while let Some(done) = logins.join_next().await {
        let (id, identity) = done.unwrap();
        assert_eq!(identity.unwrap().user, format!("token-{id}"));
    }
}

#[tokio::test]
async fn a_refusal_is_told_in_the_system_account_and_in_the_callouts() {
    let mut fixture = Fixture::new().await;
    let system = fixture
        .server
        .client(SYSTEM_ACCOUNT, &Identity::new("", SYSTEM_ACCOUNT));
    let mut server_events = system.subscribe("$SYS.SERVER.*.CLIENT.AUTH.ERR").unwrap();
    let mut account_events = fixture
        .service
        .subscribe("$SYS.ACCOUNT.CLIENT.AUTH.ERR")
        .unwrap();
    let raw = fixture
        .login(|fixture, request| {
            let nats = AuthorizationResponse::refuse("not today");
            Fixture::response(request, nats).sign(&fixture.issuer)
        })
        .await;
    raw.expect_closed(VIOLATION).await;
    // Why it was refused is for those who run the service.
    for (events, reason) in [
        (&mut server_events, "Authentication Failure"),
        (&mut account_events, "not today"),
    ] {
        let event = events.next().await.unwrap();
        let body = String::from_utf8(event.payload.to_vec()).unwrap();
        assert!(
            body.contains("io.nats.server.advisory.v1.client_disconnect"),
            "{body}"
        );
        assert!(body.contains(reason), "{body}");
        assert!(!body.contains("sec\""), "{body}");
    }
}

#[test]
fn a_configuration_that_cannot_work_is_refused() {
    let new = |config| Callout::external(config, Arc::new(Users)).err();
    let issuer = KeyPair::generate(KeyKind::Account).public().to_string();
    let good = CalloutConfig {
        issuer,
        auth_users: vec!["auth".to_owned()],
        ..CalloutConfig::default()
    };
    assert!(new(good.clone()).is_none());
    let no_users = CalloutConfig {
        auth_users: Vec::new(),
        ..good.clone()
    };
    assert!(new(no_users).is_some());
    let no_issuer = CalloutConfig {
        issuer: KeyPair::generate(KeyKind::User).public().to_string(),
        ..good.clone()
    };
    assert!(new(no_issuer).is_some());
    let no_curve = CalloutConfig {
        xkey: Some(good.issuer.clone()),
        ..good
    };
    assert!(new(no_curve).is_some());
}

#[derive(Default)]
struct Asked(Mutex<Option<String>>);

#[async_trait]
impl broker::jwt::CalloutService for Asked {
    async fn decide(
        &self,
        request: &ConnectRequest,
    ) -> Result<broker::jwt::Grant, broker::jwt::Refusal> {
        *self.0.lock().unwrap() = request.user.clone();
        let mut grant = broker::jwt::Grant::new("bobby", "APP");
        grant.networks = vec!["127.0.0.0/8".to_owned()];
        Ok(grant)
    }
}

#[tokio::test]
async fn a_service_in_the_process_answers_through_the_same_door() {
    let service = Arc::new(Asked::default());
    let callout = Arc::new(Callout::built_in(service.clone()));
    let (server, addr) = server_with(Config::default(), callout).await;
    let mut raw = knock(addr, "bob", "sec").await;
    raw.expect("PONG\r\n").await;
    assert_eq!(service.0.lock().unwrap().as_deref(), Some("bob"));
    assert_eq!(server.connections()[0].user.as_deref(), Some("bobby"));
}
