//! A whole report in a few figures.

use crate::book::BLOCK;
use crate::error::Result;
use crate::kernel::{Row, column, result};
use crate::pool::{self, Stop};

/// Counts of accounts, and sums in the numeraire.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Summary {
    /// Sum of equity.
    pub equity: f64,
    /// Sum of maintenance-weighted collateral value.
    pub collateral_value: f64,
    /// Sum of initial margin.
    pub initial_margin: f64,
    /// Sum of maintenance margin.
    pub maintenance_margin: f64,
    /// Accounts whose initial health is negative.
    pub below_initial: usize,
    /// Accounts whose health is negative.
    pub liquidatable: usize,
    /// Accounts whose equity is negative.
    pub bankrupt: usize,
    /// Sum of `max(0, -equity)`.
    pub shortfall: f64,
}

/// Sums and counts result rows, block by block in order: the same bits on any number of threads.
///
/// # Errors
/// [`Error::Interrupted`](crate::Error::Interrupted).
pub fn summarize(rows: &[Row], stop: Stop<'_>) -> Result<Summary> {
    let blocks: Vec<&[Row]> = rows.chunks(BLOCK).collect();
    let parts = pool::map(
        blocks.len(),
        |block| {
            blocks[block]
                .iter()
                .map(Summary::of)
                .fold(Summary::default(), Summary::plus)
        },
        stop,
    )?;
    Ok(parts.into_iter().fold(Summary::default(), Summary::plus))
}

impl Summary {
    fn of(row: &Row) -> Self {
        let equity = row.0[column::EQUITY];
        Self {
            equity,
            collateral_value: row.0[result::COLLATERAL],
            initial_margin: row.0[column::INITIAL_MARGIN],
            maintenance_margin: row.0[column::MAINTENANCE_MARGIN],
            below_initial: usize::from(row.0[result::INITIAL_HEALTH] < 0.0),
            liquidatable: usize::from(row.0[result::HEALTH] < 0.0),
            bankrupt: usize::from(equity < 0.0),
            shortfall: if equity < 0.0 { -equity } else { 0.0 },
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            equity: self.equity + other.equity,
            collateral_value: self.collateral_value + other.collateral_value,
            initial_margin: self.initial_margin + other.initial_margin,
            maintenance_margin: self.maintenance_margin + other.maintenance_margin,
            below_initial: self.below_initial + other.below_initial,
            liquidatable: self.liquidatable + other.liquidatable,
            bankrupt: self.bankrupt + other.bankrupt,
            shortfall: self.shortfall + other.shortfall,
        }
    }
}
