//! The live line.

use std::io::Write;
use std::time::{Duration, Instant};

use load::Meter;

use super::units;

/// Cells of the bar.
const BAR_LEN: usize = 28;
/// Width that the rate is taken over.
const WINDOW: Duration = Duration::from_millis(500);

/// What is expected, and which counter shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// So many messages are sent, and nobody of ours receives.
    Sent(u64),
    /// So many arrive: deliveries, answers or acknowledgements.
    Received(u64),
}

/// Draws how far the load is, on standard error.
#[derive(Debug)]
pub(super) struct Progress {
    expected: Expected,
    is_watched: bool,
    /// What the rate is reckoned from, and what came after it.
    before: (Instant, u64),
    latest: (Instant, u64),
}

impl Progress {
    pub(super) fn new(expected: Expected, is_watched: bool) -> Self {
        let now = (Instant::now(), 0);
        Self {
            expected,
            is_watched,
            before: now,
            latest: now,
        }
    }

    pub(super) fn draw(&mut self, meter: &Meter) {
        if !self.is_watched {
            return;
        }
        let line = match meter.started() {
            None => "connecting".to_owned(),
            Some(_) => self.line(meter),
        };
        // Standard error that is gone is no reason to stop.
        let _ = write!(std::io::stderr().lock(), "\r\x1b[2K{line}");
    }

    pub(super) fn clear(&self) {
        if self.is_watched {
            let _ = write!(std::io::stderr().lock(), "\r\x1b[2K");
        }
    }

    fn line(&mut self, meter: &Meter) -> String {
        let (done, of) = match self.expected {
            Expected::Sent(of) => (meter.sent(), of),
            Expected::Received(of) => (meter.received(), of),
        };
        let now = Instant::now();
        if now - self.latest.0 > WINDOW {
            self.before = self.latest;
            self.latest = (now, done);
        }
        let (since, from) = self.before;
        let rate = done.saturating_sub(from) as f64 / (now - since).as_secs_f64().max(1e-3);
        let part = (done as f64 / of.max(1) as f64).min(1.0);
        let left = of.saturating_sub(done) as f64 / rate;
        let left = if left.is_finite() && left >= 1.0 {
            format!("  {left:.0} s left")
        } else {
            String::new()
        };
        let percent = part * 100.0;
        format!(
            "{} {percent:3.0} %  {} of {}  {}{left}",
            bar(part),
            units::count(done),
            units::count(of),
            units::rate(rate)
        )
    }
}

fn bar(part: f64) -> String {
    let full = (part * BAR_LEN as f64) as usize;
    let mut bar = "━".repeat(full);
    if full < BAR_LEN {
        bar.push('╸');
        bar.push_str(&"─".repeat(BAR_LEN - full - 1));
    }
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_has_one_length() {
        for part in [0.0, 0.01, 0.5, 0.999, 1.0] {
            assert_eq!(bar(part).chars().count(), BAR_LEN, "{part}");
        }
    }
}
