//! What accounts are charged beside what their legs say.

use super::lanes::Lanes;
use super::scanned::WideTable;
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
    /// The same for the worst of few scenarios, which are summed with the legs where an account is one unit; of the others
    /// it is given. The bound of every row of the block's table is at least that of its losses.
    Scanned(&'a WideTable, &'a [WorstLoss], LossMargins),
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
    /// What margins can be off by for a maintenance margin of `loss`, where sums of losses are by `bound`.
    #[inline(always)]
    #[must_use]
    pub fn bound(self, bound: f64, loss: f64, initial: f64) -> f64 {
        // Initial margin of open orders: 0 exactly where there is none.
        let ordered = initial - self.initial_factor * loss;
        let own = f64::mul_add(loss, self.roundings_of_one(), self.initial_factor * bound);
        own + self.roundings * ordered
    }

    /// Roundings of both margins, for a loss of 1.
    #[inline(always)]
    fn roundings_of_one(self) -> f64 {
        2.0 * self.initial_factor * self.roundings
    }

    /// Maintenance margin, initial margin and bound for a loss of 1, in their columns.
    #[inline(always)]
    pub(super) fn columns_of_one<L: Lanes>(self) -> L {
        L::only(column::MAINTENANCE_MARGIN, 1.0)
            .add(L::only(column::INITIAL_MARGIN, self.initial_factor))
            .add(L::only(column::BOUND, self.roundings_of_one()))
    }

    /// The same for a loss that is off by `bound`.
    #[inline(always)]
    fn columns<L: Lanes>(self, WorstLoss { loss, bound }: WorstLoss) -> L {
        let own = L::only(column::BOUND, self.initial_factor * bound);
        L::splat(loss).mul_add(self.columns_of_one(), own)
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
            Self::Worst(losses, margins) | Self::Scanned(_, losses, margins) => {
                sum.add(margins.columns(losses[target]))
            }
        }
    }
}
