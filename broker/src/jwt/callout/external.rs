//! The service outside: a request in the callout's account, and the first answer to it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::time::{Instant, sleep_until};

use super::answer::Expected;
use super::{CalloutService, REQUEST_SUBJECT, request};
use crate::auth::{ConnectRequest, Identity};
use crate::client::Client;
use crate::error::RequestError;
use crate::jwt::ConfigError;
use crate::jwt::config::CalloutConfig;
use crate::jwt::grant::{Grant, Refusal};
use crate::jwt::nkey::{KeyKind, KeyPair, PublicKey};
use crate::message::Publish;
use crate::server::{Server, WeakServer};

/// Carries the key that an answer may be sealed for.
const XKEY_HEADER: &str = "Nats-Server-Xkey";
/// First letters of every JWT: how an answer in clear text is told from a sealed one.
const JWT_PREFIX: &[u8] = b"eyJ";

/// Asks by NATS. One client for all requests: an answer finds its request by the reply subject, later ones find nothing.
pub(super) struct External {
    issuer: PublicKey,
    account: String,
    xkey: Option<PublicKey>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    server: Option<WeakServer>,
    client: Option<Client>,
    timeout: Duration,
}

impl External {
    pub(super) fn new(config: &CalloutConfig) -> Result<Self, ConfigError> {
        let key = |what, text: &str, kind| {
            PublicKey::parse_as(text, kind).map_err(|source| ConfigError::Key {
                what,
                text: text.to_owned(),
                source,
            })
        };
        let xkey = config.xkey.as_deref();
        Ok(Self {
            issuer: key("auth_callout issuer", &config.issuer, KeyKind::Account)?,
            account: config.account.clone(),
            xkey: xkey
                .map(|text| key("auth_callout xkey", text, KeyKind::Curve))
                .transpose()?,
            state: Mutex::default(),
        })
    }

    /// How long an answer is waited for: the server's `auth_timeout`.
    pub(super) fn timeout(&self) -> Duration {
        self.state().timeout
    }

    pub(super) fn attach(&self, weak: &WeakServer) {
        let mut state = self.state();
        state.server = Some(weak.clone());
        if let Some(server) = weak.shared() {
            state.timeout = server.config.auth_timeout;
        }
    }

    pub(super) fn detach(&self) {
        *self.state() = State::default();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The server and the client in the callout's account, made when it is first needed.
    fn connect(&self) -> Option<(Server, Client)> {
        let mut state = self.state();
        let server = state.server.as_ref()?.upgrade()?;
        if state.client.is_none() {
            state.client = Some(server.internal_client(&self.account, &Identity::new("", "")));
        }
        Some((server, state.client.clone()?))
    }

    fn message(&self, server: &Server, text: String) -> Result<Publish, Refusal> {
        let Some(xkey) = &self.xkey else {
            return Ok(Publish::new(REQUEST_SUBJECT, text));
        };
        let ours = &server.shared().curve_key;
        let sealed = ours
            .seal(text.as_bytes(), xkey)
            .map_err(|error| Refusal::new(error.to_string()))?;
        let mut message = Publish::new(REQUEST_SUBJECT, sealed);
        message
            .headers
            .insert(XKEY_HEADER, ours.public().to_string());
        Ok(message)
    }

    fn open(&self, server: &Server, answer: &Bytes) -> Result<String, Refusal> {
        let raw = match &self.xkey {
            Some(xkey) if !answer.is_empty() && !answer.starts_with(JWT_PREFIX) => {
                let ours = &server.shared().curve_key;
                ours.open(answer, xkey)
                    .map_err(|error| Refusal::new(format!("auth callout response: {error}")))?
            }
            _ => answer.to_vec(),
        };
        String::from_utf8(raw).map_err(|_| Refusal::new("auth callout response is no text"))
    }
}

#[async_trait]
impl CalloutService for External {
    async fn decide(&self, connect: &ConnectRequest) -> Result<Grant, Refusal> {
        let (server, client) = self
            .connect()
            .ok_or_else(|| Refusal::new("the server has stopped"))?;
        let timeout = self.timeout();
        let deadline = Instant::now() + timeout;
        let expected = Expected {
            server: server.shared().key.public(),
            user: KeyPair::generate(KeyKind::User).public(),
            issuer: self.issuer,
        };
        let shared = server.shared();
        let text = request::sign(shared, connect, expected.user, self.issuer, timeout);
        let message = self.message(&server, text)?;
        let answer = match client.request_message(message, timeout).await {
            Ok(answer) => answer,
            Err(RequestError::NoResponders { .. }) => {
                // The service may be about to come back; answering at once would make every client try again at once.
                sleep_until(deadline).await;
                return Err(Refusal::new("nobody answers the auth callout"));
            }
            Err(RequestError::TimedOut { .. }) => {
                return Err(Refusal::new("auth callout: no answer in time"));
            }
            Err(error) => return Err(Refusal::new(format!("auth callout: {error}"))),
        };
        let text = self.open(&server, &answer.payload)?;
        let has_account = |name: &str| shared.knows_account(name);
        expected.grant(text.trim(), SystemTime::now(), has_account)
    }
}
