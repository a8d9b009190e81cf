//! The largest few of many losses and where they stand, without a branch that nobody can foresee.
//!
//! Losses are whole numbers, [`BIAS`] more, whose bits compare as those of f32: registers have the quicker comparisons of f32.
//!
//! Each lane of two sets keeps its two largest losses while rows go by, and the largest that it has lost. Then the lists of
//! sixteen units are merged together: halving the lanes of a unit leaves room for another in the same register, until each
//! lane holds the eight largest of one unit. A loss carries the number of its row in its lowest bits; its lane is found by
//! comparing.
//!
//! Lists go by value. Changed in place they would stay in memory, and each step would wait for the one before.

use super::Row;
use super::floats::{Floats, TAG_BITS};
use super::sieve::{BIAS, Losses};

/// Rows of losses that tags can tell apart.
pub(super) const MOST_ROWS: usize = 1 << TAG_BITS;

/// The last rank that is found: what comes next must be known too.
pub(super) const MOST_RANKS: usize = 7;

/// Units that are ranked together.
pub(super) const RANKED_TOGETHER: usize = 16;

/// The largest losses of a unit in each lane, with their tags.
#[derive(Clone, Copy)]
pub(super) struct Kept<F> {
    /// Of the even rows and of the odd ones: the two largest, descending, and the largest that is not one of them.
    sets: [[F; 3]; 2],
}

impl<F: Floats> Kept<F> {
    #[inline(always)]
    pub(super) fn none() -> Self {
        Self {
            sets: [[F::splat(f32::NEG_INFINITY); 3]; 2],
        }
    }
}

impl<F: Floats> Losses<F> for Kept<F> {
    #[inline(always)]
    fn take<const N: usize>(&mut self, first: usize, mut pairs: [[F; 2]; N], limits: [F; 2]) {
        for (row, tag) in pairs.as_flattened_mut().iter_mut().zip(2 * first as u32..) {
            *row = row.tagged(tag);
        }
        // After the tag, which makes no number of minus infinity: of it and a limit the limit is the smaller.
        for (last, limit) in pairs[N - 1].iter_mut().zip(limits) {
            *last = last.smaller(limit);
        }
        let [mut even, mut odd] = self.sets;
        let (twos, rest) = pairs.as_chunks::<2>();
        for &[[a, b], [c, d]] in twos {
            even = with_two(even, a, c);
            odd = with_two(odd, b, d);
        }
        if let [[a, b]] = *rest {
            even = with_one(even, a);
            odd = with_one(odd, b);
        }
        self.sets = [even, odd];
    }
}

/// A set with one loss more in each lane.
#[inline(always)]
fn with_one<F: Floats>([first, second, lost]: [F; 3], new: F) -> [F; 3] {
    let (first, new) = ordered(first, new);
    let (second, new) = ordered(second, new);
    [first, second, lost.larger(new)]
}

/// A set with two losses more in each lane.
///
/// One of both firsts is kept. Of the other and of both seconds, of which one is no larger than it, the largest is kept too,
/// and the next is lost.
#[inline(always)]
fn with_two<F: Floats>([first, second, lost]: [F; 3], a: F, b: F) -> [F; 3] {
    let (a, b) = ordered(a, b);
    let (first, a) = ordered(first, a);
    let (second, new) = ordered(a, second.larger(b));
    [first, second, lost.larger(new)]
}

/// Units that wait to be ranked together.
#[derive(Clone)]
pub(super) struct Ranking {
    count: usize,
    /// By unit, what each lane keeps: two of even rows, two of odd ones.
    kept: [[[Row; 2]; 2]; RANKED_TOGETHER],
    /// By unit, the largest that each lane has lost.
    lost: [Row; RANKED_TOGETHER],
    /// By unit, how far losses must be apart to be in order: less than what the largest sum is below infinity.
    apart: [i32; RANKED_TOGETHER],
}

/// What was found of the units, in their order.
pub(super) struct Ranked {
    /// For which units all is known: bit `c` for unit `c`.
    pub(super) decided: u16,
    rank: usize,
    /// By place, from 1, the largest of each unit that were kept.
    by_place: [Lane; MOST_RANKS + 2],
    /// No loss that was not kept is above these.
    lost: Lane,
}

/// Bits of one loss of each unit.
type Lane = [i32; RANKED_TOGETHER];

/// Scenarios of a unit that are too near to one another to be told apart.
pub(super) struct Near {
    /// How many are surely above those at the rank.
    pub(super) above: usize,
    /// Those that may be at the rank.
    pub(super) at_rank: Scenarios,
    /// Those that may be the largest.
    pub(super) top: Scenarios,
}

/// A few of them.
#[derive(Default)]
pub(super) struct Scenarios {
    count: usize,
    numbers: [u32; MOST_RANKS],
}

impl Scenarios {
    fn push(&mut self, number: u32) {
        self.numbers[self.count] = number;
        self.count += 1;
    }

    pub(super) fn numbers(&self) -> &[u32] {
        &self.numbers[..self.count]
    }
}

impl Ranking {
    pub(super) fn new() -> Self {
        Self {
            count: 0,
            kept: Default::default(),
            lost: Default::default(),
            apart: [0; RANKED_TOGETHER],
        }
    }

    /// Adds a unit, whose losses are in order where they are so far apart.
    #[inline(always)]
    pub(super) fn push<F: Floats>(&mut self, unit: &Kept<F>, apart: i32) {
        let [even, odd] = unit.sets;
        let at = self.count;
        for ([first, second, _], [to_first, to_second]) in
            [even, odd].iter().zip(&mut self.kept[at])
        {
            first.store(to_first);
            second.store(to_second);
        }
        even[2].larger(odd[2]).store(&mut self.lost[at]);
        self.apart[at] = apart;
        self.count += 1;
    }

    /// Ranks the units, which then wait no longer.
    ///
    /// One is decided where the loss at `rank` and the largest are above 0 and far enough from all others. What a lane has
    /// lost counts as one that may come next: it is no larger than what the lane has kept.
    #[inline(always)]
    pub(super) fn ranked<F: Floats>(&mut self, rank: usize) -> Ranked {
        let count = std::mem::take(&mut self.count);
        let largest = self.largest::<F>();
        let lost = self.most_lost::<F>();
        let mut by_place = [Row::default(); MOST_RANKS + 2];
        F::splat(f32::INFINITY).store(&mut by_place[0]);
        for (largest, to) in largest.iter().zip(&mut by_place[1..]) {
            largest.store(to);
        }
        let by_place: [Lane; MOST_RANKS + 2] = by_place.map(bytemuck::cast);
        let mut of_lost = Row::default();
        lost.store(&mut of_lost);
        let lost: Lane = bytemuck::cast(of_lost);
        let (above, at_rank, below) = (by_place[rank - 1], by_place[rank], by_place[rank + 1]);
        let mut decided = 0;
        for unit in 0..RANKED_TOGETHER {
            let apart = self.apart[unit];
            // Of minus infinity, which is below all that is positive, no difference matters.
            let is_apart = |larger: i32, other: i32| larger.wrapping_sub(other) >= apart;
            let is_decided = is_apart(above[unit], at_rank[unit])
                & is_apart(at_rank[unit], below[unit].max(lost[unit]))
                & is_apart(by_place[1][unit], by_place[2][unit])
                & is_apart(at_rank[unit], BIAS as i32);
            decided |= u16::from(is_decided) << unit;
        }
        Ranked {
            decided: decided & ((1_u32 << count) - 1) as u16,
            rank,
            by_place,
            lost,
        }
    }

    /// The scenarios of the loss at the rank and of the largest, of a unit that is decided.
    #[inline(always)]
    pub(super) fn scenarios<F: Floats>(&self, ranked: &Ranked, unit: usize) -> [u32; 2] {
        let [at_rank, top] = [ranked.by_place[ranked.rank], ranked.by_place[1]];
        [
            self.scenario::<F>(unit, at_rank[unit]),
            self.scenario::<F>(unit, top[unit]),
        ]
    }

    /// By how much the losses of a unit that is decided are further apart than they must be for that.
    #[inline(always)]
    pub(super) fn gap(&self, ranked: &Ranked, unit: usize) -> i32 {
        let loss = |place: usize| ranked.by_place[place][unit];
        let rank = ranked.rank;
        let below = loss(rank + 1).max(ranked.lost[unit]).max(BIAS as i32);
        let of_rank = (loss(rank) - below).min(loss(1) - loss(2));
        let gap = if rank == 1 {
            // Nothing is above it.
            of_rank
        } else {
            of_rank.min(loss(rank - 1) - loss(rank))
        };
        gap - self.apart[unit]
    }

    /// The scenarios that can be what is asked for, of a unit that is not decided; none if others than those that were kept
    /// can be, or some cannot be found.
    #[inline(always)]
    pub(super) fn near<F: Floats>(&self, ranked: &Ranked, unit: usize) -> Option<Near> {
        let loss = |place: usize| ranked.by_place[place][unit];
        let (apart, at_rank) = (self.apart[unit], loss(ranked.rank));
        let is_apart = |larger: i32, other: i32| larger.wrapping_sub(other) >= apart;
        let last = loss(MOST_RANKS + 1).max(ranked.lost[unit]);
        if !(is_apart(at_rank, BIAS as i32) && is_apart(at_rank, last)) {
            return None;
        }
        let mut near = Near {
            above: 0,
            at_rank: Scenarios::default(),
            top: Scenarios::default(),
        };
        for place in 1..=MOST_RANKS {
            let here = loss(place);
            if is_apart(at_rank, here) {
                break;
            }
            if here == loss(place + 1) {
                // Nor can they be found by what they are.
                return None;
            }
            let scenario = self.scenario::<F>(unit, here);
            if is_apart(here, at_rank) {
                near.above += 1;
            } else {
                near.at_rank.push(scenario);
            }
            if !is_apart(loss(1), here) {
                near.top.push(scenario);
            }
        }
        Some(near)
    }

    #[inline(always)]
    fn scenario<F: Floats>(&self, unit: usize, loss: i32) -> u32 {
        let row = loss as u32 % (1 << TAG_BITS);
        let here = F::splat_bits(loss as u32);
        let [first, second] = &self.kept[unit][row as usize % 2];
        let lanes = F::load(first).equal(here) | F::load(second).equal(here);
        debug_assert!(lanes.is_power_of_two(), "one loss alone");
        16 * row + lanes.trailing_zeros()
    }

    /// The eight largest of each unit that were kept, descending; each lane has one unit.
    #[inline(always)]
    fn largest<F: Floats>(&self) -> [F; 8] {
        let none = [F::splat(f32::NEG_INFINITY); 8];
        let (mut twos, mut fours, mut eights) = ([none; 8], [none; 4], [none; 2]);
        for ([a, b], to) in self.kept.as_chunks::<2>().0.iter().zip(&mut twos) {
            *to = of_two(sorted_four(a), sorted_four(b));
        }
        for ([a, b], to) in twos.as_chunks::<2>().0.iter().zip(&mut fours) {
            *to = halved::<F, 4>(*a, *b);
        }
        for ([a, b], to) in fours.as_chunks::<2>().0.iter().zip(&mut eights) {
            *to = halved::<F, 2>(*a, *b);
        }
        let [a, b] = eights;
        halved::<F, 1>(a, b)
    }

    /// The largest that each unit has lost; each lane has one unit.
    #[inline(always)]
    fn most_lost<F: Floats>(&self) -> F {
        let mut lost = [F::splat(0.0); RANKED_TOGETHER / 2];
        for (at, [a, b]) in self.lost.as_chunks::<2>().0.iter().enumerate() {
            lost[at] = larger_half::<F, 8>(F::load(a), F::load(b));
        }
        for at in 0..4 {
            lost[at] = larger_half::<F, 4>(lost[2 * at], lost[2 * at + 1]);
        }
        for at in 0..2 {
            lost[at] = larger_half::<F, 2>(lost[2 * at], lost[2 * at + 1]);
        }
        larger_half::<F, 1>(lost[0], lost[1])
    }
}

/// What one unit keeps in each lane, descending.
#[inline(always)]
fn sorted_four<F: Floats>(kept: &[[Row; 2]; 2]) -> [F; 4] {
    let [[a, b], [c, d]] = kept;
    let (a, b, c, d) = (F::load(a), F::load(b), F::load(c), F::load(d));
    let ((a, c), (b, d)) = (ordered(a, c), ordered(b, d));
    let (b, c) = ordered(b, c);
    [a, b, c, d]
}

/// The eight largest of the two halves of two units, each in a half of the lanes.
#[inline(always)]
fn of_two<F: Floats>(unit: [F; 4], other: [F; 4]) -> [F; 8] {
    let [mut mine, mut others] = [unit; 2];
    for place in 0..4 {
        (mine[place], others[place]) = unit[place].parted::<8>(other[place]);
    }
    let ([a, b, c, d], [e, f, g, h]) = (mine, others);
    sorted([a, b, c, d, h, g, f, e])
}

/// The eight largest of each two pieces of `SIZE` lanes that belong to the same unit, side by side.
#[inline(always)]
fn halved<F: Floats, const SIZE: usize>(units: [F; 8], others: [F; 8]) -> [F; 8] {
    let [mut a, mut b] = [units; 2];
    for place in 0..8 {
        (a[place], b[place]) = units[place].parted::<SIZE>(others[place]);
    }
    let mut larger = a;
    for place in 0..8 {
        larger[place] = a[place].larger(b[7 - place]);
    }
    sorted(larger)
}

/// The larger of each two pieces of `SIZE` lanes that belong to the same unit, side by side.
#[inline(always)]
fn larger_half<F: Floats, const SIZE: usize>(units: F, others: F) -> F {
    let (a, b) = units.parted::<SIZE>(others);
    a.larger(b)
}

/// Sorts eight that first fall, then rise (or the other way round), descending.
#[inline(always)]
fn sorted<F: Floats>([a, b, c, d, e, f, g, h]: [F; 8]) -> [F; 8] {
    let ((a, e), (b, f)) = (ordered(a, e), ordered(b, f));
    let ((c, g), (d, h)) = (ordered(c, g), ordered(d, h));
    let ((a, c), (b, d)) = (ordered(a, c), ordered(b, d));
    let ((e, g), (f, h)) = (ordered(e, g), ordered(f, h));
    let ((a, b), (c, d)) = (ordered(a, b), ordered(c, d));
    let ((e, f), (g, h)) = (ordered(e, f), ordered(g, h));
    [a, b, c, d, e, f, g, h]
}

/// The larger and the smaller in each lane.
#[inline(always)]
fn ordered<F: Floats>(a: F, b: F) -> (F, F) {
    (a.larger(b), a.smaller(b))
}

#[cfg(test)]
mod tests {
    use super::super::floats::Scalar16;
    use super::*;
    use proptest::prelude::*;

    /// Bits of a loss that is below all others.
    const NONE: i32 = f32::NEG_INFINITY.to_bits() as i32;

    /// Bits of all losses with their tags, and their scenarios, descending.
    fn listed(losses: &[i32]) -> Vec<(i32, u32)> {
        let tagged = |(scenario, loss): (usize, &i32)| {
            let kept = (BIAS as i32 + loss) >> TAG_BITS << TAG_BITS;
            (kept | (scenario / 16) as i32, scenario as u32)
        };
        let mut list: Vec<_> = losses.iter().enumerate().map(tagged).collect();
        list.sort_by_key(|&(loss, _)| std::cmp::Reverse(loss));
        list
    }

    /// What is kept of such a list, and the largest that is not.
    fn kept(list: &[(i32, u32)]) -> (Vec<i32>, i32) {
        let (mut kept, mut lost, mut counts) = (Vec::new(), NONE, [0; 32]);
        for &(loss, scenario) in list {
            let count = &mut counts[scenario as usize % 32];
            *count += 1;
            if *count <= 2 {
                kept.push(loss);
            } else {
                lost = lost.max(loss);
            }
        }
        (kept, lost)
    }

    /// The scenarios at the rank and of the largest, if what is kept shows that they are in order.
    fn right(losses: &[i32], rank: usize, apart: i32) -> Option<[u32; 2]> {
        let list = listed(losses);
        let (kept, lost) = kept(&list);
        let at = |place: usize| i64::from(kept.get(place).copied().unwrap_or(NONE));
        let (at_rank, apart) = (at(rank - 1), i64::from(apart));
        let is_known = (rank == 1 || at(rank - 2) >= at_rank + apart)
            && at_rank >= at(rank).max(i64::from(lost)) + apart
            && at(0) >= at(1) + apart
            && at_rank >= i64::from(BIAS) + apart;
        // Of all losses, not of those that are kept.
        is_known.then(|| [list[rank - 1].1, list[0].1])
    }

    /// Asserts that scenarios said to be near are all that are, of all losses.
    fn assert_near(
        losses: &[i32],
        rank: usize,
        apart: i32,
        near: &Near,
    ) -> Result<(), TestCaseError> {
        let list = listed(losses);
        let (top, at_rank) = (list[0].0, list[rank - 1].0);
        let those = |is_one: &dyn Fn(i32) -> bool| -> Vec<u32> {
            let ones = list.iter().filter(|&&(loss, _)| is_one(loss));
            ones.map(|&(_, scenario)| scenario).collect()
        };
        prop_assert!(at_rank >= BIAS as i32 + apart);
        let above = those(&|loss| loss - at_rank >= apart);
        prop_assert_eq!(near.above, above.len());
        let at_rank = those(&|loss| (loss - at_rank).abs() < apart);
        prop_assert_eq!(near.at_rank.numbers(), at_rank);
        prop_assert_eq!(near.top.numbers(), those(&|loss| top - loss < apart));
        Ok(())
    }

    /// Adds a unit as it is summed: tile by tile, the last rows in smaller ones.
    fn push<F: Floats>(ranking: &mut Ranking, losses: &[i32], apart: i32) {
        let mut rows = vec![[Row::default(); 2]; losses.len().div_ceil(32)];
        let mut limits = [f32::INFINITY; 32];
        limits[(losses.len() - 1) % 32 + 1..].fill(f32::NEG_INFINITY);
        let limits: [Row; 2] = bytemuck::cast(limits);
        let limits = [F::load(&limits[0]), F::load(&limits[1])];
        // Sums of spare losses are 0.
        let lanes: &mut [i32] = bytemuck::cast_slice_mut(rows.as_flattened_mut());
        lanes.fill(BIAS as i32);
        for (lane, loss) in lanes.iter_mut().zip(losses) {
            *lane += loss;
        }
        let mut kept = Kept::<F>::none();
        let mut first = 0;
        while first < rows.len() {
            first += match rows.len() - first {
                8.. if F::PAIRS >= 8 => take::<F, 8>(&mut kept, &rows, first, limits),
                4.. if F::PAIRS >= 4 => take::<F, 4>(&mut kept, &rows, first, limits),
                3.. if F::PAIRS < 4 => take::<F, 3>(&mut kept, &rows, first, limits),
                2.. => take::<F, 2>(&mut kept, &rows, first, limits),
                _ => take::<F, 1>(&mut kept, &rows, first, limits),
            };
        }
        ranking.push(&kept, apart);
    }

    fn take<F: Floats, const N: usize>(
        kept: &mut Kept<F>,
        rows: &[[Row; 2]],
        first: usize,
        limits: [F; 2],
    ) -> usize {
        let is_last = first + N == rows.len();
        let none = [F::splat(f32::INFINITY); 2];
        let tile: [[F; 2]; N] = std::array::from_fn(|at| {
            let [low, high] = &rows[first + at];
            [F::load(low), F::load(high)]
        });
        kept.take(first, tile, if is_last { limits } else { none });
        N
    }

    fn check<F: Floats>(units: &[Vec<i32>], rank: usize, apart: i32) -> Result<(), TestCaseError> {
        let mut ranking = Ranking::new();
        for units in units.chunks(RANKED_TOGETHER) {
            for unit in units {
                push::<F>(&mut ranking, unit, apart);
            }
            let ranked = ranking.ranked::<F>(rank);
            prop_assert_eq!(u32::from(ranked.decided) >> units.len(), 0);
            for (at, unit) in units.iter().enumerate() {
                let found = ranked.decided >> at & 1 == 1;
                let found = found.then(|| ranking.scenarios::<F>(&ranked, at));
                prop_assert_eq!(found, right(unit, rank, apart));
                if let Some(near) = ranking.near::<F>(&ranked, at) {
                    assert_near(unit, rank, apart, &near)?;
                }
            }
        }
        Ok(())
    }

    fn check_all(units: &[Vec<i32>], rank: usize, apart: i32) -> Result<(), TestCaseError> {
        check::<Scalar16>(units, rank, apart)?;
        #[cfg(target_arch = "x86_64")]
        {
            use super::super::{Simd, avx2::Avx2Floats, avx512::Avx512Floats};
            if Simd::Avx2.available() {
                check::<Avx2Floats>(units, rank, apart)?;
            }
            if Simd::Avx512.available() {
                check::<Avx512Floats>(units, rank, apart)?;
            }
        }
        Ok(())
    }

    /// The largest sum that there is.
    const LARGEST: i32 = (1 << 30) - (1 << 24) - 1;

    proptest! {
        #[test]
        fn what_is_decided_is_that_of_a_sorted_list(
            units in prop::collection::vec(
                prop_oneof![
                    3 => prop::collection::vec(-LARGEST..=LARGEST, 1..=16 * MOST_ROWS),
                    1 => prop::collection::vec((-3..=3).prop_map(|whole| whole << 20), 1..=40),
                ],
                1..40,
            ),
            rank in 1..=MOST_RANKS,
            apart in prop_oneof![Just(100), Just(100_000), Just(1 << 22)],
        ) {
            check_all(&units, rank, apart)?;
        }

        #[test]
        fn a_lane_that_had_more_than_it_keeps_decides_nothing(
            count in prop_oneof![Just(511_usize), Just(512), Just(497), 33_usize..200],
            step in prop_oneof![Just(16_usize), Just(32), Just(31)],
            first in 0_usize..32,
            many in 1_usize..9,
            rank in 1..=MOST_RANKS,
        ) {
            let mut losses: Vec<i32> = (0..count).map(|at| (1 + at as i32 % 97) * 4096).collect();
            for (at, place) in (first..count).step_by(step).take(many).enumerate() {
                losses[place] = (1000 - at as i32) << 19;
            }
            check_all(&[losses], rank, 1 << 15)?;
        }

        #[test]
        fn losses_far_apart_in_lanes_of_their_own_are_decided(
            count in (MOST_RANKS + 1) * 37..=16 * MOST_ROWS,
            first in 0_usize..37,
            rank in 1..=MOST_RANKS,
        ) {
            let mut losses = vec![1 << 20; count];
            for at in 0..MOST_RANKS {
                losses[first + 37 * at] = (100 - at as i32) << 20;
            }
            let expected = [first + 37 * (rank - 1), first].map(|scenario| scenario as u32);
            prop_assert_eq!(right(&losses, rank, 1 << 19), Some(expected));
            check_all(&[losses], rank, 1 << 19)?;
        }

        #[test]
        fn losses_near_the_one_at_the_rank_are_all_found(
            count in (MOST_RANKS + 1) * 37..=16 * MOST_ROWS,
            first in 0_usize..37,
            steps in prop::collection::vec(1_i32..40, MOST_RANKS),
            rank in 1..=MOST_RANKS,
        ) {
            let mut losses = vec![1 << 20; count];
            let mut loss = 1 << 25;
            for (at, step) in steps.iter().enumerate() {
                loss -= step << 10;
                losses[first + 37 * at] = loss;
            }
            let mut ranking = Ranking::new();
            push::<Scalar16>(&mut ranking, &losses, 20 << 10);
            let ranked = ranking.ranked::<Scalar16>(rank);
            prop_assert!(ranking.near::<Scalar16>(&ranked, 0).is_some(), "all of them are kept");
            check_all(&[losses], rank, 20 << 10)?;
        }
    }
}
