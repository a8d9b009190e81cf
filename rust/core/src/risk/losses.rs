//! The risk table: what one long contract of each instrument loses in each scenario, at one market.

use std::sync::Arc;

use super::RiskModel;
use super::made_of::MadeOf;
use super::rows::size;
use crate::error::{Error, Result};
use crate::kernel::{LossTable, Measure, charge};
use crate::market::Market;
use crate::pool::{self, Stop};
use crate::risk_layout::{Held, RiskGroup, asset_row, doubt_row, loss_row, loss_rows};

/// Losses of one set of scenarios.
#[derive(Clone, Debug)]
pub struct SetLosses {
    /// Which positions are added up.
    pub group: RiskGroup,
    /// What is asked of the sums.
    pub measure: Measure,
    /// By [`loss_row`]; weighted.
    pub losses: LossTable,
}

impl SetLosses {
    /// What one contract, long or short, can add to a requirement at most.
    pub(crate) fn most(&self, model: &RiskModel, instrument: usize) -> f64 {
        size(model, instrument, self.losses.charges(loss_row(instrument)))
    }

    /// The risk of one contract alone, long and short; what an open order is charged.
    pub(crate) fn alone(&self, instrument: usize) -> [f64; 2] {
        let charges = self.losses.charges(loss_row(instrument));
        [charges[charge::ALONE_LONG], charges[charge::ALONE_SHORT]]
    }
}

/// What of a book, beside the instruments that it holds, its tables depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MadeFor {
    /// The largest number of positions of an account.
    pub widest: usize,
    /// Whether anybody has open orders.
    pub has_orders: bool,
    /// Whether accounts are scanned, instead of losses published: else no charges are set.
    pub is_scanned: bool,
}

/// All sets at one market: data, on which decisions are exact.
#[derive(Clone, Debug)]
pub struct RiskTable {
    /// In the order of the model's sets.
    pub sets: Vec<SetLosses>,
    pub(super) made_for: MadeFor,
    /// What the rows were last made of.
    pub(super) made_of: MadeOf,
}

/// More than sums of products lose where quantities are tiny.
const LOST_BY_UNDERFLOW: f64 = 1e-190;

impl RiskModel {
    /// Losses of the instruments that are held, by universe row, ascending. Rows of which nothing has moved since a table that the
    /// model keeps are taken from there: the bits are those of a table made anew.
    ///
    /// # Errors
    /// [`Error::UniverseMismatch`]; [`Error::MissingPrice`]; an underlying of which a set says nothing; a shock that takes a price where the
    /// instrument cannot have it; [`Error::Range`] for a loss that f64 cannot hold; [`Error::Interrupted`].
    pub fn table(
        &self,
        market: &Market,
        instruments: &[usize],
        made_for: MadeFor,
        holder: impl Fn(usize) -> String + Sync,
        stop: Stop<'_>,
    ) -> Result<Arc<RiskTable>> {
        if !Arc::ptr_eq(self.universe(), market.universe()) {
            return Err(Error::UniverseMismatch {
                left: "market",
                right: "model",
            });
        }
        let kept = self.kept.take(made_for);
        let mut table = kept.unwrap_or_else(|| RiskTable::empty(self, made_for));
        // On an error the table is dropped: nobody sees one that is half of now.
        table.renew(self, market, instruments, &holder, stop)?;
        let table = Arc::new(table);
        self.kept.keep(&table);
        Ok(table)
    }
}

impl RiskTable {
    /// Without any losses.
    fn empty(model: &RiskModel, made_for: MadeFor) -> Self {
        let universe = model.universe();
        let rows = loss_rows(universe, model.moving());
        let sets = model.parameters.sets.iter().map(|set| {
            let mut losses = if made_for.is_scanned {
                let is_charged = !model.is_scan_alone();
                LossTable::scanned(rows, set.len(), set.measure, is_charged)
            } else {
                LossTable::new(rows, set.len())
            };
            let mut rows = losses.rows_mut();
            let mut doubt = rows.row(doubt_row(universe)).expect("a row of doubt");
            doubt.close(None, |_| LOST_BY_UNDERFLOW);
            SetLosses {
                group: model.group(set),
                measure: set.measure,
                losses,
            }
        });
        Self {
            sets: sets.collect(),
            made_for,
            made_of: MadeOf::nothing(universe),
        }
    }

    /// Assets that move in the scenarios, and table rows that say what one contract of some instruments, then what one unit
    /// of a net balance in each of those assets loses.
    #[must_use]
    pub fn published(model: &RiskModel, instruments: &[usize]) -> (Vec<usize>, Vec<usize>) {
        let universe = model.universe();
        let moving = model.moving().map_or(&[][..], |moving| &moving.underlying);
        let assets: Vec<usize> = (0..moving.len())
            .filter(|&at| moving[at].is_some())
            .collect();
        let of_assets = assets
            .iter()
            .map(|&asset| asset_row(universe, asset, Held::IsolatedMargin));
        let of_instruments = instruments.iter().copied().map(loss_row);
        let rows = of_instruments.chain(of_assets).collect();
        (assets, rows)
    }

    /// For each set a copy of table rows: rows x scenarios.
    ///
    /// # Errors
    /// [`Error::Interrupted`].
    pub fn copied(&self, rows: &[usize], stop: Stop<'_>) -> Result<Vec<Vec<f64>>> {
        /// Fresh memory is most of the work, and threads share it.
        const ROWS_PER_TASK: usize = 512;
        let mut arrays = Vec::with_capacity(self.sets.len());
        for SetLosses { losses, .. } in &self.sets {
            let scenarios = losses.scenarios();
            let mut array = vec![0.0; rows.len() * scenarios];
            let tasks = array
                .chunks_mut(ROWS_PER_TASK * scenarios)
                .zip(rows.chunks(ROWS_PER_TASK));
            let copy = |(array, rows): (&mut [f64], &[usize])| {
                for (to, &row) in array.chunks_mut(scenarios).zip(rows) {
                    to.copy_from_slice(losses.losses(row));
                }
            };
            pool::for_each(tasks, copy, &mut *stop)?;
            arrays.push(array);
        }
        Ok(arrays)
    }
}
