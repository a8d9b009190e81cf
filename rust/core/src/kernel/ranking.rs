//! The largest few of many losses in f32 and where they stand, without a branch that nobody can foresee.
//!
//! Each lane of two sets keeps its three largest losses while rows go by. Then lanes are merged, like lists that are sorted
//! already, until the first lane holds the eight largest of all. A loss carries the number of its row in its lowest bits;
//! its lane is found by comparing. A lane that had more of the largest than it keeps has lost some: [`Ranking::hides`]
//! tells.
//!
//! Lists go by value. Changed in place they would stay in memory, and each step would wait for the one before.

use super::Row;
use super::floats::{Floats, TAG_BITS};

/// Rows of losses that tags can tell apart.
pub(super) const MOST_ROWS: usize = 1 << TAG_BITS;

/// The last rank that is found: what comes next must be known too.
pub(super) const MOST_RANKS: usize = 7;

/// By how much of itself a tag changes a loss at most.
pub(super) const TAG_ERROR: f64 = 1.0 / (1_u32 << (f32::MANTISSA_DIGITS - 1 - TAG_BITS)) as f64;

/// The largest losses, with their tags.
pub(super) struct Ranking<F> {
    /// The largest three in each lane of every other row, descending.
    even: [F; 3],
    /// Those of the rows between, and of the last.
    odd: [F; 3],
    /// Descending; minus infinity where there are no more.
    pub(super) largest: [f32; MOST_RANKS + 1],
}

impl<F: Floats> Ranking<F> {
    /// Of at most [`MOST_ROWS`] rows of losses; `limit` is the largest number in each lane of the last one.
    #[inline(always)]
    pub(super) fn of(rows: &[Row], limit: &Row) -> Self {
        let none = F::splat(f32::NEG_INFINITY);
        let (mut even, mut odd) = ([none; 3], [none; 3]);
        let (last, others) = rows.split_last().expect("there is a scenario");
        let (pairs, rest) = others.as_chunks::<2>();
        let mut tag = 0;
        for [a, b] in pairs {
            insert(&mut even, F::load(a).tagged(tag));
            insert(&mut odd, F::load(b).tagged(tag + 1));
            tag += 2;
        }
        if let [a] = rest {
            insert(&mut even, F::load(a).tagged(tag));
            tag += 1;
        }
        // After the tag, which makes no number of minus infinity: of it and a limit the limit is the smaller.
        insert(&mut odd, F::load(last).tagged(tag).smaller(F::load(limit)));
        let ([a, b, c], [d, e, f]) = (even, odd);
        let eight = sorted([a, b, c, none, none, f, e, d]);
        let eight = halved::<F, 8>(eight);
        let eight = halved::<F, 4>(eight);
        let eight = halved::<F, 2>(eight);
        let eight = halved::<F, 1>(eight);
        Self {
            even,
            odd,
            largest: eight.map(F::first),
        }
    }

    /// Whether a lane may have had more losses of at least so much than it keeps.
    #[inline(always)]
    pub(super) fn hides(&self, least: f32) -> bool {
        let least = F::splat(least);
        self.even[2].at_least(least) | self.odd[2].at_least(least) != 0
    }

    /// The scenario of one of the largest losses that no other equals.
    #[inline(always)]
    pub(super) fn scenario(&self, loss: f32) -> u32 {
        let here = F::splat(loss);
        let mut lanes = 0;
        for kept in self.even.iter().chain(&self.odd) {
            lanes |= kept.equal(here);
        }
        debug_assert!(lanes.is_power_of_two(), "one loss alone");
        let row = loss.to_bits() % (1 << TAG_BITS);
        16 * row + lanes.trailing_zeros()
    }
}

/// Keeps the largest three of four in each lane.
#[inline(always)]
fn insert<F: Floats>([first, second, third]: &mut [F; 3], new: F) {
    let (larger, new) = ordered(*first, new);
    *first = larger;
    let (larger, new) = ordered(*second, new);
    *second = larger;
    *third = third.larger(new);
}

/// The eight largest of each lane and of the one that is `BY` further.
#[inline(always)]
fn halved<F: Floats, const BY: usize>([a, b, c, d, e, f, g, h]: [F; 8]) -> [F; 8] {
    sorted([
        a.larger(h.swapped::<BY>()),
        b.larger(g.swapped::<BY>()),
        c.larger(f.swapped::<BY>()),
        d.larger(e.swapped::<BY>()),
        e.larger(d.swapped::<BY>()),
        f.larger(c.swapped::<BY>()),
        g.larger(b.swapped::<BY>()),
        h.larger(a.swapped::<BY>()),
    ])
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

    /// All losses with their tags and scenarios, descending.
    fn listed(losses: &[f32]) -> Vec<(f32, u32)> {
        let tagged = |(scenario, loss): (usize, &f32)| {
            let (kept, row) = (loss.to_bits() >> TAG_BITS << TAG_BITS, scenario as u32 / 16);
            (f32::from_bits(kept | row), scenario as u32)
        };
        let mut list: Vec<_> = losses.iter().enumerate().map(tagged).collect();
        list.sort_by(|a, b| b.0.total_cmp(&a.0));
        list
    }

    /// Whether a lane of a set had three of at least so much.
    fn full(list: &[(f32, u32)], rows: usize, least: f32) -> bool {
        let mut counts = [0; 32];
        for &(_, scenario) in list.iter().filter(|(loss, _)| *loss >= least) {
            let row = scenario as usize / 16;
            let set = if row + 1 == rows { 1 } else { row % 2 };
            counts[16 * set + scenario as usize % 16] += 1;
        }
        counts.iter().any(|&count| count >= 3)
    }

    fn check<F: Floats>(losses: &[f32]) -> Result<(), TestCaseError> {
        let mut rows = vec![Row::default(); losses.len().div_ceil(16)];
        let lanes: &mut [f32] = bytemuck::cast_slice_mut(&mut rows);
        lanes.fill(f32::NEG_INFINITY);
        lanes[..losses.len()].copy_from_slice(losses);
        let mut limit = [f32::INFINITY; 16];
        limit[(losses.len() - 1) % 16 + 1..].fill(f32::NEG_INFINITY);
        let ranking = Ranking::<F>::of(&rows, &bytemuck::cast(limit));
        let list = listed(losses);
        for (place, largest) in ranking.largest.into_iter().enumerate() {
            let Some(&(loss, scenario)) = list.get(place) else {
                prop_assert_eq!(largest, f32::NEG_INFINITY);
                continue;
            };
            let hides = full(&list, rows.len(), loss);
            prop_assert_eq!(ranking.hides(loss), hides);
            if !hides {
                prop_assert_eq!(largest, loss);
                if list.iter().filter(|(other, _)| *other == loss).count() == 1 {
                    prop_assert_eq!(ranking.scenario(largest), scenario);
                }
            }
        }
        Ok(())
    }

    fn check_all(losses: &[f32]) -> Result<(), TestCaseError> {
        check::<Scalar16>(losses)?;
        #[cfg(target_arch = "x86_64")]
        {
            use super::super::{Simd, avx2::Avx2Floats, avx512::Avx512Floats};
            if Simd::Avx2.available() {
                check::<Avx2Floats>(losses)?;
            }
            if Simd::Avx512.available() {
                check::<Avx512Floats>(losses)?;
            }
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn the_largest_are_those_of_a_sorted_list(
            losses in prop_oneof![
                prop::collection::vec(-100.0_f32..100.0, 1..=16 * MOST_ROWS),
                prop::collection::vec((-3_i32..=3).prop_map(|whole| whole as f32), 1..=40),
            ],
        ) {
            check_all(&losses)?;
        }

        #[test]
        fn a_lane_that_had_more_than_it_keeps_says_so(
            count in prop_oneof![Just(511_usize), Just(512), Just(497), 33_usize..200],
            step in prop_oneof![Just(16_usize), Just(32), Just(31)],
            first in 0_usize..32,
            many in 1_usize..6,
        ) {
            let mut losses: Vec<f32> = (0..count).map(|at| (at % 97) as f32 * 1e-3).collect();
            for (at, place) in (first..count).step_by(step).take(many).enumerate() {
                losses[place] = 100.0 - at as f32;
            }
            check_all(&losses)?;
        }
    }
}
