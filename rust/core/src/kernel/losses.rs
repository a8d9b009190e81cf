//! What one contract loses in every scenario: the table that the scenario kernel contracts.

use super::Row;

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
    /// The largest loss by size. Operand: absolute quantity. The sieve's own, as the next one.
    pub(in crate::kernel) const REACH: usize = 4;
    /// One. Operand: absolute quantity.
    pub(in crate::kernel) const SIZE: usize = 5;
    /// Which columns take the absolute quantity.
    pub const ABSOLUTE: [bool; 8] = [true, true, false, false, true, true, false, false];
}

/// Losses of one long contract of every table row in every scenario, weighted, eight scenarios to a [`Row`].
///
/// A table row is a row of [`charge`] columns and `lanes` rows of losses; what is beyond the last scenario is 0.
#[derive(Clone, Debug, Default)]
pub struct LossTable {
    pub(super) rows: Vec<Row>,
    pub(super) lanes: usize,
    pub(super) scenarios: usize,
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
