//! Advisories: plain messages on `$JS.EVENT.>` that tell what happened to streams and consumers, and who asked for it.

use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use super::config::Timestamp;
use crate::account::Account;
use crate::router::Router;

/// Publishes the advisories of one account.
#[derive(Debug)]
pub(crate) struct Advisories {
    account: Arc<Account>,
    domain: Option<String>,
    router: Mutex<Router>,
}

#[derive(Serialize)]
struct Envelope<'a, B> {
    r#type: String,
    id: String,
    timestamp: Timestamp,
    #[serde(flatten)]
    body: B,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<&'a str>,
}

/// What happened to a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamAction {
    Created,
    Updated,
    Deleted,
}

#[derive(Serialize)]
struct StreamBody<'a> {
    stream: &'a str,
    action: &'static str,
}

impl Advisories {
    pub(crate) fn new(account: Arc<Account>, domain: Option<String>) -> Self {
        Self {
            router: Mutex::new(Router::new(account.clone())),
            account,
            domain,
        }
    }

    /// Publishes `$JS.EVENT.<subject>` of type `io.nats.jetstream.<kind>`. The body is made only if somebody listens.
    pub(crate) fn send<B: Serialize>(&self, subject: &str, kind: &str, body: impl FnOnce() -> B) {
        let subject = format!("$JS.EVENT.{subject}");
        let (_, listeners) = self.account.matches(subject.as_bytes());
        if listeners.plain.is_empty() && listeners.queues.into_groups().is_empty() {
            return;
        }
        let envelope = Envelope {
            r#type: format!("io.nats.jetstream.{kind}"),
            id: format!("{:032x}", rand::random::<u128>()),
            timestamp: Timestamp::now(),
            body: body(),
            domain: self.domain.as_deref(),
        };
        let body = serde_json::to_vec(&envelope).expect("an advisory is plain data");
        self.router
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .publish(subject.as_bytes(), b"", b"", &body.into());
    }

    /// Tells that a stream was made, changed or removed.
    pub(crate) fn stream(&self, stream: &str, action: StreamAction) {
        let (what, action) = match action {
            StreamAction::Created => ("CREATED", "create"),
            StreamAction::Updated => ("UPDATED", "modify"),
            StreamAction::Deleted => ("DELETED", "delete"),
        };
        let subject = format!("ADVISORY.STREAM.{what}.{stream}");
        self.send(&subject, "advisory.v1.stream_action", || StreamBody {
            stream,
            action,
        });
    }
}
