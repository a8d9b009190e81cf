//! What one contract loses in every scenario: the table that the scenario kernel contracts.

use super::Row;
use super::scenarios::Measure;
use super::sieve::{Sieve, SieveRow};

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
    /// One. Operand: absolute quantity. The sieve's own.
    pub(in crate::kernel) const SIZE: usize = 5;
    /// Risk of one long contract alone, what an open order is charged. Never summed, as the next one.
    pub const ALONE_LONG: usize = 6;
    /// The same of a short contract.
    pub const ALONE_SHORT: usize = 7;
    /// Which columns take the absolute quantity.
    pub const ABSOLUTE: [bool; 8] = [true, true, false, false, true, true, false, false];
}

/// Losses of one long contract of every table row in every scenario, weighted, eight scenarios to a [`Row`].
///
/// A table row is a row of [`charge`] columns and `lanes` rows of losses; what is beyond the last scenario is 0.
#[derive(Clone, Debug)]
pub struct LossTable {
    pub(super) rows: Vec<Row>,
    pub(super) lanes: usize,
    pub(super) scenarios: usize,
    sieve: Option<Sieve>,
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
            sieve: None,
        }
    }

    /// The same, to be scanned for a measure.
    #[must_use]
    pub fn scanned(rows: usize, scenarios: usize, measure: Measure) -> Self {
        Self {
            sieve: Some(Sieve::new(rows, scenarios, measure)),
            ..Self::new(rows, scenarios)
        }
    }

    /// # Panics
    /// If the table was not made to be scanned.
    pub(super) fn sieve(&self) -> &Sieve {
        self.sieve.as_ref().expect("a table that is scanned")
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

    /// All table rows, to be set.
    pub fn rows_mut(&mut self) -> impl Iterator<Item = LossRow<'_>> {
        let scenarios = self.scenarios;
        let mut sieve = self.sieve.as_mut().map(Sieve::rows_mut);
        let rows = self.rows.chunks_exact_mut(1 + self.lanes);
        rows.map(move |row| {
            let (charges, lanes) = row.split_first_mut().expect("a row of charges");
            LossRow {
                charges: &mut charges.0,
                lanes,
                scenarios,
                sieve: sieve.as_mut().and_then(Iterator::next),
            }
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
    sieve: Option<SieveRow<'a>>,
}

impl LossRow<'_> {
    /// Losses by scenario.
    pub fn losses(&mut self) -> &mut [f64] {
        let lanes: &mut [f64] = bytemuck::cast_slice_mut(self.lanes);
        &mut lanes[..self.scenarios]
    }

    /// Sets the reach, and the bound that `bound` makes of charges with it. Nothing may be set after this.
    pub fn close(&mut self, bound: impl FnOnce(&[f64; 8]) -> f64) {
        self.charges[charge::REACH] = largest(self.lanes);
        self.charges[charge::BOUND] = bound(self.charges);
        if let Some(sieve) = &mut self.sieve {
            let losses: &[f64] = bytemuck::cast_slice(self.lanes);
            sieve.set(self.charges, &losses[..self.scenarios]);
        }
    }
}

/// The largest loss by size.
fn largest(lanes: &[Row]) -> f64 {
    let larger = |largest: f64, loss: f64| {
        let size = loss.abs();
        if size > largest { size } else { largest }
    };
    // Eight at once: one maximum after the other would wait for each.
    let eight = lanes.iter().fold([0.0; 8], |eight, Row(losses)| {
        std::array::from_fn(|lane| larger(eight[lane], losses[lane]))
    });
    eight.into_iter().fold(0.0, larger)
}
