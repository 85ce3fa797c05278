//! A served identity in a directory of its own, and a browser to visit it with.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use broker::{AllowAll, Server};
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use serde_json::Value;
use services::identity::{Config, Identity, seed_demo_users};
use storage::chat::ChatDb;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::monitoring::Access;
use crate::{NatsDoor, WebConfig, serve};

/// RFC 7636, appendix B.
pub(super) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

pub(super) struct Served {
    pub(super) address: SocketAddr,
    pub(super) identity: Arc<Identity>,
    _dir: tempfile::TempDir,
    _stop: DropGuard,
}

impl Served {
    /// With the demo's users and client.
    pub(super) async fn demo() -> Self {
        Self::start(true).await
    }

    /// A first start: nobody is there.
    pub(super) async fn empty() -> Self {
        Self::start(false).await
    }

    async fn start(demo: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let db = ChatDb::open(&dir.path().join("chat.sqlite3"))
            .await
            .unwrap();
        let mut config = Config::default();
        if demo {
            config = config.for_demo();
            seed_demo_users(&db).await.unwrap();
        }
        let identity = Identity::open(db, dir.path(), config).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let broker = broker::Config::default();
        let broker = Server::new(broker, Arc::new(AllowAll::new("A")), None);
        let config = WebConfig {
            version: "0.0.0".to_owned(),
            nats: NatsDoor::new(greet),
            monitoring: Some(Access::new(broker, [])),
        };
        tokio::spawn(serve(listener, config, Arc::clone(&identity), stop.clone()));
        Self {
            address,
            identity,
            _dir: dir,
            _stop: stop.drop_guard(),
        }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(super) fn oidc(&self, name: &str) -> String {
        let realm = &self.identity.config().realm;
        self.url(&format!(
            "/auth/realms/{realm}/protocol/openid-connect/{name}"
        ))
    }

    /// What keycloak-js asks for, as the embedded client; `changes` replace or add parameters, empty ones leave out.
    pub(super) fn auth_url(&self, changes: &[(&str, &str)]) -> String {
        let own = self.url("/");
        let mut fields: HashMap<&str, &str> = HashMap::from([
            ("client_id", "natterjack-web"),
            ("redirect_uri", own.as_str()),
            ("response_type", "code"),
            ("scope", "openid"),
            ("state", "st"),
            ("nonce", "no"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ]);
        fields.extend(changes.iter().copied());
        fields.retain(|_, value| !value.is_empty());
        let query = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        format!("{}?{query}", self.oidc("auth"))
    }
}

/// Stands in for the broker.
fn greet(io: crate::NatsSocket, _info: broker::ConnectionInfo) {
    tokio::spawn(async move {
        use tokio::io::AsyncWriteExt;
        let crate::NatsSocket::Tcp { mut socket, .. } = io else {
            panic!("the web server listens on TCP");
        };
        let _ = socket.write_all(b"hello from the broker").await;
    });
}

/// Keeps cookies, follows nothing by itself.
pub(super) fn browser() -> Client {
    Client::builder()
        .cookie_store(true)
        .redirect(Policy::none())
        .no_proxy()
        .build()
        .unwrap()
}

/// The value of an attribute in a page.
pub(super) fn attribute(html: &str, before: &str) -> String {
    let from = html
        .find(before)
        .unwrap_or_else(|| panic!("{before} in {html}"))
        + before.len();
    let value = html[from..].split('"').next().unwrap();
    value.replace("&amp;", "&")
}

pub(super) fn location(response: &Response) -> String {
    response.headers()["location"].to_str().unwrap().to_owned()
}

/// The parameters after `?` or `#` of a redirect.
pub(super) fn answer(response: &Response) -> HashMap<String, String> {
    let location = location(response);
    let query = location
        .split_once(['?', '#'])
        .map_or("", |(_, query)| query);
    url::form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect()
}

/// Fills in the sign-in page at `url`.
pub(super) async fn fill_in(
    browser: &Client,
    served: &Served,
    url: &str,
    username: &str,
    password: &str,
) -> Response {
    let page = browser.get(url).send().await.unwrap();
    assert_eq!(page.status(), 200);
    let html = page.text().await.unwrap();
    let action = served.url(&attribute(&html, "action=\""));
    let form = attribute(&html, "name=\"form\" value=\"");
    let fields = [
        ("form", form.as_str()),
        ("username", username),
        ("password", password),
    ];
    browser.post(action).form(&fields).send().await.unwrap()
}

/// Redeems the code of a redirect.
pub(super) async fn redeem(
    browser: &Client,
    served: &Served,
    code: &str,
    verifier: &str,
) -> (u16, Value) {
    let own = served.url("/");
    let fields = [
        ("grant_type", "authorization_code"),
        ("client_id", "natterjack-web"),
        ("redirect_uri", own.as_str()),
        ("code", code),
        ("code_verifier", verifier),
    ];
    post(browser, &served.oidc("token"), &fields).await
}

pub(super) async fn refresh(browser: &Client, served: &Served, token: &str) -> (u16, Value) {
    let fields = [
        ("grant_type", "refresh_token"),
        ("client_id", "natterjack-web"),
        ("refresh_token", token),
    ];
    post(browser, &served.oidc("token"), &fields).await
}

pub(super) async fn post(browser: &Client, url: &str, fields: &[(&str, &str)]) -> (u16, Value) {
    let response = browser.post(url).form(fields).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

/// Signs alice in and redeems her code.
pub(super) async fn tokens(browser: &Client, served: &Served) -> Value {
    let back = fill_in(browser, served, &served.auth_url(&[]), "alice", "alice123").await;
    let (status, tokens) = redeem(browser, served, &answer(&back)["code"], VERIFIER).await;
    assert_eq!(status, 200, "{tokens}");
    tokens
}

/// The claims of a token, unchecked.
pub(super) fn claims(token: &Value) -> Value {
    use base64::Engine;
    let payload = token.as_str().unwrap().split('.').nth(1).unwrap();
    serde_json::from_slice(
        &base64::engine::general_purpose::URL_SAFE_NO_PAD
            .decode(payload)
            .unwrap(),
    )
    .unwrap()
}
