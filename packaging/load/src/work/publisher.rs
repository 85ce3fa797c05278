//! A connection that only publishes.

use std::time::{Duration, Instant};

use crate::Error;
use crate::connection::{CHUNK_BYTES, Connection};
use crate::meter::Meter;
use crate::outcome::{ClientOutcome, Role};
use crate::pool::Pool;

/// How often a publisher looks whether the server has something to say.
const GLANCES: Duration = Duration::from_secs(5);

/// What one publisher does.
#[derive(Debug)]
pub(crate) struct Publisher {
    pub(crate) connection: Connection,
    pub(crate) pool: Pool,
    pub(crate) messages: u64,
    /// Messages per second; `None` is as many as the server takes.
    pub(crate) rate: Option<u64>,
}

impl Publisher {
    /// Publishes until it is done, then waits until the server has taken everything.
    pub(crate) fn run(mut self, meter: &Meter) -> Result<ClientOutcome, Error> {
        let start = Instant::now();
        let mut next_glance = start + GLANCES;
        let mut sent = 0;
        while sent < self.messages && !meter.is_stopped() {
            let due = self.due(start, sent);
            let (bytes, taken) = self.pool.take(due, CHUNK_BYTES);
            self.connection.send(bytes)?;
            sent += taken;
            meter.count_sent(taken);
            let now = Instant::now();
            if now > next_glance {
                self.connection.glance()?;
                next_glance = now + GLANCES;
            }
        }
        self.connection.flush()?;
        Ok(ClientOutcome {
            role: Role::Publisher,
            messages: sent,
            end: Instant::now(),
        })
    }

    /// How many may be sent now; waits until it is at least one.
    fn due(&self, start: Instant, sent: u64) -> u64 {
        let left = self.messages - sent;
        let Some(rate) = self.rate else { return left };
        let at = start + Duration::from_secs_f64((sent + 1) as f64 / rate as f64);
        std::thread::sleep(at.saturating_duration_since(Instant::now()));
        let allowed = (start.elapsed().as_secs_f64() * rate as f64) as u64;
        left.min(allowed.saturating_sub(sent).max(1))
    }
}
