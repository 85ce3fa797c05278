//! A subject and its handler: decode, ask, reply.
//!
//! Handlers answer with a body or a [`Refusal`]; both are sent only where a reply was asked for. How many requests run at
//! once is bounded per endpoint, and what waits is bounded by the bus.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::bus::{Bus, BusError};
use crate::caller::Caller;
use crate::limits::{BODY_BYTES_MAX, REQUESTS_IN_FLIGHT_MAX};
use crate::wire::{Refusal, json};

/// What a handler says: a body, nothing, or why not.
pub(crate) type Reply = Result<Option<Bytes>, Refusal>;

/// A request as a handler sees it.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) message: broker::Message,
    pub(crate) caller: Caller,
}

impl Request {
    pub(crate) fn new(message: broker::Message) -> Self {
        let caller = Caller::new(message.sender.as_ref());
        Self { message, caller }
    }

    /// The n-th token of the subject, from 0; empty beyond the last.
    pub(crate) fn token(&self, n: usize) -> &str {
        self.message
            .subject
            .as_str()
            .split('.')
            .nth(n)
            .unwrap_or_default()
    }

    /// The body as JSON; an empty body is an empty object.
    pub(crate) fn body<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        let payload: &[u8] = &self.message.payload;
        if payload.len() > BODY_BYTES_MAX {
            return Err(Refusal::new("too_large", "The request is too large."));
        }
        let payload = if payload.is_empty() { b"{}" } else { payload };
        serde_json::from_slice(payload).map_err(|error| {
            Refusal::invalid_request(format!(
                "The request is not what this subject takes: {error}."
            ))
        })
    }

    pub(crate) fn wants_reply(&self) -> bool {
        self.message.reply.is_some()
    }
}

/// A body as a reply.
pub(crate) fn reply<T: serde::Serialize>(value: &T) -> Reply {
    Ok(Some(json(value)))
}

/// What an endpoint runs on.
pub(crate) struct Endpoint {
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) stop: CancellationToken,
}

impl Clone for Endpoint {
    fn clone(&self) -> Self {
        Self {
            bus: Arc::clone(&self.bus),
            stop: self.stop.clone(),
        }
    }
}

/// Every service subscribes before it is counted as started.
pub(crate) type Serving = futures_util::future::BoxFuture<'static, ()>;

impl Endpoint {
    /// Answers requests one after another, in the order in which they came.
    pub(crate) async fn in_order<H, F>(
        &self,
        filter: &'static str,
        queue_group: &'static str,
        mut handler: H,
    ) -> Result<Serving, BusError>
    where
        H: FnMut(Request) -> F + Send + 'static,
        F: Future<Output = (Request, Reply)> + Send + 'static,
    {
        let mut subscription = self.bus.subscribe(filter, Some(queue_group)).await?;
        let Self { bus, stop } = self.clone();
        Ok(Box::pin(async move {
            loop {
                let message = tokio::select! {
                    () = stop.cancelled() => break,
                    message = subscription.next() => message,
                };
                let Some(message) = message else { break };
                let (request, reply) = handler(Request::new(message)).await;
                respond(bus.as_ref(), &request, reply).await;
            }
        }))
    }

    /// Answers requests side by side, up to a limit; above it the next one waits.
    pub(crate) async fn side_by_side<H, F>(
        &self,
        filter: &'static str,
        queue_group: &'static str,
        handler: H,
    ) -> Result<Serving, BusError>
    where
        H: Fn(Request) -> F + Send + 'static,
        F: Future<Output = (Request, Reply)> + Send + 'static,
    {
        let mut subscription = self.bus.subscribe(filter, Some(queue_group)).await?;
        let Self { bus, stop } = self.clone();
        Ok(Box::pin(async move {
            let mut running = JoinSet::new();
            loop {
                tokio::select! {
                    () = stop.cancelled() => break,
                    Some(_) = running.join_next(), if !running.is_empty() => {}
                    message = subscription.next(), if running.len() < REQUESTS_IN_FLIGHT_MAX => {
                        let Some(message) = message else { break };
                        let (bus, answered) = (Arc::clone(&bus), handler(Request::new(message)));
                        running.spawn(async move {
                            let (request, reply) = answered.await;
                            respond(bus.as_ref(), &request, reply).await;
                        });
                    }
                }
            }
            while running.join_next().await.is_some() {}
        }))
    }
}

/// Sends what the handler said, if anybody asked.
pub(crate) async fn respond(bus: &dyn Bus, request: &Request, reply: Reply) {
    if !request.wants_reply() {
        if let Err(refusal) = reply {
            tracing::debug!(subject = %request.message.subject, code = refusal.code, "refused");
        }
        return;
    }
    let body = match reply {
        Ok(None) => return,
        Ok(Some(body)) => body,
        Err(refusal) => json(&refusal),
    };
    if let Err(error) = bus.respond(&request.message, body).await {
        tracing::warn!(%error, subject = %request.message.subject, "reply was not sent");
    }
}

/// Turns our own failure into the asker's answer; the reason goes to the log.
pub(crate) fn internal<E: std::error::Error + 'static>(error: E) -> Refusal {
    let error: &(dyn std::error::Error + 'static) = &error;
    tracing::error!(error, "request failed");
    Refusal::internal()
}
