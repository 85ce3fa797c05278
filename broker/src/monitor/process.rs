//! Memory and processor time of this process, from `/proc`. Where there is none, both are zero.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Ticks of a second in `/proc/self/stat`: the kernel scales to 100 whatever it ticks with itself.
const TICKS_PER_SECOND: f64 = 100.0;
/// Shortest time that a load is taken over.
const SPAN_MIN: Duration = Duration::from_secs(1);

/// What the process uses.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Usage {
    /// Resident memory in bytes.
    pub(crate) memory_bytes: u64,
    /// Load of the last second or longer, in percent of one core.
    pub(crate) cpu_percent: f64,
    /// Processor time since the start.
    pub(crate) cpu_time: Duration,
}

/// Remembers the last look, because a load is what happened between two of them.
#[derive(Debug)]
pub(crate) struct Process {
    last: Mutex<Look>,
}

#[derive(Debug, Clone, Copy)]
struct Look {
    at: Instant,
    cpu_time: Duration,
    percent: f64,
}

impl Process {
    pub(crate) fn new() -> Self {
        Self {
            last: Mutex::new(Look {
                at: Instant::now(),
                cpu_time: cpu_time(),
                percent: 0.0,
            }),
        }
    }

    /// Reads two small files that never wait for a disk.
    pub(crate) fn usage(&self) -> Usage {
        let cpu_time = cpu_time();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let span = last.at.elapsed();
        if span >= SPAN_MIN {
            let used = cpu_time.saturating_sub(last.cpu_time);
            let percent = 100.0 * used.as_secs_f64() / span.as_secs_f64();
            *last = Look {
                at: Instant::now(),
                cpu_time,
                percent: (percent * 10.0).round() / 10.0,
            };
        }
        Usage {
            memory_bytes: resident_bytes(),
            cpu_percent: last.percent,
            cpu_time,
        }
    }
}

/// Cores that this process may use.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next());
    kilobytes.and_then(|text| text.parse().ok()).unwrap_or(0) * 1024
}

fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name in parentheses may contain anything; after it the fields are counted from the third on.
    let Some((_, fields)) = stat.rsplit_once(')') else {
        return Duration::ZERO;
    };
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: u32 = ticks.filter_map(|text| text.parse::<u32>().ok()).sum();
    Duration::from_secs_f64(f64::from(ticks) / TICKS_PER_SECOND)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_memory_and_time() {
        let process = Process::new();
        let usage = process.usage();
        assert!(usage.memory_bytes > 1 << 20, "{usage:?}");
        assert!(
            usage.cpu_percent.abs() < f64::EPSILON,
            "no second has passed"
        );
        assert!(cores() >= 1);
    }
}
