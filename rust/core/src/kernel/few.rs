//! The worst of few scenarios: a unit's losses stay in registers, in f64, until the largest is known.
//!
//! A sieve reads fewer bytes, but what it leaves has to be summed again: one in f32, half the bytes, took nearly twice as long
//! for 16 scenarios and a tenth longer for 48.

use super::fetch::fetch_ahead;
use super::floats::Floats;
use super::lanes::Lanes;
use super::losses::{LEAST_BOUND, LossTable, charge, take};
use super::scenarios::{NO_SCENARIO, Scanner, UnitRisk, positive};
use super::{Row, RowId, Units};

/// Rows of eight losses that registers can hold and sum up.
pub(super) const MOST_LANES: usize = 8;

/// The worst that can happen to one contract alone, at least 0.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Alone {
    /// Long, short.
    loss: [f64; 2],
    /// The scenarios, or [`NEARLY_TWO`].
    worst: [u32; 2],
}

/// A loss before the worst is so near to it that rounding may make both the same for some quantity.
const NEARLY_TWO: u32 = NO_SCENARIO - 1;
/// More than two roundings leave of a number.
const NEARLY: f64 = 1.0 - 4.0 * f64::EPSILON;
/// Below this, products may lose bits.
const TINY: f64 = 1e-290;

impl Alone {
    pub(super) fn of(losses: &[f64]) -> Self {
        let mut alone = Self {
            loss: [0.0; 2],
            worst: [NO_SCENARIO; 2],
        };
        for (scenario, &loss) in losses.iter().enumerate() {
            for (side, loss) in [loss, -loss].into_iter().enumerate() {
                if loss > alone.loss[side] {
                    let is_near = alone.loss[side] >= NEARLY * loss;
                    alone.loss[side] = loss;
                    alone.worst[side] = if is_near { NEARLY_TWO } else { scenario as u32 };
                }
            }
        }
        alone
    }
}

/// What is kept of each row of a table beside its losses.
#[derive(Clone, Debug)]
pub(super) struct FewSums {
    alone: Vec<Alone>,
    /// An eighth of what the row of charges takes, and all that is summed of it where nothing is charged.
    bounds: Vec<f64>,
    is_charged: bool,
}

impl FewSums {
    pub(super) fn new(rows: usize, is_charged: bool) -> Self {
        Self {
            alone: vec![Alone::default(); rows],
            bounds: vec![0.0; rows],
            is_charged,
        }
    }

    pub(super) fn is_charged(&self) -> bool {
        self.is_charged
    }

    pub(super) fn rows_mut(&mut self) -> FewRows<'_> {
        FewRows {
            alone: &mut self.alone,
            bounds: &mut self.bounds,
        }
    }
}

/// The same of rows that are to be set.
#[derive(Debug)]
pub(super) struct FewRows<'a> {
    alone: &'a mut [Alone],
    bounds: &'a mut [f64],
}

impl FewRows<'_> {
    #[inline]
    pub(super) fn take_rows(&mut self, count: usize) -> Self {
        Self {
            alone: take(&mut self.alone, count),
            bounds: take(&mut self.bounds, count),
        }
    }

    /// One of them.
    #[inline]
    pub(super) fn row(&mut self, at: usize) -> FewRows<'_> {
        FewRows {
            alone: &mut self.alone[at..=at],
            bounds: &mut self.bounds[at..=at],
        }
    }

    pub(super) fn set_first(&mut self, charges: &[f64; 8], losses: &[f64]) {
        self.alone[0] = Alone::of(losses);
        self.bounds[0] = charges[charge::BOUND];
    }
}

/// A table of few scenarios, scanned for the worst.
pub(super) struct Few<'a> {
    pub(super) table: &'a LossTable,
    pub(super) sums: &'a FewSums,
    /// By target, whose risk is asked for; everybody's if it is empty.
    pub(super) wanted: &'a [bool],
}

impl Scanner for Few<'_> {
    const IS_WHOLE: bool = false;

    fn rows(&self) -> usize {
        let FewSums { alone, bounds, .. } = self.sums;
        alone.len().min(bounds.len()).min(self.table.len())
    }

    #[inline(always)]
    unsafe fn units<L: Lanes, F: Floats, R: RowId>(
        &mut self,
        units: &Units<R>,
        then: &mut impl FnMut(usize, UnitRisk),
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            if self.sums.is_charged {
                self.of_few::<L, R, true>(units, then);
            } else {
                self.of_few::<L, R, false>(units, then);
            }
        }
    }
}

impl Few<'_> {
    /// Hands on the risk of every unit, with sums of all charges or of the bound alone.
    ///
    /// # Safety
    /// Every row is a row of the table.
    #[inline(always)]
    unsafe fn of_few<L: Lanes, R: RowId, const CHARGED: bool>(
        &self,
        units: &Units<R>,
        then: &mut impl FnMut(usize, UnitRisk),
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            match self.table.lanes {
                1 => self.worst::<L, R, 1, CHARGED>(units, then),
                2 => self.worst::<L, R, 2, CHARGED>(units, then),
                3 => self.worst::<L, R, 3, CHARGED>(units, then),
                4 => self.worst::<L, R, 4, CHARGED>(units, then),
                5 => self.worst::<L, R, 5, CHARGED>(units, then),
                6 => self.worst::<L, R, 6, CHARGED>(units, then),
                7 => self.worst::<L, R, 7, CHARGED>(units, then),
                MOST_LANES => self.worst::<L, R, MOST_LANES, CHARGED>(units, then),
                _ => unreachable!("few scenarios"),
            }
        }
    }

    /// Hands on the risk of every unit, with `N` rows of losses.
    ///
    /// # Safety
    /// Every row is a row of the table.
    #[inline(always)]
    unsafe fn worst<L: Lanes, R: RowId, const N: usize, const CHARGED: bool>(
        &self,
        units: &Units<R>,
        then: &mut impl FnMut(usize, UnitRisk),
    ) {
        let mut unit = 0;
        let is_wanted =
            |unit: usize| self.wanted.is_empty() || self.wanted[units.facts[unit].target as usize];
        let absolute = L::operand_mask(&charge::ABSOLUTE);
        let (mut rows, mut quantities) = (units.rows.as_slice(), units.quantities.as_slice());
        for run in &units.runs {
            let slots = run.slots as usize;
            let legs = slots * run.units as usize;
            let (mine, others) = rows.split_at(legs);
            rows = others;
            let (my_quantities, others) = quantities.split_at(legs);
            quantities = others;
            // SAFETY: the caller's promise.
            unsafe {
                if slots == 1 {
                    for (&row, &quantity) in mine.iter().zip(my_quantities) {
                        if is_wanted(unit) {
                            then(
                                unit,
                                self.of_leg::<L, R, N, CHARGED>(row, quantity, absolute),
                            );
                        }
                        unit += 1;
                    }
                    continue;
                }
                let rows = mine.chunks_exact(slots);
                let quantities = my_quantities.chunks_exact(slots);
                for (rows, quantities) in rows.zip(quantities) {
                    if is_wanted(unit) {
                        then(
                            unit,
                            self.of_unit::<L, R, N, CHARGED>(rows, quantities, absolute),
                        );
                    }
                    unit += 1;
                }
            }
        }
    }

    /// # Safety
    /// Every row is a row of the table.
    #[inline(always)]
    unsafe fn of_unit<L: Lanes, R: RowId, const N: usize, const CHARGED: bool>(
        &self,
        rows: &[R],
        quantities: &[f64],
        absolute: L,
    ) -> UnitRisk {
        fetch_ahead(quantities);
        let (mut charges, mut sums) = (L::zero(), [L::zero(); N]);
        let mut bound = 0.0;
        for (row, &quantity) in rows.iter().zip(quantities) {
            // SAFETY: the caller's promise.
            let (own, losses) = unsafe { self.row::<R, N>(*row) };
            let size = quantity.abs();
            let quantity = L::splat(quantity);
            if CHARGED {
                charges = quantity.and(absolute).mul_add(L::load(own), charges);
            } else {
                // SAFETY: as above: there is one for each row.
                let mine = unsafe { *self.sums.bounds.get_unchecked(row.index()) };
                bound = f64::mul_add(size, mine, bound);
            }
            for (sum, losses) in sums.iter_mut().zip(losses) {
                *sum = quantity.mul_add(L::load(losses), *sum);
            }
        }
        let mut charged = [bound, 0.0, 0.0, 0.0];
        if CHARGED {
            let Row([a, b, c, d, ..]) = charges.to_row();
            charged = [a, b, c, d];
        }
        let (loss, worst) = worst_of(sums, charged[charge::BOUND], self.table.scenarios);
        risk(loss, worst, charged)
    }

    /// As [`Few::of_unit`] of one leg, where only its side decides.
    ///
    /// # Safety
    /// The row is a row of the table.
    #[inline(always)]
    unsafe fn of_leg<L: Lanes, R: RowId, const N: usize, const CHARGED: bool>(
        &self,
        row: R,
        quantity: f64,
        absolute: L,
    ) -> UnitRisk {
        // SAFETY: the caller's promise; there is one of each for every row.
        let (alone, bound) = unsafe {
            let FewSums { alone, bounds, .. } = self.sums;
            (
                alone.get_unchecked(row.index()),
                *bounds.get_unchecked(row.index()),
            )
        };
        let (side, size) = (usize::from(quantity < 0.0), quantity.abs());
        let (loss, worst) = (size * alone.loss[side], alone.worst[side]);
        let is_sure = worst < NEARLY_TWO && (TINY..=f64::MAX).contains(&loss);
        if !is_sure && worst != NO_SCENARIO {
            let (rows, quantities) = (&[row][..], &[quantity][..]);
            // SAFETY: the caller's promise.
            return unsafe { self.of_unit::<L, R, N, CHARGED>(rows, quantities, absolute) };
        }
        let mut charged = [f64::mul_add(size, bound, 0.0), 0.0, 0.0, 0.0];
        if CHARGED {
            // SAFETY: the caller's promise.
            let (own, _) = unsafe { self.row::<R, N>(row) };
            let operand = L::splat(quantity).and(absolute);
            let Row([a, b, c, d, ..]) = operand.mul_add(L::load(own), L::zero()).to_row();
            charged = [a, b, c, d];
        }
        risk(loss, worst, charged)
    }

    /// The charges and losses of a row.
    ///
    /// # Safety
    /// The row is a row of the table, which has `N` rows of losses in each.
    #[inline(always)]
    unsafe fn row<R: RowId, const N: usize>(&self, row: R) -> (&Row, &[Row; N]) {
        let place = row.index() * (1 + N);
        // SAFETY: the caller's promise.
        let row = unsafe { self.table.rows.get_unchecked(place..place + 1 + N) };
        let (own, losses) = row.split_first().expect("a row of charges");
        (own, losses.try_into().expect("as many as were taken"))
    }
}

/// The largest loss and its scenario, the first of several. `bound` is at least that of the sums, and so tells whether they
/// are numbers.
#[inline(always)]
pub(super) fn worst_of<L: Lanes, const N: usize>(
    sums: [L; N],
    bound: f64,
    scenarios: usize,
) -> (f64, u32) {
    let are_numbers = bound < LEAST_BOUND * (f64::MAX / 2.0);
    if !are_numbers {
        return beyond_f64(sums.map(L::to_row), scenarios);
    }
    let mut largest = sums[0];
    for &sum in &sums[1..] {
        largest = largest.larger(sum);
    }
    let loss = largest.largest();
    let least = L::splat(loss);
    let mut bits = 0;
    for (number, sum) in sums.iter().enumerate() {
        bits |= u64::from(sum.at_least(least)) << (8 * number);
    }
    (loss, bits.trailing_zeros())
}

/// The largest loss and its scenario, where sums may be infinite or no numbers, which sort as `total_cmp` does.
#[cold]
#[inline(never)]
fn beyond_f64<const N: usize>(sums: [Row; N], scenarios: usize) -> (f64, u32) {
    let losses: &[f64] = bytemuck::cast_slice(&sums);
    let mut largest = (losses[0], 0);
    for (&loss, scenario) in losses[..scenarios].iter().zip(0..) {
        if loss.total_cmp(&largest.0).is_gt() {
            largest = (loss, scenario);
        }
    }
    largest
}

#[inline(always)]
fn risk(loss: f64, scenario: u32, charges: [f64; 4]) -> UnitRisk {
    UnitRisk {
        loss: positive(loss),
        // A product may be too small for f64.
        worst: if loss > 0.0 { scenario } else { NO_SCENARIO },
        charges,
    }
}
