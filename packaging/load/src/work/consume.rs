//! Reading a stream by a pull consumer that all clients share.

use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use serde_json::{Value, json};

use super::api::Api;
use super::join;
use crate::Error;
use crate::histogram::Histogram;
use crate::meter::Meter;
use crate::outcome::{ClientOutcome, Outcome, Role};
use crate::target::Target;

/// How long a pull waits, in nanoseconds. It only ends so when messages are missing.
const EXPIRES_NANOS: u64 = 20_000_000_000;

/// Which messages are acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckPolicy {
    /// None.
    None,
    /// Each.
    Explicit,
}

/// Fetches messages of a stream in batches.
#[derive(Clone, Debug)]
pub struct StreamConsume {
    /// Stream to read.
    pub stream: String,
    /// Name of the consumer, which is made before and removed afterwards.
    pub consumer: String,
    /// Messages to read, by all clients together.
    pub messages: u64,
    /// Messages of one pull.
    pub batch: u64,
    /// Clients.
    pub clients: usize,
    /// What is acknowledged.
    pub ack_policy: AckPolicy,
}

impl StreamConsume {
    /// From the first pull until everything was read and, with acknowledgements, the server has taken the last one. The
    /// latencies are those of whole batches.
    ///
    /// # Errors
    /// The stream is not there or holds less, or a client loses its connection.
    pub fn run(&self, target: &Target, meter: &Meter) -> Result<Outcome, Error> {
        let mut api = Api::connect(target)?;
        let found = api.stream_state(&self.stream, "messages")?;
        if found < self.messages {
            let wanted = self.messages;
            return Err(Error::TooFew { wanted, found });
        }
        let path = format!("{}.{}", self.stream, self.consumer);
        api.call(&format!("CONSUMER.CREATE.{path}"), &self.config())?;
        let clients = (0..self.clients)
            .map(|_| Api::connect(target))
            .collect::<Result<Vec<_>, Error>>()?;
        let wanted = AtomicU64::new(self.messages);
        let ready = Barrier::new(self.clients + 1);
        let outcome = std::thread::scope(|scope| {
            let reading: Vec<_> = clients
                .into_iter()
                .map(|client| {
                    let (ready, wanted) = (&ready, &wanted);
                    scope.spawn(move || {
                        ready.wait();
                        self.consume(client, wanted, meter)
                    })
                })
                .collect();
            let start = meter.start();
            ready.wait();
            let mut outcome = Outcome::new(start, 0);
            let mut failure = None;
            for client in reading {
                match join(client) {
                    Ok((client, latencies, payload_bytes)) => {
                        outcome.clients.push(client);
                        outcome.latencies.merge(&latencies);
                        outcome.payload_bytes = outcome.payload_bytes.max(payload_bytes);
                    }
                    Err(error) => failure = Some(error),
                }
            }
            failure.map_or(Ok(outcome), Err)
        });
        let removed = api.call(&format!("CONSUMER.DELETE.{path}"), &Value::Null);
        let outcome = outcome?;
        removed?;
        Ok(outcome)
    }

    fn config(&self) -> Value {
        let ack_policy = match self.ack_policy {
            AckPolicy::None => "none",
            AckPolicy::Explicit => "explicit",
        };
        json!({
            "stream_name": self.stream,
            "config": {
                "name": self.consumer,
                "durable_name": self.consumer,
                "deliver_policy": "all",
                "ack_policy": ack_policy,
                "replay_policy": "instant",
                "max_ack_pending": -1,
            },
        })
    }

    fn consume(
        &self,
        client: Api,
        wanted: &AtomicU64,
        meter: &Meter,
    ) -> Result<(ClientOutcome, Histogram, usize), Error> {
        let mut frames = client.frames;
        let inbox = frames.inbox.clone();
        let acknowledge = self.ack_policy == AckPolicy::Explicit;
        let (mut read, mut payload_bytes) = (0, 0);
        let mut latencies = Histogram::default();
        let (mut acks, mut last_reply) = (Vec::new(), Vec::new());
        while let Some(batch) = take(wanted, self.batch).filter(|_| !meter.is_stopped()) {
            let body = format!(r#"{{"batch":{batch},"expires":{EXPIRES_NANOS}}}"#);
            let request = format!(
                "PUB $JS.API.CONSUMER.MSG.NEXT.{}.{} {inbox}.next {}\r\n{body}\r\n",
                self.stream,
                self.consumer,
                body.len()
            );
            let start = Instant::now();
            frames.send(request.as_bytes())?;
            let mut got = 0;
            while got < batch {
                acks.clear();
                let before = got;
                while let Some(message) = frames.next()? {
                    if let Some(status) = frames.status(&message) {
                        return Err(Error::JetStream {
                            call: "pull".to_owned(),
                            text: format!("status {}", String::from_utf8_lossy(status)),
                        });
                    }
                    got += 1;
                    payload_bytes = frames.payload(&message).len();
                    if acknowledge {
                        let reply = frames.reply(&message);
                        acks.extend_from_slice(b"PUB ");
                        acks.extend_from_slice(reply);
                        acks.extend_from_slice(b" 4\r\n+ACK\r\n");
                        last_reply.clear();
                        last_reply.extend_from_slice(reply);
                    }
                }
                meter.count_received(got - before);
                frames.send(&acks)?;
                if got < batch {
                    frames.fill()?;
                }
            }
            latencies.record(start.elapsed());
            read += got;
        }
        if !last_reply.is_empty() {
            // Once more, now with a confirmation: it comes when all before it have been taken.
            let reply = String::from_utf8_lossy(&last_reply).into_owned();
            let confirm = format!("PUB {reply} {inbox}.ack 4\r\n+ACK\r\n");
            frames.send(confirm.as_bytes())?;
            frames.wait()?;
        }
        let client = ClientOutcome {
            role: Role::Consumer,
            messages: read,
            end: Instant::now(),
        };
        Ok((client, latencies, payload_bytes))
    }
}

/// Takes a share of what is still to be read.
fn take(wanted: &AtomicU64, batch: u64) -> Option<u64> {
    let before = wanted.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
        (left > 0).then(|| left.saturating_sub(batch))
    });
    before.ok().map(|left| left.min(batch))
}
