//! A connection that only receives.

use std::io::Read;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use crate::Error;
use crate::connection::{CHUNK_BYTES, Connection, SILENCE_MAX, is_timeout};
use crate::histogram::Histogram;
use crate::meter::Meter;
use crate::outcome::{ClientOutcome, Role};
use crate::skim::Skim;

/// How often a subscriber that hears nothing looks whether it is to stop.
pub(crate) const LOOK: Duration = Duration::from_millis(100);

/// What a subscriber waits for: so many messages, or the word that the end has come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Goal {
    /// `None`: only the end ends it.
    pub(crate) messages: Option<u64>,
    /// Long silence is an error: somebody publishes.
    pub(crate) is_impatient: bool,
}

impl Goal {
    pub(crate) fn is_reached(self, messages: u64) -> bool {
        self.messages.is_some_and(|wanted| messages >= wanted)
    }

    /// Whether the silence has lasted too long.
    pub(crate) fn is_given_up(self, last_heard: Instant) -> bool {
        self.is_impatient && last_heard.elapsed() > SILENCE_MAX
    }
}

/// Receives until the goal is reached.
pub(crate) fn receive(
    connection: Result<Connection, Error>,
    goal: Goal,
    ready: &Barrier,
    meter: &Meter,
) -> Result<(ClientOutcome, Histogram), Error> {
    let mut buffer = vec![0; CHUNK_BYTES];
    ready.wait();
    let mut connection = connection?;
    connection
        .stream
        .carrier
        .socket
        .set_read_timeout(Some(LOOK))?;
    let mut last_heard = Instant::now();
    let mut skim = Skim::default();
    let mut latencies = Histogram::default();
    let mut client = ClientOutcome {
        role: Role::Subscriber,
        messages: 0,
        end: Instant::now(),
    };
    let rest = std::mem::take(&mut connection.rest);
    let mut len = rest.len();
    buffer[..len].copy_from_slice(&rest);
    loop {
        let seen = skim.feed(&buffer[..len], |age| latencies.record(age))?;
        if seen.messages > 0 {
            client.messages += seen.messages;
            client.end = Instant::now();
            meter.count_received(seen.messages);
        }
        if seen.pings > 0 {
            connection.send(b"PONG\r\n")?;
        }
        if seen.ends > 0 || goal.is_reached(client.messages) || meter.is_stopped() {
            return Ok((client, latencies));
        }
        len = match connection.stream.read(&mut buffer) {
            Ok(0) => return Err(Error::CutOff),
            Ok(len) => len,
            Err(error) if is_timeout(&error) && !goal.is_given_up(last_heard) => 0,
            Err(error) => return Err(error.into()),
        };
        if len > 0 && goal.is_impatient {
            last_heard = Instant::now();
        }
    }
}
