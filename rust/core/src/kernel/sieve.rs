//! Which scenarios can matter to a unit: losses in whole numbers of 16 bits, with a bound on what those are off by.
//!
//! A worst loss, a quantile and the mean of a tail are decided by a handful of scenarios. In 16 bits a register holds four
//! times as many losses as in f64 and the table a quarter of the bytes, which is what scanning waits for; those few are then
//! summed again in f64. So the result is that of summing all of them in f64, bit for bit.
//!
//! A loss is a part of its row's reach, a weight ([`Weights`]) a part of its unit's. Sums of products are whole numbers of
//! 32 bits.

use super::floats::{Floats, TAG_BITS};
use super::lanes::Lanes;
use super::losses::{charge, take};
use super::math::RealRow;
use super::weights::{Factors, Legs, MOST_LEGS, PARTS, WHOLE, Weights, sum};
use super::{LaneWork, Row, RowId, Simd, on_lanes};

/// Losses in whole numbers, 32 scenarios to a [`Row`] of words: sixteen in the low halves, the next sixteen in the high ones.
#[derive(Clone, Debug)]
pub(super) struct Sieve {
    /// By table row, its [`charge::BOUND`] and what one contract may lose or gain.
    bounds: Vec<[f64; 2]>,
    words: Vec<Row>,
    /// Rows of words of a table row.
    pub(super) pairs: usize,
    /// The largest number in each lane of the last pair of rows of losses: infinite, or minus infinity beyond the last
    /// scenario.
    limits: [Row; 2],
    is_charged: bool,
}

/// The reach of a row in whole numbers.
pub(super) const REACH: f64 = i16::MAX as f64;

/// What is added to a sum of products so that its bits are those of a positive f32.
pub(super) const BIAS: u32 = 1 << 30;

/// Reaches below this are what f32 holds with their sums.
const LARGE: f64 = (1_u128 << 100) as f64;

/// The least reach of a table row, and what a unit must reach to be weighed: 2^-900.
const SMALL: f64 = f64::from_bits((1023 - 900) << 52);

/// What sums in whole numbers are off by, where nothing is left of weights: each loss by a half of what the weights add up
/// to; and two more, for all that is rounded in f64.
const LOSSES_OFF: f64 = 0.5 * (PARTS + 0.5 * MOST_LEGS as f64) + 2.0;

/// More than by what tags change a difference.
const TAGS: i32 = 2 << TAG_BITS;

/// Where losses go while they are in registers.
pub(super) trait Losses<F> {
    /// Takes pairs of rows of losses from the pair `first` on; `limits` are the largest numbers in the lanes of the last one.
    fn take<const N: usize>(&mut self, first: usize, pairs: [[F; 2]; N], limits: [F; 2]);
}

/// Memory keeps losses in f32, each the loss of the legs before and so many steps more.
struct Numbers<'a> {
    losses: &'a mut [Row],
    step: f32,
}

impl<F: Floats> Losses<F> for Numbers<'_> {
    #[inline(always)]
    fn take<const N: usize>(&mut self, first: usize, pairs: [[F; 2]; N], _: [F; 2]) {
        let step = F::splat(self.step);
        let losses = &mut self.losses[2 * first..][..2 * N];
        for (sums, to) in pairs.as_flattened().iter().zip(losses) {
            sums.numbers().mul_add(step, F::load(to)).store(to);
        }
    }
}

impl Sieve {
    /// No losses yet.
    pub(super) fn new(count: usize, scenarios: usize, is_charged: bool) -> Self {
        let pairs = scenarios.div_ceil(32);
        assert!(
            u32::try_from(count * pairs).is_ok(),
            "places of rows have 32 bits"
        );
        let limit = |row: usize| {
            // Of the first lane, and 32 more.
            let scenario = 32 * pairs + 16 * row;
            let limit: [f32; 16] = std::array::from_fn(|lane| {
                if scenario + lane < scenarios + 32 {
                    f32::INFINITY
                } else {
                    f32::NEG_INFINITY
                }
            });
            bytemuck::cast(limit)
        };
        Self {
            bounds: vec![[0.0; 2]; count],
            words: vec![Row::default(); count * pairs],
            pairs,
            limits: [limit(0), limit(1)],
            is_charged,
        }
    }

    /// Number of table rows.
    pub(super) fn len(&self) -> usize {
        self.bounds.len()
    }

    /// Whether more than the bound is summed of charges.
    pub(super) fn is_charged(&self) -> bool {
        self.is_charged
    }

    /// All table rows, to be set.
    pub(super) fn rows_mut(&mut self) -> SieveRows<'_> {
        SieveRows {
            bounds: &mut self.bounds,
            words: &mut self.words,
            pairs: self.pairs,
        }
    }

    /// What the losses of a unit may be off by and what it reaches; and the weights of its legs, or of the last of them if
    /// there are more than can be weighed together.
    ///
    /// # Safety
    /// Every row is a row of the table.
    #[inline(always)]
    pub(super) unsafe fn weigh<R: RowId>(
        &self,
        legs: Legs<'_, R>,
        weights: &mut Weights,
    ) -> [f64; 2] {
        let (mut bound, mut reach) = (0.0, 0.0);
        for legs in legs.runs() {
            let run = legs.rows.iter().zip(legs.quantities);
            let (places, weights) = weights.start(legs.rows.len());
            let to = places.iter_mut().zip(weights);
            for ((row, &quantity), (place, weight)) in run.zip(to) {
                let row = row.index();
                // SAFETY: the caller's promise.
                let [own_bound, own_reach] = unsafe { *self.bounds.get_unchecked(row) };
                *place = (row * self.pairs) as u32;
                *weight = quantity * own_reach;
                bound = f64::mul_add(quantity.abs(), own_bound, bound);
                reach += weight.abs();
            }
        }
        [bound, reach]
    }

    /// Whether f32 can hold what a unit of such a reach may lose.
    pub(super) fn holds(reach: f64) -> bool {
        reach < LARGE
    }

    /// Whether a unit of so many legs and of such a reach can be weighed.
    #[inline(always)]
    pub(super) fn weighs(legs: usize, reach: f64) -> bool {
        legs <= MOST_LEGS && (SMALL..LARGE).contains(&reach)
    }

    /// How far apart sums of a weighed unit must be to be surely in order, by what rounding left of its weights.
    ///
    /// Each sum is off by no more than `LOSSES_OFF` and, for what is left of weights, the reach of a row for each; so two are
    /// in order where they are further apart than twice that. Tags change them by less than [`TAGS`].
    #[inline(always)]
    pub(super) fn apart(left: f64) -> i32 {
        (2.0 * (LOSSES_OFF + REACH * left)) as i32 + TAGS
    }

    /// Hands on the sums of products of a unit in all scenarios, and `from` more.
    ///
    /// # Safety
    /// Every place is that of a row of the table.
    #[inline(always)]
    pub(super) unsafe fn sums<F: Floats>(
        &self,
        from: u32,
        places: &[u32],
        factors: &Factors,
        to: &mut impl Losses<F>,
    ) {
        let mut first = 0;
        while first < self.pairs {
            let left = self.pairs - first;
            // SAFETY: the caller's promise; these pairs are pairs of the table.
            first += unsafe {
                if F::PAIRS >= 8 && left >= 8 {
                    self.tile::<F, 8>(from, places, factors, first, to)
                } else if F::PAIRS >= 4 && left >= 4 {
                    self.tile::<F, 4>(from, places, factors, first, to)
                } else if F::PAIRS < 4 && left >= 3 {
                    self.tile::<F, 3>(from, places, factors, first, to)
                } else if left >= 2 {
                    self.tile::<F, 2>(from, places, factors, first, to)
                } else {
                    self.tile::<F, 1>(from, places, factors, first, to)
                }
            };
        }
    }

    /// The same of `N` pairs, summed in registers; returns `N`.
    ///
    /// # Safety
    /// Every place is that of a row of the table, and the pairs are pairs of it.
    #[inline(always)]
    unsafe fn tile<F: Floats, const N: usize>(
        &self,
        from: u32,
        places: &[u32],
        factors: &Factors,
        first: usize,
        to: &mut impl Losses<F>,
    ) -> usize {
        let mut sums = [[F::splat_bits(from); 2]; N];
        for (&place, &factors) in places.iter().zip(factors) {
            let place = place as usize + first;
            // SAFETY: the caller's promise.
            let words = unsafe { &*self.words.as_ptr().add(place).cast::<[Row; N]>() };
            for (sums, words) in sums.iter_mut().zip(words) {
                *sums = F::add_products(*sums, F::load(words), factors);
            }
        }
        to.take(first, sums, self.limits::<F>(first + N));
        N
    }

    /// The largest numbers of a last pair that `end` follows.
    #[inline(always)]
    fn limits<F: Floats>(&self, end: usize) -> [F; 2] {
        if end == self.pairs {
            let [low, high] = &self.limits;
            [F::load(low), F::load(high)]
        } else {
            [F::splat(f32::INFINITY); 2]
        }
    }

    /// Keeps the losses of a unit, which [`Self::holds`], in f32, minus infinity beyond the last scenario; returns what they
    /// may be off by.
    ///
    /// The sums of each run of legs are made f32, multiplied by what one is worth and added: roundings of no more than all
    /// that is added up. Where a number is below what f32 holds in full, the absolute part is far above what it is off by.
    ///
    /// # Safety
    /// Every row is a row of the table.
    #[inline(always)]
    pub(super) unsafe fn losses<L: Lanes, F: Floats, R: RowId>(
        &self,
        legs: Legs<'_, R>,
        weights: &mut Weights,
        factors: &mut Factors,
        losses: &mut [Row],
    ) -> f32 {
        losses.fill(Row::default());
        let (mut reach, mut off, mut roundings) = (0.0, 0.0, 4.0);
        for legs in legs.runs() {
            // SAFETY: the caller's promise.
            let [_, of_run] = unsafe { self.weigh(legs, weights) };
            reach += of_run;
            roundings += 5.0;
            if of_run < SMALL {
                // The absolute part is far above it.
                continue;
            }
            let scale = PARTS / of_run;
            let left = sum(weights.round::<L>(scale, factors));
            let step = 1.0 / (scale * REACH);
            off += step * (LOSSES_OFF + REACH * left);
            let step = step as f32;
            let mut to = Numbers { losses, step };
            // SAFETY: the caller's promise.
            unsafe { self.sums::<F>(0, weights.places(), factors, &mut to) };
        }
        let last = losses.iter_mut().rev().zip(self.limits.iter().rev());
        for (losses, limit) in last {
            F::load(losses).smaller(F::load(limit)).store(losses);
        }
        (off + roundings * (0.5 * f64::from(f32::EPSILON)) * reach
            + roundings * f64::from_bits((1023 - 47) << 52)) as f32
    }
}

/// Table rows that follow one another, to be set.
#[derive(Debug)]
pub(super) struct SieveRows<'a> {
    bounds: &'a mut [[f64; 2]],
    words: &'a mut [Row],
    pairs: usize,
}

impl SieveRows<'_> {
    /// Takes the first `count` rows away, or all if there are no more.
    pub(super) fn take_rows(&mut self, count: usize) -> Self {
        Self {
            bounds: take(&mut self.bounds, count),
            words: take(&mut self.words, count * self.pairs),
            pairs: self.pairs,
        }
    }

    /// One of them.
    #[inline]
    pub(super) fn row(&mut self, at: usize) -> SieveRows<'_> {
        SieveRows {
            bounds: &mut self.bounds[at..=at],
            words: &mut self.words[at * self.pairs..][..self.pairs],
            pairs: self.pairs,
        }
    }

    /// Rounds what the table says of the first of them: rows of eight losses, 0 beyond the last scenario.
    pub(super) fn set_first(&mut self, charges: &[f64; 8], losses: &[Row]) {
        // A loss that f32 may not hold is out of reach of any bound, whatever the quantity.
        let reach = match charges[charge::REACH] {
            0.0 => 0.0,
            reach if reach < SMALL => SMALL,
            reach if reach < LARGE => reach,
            _ => f64::INFINITY,
        };
        self.bounds[0] = [charges[charge::BOUND], reach];
        let is_within = |loss: &f64| loss.is_nan() || loss.abs() <= reach;
        debug_assert!(
            bytemuck::cast_slice(losses).iter().all(is_within),
            "no loss is beyond the reach"
        );
        let scale = if reach > 0.0 { REACH / reach } else { 0.0 };
        let words = &mut self.words[..self.pairs];
        on_lanes(
            Simd::current(),
            Words {
                losses,
                scale,
                to: words,
            },
        );
    }
}

/// Losses to be rounded, in units of which there are `scale` to one of theirs.
struct Words<'a> {
    losses: &'a [Row],
    scale: f64,
    to: &'a mut [Row],
}

impl LaneWork for Words<'_> {
    type Output = ();
    #[inline(always)]
    fn run<R: RealRow>(self) {
        let scale = R::splat(self.scale);
        let whole = |losses: &Row| -> [u64; 8] {
            let mut bits = Row::default();
            R::from_row(losses)
                .mul_add(scale, R::splat(WHOLE))
                .write_row(&mut bits);
            bytemuck::cast(bits)
        };
        let none = Row::default();
        for (to, losses) in self.to.iter_mut().zip(self.losses.chunks(4)) {
            let row = |at: usize| whole(losses.get(at).unwrap_or(&none));
            let to: &mut [u32] = bytemuck::cast_slice_mut(&mut to.0);
            for (half, to) in to.chunks_exact_mut(8).enumerate() {
                let (low, high) = (row(half), row(half + 2));
                for ((low, high), to) in low.into_iter().zip(high).zip(to) {
                    *to = low as u32 & 0xFFFF | (high as u32) << 16;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::floats::Scalar16;
    use super::super::scalar::Scalar;
    use super::*;
    use proptest::prelude::*;

    /// All that is handed on, by scenario.
    struct Sums(Vec<i32>);

    impl<F: Floats> Losses<F> for Sums {
        fn take<const N: usize>(&mut self, first: usize, pairs: [[F; 2]; N], _: [F; 2]) {
            assert_eq!(self.0.len(), 32 * first);
            for row in pairs.as_flattened() {
                let mut lanes = Row::default();
                row.store(&mut lanes);
                self.0.extend(bytemuck::cast::<Row, [i32; 16]>(lanes));
            }
        }
    }

    fn sieve(losses: &[Vec<f64>]) -> Sieve {
        let mut sieve = Sieve::new(losses.len(), losses[0].len(), false);
        for (at, losses) in losses.iter().enumerate() {
            let mut charges = [0.0; 8];
            charges[charge::REACH] = losses.iter().fold(0.0, |most, loss| loss.abs().max(most));
            let mut rows = vec![Row::default(); losses.len().div_ceil(8)];
            bytemuck::cast_slice_mut(&mut rows)[..losses.len()].copy_from_slice(losses);
            sieve.rows_mut().row(at).set_first(&charges, &rows);
        }
        sieve
    }

    fn tables() -> impl Strategy<Value = Vec<Vec<f64>>> {
        (1..150_usize).prop_flat_map(|scenarios| {
            let scale = prop_oneof![
                4 => Just(1.0),
                1 => Just(0.0),
                1 => Just(1e-280),
                2 => (-6..6).prop_map(|power| 10.0_f64.powi(power)),
            ];
            let row = (prop::collection::vec(-1.0..=1.0, scenarios), scale);
            let row = row.prop_map(|(row, scale): (Vec<f64>, f64)| {
                row.into_iter().map(|loss| scale * loss).collect()
            });
            prop::collection::vec(row, 1..6)
        })
    }

    /// Asserts that what is said of a unit's losses is so.
    fn check<L: Lanes, F: Floats>(
        table: &[Vec<f64>],
        rows: &[u16],
        quantities: &[f64],
    ) -> Result<(), TestCaseError> {
        let sieve = sieve(table);
        let legs = Legs { rows, quantities };
        let exact = |scenario: usize| -> f64 {
            let legs = rows.iter().zip(quantities);
            legs.map(|(&row, quantity)| quantity * table[row as usize][scenario])
                .sum()
        };
        let scenarios = table[0].len();
        let (mut weights, mut factors) = (Weights::none(), [0; MOST_LEGS]);
        // SAFETY: every row is one of the table.
        let [_, reach] = unsafe { sieve.weigh(legs, &mut weights) };
        if Sieve::weighs(rows.len(), reach) {
            let scale = PARTS / reach;
            let left = sum(weights.round::<L>(scale, &mut factors));
            prop_assert!(left <= 0.5 * rows.len() as f64);
            let off = f64::from((Sieve::apart(left) - TAGS) / 2);
            let mut sums = Sums(Vec::new());
            // SAFETY: as above.
            unsafe { sieve.sums::<F>(BIAS, weights.places(), &factors, &mut sums) };
            for (scenario, &sum) in sums.0[..scenarios].iter().enumerate() {
                let sum = f64::from(sum - BIAS as i32);
                let exact = exact(scenario) * scale * REACH;
                prop_assert!(
                    (sum - exact).abs() <= off,
                    "{sum} for {exact}, not within {off}"
                );
                prop_assert!(sum.abs() < f64::from((1 << 30) - (1 << 24)));
            }
        }
        let mut losses = vec![Row::default(); 2 * sieve.pairs];
        // SAFETY: as above.
        let off =
            unsafe { sieve.losses::<L, F, u16>(legs, &mut weights, &mut factors, &mut losses) };
        prop_assert!(f64::from(off) <= 1.1e-3 * reach + 1e-11);
        let losses: &[f32] = bytemuck::cast_slice(&losses);
        for (scenario, &loss) in losses.iter().enumerate() {
            if scenario < scenarios {
                prop_assert!((f64::from(loss) - exact(scenario)).abs() <= f64::from(off));
            } else {
                prop_assert_eq!(loss, f32::NEG_INFINITY);
            }
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn sums_are_off_by_no_more_than_is_said(
            table in tables(),
            legs in prop_oneof![1..12_usize, 60..68_usize, 100..200_usize]
                .prop_flat_map(|legs| prop::collection::vec((0..6_u16, -50.0..50.0), legs)),
        ) {
            let rows: Vec<u16> = legs.iter().map(|&(row, _)| row % table.len() as u16).collect();
            let quantities: Vec<f64> = legs.iter().map(|&(_, quantity)| quantity).collect();
            check::<Scalar, Scalar16>(&table, &rows, &quantities)?;
            #[cfg(target_arch = "x86_64")]
            {
                use super::super::avx2::{Avx2, Avx2Floats};
                use super::super::avx512::{Avx512, Avx512Floats};
                if Simd::Avx2.available() {
                    check::<Avx2, Avx2Floats>(&table, &rows, &quantities)?;
                }
                if Simd::Avx512.available() && is_x86_feature_detected!("avx512vnni") {
                    check::<Avx512, Avx512Floats>(&table, &rows, &quantities)?;
                }
            }
        }
    }
}
