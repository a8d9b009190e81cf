//! Prices at which accounts must be judged again, kept for each price like stop orders.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::boxes::Watch;

/// An account's pool by number, or an isolated position by its number from [`ALONE`] on.
pub(crate) type Subject = u32;

/// Isolated positions have numbers from here on.
pub(crate) const ALONE: Subject = 1 << 31;

/// What is watched for each subject.
#[derive(Debug, Default)]
struct Watched {
    pools: Vec<Box<[Watch]>>,
    alone: Vec<Box<[Watch]>>,
}

impl Watched {
    fn list(&mut self, subject: Subject) -> &mut Box<[Watch]> {
        let (lists, at) = if subject < ALONE {
            (&mut self.pools, subject)
        } else {
            (&mut self.alone, subject - ALONE)
        };
        let at = at as usize;
        if lists.len() <= at {
            lists.resize_with(at + 1, Box::default);
        }
        &mut lists[at]
    }

    fn find(&mut self, subject: Subject, variable: u32) -> Option<&mut Watch> {
        let mut mine = self.list(subject).iter_mut();
        mine.find(|watch| watch.variable == variable)
    }
}

/// A float as an integer of the same order.
fn key(level: f64) -> i64 {
    // Of two zeros there is one.
    let bits = (level + 0.0).to_bits() as i64;
    bits ^ ((bits >> 63) as u64 >> 1) as i64
}

/// Levels of one price.
#[derive(Debug, Default)]
struct RowLevels {
    /// The highest first: what a falling price meets.
    below: BinaryHeap<(i64, Subject)>,
    /// The lowest first.
    above: BinaryHeap<Reverse<(i64, Subject)>>,
    /// How many there may be before stale ones are thrown out.
    limit: usize,
}

/// Levels of all prices. An entry is live as long as its subject's watch says the same level; others are dropped when
/// they are met.
#[derive(Debug, Default)]
pub(crate) struct Levels {
    rows: Vec<RowLevels>,
    watched: Watched,
    /// What was watched of the subject that is set, used again.
    before: Vec<Watch>,
}

impl Levels {
    pub(crate) fn new(variables: usize) -> Self {
        let mut rows = Vec::new();
        rows.resize_with(variables, RowLevels::default);
        Self {
            rows,
            watched: Watched::default(),
            before: Vec::new(),
        }
    }

    /// What is watched for a subject; a level that was met is NaN.
    pub(crate) fn watches(&mut self, subject: Subject) -> &[Watch] {
        self.watched.list(subject)
    }

    /// Watches a subject, and forgets what was watched for it before.
    pub(crate) fn set(&mut self, subject: Subject, watches: &[Watch]) {
        let list = self.watched.list(subject);
        self.before.clear();
        self.before.extend_from_slice(list);
        if list.len() == watches.len() {
            list.copy_from_slice(watches);
        } else {
            *list = watches.into();
        }
        for (at, watch) in watches.iter().enumerate() {
            // Mostly the same prices in the same order.
            let is_same = |old: &&Watch| old.variable == watch.variable;
            let old = self.before.get(at).filter(is_same);
            let old = old.or_else(|| self.before.iter().find(is_same));
            let row = &mut self.rows[watch.variable as usize];
            if watch.below > f64::NEG_INFINITY && old.is_none_or(|old| old.below != watch.below) {
                row.below.push((key(watch.below), subject));
            }
            if watch.above < f64::INFINITY && old.is_none_or(|old| old.above != watch.above) {
                row.above.push(Reverse((key(watch.above), subject)));
            }
            if row.below.len() + row.above.len() > row.limit {
                self.throw_out(watch.variable);
            }
        }
    }

    /// Throws out what is stale of one price.
    fn throw_out(&mut self, variable: u32) {
        let Self { rows, watched, .. } = self;
        let row = &mut rows[variable as usize];
        row.below.retain(|&(level, subject)| {
            let watch = watched.find(subject, variable);
            watch.is_some_and(|watch| key(watch.below) == level)
        });
        row.above.retain(|&Reverse((level, subject))| {
            let watch = watched.find(subject, variable);
            watch.is_some_and(|watch| key(watch.above) == level)
        });
        row.limit = 2 * (row.below.len() + row.above.len()) + 64;
    }

    /// Takes out the subjects that must be judged again because a price is `now`; `woken` may get one twice.
    pub(crate) fn cross(&mut self, variable: u32, now: f64, woken: &mut Vec<Subject>) {
        let Self { rows, watched, .. } = self;
        let row = &mut rows[variable as usize];
        let now = key(now);
        while let Some(&(level, subject)) = row.below.peek() {
            if level < now {
                break;
            }
            row.below.pop();
            let watch = watched.find(subject, variable);
            if let Some(watch) = watch.filter(|watch| key(watch.below) == level) {
                // The entry is gone; `set` must not think that it is still there.
                watch.below = f64::NAN;
                woken.push(subject);
            }
        }
        while let Some(&Reverse((level, subject))) = row.above.peek() {
            if level > now {
                break;
            }
            row.above.pop();
            let watch = watched.find(subject, variable);
            if let Some(watch) = watch.filter(|watch| key(watch.above) == level) {
                watch.above = f64::NAN;
                woken.push(subject);
            }
        }
    }

    /// Number of levels, stale ones included, and bytes held.
    pub(crate) fn memory(&self) -> (usize, usize) {
        let levels = self
            .rows
            .iter()
            .map(|row| row.below.len() + row.above.len())
            .sum();
        let rows = self
            .rows
            .iter()
            .map(|row| row.below.capacity() + row.above.capacity());
        let lists = self.watched.pools.iter().chain(&self.watched.alone);
        let watches = lists.map(|mine| size_of::<Watch>() * mine.len() + 16);
        (levels, 16 * rows.sum::<usize>() + watches.sum::<usize>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn keys_have_the_order_of_floats(a: f64, b: f64) {
            prop_assume!(!a.is_nan() && !b.is_nan() && a != b);
            prop_assert_eq!(key(a) < key(b), a < b);
        }

        #[test]
        fn exactly_those_are_woken_whose_interval_a_price_leaves(
            moves in prop::collection::vec((0..6_u32, -9..9_i32, 0..5_i32, 0..5_i32, -12..12_i32), 1..80),
        ) {
            let mut levels = Levels::new(1);
            let mut intervals = [None; 6];
            for (subject, center, down, up, now) in moves {
                let [below, above] = [center - down, center + up].map(f64::from);
                levels.set(subject, &[Watch { variable: 0, below, above }]);
                intervals[subject as usize] = Some((below, above));
                let (mut woken, now) = (Vec::new(), f64::from(now));
                levels.cross(0, now, &mut woken);
                woken.sort_unstable();
                woken.dedup();
                let mut expected = Vec::new();
                for (subject, interval) in (0..).zip(&mut intervals) {
                    if interval.is_some_and(|(below, above)| now <= below || now >= above) {
                        expected.push(subject);
                        // Nobody watches what woke until it is watched anew.
                        *interval = interval.map(|(below, above)| {
                            (if now <= below { f64::NAN } else { below }, if now >= above { f64::NAN } else { above })
                        });
                    }
                }
                prop_assert_eq!(woken, expected);
            }
        }
    }
}
