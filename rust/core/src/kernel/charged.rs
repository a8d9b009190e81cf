//! What accounts are charged beside what their legs say.

use super::lanes::Lanes;
use super::{Row, column};

/// What is added to the sums of accounts, by target.
#[derive(Clone, Copy, Debug)]
pub enum Charged<'a> {
    /// Nothing.
    Nothing,
    /// A row for each.
    Rows(&'a [Row]),
    /// Margins for the worst loss of each, which take a quarter of the memory of rows.
    Worst(&'a [WorstLoss], LossMargins),
}

/// A worst loss, at least 0, and what it can be off by.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct WorstLoss {
    /// The loss.
    pub loss: f64,
    /// Its bound.
    pub bound: f64,
}

/// What a worst loss requires.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LossMargins {
    /// Initial margin for a maintenance margin of 1.
    pub initial_factor: f64,
    /// Relative error of the few operations between sums of losses and a margin.
    pub roundings: f64,
}

impl LossMargins {
    /// What margins can be off by where the maintenance margin is by `bound`.
    #[inline(always)]
    #[must_use]
    pub fn bound(self, bound: f64, initial: f64) -> f64 {
        self.initial_factor * bound + self.roundings * initial
    }

    /// Maintenance margin, initial margin and bound, in their columns.
    #[inline(always)]
    fn columns<L: Lanes>(self, WorstLoss { loss, bound }: WorstLoss) -> L {
        let initial = self.initial_factor * loss;
        let bound = self.bound(bound + self.roundings * loss, initial);
        L::only(column::MAINTENANCE_MARGIN, loss)
            .add(L::only(column::INITIAL_MARGIN, initial))
            .add(L::only(column::BOUND, bound))
    }
}

impl Charged<'_> {
    /// Adds what an account is charged to its sums.
    #[inline(always)]
    pub(super) fn add_to<L: Lanes>(&self, sum: L, target: u32) -> L {
        let target = target as usize;
        match self {
            Self::Nothing => sum,
            Self::Rows(rows) => sum.add(L::load(&rows[target])),
            Self::Worst(losses, margins) => sum.add(margins.columns(losses[target])),
        }
    }
}
