//! How long things took, in buckets that are 1.6 % wide at most.

use std::time::Duration;

/// Buckets per power of two, as bits.
const FINE_BITS: u32 = 6;
const FINE: usize = 1 << FINE_BITS;
const BUCKETS: usize = (64 - FINE_BITS as usize + 1) * FINE;

/// Durations, counted. Its size does not depend on how many they are.
#[derive(Clone, Debug)]
pub struct Histogram {
    buckets: Vec<u64>,
    len: u64,
    total: Duration,
    smallest: Duration,
    largest: Duration,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            buckets: vec![0; BUCKETS],
            len: 0,
            total: Duration::ZERO,
            smallest: Duration::MAX,
            largest: Duration::ZERO,
        }
    }
}

impl Histogram {
    /// Counts one.
    pub fn record(&mut self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.buckets[bucket(nanos)] += 1;
        self.len += 1;
        self.total += took;
        self.smallest = self.smallest.min(took);
        self.largest = self.largest.max(took);
    }

    /// Takes over what another one counted.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            *mine += theirs;
        }
        self.len += other.len;
        self.total += other.total;
        self.smallest = self.smallest.min(other.smallest);
        self.largest = self.largest.max(other.largest);
    }

    /// How many were counted.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether none was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The smallest; zero where there is none.
    #[must_use]
    pub fn smallest(&self) -> Duration {
        self.smallest.min(self.largest)
    }

    /// The largest.
    #[must_use]
    pub fn largest(&self) -> Duration {
        self.largest
    }

    /// The mean.
    #[must_use]
    pub fn mean(&self) -> Duration {
        Duration::from_nanos((self.total.as_nanos() / u128::from(self.len.max(1))) as u64)
    }

    /// So much percent took at most this long.
    #[must_use]
    pub fn percentile(&self, percent: f64) -> Duration {
        let wanted = (self.len as f64 * percent / 100.0).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (index, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return Duration::from_nanos(middle(index)).clamp(self.smallest(), self.largest);
            }
        }
        self.largest
    }
}

fn bucket(nanos: u64) -> usize {
    let power = nanos.max(1).ilog2();
    if power < FINE_BITS {
        return nanos as usize;
    }
    let shift = power - FINE_BITS;
    (shift as usize + 1) * FINE + ((nanos >> shift) as usize - FINE)
}

/// The middle of what a bucket stands for, in nanoseconds.
fn middle(bucket: usize) -> u64 {
    let (row, column) = (bucket / FINE, (bucket % FINE) as u64);
    if row == 0 {
        return column;
    }
    let shift = row as u32 - 1;
    ((FINE as u64 + column) << shift) + (1_u64 << shift) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_right_within_a_bucket() {
        let mut even = Histogram::default();
        let mut odd = Histogram::default();
        for micros in 1..=10_000_u64 {
            let side = if micros % 2 == 0 { &mut even } else { &mut odd };
            side.record(Duration::from_micros(micros));
        }
        even.merge(&odd);
        for percent in [1.0, 50.0, 90.0, 99.0, 99.9] {
            let exact = percent * 100.0;
            let found = even.percentile(percent).as_secs_f64() * 1e6;
            assert!((found / exact - 1.0).abs() < 0.016, "{percent}: {found}");
        }
        assert_eq!(even.len(), 10_000);
        assert_eq!(even.percentile(100.0), even.largest());
        assert_eq!(even.smallest(), Duration::from_micros(1));
    }

    #[test]
    fn every_duration_has_a_bucket() {
        for nanos in [0, 1, 63, 64, 65, 1000, u64::MAX / 2, u64::MAX] {
            let index = bucket(nanos);
            assert!(index < BUCKETS, "{nanos}");
            let off = middle(index).abs_diff(nanos) as f64;
            assert!(off <= (nanos as f64 * 0.016).max(1.0), "{nanos}");
        }
        assert_eq!(Histogram::default().percentile(50.0), Duration::ZERO);
    }
}
