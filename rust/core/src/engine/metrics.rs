//! What an engine did, and how long it took.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Rejudged;

/// The last bucket has no end.
const BUCKETS: usize = 32;

/// How long events of one kind took.
#[derive(Clone, Debug, Default)]
pub struct Latency {
    /// Number of events.
    pub count: u64,
    /// All together.
    pub total: Duration,
    /// The longest.
    pub max: Duration,
    /// By power of two of nanoseconds: how many took at most `2^n`, and more than half of that; the last one all that
    /// took longer.
    pub buckets: [u64; BUCKETS],
}

impl Latency {
    /// The time within which a part of all events were done: the upper end of its bucket, or the longest if that is less.
    #[must_use]
    pub fn percentile(&self, part: f64) -> Duration {
        let wanted = (part * self.count as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (bucket, &count) in self.buckets[..BUCKETS - 1].iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return Duration::from_nanos(1 << bucket).min(self.max);
            }
        }
        self.max
    }
}

/// Counts of everything.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// Events that were done, by kind.
    pub events: BTreeMap<&'static str, Latency>,
    /// Accounts that were judged again after events of any kind: those that these touched, those that ticks woke,
    /// those whom payments can have moved, or all.
    pub rejudged: u64,
    /// Those of them that ticks woke; all, under a model without levels.
    pub woken: u64,
    /// Orders that were checked, whether they were then placed or not.
    pub checks: u64,
    /// Calls that the engine refused, orders that did not pass among them; nothing has changed by them.
    pub refused: u64,
}

impl Metrics {
    /// Events of one kind that were done together: each counts as long as the mean.
    pub(crate) fn count_many(&mut self, event: &'static str, count: u64, took: Duration) {
        if count == 0 {
            return;
        }
        let each = took.as_nanos() as u64 / count;
        let latency = self.events.entry(event).or_default();
        latency.count += count;
        latency.total += took;
        latency.max = latency.max.max(Duration::from_nanos(each));
        let bits = 64 - each.saturating_sub(1).leading_zeros() as usize;
        latency.buckets[bits.min(BUCKETS - 1)] += count;
    }

    pub(crate) fn judged(&mut self, whom: Rejudged, accounts: usize) {
        self.rejudged += accounts as u64;
        if whom == Rejudged::Woken {
            self.woken += accounts as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_counted_by_power_of_two_and_the_last_bucket_has_no_end() {
        let mut metrics = Metrics::default();
        let last = 5_000_000_000;
        for nanos in [1, 2, 3, 4, 5, 1 << 30, (1 << 30) + 1, last] {
            metrics.count_many("tick", 1, Duration::from_nanos(nanos));
        }
        let latency = &metrics.events["tick"];
        let counted = [0, 1, 2, 3, 30, 31].map(|bucket| latency.buckets[bucket]);
        assert_eq!(counted, [1, 1, 2, 1, 1, 2]);
        let within = [0.1, 0.5, 0.75, 1.0].map(|part| latency.percentile(part).as_nanos() as u64);
        assert_eq!(within, [1, 4, 1 << 30, last]);
        assert_eq!(latency.max, Duration::from_nanos(last));
    }

    #[test]
    fn nothing_is_within_less_than_the_longest() {
        let mut metrics = Metrics::default();
        metrics.count_many("fill", 3, Duration::from_nanos(3 * 1000));
        let latency = &metrics.events["fill"];
        assert_eq!(latency.percentile(0.5), Duration::from_nanos(1000));
    }
}
