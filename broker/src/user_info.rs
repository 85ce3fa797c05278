//! `$SYS.REQ.USER.INFO`, in every account: what a client is to the server; and `$SYS.REQ.USER.RENEW`, by which a client
//! shows new credentials without reconnecting.
//!
//! The body of a renewal is a CONNECT object of which only the credentials count (`user`, `pass`, `auth_token`, `jwt`, `nkey`,
//! `sig` over the nonce of the connection's INFO). They must be the same user's. Its permissions, limits and expiry are the
//! new ones then; its subscriptions stay, as far as they are allowed. nats-server has no such subject.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use bytes::Bytes;
use serde::Serialize;

use crate::auth::{Permissions, SubjectPermissions};
use crate::clock::rfc3339;
use crate::delivery::Outgoing;
use crate::jetstream::outbox::Outbox;
use crate::proto::info::{COMPATIBLE_VERSION, ConnectOptions};
use crate::session::connection::{Connection, Notice};
use crate::session::profile::Profile;

/// Where a client asks, and where it shows new credentials.
pub(crate) const SUBJECTS: [&str; 2] = ["$SYS.REQ.USER.INFO", "$SYS.REQ.USER.RENEW"];
/// The second of them.
const RENEW: &[u8] = SUBJECTS[1].as_bytes();

/// Answers for one account.
#[derive(Debug)]
pub(crate) struct UserInfo {
    pub(crate) server_id: String,
    pub(crate) server_name: String,
    pub(crate) outbox: Outbox,
    pub(crate) answered: AtomicU64,
}

#[derive(Serialize)]
struct Answer<'a> {
    server: Server<'a>,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Server<'a> {
    name: &'a str,
    host: &'static str,
    id: &'a str,
    ver: &'static str,
    jetstream: bool,
    flags: u64,
    seq: u64,
    time: String,
}

#[derive(Serialize)]
struct Data<'a> {
    user: &'a str,
    account: &'a str,
    account_name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    user_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    permissions: Option<Allowed<'a>>,
    /// Nanoseconds that are left.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<u64>,
}

#[derive(Serialize)]
struct Allowed<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    publish: Option<Lists<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subscribe: Option<Lists<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    responses: Option<Responses>,
}

#[derive(Serialize)]
struct Lists<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    allow: Option<&'a [String]>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    deny: &'a [String],
}

#[derive(Serialize)]
struct Responses {
    max: i32,
    /// Nanoseconds.
    ttl: u64,
}

impl UserInfo {
    /// A request of a client. Code inside the process has no user to ask about.
    pub(crate) fn take(&self, connection: &Connection, profile: &Profile, request: &Outgoing<'_>) {
        if request.subject != RENEW {
            return self.answer(profile, request.reply);
        }
        let reply = Bytes::copy_from_slice(request.reply);
        let body = &request.body[request.header_len..];
        let Ok(options) = serde_json::from_slice::<ConnectOptions>(body) else {
            return self
                .outbox
                .send(reply, b"", &renewal(Some("no credentials")));
        };
        let notice = Notice::Credentials(Box::new(options), reply.clone());
        if !connection.notify(notice) {
            self.outbox
                .send(reply, b"", &renewal(Some("too many at once")));
        }
    }

    fn answer(&self, profile: &Profile, reply: &[u8]) {
        let sender = &profile.sender;
        // In operator mode user and account are keys; JWTs name them for people.
        let origin = profile.identity.origin.as_deref();
        let named = origin.map(|origin| &*origin.account_name);
        let left = |at: SystemTime| {
            let left = at.duration_since(SystemTime::now()).unwrap_or_default();
            u64::try_from(left.as_nanos()).unwrap_or(u64::MAX)
        };
        let answer = Answer {
            server: Server {
                name: &self.server_name,
                host: "0.0.0.0",
                id: &self.server_id,
                ver: COMPATIBLE_VERSION,
                jetstream: false,
                flags: 0,
                seq: 1 + self.answered.fetch_add(1, Ordering::Relaxed),
                time: rfc3339(SystemTime::now()),
            },
            data: Data {
                user: &sender.user,
                account: &sender.account,
                account_name: named
                    .filter(|name| !name.is_empty())
                    .unwrap_or(&sender.account),
                user_name: origin.map_or("", |origin| &origin.name),
                permissions: allowed(&profile.identity.permissions),
                expires: profile.identity.expires_at.map(left),
            },
        };
        let json = serde_json::to_vec(&answer).expect("user info is plain data");
        self.outbox.send(Bytes::copy_from_slice(reply), b"", &json);
    }
}

/// The answer to new credentials.
pub(crate) fn renewal(error: Option<&'static str>) -> Vec<u8> {
    #[derive(Serialize)]
    struct Renewal {
        r#type: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<Error>,
    }
    #[derive(Serialize)]
    struct Error {
        code: u16,
        description: &'static str,
    }
    let renewal = Renewal {
        r#type: "io.natterjack.user.v1.renew_response",
        error: error.map(|description| Error {
            code: 401,
            description,
        }),
    };
    serde_json::to_vec(&renewal).expect("an answer is plain data")
}

fn allowed(permissions: &Permissions) -> Option<Allowed<'_>> {
    if *permissions == Permissions::default() {
        return None;
    }
    Some(Allowed {
        publish: Lists::of(&permissions.publish),
        subscribe: Lists::of(&permissions.subscribe),
        responses: permissions.allow_responses.map(|responses| Responses {
            max: responses.max,
            ttl: u64::try_from(responses.expires.as_nanos()).unwrap_or(u64::MAX),
        }),
    })
}

impl<'a> Lists<'a> {
    /// `None` where nothing is said.
    fn of(permissions: &'a SubjectPermissions) -> Option<Self> {
        let is_open = *permissions == SubjectPermissions::default();
        (!is_open).then_some(Self {
            allow: permissions.allow.as_deref(),
            deny: &permissions.deny,
        })
    }
}
