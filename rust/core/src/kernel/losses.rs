//! What one contract loses in every scenario: the table that the scenario kernel contracts.

use super::fetch::fetch_near;
use super::few::{FewRows, FewSums, MOST_LANES};
use super::math::RealRow;
use super::scan::Scan;
use super::scenarios::Measure;
use super::sieve::{Sieve, SieveRows};
use super::weights::Legs;
use super::{LaneWork, Row, RowId, Simd, on_lanes};

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
    /// The largest loss by size. Operand: absolute quantity.
    pub const REACH: usize = 4;
    /// Risk of one long contract alone, what an open order is charged. Never summed, as the next one.
    pub const ALONE_LONG: usize = 6;
    /// The same of a short contract.
    pub const ALONE_SHORT: usize = 7;
    /// Which columns take the absolute quantity.
    pub const ABSOLUTE: [bool; 8] = [true, true, false, false, true, false, false, false];
}

/// The least bound, as a part of the reach: far below any rounding, so that a sum of bounds tells whether sums of losses are
/// numbers.
pub(super) const LEAST_BOUND: f64 = f64::EPSILON / 1024.0;

/// Losses of one long contract of every table row in every scenario, weighted, eight scenarios to a [`Row`].
///
/// A table row is a row of [`charge`] columns and `lanes` rows of losses; what is beyond the last scenario is 0.
#[derive(Clone, Debug)]
pub struct LossTable {
    pub(super) rows: Vec<Row>,
    pub(super) lanes: usize,
    pub(super) scenarios: usize,
    prepared: Option<Prepared>,
}

/// What is kept beside the losses of a table that is scanned.
#[derive(Clone, Debug)]
pub(super) enum Prepared {
    /// For the worst of few scenarios.
    Few(FewSums),
    Sieve(Sieve),
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
            prepared: None,
        }
    }

    /// The same, to be scanned for a measure. If it is not charged, only the bound of its [`charge`]s is ever summed.
    #[must_use]
    pub fn scanned(rows: usize, scenarios: usize, measure: Measure, is_charged: bool) -> Self {
        let table = Self::new(rows, scenarios);
        let prepared = if measure == Measure::Worst && (1..=MOST_LANES).contains(&table.lanes) {
            Prepared::Few(FewSums::new(rows, is_charged))
        } else {
            Prepared::Sieve(Sieve::new(rows, scenarios, is_charged))
        };
        Self {
            prepared: Some(prepared),
            ..table
        }
    }

    /// Whether it was made to be scanned for the worst of few scenarios, and nothing is charged.
    pub(crate) fn is_few(&self) -> bool {
        matches!(&self.prepared, Some(Prepared::Few(sums)) if !sums.is_charged())
    }

    /// Whether scanning for a measure says how far apart scenarios are; nothing is charged then.
    pub(crate) fn finds_standings(&self, measure: Measure) -> bool {
        let Some(Prepared::Sieve(sieve)) = &self.prepared else {
            return false;
        };
        !sieve.is_charged() && Scan::rank(sieve, measure).is_some()
    }

    /// # Panics
    /// If the table was not made to be scanned.
    pub(super) fn prepared(&self) -> &Prepared {
        self.prepared.as_ref().expect("a table that is scanned")
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

    /// The losses of a table row.
    #[must_use]
    pub fn losses(&self, row: usize) -> &[f64] {
        let start = row * (1 + self.lanes) + 1;
        let lanes: &[f64] = bytemuck::cast_slice(&self.rows[start..start + self.lanes]);
        &lanes[..self.scenarios]
    }

    /// What legs lose in one scenario: the same operations as where all scenarios are summed in lanes.
    ///
    /// # Safety
    /// Every row is a row of the table.
    #[inline(always)]
    pub(super) unsafe fn loss<R: RowId>(&self, legs: Legs<'_, R>, scenario: u32) -> f64 {
        let scenario = scenario as usize;
        assert!(scenario < self.scenarios, "no such scenario");
        let (lane, column) = (1 + scenario / 8, scenario % 8);
        let mut sum = 0.0;
        for (row, &quantity) in legs.rows.iter().zip(legs.quantities) {
            let place = row.index() * (1 + self.lanes) + lane;
            // SAFETY: the caller's promise; a scenario is one of the table.
            let losses = unsafe { self.rows.get_unchecked(place) };
            sum = quantity.mul_add(losses.0[column], sum);
        }
        sum
    }

    /// Asks for what a loss is made of.
    #[inline(always)]
    pub(super) fn fetch_loss<R: RowId>(&self, legs: Legs<'_, R>, scenario: u32) {
        let lane = 1 + scenario as usize / 8;
        for row in legs.rows {
            let place = row.index() * (1 + self.lanes) + lane;
            if let Some(losses) = self.rows.get(place) {
                fetch_near(losses);
            }
        }
    }

    /// All there is, charges and losses, as an array of one row for each table row; and where losses begin in a row.
    #[must_use]
    pub fn as_array(&self) -> (&[f64], usize) {
        (bytemuck::cast_slice(&self.rows), 8)
    }

    /// All table rows, to be set.
    pub fn rows_mut(&mut self) -> LossRows<'_> {
        LossRows {
            rows: &mut self.rows,
            lanes: self.lanes,
            scenarios: self.scenarios,
            prepared: match &mut self.prepared {
                None => PreparedRows::Nothing,
                Some(Prepared::Few(sums)) => PreparedRows::Few(sums.rows_mut()),
                Some(Prepared::Sieve(sieve)) => PreparedRows::Sieve(sieve.rows_mut()),
            },
        }
    }
}

/// Table rows that follow one another, to be set, one by one or divided among threads.
#[derive(Debug)]
pub struct LossRows<'a> {
    rows: &'a mut [Row],
    lanes: usize,
    scenarios: usize,
    prepared: PreparedRows<'a>,
}

/// The same of table rows that are to be set.
#[derive(Debug)]
enum PreparedRows<'a> {
    Nothing,
    Few(FewRows<'a>),
    Sieve(SieveRows<'a>),
}

impl LossRows<'_> {
    /// Number of scenarios.
    #[must_use]
    pub fn scenarios(&self) -> usize {
        self.scenarios
    }

    /// Losses of one of them, as [`LossRow::lanes`].
    #[inline]
    pub fn lanes(&mut self, at: usize) -> Option<&mut [Row]> {
        let (_, lanes) = charges_and_lanes(self.rows, self.lanes, at)?;
        Some(lanes)
    }

    /// One of them, counted from the first.
    #[inline]
    pub fn row(&mut self, at: usize) -> Option<LossRow<'_>> {
        let (charges, lanes) = charges_and_lanes(self.rows, self.lanes, at)?;
        Some(LossRow {
            charges: &mut charges.0,
            lanes,
            scenarios: self.scenarios,
            prepared: match &mut self.prepared {
                PreparedRows::Nothing => PreparedRows::Nothing,
                PreparedRows::Few(sums) => PreparedRows::Few(sums.row(at)),
                PreparedRows::Sieve(sieve) => PreparedRows::Sieve(sieve.row(at)),
            },
        })
    }

    /// Takes the first `count` rows away, or all if there are no more.
    #[inline]
    #[must_use]
    pub fn take_rows(&mut self, count: usize) -> Self {
        Self {
            rows: take(&mut self.rows, count * (1 + self.lanes)),
            lanes: self.lanes,
            scenarios: self.scenarios,
            prepared: match &mut self.prepared {
                PreparedRows::Nothing => PreparedRows::Nothing,
                PreparedRows::Few(sums) => PreparedRows::Few(sums.take_rows(count)),
                PreparedRows::Sieve(sieve) => PreparedRows::Sieve(sieve.take_rows(count)),
            },
        }
    }
}

/// Those of a table row.
#[inline]
fn charges_and_lanes(rows: &mut [Row], lanes: usize, at: usize) -> Option<(&mut Row, &mut [Row])> {
    let width = 1 + lanes;
    rows.get_mut(at * width..(at + 1) * width)?
        .split_first_mut()
}

/// Takes the first so many values of a slice away, or all if there are no more.
pub(super) fn take<'a, T>(values: &mut &'a mut [T], count: usize) -> &'a mut [T] {
    let count = count.min(values.len());
    values
        .split_off_mut(..count)
        .expect("no more than there are")
}

impl<'a> Iterator for LossRows<'a> {
    type Item = LossRow<'a>;

    #[inline]
    fn next(&mut self) -> Option<LossRow<'a>> {
        let first = self.take_rows(1);
        let (charges, lanes) = first.rows.split_first_mut()?;
        Some(LossRow {
            charges: &mut charges.0,
            lanes,
            scenarios: self.scenarios,
            prepared: first.prepared,
        })
    }
}

/// A table row, to be set; [`LossRow::close`] ends it.
#[derive(Debug)]
pub struct LossRow<'a> {
    /// [`charge`] columns.
    pub charges: &'a mut [f64; 8],
    /// Eight losses each; what is beyond the last scenario must stay 0.
    pub lanes: &'a mut [Row],
    scenarios: usize,
    prepared: PreparedRows<'a>,
}

impl LossRow<'_> {
    /// Losses by scenario.
    pub fn losses(&mut self) -> &mut [f64] {
        let lanes: &mut [f64] = bytemuck::cast_slice_mut(self.lanes);
        &mut lanes[..self.scenarios]
    }

    /// Sets the reach, which is looked for if it is not known, and the bound that `bound` makes of charges with it. Nothing
    /// may be set after this.
    pub fn close(&mut self, reach: Option<f64>, bound: impl FnOnce(&[f64; 8]) -> f64) {
        self.charges[charge::REACH] = reach.unwrap_or_else(|| largest(self.lanes));
        let least = LEAST_BOUND * self.charges[charge::REACH];
        let bound = bound(self.charges);
        // What is no number stays so, and decides nothing.
        self.charges[charge::BOUND] = if bound < least { least } else { bound };
        match &mut self.prepared {
            PreparedRows::Nothing => {}
            PreparedRows::Few(sums) => {
                let losses: &[f64] = bytemuck::cast_slice(self.lanes);
                sums.set_first(self.charges, &losses[..self.scenarios]);
            }
            PreparedRows::Sieve(sieve) => sieve.set_first(self.charges, self.lanes),
        }
    }
}

/// The largest loss by size.
fn largest(lanes: &[Row]) -> f64 {
    struct Largest<'a>(&'a [Row]);

    impl LaneWork for Largest<'_> {
        type Output = f64;
        #[inline(always)]
        fn run<R: RealRow>(self) -> f64 {
            let mut largest = R::splat(0.0);
            for lane in self.0 {
                largest = largest.at_least(R::from_row(lane).magnitude());
            }
            largest.largest()
        }
    }

    on_lanes(Simd::current(), Largest(lanes))
}
