//! Publishing to a stream as stock clients do: so many in flight, acknowledgements to one inbox. A put to a bucket is the same.

use std::sync::Barrier;
use std::time::Instant;

use super::api::Api;
use super::{join, share};
use crate::Error;
use crate::histogram::Histogram;
use crate::meter::Meter;
use crate::outcome::{ClientOutcome, Outcome, Role};
use crate::target::Target;

/// Messages for a stream, each waiting for its acknowledgement.
#[derive(Clone, Debug)]
pub struct StreamPublish {
    /// What every subject begins with, the last dot included: a number follows.
    pub prefix: String,
    /// Subjects, used in turn.
    pub subjects: usize,
    /// Size of a payload, in bytes.
    pub payload_bytes: usize,
    /// Messages of all clients together.
    pub messages: u64,
    /// Clients.
    pub clients: usize,
    /// Messages of one client that may be unacknowledged; 1 is one after the other.
    pub in_flight: u64,
}

impl StreamPublish {
    /// From the first message to the last acknowledgement. Anything but an acknowledgement is an error.
    ///
    /// # Errors
    /// A client is not let in or loses its connection, or the stream refuses a message.
    pub fn run(&self, target: &Target, meter: &Meter) -> Result<Outcome, Error> {
        let clients = (0..self.clients)
            .map(|_| Api::connect(target))
            .collect::<Result<Vec<_>, Error>>()?;
        let ready = Barrier::new(self.clients + 1);
        std::thread::scope(|scope| {
            let publishing: Vec<_> = clients
                .into_iter()
                .enumerate()
                .map(|(index, client)| {
                    let ready = &ready;
                    let messages = share(self.messages, self.clients, index);
                    scope.spawn(move || {
                        ready.wait();
                        self.publish(client, messages, meter)
                    })
                })
                .collect();
            let start = meter.start();
            ready.wait();
            let mut outcome = Outcome::new(start, self.payload_bytes);
            let mut failure = None;
            for client in publishing {
                match join(client) {
                    Ok((client, latencies)) => {
                        outcome.clients.push(client);
                        outcome.latencies.merge(&latencies);
                    }
                    Err(error) => failure = Some(error),
                }
            }
            failure.map_or(Ok(outcome), Err)
        })
    }

    fn publish(
        &self,
        client: Api,
        messages: u64,
        meter: &Meter,
    ) -> Result<(ClientOutcome, Histogram), Error> {
        let mut frames = client.frames;
        let heads: Vec<Vec<u8>> = (0..self.subjects.max(1))
            .map(|number| format!("PUB {}{number} {}.", self.prefix, frames.inbox).into_bytes())
            .collect();
        let payload = "x".repeat(self.payload_bytes);
        let tail = format!(" {}\r\n{payload}\r\n", self.payload_bytes);
        let mut out = Vec::new();
        let mut latencies = Histogram::default();
        // When each message left, in a circle as long as what may be in flight.
        let mut left_at = vec![Instant::now(); self.in_flight.max(1) as usize];
        let (mut sent, mut done) = (0_u64, 0_u64);
        while done < messages && !(meter.is_stopped() && done == sent) {
            out.clear();
            let now = Instant::now();
            let before = sent;
            let may_send = !meter.is_stopped();
            while may_send && sent < messages && sent - done < self.in_flight.max(1) {
                out.extend_from_slice(&heads[sent as usize % heads.len()]);
                out.extend_from_slice(&token(sent));
                out.extend_from_slice(tail.as_bytes());
                left_at[(sent % self.in_flight.max(1)) as usize] = now;
                sent += 1;
            }
            frames.send(&out)?;
            meter.count_sent(sent - before);
            frames.fill()?;
            let before = done;
            let now = Instant::now();
            while let Some(answer) = frames.next()? {
                if frames.status(&answer) == Some(b"503") {
                    return Err(Error::NoResponders(format!("{}*", self.prefix)));
                }
                check(frames.payload(&answer))?;
                // Acknowledgements of one stream come in the order of its messages.
                latencies.record(now - left_at[(done % self.in_flight.max(1)) as usize]);
                done += 1;
            }
            meter.count_received(done - before);
        }
        let client = ClientOutcome {
            role: Role::Publisher,
            messages: done,
            end: Instant::now(),
        };
        Ok((client, latencies))
    }
}

/// Eight hexadecimal digits: each message is answered on a subject of its own.
fn token(number: u64) -> [u8; 8] {
    std::array::from_fn(|index| b"0123456789abcdef"[(number >> (28 - 4 * index)) as usize & 15])
}

fn check(answer: &[u8]) -> Result<(), Error> {
    if answer.starts_with(b"{\"stream\":") {
        return Ok(());
    }
    let answer = serde_json::from_slice::<serde_json::Value>(answer).unwrap_or_default();
    let text = answer["error"]["description"].as_str();
    Err(Error::JetStream {
        call: "publish".to_owned(),
        text: text.unwrap_or("no acknowledgement").to_owned(),
    })
}
