//! Requests and answers, one at a time per client.

use std::fmt::Write;
use std::sync::Barrier;
use std::time::Instant;

use super::{join, new_inbox, share};
use crate::Error;
use crate::connection::Connection;
use crate::frames::Frames;
use crate::histogram::Histogram;
use crate::meter::Meter;
use crate::outcome::{ClientOutcome, Outcome, Role};
use crate::target::Target;

/// Answers are small: a large read buffer would only cost.
const READ_BYTES: usize = 16 << 10;
/// Queue group of the answering connections.
const GROUP: &str = "answers";
/// What ends an answering connection: no payload and no reply.
const END_PAYLOAD: usize = 0;

/// Clients that ask and wait for the answer, each with a new reply subject every time, as stock clients do.
#[derive(Clone, Debug)]
pub struct Requests {
    /// Subject that is asked.
    pub subject: String,
    /// Size of a request and of its answer, in bytes.
    pub payload_bytes: usize,
    /// Requests of all clients together.
    pub requests: u64,
    /// Clients that ask.
    pub clients: usize,
    /// Connections that answer; 0 where a service of your own does.
    pub responders: usize,
}

impl Requests {
    /// Runs to the end.
    ///
    /// # Errors
    /// A client is not let in or loses its connection, or nobody answers.
    pub fn run(&self, target: &Target, meter: &Meter) -> Result<Outcome, Error> {
        let end_inbox = new_inbox();
        let mut control = Connection::open(target, "")?;
        let group = match self.responders {
            0 | 1 => String::new(),
            _ => format!(" {GROUP}"),
        };
        let setup = format!("SUB {}{group} 1\r\nSUB {end_inbox} 2\r\n", self.subject);
        let responders = (0..self.responders)
            .map(|_| connect(target, &setup, String::new()))
            .collect::<Result<Vec<_>, Error>>()?;
        let clients = (0..self.clients)
            .map(|_| {
                let inbox = new_inbox();
                connect(target, &format!("SUB {inbox}.* 1\r\n"), inbox)
            })
            .collect::<Result<Vec<_>, Error>>()?;
        let ready = Barrier::new(clients.len() + 1);
        std::thread::scope(|scope| {
            let answering: Vec<_> = responders
                .into_iter()
                .map(|frames| scope.spawn(move || self.answer(frames)))
                .collect();
            let asking: Vec<_> = clients
                .into_iter()
                .enumerate()
                .map(|(index, frames)| {
                    let ready = &ready;
                    let requests = share(self.requests, self.clients, index);
                    scope.spawn(move || {
                        ready.wait();
                        self.ask(frames, requests, meter)
                    })
                })
                .collect();
            let start = meter.start();
            ready.wait();
            let mut outcome = Outcome::new(start, self.payload_bytes);
            let mut failure = None;
            for client in asking {
                match join(client) {
                    Ok((client, latencies)) => {
                        outcome.clients.push(client);
                        outcome.latencies.merge(&latencies);
                    }
                    Err(error) => failure = Some(error),
                }
            }
            control.send(format!("PUB {end_inbox} {END_PAYLOAD}\r\n\r\n").as_bytes())?;
            for responder in answering {
                if let Err(error) = join(responder) {
                    failure = failure.or(Some(error));
                }
            }
            failure.map_or(Ok(outcome), Err)
        })
    }

    fn ask(
        &self,
        mut frames: Frames,
        requests: u64,
        meter: &Meter,
    ) -> Result<(ClientOutcome, Histogram), Error> {
        let payload = "x".repeat(self.payload_bytes);
        let mut latencies = Histogram::default();
        let mut request = String::new();
        let mut done = 0;
        while done < requests && !meter.is_stopped() {
            request.clear();
            // Writing to a string does not fail.
            let _ = write!(
                request,
                "PUB {} {}.{done:08} {}\r\n{payload}\r\n",
                self.subject, frames.inbox, self.payload_bytes
            );
            let start = Instant::now();
            frames.send(request.as_bytes())?;
            meter.count_sent(1);
            let answer = frames.wait()?;
            latencies.record(start.elapsed());
            if frames.status(&answer) == Some(b"503") {
                return Err(Error::NoResponders(self.subject.clone()));
            }
            done += 1;
            meter.count_received(1);
        }
        let client = ClientOutcome {
            role: Role::Requester,
            messages: done,
            end: Instant::now(),
        };
        Ok((client, latencies))
    }

    fn answer(&self, mut frames: Frames) -> Result<(), Error> {
        let payload = "x".repeat(self.payload_bytes);
        let tail = format!(" {}\r\n{payload}\r\n", self.payload_bytes);
        let mut answer = Vec::new();
        loop {
            let Some(request) = frames.next()? else {
                // Everything that was there is answered at once, as stock clients do.
                if !answer.is_empty() {
                    frames.send(&answer)?;
                    answer.clear();
                }
                frames.fill()?;
                continue;
            };
            let reply = frames.reply(&request);
            if reply.is_empty() {
                return Ok(());
            }
            answer.extend_from_slice(b"PUB ");
            answer.extend_from_slice(reply);
            answer.extend_from_slice(tail.as_bytes());
        }
    }
}

fn connect(target: &Target, setup: &str, inbox: String) -> Result<Frames, Error> {
    let connection = Connection::open(target, setup)?;
    Ok(Frames::new(connection, inbox, READ_BYTES))
}
