//! Assets and instruments that come while the engine runs: all that is known by row grows, and nothing changes its row.

use std::sync::Arc;

use super::model::MarginModel;
use super::{Engine, Limits, refused};
use crate::error::{Error, Place, Result};
use crate::exact::GivenColumn;
use crate::ids::Id;
use crate::market::Market;
use crate::model::is_moderate;
use crate::pool::Stop;

/// Assets and instruments that are new, and what comes with them.
#[derive(Clone, Debug)]
pub struct Extension {
    /// The rules from now on, in a universe that begins with all of the engine's.
    pub model: Arc<MarginModel>,
    /// Figures of what is new; what the engine has a figure of keeps it.
    pub market: Market,
    /// Of every new asset.
    pub decimals: Vec<u32>,
    /// Of what is new alone; the share of gains that may be withdrawn stays as it is.
    pub limits: Limits,
}

impl Engine {
    pub(super) fn add_instruments(&mut self, extension: &Extension, stop: Stop<'_>) -> Result<()> {
        self.check_extension(extension)?;
        let Extension {
            model,
            market,
            decimals,
            limits,
        } = extension;
        let of_withdrawals = model.with_gain_share_at_most(&self.limits.withdrawable_gain_share)?;
        let market = self.market.extended(market);
        let ledger = self.ledger.extended(&market, decimals);
        let before = (
            std::mem::replace(&mut self.market, market),
            std::mem::replace(&mut self.model, Arc::clone(model)),
            std::mem::replace(&mut self.ledger, ledger),
        );
        if let Err(error) = self.judge_all(stop) {
            (self.market, self.model, self.ledger) = before;
            return Err(error);
        }
        self.model_of_withdrawals = of_withdrawals;
        self.limits.extend(limits);
        let universe = model.universe();
        self.settled.resize(universe.specs().len(), false);
        self.residue.resize(universe.assets().len(), 0.0);
        Ok(())
    }

    fn check_extension(&self, extension: &Extension) -> Result<()> {
        let universe = extension.model.universe();
        if !Arc::ptr_eq(universe, extension.market.universe()) {
            return Err(Error::UniverseMismatch {
                left: "market",
                right: "model",
            });
        }
        universe.check_extends(self.universe())?;
        let before = self.universe();
        let assets = universe.assets().len() - before.assets().len();
        let instruments = universe.specs().len() - before.specs().len();
        let limits = &extension.limits;
        let of_assets = [extension.decimals.len(), limits.borrowable.len()];
        let of_instruments = [limits.position.len(), limits.open_interest.len()];
        if of_assets != [assets; 2] || of_instruments != [instruments; 2] {
            let problem = "decimals and limits are needed of what is new, and of nothing else";
            return Err(refused("add_instruments", problem));
        }
        check_figures(&extension.market)
    }
}

impl Limits {
    /// Adds those of what is new.
    fn extend(&mut self, new: &Self) {
        self.position.extend_from_slice(&new.position);
        self.open_interest.extend_from_slice(&new.open_interest);
        self.borrowable.extend_from_slice(&new.borrowable);
    }
}

/// Refuses figures so far from 1 that an engine's could leave the range of f64, as ticks and accruals do.
pub(super) fn check_figures(market: &Market) -> Result<()> {
    let universe = market.universe();
    let index = |row: usize| universe.index_name(row);
    let asset = |row: usize| universe.assets().get(row);
    let instrument = |row: usize| universe.instruments().get(row);
    check_column("index_price", market.index_price(), index)?;
    check_column("mark_price", market.mark_price(), instrument)?;
    check_column("deposit_index", market.deposit_index(), asset)?;
    check_column("borrow_index", market.borrow_index(), asset)?;
    let funding = market.cumulative_funding();
    check_column("cumulative_funding", funding, instrument)
}

fn check_column<'a>(
    name: &'static str,
    column: &GivenColumn,
    id: impl Fn(usize) -> Id<'a>,
) -> Result<()> {
    // One that is not given is NaN, and moderate.
    let extreme = |(_, figure): &(usize, &f64)| !is_moderate(**figure);
    let Some((row, figure)) = column.floats().iter().enumerate().find(extreme) else {
        return Ok(());
    };
    Err(Error::Value {
        place: Place::frame(name).id(id(row)),
        problem: format!("{figure:e} is neither 0 nor from 1e-30 to below 1e30"),
    })
}
