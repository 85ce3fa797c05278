//! Reading keys of a bucket, by direct get.

use std::fmt::Write;
use std::sync::Barrier;
use std::time::Instant;

use super::api::Api;
use super::{join, share};
use crate::Error;
use crate::histogram::Histogram;
use crate::meter::Meter;
use crate::outcome::{ClientOutcome, Outcome, Role};
use crate::target::Target;

/// Look-ups of the last message of a subject. A key of a bucket is one.
#[derive(Clone, Debug)]
pub struct Gets {
    /// Stream that is asked: `KV_<bucket>`.
    pub stream: String,
    /// What every subject begins with: a number follows.
    pub prefix: String,
    /// Keys, used in turn.
    pub keys: usize,
    /// Look-ups of all clients together.
    pub gets: u64,
    /// Clients.
    pub clients: usize,
    /// Look-ups of one client that may be unanswered; 1 is one after the other.
    pub in_flight: u64,
}

impl Gets {
    /// Runs to the end.
    ///
    /// # Errors
    /// A client is not let in or loses its connection, or a key has no value.
    pub fn run(&self, target: &Target, meter: &Meter) -> Result<Outcome, Error> {
        let clients = (0..self.clients)
            .map(|_| Api::connect(target))
            .collect::<Result<Vec<_>, Error>>()?;
        let ready = Barrier::new(self.clients + 1);
        std::thread::scope(|scope| {
            let asking: Vec<_> = clients
                .into_iter()
                .enumerate()
                .map(|(index, client)| {
                    let ready = &ready;
                    let gets = share(self.gets, self.clients, index);
                    scope.spawn(move || {
                        ready.wait();
                        self.ask(client, gets, meter)
                    })
                })
                .collect();
            let start = meter.start();
            ready.wait();
            let mut outcome = Outcome::new(start, 0);
            let mut failure = None;
            for client in asking {
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
        })
    }

    fn ask(
        &self,
        client: Api,
        gets: u64,
        meter: &Meter,
    ) -> Result<(ClientOutcome, Histogram, usize), Error> {
        let mut frames = client.frames;
        let in_flight = self.in_flight.max(1);
        let mut latencies = Histogram::default();
        let mut left_at = vec![Instant::now(); in_flight as usize];
        let mut out = String::new();
        let (mut sent, mut done, mut payload_bytes) = (0_u64, 0_u64, 0);
        while done < gets && !(meter.is_stopped() && done == sent) {
            out.clear();
            let (before, now) = (sent, Instant::now());
            while !meter.is_stopped() && sent < gets && sent - done < in_flight {
                let key = sent % self.keys.max(1) as u64;
                // Writing to a string does not fail.
                let _ = write!(
                    out,
                    "PUB $JS.API.DIRECT.GET.{}.{}{key} {}.{sent:08} 0\r\n\r\n",
                    self.stream, self.prefix, frames.inbox
                );
                left_at[(sent % in_flight) as usize] = now;
                sent += 1;
            }
            frames.send(out.as_bytes())?;
            meter.count_sent(sent - before);
            frames.fill()?;
            let (before, now) = (done, Instant::now());
            while let Some(answer) = frames.next()? {
                match frames.status(&answer) {
                    // Headers without a status are those of the message.
                    None | Some(b"") => {}
                    Some(b"503") => return Err(Error::NoResponders(self.stream.clone())),
                    Some(b"404") => return Err(self.failed("there is no such key")),
                    Some(_) => return Err(self.failed("refused")),
                }
                payload_bytes = frames.payload(&answer).len();
                latencies.record(now - left_at[(done % in_flight) as usize]);
                done += 1;
            }
            meter.count_received(done - before);
        }
        let client = ClientOutcome {
            role: Role::Requester,
            messages: done,
            end: Instant::now(),
        };
        Ok((client, latencies, payload_bytes))
    }

    fn failed(&self, text: &str) -> Error {
        Error::JetStream {
            call: format!("get {}*", self.prefix),
            text: text.to_owned(),
        }
    }
}
