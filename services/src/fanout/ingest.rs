//! `deliver.{user}.send.{room}` and `admin.{channel}`: check, give a place, store, answer.
//!
//! One task takes sends in the order in which they came, so that a sender's messages keep theirs. It does not wait for
//! the disk between them: what is under way is answered as its commit comes back.

use std::sync::Arc;
use std::time::Instant;

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::QUEUE_GROUP;
use super::rate::RateLimit;
use super::rules::{Accepted, Action, accept, plausible_time};
use crate::bus::{Append, Bus, BusError};
use crate::caller::Caller;
use crate::clock::now_ms;
use crate::directory::Directory;
use crate::endpoint::{Endpoint, Reply, Request, Serving, reply, respond};
use crate::limits::SENDS_IN_FLIGHT_MAX;
use crate::names::ADMIN_ROOM;
use crate::subjects;
use crate::wire::{Refusal, SendReceipt, json};

struct Ingest {
    bus: Arc<dyn Bus>,
    directory: Arc<Directory>,
    rate: RateLimit,
}

/// A send on its way to the disk.
struct Pending {
    append: Append,
    receipt: SendReceipt,
}

type Answered = BoxFuture<'static, (Request, Reply)>;

pub(super) async fn start(
    endpoint: &Endpoint,
    directory: &Arc<Directory>,
    sends_per_minute: u32,
) -> Result<Vec<Serving>, BusError> {
    let mut sends = endpoint
        .bus
        .subscribe(subjects::SEND, Some(QUEUE_GROUP))
        .await?;
    let mut admin = endpoint
        .bus
        .subscribe(subjects::ADMIN, Some(QUEUE_GROUP))
        .await?;
    let mut ingest = Ingest {
        bus: Arc::clone(&endpoint.bus),
        directory: Arc::clone(directory),
        rate: RateLimit::new(sends_per_minute),
    };
    let stop = endpoint.stop.clone();
    let run = async move {
        let mut under_way: FuturesUnordered<Answered> = FuturesUnordered::new();
        let bus = Arc::clone(&ingest.bus);
        loop {
            let room = under_way.len() < SENDS_IN_FLIGHT_MAX;
            let message = tokio::select! {
                () = stop.cancelled() => break,
                Some((request, reply)) = under_way.next(), if !under_way.is_empty() => {
                    respond(bus.as_ref(), &request, reply).await;
                    continue;
                }
                message = sends.next(), if room => message,
                message = admin.next(), if room => message,
            };
            let Some(message) = message else { break };
            let request = Request::new(message);
            match ingest.take(&request) {
                Ok(Some(pending)) => under_way.push(store(Arc::clone(&bus), request, pending)),
                Ok(None) => {}
                Err(refusal) => respond(bus.as_ref(), &request, Err(refusal)).await,
            }
        }
        // What was taken is finished: its sender may be waiting.
        while let Some((request, reply)) = under_way.next().await {
            respond(bus.as_ref(), &request, reply).await;
        }
    };
    Ok(vec![Box::pin(run)])
}

impl Ingest {
    /// Decides about one send; everything here is in memory. `None`: nothing to store and nothing to say.
    fn take(&mut self, request: &Request) -> Result<Option<Pending>, Refusal> {
        let subject = request.message.subject.as_str();
        let (user, room, thread) = if request.token(0) == "admin" {
            (request.caller.user().unwrap_or_default(), ADMIN_ROOM, None)
        } else {
            let rest = subject.splitn(4, '.').nth(3).unwrap_or_default();
            let (room, thread) = match rest.split_once(".thread.") {
                Some((room, thread)) => (room, Some(thread)),
                None => (rest, None),
            };
            (request.token(1), room, thread)
        };
        // The permissions say the same; the stamp is what counts.
        match &request.caller {
            Caller::User(sender) if sender.user == user => {}
            Caller::User(_) => return Err(Refusal::user_mismatch()),
            Caller::Service => return Err(Refusal::invalid_request("Only users send.")),
        }
        if let Err(wait) = self.rate.take(user, Instant::now()) {
            let retry_after_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX) + 1;
            let mut refusal = Refusal::new(
                "rate_limited",
                "You are sending very fast. Wait a moment and try again.",
            );
            refusal.retry_after_ms = Some(retry_after_ms);
            return Err(refusal);
        }
        let body: Map<String, Value> = request.body()?;
        let accepted = accept(user, room, thread, body)?;
        let timestamp = self.place(user, room, &request.caller, &accepted)?;
        if accepted.is_copy {
            return Ok(None);
        }
        Ok(Some(pending(user, room, accepted, timestamp)))
    }

    /// Checks that the sender belongs to the room, and gives a new message its time.
    fn place(
        &self,
        user: &str,
        room: &str,
        caller: &Caller,
        accepted: &Accepted,
    ) -> Result<i64, Refusal> {
        let not_a_member = || Refusal {
            code: "not_a_member",
            ..Refusal::room_not_found()
        };
        let wish = accepted.timestamp;
        let is_new = accepted.action == Action::Message;
        if room == ADMIN_ROOM {
            if !caller.is_admin() {
                return Err(not_a_member());
            }
            return Ok(if is_new {
                plausible_time(wish, now_ms())
            } else {
                wish
            });
        }
        let room = self
            .directory
            .enter(user, room)
            .map_err(|_| not_a_member())?;
        if !is_new || accepted.is_copy {
            return Ok(wish);
        }
        if accepted.encrypted {
            room.saw_timestamp(wish);
            return Ok(wish);
        }
        Ok(room.next_timestamp(plausible_time(wish, now_ms())))
    }
}

fn pending(user: &str, room: &str, accepted: Accepted, timestamp: i64) -> Pending {
    let Accepted {
        mut body,
        thread,
        client_id,
        ..
    } = accepted;
    let id = Uuid::now_v7().to_string();
    body.insert("id".to_owned(), Value::String(id.clone()));
    body.insert("timestamp".to_owned(), timestamp.into());
    Pending {
        append: Append {
            stream: subjects::MESSAGES_STREAM,
            subject: subjects::message(room, thread.as_deref()),
            payload: json(&body),
            message_id: client_id.map(|client_id| format!("{user}/{room}/{client_id}")),
        },
        receipt: SendReceipt {
            ok: true,
            id,
            timestamp,
            seq: 0,
        },
    }
}

/// Waits for the commit. The place in the stream is taken before this returns.
fn store(bus: Arc<dyn Bus>, request: Request, pending: Pending) -> Answered {
    let Pending {
        append,
        mut receipt,
    } = pending;
    let appended = bus.append(append);
    Box::pin(async move {
        let outcome = match appended.await {
            Ok(appended) => {
                receipt.seq = appended.seq;
                if appended.duplicate {
                    first(bus.as_ref(), receipt).await
                } else {
                    Ok(receipt)
                }
            }
            Err(BusError::StorageFull) => Err(Refusal::new(
                "storage_full",
                "The server's disk is full. Nothing was sent; ask the administrator to free some space.",
            )),
            Err(error) => {
                tracing::error!(%error, "a message was not stored");
                Err(Refusal::new(
                    "unavailable",
                    "The message could not be stored. Try again in a moment.",
                ))
            }
        };
        let outcome = outcome.and_then(|receipt| reply(&receipt));
        (request, outcome)
    })
}

/// The receipt of the message that a repeated send is a copy of.
async fn first(bus: &dyn Bus, receipt: SendReceipt) -> Result<SendReceipt, Refusal> {
    let record = bus.record(subjects::MESSAGES_STREAM, receipt.seq).await;
    let record = record.map_err(crate::endpoint::internal)?;
    let body: Option<Map<String, Value>> =
        record.and_then(|record| serde_json::from_slice(&record.payload).ok());
    let Some(body) = body else {
        return Ok(receipt);
    };
    Ok(SendReceipt {
        id: body
            .get("id")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned(),
        timestamp: body
            .get("timestamp")
            .and_then(Value::as_i64)
            .unwrap_or_default(),
        ..receipt
    })
}
