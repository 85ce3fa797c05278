//! One turn of one server.

use load::{Error, Meter, Outcome, Role, Target};

use crate::server::Server;

/// What a turn gave.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    /// Messages that count: deliveries, or what was sent where nobody receives, answers, acknowledgements.
    pub(crate) messages: u64,
    /// Of these, per second.
    pub(crate) rate: f64,
    /// Processor time of the server per message.
    pub(crate) cpu_us: f64,
    /// Latencies, where there are some.
    pub(crate) median_us: f64,
    pub(crate) p99_us: f64,
}

impl Turn {
    /// Runs a load and looks at the server's processor time before and after.
    pub(crate) fn measure(
        server: &Server,
        load: impl FnOnce(&Target, &Meter) -> Result<Outcome, Error>,
    ) -> Result<Self, String> {
        let before = server.cpu_time()?;
        let outcome = load(&server.target(), &Meter::default()).map_err(explained)?;
        let cpu = server.cpu_time()? - before;
        if outcome.lost > 0 {
            return Err(format!("{} messages did not arrive", outcome.lost));
        }
        let role = [
            Role::Subscriber,
            Role::Consumer,
            Role::Requester,
            Role::Publisher,
        ]
        .into_iter()
        .find(|role| outcome.of(*role).next().is_some())
        .ok_or("nobody took part")?;
        let messages = outcome.messages(role);
        let micros = |percent| outcome.latencies.percentile(percent).as_secs_f64() * 1e6;
        Ok(Self {
            messages,
            rate: outcome.rate(role),
            cpu_us: cpu.as_secs_f64() * 1e6 / messages.max(1) as f64,
            median_us: micros(50.0),
            p99_us: micros(99.0),
        })
    }
}

fn explained(error: Error) -> String {
    use std::error::Error as _;
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
