//! What an engine did, and how long it took.

use std::collections::BTreeMap;
use std::time::Duration;

/// How long events of one kind took.
#[derive(Clone, Debug, Default)]
pub struct Latency {
    /// Number of events.
    pub count: u64,
    /// All together.
    pub total: Duration,
    /// By power of two of nanoseconds: how many took less than `2^n`, and at least half of that.
    pub buckets: [u64; 32],
}

impl Latency {
    /// The time within which a part of all events were done: the upper end of its bucket.
    #[must_use]
    pub fn percentile(&self, part: f64) -> Duration {
        let wanted = (part * self.count as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (bucket, &count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return Duration::from_nanos(1 << bucket);
            }
        }
        Duration::ZERO
    }
}

/// Counts of everything.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// By kind of event.
    pub events: BTreeMap<&'static str, Latency>,
    /// Accounts that price changes made the engine judge again.
    pub rejudged: u64,
}

impl Metrics {
    pub(crate) fn count(&mut self, event: &'static str, took: Duration) {
        self.count_many(event, 1, took);
    }

    /// Events of one kind that were done together: each counts as long as the mean.
    pub(crate) fn count_many(&mut self, event: &'static str, count: u64, took: Duration) {
        if count == 0 {
            return;
        }
        let each = took.as_nanos() as u64 / count;
        let latency = self.events.entry(event).or_default();
        latency.count += count;
        latency.total += took;
        let bits = 64 - each.leading_zeros() as usize;
        latency.buckets[bits.min(31)] += count;
    }

    pub(crate) fn woke(&mut self, accounts: usize) {
        self.rejudged += accounts as u64;
    }
}
