//! Prices at which accounts must be judged again, kept for each price like stop orders.

use super::boxes::{Watch, downwards, upwards};
use super::kept::{Kept, Subject};
use super::queue::{Cursor, Queue};

/// The two levels of a watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    /// What a falling price meets, the highest first.
    Below,
    /// What a rising price meets, the lowest first.
    Above,
}

const SIDES: [Side; 2] = [Side::Below, Side::Above];

/// Old entries are thrown out once there are more than half as many as live ones, so many for each new entry.
const SWEPT: usize = 3;

/// How many entries before it is looked at one is asked for, and before that its place.
const AHEAD: usize = 6;

impl Side {
    fn level(self, watch: &Watch) -> f32 {
        match self {
            Self::Below => watch.below,
            Self::Above => watch.above,
        }
    }

    fn level_mut(self, watch: &mut Watch) -> &mut f32 {
        match self {
            Self::Below => &mut watch.below,
            Self::Above => &mut watch.above,
        }
    }

    /// What stands in a queue for a subject's level.
    fn entry(self, level: f32, subject: Subject) -> u64 {
        u64::from(self.key(level)) << 32 | u64::from(subject)
    }

    /// A level as an integer; the one that a price meets first is the least.
    fn key(self, level: f32) -> u32 {
        // Of two zeros there is one.
        let bits = (level + 0.0).to_bits();
        let ascending = if bits >> 31 == 1 {
            !bits
        } else {
            bits | 1 << 31
        };
        match self {
            Self::Below => !ascending,
            Self::Above => ascending,
        }
    }

    /// The last entry that a price meets.
    fn last_met(self, price: f64) -> u64 {
        let level = match self {
            Self::Below => upwards(price),
            Self::Above => downwards(price),
        };
        self.entry(level, Subject::MAX)
    }
}

/// How many levels there are.
fn count(watches: &[Watch]) -> usize {
    let finite = |watch: &Watch| {
        SIDES
            .iter()
            .filter(|side| side.level(watch).is_finite())
            .count()
    };
    watches.iter().map(finite).sum()
}

/// Levels of all prices. An entry is live as long as its subject's watch says the same level; others are dropped when
/// they are met, or swept away.
#[derive(Debug, Default)]
pub(crate) struct Levels {
    /// Two for each price.
    queues: Vec<Queue>,
    kept: Kept,
    /// Levels of all watches.
    live: usize,
    /// Entries of all queues.
    entries: usize,
    /// By price: what it is, if it moved or some of what it met is still in its queues.
    now: Vec<Option<f64>>,
    /// Which these are.
    moved: Vec<u32>,
    /// Where to sweep next.
    sweep: (usize, Cursor),
    /// What was watched of the subject that is set, used again.
    before: Vec<Watch>,
    /// What a price met, used again.
    met: Vec<u64>,
}

impl Levels {
    pub(crate) fn new(variables: usize) -> Self {
        let mut queues = Vec::new();
        queues.resize_with(SIDES.len() * variables, Queue::default);
        Self {
            queues,
            now: vec![None; variables],
            ..Self::default()
        }
    }

    /// What is kept of everybody.
    pub(crate) fn kept(&self) -> &Kept {
        &self.kept
    }

    /// The same, to keep other legs.
    pub(crate) fn kept_mut(&mut self) -> &mut Kept {
        &mut self.kept
    }

    /// Takes over accounts that are watched for the first time.
    pub(crate) fn fill(&mut self, kept: Kept, entries: &[Entries]) {
        self.kept = kept;
        let mut counts = vec![0; self.queues.len()];
        let all = || entries.iter().flat_map(Entries::pairs);
        all().for_each(|(&queue, _)| counts[queue as usize] += 1);
        let mut lists: Vec<Vec<u64>> = counts.into_iter().map(Vec::with_capacity).collect();
        all().for_each(|(&queue, &entry)| lists[queue as usize].push(entry));
        for (queue, list) in self.queues.iter_mut().zip(lists) {
            self.live += list.len();
            self.entries += list.len();
            queue.extend(list);
        }
    }

    /// Watches a subject, and forgets what was watched for it before.
    pub(crate) fn set(&mut self, subject: Subject, watches: &[Watch]) {
        let mut before = std::mem::take(&mut self.before);
        before.clear();
        before.extend_from_slice(self.kept.get(subject).watches);
        self.kept.set_watches(subject, watches);
        let former = self.entries;
        for (at, watch) in watches.iter().enumerate() {
            // Mostly the same prices in the same order.
            let is_same = |old: &&Watch| old.variable == watch.variable;
            let old = before.get(at).filter(is_same);
            let old = old.or_else(|| before.iter().find(is_same));
            for side in SIDES {
                let level = side.level(watch);
                if level.is_finite() && old.is_none_or(|old| side.level(old) != level) {
                    let queue = SIDES.len() * watch.variable as usize + side as usize;
                    self.queues[queue].push(side.entry(level, subject));
                    self.entries += 1;
                }
            }
        }
        self.live += count(watches);
        self.live -= count(&before);
        self.before = before;
        if 2 * self.entries > 3 * self.live {
            self.sweep(SWEPT * (self.entries - former));
        }
    }

    /// Looks at so many entries, and throws out those that are old.
    fn sweep(&mut self, looks: usize) {
        for _ in 0..looks {
            let (number, cursor) = &mut self.sweep;
            let queue = &mut self.queues[*number];
            let Some(entry) = queue.look(cursor) else {
                *number = (*number + 1) % self.queues.len();
                continue;
            };
            if let Some(later) = queue.ahead(*cursor, 2 * AHEAD) {
                self.kept.fetch_place(later as Subject);
            }
            if let Some(soon) = queue.ahead(*cursor, AHEAD) {
                self.kept.fetch(soon as Subject);
            }
            let (variable, side) = (*number / SIDES.len(), SIDES[*number % SIDES.len()]);
            let subject = entry as Subject;
            let watch = self.kept.watch(subject, variable as u32);
            if watch.is_some_and(|watch| side.entry(side.level(watch), subject) == entry) {
                Queue::step(cursor);
            } else {
                queue.remove(*cursor);
                self.entries -= 1;
            }
        }
    }

    /// Notes that a price is `now`.
    pub(crate) fn follow(&mut self, variable: u32, now: f64) {
        if self.now[variable as usize].replace(now).is_none() {
            self.moved.push(variable);
        }
    }

    /// Takes out subjects that must be judged again because of where prices are, so many at most; `woken` may get one twice.
    pub(crate) fn cross(&mut self, mut room: usize, woken: &mut Vec<Subject>) {
        let mut moved = std::mem::take(&mut self.moved);
        moved.retain(|&variable| {
            let now = self.now[variable as usize].expect("it moved");
            let is_behind = self.cross_one(variable, now, &mut room, woken);
            if !is_behind {
                self.now[variable as usize] = None;
            }
            is_behind
        });
        self.moved = moved;
    }

    /// Whether there are subjects that must be judged again and were not taken out yet.
    pub(crate) fn is_behind(&self) -> bool {
        !self.moved.is_empty()
    }

    /// Takes out those that one price wakes; says whether there are more.
    fn cross_one(
        &mut self,
        variable: u32,
        now: f64,
        room: &mut usize,
        woken: &mut Vec<Subject>,
    ) -> bool {
        let mut is_behind = false;
        for side in SIDES {
            let queue = &mut self.queues[SIDES.len() * variable as usize + side as usize];
            let last = side.last_met(now);
            self.met.clear();
            queue.take(last, *room, &mut self.met);
            *room -= self.met.len();
            is_behind |= *room == 0 && queue.may_have(last);
            self.entries -= self.met.len();
            let first = |count: usize| self.met.iter().take(count).map(|&entry| entry as Subject);
            first(2 * AHEAD).for_each(|subject| self.kept.fetch_place(subject));
            first(AHEAD).for_each(|subject| self.kept.fetch(subject));
            for (at, &entry) in self.met.iter().enumerate() {
                if let Some(&later) = self.met.get(at + 2 * AHEAD) {
                    self.kept.fetch_place(later as Subject);
                }
                if let Some(&soon) = self.met.get(at + AHEAD) {
                    self.kept.fetch(soon as Subject);
                }
                let subject = entry as Subject;
                let Some(watch) = self.kept.watch_mut(subject, variable) else {
                    continue;
                };
                let level = side.level_mut(watch);
                if side.entry(*level, subject) == entry {
                    // The entry is gone; `set` must not think that it is still there.
                    *level = f32::NAN;
                    self.live -= 1;
                    woken.push(subject);
                }
            }
        }
        is_behind
    }

    /// Number of levels that are watched.
    pub(crate) fn live(&self) -> usize {
        self.live
    }

    /// Number of levels, old ones included, and bytes held.
    pub(crate) fn memory(&self) -> (usize, usize) {
        let queues: usize = self.queues.iter().map(Queue::memory).sum();
        (self.entries, queues + self.kept.memory())
    }
}

/// Levels of many subjects, to be put into their queues.
#[derive(Debug, Default)]
pub(crate) struct Entries {
    queues: Vec<u32>,
    entries: Vec<u64>,
}

impl Entries {
    fn pairs(&self) -> impl Iterator<Item = (&u32, &u64)> {
        self.queues.iter().zip(&self.entries)
    }

    pub(crate) fn push(&mut self, subject: Subject, watches: &[Watch]) {
        for watch in watches {
            for side in SIDES {
                let level = side.level(watch);
                if level.is_finite() {
                    self.queues
                        .push(SIDES.len() as u32 * watch.variable + side as u32);
                    self.entries.push(side.entry(level, subject));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn keys_have_the_order_in_which_a_price_meets_levels(a: f32, b: f32) {
            prop_assume!(!a.is_nan() && !b.is_nan() && a != b);
            prop_assert_eq!(Side::Above.key(a) < Side::Above.key(b), a < b);
            prop_assert_eq!(Side::Below.key(a) < Side::Below.key(b), a > b);
        }

        #[test]
        fn a_level_is_met_by_exactly_the_prices_at_and_beyond_it(level: f32, price: f64) {
            prop_assume!(level.is_finite() && price.is_finite());
            for price in [price, level.into(), f64::from(level).next_up(), f64::from(level).next_down()] {
                let met = |side: Side| side.entry(level, 7) <= side.last_met(price);
                prop_assert_eq!(met(Side::Below), price <= f64::from(level));
                prop_assert_eq!(met(Side::Above), price >= f64::from(level));
            }
        }

        #[test]
        fn exactly_those_are_woken_whose_interval_a_price_leaves(
            moves in prop::collection::vec((0..6_u32, -9..9_i16, 0..5_i16, 0..5_i16, -12..12_i32), 1..80),
        ) {
            let mut levels = Levels::new(1);
            let mut intervals = [None; 6];
            for (subject, center, down, up, now) in moves {
                let [below, above] = [center - down, center + up].map(f32::from);
                levels.set(subject, &[Watch { variable: 0, below, above }]);
                intervals[subject as usize] = Some((below, above));
                let (mut woken, now) = (Vec::new(), now as f32);
                levels.follow(0, now.into());
                levels.cross(usize::MAX, &mut woken);
                prop_assert!(!levels.is_behind());
                woken.sort_unstable();
                woken.dedup();
                let mut expected = Vec::new();
                for (subject, interval) in (0..).zip(&mut intervals) {
                    if interval.is_some_and(|(below, above)| now <= below || now >= above) {
                        expected.push(subject);
                        // Nobody watches what woke until it is watched anew.
                        *interval = interval.map(|(below, above)| {
                            (if now <= below { f32::NAN } else { below }, if now >= above { f32::NAN } else { above })
                        });
                    }
                }
                prop_assert_eq!(woken, expected);
                prop_assert!(levels.live <= levels.entries);
            }
        }
    }
}
