//! Legs times scenarios: the worst loss of a unit, or its largest few, with the losses in registers.

use super::lanes::Lanes;
use super::scalar::Scalar;
use super::{BlockUnits, Row, RowId, Simd, Units};

/// Columns of the row of charges that goes before the losses of a table row.
pub mod charge {
    /// What losses can be off by, times the relative error of all roundings. Operand: absolute quantity.
    pub const BOUND: usize = 0;
    /// Short-option minimum of one contract. Operand: absolute quantity.
    pub const SHORT_OPTION: usize = 1;
    /// The same. Operand: quantity; so that half the difference is that of short positions.
    pub const SHORT_OPTION_SIGNED: usize = 2;
    /// By how much the notional of the underlying changes. Operand: quantity.
    pub const DELTA: usize = 3;
    /// Which columns take the absolute quantity.
    pub const ABSOLUTE: [bool; 8] = [true, true, false, false, false, false, false, false];
}

/// Losses of one long contract of every table row in every scenario, weighted, eight scenarios to a [`Row`].
///
/// A table row is a row of [`charge`] columns and `lanes` rows of losses; what is beyond the last scenario is 0.
#[derive(Clone, Debug, Default)]
pub struct LossTable {
    rows: Vec<Row>,
    lanes: usize,
    scenarios: usize,
}

impl LossTable {
    /// No losses yet: `rows` table rows for so many scenarios.
    #[must_use]
    pub fn new(rows: usize, scenarios: usize) -> Self {
        let lanes = scenarios.div_ceil(8);
        Self {
            rows: vec![Row::default(); rows * (1 + lanes)],
            lanes,
            scenarios,
        }
    }

    /// Number of scenarios.
    #[must_use]
    pub fn scenarios(&self) -> usize {
        self.scenarios
    }

    /// Number of table rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len() / (1 + self.lanes)
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The charges of a table row.
    #[must_use]
    pub fn charges(&self, row: usize) -> &[f64; 8] {
        &self.rows[row * (1 + self.lanes)].0
    }

    /// The charges of a table row, to be set.
    pub fn charges_mut(&mut self, row: usize) -> &mut [f64; 8] {
        &mut self.rows[row * (1 + self.lanes)].0
    }

    /// The losses of a table row.
    #[must_use]
    pub fn losses(&self, row: usize) -> &[f64] {
        let start = row * (1 + self.lanes) + 1;
        let lanes: &[f64] = bytemuck::cast_slice(&self.rows[start..start + self.lanes]);
        &lanes[..self.scenarios]
    }

    /// The losses of a table row, to be set.
    pub fn losses_mut(&mut self, row: usize) -> &mut [f64] {
        let start = row * (1 + self.lanes) + 1;
        let lanes: &mut [f64] = bytemuck::cast_slice_mut(&mut self.rows[start..start + self.lanes]);
        &mut lanes[..self.scenarios]
    }
}

/// What is asked of a unit's losses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Measure {
    /// The largest.
    Worst,
    /// The `rank`-th largest.
    Quantile {
        /// From 1.
        rank: usize,
    },
    /// The mean of the `rank` largest.
    Shortfall {
        /// From 1.
        rank: usize,
    },
}

/// The risk of a unit.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct UnitRisk {
    /// What was asked for, at least 0.
    pub loss: f64,
    /// Number of the scenario of the largest loss; [`NO_SCENARIO`] if no loss is above 0.
    pub worst: u32,
    /// Sums of the [`charge`] columns.
    pub charges: [f64; 4],
}

/// There is no scenario with a loss.
pub const NO_SCENARIO: u32 = u32::MAX;

/// Rows of losses that are summed at once.
const TILE: usize = 8;

/// The risk of every unit, in order: `whole` units, then `parts`.
///
/// # Panics
/// If a row lies outside the table, there are too few outputs, or the machine lacks the path.
pub fn scan_block<R: RowId>(
    simd: Simd,
    block: &BlockUnits<R>,
    table: &LossTable,
    measure: Measure,
    (whole, parts): (&mut [UnitRisk], &mut [UnitRisk]),
) {
    scan_units(simd, &block.whole, table, measure, whole);
    scan_units(simd, &block.parts, table, measure, parts);
}

/// The risk of every unit, in order.
fn scan_units<R: RowId>(
    simd: Simd,
    units: &Units<R>,
    table: &LossTable,
    measure: Measure,
    out: &mut [UnitRisk],
) {
    assert!(units.row_bound <= table.len(), "the table has too few rows");
    assert!(simd.available(), "this machine has no {}", simd.name());
    match simd {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `available` was asserted above.
        Simd::Avx512 => unsafe { units_avx512(units, table, measure, out) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Simd::Avx2 => unsafe { units_avx2(units, table, measure, out) },
        _ => units_in::<Scalar, R>(units, table, measure, out),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn units_avx512<R: RowId>(
    units: &Units<R>,
    table: &LossTable,
    measure: Measure,
    out: &mut [UnitRisk],
) {
    units_in::<super::avx512::Avx512, R>(units, table, measure, out);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn units_avx2<R: RowId>(
    units: &Units<R>,
    table: &LossTable,
    measure: Measure,
    out: &mut [UnitRisk],
) {
    units_in::<super::avx2::Avx2, R>(units, table, measure, out);
}

#[inline(always)]
fn units_in<L: Lanes, R: RowId>(
    units: &Units<R>,
    table: &LossTable,
    measure: Measure,
    out: &mut [UnitRisk],
) {
    match measure {
        Measure::Worst => each_unit::<L, R, _>(units, table, &mut Worst::default(), out),
        Measure::Quantile { rank } | Measure::Shortfall { rank } => {
            let mean = matches!(measure, Measure::Shortfall { .. });
            if rank <= SORTED_RANK {
                each_unit::<L, R, _>(units, table, &mut Largest::new(rank, mean), out);
            } else {
                let mut selected = Selected::new(rank, mean, table.scenarios);
                each_unit::<L, R, _>(units, table, &mut selected, out);
            }
        }
    }
}

/// What becomes of a unit's losses. A trait, not a closure: closures would not be compiled for the instruction set.
trait Sink<L> {
    /// Losses of eight scenarios a lane, the first of them number `first`; of the last lane those in `valid` are some.
    fn take<const N: usize>(&mut self, losses: &[L; N], first: u32, valid: u8);
    /// What was asked for, and the scenario of the largest loss; ready for the next unit.
    fn finish(&mut self) -> (f64, u32);
}

#[inline(always)]
fn each_unit<L: Lanes, R: RowId, S: Sink<L>>(
    units: &Units<R>,
    table: &LossTable,
    sink: &mut S,
    out: &mut [UnitRisk],
) {
    let charge_mask = L::operand_mask(&charge::ABSOLUTE);
    let width = 1 + table.lanes;
    for ((_, rows, quantities), out) in units.iter().zip(out) {
        // SAFETY: `scan_units` compared the table with `row_bound`; a row's charges stand before its losses.
        let charges = unsafe { charges::<L, R>(rows, quantities, table, charge_mask) };
        let mut lane = 0;
        while lane < table.lanes {
            let left = table.lanes - lane;
            // SAFETY: as above; `lane` and those that follow are lanes of the table.
            lane += unsafe {
                if left >= TILE {
                    tile::<L, R, S, TILE>(rows, quantities, table, (width, lane), sink)
                } else if left >= 4 {
                    tile::<L, R, S, 4>(rows, quantities, table, (width, lane), sink)
                } else if left >= 2 {
                    tile::<L, R, S, 2>(rows, quantities, table, (width, lane), sink)
                } else {
                    tile::<L, R, S, 1>(rows, quantities, table, (width, lane), sink)
                }
            };
        }
        let (loss, worst) = sink.finish();
        *out = UnitRisk {
            loss,
            worst,
            charges,
        };
    }
}

/// Sums `N` lanes of losses over the legs of a unit and hands them on; returns `N`.
///
/// # Safety
/// Every row is a row of the table, and the lanes are lanes of it.
#[inline(always)]
unsafe fn tile<L: Lanes, R: RowId, S: Sink<L>, const N: usize>(
    rows: &[R],
    quantities: &[f64],
    table: &LossTable,
    (width, lane): (usize, usize),
    sink: &mut S,
) -> usize {
    let mut sums = [L::zero(); N];
    for (row, &quantity) in rows.iter().zip(quantities) {
        let quantity = L::splat(quantity);
        let start = row.index() * width + 1 + lane;
        // SAFETY: the caller's promise.
        let losses = unsafe { table.rows.get_unchecked(start..start + N) };
        for (sum, losses) in sums.iter_mut().zip(losses) {
            *sum = quantity.mul_add(L::load(losses), *sum);
        }
    }
    let left = table.scenarios - 8 * (lane + N - 1);
    let valid = if left >= 8 { u8::MAX } else { (1 << left) - 1 };
    sink.take(&sums, 8 * lane as u32, valid);
    N
}

/// Sums of the charges of a unit.
///
/// # Safety
/// Every row is a row of the table.
#[inline(always)]
unsafe fn charges<L: Lanes, R: RowId>(
    rows: &[R],
    quantities: &[f64],
    table: &LossTable,
    mask: L,
) -> [f64; 4] {
    let mut sum = L::zero();
    let width = 1 + table.lanes;
    for (row, &quantity) in rows.iter().zip(quantities) {
        // SAFETY: the caller's promise.
        let charges = unsafe { table.rows.get_unchecked(row.index() * width) };
        sum = L::splat(quantity).and(mask).mul_add(L::load(charges), sum);
    }
    let [a, b, c, d, ..] = sum.to_row().0;
    [a, b, c, d]
}

/// The largest loss, if it is above 0.
#[derive(Default)]
struct Worst {
    loss: f64,
    worst: Option<u32>,
}

impl<L: Lanes> Sink<L> for Worst {
    #[inline(always)]
    fn take<const N: usize>(&mut self, losses: &[L; N], first: u32, _valid: u8) {
        let mut largest = losses[0];
        for &lane in &losses[1..] {
            largest = lane.larger(largest);
        }
        let largest = largest
            .to_row()
            .0
            .into_iter()
            .fold(0.0, |a: f64, b| if b > a { b } else { a });
        // What is beyond the last scenario is 0, and never the largest.
        if largest > self.loss {
            self.loss = largest;
            let largest = L::splat(largest);
            let is_it = |lane: &L| !largest.above(*lane);
            let bits = losses.iter().map(is_it);
            let found = bits.enumerate().find(|&(_, bits)| bits != 0);
            let (lane, bits) = found.expect("one of them is the largest");
            self.worst = Some(first + 8 * lane as u32 + bits.trailing_zeros());
        }
    }

    #[inline(always)]
    fn finish(&mut self) -> (f64, u32) {
        let Self { loss, worst } = std::mem::take(self);
        (loss, worst.unwrap_or(NO_SCENARIO))
    }
}

/// Ranks up to this are kept sorted while losses come; above, all losses are kept and the few selected at the end.
const SORTED_RANK: usize = 64;

/// The largest few losses, ascending.
struct Largest {
    rank: usize,
    mean: bool,
    kept: [f64; SORTED_RANK],
    count: usize,
    /// What a loss must be above to be among them. A quantile is at least 0, so that only losses above 0 matter to it.
    threshold: f64,
    top: f64,
    worst: u32,
}

impl Largest {
    fn new(rank: usize, mean: bool) -> Self {
        Self {
            rank,
            mean,
            kept: [0.0; SORTED_RANK],
            count: 0,
            threshold: if mean { f64::NEG_INFINITY } else { 0.0 },
            top: 0.0,
            worst: NO_SCENARIO,
        }
    }

    #[inline(always)]
    fn insert(&mut self, loss: f64, scenario: u32) {
        if loss > self.top {
            (self.top, self.worst) = (loss, scenario);
        }
        if self.count < self.rank {
            let mut at = self.count;
            while at > 0 && self.kept[at - 1] > loss {
                self.kept[at] = self.kept[at - 1];
                at -= 1;
            }
            self.kept[at] = loss;
            self.count += 1;
            if self.count < self.rank {
                return;
            }
        } else {
            let mut at = 0;
            while at + 1 < self.rank && self.kept[at + 1] < loss {
                self.kept[at] = self.kept[at + 1];
                at += 1;
            }
            self.kept[at] = loss;
        }
        self.threshold = self.kept[0];
    }
}

impl<L: Lanes> Sink<L> for Largest {
    #[inline(always)]
    fn take<const N: usize>(&mut self, losses: &[L; N], first: u32, valid: u8) {
        for (at, &lane) in losses.iter().enumerate() {
            let valid = if at + 1 == N { valid } else { u8::MAX };
            let mut above = lane.above(L::splat(self.threshold)) & valid;
            if above == 0 {
                continue;
            }
            let row = lane.to_row().0;
            while above != 0 {
                let bit = above.trailing_zeros();
                above &= above - 1;
                let loss = row[bit as usize];
                if loss > self.threshold {
                    self.insert(loss, first + 8 * at as u32 + bit);
                }
            }
        }
    }

    #[inline(always)]
    fn finish(&mut self) -> (f64, u32) {
        let kept = &self.kept[..self.count];
        let loss = if self.mean {
            kept.iter().sum::<f64>() / self.rank as f64
        } else if self.count == self.rank {
            kept[0]
        } else {
            0.0
        };
        let worst = self.worst;
        *self = Self {
            kept: self.kept,
            ..Self::new(self.rank, self.mean)
        };
        (if loss > 0.0 { loss } else { 0.0 }, worst)
    }
}

/// All losses, of which the largest few are selected at the end.
struct Selected {
    rank: usize,
    mean: bool,
    losses: Vec<f64>,
    top: f64,
    worst: u32,
}

impl Selected {
    fn new(rank: usize, mean: bool, scenarios: usize) -> Self {
        Self {
            rank,
            mean,
            losses: Vec::with_capacity(scenarios),
            top: 0.0,
            worst: NO_SCENARIO,
        }
    }
}

impl<L: Lanes> Sink<L> for Selected {
    #[inline(always)]
    fn take<const N: usize>(&mut self, losses: &[L; N], first: u32, valid: u8) {
        for (at, lane) in losses.iter().enumerate() {
            let count = if at + 1 == N { valid.count_ones() } else { 8 } as usize;
            let row = lane.to_row().0;
            for (scenario, &loss) in (first + 8 * at as u32..).zip(&row[..count]) {
                if loss > self.top {
                    (self.top, self.worst) = (loss, scenario);
                }
            }
            self.losses.extend_from_slice(&row[..count]);
        }
    }

    #[inline(always)]
    fn finish(&mut self) -> (f64, u32) {
        let smallest = self.losses.len() - self.rank;
        let (_, &mut quantile, larger) =
            self.losses.select_nth_unstable_by(smallest, f64::total_cmp);
        let loss = if self.mean {
            larger.sort_unstable_by(f64::total_cmp);
            let sum = larger.iter().fold(quantile, |sum, loss| sum + loss);
            sum / self.rank as f64
        } else {
            quantile
        };
        self.losses.clear();
        let worst = std::mem::replace(&mut self.worst, NO_SCENARIO);
        self.top = 0.0;
        (if loss > 0.0 { loss } else { 0.0 }, worst)
    }
}
