//! The risk table: what one long contract of each instrument loses in each scenario, at one market.

use std::sync::Arc;

use super::expiry::open_part;
use super::scenarios::ScenarioSet;
use super::{RiskModel, Shocks, moving, options};
use crate::error::{Error, Place, Result};
use crate::kernel::{LossTable, Measure, charge};
use crate::market::Market;
use crate::pool::Stop;
use crate::risk_layout::{Held, RiskGroup, asset_row, doubt_row, loss_row, loss_rows, value_row};
use crate::units::COST_CANCELLATION;
use crate::universe::Universe;

/// Losses of one set of scenarios.
#[derive(Clone, Debug)]
pub struct SetLosses {
    /// Which positions are added up.
    pub group: RiskGroup,
    /// What is asked of the sums.
    pub measure: Measure,
    /// By [`loss_row`]; weighted.
    pub losses: LossTable,
    /// By instrument: the risk of one contract alone, long and short; what an open order is charged. Empty if there is
    /// none.
    pub alone: Vec<[f64; 2]>,
}

impl SetLosses {
    /// What one contract, long or short, can add to a requirement at most.
    pub(crate) fn most(&self, model: &RiskModel, instrument: usize) -> f64 {
        let row = loss_row(instrument);
        let largest = largest(self.losses.losses(row));
        let charges = self.losses.charges(row);
        let underlying = model.universe().specs()[instrument].underlying as usize;
        let concentration = model.parameters.concentration[underlying];
        let rate = concentration.map_or(0.0, |concentration| concentration.rate);
        largest + charges[charge::SHORT_OPTION] + rate * charges[charge::DELTA].abs()
    }
}

/// All sets at one market: data, on which decisions are exact.
#[derive(Clone, Debug)]
pub struct RiskTable {
    /// In the order of the model's sets.
    pub sets: Vec<SetLosses>,
}

/// More than sums of products lose where quantities are tiny.
const LOST_BY_UNDERFLOW: f64 = 1e-190;

impl RiskTable {
    /// Losses of the instruments that are held, by universe row; `widest` is the largest number of positions of an account.
    ///
    /// # Errors
    /// [`Error::UniverseMismatch`]; [`Error::MissingPrice`]; an underlying of which a set says nothing; a shock that takes a price where the
    /// instrument cannot have it; [`Error::Range`] for a loss that f64 cannot hold; [`Error::Interrupted`].
    pub fn new(
        model: &RiskModel,
        market: &Market,
        instruments: &[usize],
        (widest, has_orders): (usize, bool),
        holder: impl Fn(usize) -> String,
        stop: Stop<'_>,
    ) -> Result<Self> {
        let universe = model.universe();
        if !Arc::ptr_eq(universe, market.universe()) {
            return Err(Error::UniverseMismatch {
                left: "market",
                right: "model",
            });
        }
        // A rounding for each position, and some for weights, sums over groups and the requirement.
        let error = (widest as f64 + 32.0) * f64::EPSILON;
        let mut sets = Vec::with_capacity(model.parameters.sets.len());
        for set in &model.parameters.sets {
            let mut losses = LossTable::new(loss_rows(universe, model.moving()), set.len());
            let alone_count = if has_orders {
                universe.specs().len()
            } else {
                0
            };
            let mut alone = vec![[0.0; 2]; alone_count];
            options::fill(
                model,
                market,
                set,
                instruments,
                &mut losses,
                &holder,
                &mut *stop,
            )?;
            for &instrument in instruments {
                let row = loss_row(instrument);
                if !universe.specs()[instrument].is_option() {
                    fill(
                        model,
                        market,
                        set,
                        instrument,
                        losses.losses_mut(row),
                        &holder,
                    )?;
                }
                moving::at_shocked_index(model, market, set, instrument, losses.losses_mut(row));
                if has_orders {
                    // What is bought at mark is worth what is paid: its present value cancels.
                    alone[instrument] = stand_alone(set.measure, losses.losses(row));
                }
                moving::add_present_value(model, market, set, instrument, &mut losses)?;
                let largest = largest(losses.losses(row));
                charge(model, market, instrument, losses.charges_mut(row), &holder)?;
                // What a contract adds to any sum, by its size: sums may cancel, their roundings do not.
                let charges = losses.charges_mut(row);
                let underlying = universe.specs()[instrument].underlying as usize;
                let concentration = model.parameters.concentration[underlying];
                let rate = concentration.map_or(0.0, |concentration| concentration.rate);
                let parts =
                    largest + charges[charge::SHORT_OPTION] + rate * charges[charge::DELTA].abs();
                charges[charge::BOUND] = 2.0 * error * parts;
            }
            moving::fill_assets(model, market, set, &mut losses)?;
            if model.moving().is_some() {
                bound_assets(universe, error, &mut losses);
            }
            losses.charges_mut(doubt_row(universe))[charge::BOUND] = LOST_BY_UNDERFLOW;
            sets.push(SetLosses {
                group: model.group(set),
                measure: set.measure,
                losses,
                alone,
            });
        }
        Ok(Self { sets })
    }
}

/// The largest loss by size.
fn largest(losses: &[f64]) -> f64 {
    let larger = |largest: f64, loss: &f64| {
        let size = loss.abs();
        if size > largest { size } else { largest }
    };
    losses.iter().fold(0.0, larger)
}

/// Says what the rows of assets and of present values add to any sum, by their size.
fn bound_assets(universe: &Universe, error: f64, losses: &mut LossTable) {
    let mut bound = |row: usize, roundings: f64| {
        let largest = largest(losses.losses(row));
        losses.charges_mut(row)[charge::BOUND] = 2.0 * error * roundings * largest;
    };
    for asset in 0..universe.assets().len() {
        for held in Held::ALL {
            let roundings = if held == Held::Cost {
                COST_CANCELLATION
            } else {
                1.0
            };
            bound(asset_row(universe, asset, held), roundings);
        }
    }
    for instrument in 0..universe.specs().len() {
        bound(value_row(universe, instrument), 1.0);
    }
}

/// Losses of one long contract in every scenario of a set.
fn fill(
    model: &RiskModel,
    market: &Market,
    set: &ScenarioSet,
    instrument: usize,
    losses: &mut [f64],
    holder: &impl Fn(usize) -> String,
) -> Result<()> {
    let universe = model.universe();
    let spec = &universe.specs()[instrument];
    let id = universe.instruments().get(instrument);
    let Shocks { price: shocks, .. } = shocks_of(model, set, instrument, holder)?;
    let mark = model
        .collateral
        .mark_value::<f64>(instrument, market)
        .map_err(|missing| missing.error(universe, holder(instrument)))?;
    let price: f64 = market.mark(instrument).expect("there is a mark value");
    let open = open_part(model, market, instrument, holder)?;
    for (scenario, (loss, &shock)) in losses.iter_mut().zip(shocks).enumerate() {
        let shock = open * shock;
        let shocked = if set.absolute {
            price + shock
        } else {
            price * (1.0 + shock)
        };
        let change = if spec.is_reciprocal() {
            if shocked <= 0.0 {
                return Err(impossible(set, scenario, &id.to_string(), shocked));
            }
            spec.price_value(shocked) - mark.value
        } else {
            // A linear contract may go down to nothing; below only where the instrument allows it.
            if shocked < 0.0 && !spec.allow_negative_price {
                return Err(impossible(set, scenario, &id.to_string(), shocked));
            }
            let moved = if set.absolute { shock } else { price * shock };
            spec.price_value(moved)
        };
        // Adding 0 makes -0 and 0 the same.
        *loss = -(change * mark.price) * set.weight[scenario] + 0.0;
        if !loss.is_finite() {
            return Err(not_finite(
                &holder(instrument),
                &id.to_string(),
                scenario,
                *loss,
            ));
        }
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

pub(super) fn not_finite(account: &str, id: &str, scenario: usize, loss: f64) -> Error {
    Error::Range {
        account: account.to_owned(),
        problem: format!("the loss of {id} in scenario {scenario} is {loss}"),
    }
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

/// Charges of one contract beside its losses.
fn charge(
    model: &RiskModel,
    market: &Market,
    instrument: usize,
    charges: &mut [f64; 8],
    holder: &impl Fn(usize) -> String,
) -> Result<()> {
    let universe = model.universe();
    let spec = &universe.specs()[instrument];
    let known = |missing: crate::table::Missing| missing.error(universe, holder(instrument));
    let rate = model.parameters.short_option_rate[instrument];
    if spec.is_option() && rate > 0.0 {
        let notional = model
            .collateral
            .notional::<f64>(instrument, market)
            .map_err(known)?;
        charges[charge::SHORT_OPTION] = rate * notional;
        charges[charge::SHORT_OPTION_SIGNED] = rate * notional;
    }
    if model.parameters.concentration[spec.underlying as usize].is_some() && !spec.is_option() {
        let notional = model
            .collateral
            .notional::<f64>(instrument, market)
            .map_err(known)?;
        charges[charge::DELTA] = notional * open_part(model, market, instrument, holder)?;
    }
    Ok(())
}

/// The measure of one contract alone, long and short.
fn stand_alone(measure: Measure, losses: &[f64]) -> [f64; 2] {
    [1.0, -1.0].map(|quantity| {
        let mut sorted: Vec<f64> = losses.iter().map(|loss| quantity * loss).collect();
        sorted.sort_unstable_by(|a, b| b.total_cmp(a));
        let loss = match measure {
            Measure::Worst => sorted[0],
            Measure::Quantile { rank } => sorted[rank - 1],
            Measure::Shortfall { rank } => sorted[..rank].iter().sum::<f64>() / rank as f64,
        };
        if loss > 0.0 { loss } else { 0.0 }
    })
}
