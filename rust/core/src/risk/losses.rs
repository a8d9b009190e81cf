//! The risk table: what one long contract of each instrument loses in each scenario, at one market.

use std::sync::Arc;

use super::expiry::open_part;
use super::kept::Inputs;
use super::options::OptionShocks;
use super::scenarios::ScenarioSet;
use super::{RiskModel, Shocks, moving, options};
use crate::error::{Error, Place, Result};
use crate::kernel::{LossRow, LossTable, Measure, charge};
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
    /// Whether accounts are scanned, instead of losses published.
    pub is_scanned: bool,
}

/// All sets at one market: data, on which decisions are exact.
#[derive(Clone, Debug)]
pub struct RiskTable {
    /// In the order of the model's sets.
    pub sets: Vec<SetLosses>,
    pub(super) made_for: MadeFor,
    /// By instrument, what its rows were last made of.
    instruments: Vec<Option<Inputs>>,
    /// By asset, the same.
    assets: Vec<Option<Inputs>>,
}

/// The rows of one instrument, to be set.
pub(super) struct InstrumentRows<'a> {
    pub(super) instrument: usize,
    pub(super) own: LossRow<'a>,
    /// Of its present value, where that may move apart.
    pub(super) value: Option<LossRow<'a>>,
}

impl<'a> InstrumentRows<'a> {
    fn new(instrument: usize, own: LossRow<'a>) -> Self {
        Self {
            instrument,
            own,
            value: None,
        }
    }
}

/// What rows are made of beside their instrument.
pub(super) struct Making<'a, H> {
    pub(super) model: &'a RiskModel,
    pub(super) market: &'a Market,
    pub(super) set: &'a ScenarioSet,
    pub(super) holder: &'a H,
    made_for: MadeFor,
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
                LossTable::scanned(rows, set.len(), set.measure)
            } else {
                LossTable::new(rows, set.len())
            };
            let doubt = losses.rows_mut().nth(doubt_row(universe));
            doubt.expect("a row of doubt").close(|_| LOST_BY_UNDERFLOW);
            SetLosses {
                group: model.group(set),
                measure: set.measure,
                losses,
            }
        });
        Self {
            sets: sets.collect(),
            made_for,
            instruments: vec![None; universe.specs().len()],
            assets: vec![None; universe.assets().len()],
        }
    }

    /// Makes anew the rows whose inputs have changed.
    fn renew(
        &mut self,
        model: &RiskModel,
        market: &Market,
        instruments: &[usize],
        holder: &(impl Fn(usize) -> String + Sync),
        stop: Stop<'_>,
    ) -> Result<()> {
        let universe = model.universe();
        let has_moved = |kept: &mut Option<Inputs>, now: Inputs| kept.replace(now) != Some(now);
        let mut moved = instruments.to_vec();
        moved.retain(|&row| {
            let now = Inputs::of_instrument(model, market, row);
            has_moved(&mut self.instruments[row], now)
        });
        let assets = model.moving().map_or(0, |_| universe.assets().len());
        let moved_asset =
            |&asset: &usize| has_moved(&mut self.assets[asset], Inputs::of_asset(market, asset));
        let moved_assets: Vec<usize> = (0..assets).filter(moved_asset).collect();
        for (set, losses) in model.parameters.sets.iter().zip(&mut self.sets) {
            let making = Making {
                model,
                market,
                set,
                holder,
                made_for: self.made_for,
            };
            // As they stand in a table: instruments, doubt, assets, present values.
            let mut rows = losses.losses.rows_mut().skip(loss_row(0));
            let mut rest = moved.iter().peekable();
            let mut of_instruments: Vec<_> = (0..universe.specs().len())
                .zip(&mut rows)
                .filter(|(instrument, _)| rest.next_if_eq(&instrument).is_some())
                .map(|(instrument, own)| InstrumentRows::new(instrument, own))
                .collect();
            let _doubt = rows.next();
            let mut of_assets: Vec<_> = rows.by_ref().take(Held::ALL.len() * assets).collect();
            let mut values = rows.enumerate();
            for of in &mut of_instruments {
                let value = values.find(|(instrument, _)| *instrument == of.instrument);
                of.value = value.map(|(_, row)| row);
            }
            // Options first, which are valued together.
            of_instruments.sort_by_key(|of| !universe.specs()[of.instrument].is_option());
            making.instruments(&mut of_instruments, &mut *stop)?;
            moving::fill_assets(&making, &moved_assets, &mut of_assets)?;
        }
        Ok(())
    }
}

impl RiskTable {
    /// Assets that move in the scenarios, and for each set what one contract of some instruments, then what one unit of a
    /// net balance in each of those assets loses: rows x scenarios, weighted.
    ///
    /// # Errors
    /// [`Error::Interrupted`].
    pub fn published(
        &self,
        model: &RiskModel,
        instruments: &[usize],
        stop: Stop<'_>,
    ) -> Result<(Vec<usize>, Vec<Vec<f64>>)> {
        /// Fresh memory is most of the work, and threads share it.
        const ROWS_PER_TASK: usize = 512;
        let universe = model.universe();
        let moving = model.moving().map_or(&[][..], |moving| &moving.underlying);
        let assets: Vec<usize> = (0..moving.len())
            .filter(|&at| moving[at].is_some())
            .collect();
        let of_assets = assets
            .iter()
            .map(|&asset| asset_row(universe, asset, Held::IsolatedMargin));
        let rows: Vec<usize> = instruments
            .iter()
            .copied()
            .map(loss_row)
            .chain(of_assets)
            .collect();
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
        Ok((assets, arrays))
    }
}

impl<H: Fn(usize) -> String + Sync> Making<'_, H> {
    /// Fills in the rows of some instruments, the options first.
    fn instruments(&self, rows: &mut [InstrumentRows<'_>], stop: Stop<'_>) -> Result<()> {
        /// Enough for a thread to be worth waking.
        const LOSSES_PER_TASK: usize = 16_384;
        /// So many greeks need no thread but that of the task.
        const MOST_PER_TASK: usize = 1024;
        let shocks = OptionShocks::new(self, rows)?;
        let per_task = (LOSSES_PER_TASK / self.set.len()).next_multiple_of(8);
        let per_task = per_task.clamp(8, MOST_PER_TASK);
        let tasks = rows.chunks_mut(per_task);
        let mut results = vec![Ok(()); tasks.len()];
        let work = |(rows, result): (&mut [InstrumentRows<'_>], &mut Result<()>)| {
            let filled = options::fill(self, &shocks, rows);
            *result = filled.and_then(|()| rows.iter_mut().try_for_each(|rows| self.rows(rows)));
        };
        pool::for_each(tasks.zip(&mut results), work, stop)?;
        // In order, so that of several errors it is always the same that is told.
        results.into_iter().collect()
    }

    /// Fills in the rows of an instrument; of an option, what its value does not say.
    fn rows(&self, rows: &mut InstrumentRows<'_>) -> Result<()> {
        let (model, market, set) = (self.model, self.market, self.set);
        let instrument = rows.instrument;
        if !model.universe().specs()[instrument].is_option() {
            *rows.own.charges = [0.0; 8];
            fill(self, instrument, rows.own.losses())?;
        }
        moving::at_shocked_index(model, market, set, instrument, rows.own.losses());
        if self.made_for.has_orders {
            // What is bought at mark is worth what is paid: its present value cancels.
            let [long, short] = stand_alone(set.measure, rows.own.losses());
            rows.own.charges[charge::ALONE_LONG] = long;
            rows.own.charges[charge::ALONE_SHORT] = short;
        }
        moving::add_present_value(self, rows)?;
        self.charge(instrument, rows.own.charges)?;
        // What a contract adds to any sum, by its size: sums may cancel, their roundings do not.
        rows.own
            .close(|charges| self.bound(size(model, instrument, charges)));
        if let Some(value) = &mut rows.value {
            value.close(|charges| self.bound(charges[charge::REACH]));
        }
        Ok(())
    }

    /// What sums may be off by, for something of a size: a rounding for each position, and some for weights, sums over groups
    /// and the requirement.
    pub(super) fn bound(&self, size: f64) -> f64 {
        let error = (self.made_for.widest as f64 + 32.0) * f64::EPSILON;
        2.0 * error * size
    }

    /// Charges of one contract beside its losses.
    fn charge(&self, instrument: usize, charges: &mut [f64; 8]) -> Result<()> {
        let (model, market) = (self.model, self.market);
        let universe = model.universe();
        let spec = &universe.specs()[instrument];
        let notional = || -> Result<f64> {
            let notional = model.collateral.notional::<f64>(instrument, market);
            notional.map_err(|missing| missing.error(universe, (self.holder)(instrument)))
        };
        let rate = model.parameters.short_option_rate[instrument];
        if spec.is_option() && rate > 0.0 {
            charges[charge::SHORT_OPTION] = rate * notional()?;
            charges[charge::SHORT_OPTION_SIGNED] = charges[charge::SHORT_OPTION];
        }
        if model.parameters.concentration[spec.underlying as usize].is_some() && !spec.is_option() {
            let open = open_part(model, market, instrument, self.holder)?;
            charges[charge::DELTA] = notional()? * open;
        }
        Ok(())
    }
}

/// What one contract can add to a requirement at most, by its charges.
fn size(model: &RiskModel, instrument: usize, charges: &[f64; 8]) -> f64 {
    let underlying = model.universe().specs()[instrument].underlying as usize;
    let concentration = model.parameters.concentration[underlying];
    let rate = concentration.map_or(0.0, |concentration| concentration.rate);
    charges[charge::REACH] + charges[charge::SHORT_OPTION] + rate * charges[charge::DELTA].abs()
}

/// Losses of one long contract in every scenario of a set.
fn fill<H: Fn(usize) -> String>(
    making: &Making<'_, H>,
    instrument: usize,
    losses: &mut [f64],
) -> Result<()> {
    let Making {
        model,
        market,
        set,
        holder,
        ..
    } = *making;
    let universe = model.universe();
    let spec = &universe.specs()[instrument];
    let Shocks { price: shocks, .. } = shocks_of(model, set, instrument, holder)?;
    let mark = model
        .collateral
        .mark_value::<f64>(instrument, market)
        .map_err(|missing| missing.error(universe, holder(instrument)))?;
    let price: f64 = market.mark(instrument).expect("there is a mark value");
    let open = open_part(model, market, instrument, holder)?;
    let shocked = |shock: f64| {
        if set.absolute {
            price + shock
        } else {
            price * (1.0 + shock)
        }
    };
    let is_possible = |shocked: f64| {
        if spec.is_reciprocal() {
            shocked > 0.0
        } else {
            // A linear contract may go down to nothing; below only where the instrument allows it.
            shocked >= 0.0 || spec.allow_negative_price
        }
    };
    let change = |shock: f64| {
        if spec.is_reciprocal() {
            spec.price_value(shocked(shock)) - mark.value
        } else {
            spec.price_value(if set.absolute { shock } else { price * shock })
        }
    };
    // No branch out of the loop, so that it runs in lanes.
    let mut is_fine = true;
    for ((loss, &shock), &weight) in losses.iter_mut().zip(shocks).zip(&set.weight) {
        let shock = open * shock;
        // Adding 0 makes -0 and 0 the same.
        *loss = -(change(shock) * mark.price) * weight + 0.0;
        is_fine &= is_possible(shocked(shock)) & loss.is_finite();
    }
    if is_fine {
        return Ok(());
    }
    let id = || universe.instruments().get(instrument).to_string();
    for (scenario, (&loss, &shock)) in losses.iter().zip(shocks).enumerate() {
        let shocked = shocked(open * shock);
        if !is_possible(shocked) {
            return Err(impossible(set, scenario, &id(), shocked));
        }
        finite_loss(loss, scenario, id, || holder(instrument))?;
    }
    Ok(())
}

/// Shocks of what an instrument follows.
pub(super) fn shocks_of<'a>(
    model: &RiskModel,
    set: &'a ScenarioSet,
    instrument: usize,
    holder: &impl Fn(usize) -> String,
) -> Result<&'a Shocks> {
    let universe = model.universe();
    let underlying = universe.specs()[instrument].underlying as usize;
    set.shocks(underlying).ok_or_else(|| Error::Parameter {
        place: Place::frame("scenarios"),
        problem: format!(
            "no shock or return of underlying {}, which {} follows{}",
            universe.underlyings().get(underlying),
            universe.instruments().get(instrument),
            held_by(&holder(instrument)),
        ),
    })
}

/// # Errors
/// A loss that is not finite.
pub(super) fn finite_loss(
    loss: f64,
    scenario: usize,
    id: impl FnOnce() -> String,
    account: impl FnOnce() -> String,
) -> Result<()> {
    if loss.is_finite() {
        return Ok(());
    }
    Err(Error::Range {
        account: account(),
        problem: format!("the loss of {} in scenario {scenario} is {loss}", id()),
    })
}

/// The end of a message about something held; `account` may be empty.
pub(super) fn held_by(account: &str) -> String {
    if account.is_empty() {
        return String::new();
    }
    format!(" and account {account} holds")
}

pub(super) fn impossible(set: &ScenarioSet, scenario: usize, id: &str, price: f64) -> Error {
    let column = if set.absolute {
        "absolute price_shock"
    } else {
        "price_shock"
    };
    Error::Parameter {
        place: Place::column("scenarios", "price_shock").row(scenario),
        problem: format!("this {column} takes {id} to a price of {price}, which it cannot have"),
    }
}

/// The measure of one contract alone, long and short.
fn stand_alone(measure: Measure, losses: &[f64]) -> [f64; 2] {
    [1.0, -1.0].map(|quantity| {
        let mut losses: Vec<f64> = losses.iter().map(|loss| quantity * loss).collect();
        let rank = match measure {
            Measure::Worst => 1,
            Measure::Quantile { rank } | Measure::Shortfall { rank } => rank,
        };
        let larger = |a: &f64, b: &f64| b.total_cmp(a);
        losses.select_nth_unstable_by(rank - 1, larger);
        let loss = if let Measure::Shortfall { .. } = measure {
            losses.truncate(rank);
            losses.sort_unstable_by(larger);
            losses.iter().sum::<f64>() / rank as f64
        } else {
            losses[rank - 1]
        };
        if loss > 0.0 { loss } else { 0.0 }
    })
}
