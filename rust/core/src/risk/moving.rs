//! Losses of what is held in assets whose index price moves inside the scenarios.
//!
//! What an account has of such an asset, cash and unrealized profit, counts in full as collateral, and loses in a scenario
//! what its index price loses. A contract that settles in it is worth `u X` now and `u_s (X + dX)` in the scenario: both
//! prices move, and the product of the moves counts. Where the contract's underlying is another one than that its asset
//! moves with, and each takes its own worst scenario, the product has no meaning: `(u - u_s) X` is lost in the group of the
//! contract's underlying, `-u dX` in the group of the asset's.
//!
//! All is linear in balances, costs and contracts, so each is a row of the loss table and exact decisions and error bounds
//! are those of positions. Deposits and loans have rows of their own, because interest makes different amounts of them.

use super::rows::{InstrumentRows, Making, finite_loss, impossible};
use super::{RiskModel, RiskParameters, ScenarioSet};
use crate::error::{Error, Place, Result};
use crate::kernel::{LossRow, Row, charge};
use crate::market::Market;
use crate::model::CrossMargin;
use crate::risk_layout::{Held, MovingAssets};
use crate::units::COST_CANCELLATION;

/// The assets that move, if any does.
///
/// # Errors
/// One that is cut by a haircut as well; one that follows an underlying of which a set says nothing.
pub(super) fn checked(
    collateral: &CrossMargin,
    parameters: &RiskParameters,
) -> Result<Option<MovingAssets>> {
    if parameters.in_scenario.iter().all(Option::is_none) {
        return Ok(None);
    }
    let universe = collateral.universe();
    for (asset, underlying) in parameters.in_scenario.iter().enumerate() {
        let Some(underlying) = *underlying else {
            continue;
        };
        let id = universe.assets().get(asset);
        let refused = |problem: String| Error::Parameter {
            place: Place::frame("in_scenario").id(id),
            problem,
        };
        if asset == universe.numeraire() {
            return Err(refused(
                "it is the numeraire, which all is counted in: it never moves".to_owned(),
            ));
        }
        if !collateral.counts_in_full(asset) {
            return Err(refused(
                "collateral cuts it by a haircut, tier, cap, liability weight or share of gains; it moves in the scenarios or is cut, never both".to_owned(),
            ));
        }
        let mut sets = parameters.sets.iter();
        if sets.any(|set| set.shocks(underlying).is_none()) {
            let name = universe.underlyings().get(underlying);
            return Err(refused(format!(
                "no shock or return of underlying {name}, which it moves with"
            )));
        }
    }
    Ok(Some(MovingAssets {
        underlying: parameters.in_scenario.clone(),
        joint: parameters.sets.iter().all(|set| set.joint),
    }))
}

/// By how much an asset's index price changes in each scenario.
fn changes(set: &ScenarioSet, underlying: usize, price: f64) -> impl Iterator<Item = f64> + '_ {
    let shocks = set.shocks(underlying).expect("checked with the model");
    let change = move |&shock: &f64| if set.absolute { shock } else { price * shock };
    shocks.price.iter().map(change)
}

/// Fills in the rows of cash and cost of some assets; `rows` are those of all.
pub(super) fn fill_assets<H: Fn(usize) -> String + Sync>(
    making: &Making<'_, H>,
    assets: &[usize],
    rows: &mut [LossRow<'_>],
) -> Result<()> {
    let (model, market, set) = (making.model, making.market, making.set);
    let universe = model.universe();
    for &asset in assets {
        let Some(underlying) = model.moving().and_then(|moving| moving.underlying[asset]) else {
            continue;
        };
        // Without a price nobody holds it, or the table of collateral was refused.
        let price = market.index::<f64>(asset);
        let changes: Vec<f64> = price.map_or_else(
            || vec![0.0; set.len()],
            |price| changes(set, underlying, price).collect(),
        );
        let price = price.unwrap_or(0.0);
        let id = || universe.assets().get(asset).to_string();
        for (scenario, &change) in changes.iter().enumerate() {
            let shocked = price + change;
            // Without a price, what is settled in it would be worth nothing now and something then.
            if shocked < 0.0 || (price == 0.0 && change != 0.0) {
                return Err(impossible(set, scenario, &id(), shocked));
            }
        }
        for held in Held::ALL {
            let (amount, roundings) = match held {
                Held::Deposit => (market.deposit_index().floats()[asset], 1.0),
                Held::Loan => (market.borrow_index().floats()[asset], 1.0),
                Held::IsolatedMargin => (1.0, 1.0),
                Held::Cost => (-1.0, COST_CANCELLATION),
            };
            let row = &mut rows[Held::ALL.len() * asset + held as usize];
            for (scenario, (loss, change)) in row.losses().iter_mut().zip(&changes).enumerate() {
                // Adding 0 makes -0 and 0 the same.
                *loss = -(amount * change) * set.weight[scenario] + 0.0;
                finite_loss(*loss, scenario, id, String::new)?;
            }
            row.close(None, |charges| {
                making.bound(roundings * charges[charge::REACH])
            });
        }
    }
    Ok(())
}

/// Lets the losses of a contract at the present index price happen at the shocked one.
pub(super) fn at_shocked_index(
    model: &RiskModel,
    market: &Market,
    set: &ScenarioSet,
    instrument: usize,
    losses: &mut [f64],
) {
    let Some((underlying, price)) = together(model, market, instrument) else {
        return;
    };
    for (loss, change) in losses.iter_mut().zip(changes(set, underlying, price)) {
        if price != 0.0 {
            *loss += *loss * (change / price);
        }
    }
}

/// Lets the present value of a contract move with the asset in which it settles: in its own row where both move
/// together, else in a row for that.
pub(super) fn add_present_value<H: Fn(usize) -> String + Sync>(
    making: &Making<'_, H>,
    rows: &mut InstrumentRows<'_>,
) -> Result<()> {
    let (model, market, set) = (making.model, making.market, making.set);
    let (universe, instrument) = (model.universe(), rows.instrument);
    let Some(value_row) = &mut rows.value else {
        return Ok(());
    };
    value_row.lanes.fill(Row::default());
    let found = model
        .moving()
        .and_then(|moving| moving.of_instrument(universe, instrument));
    let Some((underlying, is_product)) = found else {
        return Ok(());
    };
    let spec = &universe.specs()[instrument];
    let (Ok(mark), Some(price)) = (
        model.collateral.mark_value::<f64>(instrument, market),
        market.index::<f64>(spec.settlement as usize),
    ) else {
        return Ok(());
    };
    let funding = spec.funding_value(market.cumulative_funding().floats()[instrument]);
    let value = mark.value - funding;
    let row = if is_product { &mut rows.own } else { value_row };
    let changes = changes(set, underlying, price);
    for (scenario, (loss, change)) in row.losses().iter_mut().zip(changes).enumerate() {
        // What is not of its own row is 0 so far.
        *loss = *loss - value * change * set.weight[scenario] + 0.0;
        let id = || universe.instruments().get(instrument).to_string();
        finite_loss(*loss, scenario, id, String::new)?;
    }
    Ok(())
}

/// What moves the asset in which an instrument settles, and its price, if both prices move together.
fn together(model: &RiskModel, market: &Market, instrument: usize) -> Option<(usize, f64)> {
    let universe = model.universe();
    let (underlying, is_product) = model.moving()?.of_instrument(universe, instrument)?;
    let settlement = universe.specs()[instrument].settlement as usize;
    let price = market.index::<f64>(settlement)?;
    is_product.then_some((underlying, price))
}
