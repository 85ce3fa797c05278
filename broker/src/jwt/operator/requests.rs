//! Requests of the system account about account JWTs, as `nsc` and other tools send them.
//!
//! | subject | what |
//! | --- | --- |
//! | `$SYS.REQ.ACCOUNT.<key>.CLAIMS.UPDATE`, `$SYS.REQ.CLAIMS.UPDATE` | a newer JWT; without a directory only in memory, and only by the first |
//! | `$SYS.REQ.ACCOUNT.<key>.CLAIMS.LOOKUP` | the JWT itself; nothing where there is none |
//! | `$SYS.REQ.CLAIMS.LIST` | the keys of all accounts |
//! | `$SYS.REQ.CLAIMS.PACK` | all accounts, one message each, `key\|jwt`, and an empty one at the end |
//! | `$SYS.REQ.CLAIMS.DELETE` | a JWT of a trusted operator that names accounts to delete |

use std::sync::Arc;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::Inner;
use super::account::Account;
use crate::auth::Identity;
use crate::client::{Client, Subscription};
use crate::clock::rfc3339;
use crate::error::Error;
use crate::jwt::claims::NatsClaims;
use crate::jwt::envelope::{Claims, OPERATORS};
use crate::jwt::nkey::{KeyKind, PublicKey};
use crate::message::Message;
use crate::proto::info::COMPATIBLE_VERSION;
use crate::server::Server;

#[derive(Debug, Clone, Copy)]
enum Request {
    Update,
    Lookup,
    List,
    Pack,
    Delete,
}

/// The requests, and whether they need a directory.
const REQUESTS: [(&str, Request, bool); 6] = [
    ("$SYS.REQ.ACCOUNT.*.CLAIMS.UPDATE", Request::Update, false),
    ("$SYS.REQ.CLAIMS.UPDATE", Request::Update, true),
    ("$SYS.REQ.ACCOUNT.*.CLAIMS.LOOKUP", Request::Lookup, true),
    ("$SYS.REQ.CLAIMS.LIST", Request::List, true),
    ("$SYS.REQ.CLAIMS.PACK", Request::Pack, true),
    ("$SYS.REQ.CLAIMS.DELETE", Request::Delete, true),
];

/// Answers until the server stops.
pub(super) fn serve(inner: &Arc<Inner>, server: &Server, system: &str) -> Result<(), Error> {
    let client = server.internal_client(system, &Identity::new("", system));
    for (subject, request, needs_directory) in REQUESTS {
        if needs_directory && !inner.resolver.is_writable() {
            continue;
        }
        let subscription = client.subscribe(subject)?;
        let service = Service {
            inner: inner.clone(),
            client: client.clone(),
            server: ServerBlock {
                name: server.shared().config.server_name.clone(),
                id: server.shared().server_id.clone(),
            },
            request,
        };
        let shared = server.shared();
        let stop = shared.stop.clone();
        shared.tasks.spawn(service.run(subscription, stop));
    }
    Ok(())
}

struct Service {
    inner: Arc<Inner>,
    client: Client,
    server: ServerBlock,
    request: Request,
}

struct ServerBlock {
    name: String,
    id: String,
}

/// What went wrong, about whom.
struct Failure {
    account: Option<String>,
    text: String,
}

impl Service {
    async fn run(self, mut subscription: Subscription, stop: CancellationToken) {
        loop {
            let message = tokio::select! {
                () = stop.cancelled() => return,
                message = subscription.next() => message,
            };
            let Some(message) = message else {
                return;
            };
            self.answer(&message).await;
        }
    }

    async fn answer(&self, message: &Message) {
        let body = String::from_utf8_lossy(&message.payload);
        match self.request {
            Request::Update => {
                let named = message.subject.tokens().nth(3).filter(|_| {
                    // The short form has no account in its subject.
                    message.subject.tokens().count() == 6
                });
                self.respond(message, self.update(named, body.trim()).await);
            }
            Request::Delete => self.respond(message, self.delete(body.trim()).await),
            Request::List => {
                let keys = self.inner.resolver.list().await;
                let keys = keys
                    .map(|keys| json!(keys.iter().map(ToString::to_string).collect::<Vec<_>>()));
                self.respond(message, keys.map_err(|error| failure(None, &error)));
            }
            Request::Lookup => {
                let key = message
                    .subject
                    .tokens()
                    .nth(3)
                    .and_then(|key| account_key(key).ok());
                let found = match key {
                    Some(key) => self.inner.resolver.fetch(key).await.ok().flatten(),
                    None => None,
                };
                self.send(message, found.unwrap_or_default());
            }
            Request::Pack => {
                for key in self.inner.resolver.list().await.unwrap_or_default() {
                    if let Ok(Some(jwt)) = self.inner.resolver.fetch(key).await {
                        self.send(message, format!("{key}|{jwt}"));
                    }
                }
                self.send(message, String::new());
            }
        }
    }

    async fn update(&self, named: Option<&str>, jwt: &str) -> Result<Value, Failure> {
        let about = || named.unwrap_or("n/a").to_owned();
        let fail = |text: String| Failure {
            account: Some(about()),
            text: format!("jwt update resulted in error - {text}"),
        };
        let account = Account::decode(jwt, &self.inner.trust)
            .map_err(|error| fail(error.reason.into_owned()))?;
        let key = account.key;
        if named.is_some_and(|named| named != key.to_string()) {
            return Err(fail("subject does not match jwt content".to_owned()));
        }
        if !account.is_current(SystemTime::now()) {
            return Err(fail("the account JWT is not current".to_owned()));
        }
        let is_stored = self.inner.resolver.is_writable();
        if is_stored {
            let saved = self.inner.resolver.save(key, jwt.to_owned()).await;
            saved.map_err(|error| fail(error.to_string()))?;
        }
        let updated = self.inner.update(account).await;
        let updated = updated.map_err(|error| fail(error.to_string()))?;
        let text = if is_stored || updated {
            "jwt updated"
        } else {
            "jwt update skipped"
        };
        Ok(json!({"account": key.to_string(), "code": 200, "message": text}))
    }

    async fn delete(&self, jwt: &str) -> Result<Value, Failure> {
        let claims = Claims::<DeleteClaims>::decode(jwt)
            .map_err(|error| failure(None, &format!("delete accounts request failed - {error}")))?;
        let refuse = |text: &str| {
            let who = claims.iss;
            failure(
                None,
                &format!("delete accounts request by {who} failed - {text}"),
            )
        };
        if !self.inner.trust.trusts(&claims.iss) {
            return Err(refuse("not trusted"));
        }
        if !claims.is_current(SystemTime::now()) {
            return Err(refuse("not current"));
        }
        if !self.inner.resolver.allows_delete() {
            return Err(refuse("delete is not allowed"));
        }
        let keys: Result<Vec<_>, _> = claims
            .nats
            .accounts
            .iter()
            .map(|key| account_key(key))
            .collect();
        let keys = keys.map_err(|_| refuse("an account key is none"))?;
        if keys
            .iter()
            .any(|key| self.inner.trust.system_account == Some(*key))
        {
            return Err(refuse("not allowed to delete system account"));
        }
        for key in &keys {
            let deleted = self.inner.resolver.delete(*key).await;
            deleted.map_err(|error| refuse(&error.to_string()))?;
        }
        self.inner.forget(&keys).await;
        Ok(json!({"code": 200, "message": format!("deleted {} accounts", keys.len())}))
    }

    fn respond(&self, message: &Message, outcome: Result<Value, Failure>) {
        let server = json!({
            "name": self.server.name,
            "host": "",
            "id": self.server.id,
            "ver": COMPATIBLE_VERSION,
            "jetstream": false,
            "flags": 0,
            "seq": 0,
            "time": rfc3339(SystemTime::now()),
        });
        let answer = match outcome {
            Ok(data) => json!({"server": server, "data": data}),
            Err(failure) => {
                tracing::warn!(
                    account = failure.account,
                    error = failure.text,
                    "account claims"
                );
                let mut error = json!({"code": 500, "description": failure.text});
                if let Some(account) = failure.account {
                    error["account"] = json!(account);
                }
                json!({"server": server, "error": error})
            }
        };
        self.send(message, answer.to_string());
    }

    fn send(&self, message: &Message, answer: String) {
        if let Err(error) = self.client.respond(message, answer) {
            tracing::debug!(%error, "an answer about account claims was not sent");
        }
    }
}

fn failure(account: Option<String>, text: &dyn std::fmt::Display) -> Failure {
    Failure {
        account,
        text: text.to_string(),
    }
}

fn account_key(text: &str) -> Result<PublicKey, crate::jwt::KeyError> {
    PublicKey::parse_as(text, KeyKind::Account)
}

/// Claims of type `generic` that name accounts.
#[derive(Serialize, Deserialize)]
struct DeleteClaims {
    #[serde(default)]
    accounts: Vec<String>,
}

impl NatsClaims for DeleteClaims {
    const TYPE: &'static str = "generic";
    const ISSUERS: &'static [KeyKind] = OPERATORS;
}
